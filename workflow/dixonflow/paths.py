"""Where everything lies below the results folder: the one place that knows file names."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dixonflow.vocabulary import Contrast, ScanId, ScanSequence, Stage


@dataclass(frozen=True)
class Results:
    """Paths below a results folder.

    Attributes
    ----------
    root
        The folder.
    prefix_folders
        Whether the folders of participants lie in folders named by the first three characters of their ids. Those that
        are there already stay as they are: `has_prefix_folders`.
    """

    root: Path
    prefix_folders: bool = False

    @property
    def config(self) -> Path:
        """The configuration in force, overrides included, as the jobs read it."""
        return self.root / "config.json"

    @property
    def run_lock(self) -> Path:
        """Lock of the run in progress."""
        return self.root / "run.lock"

    @property
    def run(self) -> Path:
        """Who runs the workflow, or ran it last."""
        return self.root / "run.json"

    @property
    def look_again(self) -> Path:
        """Input of the first jobs: they run again where it is newer than what they wrote."""
        return self.root / "cohort" / "look_again"

    @property
    def scans(self) -> Path:
        """The list of all scans that were found, as a table."""
        return self.root / "cohort" / "scans.parquet"

    @property
    def found_digest(self) -> Path:
        """Hash over that list: a change rebuilds the tables."""
        return self.scans.with_suffix(".sha256")

    @property
    def releases(self) -> Path:
        """Folder of the citable versions of the tables."""
        return self.root / "releases"

    @property
    def inspected(self) -> Path:
        """Scans that the cohort stage has inspected, of how many, while it works."""
        return self.root / "cohort" / "inspected.txt"

    @property
    def shard_names(self) -> Path:
        """Names of all shards, one per line."""
        return self.shards.with_suffix(".txt")

    @property
    def shards(self) -> Path:
        """Folder of the immutable shard lists."""
        return self.root / "cohort" / "shards"

    def shard(self, shard: str) -> Path:
        """The list of one shard."""
        return self.shards / f"{shard}.json"

    def outcomes(self, stage: Stage, shard: str) -> Path:
        """Outcome rows of a shard at a stage."""
        return self.root / stage.value / f"{shard}.parquet"

    def measurements(self, shard: str) -> Path:
        """Measurement rows of a shard."""
        return self.root / Stage.MEASURE.value / f"{shard}.measurements.parquet"

    def quality(self, shard: str) -> Path:
        """Quality rows of a shard."""
        return self.root / Stage.MEASURE.value / f"{shard}.quality.parquet"

    def profiles(self, shard: str) -> Path:
        """Profiles of a shard, where the configuration asks for them."""
        return self.root / Stage.MEASURE.value / f"{shard}.profiles.parquet"

    def records(self, stage: Stage, shard: str, model: str) -> Path:
        """What a shard has done at a stage for a model, kept across runs.

        Parameters
        ----------
        model
            Its name, of no use at a stage that all models share.
        """
        folder = self.root / "records" / stage.value
        return (folder / model if stage.is_per_model else folder) / f"{shard}.jsonl.gz"

    @property
    def ratings(self) -> Path:
        """Folder of what raters said, a file each: the one thing in the results that nothing can compute again."""
        return self.root / "ratings"

    def retry(self, shard: str) -> Path:
        """Mark that requests the next run to process a shard again."""
        return self.root / "retry" / f"{shard}.json"

    def temporary(self, shard: str, scan: ScanId, model: str) -> Path:
        """Folder of a scan's temporary images for a model."""
        return self.root / "temporary" / shard / scan.name / model

    def resampled(self, shard: str, scan: ScanId, model: str, contrast: Contrast) -> Path:
        """A contrast on the grid that the model's authors resample to, float32."""
        name = f"{_image_stem(scan, contrast)}_seg-{model}_desc-resampled_{scan.sequence.suffix}.nii.gz"
        return self.temporary(shard, scan, model) / name

    def contrast_labels(self, shard: str, scan: ScanId, model: str, contrast: Contrast) -> Path:
        """Label map predicted from one contrast."""
        return self.temporary(shard, scan, model) / f"{_image_stem(scan, contrast)}_seg-{model}_dseg.nii.gz"

    def mean_labels(self, shard: str, scan: ScanId, model: str) -> Path:
        """Label map predicted from the mean scores of all contrasts."""
        return self.temporary(shard, scan, model) / f"{scan.name}_seg-{model}_desc-mean_dseg.nii.gz"

    def segment_provenance(self, shard: str, scan: ScanId, model: str) -> Path:
        """How the label maps of a scan were predicted, for the sidecar of the final one."""
        return self.temporary(shard, scan, model) / f"{scan.name}_seg-{model}_desc-segment_provenance.json"

    def merged(self, shard: str, scan: ScanId, model: str) -> Path:
        """Label map merged from the contrasts."""
        return self.temporary(shard, scan, model) / f"{scan.name}_seg-{model}_desc-merged_dseg.nii.gz"

    @property
    def derivatives(self) -> Path:
        """BIDS data set of derivatives: what stays of every scan."""
        return self.root / "derivatives"

    @property
    def moving_folders(self) -> Path:
        """A mark that the folders of participants are being moved, or were when that was interrupted."""
        return self.root / "moving_folders"

    @property
    def withdrawing(self) -> Path:
        """A mark that participants are being removed, or were when that was interrupted."""
        return self.root / "withdrawing"

    @cached_property
    def has_prefix_folders(self) -> bool:
        """Whether participants' folders lie in folders by prefix: as those that are there, else as `prefix_folders`.

        Version 0.1 had no other; its results stay valid where they are.
        """
        if self.derivatives.is_dir():
            with os.scandir(self.derivatives) as entries:
                for entry in entries:
                    if entry.name.startswith("sub-"):
                        return False
                    if entry.is_dir() and any(Path(entry).glob("sub-*")):
                        return True
        return self.prefix_folders

    def participant(self, participant: str) -> Path:
        """Folder of a participant's images."""
        return self.participant_placed(participant, prefixed=self.has_prefix_folders)

    def participant_placed(self, participant: str, *, prefixed: bool) -> Path:
        """Folder of a participant's images, in a folder by prefix or not, whatever there is already."""
        folder = self.derivatives / participant[:3] if prefixed else self.derivatives
        return folder / f"sub-{participant}"

    def anat(self, scan: ScanId) -> Path:
        """Folder of a scan's images."""
        return self.participant(scan.participant) / f"ses-{scan.session}" / "anat"

    def stitched(self, scan: ScanId, contrast: Contrast) -> Path:
        """A stitched contrast."""
        return self.anat(scan) / f"{_image_stem(scan, contrast)}_desc-stitched_{scan.sequence.suffix}.nii.gz"

    def stitched_sidecar(self, scan: ScanId) -> Path:
        """Provenance of the stitched images, one file for all of them."""
        return self.anat(scan) / f"{scan.name}_desc-stitched_{scan.sequence.suffix}.json"

    def labels(self, scan: ScanId, model: str) -> Path:
        """The final label map."""
        return self.anat(scan) / f"{scan.name}_seg-{model}_dseg.nii.gz"

    def labels_sidecar(self, scan: ScanId, model: str) -> Path:
        """Provenance of the final label map."""
        return self.anat(scan) / f"{scan.name}_seg-{model}_dseg.json"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.root / "tables"

    @property
    def datapackage(self) -> Path:
        """Description of the tables, written after all of them."""
        return self.tables / "datapackage.json"

    @property
    def scan_table(self) -> Path:
        """The table with one row per scan."""
        return self.tables / "scans.parquet"

    @property
    def summary(self) -> Path:
        """Counts of the last run, as text."""
        return self.root / "summary.txt"

    @property
    def scans_before(self) -> Path:
        """That table as the run before left it, until what left since then is written down."""
        return self.root / "scans_before.parquet"

    @property
    def departures(self) -> Path:
        """Scans that left the tables, with the reason: rows are only ever added."""
        return self.root / "departures.csv"

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.root / "report"

    @property
    def contact_sheets(self) -> Path:
        """Folder of the overview pictures."""
        return self.report / "contact_sheets"

    @property
    def close_ups(self) -> Path:
        """Folder of the pictures of structures that checks object to."""
        return self.report / "close_ups"


def _image_stem(scan: ScanId, contrast: Contrast) -> str:
    """Stem of the name of one image; a sequence of a single image is named by itself."""
    sequence = scan.sequence
    if sequence is ScanSequence.DIXON:
        return f"{scan.session_name}_acq-{contrast.acq}"
    return scan.name if len(sequence.images) == 1 else f"{scan.name}{contrast.acq}"
