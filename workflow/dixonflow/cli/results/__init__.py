"""Commands on the tables of a run: studies, other formats, releases, withdrawals."""
