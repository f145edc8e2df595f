"""The server: who gets an answer, and which."""

import http.client
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from reviewable_run import label_key, write_small_run
from synthetic_tables import MODEL

from dixonflow.ratings.store import read_ratings
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.review.cases import ReviewError, read_cases
from dixonflow.review.room import ReviewOptions, open_room
from dixonflow.review.server import ReviewServer
from dixonflow.tables.definitions import SCANS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.vocabulary import ScanSequence


class Client:
    """Asks a server that runs in a thread of this process."""

    def __init__(self, results, **options):
        options = ReviewOptions(**{"rater": "anna", **options})
        cases = read_cases(results, with_ids=not options.without_ids)
        self.room = open_room(results, {ScanSequence.DIXON: (MODEL,)}, cases, options)
        self.server = ReviewServer(self.room, 0)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.cookie = self.server.access.cookie().partition(";")[0]
        self.post_token = self.server.access.post_token

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
        headers = {name.replace("_", "-"): value for name, value in {"Cookie": self.cookie, **headers}.items()}
        connection.request(method, path, body, {name: value for name, value in headers.items() if value is not None})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers

    def json(self, path):
        status, body, _ = self.ask(path)
        assert status == 200, body
        return json.loads(body)

    def rate(self, rating, **headers):
        status, body, _ = self.ask(
            "/api/ratings", "POST", json.dumps(rating), X_Review_Token=self.post_token, **headers
        )
        return status, json.loads(body)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_small_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def client(run):
    return Client(run[0])


def key_of(scan):
    return Path(sheet_name(scan, f"key of {scan.participant}")).stem


def a_rating(scan, **changes):
    return {
        **{"rating_id": "r1", "key": key_of(scan), "model": "demo", "structure": "liver", "verdict": "faulty"},
        **{"cause": "network", "comment": "", "label_map_key": label_key(scan)},
        **{"rated_at": "2026-12-01T10:00:00.000Z", "blinded": False, "withdrawn": False, **changes},
    }


def test_only_the_address_that_was_printed_opens_the_page(client):
    address = client.server.address
    assert address.startswith("http://127.0.0.1:")
    status, _, headers = client.ask("/" + address.rpartition("/")[2], Cookie=None)
    assert (status, headers["Location"]) == (303, "/")
    assert headers["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert client.ask("/?token=guess", Cookie=None)[0] == 403
    for path in ("/api/session", "/api/list", "/case/x", "/picture/x/axial", "/volume/x/water.nii.gz", "/sheet/x"):
        assert client.ask(path, Cookie=None)[0] == 401
        assert client.ask(path, Cookie=client.cookie[:-1])[0] == 401
    assert client.ask("/", Cookie=None)[0] == 200  # the page itself holds nothing of the data


def test_names_of_other_machines_are_refused(client):
    for host in ("attacker.example", "attacker.example:8650", "127.0.0.1.attacker.example", "[", ""):
        assert client.ask("/api/session", Host=host)[0] == 403
        assert client.ask("/?token=" + client.server.access.token, Host=host, Cookie=None)[0] == 403
    assert client.ask("/api/session", Host="localhost:9000")[0] == 200  # the near end of a tunnel


def test_every_answer_forbids_what_comes_from_elsewhere(client):
    for path in ("/", "/static/main.js", "/api/session", "/nothing"):
        headers = client.ask(path)[2]
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'") and "http" not in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_rating_needs_the_token_of_the_page(client, run):
    scan, before = run[1][0], len(read_ratings(run[0].ratings))
    body = json.dumps(a_rating(scan))
    assert client.ask("/api/ratings", "POST", body)[0] == 403
    assert client.ask("/api/ratings", "POST", body, X_Review_Token="guess")[0] == 403
    assert client.rate(a_rating(scan), Cookie=None)[0] == 401
    assert client.rate(a_rating(scan), Origin="http://attacker.example")[0] == 403
    assert client.rate(a_rating(scan), Host="attacker.example")[0] == 403
    assert len(read_ratings(run[0].ratings)) == before


def test_a_rating_is_on_the_disk_when_it_is_acknowledged_and_counts_once(client, run):
    scan = run[1][1]
    rating = a_rating(scan, rating_id="once", comment="left lobe")
    for _ in range(2):
        status, answer = client.rate(rating)
        assert status == 201
    (said,) = answer["ratings"]
    assert (said["verdict"], said["cause"], said["structure"], said["own"]) == ("faulty", "network", "liver", True)
    (kept,) = [each for each in read_ratings(run[0].ratings) if each.rating_id == "once"]
    assert (kept.scan, kept.rater, kept.comment, kept.label_map_key) == (scan, "anna", "left lobe", label_key(scan))


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "superb"},
        {"cause": None},
        {"structure": "tail"},
        {"structure": ["liver"]},
        {"model": "none"},
        {"rated_at": "now"},
        {"rating_id": "../x"},
        {"label_map_key": 5},
        {"withdrawn": "no"},
        {"blinded": 0},
        {"comment": "\x00"},
        {"extra": 1},
    ],
)
def test_a_rating_that_cannot_be_is_refused_with_words(client, run, changes):
    status, answer = client.rate(a_rating(run[1][0], **changes))
    assert status == 400 and answer["error"]


