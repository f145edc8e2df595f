#!/usr/bin/env python3
"""Predict one label map per contrast with the networks of the model."""

from dixonflow.stage_command import run_stage_command
from dixonflow.vocabulary import Stage

if __name__ == "__main__":
    run_stage_command(Stage.SEGMENT, __doc__)
