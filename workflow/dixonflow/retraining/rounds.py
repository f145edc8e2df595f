"""What a round gained: its model against the last one on the frozen test participants, and whether to stop.

Differences are paired by case, and participants are drawn whole in the bootstrap: two cases of one participant are no
two witnesses.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from dixonflow.config.fields import Section
from dixonflow.evaluation.statistics.bootstrap import bootstrap_means, mean_of_known, percentile_interval
from dixonflow.models.model import Model
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.system.atomic import atomic_path, write_bytes

CONFIDENCE = 0.95
DRAWS = 10_000


class StopRule(Section):
    """When further rounds are not worth their corrections.

    Attributes
    ----------
    gain
        Smallest gain of the mean Dice that counts.
    rounds
        Rounds in a row that gain less, with an interval that includes 0, after which to stop.
    """

    gain: float = Field(default=0.005, ge=0, le=1)
    rounds: int = Field(default=2, ge=1, le=20)


@dataclass(frozen=True)
class RoundResult:
    """A row of rounds.csv.

    Attributes
    ----------
    round
        Its number; 0 for the model that the project began with.
    model, model_sha256
        Name of the model, and hash of its weights.
    trained_cases
        Corrected cases that it was trained on; empty for round 0.
    test_cases, test_participants, structures
        What it was measured on.
    mean_dice, dice_low, dice_high
        Mean over structures of the mean over cases, with its 95 % interval; of one participant there is no interval.
    compared_with
        Model of the round before; empty where there is none.
    gain, gain_low, gain_high
        Mean Dice minus that of the round before on the same cases and structures, with its 95 % interval. A structure
        that is not there counts 1 for the model that does not find it and 0 for the one that does.
    stop
        Whether the rule says that further rounds are not worth their corrections.
    """

    round: int
    model: str
    model_sha256: str
    trained_cases: int | None
    test_cases: int
    test_participants: int
    structures: int
    mean_dice: float
    dice_low: float | None
    dice_high: float | None
    compared_with: str = ""
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    stop: bool = False

    @property
    def advice(self) -> str:
        """What to do next, for a person."""
        if self.compared_with == "":
            return "nothing to compare with yet"
        if self.gain_low is None:
            return "one test participant is too few to say whether a round gained: return further test cases"
        return (
            "stop: further rounds are not worth their corrections" if self.stop else "select cases for a further round"
        )


def rounds_file(project: Project) -> Path:
    """Table of all rounds."""
    return project.root / "rounds.csv"


def summarise_round(
    number: int, model: Model, rows: pd.DataFrame, trained_cases: int | None, before: tuple[str, pd.DataFrame] | None
) -> RoundResult:
    """Mean Dice of a round and its gain over the one before.

    Parameters
    ----------
    rows
        As `evaluate_model` gives them.
    before
        Name of the earlier model, and its rows of the same cases.

    Raises
    ------
    RetrainingError
        If both have no structure or case in common, or no structure is in any test case.
    """
    dice = _table(rows)
    if dice.isna().all(axis=None):
        raise RetrainingError(f"no test case has a structure of {model.name}: return other reference masks")
    value, low, high = _mean_and_interval(dice, rows)
    result = RoundResult(
        number,
        model.name,
        model.weights_hash,
        trained_cases,
        len(dice),
        rows["participant"].nunique(),
        int(dice.notna().any().sum()),
        value,
        low,
        high,
    )
    if before is None:
        return result
    name, earlier_rows = before
    earlier = _table(earlier_rows)
    cases, structures = dice.index.intersection(earlier.index), dice.columns.intersection(earlier.columns)
    if cases.empty or structures.empty:
        raise RetrainingError(f"{model.name} and {name} share no test case or structure: they cannot be compared")
    dice, earlier = dice.loc[cases, structures], earlier.loc[cases, structures]
    # null where neither truth nor model has it: if the other model finds it, that one is wrong and this one right
    difference = (dice.fillna(1) - earlier.fillna(1)).mask(dice.isna() & earlier.isna())
    gain = _mean_and_interval(difference, rows)
    return RoundResult(**{**asdict(result), "compared_with": name, **dict(zip(_GAIN, gain, strict=True))})


_GAIN = ("gain", "gain_low", "gain_high")


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.pivot(index="case", columns="structure", values="dice")


def _mean_and_interval(table: pd.DataFrame, rows: pd.DataFrame) -> tuple[float, float | None, float | None]:
    value = float(table.mean().mean())
    people = rows.drop_duplicates("case").set_index("case")["participant"].reindex(table.index)
    if people.nunique() < 2:
        return value, None, None  # draws of one participant are all alike, which is no certainty
    values = table.to_numpy(float)
    draws = bootstrap_means(values, people.tolist(), draws=DRAWS, seed=0)
    low, high = percentile_interval(mean_of_known(draws)[:, None], CONFIDENCE)
    return value, float(low[0]), float(high[0])


def should_stop(rounds: Sequence[RoundResult], rule: StopRule) -> bool:
    """Whether the last rounds all gained less than the rule asks for, with intervals that include 0.

    A round that made it worse does not count as a small gain unless its interval includes 0: look at its cases first.
    """
    last = [each for each in sorted(rounds, key=lambda each: each.round) if each.gain is not None][-rule.rounds :]
    return len(last) == rule.rounds and all(_is_small(each, rule) for each in last)


def _is_small(result: RoundResult, rule: StopRule) -> bool:
    gain, low, high = result.gain, result.gain_low, result.gain_high
    return gain is not None and low is not None and high is not None and gain < rule.gain and low <= 0 <= high


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """Write what one model reached on each test case, without participants."""
    with atomic_path(path) as temporary:
        rows.drop(columns=["participant"]).to_csv(temporary, index=False, float_format="%.6g")


def write_rounds(path: Path, rounds: Sequence[RoundResult]) -> None:
    """Write the table of rounds, in their order."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(RoundResult)], lineterminator="\n")
    writer.writeheader()
    for each in sorted(rounds, key=lambda each: each.round):
        row = {key: "" if value is None else value for key, value in asdict(each).items()}
        writer.writerow({key: f"{value:.6f}" if isinstance(value, float) else value for key, value in row.items()})
    write_bytes(path, text.getvalue().encode())


def read_rounds(path: Path) -> list[RoundResult]:
    """Read the table of rounds; empty where there is none yet.

    Raises
    ------
    RetrainingError
        If it is damaged.
    """
    kinds = {"round": int, "trained_cases": int, "test_cases": int, "test_participants": int, "structures": int}
    texts = {"model", "model_sha256", "compared_with"}
    found = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                values: dict[str, Any] = {}
                for field in fields(RoundResult):
                    text = row[field.name]
                    if field.name in texts:
                        values[field.name] = text
                    elif field.name == "stop":
                        values["stop"] = text == "True"
                    else:
                        values[field.name] = kinds.get(field.name, float)(text) if text else None
                found.append(RoundResult(**values))
    except FileNotFoundError:
        return []
    except (OSError, csv.Error, LookupError, ValueError, TypeError) as error:
        raise RetrainingError(f"{path} is damaged: remove it, and evaluate the rounds again") from error
    return found
