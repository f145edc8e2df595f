"""What is done to label maps anywhere: components, laterality, agreement."""
