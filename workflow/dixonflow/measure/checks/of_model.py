"""The quality checks of a model, and what they are made of."""

from collections.abc import Iterable

from dixonflow.measure.checks.check_list import OF_RATERS, OF_RAW_DATA, OF_SCAN
from dixonflow.measure.checks.definition import CheckDefinition
from dixonflow.models.anatomy import have_single_vertebrae
from dixonflow.models.comparison import shared_structures
from dixonflow.models.model import Model
from dixonflow.vocabulary import ScanSequence

CHECKS: dict[str, CheckDefinition] = {check.name: check for check in (*OF_RATERS, *OF_SCAN, *OF_RAW_DATA)}
"""All checks by name."""


def checks_of(model: Model) -> list[CheckDefinition]:
    """Checks that measure makes for a model, in the order of the tables."""
    vertebrae, dixon = have_single_vertebrae(model.structures), model.sequence is ScanSequence.DIXON
    return [check for check in OF_SCAN if (vertebrae or not check.of_vertebrae) and (dixon or not check.of_dixon)]


def checked_structures(check: CheckDefinition, model: Model, models: Iterable[Model]) -> list[str]:
    """Structures that a check has a row for, in the order of the model; none for a check of the whole scan.

    Parameters
    ----------
    models
        All models of the run.
    """
    match check.of:
        case "labels":
            return list(model.structures)
        case "single_pieces":
            return [name for name, label in model.structures.items() if model.labels[label].max_components == 1]
        case "cutoffs":
            return [name for name in model.structures if cutoff_ml(model, name) is not None]
        case "composites":
            return list(model.composites)
        case "shared":
            return shared_structures(model, models)
        case "scan":
            return []


def cutoff_ml(model: Model, structure: str) -> float | None:
    """Volume below which the segmentation of a label counts as failed; None where none is published."""
    return model.labels[model.structures[structure]].lower_cutoff_ml


def expected_checks(model: Model, models: Iterable[Model]) -> frozenset[tuple[str, str, str]]:
    """Check, structure and model of the rows that every scan has for a model.

    The structure of a check of the whole scan is empty.

    Parameters
    ----------
    models
        All models of the run.
    """
    models = list(models)
    return frozenset(
        (check.name, structure, model.name)
        for check in checks_of(model)
        for structure in (checked_structures(check, model, models) if check.each_structure else [""])
    )
