"""The report of a run: one HTML page made from the tables, and one contact-sheet picture per scan."""
