"""Which cases a training has, by its own splits, and whose they are by the ledger."""

from collections.abc import Iterator

from dixonflow.errors import ModelError
from dixonflow.retraining.cases import is_ct, withdrawn_participants
from dixonflow.retraining.leakage import LeakageError
from dixonflow.retraining.ledger import Entry, read_ledger
from dixonflow.retraining.nnunet.workspace import Workspace, workspace_of
from dixonflow.retraining.project import MAX_ROUNDS, Project, RetrainingError
from dixonflow.system.documents import DocumentError, read_json_file
from dixonflow.vocabulary import ScanId


def trained_cases(workspace: Workspace) -> list[str]:
    """nnU-Net's names of all cases of a training: each contrast, copies and CT cases among them.

    Raises
    ------
    ModelError
        If its splits are missing or damaged.
    """
    try:
        splits = read_json_file(workspace.splits_file)
        return sorted({name for split in splits for side in ("train", "val") for name in split[side]})
    except (OSError, LookupError, TypeError, DocumentError) as error:
        raise ModelError(f"{workspace.splits_file} cannot be read: plan and train again") from error


def corrected_cases(workspace: Workspace, entries: list[Entry]) -> set[str]:
    """The ledger's names of the corrected cases of a training: one per scan, whatever was made of it."""
    return {case_of(name, entries) for name in trained_cases(workspace) if not is_ct(name)}


def case_of(name: str, entries: list[Entry]) -> str:
    """The ledger's name of a case of nnU-Net, whose own name begins with it; a CT case has the same name in both.

    Raises
    ------
    RetrainingError
        If the ledger does not know it.
    """
    if is_ct(name):
        fitting, step = [entry.case for entry in entries if entry.case == name], "plan"
    else:
        known = (entry.case for entry in entries if entry.case)
        fitting, step = [case for case in known if name == case or name.startswith(f"{case}_")], "dataset"
    if not fitting:
        raise RetrainingError(f"the ledger does not know {name}: call dixonflow retrain {step} again")
    return max(fitting, key=len)


def scan_of(name: str, entries: list[Entry]) -> ScanId:
    """Scan of a case of nnU-Net, as the last line of the ledger about it says. Raises as `case_of`."""
    case = case_of(name, entries)
    return next(entry.scan for entry in reversed(entries) if entry.case == case)


def check_not_withdrawn(project: Project, workspace: Workspace) -> None:
    """Check by the splits of a training that no participant who has withdrawn is in it.

    Raises
    ------
    LeakageError
        If one is; the message names the case.
    ModelError, RetrainingError, ConfigError
        If splits, ledger or the list of withdrawn participants cannot be read, or the ledger does not know a case.
    """
    entries, withdrawn = read_ledger(project.ledger), withdrawn_participants(project)
    for name in trained_cases(workspace):
        if scan_of(name, entries).participant in withdrawn:
            raise LeakageError(
                f"{workspace.root} has {name}, whose participant has withdrawn: remove that folder, plan again"
            )


def networks_with(project: Project, cases: set[str]) -> Iterator[str]:
    """Names of the trainings with checkpoints that have one of these cases, or whose splits cannot be read."""
    workspaces = {f"round {number}": workspace_of(project, number) for number in range(1, MAX_ROUNDS + 1)}
    workspaces |= {
        f"the final model of round {number}": workspace_of(project, number, final=True)
        for number in range(1, MAX_ROUNDS + 1)
    }
    for network, workspace in workspaces.items():
        if not any(workspace.results.glob("fold_*/checkpoint_*.pth")):
            continue
        try:
            names = trained_cases(workspace)
        except ModelError:
            yield network  # nobody can say that it has not
            continue
        if any(name in cases or any(name.startswith(f"{case}_") for case in _corrected(cases)) for name in names):
            yield network


def _corrected(cases: set[str]) -> set[str]:
    return {case for case in cases if not is_ct(case)}
