"""Training of the demo network on phantom participants, with nnunetv2's planning, preprocessing and trainer."""
