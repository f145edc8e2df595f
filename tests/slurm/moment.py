"""A run at the moment before a fault: a scan is being worked on, others are done."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from project import Call, Done, Run, records_of

from dixonflow.cohort.shards import read_shard
from dixonflow.vocabulary import Stage


@dataclass(frozen=True)
class Moment:
    """A worker process that was stopped in the middle of a scan, and what had been done by then.

    Attributes
    ----------
    worker
        Stopped (SIGSTOP), so that the fault hits this scan however fast the machine is.
    in_flight
        Scans that were worked on, in any job.
    done
        Records of all scans at all stages that were finished.
    images
        Inode and date of the images that stay, of all scans that were not worked on: what is rewritten differs.
    """

    worker: psutil.Process
    in_flight: set[str]
    done: Done
    images: dict[Path, tuple[int, int]]

    @property
    def job(self) -> int:
        """Number of the Slurm job that the worker belongs to."""
        return int(self.worker.environ()["SLURM_JOB_ID"])

    def nothing_was_done_twice(self, run: Run) -> None:
        """Assert that what had been done stands as it was written then: same seconds, same file, same date."""
        after = run.done()
        assert self.done
        assert self.done == {key: after.get(key) for key in self.done}
        assert self.images == {path: identity(path) for path in self.images}


def stop_in_the_middle(call: Call, run: Run, stage: Stage) -> Moment:
    """Wait until the job of `stage` for the shard of two has finished a scan and works on the other; stop it there."""
    call.until(run.results.shards.with_suffix(".txt").exists)
    shard = next(shard for shard in run.shards() if len(read_shard(run.results.shard(shard)).scans) > 1)
    folder = records_of(run.results, stage, shard).with_name(shard)
    script = call.until_found(lambda: script_of(run, stage, shard))  # long before its first scan: it imports
    call.until(lambda: any(folder.glob("sub-*.begun")), pause=0.002)
    worker = call.until_found(lambda: worker_of(script))

    def stopped() -> bool:
        if not halfway(folder):
            return False
        worker.suspend()
        wait_until_stopped(worker)
        if halfway(folder):
            return True
        worker.resume()  # it was faster
        return False

    call.until(stopped, pause=0.002)
    in_flight = {path.stem for path in (run.results.root / "records").rglob("sub-*.begun")}
    images = {
        path: identity(path)
        for path in run.results.derivatives.rglob("*.nii.gz")
        if not path.name.startswith(".") and not any(scan in path.name for scan in in_flight)
    }
    return Moment(worker, in_flight, run.done(), images)


def halfway(folder: Path) -> bool:
    """Whether a scan of the shard whose records are in `folder` is done, and another is worked on."""
    done = {path.stem for path in folder.glob("sub-*.json")}
    begun = {path.stem for path in folder.glob("sub-*.begun")}
    return bool(done) and bool(begun - done)


def script_of(run: Run, stage: Stage, shard: str) -> psutil.Process | None:
    """Process that runs the script of `stage` on a shard, on any node of this machine."""
    wanted = {"stage", str(stage), shard, f"{run.root}/config.json"}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue  # it has ended
        if wanted <= set(words):
            return process
    return None


def worker_of(script: psutil.Process) -> psutil.Process | None:
    """Process that a script has forked for the work."""
    for child in script.children():
        try:
            if child.cmdline() == script.cmdline():
                return child
        except psutil.Error:
            continue  # it has ended
    return None


def wait_until_stopped(process: psutil.Process) -> None:
    while process.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
        time.sleep(0.001)


def wait_until_gone(process: psutil.Process, seconds: float = 20) -> None:
    """Wait for the end of a process that is nobody's child here."""
    end = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the process is still running"
        time.sleep(0.05)


def identity(path: Path) -> tuple[int, int]:
    """Inode and date of a file; zeros where there is none."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return 0, 0
    return state.st_ino, state.st_mtime_ns
