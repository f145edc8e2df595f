"""Which scans are corrected next, and which participants test every round."""
