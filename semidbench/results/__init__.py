"""A cell's result: where each target stands, the metrics of that, and the files that hold both.

Read `placements`, `metrics`, `cases`, `cell_metrics`; then `cell_result` and `files`.
"""
