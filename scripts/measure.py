#!/usr/bin/env python3
"""Measure volumes, fat and quality of each scan."""

from dixonflow.stage_command import run_stage_command
from dixonflow.vocabulary import Stage

if __name__ == "__main__":
    run_stage_command(Stage.MEASURE, __doc__)
