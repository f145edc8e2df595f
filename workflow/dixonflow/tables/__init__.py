"""Tables: one typed source of columns; Parquet files, checks, dictionary and datapackage.json generated from it."""
