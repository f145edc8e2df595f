"""The experiment as typed records: the one source of config.yaml and of its JSON schema.

Defaults are those for a cohort; `demo_config` changes what the demo needs. `scripts/make_config.py` writes both files
(`dixonflow.config.documents`).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from dixonflow.config.cohort import CohortConfig, CovariatesConfig, SourceConfig
from dixonflow.config.fields import NamedPath, ResultsPath, Section
from dixonflow.paths import Results
from dixonflow.vocabulary import Backend, Interpolate, Layout, MergeStrategy, ScanSequence


class StitchConfig(Section):
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
    repair_swaps: bool = Field(
        default=True,
        description="Swap water and fat back where they are clearly swapped: in a station, in one half of it (a leg), "
        "or in the whole scan; false excludes such scans.",
    )
    check_contrasts: bool = Field(
        default=True,
        description="Exclude a scan if in phase is not water + fat in every slice: contrasts are mixed up or scaled "
        "differently. Turn it off for scanners whose images do not add up.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_earlier_key(cls, content: Any) -> Any:
        """Leave out `exclude_swaps` of version 0.1: either value of it is served by a repair."""
        if isinstance(content, dict) and isinstance(content.get("exclude_swaps"), bool):
            return {name: value for name, value in content.items() if name != "exclude_swaps"}
        return content


class SegmentConfig(Section):
    """Which models run, and how."""

    models: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+$")], ...] = Field(
        default=("demo",),
        min_length=1,
        description="Models, by name (docs/models.md). Each segments every scan; the first is used for the "
        "overview pictures and the tables volumes and fat_compartments, further ones have their own tables.",
    )
    models_of: dict[ScanSequence, tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+$")], ...]] = Field(
        default={},
        description="Models for scans of a sequence, such as {haste: [totalsegmentatormr], ct: [totalsegmentatorct]}; "
        "for other sequences those of models that take them.",
    )
    labels_of_dixon: tuple[ScanSequence, ...] = Field(
        default=(),
        description="Sequences that are not segmented, such as [me_vibe]: their scans take the label map of the Dixon "
        "scan of the same session, by what the headers say.",
    )
    consent: tuple[str, ...] = Field(
        default=(),
        description="Models with restricted licences to whose terms you agree; the terms are in docs/models.md.",
    )
    weights: NamedPath = Field(
        default=Path("models"),
        description="Folder of imported weights, which dixonflow import-model fills; on a cluster one that all nodes "
        "share.",
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        default="auto", description="auto prefers CUDA, then MPS, then the CPU."
    )
    backend: Literal["auto"] | Backend = Field(
        default="auto",
        description="What computes the networks on a CPU: torch, openvino, or auto, the fastest that was found to give "
        "the labels of torch with the model's weights (docs/performance.md).",
    )
    interpolate: Interpolate | None = Field(
        default=None,
        description="What is interpolated from the network's voxels to the image's: scores (as in nnU-Net), "
        "probabilities (the same, with less distorted volumes) or nearest (labels), compared in docs/merge.md; null "
        "for the setting of the model file.",
    )
    swap_model: Annotated[str, Field(pattern=r"^[a-z0-9]+$")] | None = Field(
        default=None,
        description="Network that looks for swapped water and fat, such as vibesegmentator282 (docs/swaps.md), once it "
        "is imported; null for none.",
    )
    unstitched: bool = Field(
        default=False,
        description="Segment each station by itself, as it was acquired, and join the label maps on the stitched "
        "image's grid, as the authors of MRSegmentator did. The segment stage then reads the raw data.",
    )
    threads: int = Field(default=4, ge=1, le=256, description="CPU threads of a segment job.")
    folds: tuple[str, ...] | None = Field(
        default=None, description="Folds to average; null for all of the model. Fewer are faster and less accurate."
    )

    @model_validator(mode="after")
    def _backend_has_its_device(self) -> "SegmentConfig":
        if self.backend not in {"auto", "torch"} and self.device not in {"auto", "cpu"}:
            raise ValueError(f"backend {self.backend} runs on the CPU, not on device {self.device}")
        return self

    @field_validator("models")
    @classmethod
    def _each_once(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(models)) != len(models):
            raise ValueError("a model is named twice")
        return models


class MergeConfig(Section):
    """How the predictions of the contrasts become one label map."""

    strategy: MergeStrategy | None = Field(
        default=None,
        description="priority (as published for VIBESegmentator), first, majority or mean_scores; what each "
        "costs in accuracy on phantoms is in docs/merge.md; null for the setting of the model file.",
    )


class PostprocessConfig(Section):
    """What is changed in the merged label map in addition to the model's component rules."""

    repair_sides: bool = Field(
        default=True,
        description="Correct left-right errors: relabel muscles, bones and organs beyond the body's midline. "
        "The label map's sidecar and the quality table report them in any case.",
    )


class MeasureConfig(Section):
    """What is measured."""

    incomplete_composites: Literal["missing", "graded"] = Field(
        default="missing",
        description="Composites of which a part was not found, such as kidneys without the left one. missing: no value "
        "(reason incomplete); graded: the sum of what was found, with the grade review.",
    )
    profiles: bool = Field(
        default=False,
        description="Also measure cross-sections of fat and muscle of every centimetre along the body, the table "
        "body_profiles (docs/body_composition.md); scans that are done are measured again, which takes seconds each.",
    )


class KeepConfig(Section):
    """Files kept for every scan in addition to its label map; sizes are in docs/storage.md."""

    stitched: bool = Field(
        default=True,
        description="The four stitched images, most of the disk space. Without them a new model or setting stitches "
        "again from the raw data.",
    )
    contact_sheets: bool = Field(default=True, description="One overview picture per scan for the report.")
    temporary: bool = Field(default=False, description="Label maps of single contrasts, for inspecting a scan by hand.")
    prefix_folders: bool = Field(
        default=False,
        description="Put the folders of participants in folders named by the first three characters of the id, for "
        "file systems that are slow with many entries in one. BIDS programs do not find them there. A change applies "
        "to results that exist when dixonflow move-folders is called.",
    )


class Config(Section):
    """An experiment."""

    results: ResultsPath = Field(default=Path("results"), description="Folder for all output of the run.")
    cohort: CohortConfig = Field(description="Input scans.")
    stitch: StitchConfig = Field(default=StitchConfig(), description="How stations are stitched into one image.")
    segment: SegmentConfig = Field(default=SegmentConfig(), description="Models and how they run.")
    merge: MergeConfig = Field(
        default=MergeConfig(), description="How the predictions of the contrasts are merged into one label map."
    )
    postprocess: PostprocessConfig = Field(
        default=PostprocessConfig(), description="Corrections of the merged label map."
    )
    measure: MeasureConfig = Field(default=MeasureConfig(), description="What is measured in the label map.")
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

    @property
    def paths(self) -> Results:
        """Where everything lies below the results folder."""
        return Results(self.results, self.keep.prefix_folders)


def demo_config() -> Config:
    """Return the experiment that `config.yaml` ships with: the demo cohort on two cores."""
    return Config(
        cohort=CohortConfig(
            sources=(
                SourceConfig(layout=Layout.UKB, folder=Path("demo/raw/ukb")),
                SourceConfig(layout=Layout.NAKO, folder=Path("demo/raw/nako")),
            ),
            withdrawn=Path("demo/withdrawn.txt"),
            covariates=CovariatesConfig(file=Path("demo/covariates.csv")),
            scans_per_shard=6,
        ),
        segment=SegmentConfig(threads=1),
        measure=MeasureConfig(profiles=True),
    )
