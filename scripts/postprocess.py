#!/usr/bin/env python3
"""Drop surplus components and put the final label map in place."""

from dixonflow.stage_command import run_stage_command
from dixonflow.vocabulary import Stage

if __name__ == "__main__":
    run_stage_command(Stage.POSTPROCESS, __doc__)
