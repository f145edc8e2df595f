"""Rows of all shards to the tables."""
