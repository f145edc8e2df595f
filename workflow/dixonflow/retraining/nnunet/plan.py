"""Plan and preprocessing by nnunetv2's own functions, in the folder of a training; what is finished is not redone."""

import json
import logging
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.residual_unets import residual_encoder_unet_planners as resenc
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, plan_experiment_dataset
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from dixonflow.retraining.cases import ct_case_name, withdrawn_participants
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger, read_ledger
from dixonflow.retraining.nnunet.mixture import (
    add_copies,
    add_ct,
    case_scans,
    check_cases,
    read_ct_folder,
)
from dixonflow.retraining.nnunet.raw_data import (
    CaseFiles,
    RawData,
    case_sha256,
    content_sha256,
    description_with_files,
    is_done,
    read_raw_data,
)
from dixonflow.retraining.nnunet.settings import Plan, TrainingSettings, check_settings, keep_settings
from dixonflow.retraining.nnunet.workspace import CONFIGURATION, PLANS, Workspace, sole_job
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.system.atomic import as_json, write_if_changed, write_json
from dixonflow.system.documents import DocumentError, read_json_file

log = logging.getLogger(__name__)

_PLANNERS = {
    "default": ExperimentPlanner,
    "resenc_m": resenc.nnUNetPlannerResEncM,
    "resenc_l": resenc.nnUNetPlannerResEncL,
    "resenc_xl": resenc.nnUNetPlannerResEncXL,
}
_DECIDES = ("data", "plan", "orientation")
"""What in the record of a plan decides what is made; the numbers of cases are for people."""
_CASE_FILES = (".b2nd", "_seg.b2nd", ".pkl")


def plan_training(project: Project, workspace: Workspace, settings: TrainingSettings, dataset: Path) -> None:
    """Plan and preprocess a training; what is finished and made from the same is kept.

    Parameters
    ----------
    workspace
        Of the round, or of the final model.
    dataset
        Folder of the raw data in nnU-Net's format (`nnunet_raw.dataset_folder`).

    Raises
    ------
    RetrainingError
        If the data set is not there or not consistent, or the folder was planned with other settings.
    """
    entries = read_ledger(project.ledger)
    data = read_raw_data(dataset)
    scans, withdrawn = case_scans(data, entries), withdrawn_participants(project)
    check_cases(data, scans, entries, withdrawn)
    check_settings(workspace.settings_file, settings)
    with ExitStack() as jobs:
        for lock in sorted(workspace.results.glob("fold_*/training.lock")):
            jobs.enter_context(sole_job(lock.parent))
        mixed = _mixed(project, workspace, settings, data, withdrawn)
        made_from = {
            "data": content_sha256(mixed),
            "plan": settings.plan.model_dump(mode="json"),
            "orientation": data.orientation,
            "cases": len(set(scans.values())),
            "participants": len({scan.participant for scan in scans.values()}),
            "copies_and_ct": len(mixed.cases) - len(data.cases),
        }
        _plan_and_preprocess(workspace, settings, mixed, made_from)


def _mixed(
    project: Project, workspace: Workspace, settings: TrainingSettings, data: RawData, withdrawn: frozenset[str]
) -> RawData:
    """Give the cases with all that the settings mix into them."""
    mixture, entries = settings.mixture, read_ledger(project.ledger)
    mixed = add_copies(data, mixture, project.settings.seed, workspace.raw)
    if mixture.ct is None:
        return mixed
    ct = read_ct_folder(mixture.ct)
    mixed = add_ct(mixed, ct, project.settings.labels, entries, workspace.raw, withdrawn)
    # so that a withdrawal finds what is in the folder of the training
    used = ((ct_case_name(name), each.scan) for name, each in ct.items())
    lines = [Entry(Step.DATASET, workspace.number, CaseSet.TRAIN, scan, name) for name, scan in used]
    append_to_ledger(project.ledger, lines)
    return mixed


def _plan_and_preprocess(
    workspace: Workspace, settings: TrainingSettings, data: RawData, made_from: Mapping[str, Any]
) -> None:
    if _holds(workspace.planned_file, made_from):
        keep_settings(workspace.settings_file, settings)
        write_if_changed(workspace.planned_file, as_json(made_from))
        log.info("%s is planned and preprocessed already", workspace.root)
        return
    if any(workspace.results.glob("fold_*/checkpoint_*.pth")):
        raise RetrainingError(
            f"{workspace.root} has trained on other data: remove it to train again, or select for a further round"
        )
    workspace.planned_file.unlink(missing_ok=True)
    keep_settings(workspace.settings_file, settings)
    workspace.export_environment()
    write_json(workspace.raw / "dataset.json", description_with_files(data))
    _plan(workspace, settings, made_from)
    write_if_changed(workspace.dataset_file, as_json(data.description | {"numTraining": len(data.cases)}))
    write_if_changed(workspace.splits_file, as_json(data.splits))
    _preprocess(workspace, data.cases, settings.processes)
    write_json(workspace.planned_file, made_from)


