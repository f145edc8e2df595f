"""Label maps of the contrasts to one."""