def test_a_rating_that_cannot_be_written_now_is_to_be_sent_again(run):
    results, scans = run
    client = Client(results, rater="carl")
    client.rate(a_rating(scans[2], rating_id="first"))
    path = results.ratings / "carl.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"damaged\n" + whole)
    try:
        status, answer = client.rate(a_rating(scans[2], rating_id="second"))
        assert status == 503 and "carl.jsonl, line 1 is damaged" in answer["error"]
    finally:
        path.write_bytes(whole)
    assert client.rate(a_rating(scans[2], rating_id="second"))[0] == 201
    assert {each.rating_id for each in read_ratings(results.ratings)} >= {"first", "second"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"key": {}}', b"\xff", b"[" * 50_000, b"{}" * 60_000])
def test_bodies_that_are_no_rating_are_refused(client, body):
    assert client.ask("/api/ratings", "POST", body, X_Review_Token=client.post_token)[0] in (400, 404, 413)


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/volume/{key}/../../scans.parquet",
        "/volume/{key}/opposedphase.nii.gz",
        "/sheet/..%2f..%2fx",
        "/picture/{key}/oblique?model=demo",
        "/picture/{key}/axial?model=demo&structures=tail",
        "/picture/{key}/axial?model=demo&index=-1",
        "/picture/{key}/axial?model=../x",
        "/api/rows?at=1,x",
        "/api/rows?at=999999999",
        "/api/list?sort=x",
        "/api/list?" + "&".join(f"a{n}=1" for n in range(100)),
        "/case/00000000000000000000",
        "/api/agreement?first=a&second=a",
    ],
)
def test_addresses_that_lead_nowhere_are_refused(client, run, path):
    status, body, headers = client.ask(path.format(key=key_of(run[1][0])))
    assert status in (400, 404)
    assert headers["Content-Type"].startswith("application/json")
    assert b"Traceback" not in body and str(run[0].root).encode() not in body


def test_pictures_and_images_of_a_case_are_served(client, run):
    key = key_of(run[1][0])
    status, png, headers = client.ask(f"/picture/{key}/coronal?model=demo&structures=liver&index=")
    facts = json.loads(headers["X-Review-Picture"])
    assert status == 200 and png.startswith(b"\x89PNG")
    assert facts["panels"] == ["water", "label map on in-phase", "fat"] and facts["notes"] == []
    assert facts["label_map_key"] == label_key(run[1][0])
    wanted = f"/volume/{key}/labels.nii.gz?model=demo&label_map_key={label_key(run[1][0])}"
    assert client.ask(wanted)[1] == run[0].labels(run[1][0], "demo").read_bytes()
    assert client.json(f"/colours/{key}?model=demo")["liver"][0] == 5


def test_what_a_case_is_told_names_checks_and_structures(client, run):
    detail = client.json(f"/case/{key_of(run[1][7])}")
    assert [each["structures"] for each in detail["focuses"]] == [["liver"], ["kidney_left"]]
    assert {each["check"] for each in detail["objections"]} == {"contrast_agreement"}
    assert detail["models"][0]["label_map_key"] == label_key(run[1][7])
    places = np.frombuffer(client.ask("/api/list?check=contrast_agreement")[1], "<u4").tolist()
    rows = client.json(f"/api/rows?at={','.join(map(str, places))}")
    assert [row["key"] for row in rows].count(detail["key"]) == 1


