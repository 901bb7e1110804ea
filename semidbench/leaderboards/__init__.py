"""From results to leaderboards: tests, tables, claims, and the page.

Read `board` (rows and columns), `column_scores` (what the tests pair) and `significance` (the tests). Then `grids`,
`caption` and `tables`, which write tables as `markdown`, for the `terminal`, and in other formats. `build` makes all
tables of a folder. `false_alarms` and `false_alarm_tables` compare a scheme with itself. `claims/` judges the paper's
claims, and `page/` makes the HTML page.
"""
