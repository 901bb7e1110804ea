"""Results into a leaderboard, and whether runs can have written them.

Read `submit` and `verify`, then `filed_result` and the checks: `cell_checks` and `provenance_checks` look at one
result, `board_checks` at all results of a leaderboard, `data_checks` at the data; `recompute` runs cells again.
"""
