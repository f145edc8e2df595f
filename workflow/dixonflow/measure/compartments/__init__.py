"""Fat and muscle in parts of the body between landmarks of the skeleton."""
