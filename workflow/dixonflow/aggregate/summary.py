"""What became of the scans of a run, in numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from dixonflow.analyse.covariates import Covariates
from dixonflow.vocabulary import Reason, Status


@dataclass(frozen=True)
class Summary:
    """What became of the scans of a run.

    `covariates` has the number of sessions with covariates, and of what could not be used by problem; empty where the
    configuration names no file.

    Raises
    ------
    ValueError
        If the counts do not add up to the scans that went in.
    """

    scans_in: int
    ok: int
    excluded: Mapping[Reason, int]
    failed: Mapping[Reason, int]
    withdrawn: int
    covariates: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        out = self.ok + sum(self.excluded.values()) + sum(self.failed.values()) + self.withdrawn
        if out != self.scans_in:
            raise ValueError(f"{self.scans_in} scans in, but {out} scans out")


def summarise(scans: pd.DataFrame, people: Covariates | None = None) -> Summary:
    """Count the scans by status and reason, and the covariates that were found."""

    def by_reason(status: Status) -> dict[Reason, int]:
        counts = Counter(scans.loc[scans["status"].eq(status.value), "reason"])
        return {reason: counts[reason.value] for reason in Reason if counts[reason.value]}

    return Summary(
        scans_in=len(scans),
        ok=int(scans["status"].eq(Status.OK.value).sum()),
        excluded=by_reason(Status.EXCLUDED),
        failed=by_reason(Status.FAILED),
        withdrawn=int(scans["status"].eq(Status.WITHDRAWN.value).sum()),
        covariates={} if people is None else _of_people(people),
    )


def _of_people(people: Covariates) -> dict[str, int]:
    problems = {f"  {name}": count for name, count in people.counts().items()}
    return {"with covariates": len(people.rows), **problems, "  withdrawn": people.withdrawn}


def format_summary(summary: Summary) -> str:
    """Render a summary as a few aligned lines for the terminal."""
    lines = [("scans in", summary.scans_in), ("ok", summary.ok)]
    for status, counts in ((Status.EXCLUDED, summary.excluded), (Status.FAILED, summary.failed)):
        lines.append((status.value, sum(counts.values())))
        lines += [(f"  {reason.value}", count) for reason, count in counts.items()]
    lines.append((Status.WITHDRAWN.value, summary.withdrawn))
    lines += [(name, count) for name, count in summary.covariates.items() if count or not name.startswith(" ")]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {count:>7}" for name, count in lines)
