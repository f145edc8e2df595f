"""The close-ups of a report: what the worst objection to each scan names, drawn where it is not there yet."""

import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dixonflow.errors import DixonflowError
from dixonflow.imaging.nifti import read_labels
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.report.close_up import close_up, close_up_name
from dixonflow.stitch.files import read_stitched
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Contrast, ScanId, ScanSequence

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CloseUps:
    """Close-ups of the scans of a run.

    Attributes
    ----------
    results
        Its label maps, and the stitched images where they are kept.
    models
        The models of each sequence, as they are used on its scans.
    """

    results: Results
    models: Mapping[ScanSequence, Sequence[Model]]

    def draw(self, scans: pd.DataFrame, objections: pd.DataFrame) -> dict[tuple[str, str, str], str]:
        """Draw the close-ups of some scans, and remove all others.

        Parameters
        ----------
        scans
            Rows of the table `scans`.
        objections
            From `read_objections`, checks by their own names.

        Returns
        -------
        File name, in `results.close_ups`, by participant, session and sequence; scans of whose objections none names a
        structure that is there, and those without stitched images, have none.
        """
        of_scan = dict(iter(objections.groupby(SCAN_KEYS, sort=False)))
        names, undrawn = {}, 0
        for row in scans.to_dict("records"):
            key = (row["participant_id"], row["session_id"], row["sequence"])
            try:
                names[key] = self._close_up(row, of_scan.get(key, objections[:0]))
            except (DixonflowError, OSError, ValueError):
                undrawn += 1
        if undrawn:
            log.warning("%d scans have no close-up: their images are not kept, or are not readable", undrawn)
        wanted = set(names.values())
        for path in self.results.close_ups.glob("*.png"):
            if path.name not in wanted:
                path.unlink()
        return {key: name for key, name in names.items() if name}

    def _close_up(self, row: Mapping[Hashable, Any], objections: pd.DataFrame) -> str:
        """File name of the close-up of the worst objection whose structures are there; empty where there is none."""
        scan = ScanId(row["participant_id"], row["session_id"], ScanSequence(row["sequence"]))
        for model, structures in self._named(scan.sequence, objections):
            name = close_up_name(scan, row["raw_key"], row["content_key"], (model.name, *structures))
            if (self.results.close_ups / name).exists() or self._draw(scan, model, structures, name):
                return name
        return ""

    def _named(self, sequence: ScanSequence, objections: pd.DataFrame) -> Iterable[tuple[Model, tuple[str, ...]]]:
        """Model and structures that each objection is about, the worst first."""
        models = {model.name: model for model in self.models.get(sequence, ())}
        for check, structure, name in objections[["check", "structure", "model"]].itertuples(index=False, name=None):
            if name in models:
                structures = (structure,) if structure else CHECKS[check].needs
                if structures and set(structures) <= set(models[name].regions):
                    yield models[name], tuple(structures)

    def _draw(self, scan: ScanId, model: Model, structures: Sequence[str], name: str) -> bool:
        labels, _ = read_labels(self.results.labels(scan, model.name))
        wanted = (
            (Contrast.WATER, Contrast.IN_PHASE) if scan.sequence is ScanSequence.DIXON else scan.sequence.contrasts[:1]
        )
        images, affine = read_stitched({contrast: self.results.stitched(scan, contrast) for contrast in wanted})
        picture = close_up(images, labels, affine, [label for each in structures for label in model.regions[each]])
        if picture is not None:
            write_bytes(self.results.close_ups / name, picture)
        return picture is not None
