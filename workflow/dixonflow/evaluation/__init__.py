"""Accuracy against reference label maps of the phantom."""
