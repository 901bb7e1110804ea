"""From results to leaderboards: tests, verdicts, tables, claims, and the page.

Read `board` (rows and columns), `column_scores` (what the tests are made from), `significance` (the paper's test), with
`corrections`, and `verdicts/` (what holds). Then `grids`, `caption` and `tables`, which write tables as `markdown`, for
the `terminal`, and in other formats; `frames` hands them out for pandas. `one_row` compares one row with all others.
`build` makes all tables of a folder. `false_alarms/` compares a scheme with itself, `power/` says how many seeds settle
a difference, `claims/` judges the paper's claims, and `page/` makes the HTML page.
"""
