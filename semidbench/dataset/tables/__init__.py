"""Users' tables, with errors that name the file, the line and the column.

Read `text_lines`, then `csv_files` and `parquet_rows`.
"""
