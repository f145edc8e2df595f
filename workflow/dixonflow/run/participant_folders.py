"""Move the folders of participants between the two places that they can lie in; nothing is computed again."""

from pathlib import Path

from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.system.atomic import write_bytes


def move_folders(results: Results) -> int:
    """Move all folders of participants to where `results.prefix_folders` says: by renaming, which copies nothing.

    A call that is cut off leaves a mark, and no run begins before another call has finished the work.

    Parameters
    ----------
    results
        Of which no run is active.

    Returns
    -------
    Number of folders that were moved.

    Raises
    ------
    ConfigError
        If a participant has a folder in both places: nobody could say which is right.
    """
    if not results.derivatives.is_dir():
        return 0
    write_bytes(results.moving_folders, b"dixonflow move-folders\n")
    count = 0
    for entry in sorted(results.derivatives.iterdir()):
        is_participant = entry.name.startswith("sub-")
        folders = [entry] if is_participant else sorted(entry.glob("sub-*"))
        for folder in folders:
            participant = folder.name.removeprefix("sub-")
            target = results.participant_placed(participant, prefixed=results.prefix_folders)
            if target != folder:
                _move(folder, target)
                count += 1
        if folders and not is_participant and not any(entry.iterdir()):
            entry.rmdir()
    results.moving_folders.unlink()
    return count


def check_moved(results: Results) -> None:
    """Refuse results whose folders are partly moved. Raises ConfigError."""
    if results.moving_folders.exists():
        raise ConfigError(
            f"the folders in {results.derivatives} are partly moved: call dixonflow move-folders once more"
        )


def _move(folder: Path, target: Path) -> None:
    if target.exists():
        raise ConfigError(f"{folder} cannot be moved: {target} exists; remove the one that is not used")
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)
