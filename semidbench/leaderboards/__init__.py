"""Results to leaderboards: tests, tables, claims, and the page.

Read `board`, `column_scores`, `significance`; then `grids` and `tables`, which write them; `build` does a whole folder.
"""
