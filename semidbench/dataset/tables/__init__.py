"""Users' tables, CSV and Parquet, with errors that name the file, the line and the column."""
