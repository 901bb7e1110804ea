"""IDs and rankings to other programs, and IDs from them.

Read `finished_cell`, which finds a cell in the cache; then `export_ids` and `export_trec`, which write it, with
`export_files`. `imported_ids` goes the other way. `ids_parquet` and `ids_json` are the two formats of IDs.
"""
