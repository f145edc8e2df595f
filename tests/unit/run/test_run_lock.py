"""One run at a time per results folder, and no lock that outlives its process."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dixonflow.config import demo_config
from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.run.lock import Run, RunInProgressError, RunLock, is_running, read_run
from dixonflow.run.plan import Plan
from dixonflow.run.slurm import Request, SlurmError
from dixonflow.run.start import begin_run

HOLD = """
import sys, time
from pathlib import Path
from dixonflow.paths import Results
from dixonflow.run.lock import Run, RunLock
lock = RunLock(Results(Path(sys.argv[1])))
lock.take()
lock.announce(Run.here("dixonflow_1"))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results")


@pytest.fixture
def other(results):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(results.root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_is_told_who_the_first_is(results, other):
    assert is_running(results)
    with pytest.raises(RunInProgressError) as error:
        RunLock(results).take()
    message = str(error.value)
    assert f"process {other.pid}" in message
    assert "is in progress, started 20" in message
    assert "\n" not in message


def test_a_killed_process_leaves_no_lock_and_says_who_it_was(results, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert not is_running(results)
    lock = RunLock(results)
    before = lock.take()
    assert (before.process, before.slurm_name) == (other.pid, "dixonflow_1")
    lock.announce(Run.here())
    assert read_run(results).slurm_name == ""


def test_the_first_run_finds_no_other(results):
    assert not is_running(results)
    assert read_run(results) is None
    lock = RunLock(results)
    assert lock.take() is None
    assert lock.take() is None  # its own lock is no obstacle


def test_a_damaged_note_is_no_obstacle(results):
    results.root.mkdir()
    results.run.write_text("{")
    assert RunLock(results).take() is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"config: results: \S+ cannot be written: "):
        RunLock(Results(tmp_path / "file" / "results")).take()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("tables", r"^config: results: \S+/tables cannot be written: does it belong to another user"),
        ("metadata.db", r"^\S+/metadata.db cannot be written: run your own copy of the project"),
    ],
)
def test_what_another_user_has_made_is_named(plan, results, tmp_path, monkeypatch, name, line):
    (results.root / "tables").mkdir(parents=True)
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "snakemake/metadata.db").touch()
    monkeypatch.setattr("os.access", lambda path, mode: path.name != name)  # modes do not hold root back
    with pytest.raises(ConfigError, match=line):
        begin_run(plan, RunLock(results), snakemake_folder=tmp_path / "snakemake")
    assert not results.config.exists()


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.lockf", refuse)


def test_a_file_system_without_locks_is_warned_of(results, no_locks, caplog):
    assert RunLock(results).take() is None
    assert "does not support locks" in caplog.text
    assert not is_running(results)


@pytest.mark.parametrize(("host", "alive"), [("", True), ("", False), ("login2", True)])
def test_without_locks_a_run_that_may_go_on_is_left_alone(results, no_locks, other, host, alive):
    """Its Slurm jobs would be cancelled."""
    run = read_run(results)
    RunLock(results).announce(replace(run, host=host or run.host))
    if not alive:
        other.kill()
        other.wait()
        assert RunLock(results).take() == run
        return
    with pytest.raises(RunInProgressError, match=r"is in progress, started .* if it has ended, remove \S+run\.json"):
        RunLock(results).take()
    RunLock(results).end()
    assert RunLock(results).take().ended


@pytest.fixture
def plan(results):
    config = demo_config().model_copy(update={"results": results.root})
    return Plan(config, None, results)


def test_a_run_that_is_refused_writes_nothing(plan, results, other):
    with pytest.raises(RunInProgressError):
        begin_run(plan, RunLock(results))
    assert not results.config.exists()
    assert read_run(results).process == other.pid


def test_what_slurm_does_not_have_stops_a_run_before_it_begins(plan, results, monkeypatch):
    monkeypatch.setattr("dixonflow.run.slurm._partitions", lambda: {"cpu": frozenset()})
    with pytest.raises(SlurmError, match="unknown partition 'gpu'"):
        begin_run(plan, RunLock(results), "dixonflow_2", [Request("segment", "gpu")])
    assert not results.config.exists()
    assert read_run(results) is None


def test_a_run_begins_with_its_name_and_its_configuration(plan, results, monkeypatch, capsys):
    RunLock(results).announce(Run("anna", "login1", 1, "/home/anna", "2026-01-01T00:00:00+00:00", "dixonflow_1"))
    cancelled = []
    monkeypatch.setattr("dixonflow.run.start.cancel_leftovers", lambda name: cancelled.append(name) or 3)
    monkeypatch.setattr("dixonflow.run.slurm._partitions", lambda: {"cpu": frozenset()})
    monkeypatch.setattr("dixonflow.run.slurm._accounts", frozenset)
    begin_run(plan, RunLock(results), "dixonflow_2", [Request("stitch", "cpu")])
    assert cancelled == ["dixonflow_1"]
    assert "3 jobs of an earlier run" in capsys.readouterr().out
    assert read_run(results).slurm_name == "dixonflow_2"
    assert results.config.exists()
    assert Path(read_run(results).folder) == Path.cwd()


def test_a_run_that_ended_well_is_not_asked_of_slurm_again(plan, results, monkeypatch):
    """Slurm may not even be there: the results were copied to another machine."""
    monkeypatch.setenv("PATH", "")
    before = RunLock(results)
    before.announce(Run("anna", "login1", 1, "/home/anna", "2026-01-01T00:00:00+00:00", "dixonflow_1"))
    with pytest.raises(SlurmError):
        begin_run(plan, RunLock(results))
    before.end()
    begin_run(plan, before)
    assert read_run(results).slurm_name == ""
