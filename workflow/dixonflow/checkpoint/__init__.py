"""Checkpoints of nnU-Net's trainer to weights, without running anything that they hold."""
