"""How far two label maps agree: overlap, surfaces and pieces."""
