"""Label maps on their way to the people who correct them, and back."""
