"""The segment stage on a shard, as the command that the workflow runs, against nnUNetv2_predict on the same files.

Seconds outside the network: wall time of the command less the time inside the network's forward, by the same clock on
both sides. Whole seconds: the wall time of one command for the shard, compared with one nnUNetv2_predict per scan.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arrays import Verdict, make_once
from benchmarks.harness import BenchmarkError, Measured, Setting, run_process
from benchmarks.phantom_scan import SMALL_SCALE

NNUNET = "nnunetv2.inference.predict_from_raw_data:predict_entry_point_modelfolder"
"""What the command nnUNetv2_predict_from_modelfolder calls."""

SCANS, SMALL_SCANS = 16, 1
ONE_IN = 100_000


@dataclass(frozen=True)
class SegmentBenchmark:
    """The demo network on a shard of phantom scans at the demo's resolution.

    Attributes
    ----------
    per_scan
        The peer runs one command for each scan, and whole wall times are compared.
    """

    name: str
    per_scan: bool
    repeats: int
    peer: str = "nnunetv2"

    def prepare(self, inputs: Path, setting: Setting) -> Path:
        """Make the shard, links to its images and, of the weights in force, nnU-Net's model folder."""
        from benchmarks.shard import write_nnunet_folder
        from dixonflow.models.load import MODELS, load_model

        weights = load_model(MODELS / "demo.yaml").weights
        make_once(_nnunet_folder(inputs), lambda folder: write_nnunet_folder(weights, folder))
        name = f"shard-small-{setting.threads}" if setting.small else f"shard-{setting.threads}"
        target = inputs / name
        return make_once(target, lambda folder: _make(folder, target, setting))

    def ours(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        """One command for the shard."""
        from benchmarks.shard import check_outcomes, read_shard_name
        from dixonflow.paths import Results
        from dixonflow.vocabulary import Stage

        results = Results(prepared / "results")
        shard = read_shard_name(results.root)
        for folder in (results.root / "temporary", results.records(Stage.SEGMENT, shard, "demo").parent):
            shutil.rmtree(folder, ignore_errors=True)
        arguments = ["stage", "segment", "--config", str(results.config), "--shard", shard]
        measured = self._run(setting.ours, "dixonflow.cli.main:main", arguments, output, setting)
        check_outcomes(results.root, shard)
        for path in (results.root / "temporary").rglob("*_dseg.nii.gz"):
            shutil.copy(path, output / path.name)
        return measured

    def theirs(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        """One command for all files, or one for each scan."""
        folders = sorted((prepared / "images").iterdir())
        chosen = [folder for folder in folders if (folder.name == "all") != self.per_scan]
        runs = []
        for folder in chosen:
            arguments = ["-i", str(folder), "-o", str(output), "-m", str(_nnunet_folder(prepared.parent)), "-f", "0"]
            arguments += ["-npp", "1", "-nps", "1", "-device", "cpu", "--disable_tta", "--disable_progress_bar"]
            runs.append(self._run(setting.peers, NNUNET, arguments, output, setting))
        return Measured(sum(run.seconds for run in runs), max(run.peak_mb for run in runs))

    def compare(self, prepared: Path, ours: Path, theirs: Path | None) -> Verdict:
        """Every label map; at most one voxel in `ONE_IN` may differ, over all."""
        from dixonflow.imaging.nifti import read_labels
        from dixonflow.models.label_table import label_lookup
        from dixonflow.models.load import MODELS, load_model

        if theirs is None:
            raise ValueError("nothing to compare with")
        lookup = label_lookup(load_model(MODELS / "demo.yaml"))
        different = voxels = worst = 0
        for our_path, path in label_map_pairs(ours, theirs, "demo"):
            if not our_path.exists():
                return Verdict(False, f"no label map {our_path.name}")
            our_labels, labels = read_labels(our_path)[0], lookup[read_labels(path)[0]]
            if our_labels.shape != labels.shape:
                return Verdict(False, f"{our_path.name}: shapes {our_labels.shape} and {labels.shape}")
            count = int((our_labels != labels).sum())
            different, voxels, worst = different + count, voxels + labels.size, max(worst, count)
        note = f"{different} of {voxels} voxels differ, at most {worst} in a label map"
        return Verdict(voxels > 0 and different <= voxels / ONE_IN, note)

    def _run(self, python: Path, program: str, arguments: list[str], output: Path, setting: Setting) -> Measured:
        report = output / "clock.json"
        command = [str(python), "-m", "benchmarks.network_clock", str(report), str(setting.threads), program]
        measured = run_process([*command, *arguments], setting)
        if self.per_scan:
            return measured
        network_s = json.loads(report.read_text(encoding="utf-8"))["network_s"]
        if network_s == 0:
            raise BenchmarkError(f"the clock saw no network in {program}")
        return Measured(measured.seconds - network_s, measured.peak_mb)


def label_map_pairs(ours: Path, theirs: Path, model: str) -> Iterator[tuple[Path, Path]]:
    """Our label map by a model and the peer's, for each that the peer wrote."""
    from dixonflow.vocabulary import Contrast

    for path in sorted(theirs.glob("*.nii.gz")):
        scan, contrast = path.name.removesuffix(".nii.gz").rsplit("-", 1)
        yield ours / f"{scan}_acq-{Contrast(contrast).acq}_seg-{model}_dseg.nii.gz", path


def _nnunet_folder(inputs: Path) -> Path:
    from dixonflow.models.load import MODELS, load_model

    return inputs / f"nnunet-demo-{load_model(MODELS / 'demo.yaml').weights_hash[:12]}"


def _make(folder: Path, target: Path, setting: Setting) -> None:
    from benchmarks.shard import link_images, shard_scans, write_images, write_shard
    from dixonflow.models.load import MODELS, load_model
    from dixonflow.phantom.anatomy.participant import draw_participant
    from dixonflow.phantom.anatomy.render import render_anatomy
    from dixonflow.phantom.demo_cohort import DemoOptions
    from dixonflow.phantom.scanner.acquisition import acquire
    from dixonflow.phantom.scanner.protocol import nako_protocol, ukb_protocol
    from dixonflow.stitch.scan import stitch
    from dixonflow.vocabulary import Contrast, Layout

    model = load_model(MODELS / "demo.yaml")
    scans = shard_scans(SMALL_SCANS if setting.small else SCANS)
    for number, entry in enumerate(scans):
        layout = Layout.UKB if number % 2 else Layout.NAKO
        if setting.small:
            make = ukb_protocol if layout is Layout.UKB else nako_protocol
            protocol = make(SMALL_SCALE[layout.value])
        else:
            protocol = DemoOptions().protocol(layout)
        participant = draw_participant(100 + number)
        anatomy = render_anatomy(participant, 5.0 if setting.small else 2.0)
        stitched = stitch(acquire(participant, anatomy, protocol))
        depth = stitched.images[Contrast.WATER].shape[2] // (3 if setting.small else 1)
        images = {contrast.value: image[:, :, :depth] for contrast, image in stitched.images.items()}
        write_images(folder / "results", entry.scan, images, stitched.affine)
    write_shard(folder / "results", model, scans, setting.threads)
    # the folder is made under another name: the configuration must say where it will be
    config = folder / "results" / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace(str(folder), str(target)), encoding="utf-8")
    link_images(folder / "results", scans, model.input_contrasts, folder / "images")
