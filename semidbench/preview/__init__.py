"""Before a run: what it will cost, and what its IDs are like.

Cost: read `plan`, then `workload` and `generator_data` (counted), `rates/` (timed, or recorded by earlier runs),
`job_times` and `run_time` (laid out over processes), `disk` and `plan_table`. IDs: read `inspection`, then
`variance_left` and `inspection_tables`.
"""