def test_a_blinded_rater_is_told_neither_grades_nor_checks_nor_other_ratings(run, client):
    scan = run[1][7]
    client.rate(a_rating(scan, rating_id="seen"))
    blind = Client(run[0], rater="bert", blinded=True, seed=4)
    detail, session = blind.json(f"/case/{key_of(scan)}"), blind.json("/api/session")
    assert (detail["objections"], detail["focuses"], detail["ratings"], detail["note"]) == ([], [], [], "")
    assert not {"grade", "checks", "failed", "review"} & set(detail)
    assert session["raters"] == [] and "check" not in session["filters"]
    assert blind.ask("/api/list?sort=worst")[0] == 400
    assert blind.ask("/api/agreement?first=anna&second=bert")[0] == 403
    assert (
        blind.rate(a_rating(scan, rating_id="own", verdict="good", cause=None, blinded=True))[1]["ratings"][0]["rater"]
        == "bert"
    )
    assert [each.blinded for each in read_ratings(run[0].ratings) if each.rater == "bert"] == [True]


def test_a_verdict_is_blinded_if_it_was_given_so_and_the_next_one_has_to_be_later_than_all(run):
    scan, open_to_all = run[1][3], Client(run[0], rater="dora")
    assert open_to_all.json(f"/case/{key_of(scan)}")["last_rated_at"] == ""
    late = a_rating(scan, rating_id="late", blinded=True)  # given to an earlier server, and sent to this one
    assert open_to_all.rate(late)[0] == 201
    taken_back = {**late, "rating_id": "back", "rated_at": "2026-12-01T11:00:00.000Z", "withdrawn": True}
    answer = open_to_all.rate(taken_back)[1]
    assert (answer["ratings"], answer["last_rated_at"]) == ([], taken_back["rated_at"])
    assert answer["label_map_keys"] == {"demo": label_key(scan)}
    assert answer["name"] == f"{scan.participant}, session 2"
    for client in (open_to_all, Client(run[0], rater="dora"), Client(run[0], rater="emil")):
        said = client.json(f"/case/{key_of(scan)}")["last_rated_at"]
        assert said == ("" if client.room.options.rater == "emil" else taken_back["rated_at"])
    assert [each.blinded for each in read_ratings(run[0].ratings) if each.rater == "dora"] == [True, True]


def test_without_ids_messages_name_no_other_participant(tmp_path):
    results, scans = write_small_run(tmp_path)
    rows = read_table(results.scan_table, SCANS).to_pandas()
    rows.loc[rows["status"].ne("ok"), "message"] = f"as 2 of {scans[0].participant}, sub-{scans[1].participant}_ses-2"
    write_table(results.scan_table, SCANS, rows)
    hidden = Client(results, without_ids=True)
    cases = [hidden.json(f"/case/{hidden.room.cases.at(place).key}") for place in range(len(hidden.room.cases))]
    assert {each["message"] for each in cases if each["status"] != "ok"} == {"as 2 of (id), sub-(id)_ses-2"}


def test_without_ids_no_answer_has_one(run):
    hidden = Client(run[0], without_ids=True)
    count = len(hidden.room.cases)
    answers = [hidden.ask("/api/session")[1], hidden.ask(f"/api/rows?at={','.join(map(str, range(count)))}")[1]]
    for row in json.loads(answers[1]):
        _, body, headers = hidden.ask(f"/case/{row['key']}")
        answers += [body, str(headers).encode()]
    ids = [case.scan.participant.encode() for case in map(hidden.room.cases.at, range(count))]
    assert [each for each in ids for answer in answers if each in answer] == []
    assert hidden.json("/api/rows?at=0")[0]["name"] == "case 1"


def test_a_taken_port_is_an_error_that_says_what_to_do(client):
    with pytest.raises(ReviewError, match="--port"):
        ReviewServer(client.room, client.server.server_port)