def _holds(record: Path, made_from: Mapping[str, Any]) -> bool:
    """Whether a record says that its files were made from this; a damaged one says nothing."""
    try:
        content = read_json_file(record)
        return all(content[key] == made_from[key] for key in _DECIDES)
    except (OSError, DocumentError, LookupError, TypeError):
        return False


def _plan(workspace: Workspace, settings: TrainingSettings, made_from: Mapping[str, Any]) -> None:
    """Fingerprint and plan, unless they are there and made from the same."""
    record = workspace.preprocessed / "plan_made_from.json"
    if _holds(record, made_from):
        return
    record.unlink(missing_ok=True)
    plan = settings.plan
    with redirect_stdout(StringIO()):
        extract_fingerprint_dataset(
            workspace.dataset_id, num_processes=settings.processes, clean=True, verbose=False, show_progress_bar=False
        )
        plans, _ = plan_experiment_dataset(
            workspace.dataset_id,
            _PLANNERS[plan.planner],
            overwrite_target_spacing=plan.spacing_mm,
            overwrite_plans_name=PLANS,
        )
    plans = dict(plans)
    if CONFIGURATION not in plans["configurations"]:
        raise RetrainingError(f"nnU-Net plans no {CONFIGURATION} for these images: they have too few slices")
    configuration = plans["configurations"][CONFIGURATION]
    configuration["data_identifier"] = f"{PLANS}_{CONFIGURATION}"
    _overrule(configuration, plan)
    plans["configurations"] = {CONFIGURATION: configuration}
    write_json(workspace.plans_file, plans)
    write_json(record, made_from)


def _overrule(configuration: dict[str, Any], plan: Plan) -> None:
    """Put what the settings say over what nnU-Net planned."""
    if plan.patch_voxels is not None:
        configuration["patch_size"] = list(plan.patch_voxels)
    if plan.batch_size is not None:
        configuration["batch_size"] = plan.batch_size
    if plan.features is not None:
        stages = len(plan.features)
        configuration["architecture"]["arch_kwargs"].update(
            n_stages=stages,
            features_per_stage=list(plan.features),
            n_conv_per_stage=[plan.convolutions] * stages,
            n_conv_per_stage_decoder=[plan.convolutions] * (stages - 1),
            kernel_sizes=[[3, 3, 3]] * stages,
            strides=[[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        )


def _preprocess(workspace: Workspace, cases: Mapping[str, CaseFiles], processes: int) -> None:
    """Preprocess the cases that are not done, and remove those that are no part of the data set any more."""
    workspace.cases.mkdir(parents=True, exist_ok=True)
    for path in workspace.cases.iterdir():
        name = next(
            (path.name.removesuffix(end) for end in ("_seg.b2nd", ".b2nd", ".pkl") if path.name.endswith(end)), ""
        )
        if name not in cases:
            path.unlink()
    work = partial(_preprocess_case, workspace)
    if processes == 1:
        for name, case in cases.items():
            work(name, case)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            for _ in pool.map(work, cases.keys(), cases.values()):
                pass
        except BrokenProcessPool as error:
            raise RetrainingError(
                "a process that preprocesses cases was killed, mostly for lack of memory: lower `processes` in "
                "training.yaml and call the same command again"
            ) from error


def _preprocess_case(workspace: Workspace, name: str, case: CaseFiles) -> None:
    """Preprocess a case, unless that was done from the same files by the same plan."""
    record, key = (
        workspace.preprocessed / "cases_done" / f"{name}.txt",
        case_sha256(case, workspace.plans_file.read_bytes()),
    )
    files = [workspace.cases / f"{name}{end}" for end in _CASE_FILES]
    if is_done(record, key, files):
        return
    for path in files:
        path.unlink(missing_ok=True)

    plans = PlansManager(json.loads(workspace.plans_file.read_text(encoding="utf-8")))
    dataset = json.loads(workspace.dataset_file.read_text(encoding="utf-8"))
    DefaultPreprocessor(verbose=False).run_case_save(
        str(workspace.cases / name),
        [str(path) for path in case.images],
        str(case.labels),
        plans,
        plans.get_configuration(CONFIGURATION),
        dataset,
    )
    write_if_changed(record, key.encode())
    log.info("preprocessed %s", name)
