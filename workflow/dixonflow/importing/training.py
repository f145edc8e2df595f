"""Finds a part's trained network among files: the folder with plans.json, dataset.json and fold_<k>/<checkpoint>.

nnU-Net keeps it as `Dataset<id>_<name>/<trainer>__<plans>__<configuration>/`; some archives leave out one or both.
"""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dixonflow.errors import ModelError
from dixonflow.importing.files import Files
from dixonflow.models.weights_source import Archive, Part
from dixonflow.system.documents import DocumentError, one_line, parse_json

_FINAL = "checkpoint_final.pth"
_BEST = "checkpoint_best.pth"
_ADDENDA = "other_downloads.json"
# VIBESegmentator's program takes these, in this order (TPTBox, segmentation/VibeSeg/inference_nnunet.py).
_ANY_PLANS = ("*nnUNet*ResEnc*", "nnUNetPlans*")


class NoTrainingError(ModelError):
    """There is no training of the part, as opposed to one that is of no use."""


@dataclass(frozen=True)
class Training:
    """A trained network as nnU-Net leaves it.

    Attributes
    ----------
    files
        Where it lies.
    folder
        Its folder in there.
    checkpoints
        The file of each fold that is wanted.
    """

    files: Files
    folder: PurePosixPath
    checkpoints: dict[str, PurePosixPath]

    @property
    def origin(self) -> str:
        """The folder, for messages."""
        return f"{self.files.origin}: {self.folder}" if self.folder.parts else self.files.origin

    def has(self, name: str) -> bool:
        """Whether the folder has a file."""
        return self.folder / name in self.files.sizes

    def read(self, name: str) -> bytes:
        """Read one of the folder's small files."""
        return self.files.read(self.folder / name)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one of the folder's JSON files.

        Raises
        ------
        ModelError
            If it is no JSON object.
        """
        content: dict[str, Any] = _json(self.read(name), f"{self.origin}: {name}", dict)
        return content


def find_training(files: Files, part: Part, *, best_as_well: bool) -> Training:
    """Find the training of a part, with every fold that the part needs.

    Parameters
    ----------
    files
        Where to look.
    part
        What to look for.
    best_as_well
        Take checkpoint_best.pth where no fold has checkpoint_final.pth, as VIBESegmentator's program does.

    Raises
    ------
    NoTrainingError
        If there is none, or more than one that fits. Names what was found.
    ModelError
        If a fold is missing.
    """
    folders = [name.parent for name in files.sizes if name.name == "plans.json"]
    folders = [folder for folder in folders if folder / "dataset.json" in files.sizes]
    fitting = [folder for folder in folders if _fits(files, folder, part)]
    if part.plans is None and len(fitting) > 1:
        for pattern in _ANY_PLANS:
            preferred = [folder for folder in fitting if fnmatch.fnmatchcase(_names(files.context, folder)[1], pattern)]
            if preferred:
                fitting = preferred
                break
    if not fitting:
        found = one_line(", ".join(str(folder) for folder in folders)) or "no folder with plans.json and dataset.json"
        raise NoTrainingError(f"{files} has no {_wanted(part)}; it has {found}. Pass what holds it with --from")
    if len(fitting) > 1:
        found = one_line(", ".join(str(folder) for folder in fitting))
        raise NoTrainingError(
            f"{files} has several folders like {_wanted(part)}: {found}. Give one of them with --from"
        )
    checkpoints = _checkpoints(files, fitting[0], part, best_as_well=best_as_well)
    return Training(files, fitting[0], checkpoints)


def check_addenda(files: Files, part: Part) -> None:
    """Compare the list of further archives, which an archive may bring along, with those of the model file.

    Raises
    ------
    ModelError
        If it names others: the authors have published folds of which the model file does not know.
    """
    for where, listed in _listed(files, part):
        known = {archive.file for archive in part.archives[1:]}
        if listed != known:
            raise ModelError(
                f"{where} names the archives {_list(listed)}, the model file {_list(known)}: another release than the "
                "one that the model file describes"
            )


def with_listed_archives(files: Files, part: Part) -> Part:
    """Give a part with the archives that its first one lists, for one whose model file does not name them all.

    Raises
    ------
    ModelError
        If the list has names that are none of further archives.
    """
    first = part.archives[0]
    listed = {name for _, names in _listed(files, part) for name in names}
    more = []
    for name in sorted(listed - {archive.file for archive in part.archives}):
        if not is_further_archive(name, part):
            raise ModelError(
                f"{files}: {_ADDENDA} names {one_line(name)}, which is no archive of a fold: not supported"
            )
        url = first.url.removesuffix(first.file) + name if first.url else None
        more.append(Archive(file=name, url=url))
    return part.model_copy(update={"archives": (*part.archives, *more)})


def is_further_archive(name: str, part: Part) -> bool:
    """Whether a zip can be one that the part's first archive lists: named like it, with a digit."""
    stem = part.archives[0].file.removesuffix(".zip")
    return part.further_archives and re.fullmatch(rf"{re.escape(stem)}_[0-9]\.zip", name) is not None


