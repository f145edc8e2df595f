"""Tables: one typed source of columns; Parquet files, checks, dictionary and datapackage.json generated from it."""

SCHEMA_VERSION = "2.0"
"""Version of the tables. Within a major version columns are only ever added; a column that leaves or changes its
meaning makes the next one. A change has `measure` rewrite the rows of every shard, from the records of its scans."""
