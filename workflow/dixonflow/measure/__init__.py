"""Label map and images to rows of measurements and quality."""
