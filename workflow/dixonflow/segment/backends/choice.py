"""Which backend runs a model on this machine."""

import logging

import torch

from dixonflow.config import SegmentConfig
from dixonflow.errors import ConfigError
from dixonflow.models.backend_record import (
    Environment,
    gives_labels_of_torch,
    installed_version,
    read_backend_records,
)
from dixonflow.models.model import Model
from dixonflow.segment.backends.device import choose_device
from dixonflow.vocabulary import Backend

log = logging.getLogger(__name__)

OTHERS: tuple[Backend, ...] = ("openvino",)
"""All but the reference."""


def environment_of(backend: Backend) -> Environment | None:
    """What the numbers of a backend depend on here; None where it is not installed."""
    version = installed_version(backend)
    if version is None:
        return None
    instructions = torch.backends.cpu.get_cpu_capability()
    return Environment(backend, version, torch.__version__.partition("+")[0], instructions)


def backend_of(model: Model, segment: SegmentConfig) -> Backend:
    """Which backend runs a model, as a configuration wants it.

    `auto` takes the fastest that gave the labels of torch with these weights in this environment, as the folder of the
    weights says; else torch. A device that is no CPU is torch's.

    Raises
    ------
    ConfigError
        If a backend that is named is not installed, or gives the labels of torch in other environments, but was not
        compared in this one, where its labels would be taken for those.
    ModelError
        If what the folder says is damaged.
    """
    if segment.backend == "torch" or (segment.backend == "auto" and choose_device(segment.device).type != "cpu"):
        return "torch"
    records = {record.environment: record for record in read_backend_records(model)}
    if segment.backend != "auto":
        environment = environment_of(segment.backend)
        if environment is None:
            raise ConfigError(
                f"segment.backend: {segment.backend} is not installed here: set auto, or run pip install openvino"
            )
        record = records.get(environment)
        if gives_labels_of_torch(model, segment.backend) and not (record and record.passed):
            raise ConfigError(
                f"segment.backend: {segment.backend} {environment.version} was not compared with torch for model "
                f"{model.name} on this kind of processor ({environment.instructions}): run 'dixonflow compare-backends "
                f"{model.name}' here, or set auto"
            )
        return segment.backend
    environments = [each for each in map(environment_of, OTHERS) if each]
    for each in environments:
        if records and each not in records:
            log.info(
                "%s was compared with torch for model %s elsewhere, not with %s: dixonflow compare-backends %s does it",
                *(each.backend, model.name, each.instructions, model.name),
            )
    here = [records.get(each) for each in environments]
    good = [record for record in here if record and record.passed and record.is_faster]
    best = min(good, key=lambda record: record.seconds / record.torch_seconds, default=None)
    return best.backend if best else "torch"
