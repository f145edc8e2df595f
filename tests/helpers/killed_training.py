"""Trains a fold again and again in processes of its own, each killed somewhere; called as a program.

Arguments, one for each run: `<folder of the workspace>=<where it is killed>`: `never`, `step`
(in the middle of an epoch), `write` (in the middle of writing a checkpoint) or `rename` (after a checkpoint was
written, before it bears its name). Prints how each ended: 0, or the signal.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from dixonflow.retraining.nnunet import trainer as trainer_module
from dixonflow.retraining.nnunet.train import train_fold
from dixonflow.retraining.nnunet.workspace import Workspace

KILLED_IN_EPOCH = 1


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def prepare_death(where: str) -> None:
    """Have this process die in its second epoch."""
    trainer = trainer_module.RoundTrainer
    if where == "step":
        step, calls = trainer.train_step, []

        def train_step(self, batch):
            calls.append(self.current_epoch)
            if calls.count(KILLED_IN_EPOCH) == 2:
                die()
            return step(self, batch)

        trainer.train_step = train_step
    elif where in ("write", "rename"):
        save = torch.save

        def half_a_save(content, path):
            save(content, path)
            if content["current_epoch"] == KILLED_IN_EPOCH + 1:
                if where == "write":
                    os.truncate(path, Path(path).stat().st_size // 2)
                die()

        torch.save = half_a_save


def main() -> None:
    torch.set_num_threads(1)
    for argument in sys.argv[1:]:
        folder, _, where = argument.partition("=")
        child = os.fork()
        if child == 0:
            prepare_death(where)
            train_fold(Workspace(Path(folder), 1), "all", 7)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
