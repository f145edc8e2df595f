#!/usr/bin/env python3
"""Merge the label maps of the contrasts into one."""

from dixonflow.stage_command import run_stage_command
from dixonflow.vocabulary import Stage

if __name__ == "__main__":
    run_stage_command(Stage.MERGE, __doc__)
