#!/usr/bin/env python3
"""Stitch the stations of each scan into one image per contrast."""

from dixonflow.stage_command import run_stage_command
from dixonflow.vocabulary import Stage

if __name__ == "__main__":
    run_stage_command(Stage.STITCH, __doc__)
