"""What raters say of scans and structures: the record, its files, the agreement of raters, and the grades."""
