"""What a run will cost, from the tables and files of a pilot run."""
