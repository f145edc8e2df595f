"""Checks and measurements of a GPU: `python -m gpu.run`, in pieces that each keep what they found."""
