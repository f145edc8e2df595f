"""Marks that request the next run to process a shard, or to inspect the raw data, again.

Snakemake compares the number that a mark gives with the one it recorded, so that the same command reruns only what has
failed scans with attempts left or lost files, and nothing once all is well. Where memory ran out, the mark asks for
more of it.
"""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace

from dixonflow.paths import Results
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import Reason, Stage

log = logging.getLogger(__name__)

MOST_MEMORY = 8
"""Largest factor on the memory of a job."""

COHORT = Stage.COHORT.value
"""Name of the mark of the cohort stage, in addition to those of the shards."""

TABLES = "tables"
"""Name of the mark of the tables."""


@dataclass(frozen=True)
class Failure:
    """A scan that failed, and at which attempt."""

    reason: Reason
    attempt: int


@dataclass(frozen=True)
class Retry:
    """What earlier runs ask for.

    Attributes
    ----------
    looks
        How often another look has been asked for, the one that `failed` may ask for left out.
    memory
        Factor on the memory of the jobs.
    failed
        Smallest number of attempts of the failed scans, by the stage that they failed at.
    """

    looks: int = 0
    memory: int = 1
    failed: Mapping[str, int] = field(default_factory=dict)

    def number(self, max_attempts: int) -> int:
        """Give the number for Snakemake: one more while a failed scan has attempts left, however many it may have."""
        return self.looks + any(attempt < max_attempts for attempt in self.failed.values())


def read_retry(results: Results, name: str) -> Retry:
    """Read the mark of a shard, `COHORT` or `TABLES`. One that cannot be read counts as none: that is a change too."""
    path = results.retry(name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Retry(int(content["looks"]), int(content["memory"]), dict(content.get("failed", {})))
    except FileNotFoundError:
        return Retry()
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("mark %s cannot be read: %s", path, type(error).__name__)
        return Retry()


def request_retry(results: Results, name: str, *, more_memory: bool = False) -> None:
    """Ask the next run for another look, with twice the memory where that ran out."""
    before = read_retry(results, name)
    memory = _doubled(before.memory) if more_memory else before.memory
    write_json(results.retry(name), asdict(replace(before, looks=before.looks + 1, memory=memory)))


def record_failures(results: Results, name: str, stage: str, failures: Collection[Failure], max_attempts: int) -> None:
    """Write down what failed at a stage when it was done, and ask for another look while there are attempts left.

    Where there are none, it is written down all the same, so that a larger `max_attempts` is seen.

    Parameters
    ----------
    failures
        All scans that have failed at the stage so far; none where all is well.
    """
    before = read_retry(results, name)
    failed = {each: attempt for each, attempt in before.failed.items() if each != stage}
    if failures:
        failed[stage] = min(failure.attempt for failure in failures)
    again = [failure for failure in failures if failure.attempt < max_attempts]
    # Without attempts left the number stays what this run began with, and Snakemake recorded.
    number = before.number(max_attempts) + bool(again)
    tried = again or (failures if failed.get(stage) != before.failed.get(stage) else ())
    hungry = any(failure.reason is Reason.OUT_OF_MEMORY for failure in tried)
    after = Retry(0, _doubled(before.memory) if hungry else before.memory, failed)
    after = replace(after, looks=number - after.number(max_attempts))
    if after != before:
        write_json(results.retry(name), asdict(after))


def _doubled(memory: int) -> int:
    return min(2 * memory, MOST_MEMORY)
