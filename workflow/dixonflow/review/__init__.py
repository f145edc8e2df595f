"""The page to judge scans on: a local server, and what it shows."""
