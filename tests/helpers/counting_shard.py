"""A shard whose stage counts its work and goes wrong on demand."""

from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Records
from dixonflow.execution.shard import run_shard
from dixonflow.execution.stage_work import StageResult, StageWork
from dixonflow.execution.steps import Step
from dixonflow.vocabulary import Reason, ScanId, Stage, Status


def stage_of(stage, **methods):
    """Stage made of plain functions, named as the methods of StageWork that they stand for."""
    overlaps = "prepare" in methods or "finish" in methods
    methods = {name: staticmethod(function) for name, function in methods.items()}
    return type("StageOfFunctions", (StageWork,), {"stage": stage, "overlaps": overlaps, **methods})()


class Shard:
    """Three scans, a stage that counts its work and goes wrong on demand; the work is done in another process."""

    def __init__(self, folder, make_scan):
        self.folder = folder
        self.scans = [make_scan(ScanId(f"00{number}", "2")) for number in range(3)]
        self.errors = {}
        self.key = "key"
        self.stage = Stage.STITCH

    def process(self, scan):
        with (self.folder / "worked.txt").open("a") as file:
            file.write(f"{scan.scan.participant}\n")
        error = self.errors.get(scan.scan.participant)
        if callable(error):
            error()
        elif error:
            raise error
        self.output(scan.scan).write_text("result")
        return StageResult({"answer": 42})

    @property
    def worked(self):
        path = self.folder / "worked.txt"
        return path.read_text().split() if path.exists() else []

    def output(self, scan):
        return self.folder / scan.name

    @property
    def records(self):
        return Records(self.folder / "records.jsonl.gz")

    def run(self, upstream=None, max_attempts=2, limits=None, **steps):
        (self.folder / "worked.txt").unlink(missing_ok=True)
        steps = {"process": self.process, **steps}
        work = stage_of(self.stage, key=lambda scan: self.key, outputs=lambda scan: [self.output(scan.scan)], **steps)
        type(work).reads_raw_data = self.stage is Stage.STITCH
        return self.run_steps([Step(work, self.records, max_attempts)], upstream, limits)[0]

    def run_steps(self, steps, upstream=None, limits=None):
        """Records of every stage of a job."""
        return run_shard(steps, self.scans, upstream or self.upstream(), limits)

    def upstream(self):
        return {
            scan.scan: Outcome(scan.scan, Stage.COHORT, Status.OK, Reason.NONE, "", 0.0, 0.0, 0.0, 0, "")
            for scan in self.scans
        }


def statuses(records):
    return [record.outcome.status for record in records]
