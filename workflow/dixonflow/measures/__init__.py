"""What is measured on a label map and its images: definitions, the statistics behind them, and the quality checks."""
