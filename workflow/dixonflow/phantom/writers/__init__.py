"""Scans as files, in the shapes in which cohorts deliver them."""
