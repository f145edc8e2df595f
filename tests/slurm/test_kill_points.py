"""Killed at random, again and again, at every stage: nothing is lost, nothing is computed twice."""

import os
import random
import time
from collections import Counter

import psutil
import pytest
from project import Call, Done, Run

KILLS = int(os.environ.get("DIXONFLOW_KILLS", "20"))
"""200 in the long run: DIXONFLOW_KILLS=200 python -m pytest -s tests/slurm/test_kill_points.py"""

SEED = 4
PLACES = ("cohort", "stitch", "resample", "segment", "merge", "postprocess", "measure", "aggregate", "report")
KILLS_A_RUN = 10
MORE_ATTEMPTS = "max_attempts=20"
"""A scan whose worker is killed again and again at the same stage must not use them up."""

LONGEST_SECONDS = 3.0
"""After the job of a place has begun; most jobs are shorter, and the kill then hits what comes after it."""


@pytest.mark.slow
def test_random_kill_points(project, undisturbed):
    chance = random.Random(SEED)
    killed: Counter[str] = Counter()
    number = 0
    while killed.total() < KILLS:
        places = sorted(chance.choices(PLACES, k=min(KILLS_A_RUN, KILLS - killed.total())), key=PLACES.index)
        run = project.local(f"results/kills_{number}", "--retries", "0", config=[MORE_ATTEMPTS])
        killed += kill_at(run, places, chance)
        assert run.tables() == undisturbed.tables
        assert "Nothing to be done" in run.to_the_end()
        number += 1
    print(f"{killed.total()} kills in {number} runs: {dict(killed)}")


def kill_at(run: Run, places: list[str], chance: random.Random) -> Counter[str]:
    """Call the command until it has nothing left to do, and kill it or one of its processes at each place."""
    killed: Counter[str] = Counter()
    done: Done = {}
    for place in places:
        call = run.start()
        everything, delay = chance.random() < 0.5, chance.uniform(0, LONGEST_SECONDS)
        if begins(call, place):
            time.sleep(delay)
        if call.process.poll() is None:
            killed[kill(call, chance, everything=everything)] += 1
        call.wait()
        done = went_on(run, done)
    for _ in range(2):  # a scan that failed because its worker was killed is tried again by the second call
        run.to_the_end()
        done = went_on(run, done)
    return killed


def begins(call: Call, place: str) -> bool:
    """Wait until a job of `place` runs; False if the call ends without one."""
    while call.process.poll() is None:
        if any(place in words(process)[:6] for process in processes(call)):
            return True
        time.sleep(0.05)
    return False


def kill(call: Call, chance: random.Random, *, everything: bool) -> str:
    """Kill the whole process group, or one process below Snakemake; say what it was."""
    below = sorted(processes(call), key=lambda process: process.pid)
    if everything or not below:
        call.kill_group()
        return "all"
    victim = chance.choice(below)
    command = words(victim)
    name = " ".join(command[command.index("dixonflow") + 1 :][:2]) if "dixonflow" in command else "another process"
    try:
        victim.kill()
    except psutil.NoSuchProcess:
        name = "a process that had ended"
    return name


def went_on(run: Run, before: Done) -> Done:
    """What is done now; all that was done before must be, unchanged."""
    now = run.done()
    assert before == {key: now.get(key) for key in before}
    return now


def processes(call: Call) -> list[psutil.Process]:
    """All processes below Snakemake."""
    try:
        return psutil.Process(call.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def words(process: psutil.Process) -> list[str]:
    """Command line of a process; empty if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
