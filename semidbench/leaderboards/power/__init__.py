"""How many seeds settle a difference: the power of the verdicts' test, from the variances of a board.

Read `components` (what varies on a board), `pair_power` (the power of a pair's test, and the seeds that it needs), then
`seeds_needed` (a board's answer) and `tables`.
"""
