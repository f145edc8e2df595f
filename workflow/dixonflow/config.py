"""The experiment as typed records: the one source of config.yaml and of its JSON schema.

Defaults are those for a cohort; `demo_config` changes what the demo needs. `scripts/make_config.py` writes both files
(`dixonflow.cli.config_files`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from dixonflow.errors import ConfigError
from dixonflow.system.documents import DocumentError, one_line, read_yaml_file
from dixonflow.system.path_text import expanded_by_snakemake, unprintable
from dixonflow.vocabulary import Interpolate, Layout, MergeStrategy

_SHOWN = 20
"""Problems of a configuration that are listed."""


class _Section(BaseModel):
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


_Path = Annotated[Path, AfterValidator(_check_path)]


class SourceConfig(_Section):
    """A folder of raw data."""

    layout: Layout = Field(
        description="ukb (zips of UK Biobank field 20201), nako (zips of NAKO), bids (NIfTI) or ct (NIfTI of CT)."
    )
    folder: _Path = Field(description="Folder with the raw data, from the repository root or absolute.")
    match_patient_id: bool | None = Field(
        default=None,
        description="Whether the PatientID in DICOM files must be the participant's id or begin with it. If so, a zip "
        "under another participant's name is excluded. null: yes for NAKO, no for UK Biobank (headers may contain "
        "pseudonyms). If most scans of a source differ, the check is turned off there, with a note.",
    )


class CohortConfig(_Section):
    """Which scans go in."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1, description="Folders of raw data, each with its layout.")
    withdrawn: _Path | None = Field(
        default=None, description="Text file with the ids of withdrawn participants, one per line; null for none."
    )
    scans_per_shard: int = Field(
        default=64,
        ge=1,
        le=1000,
        description="Scans per job. 64 suits a cluster. A change applies only to the shards of new scans.",
    )


class StitchConfig(_Section):
    """How stations become one image."""

    drop_end_slices: int = Field(
        default=2,
        ge=0,
        le=10,
        description="Folded slices to drop where a station overlaps another, at most a quarter of the overlap.",
    )
    match_intensities: bool = Field(
        default=True, description="Scale each station by one factor for all four contrasts, computed from the overlaps."
    )
    exclude_swaps: bool = Field(
        default=True, description="Exclude a scan if water and fat are clearly swapped in a station."
    )
    check_contrasts: bool = Field(
        default=True,
        description="Exclude a scan if in phase is not water + fat in every slice: contrasts are mixed up or scaled "
        "differently. Turn it off for scanners whose images do not add up.",
    )


class SegmentConfig(_Section):
    """Which models run, and how."""

    models: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+$")], ...] = Field(
        default=("demo",),
        min_length=1,
        description="Models, by name (docs/models.md). Each segments every scan; the first is used for the "
        "overview pictures and the tables volumes and fat_compartments, further ones have their own tables.",
    )
    consent: tuple[str, ...] = Field(
        default=(),
        description="Models with restricted licences to whose terms you agree; the terms are in docs/models.md.",
    )
    weights: _Path = Field(
        default=Path("models"),
        description="Folder of imported weights, which dixonflow import-model fills; on a cluster one that all nodes "
        "share.",
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        default="auto", description="auto prefers CUDA, then MPS, then the CPU."
    )
    interpolate: Interpolate | None = Field(
        default=None,
        description="What is interpolated from the network's voxels to the image's: scores (as in nnU-Net), "
        "probabilities (the same, with less distorted volumes) or nearest (labels), compared in docs/merge.md; null "
        "for the setting of the model file.",
    )
    threads: int = Field(default=4, ge=1, le=256, description="CPU threads of a segment job.")
    folds: tuple[str, ...] | None = Field(
        default=None, description="Folds to average; null for all of the model. Fewer are faster and less accurate."
    )

    @field_validator("models")
    @classmethod
    def _each_once(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(models)) != len(models):
            raise ValueError("a model is named twice")
        return models


class MergeConfig(_Section):
    """How the predictions of the contrasts become one label map."""

    strategy: MergeStrategy = Field(
        default=MergeStrategy.MEAN_SCORES,
        description="priority (as published for VIBESegmentator), first, majority or mean_scores; what each "
        "costs in accuracy on phantoms is in docs/merge.md.",
    )


class PostprocessConfig(_Section):
    """What is changed in the merged label map in addition to the model's component rules."""

    repair_sides: bool = Field(
        default=True,
        description="Correct left-right errors: relabel muscles, bones and organs beyond the body's midline. "
        "The label map's sidecar and the quality table report them in any case.",
    )


class KeepConfig(_Section):
    """Files kept for every scan in addition to its label map; sizes are in docs/storage.md."""

    stitched: bool = Field(
        default=True,
        description="The four stitched images, most of the disk space. Without them a new model or setting stitches "
        "again from the raw data.",
    )
    contact_sheets: bool = Field(default=True, description="One overview picture per scan for the report.")
    temporary: bool = Field(default=False, description="Label maps of single contrasts, for inspecting a scan by hand.")


