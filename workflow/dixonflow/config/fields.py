"""What all sections of a configuration share, and the kinds of paths that they name."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from dixonflow.system.path_text import expanded_by_snakemake, unprintable


class Section(BaseModel):
    """A part of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def _check_path(path: Path) -> Path:
    problem = unprintable(str(path))
    if problem:
        raise ValueError(f"the path contains {problem}: rename the folder or file")
    if path.parts[:1] == ("~",):
        raise ValueError("~ is not expanded to your home folder here: write the full path")
    return path


def _check_results(path: Path) -> Path:
    problem = expanded_by_snakemake(str(path))
    if problem:
        raise ValueError(f"the path holds {problem}: name another folder")
    if path == Path():
        raise ValueError("name a folder in the project or elsewhere, not the project folder itself")
    return Path(f"/{str(path).lstrip('/')}") if path.is_absolute() else path  # Snakemake warns of two slashes


def _check_plain(path: Path) -> Path:
    problem = expanded_by_snakemake(str(path))
    if problem:
        raise ValueError(f"the path holds {problem}: rename the file or its folder")
    return path


NamedPath = Annotated[Path, AfterValidator(_check_path)]
"""A path that can be printed and needs no expanding."""

PlainPath = Annotated[NamedPath, AfterValidator(_check_plain)]
"""A file that Snakemake is told of."""

ResultsPath = Annotated[NamedPath, AfterValidator(_check_results)]
"""A folder that Snakemake writes to."""
