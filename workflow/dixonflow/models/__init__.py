"""What is known of a model: its file, its label table, its weights, the vocabulary of structures."""
