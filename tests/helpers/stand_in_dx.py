"""A program in the place of DNAnexus' `dx`, for tests: the platform is a folder, its jobs are processes.

It does what `dx <command> --help` (dxpy 0.417.1) says of the options that DixonFlow uses, and refuses all others. A job
is one of the app Swiss Army Knife: input files lie in its working folder, a shell runs the command there, and what the
command leaves there is kept if it ends well. What the stand-in cannot show: the image is not opened, and the command
finds the project's own Python first on its PATH, as in the image.

`STAND_IN_DX` names the folder: the files of the project, and below `.jobs` a record and the log of every job.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(os.environ["STAND_IN_DX"])
JOBS, FILES = ROOT / ".jobs", ROOT / ".files"


def new_id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(12)}"


def record(job: str) -> dict[str, Any]:
    path = JOBS / f"{job}.json"
    if not path.exists():
        sys.exit(f'dxpy.exceptions.ResourceNotFound: "{job}" could not be found, code 404')
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def write(job: str, **content: Any) -> None:
    unfinished = JOBS / f".{job}"
    unfinished.write_text(json.dumps({"id": job, "class": "job"} | content))
    unfinished.rename(JOBS / f"{job}.json")


def file_of(word: str) -> Path:
    """A file of the project by its id or path."""
    link = FILES / word
    path = Path(link.read_text()) if link.exists() else ROOT / word.lstrip("/")
    if not path.is_file():
        sys.exit(f'dxpy.utils.resolver.ResolutionError: Unable to resolve "{word}" to a data object')
    return path


def upload(words: argparse.Namespace) -> None:
    folder = ROOT / words.path.strip("/")
    if not folder.is_dir() and not words.parents:
        sys.exit(f"The specified folder could not be found: {words.path}")
    folder.mkdir(parents=True, exist_ok=True)
    target, name = folder / Path(words.filename).name, new_id("file")
    shutil.copyfile(words.filename, target)
    FILES.mkdir(exist_ok=True)
    (FILES / name).write_text(str(target))
    print(name)


def run(words: argparse.Namespace) -> None:
    if words.executable != "app-swiss-army-knife" or not (words.brief and words.yes):
        sys.exit("the stand-in knows app-swiss-army-knife alone, and asks nobody")
    given = [each.partition("=")[::2] for each in words.input]
    inputs = [str(file_of(value)) for name, value in given if name == "in"]
    single = {name: value for name, value in given if name != "in"}
    file_of(single["image_file"])
    job = new_id("job")
    JOBS.mkdir(exist_ok=True)
    write(job, state="idle", name=words.name, tags=words.tag, instanceType=words.instance_type)
    own = [sys.executable, __file__, "work", job, single["cmd"], str(ROOT / words.destination.strip("/")), *inputs]
    with (JOBS / f"{job}.log").open("wb") as log:
        subprocess.Popen(own, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    print(job)


def work(words: argparse.Namespace) -> None:
    """The worker of a job."""
    folder = JOBS / words.job
    folder.mkdir()
    for each in words.inputs:
        shutil.copy(each, folder)
    given = {path.name for path in folder.iterdir()}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["bash", "-c", words.cmd], cwd=folder, env=os.environ | {"PATH": path}, start_new_session=True
    )
    known = record(words.job)
    write(words.job, **known | {"state": "running", "stand_in_process": shell.pid})
    status = shell.wait()
    if record(words.job)["state"] == "terminated":
        return
    if status != 0:
        reason, message = ("AppError", f"Command failed with code {status}")
        if status < 0:
            reason, message = "UnresponsiveWorker", "The worker was lost"
        write(words.job, **known | {"state": "failed", "failureReason": reason, "failureMessage": message})
        return
    target = Path(words.target)
    target.mkdir(parents=True, exist_ok=True)
    for left in sorted(folder.iterdir()):
        if left.name not in given and not left.name.startswith("."):
            shutil.move(left, target / left.name)
    write(words.job, **known | {"state": "done"})


def describe(words: argparse.Namespace) -> None:
    print(json.dumps(record(words.job)))


def wait(words: argparse.Namespace) -> None:
    for job in words.jobs:
        print(f"Waiting for {job} to finish running...")
        while (state := record(job)["state"]) not in ("done", "failed", "terminated"):
            time.sleep(0.1)
        if state != "done":
            sys.exit(f"dxpy.exceptions.DXJobFailureError: Job has {state}")
        print("Done")


def terminate(words: argparse.Namespace) -> None:
    known = record(words.job)
    write(words.job, **known | {"state": "terminated"})
    os.killpg(known["stand_in_process"], signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="dx", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("upload", allow_abbrev=False)
    for flag in ("--brief", "--wait", "--no-progress", "--parents"):
        one.add_argument(flag, action="store_true")
    one.add_argument("--path", default="/")
    one.add_argument("filename")
    one.set_defaults(call=upload)
    one = commands.add_parser("run", allow_abbrev=False)
    one.add_argument("executable")
    one.add_argument("-i", dest="input", action="append", default=[])
    one.add_argument("--destination", required=True)
    one.add_argument("--name")
    one.add_argument("--tag", action="append", default=[])
    one.add_argument("--instance-type")
    one.add_argument("--priority", choices=("low", "normal", "high"))
    one.add_argument("--ignore-reuse", action="store_true")
    one.add_argument("--brief", action="store_true")
    one.add_argument("-y", dest="yes", action="store_true")
    one.set_defaults(call=run)
    one = commands.add_parser("work")
    for name in ("job", "cmd", "target"):
        one.add_argument(name)
    one.add_argument("inputs", nargs="*")
    one.set_defaults(call=work)
    one = commands.add_parser("describe", allow_abbrev=False)
    one.add_argument("--json", action="store_true", required=True)
    one.add_argument("job")
    one.set_defaults(call=describe)
    one = commands.add_parser("wait", allow_abbrev=False)
    one.add_argument("jobs", nargs="+")
    one.set_defaults(call=wait)
    one = commands.add_parser("terminate", allow_abbrev=False)
    one.add_argument("job")
    one.set_defaults(call=terminate)
    words = parser.parse_args()
    words.call(words)


if __name__ == "__main__":
    main()
