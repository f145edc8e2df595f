"""Images as arrays and as NIfTI files."""