def _listed(files: Files, part: Part) -> Iterator[tuple[str, set[str]]]:
    """Names of further archives by each list of them, and where it is."""
    stem = part.archives[0].file.removesuffix(".zip")
    for name in (name for name in files.sizes if name.name == _ADDENDA):
        where = f"{files}: {name}"
        yield where, {f"{stem}{addendum}.zip" for addendum in _json(files.read(name), where, list)}


def builds_upon(plans: Mapping[str, Any], trained: str, part: Part) -> bool:
    """Whether a configuration of plans.json is the part's, or inherits from it as one with another batch size does."""
    name: Any = trained
    configurations = plans.get("configurations")
    if not isinstance(configurations, dict):
        return False
    for _ in configurations:  # a longer way leads round in a circle
        if part.configuration is None or part.configuration == name:
            return True
        configuration = configurations.get(name) if isinstance(name, str) else None
        name = configuration.get("inherits_from") if isinstance(configuration, dict) else None
    return False


def _json(content: bytes, what: str, kind: type) -> Any:
    try:
        value = parse_json(content)
    except DocumentError as error:
        raise ModelError(f"{what} is not valid JSON ({error}): fetch the weights again") from error
    if not isinstance(value, kind):
        raise ModelError(f"{what} does not hold what nnU-Net writes: fetch the weights again")
    return value


def _list(names: set[str]) -> str:
    return one_line(", ".join(sorted(names))) or "none"


def _names(context: tuple[str, ...], folder: PurePosixPath) -> tuple[str, str, str]:
    """Trainer, plans and configuration as the folder's name says; empty where it does not."""
    parts = (*context, *folder.parts)
    split = parts[-1].split("__") if parts else []
    return (split[0], split[1], split[2]) if len(split) == 3 else ("", "", "")


def _fits(files: Files, folder: PurePosixPath, part: Part) -> bool:
    datasets = [found for name in (*files.context, *folder.parts) if (found := re.match(r"Dataset([0-9]{1,9})", name))]
    if datasets and part.dataset_id not in {None, int(datasets[-1][1])}:
        return False
    trainer, plans, configuration = _names(files.context, folder)
    if not trainer:
        return True
    if part.trainer not in {None, trainer}:
        return False
    patterns = _ANY_PLANS if part.plans is None else (part.plans,)
    if not any(fnmatch.fnmatchcase(plans, pattern) for pattern in patterns):
        return False
    return part.configuration in {None, configuration} or builds_upon(
        _json(files.read(folder / "plans.json"), f"{files}: plans.json", dict), configuration, part
    )


def _wanted(part: Part) -> str:
    name = "__".join((part.trainer or "*", part.plans or "*", part.configuration or "*"))
    return f"trained network {f'{part.folder}/' if part.folder else ''}{name}"


def _checkpoints(files: Files, folder: PurePosixPath, part: Part, *, best_as_well: bool) -> dict[str, PurePosixPath]:
    place = f"{files}: {folder}" if folder.parts else str(files)
    missing = ""
    for checkpoint in (_FINAL, _BEST) if best_as_well else (_FINAL,):
        pattern = re.compile(r"^fold_([0-9]|all)$")
        present = {
            found[1]: name
            for name in files.sizes
            if name.name == checkpoint and name.parent.parent == folder and (found := pattern.match(name.parent.name))
        }
        wanted = part.folds if part.folds is not None else tuple(sorted(present))
        lacking = [fold for fold in wanted if fold not in present]
        # every archive of a part brings a fold: fewer folds than archives means that one is not there yet
        if not lacking and len(wanted) >= (1 if part.folds is not None else len(part.archives)):
            return {fold: present[fold] for fold in wanted}
        fold = lacking[0] if lacking else "<k>"
        missing = missing or (
            f"{place}: fold {fold} is missing (fold_{fold}/{checkpoint}); there {'is' if len(present) == 1 else 'are'} "
            f"{', '.join(f'fold_{name}' for name in sorted(present)) or 'none'}. Fetch all of "
            f"{', '.join(archive.file for archive in part.archives)}"
        )
    raise ModelError(missing)
