"""What the page is told about cases: no more than the rater may see."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.ratings.rating import Rating
from dixonflow.report.figures import number
from dixonflow.review.cases import Case
from dixonflow.review.images import drawn_contrasts, label_map_key
from dixonflow.review.room import Room
from dixonflow.vocabulary import Cause, Grade, ScanId, Status, Verdict

_MOST_NAMED = 4  # objections in a row of the list


def session_content(room: Room, post_token: str) -> dict[str, Any]:
    """What holds for the whole page: who rates, what can be filtered, the words of verdicts."""
    options, scans, objections = room.options, room.cases.scans, room.cases.objections
    named = {} if options.blinded else {each: _words(objections[each]) for each in ("check", "structure", "model")}
    grades = [] if options.blinded else [each for each in (*Grade, "none") if _has(scans["scan_grade"], each)]
    return {
        "rater": options.rater,
        "blinded": options.blinded,
        "with_ids": not options.without_ids,
        "seed": options.seed,
        "cohort": room.cohort,
        "server": room.server,
        "post_token": post_token,
        "scans": len(room.cases),
        "filters": {
            "status": [each for each in Status if _has(scans["status"], each)],
            "sequence": sorted(scans["sequence"].unique()),
            "grade": grades,
            **named,
        },
        "verdicts": list(Verdict),
        "causes": [{"cause": cause, "anatomy": cause.is_anatomy} for cause in Cause],
        "raters": [] if options.blinded else sorted({each.rater for each in room.judgements.everything()}),
    }


def _has(column: pd.Series, word: str) -> bool:
    return bool(column.eq("" if word == "none" else word).any())


def _words(column: pd.Series) -> list[str]:
    return sorted(str(word) for word in column.unique() if word)


def _scan_content(room: Room, case: Case) -> dict[str, Any]:
    """What list and view show of a case."""
    row = case.row
    content: dict[str, Any] = {
        "key": case.key,
        "position": case.position,
        "name": case.name(with_ids=not room.options.without_ids),
        "status": row["status"],
        "reason": "" if case.is_ok else row["reason"],
    }
    if not room.options.blinded:
        content |= {
            "grade": row["scan_grade"],
            "failed": int(row["values_failed"]),
            "review": int(row["values_to_review"]),
        }
    return content


def row_content(room: Room, case: Case) -> dict[str, Any]:
    """What a row of the list shows."""
    said = room.judgements.of_scan(case.scan)
    content = _scan_content(room, case)
    content["ratings"] = [[each.rater, each.verdict, each.structure or ""] for each in said]
    if not room.options.blinded:
        found = room.cases.objections_to(case)
        names = [
            f"{check} {structure}".strip().replace("_", " ")
            for check, structure in found[["check", "structure"]].itertuples(index=False, name=None)
        ]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        content["checks"] = ", ".join(names[:_MOST_NAMED]) + more
    return content


def case_content(room: Room, case: Case) -> dict[str, Any]:
    """What the view of one case shows, but for the pictures."""
    row, blinded = case.row, room.options.blinded
    models = room.models.get(case.scan.sequence, ())
    message, note = (room.cases.masked(str(row[name])) for name in ("message", "note"))
    said = said_content(room, case)
    keys = said["label_map_keys"]
    return {
        **_scan_content(room, case),
        "message": message,
        "note": "" if blinded else note,
        "sheet": bool(case.sheet) and (room.results.contact_sheets / case.sheet).is_file(),
        "models": [_model_content(room.results, case.scan, model, keys[model.name]) for model in models]
        if case.is_ok
        else [],
        "objections": [] if blinded else [_objection(each) for each in _rows(room.cases.objections_to(case))],
        "focuses": [] if blinded else _focuses(room.cases.objections_to(case), models),
        "contrasts": [contrast.acq for contrast in drawn_contrasts(case.scan.sequence)],
        **said,
    }


def said_content(room: Room, case: Case) -> dict[str, Any]:
    """What was said of a case, and when the rater said something last."""
    judgements = room.judgements
    return {
        "ratings": [rating_content(room, each) for each in judgements.of_scan(case.scan)],
        "last_rated_at": judgements.last_time(case.scan),
        "label_map_keys": {
            model.name: label_map_key(room.results, case.scan, model.name)
            for model in room.models.get(case.scan.sequence, ())
        },
    }


def _rows(rows: pd.DataFrame) -> list[Mapping[Any, Any]]:
    return rows.to_dict("records")  # type: ignore[return-value]


def _model_content(results: Results, scan: ScanId, model: Model, key: str) -> dict[str, Any]:
    return {
        "name": model.name,
        "structures": list(model.structures),
        "composites": list(model.composites),
        "label_map_key": key,
        "has_labels": results.labels(scan, model.name).is_file(),
    }


def _objection(row: Mapping[Any, Any]) -> dict[str, Any]:
    check = CHECKS.get(str(row["check"]))
    value, limit = (None if pd.isna(row[name]) else number(float(row[name])) for name in ("value", "threshold"))
    side = check.passes.replace("_", " ") if check else ""
    unit = check.unit if check and check.unit not in ("", "1") else ""
    return {
        "check": row["check"],
        "structure": row["structure"],
        "model": row["model"],
        "grade": row["grade"],
        "value": "no value" if value is None else f"{value} {unit}".strip(),
        "limit": "" if limit is None else f"{side} {limit}".strip(),
        "place": row["place"],
        "definition": check.definition if check else "",
        "advice": check.advice if check else "",
    }


def _focuses(objections: pd.DataFrame, models: Iterable[Model]) -> list[dict[str, Any]]:
    """Structures that the objections name, the worst first, each set once."""
    of_name = {model.name: model for model in models}
    found: list[dict[str, Any]] = []
    for check, structure, name in objections[["check", "structure", "model"]].itertuples(index=False, name=None):
        if name not in of_name:
            continue
        structures = [structure] if structure else list(CHECKS[check].needs) if check in CHECKS else []
        each = {"check": check, "model": name, "structures": structures}
        known = any(other["model"] == name and other["structures"] == structures for other in found)
        if structures and set(structures) <= set(of_name[name].regions) and not known:
            found.append(each)
    return found


def rating_content(room: Room, rating: Rating) -> dict[str, Any]:
    """One rating for the page."""
    own = rating.rater == room.judgements.rater
    return {
        "rating_id": rating.rating_id,
        "rater": rating.rater,
        "own": own,
        "model": rating.model,
        "structure": rating.structure,
        "verdict": rating.verdict,
        "cause": rating.cause,
        "comment": "" if room.options.without_ids else rating.comment,
        "rated_at": rating.rated_at,
        "label_map_key": rating.label_map_key,
    }
