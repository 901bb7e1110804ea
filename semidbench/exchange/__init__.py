"""IDs and rankings for other programs, and IDs from them.

Read `finished_cell`, then `export_ids` and `export_trec`; `imported_ids` goes the other way. The two formats are
`ids_parquet` and `ids_json`.
"""
