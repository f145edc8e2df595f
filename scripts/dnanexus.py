#!/usr/bin/env python3
"""Run a cohort on DNAnexus, as on UK Biobank's Research Analysis Platform: a job for each part of a list of scans.

Needs `dx` (dx-toolkit), logged in, with the project selected. docs/protected_environments.md describes the steps.
"""

import hashlib
import json
import shlex
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from dixonflow.cohort.included import read_included
from dixonflow.errors import DixonflowError
from dixonflow.system.atomic import write_bytes, write_json

APP = "app-swiss-army-knife"
ENDED_BADLY = ("failed", "terminated")
"""States of a job that is over, but for `done`."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@dataclass
class Part:
    """Scans that one job processes: they never change. `done` once a job ended well."""

    lines: list[str]
    jobs: list[str] = field(default_factory=list)
    done: bool = False


@dataclass
class Run:
    """All parts, and with what they are processed. Kept in a file of the run's folder."""

    file: Path
    config: str
    image: str
    destination: str
    parts: dict[str, Part]

    @classmethod
    def open(cls, folder: Path, config: Path, image: str, destination: str) -> "Run":
        """Read the run's file, or begin a run. Raises DixonflowError where it was begun with something else."""
        digest = hashlib.sha256(config.read_bytes()).hexdigest()
        asked = cls(folder / "run.json", digest, image, destination.rstrip("/"), {})
        if not asked.file.exists():
            return asked
        content = json.loads(asked.file.read_text(encoding="utf-8"))
        for name, what in (("config", f"another {config}"), ("image", "another image"), ("destination", "another")):
            if content[name] != getattr(asked, name):
                raise DixonflowError(f"{folder} was begun with {what} {name}: use a new --run folder and --destination")
        asked.parts = {name: Part(**part) for name, part in content["parts"].items()}
        return asked

    def write(self) -> None:
        """Write the file."""
        write_json(self.file, asdict(self) | {"file": ""})

    def add(self, lines: list[str], lines_per_part: int) -> None:
        """Put the lines that no part has into new parts."""
        known = {line for part in self.parts.values() for line in part.lines}
        new = [line for line in lines if line not in known]
        for start in range(0, len(new), lines_per_part):
            members = new[start : start + lines_per_part]
            self.parts[f"part_{hashlib.sha256(chr(10).join(members).encode()).hexdigest()[:12]}"] = Part(members)


