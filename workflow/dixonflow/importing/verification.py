"""Verifies a published model where its weights can be had: imports it, compares its plans, runs one scan with it."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dixonflow.aggregate.build import read_scans
from dixonflow.errors import ModelError
from dixonflow.importing.install import import_model
from dixonflow.importing.record import read_record
from dixonflow.models.load import load_model
from dixonflow.models.model import Model
from dixonflow.models.nnunet_files import trained_spacing_mm
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.scanner.ct import ct_image
from dixonflow.phantom.scanner.protocol import nako_protocol
from dixonflow.phantom.writers.bids import write_bids, write_ct
from dixonflow.segment import load_model_folder
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import Layout, MergeStrategy, ScanId, Status

SCAN = ScanId("0001", "1")
_SEED = 31
"""Participant of the phantom."""

_SPACING_TOLERANCE = 0.01
"""Relative: published spacings are rounded."""


@dataclass(frozen=True)
class Project:
    """Where models are verified.

    Attributes
    ----------
    models, weights
        Folders of the model files and of the imported weights.
    folder
        For the raw scan and the results.
    cores
        For Snakemake.
    """

    models: Path
    weights: Path
    folder: Path
    cores: int

    @property
    def raw(self) -> Path:
        """Folder of the raw scan, in the BIDS shape."""
        return self.folder / "raw"

    @property
    def log(self) -> Path:
        """What the runs say."""
        return self.folder / "snakemake.log"


def write_scan(project: Project, scale: float) -> None:
    """Write one phantom scan in NAKO's geometry, and a CT of the same body.

    Parameters
    ----------
    scale
        Factor on the matrix; 1 is the true geometry.
    """
    participant = draw_participant(_SEED)
    anatomy = render_anatomy(participant, 2.0 if scale > 0.5 else 4.0)
    write_bids(project.raw / Layout.BIDS, SCAN, acquire(participant, anatomy, nako_protocol(scale)))
    write_ct(project.raw / Layout.CT, SCAN, ct_image(participant, anatomy), anatomy.affine)


def verify_model(project: Project, name: str, given: Sequence[str], *, consent: bool) -> list[str]:
    """Import a model (or check that it is unchanged since its import), compare its plans and run the scan with it.

    The import compares sizes, SHA-256, label table, channels, orientation and configuration with the model file.

    Parameters
    ----------
    given, consent
        As for `import_model`.

    Returns
    -------
    What was found, one line each.

    Raises
    ------
    ModelError
        One line that says what differs or failed.
    """
    path = project.models / f"{name}.yaml"
    import_model(load_model(path, project.weights), given, consent=consent)
    model = load_model(path, project.weights)
    lines = [*_archives(model), *_networks(model)]
    return [*lines, _run(project, model)]


def _archives(model: Model) -> list[str]:
    lines = []
    for part in read_record(model.weights):
        if not part.archives:
            lines.append(f"{part.part}: from {part.origin}, not from an archive: no hash to compare")
        for archive in part.archives:
            compared = "as published" if archive.sha256_published else "not compared: the model file has none"
            lines.append(f"{archive.file.name}: {archive.file.bytes} bytes, SHA-256 {archive.file.sha256}, {compared}")
    return lines


def _networks(model: Model) -> list[str]:
    """Say what the networks are, and stop where their plans are for another spacing than the model file."""
    lines = []
    for name, folder in model.folders.items():
        loaded = load_model_folder(folder)
        trained_mm = trained_spacing_mm(folder)  # dataset.json may overrule plans.json
        patch = " x ".join(str(size) for size in loaded.architecture.patch_size)
        at = " x ".join(f"{length:.4g}" for length in trained_mm)
        network, folds = type(loaded.networks[0]).__name__, ", ".join(loaded.folds)
        lines.append(f"{name}: {network}, folds {folds}, trained at {at} mm, patch {patch}")
        stated = model.spacing_mm
        if isinstance(stated, tuple) and not np.allclose(trained_mm, stated, rtol=_SPACING_TOLERANCE):
            raise ModelError(
                f"{folder / 'plans.json'}: trained at {at} mm (x, y, z), the model file resamples to {stated}"
            )
    return lines


def _run(project: Project, model: Model) -> str:
    """Run the whole workflow on the scan, and say how many structures were found."""
    results = Results(project.folder / model.name)
    layout = Layout.CT if model.modality == "ct" else Layout.BIDS
    settings = {
        "results": str(results.root),
        "cohort": {
            "sources": [{"layout": layout.value, "folder": str(project.raw / layout)}],
            "withdrawn": None,
            "covariates": None,
        },
        "segment": {"models": [model.name], "consent": [model.name], "weights": str(project.weights.resolve())},
        "merge": {"strategy": MergeStrategy.PRIORITY.value},  # as published
    }
    write_json(project.folder / f"{model.name}.json", settings)
    command = ["snakemake", "--cores", str(project.cores), "--configfile", str(project.folder / f"{model.name}.json")]
    with project.log.open("a", encoding="utf-8") as log:
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if ended != 0:
        raise ModelError(f"the run failed: {project.log} says why")
    (scan,) = read_scans(results.scan_table).to_dict("records")
    if scan["status"] != Status.OK.value:
        raise ModelError(f"the scan is {scan['status']} at stage {scan['last_stage']}: {scan['message']}")
    rows = pd.read_parquet(results.tables / "measurements.parquet")
    volumes = rows[rows["measure"].eq("volume") & rows["structure"].isin(model.structures)]["value"]
    found = int(volumes.gt(0).sum())
    if found == 0:
        raise ModelError(f"no structure was found in the scan: see {results.report / 'report.html'}")
    return f"one scan run: {found} of {len(model.structures)} structures found, see {results.report / 'report.html'}"
