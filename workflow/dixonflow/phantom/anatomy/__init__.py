"""Bodies: shapes of organs, bones, muscles and vessels, and their tissues."""