def dx(*words: str) -> str:
    """Call `dx` and give its output. Raises DixonflowError with what it said."""
    try:
        called = subprocess.run(["dx", *words], text=True, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise DixonflowError("dx is not installed: install dx-toolkit (pip install dxpy), then dx login") from error
    if called.returncode != 0:
        said = (called.stderr.strip() or called.stdout.strip() or "no message").splitlines()[-1]
        raise DixonflowError(f"dx {words[0]} failed: {said}")
    return called.stdout.strip()


def upload(file: Path, folder: str) -> str:
    """Upload a file and give its id."""
    return dx("upload", "--brief", "--wait", "--no-progress", "--parents", "--path", f"{folder}/", str(file))


def start(run: Run, name: str, command: list[str], inputs: list[str], folder: str, machine: list[str]) -> str:
    """Start a job in the image and give its id. What it writes into its working folder comes into `folder`."""
    files = [f"-iin={each}" for each in inputs]
    words = [APP, *files, f"-icmd={shlex.join(command)}", f"-iimage_file={run.image}", "--destination", folder]
    # Without --ignore-reuse the platform may answer with what an earlier job wrote.
    return dx("run", *words, "--name", name, "--tag", "dixonflow", *machine, "--ignore-reuse", "--brief", "-y")


def lines_of(manifest: Path) -> list[str]:
    """Lines of a list of scans, sorted: a participant, or a participant and a session. Raises ConfigError."""
    included = read_included(manifest)
    sessions = [each for each in included.sessions if each[0] not in included.participants]
    return [",".join(words) for words in sorted([*((each,) for each in included.participants), *sessions])]


Manifest = Annotated[Path, typer.Option(help="List of scans, as for cohort.include.")]
ConfigFile = Annotated[Path, typer.Option(help="Configuration; its paths are those of the job, below /mnt/project.")]
Image = Annotated[str, typer.Option(help="The image in the project, path or id of the file.")]
Destination = Annotated[str, typer.Option(help="Folder of the project for lists, parts and tables.")]
RunFolder = Annotated[Path, typer.Option("--run", help="Local folder that remembers the jobs.")]
InstanceType = Annotated[str, typer.Option(help="Machine of a job (dx run --instance-type-help).")]
Priority = Annotated[str, typer.Option(help="low, normal or high.")]
Code = Annotated[str, typer.Option(help="Folder of the project in the image.")]


@app.command()
def submit(
    manifest: Manifest,
    config: ConfigFile,
    image: Image,
    instance_type: InstanceType,
    destination: Destination = "/dixonflow",
    run_folder: RunFolder = Path("dnanexus_run"),
    scans_per_job: Annotated[int, typer.Option(min=1, help="Lines of the list that one job processes.")] = 64,
    max_tries: Annotated[int, typer.Option(min=1, help="Jobs of a part that may fail.")] = 3,
    priority: Priority = "normal",
    code: Code = "/opt/dixonflow",
) -> None:
    """Submit a job for each part of the list that has none, or whose job failed. Call it until all parts are done."""
    run = Run.open(run_folder, config, image, destination)
    run.add(lines_of(manifest), scans_per_job)
    run.write()
    config_id, counts, problems = "", Counter[str](), Counter[str]()
    for name, part in run.parts.items():
        state, why = _state(part)
        if state == "done":
            part.done = True
        if state == "" or (state in ENDED_BADLY and len(part.jobs) < max_tries):
            scans = run_folder / "lists" / f"{name}.txt"
            write_bytes(scans, "".join(f"{line}\n" for line in part.lines).encode())
            config_id = config_id or upload(config, f"{run.destination}/lists")
            command = ["python", f"{code}/scripts/dnanexus_job.py", "part", "--config", config.name]
            inputs = [config_id, upload(scans, f"{run.destination}/lists")]
            machine = ["--instance-type", instance_type, "--priority", priority]
            words = [*command, "--scans", scans.name]
            part.jobs.append(start(run, f"dixonflow {name}", words, inputs, f"{run.destination}/parts", machine))
            state = "submitted again" if len(part.jobs) > 1 else "submitted"
        if why:
            problems[why] += 1
        counts[state] += 1
        run.write()
    for word, number in sorted(counts.items()):
        print(f"{number} {word}")
    for why, number in problems.most_common():
        print(f"{number} ended badly: {why}")
    if counts["failed"] + counts["terminated"]:
        raise DixonflowError(f"parts failed {max_tries} times: see their log (dx watch JOB), then raise --max-tries")


@app.command()
def collect(
    manifest: Manifest,
    config: ConfigFile,
    image: Image,
    instance_type: InstanceType,
    destination: Destination = "/dixonflow",
    run_folder: RunFolder = Path("dnanexus_run"),
    priority: Priority = "normal",
    mount: Annotated[Path, typer.Option(help="Where jobs find the files of the project.")] = Path("/mnt/project"),
    code: Code = "/opt/dixonflow",
) -> None:
    """Submit the job that makes the tables of all parts, and print its id."""
    run = Run.open(run_folder, config, image, destination)
    lines = lines_of(manifest)
    missing = set(lines) - {line for part in run.parts.values() for line in part.lines}
    waiting = [name for name, part in run.parts.items() if _state(part)[0] != "done"]
    if missing or waiting:
        raise DixonflowError(
            f"{len(waiting)} parts are not done, {len(missing)} lines are in no part: call submit until all are done"
        )
    scans, names = run_folder / "lists" / "all.txt", run_folder / "lists" / "parts.txt"
    write_bytes(scans, "".join(f"{line}\n" for line in lines).encode())
    write_bytes(names, "".join(f"{name}\n" for name in run.parts).encode())
    inputs = [upload(each, f"{run.destination}/lists") for each in (config, scans, names)]
    command = ["python", f"{code}/scripts/dnanexus_job.py", "collect", "--config", config.name, "--scans", scans.name]
    command += ["--parts", f"{mount}{run.destination}/parts", "--names", names.name]
    machine = ["--instance-type", instance_type, "--priority", priority]
    print(start(run, "dixonflow tables", command, inputs, run.destination, machine))


def _state(part: Part) -> tuple[str, str]:
    """State of the last job of a part, empty without one; and why it ended badly."""
    if part.done:
        return "done", ""
    if not part.jobs:
        return "", ""
    job: dict[str, Any] = json.loads(dx("describe", "--json", part.jobs[-1]))
    state = str(job["state"])
    why = f"{job.get('failureReason') or state}: {job.get('failureMessage') or 'no message'}"
    return state, why if state in ENDED_BADLY else ""


def main() -> None:
    """Run a command; an error is one line."""
    try:
        app()
    except (DixonflowError, OSError) as error:
        sys.exit(f"dnanexus: {error}")


if __name__ == "__main__":
    main()
