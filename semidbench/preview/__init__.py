"""Before a run: what it will cost, and what its IDs are like.

Cost: read `plan`, then `workload` (counted), `probe` (timed) and `plan_table`. IDs: read `inspection`, then
`variance_left` and `inspection_tables`.
"""
