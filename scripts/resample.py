#!/usr/bin/env python3
"""Bring stitched contrasts onto the grid that the model's authors resample to."""

from dixonflow.stage_command import run_stage_command
from dixonflow.vocabulary import Stage

if __name__ == "__main__":
    run_stage_command(Stage.RESAMPLE, __doc__)
