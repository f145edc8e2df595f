"""Reads one saved input without atheris, as the project itself would, and says what is wrong: replay.py TARGET FILE."""

import logging
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "helpers")]


def main() -> None:
    """Exit with 1 if something is wrong."""
    from limits import examine
    from targets import load

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    name, path = sys.argv[1:]
    target = load(name)
    with tempfile.TemporaryDirectory(prefix="dixonflow-fuzz-") as folder:
        (Path(folder) / "seeds").mkdir()
        seed = target.seeds(Path(folder) / "seeds")[0]
        examine(target, seed, Path(folder) / "input")  # what the first input makes is no part of the second
        found = examine(target, Path(path).read_bytes(), Path(folder) / "input")
    if found is not None:
        print(f"{found.key}\n{found.detail}")
        sys.exit(1)


if __name__ == "__main__":
    main()
