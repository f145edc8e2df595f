"""Systems whose predictions are compared with the reference: a run, a folder of label maps, or a column of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dixonflow.config import read_config
from dixonflow.evaluation.masks.case_files import FoundCase, find_cases
from dixonflow.evaluation.masks.case_table import is_case_table, read_case_table
from dixonflow.evaluation.masks.label_files import LabelFiles
from dixonflow.evaluation.masks.mapping_files import VOCABULARY, mapping_of_model, named_mapping
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.models.load import load_model, model_file
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.tables.parquet import read_whole
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import Contrast, ScanId, ScanSequence, Status


class System(Protocol):
    """A system."""

    @property
    def name(self) -> str:
        """As tables name it."""

    def prediction(self, case: FoundCase) -> LabelFiles | str:
        """Labels of a case, or why it has none."""

    def image(self, case: FoundCase) -> Path | None:
        """An image of a case, for pictures."""

    def further(self, cases: set[str]) -> list[str]:
        """Names of cases that it has and the reference, which has `cases`, does not."""


@dataclass(frozen=True)
class FolderSystem:
    """Predictions in a folder or a table, by the name of the case."""

    name: str
    cases: Mapping[str, FoundCase]

    def prediction(self, case: FoundCase) -> LabelFiles | str:
        """Labels of a case, or why it has none."""
        found = self.cases.get(case.name)
        if found is None:
            return "no prediction"
        return found.problem or found.files or "no prediction"

    def image(self, case: FoundCase) -> Path | None:
        """An image of a case, where the table or folder has one."""
        found = self.cases.get(case.name)
        return found.image if found else None

    def further(self, cases: set[str]) -> list[str]:
        """Names of cases that the reference does not have."""
        return sorted(set(self.cases) - cases)


@dataclass(frozen=True)
class RunSystem:
    """Final label maps of a model in a run."""

    name: str
    results: Results
    model: Model
    outcomes: Mapping[ScanId, str] = field(default_factory=dict)

    def prediction(self, case: FoundCase) -> LabelFiles | str:
        """Label map of a scan, or its status and reason where the run has none."""
        if case.scan is None:
            return "the name of the case gives no scan: participant, session, and acq- of none but known sequences"
        outcome = self.outcomes.get(case.scan)
        if outcome:
            return f"the run has no label map: {outcome}"
        path = self.results.labels(case.scan, self.model.name)
        if not path.is_file() or not self.model.takes(case.scan.sequence):
            return "the run has no label map of this scan"
        return LabelFiles(mapping_of_model(self.model.for_sequence(case.scan.sequence)), path)

    def image(self, case: FoundCase) -> Path | None:
        """The stitched water image of a Dixon scan, or the first contrast of another."""
        if case.scan is None:
            return None
        sequence = case.scan.sequence
        contrast = Contrast.WATER if sequence is ScanSequence.DIXON else sequence.contrasts[0]
        path = self.results.stitched(case.scan, contrast)
        return path if path.is_file() else None

    def further(self, cases: set[str]) -> list[str]:
        """Nothing: most scans of a run have no reference."""
        return []


def open_system(source: Path, mapping: str | None, name: str | None = None) -> System:
    """Find predictions.

    Parameters
    ----------
    source
        A configuration (.yaml, .yml, .json) or the results folder of a run; else a table of cases or a folder of label
        maps.
    mapping
        Of the labels: the model, for a run (its first one by default); `vocabulary` by default for others.
    name
        Of the system; by default that of the model, table or folder.

    Raises
    ------
    EvaluationError
        If there is nothing, or it cannot be read.
    """
    if source.suffix.lower() in (".yaml", ".yml", ".json"):
        return _open_run(source, None, mapping, name)
    if (source / "config.json").is_file() and (source / "cohort").is_dir():
        return _open_run(source / "config.json", source, mapping, name)
    known = named_mapping(mapping or VOCABULARY)
    cases = read_case_table(source, "prediction", known) if is_case_table(source) else find_cases(source, known)
    return FolderSystem(name or source.resolve().stem, {case.name: case for case in cases})


def _open_run(path: Path, root: Path | None, mapping: str | None, name: str | None) -> RunSystem:
    """Open the run of a configuration; `root` is its results folder where that has been moved."""
    config = read_config(path)
    results = Results(root, config.keep.prefix_folders) if root else config.paths
    models = [*config.segment.models, *(each for names in config.segment.models_of.values() for each in names)]
    model = mapping or models[0]
    if model not in models:
        raise EvaluationError(f"the run of {path} has no model {model}; it has {', '.join(dict.fromkeys(models))}")
    if not results.derivatives.is_dir():
        raise EvaluationError(f"the run of {path} has no label maps yet: {results.derivatives} does not exist")
    used = load_model(model_file(model, config.segment.weights), config.segment.weights)
    return RunSystem(name or model, results, used, _outcomes(results))


def _outcomes(results: Results) -> dict[ScanId, str]:
    """Status and reason of each scan of the run; empty for those that are ok."""
    if not results.scan_table.is_file():
        return {}
    columns = ["participant_id", "session_id", "sequence", "status", "reason"]
    try:
        rows = read_whole(results.scan_table, columns).to_pandas()
    except TableError as error:
        raise EvaluationError(f"{results.scan_table} cannot be read: {error}") from error
    found = {}
    for participant, session, sequence, status, reason in rows.dropna().itertuples(index=False):
        scan = ScanId(participant, session, ScanSequence(sequence))
        found[scan] = "" if status == Status.OK else f"{status}, {reason}"
    return found
