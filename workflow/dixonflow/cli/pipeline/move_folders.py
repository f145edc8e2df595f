"""`dixonflow move-folders`: the folders of participants to where the configuration has them."""

import sys

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.run.lock import RunLock
from dixonflow.run.participant_folders import move_folders


def move_folders_command(config: ConfigOption = CONFIG) -> None:
    """Move the folders of participants in results/derivatives/ to where keep.prefix_folders has them.

    Results of version 0.1 lie in folders named by the first three characters of the id. Call it while no run is active.
    """
    start_logging()
    try:
        results = read_config(config).paths
        RunLock(results).take()
        count = move_folders(results)
    except DixonflowError as error:
        sys.exit(f"move-folders: {error}")
    print(f"{count} folders moved" if count else "all folders are where they should be")
