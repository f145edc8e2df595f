"""Processes that make training cases while the network trains."""

import multiprocessing
import os
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from dixonflow.system.lifetime import end_with
from dixonflow.training.cases import make_case
from dixonflow.training.plan import Workspace


def start_workers(workspace: Workspace, folder: Path, seeds: range, workers: int, niceness: int) -> list[BaseProcess]:
    """Start processes that share `seeds` among them and make the cases that `folder` lacks.

    They end with the process that started them, however that ends, and cases appear whole or not at all.
    """
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = []
    for number in range(workers):
        process = context.Process(
            target=_make_cases, args=(os.getpid(), workspace, folder, seeds[number::workers], niceness), daemon=True
        )
        process.start()
        processes.append(process)
    return processes


def check_workers(processes: list[BaseProcess]) -> None:
    """Raise RuntimeError where a process ended with an error."""
    broken = [process.exitcode for process in processes if process.exitcode]
    if broken:
        raise RuntimeError(
            f"a process that makes training cases ended with exit code {broken[0]}; its traceback is above"
        )


def _make_cases(parent: int, workspace: Workspace, folder: Path, seeds: range, niceness: int) -> None:
    end_with(parent)
    os.nice(niceness)
    torch.set_num_threads(1)
    workspace.export_environment()
    for seed in seeds:
        make_case(workspace, folder, seed)
