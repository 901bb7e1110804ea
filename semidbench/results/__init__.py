"""A cell's result: where each target stands, the metrics that follow, and the files that hold both.

Read `placements` (ranks, with ties), `metrics` (the formulas), `cases` (test cases as Parquet; `case_frame` has them
for pandas) and `cell_metrics` (all metrics of a cell); then `cell_result` (what a result says) and `files`.
"""
