"""Intervals and tests for the values of many cases."""
