"""The command `dixonflow review` as a user calls it."""

import csv
import hashlib
import json
import signal
import subprocess
import sys
from importlib import resources

import pytest
from review_page import ReviewProcess
from reviewable_run import write_small_run

from dixonflow.ratings.rating import Rating, time_now
from dixonflow.ratings.store import RatingStore
from dixonflow.vocabulary import Cause, Verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, *write_small_run(folder)


def call(folder, *options):
    command = [sys.executable, "-m", "dixonflow", "review", "--config", "config.json", "--no-browser", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "review: name yourself, for example --rater anna"),
        (["--rater", "../x"], "letters (A to Z) and digits"),
        (["--export", "out.csv", "--without-ids"], "review: --export writes ids and comments"),
        (["--rater", "anna", "--list", "none.csv"], "review: the list none.csv cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line(run, options, message):
    done = call(run[0], *options)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_the_address_and_ends_cleanly(run, ending):
    folder, _, scans = run
    (folder / "list.csv").write_text(f"participant_id,session_id\n{scans[0].participant},2\n999,2\n")
    server = ReviewProcess(folder, "--list", "list.csv")
    assert "1 scans on the list are not in the tables" in server.said
    assert server.get("/api/session")["scans"] == 1
    server.process.send_signal(ending)
    assert "review: ended" in server.process.stdout.read()
    assert server.process.wait(30) == 0
    server.kill()


def test_a_damaged_file_of_ratings_is_named_before_the_page_opens(run):
    folder, results, _ = run
    results.ratings.mkdir(exist_ok=True)
    (results.ratings / "carl.jsonl").write_text("{}\n{}\n")
    done = call(folder, "--rater", "anna")
    (results.ratings / "carl.jsonl").unlink()
    assert done.returncode == 1 and "carl.jsonl, line 1 is damaged" in done.stderr


def test_all_ratings_are_exported_as_csv(run):
    folder, results, scans = run
    rating = Rating(scans[0], "demo", "liver", Verdict.FAULTY, Cause.CUT, "dora", time_now(), "", comment="=1+1")
    RatingStore(results.ratings, "dora").add(rating)
    done = call(folder, "--export", "ratings.csv")
    assert done.returncode == 0 and "1 ratings are in ratings.csv" in done.stdout
    with (folder / "ratings.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["participant_id"], row["verdict"], row["comment"]) == (scans[0].participant, "faulty", "'=1+1")


def test_niivue_is_the_file_of_the_package_that_its_record_names():
    folder = resources.files("dixonflow.review") / "static/niivue"
    record = json.loads((folder / "niivue.json").read_text(encoding="utf-8"))
    content = (folder / "niivue.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == record["sha256"]
    assert len(content) < 5_000_000
    assert "BSD 2-Clause" in (folder / "LICENSE.txt").read_text(encoding="utf-8")
