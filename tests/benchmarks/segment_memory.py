"""Peak memory of a segment job on a whole NAKO scan with 73 classes on the CPU. Nobody to compare with.

The network is narrow; patch, voxel size and classes, which memory hangs on, are those of a large model. The job is the
command that the workflow runs, in a copy of the project that has one more model.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.arrays import Verdict, make_once
from benchmarks.harness import Measured, Setting, run_process
from benchmarks.phantom_scan import phantom_scan, stitched_contrasts


@dataclass(frozen=True)
class SegmentMemory:
    """One scan, one contrast."""

    name: str
    peer: None = None
    theirs: None = None
    repeats: int = 1

    def prepare(self, inputs: Path, setting: Setting) -> Path:
        """Make the weights and the stitched scan."""
        scan = phantom_scan(inputs, "nako", setting.small)

        def fill(folder: Path) -> None:
            from benchmarks.networks import NARROW, TINY, write_model_folder
            from benchmarks.shard import shard_scans, write_images

            write_model_folder(folder, TINY if setting.small else NARROW)
            write_images(folder / "results", shard_scans(1)[0].scan, *stitched_contrasts(scan))

        return make_once(inputs / f"{scan.name}-memory", fill)

    def ours(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        """Run the command."""
        from benchmarks.networks import NARROW, TINY
        from benchmarks.shard import check_outcomes, copy_of_project, shard_scans, write_shard
        from dixonflow.imaging.nifti import read_labels
        from dixonflow.paths import Results
        from dixonflow.vocabulary import Contrast

        results, scans, project = Results(output / "results"), shard_scans(1), output / "project"
        plan = TINY if setting.small else NARROW
        package, model = copy_of_project(project, plan, prepared / "model", [Contrast.WATER])
        shutil.copytree(prepared / "results", results.root)
        shard = write_shard(results.root, model, scans, setting.threads)
        command = [str(setting.ours), "-m", "dixonflow", "stage", "segment"]
        command += ["--config", str(results.config), "--shard", shard]
        measured = run_process(command, setting, [package])
        check_outcomes(results.root, shard)
        labels, _ = read_labels(results.contrast_labels(shard, scans[0].scan, model.name, Contrast.WATER))
        np.save(output / "labels.npy", labels)
        return measured

    def compare(self, prepared: Path, ours: Path, theirs: Path | None) -> Verdict:
        """Check that there are labels."""
        found = len(np.unique(np.load(ours / "labels.npy"))) - 1
        return Verdict(found > 1, f"wall seconds of the job; {found} of its classes won somewhere; no peer")