class Config(_Section):
    """An experiment."""

    results: Annotated[_Path, AfterValidator(_check_results)] = Field(
        default=Path("results"), description="Folder for all output of the run."
    )
    cohort: CohortConfig = Field(description="Input scans.")
    stitch: StitchConfig = Field(default=StitchConfig(), description="How stations are stitched into one image.")
    segment: SegmentConfig = Field(default=SegmentConfig(), description="Models and how they run.")
    merge: MergeConfig = Field(
        default=MergeConfig(), description="How the predictions of the contrasts are merged into one label map."
    )
    postprocess: PostprocessConfig = Field(
        default=PostprocessConfig(), description="Corrections of the merged label map."
    )
    keep: KeepConfig = Field(default=KeepConfig(), description="Files to keep of every scan besides its label map.")
    max_attempts: int = Field(
        default=3, ge=1, le=20, description="Attempts per scan, over all runs of the same command."
    )
    scan_minutes: float = Field(
        default=120,
        gt=0,
        description="Time limit per scan and stage, in minutes. A scan that exceeds it fails with the reason timeout.",
    )
    verify: bool = Field(
        default=False,
        description="Check every expected file and rebuild lost ones. Intended for one run: "
        "snakemake --cores 2 --config verify=true",
    )


_PROBLEMS = {"extra_forbidden": "unknown key", "path_type": "this is not a path"}
"""What is said in place of pydantic's own message, by its name of the error."""


def demo_config() -> Config:
    """Return the experiment that `config.yaml` ships with: the demo cohort on two cores."""
    return Config(
        cohort=CohortConfig(
            sources=(
                SourceConfig(layout=Layout.UKB, folder=Path("demo/raw/ukb")),
                SourceConfig(layout=Layout.NAKO, folder=Path("demo/raw/nako")),
            ),
            withdrawn=Path("demo/withdrawn.txt"),
            scans_per_shard=6,
        ),
        segment=SegmentConfig(threads=1),
    )


def parse_config(content: Mapping[str, Any]) -> Config:
    """Check the content of a configuration.

    Raises
    ------
    ConfigError
        One line a problem: the key and what is wrong with it.
    """
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        lines = []
        problems = error.errors()
        deeper = {problem["loc"][:length] for problem in problems for length in range(len(problem["loc"]))}
        for problem in problems:
            if problem["loc"] in deeper:
                continue  # follows from what is wrong inside it
            key = ".".join(str(part) for part in problem["loc"])
            what = problem["msg"].removeprefix("Value error, ")  # pydantic puts it before what a validator says
            lines.append(f"config: {one_line(key)}: {one_line(_PROBLEMS.get(problem['type'], what), 1000)}")
        more = [f"config: {len(lines) - _SHOWN} more problems"] if len(lines) > _SHOWN else []
        raise ConfigError("\n".join(lines[:_SHOWN] + more)) from error


def read_config(path: Path) -> Config:
    """Read a configuration file (YAML or JSON). Raises ConfigError with one line a problem."""
    content = _load(path)
    if content is None:
        raise ConfigError(f"config: {path} does not exist")
    return parse_config(content)


def check_readable(path: Path) -> None:
    """Check that a configuration file, where there is one, is a table of keys and values. Raises ConfigError."""
    _load(path)


def _load(path: Path) -> dict[str, Any] | None:
    try:
        content = read_yaml_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"config: {path} cannot be read: {error.strerror}") from error
    except DocumentError as error:
        raise ConfigError(f"config: {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"config: {path} is not a table of keys and values")
    return content


def check_folders(config: Config, models_folder: Path) -> None:
    """Check that what the configuration names is there, before any job starts.

    Raises
    ------
    ConfigError
        Naming the key and the missing folder or file.
    """
    for number, source in enumerate(config.cohort.sources):
        key = f"config: cohort.sources.{number}.folder"
        try:
            next(source.folder.iterdir(), None)
        except (FileNotFoundError, NotADirectoryError) as error:
            hint = "; `make demo` makes the demo cohort" if source.folder.is_relative_to("demo") else ""
            raise ConfigError(f"{key}: there is no folder {source.folder}{hint}") from error
        except OSError as error:
            raise ConfigError(f"{key}: {source.folder} cannot be listed: {error.strerror}") from error
    withdrawn = config.cohort.withdrawn
    if withdrawn is not None:
        try:
            withdrawn.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ConfigError(f"config: cohort.withdrawn: there is no file {withdrawn}") from error
        except OSError as error:
            raise ConfigError(f"config: cohort.withdrawn: {withdrawn} cannot be read: {error.strerror}") from error
    known = sorted(path.stem for path in models_folder.glob("*.yaml"))
    for name in config.segment.models:
        if name not in known:
            raise ConfigError(f"config: segment.models: there is no model {name!r}; known: {', '.join(known)}")
