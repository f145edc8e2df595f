"""The whole loop of retraining on phantom participants, by the command line; the phantom plays the annotator.

Half of the participants were scanned on a scanner that suppresses fat badly. The first round knows none of its scans:
the network fails there, and further rounds correct such scans too.

Every step can be repeated, so a loop that was cut off resumes where it was.
"""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from dixonflow.cli.networks.retrain import retrain_command
from dixonflow.retraining.ledger import Step, read_ledger
from dixonflow.retraining.nnunet.settings import Plan, TrainingSettings, write_settings
from dixonflow.retraining.project import TEST_ROUND, open_project
from dixonflow.retraining.rounds import RoundResult, read_rounds, rounds_file
from dixonflow.trials.phantom_run import CONTRAST, LABELS, MODEL, PhantomRun, write_phantom_run
from dixonflow.vocabulary import ScanId

log = logging.getLogger(__name__)

FIRST_SEED = 600000
"""Participants of the demo network's training, and of other tests, have other seeds."""
_SEED = 3


@dataclass(frozen=True)
class Loop:
    """A loop on phantoms.

    Attributes
    ----------
    folder
        All that it writes lies below.
    cases
        How many scans of the first and of the second scanner are corrected in each round; later rounds are trained on
        those of earlier ones too.
    test
        Frozen test participants of each scanner.
    epochs, iterations
        Of each training.
    """

    folder: Path
    cases: Sequence[tuple[int, int]]
    test: int
    epochs: int
    iterations: int = 25

    @property
    def project(self) -> Path:
        """The retraining project."""
        return self.folder / "retraining"

    @property
    def settings(self) -> TrainingSettings:
        """A network that a processor core trains in half a minute."""
        plan = Plan(
            planner="default",
            spacing_mm=(6, 6, 6),
            patch_voxels=(32, 32, 48),
            batch_size=2,
            features=(8, 16, 32, 32),
            convolutions=1,
        )
        return TrainingSettings(
            plan=plan,
            epochs=self.epochs,
            iterations=self.iterations,
            optimizer="adamw",
            learning_rate=3e-3,
            validation_iterations=1,
            checkpoint_epochs=2,
            processes=1,
            device="cpu",
            folds="all",
            job_minutes=60,
            job_mem_mb=2000,
            job_threads=1,
        )

    def run(self) -> list[RoundResult]:
        """Do all rounds that are not done, and give what each has reached."""
        run = self._start()
        for number, scans in enumerate(self._scans()[1:], 1):
            if any(each.round == number for each in read_rounds(rounds_file(open_project(self.project)))):
                continue
            self._correct(run, number, scans)
            for step in ("dataset", "plan", "train", "import", "evaluate"):
                self.call(step, "--round", str(number))
        return read_rounds(rounds_file(open_project(self.project)))

    def final(self) -> RoundResult:
        """Train the final model on the cases of all rounds, import and evaluate it."""
        for step in ("plan", "train", "import", "evaluate"):
            self.call(step, "--round", str(len(self.cases)), "--final")
        return read_rounds(rounds_file(open_project(self.project)))[-1]

    def call(self, step: str, *words: str) -> None:
        """Call a step of `dixonflow retrain`. Raises SystemExit with the line that it ends with."""
        command = typer.main.get_command(retrain_command)
        command.main([step, *words, "--project", str(self.project)], "dixonflow retrain", standalone_mode=False)

    def _scans(self) -> list[list[ScanId]]:
        """Scans of the test set, then of each round."""
        found, used = [], [0, 0]
        for counts in ((self.test, self.test), *self.cases):
            scans = []
            for scanner, count in enumerate(counts):
                scans += [_scan(2 * (used[scanner] + number) + scanner) for number in range(count)]
                used[scanner] += count
            found.append(scans)
        return found

    def _start(self) -> PhantomRun:
        rounds = self._scans()
        run = write_phantom_run(self.folder, {scan: _seed(scan) for scans in rounds for scan in scans})
        testers = self.folder / "testers.txt"
        testers.write_text("".join(f"{scan.participant}\n" for scan in rounds[0]), encoding="utf-8")
        structures = [word for name in LABELS for word in ("--structure", name)]
        names = ["--config", str(run.results.config), "--model", MODEL, "--contrast", CONTRAST.value, *structures]
        self.call("start", *names, "--folds", "3", "--seed", str(_SEED), "--test-list", str(testers))
        write_settings(self.project, self.settings)
        self._correct(run, TEST_ROUND, rounds[0])
        return run

    def _correct(self, run: PhantomRun, number: int, scans: Sequence[ScanId]) -> None:
        """Select scans, export them, and return the truth in place of their proposals."""
        where = ["--test"] if number == TEST_ROUND else ["--round", str(number)]
        back = self.folder / "back" / f"round_{number}"
        back.mkdir(parents=True, exist_ok=True)
        chosen = self.folder / "back" / f"round_{number}.txt"
        chosen.write_text("".join(f"{scan.name}\n" for scan in scans), encoding="utf-8")
        self.call("select", "list", "--file", str(chosen), *where)
        self.call("export", *where)
        for entry in read_ledger(open_project(self.project).ledger):
            if entry.step is Step.SELECTED and entry.round == number:
                shutil.copy(run.true_labels(entry.scan), back / f"{entry.case}.nii.gz")
        self.call("return", str(back), "--by", "phantom", *where)


def _scan(number: int) -> ScanId:
    return ScanId(f"7{number:06d}", "2")


def _seed(scan: ScanId) -> int:
    return FIRST_SEED + int(scan.participant) - 7000000
