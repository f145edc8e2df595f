"""The quality checks of a scan: what they are, which of them a model has, and what they find."""
