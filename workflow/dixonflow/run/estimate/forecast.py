"""Hours, memory, jobs and time of a run, from those of its pilot. What the pilot does not tell is None, with a note."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import beta, binom

from dixonflow.run.estimate.pilot import EstimateError, Pilot
from dixonflow.run.estimate.target import CONFIDENCE, Amount, Target
from dixonflow.run.resources import RULES
from dixonflow.vocabulary import SHARD_STAGES, Stage, Status

_HOUR = 3600.0


@dataclass(frozen=True)
class StageWork:
    """What a stage costs, for one model or for all.

    Attributes
    ----------
    model
        Empty where all models share the stage.
    pilot_scans, pilot_not_ok
        Scans of the pilot that it rests on, and those of them that the stage excluded or that failed there.
    core_hours
        Time on scans x cores of the job.
    core_hours_not_ok
        The part of them that goes to scans that end excluded or failed, at this stage or later.
    gpu_hours
        A GPU at work.
    gpu_hours_allocated
        A GPU held by a job, idle or not: at most this, because the next scan is resampled and read while the GPU works.
    memory_mb_median, memory_mb_p95, memory_mb_largest
        Memory of the process, over scans; the intervals of the first two are those of order statistics, which assume
        nothing of the distribution, and have no upper limit where there are too few scans for one.
    above_largest
        With 95 % confidence, at most this part of the scans needs more than the largest of the pilot.
    """

    stage: Stage
    model: str
    pilot_scans: int
    pilot_not_ok: int
    core_hours: Amount
    core_hours_not_ok: Amount
    gpu_hours: Amount
    gpu_hours_allocated: Amount
    memory_mb_median: Amount
    memory_mb_p95: Amount
    memory_mb_largest: float | None
    above_largest: float | None


@dataclass(frozen=True)
class Makespan:
    """Time from the first job of a shard to the last (h).

    Attributes
    ----------
    at_least, at_most
        A schedule without any gap, with the lower limits of all intervals; and the bound of any schedule that leaves no
        place idle while a job is ready (Graham RL. SIAM J Appl Math 1969;17:416-429), with the upper limits. Both for
        shards that all take what the mean shard takes.
    """

    at_least: float
    at_most: float


def has_gpu(pilot: Pilot) -> bool:
    """Whether the pilot segmented on a GPU.

    Raises
    ------
    EstimateError
        If it did with some scans only: their times cannot be put together.
    """
    taking = [each.value for each in pilot.config.segment.labels_of_dixon]
    segmented = ~pilot.work["scan"].map(pilot.scans["sequence"]).isin(taking)
    rows = pilot.work[pilot.work["stage"].eq(Stage.SEGMENT.value) & pilot.work["status"].eq(Status.OK.value)]
    used = rows[segmented.loc[rows.index]]["gpu_seconds"].gt(0)
    if used.any() and not used.all():
        raise EstimateError(
            f"the pilot segmented {used.sum()} times on a GPU and {(~used).sum()} times on a CPU: their times do not "
            "belong together; run a pilot on one kind of machine"
        )
    return bool(used.any())


def outcomes(pilot: Pilot, target: Target) -> dict[str, Amount]:
    """Scans that will be ok, excluded and failed.

    The interval is exact for one kind of scans (Clopper CJ, Pearson ES. Biometrika 1934;26:404-413), also where the
    pilot had no such scan, and added up over kinds: too wide rather than too narrow.
    """
    tail = (1 - CONFIDENCE) / 2
    found = {}
    for status in (Status.OK, Status.EXCLUDED, Status.FAILED):
        value = low = high = 0.0
        for kind, number in target.counts.items():
            these = pilot.scans.loc[target.kinds.index[target.kinds.eq(kind)], "status"]
            n, k = len(these), int(these.eq(status.value).sum())
            value += number * k / n
            low += number * (float(beta.ppf(tail, k, n - k + 1)) if k else 0.0)
            high += number * (float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0)
        found[status.value] = Amount(value, low, high)
    return found


def stage_work(pilot: Pilot, target: Target, *, gpu: bool) -> list[StageWork]:
    """Costs of every stage and model that worked on a scan of the pilot that stands for the target's."""
    work = pilot.work[pilot.work["scan"].isin(target.kinds.index)]
    found = []
    for stage in SHARD_STAGES:
        rows = work[work["stage"].eq(stage.value)]
        found += [_one(pilot, target, stage, str(model), part, gpu=gpu) for model, part in rows.groupby("model")]
    return found


def _one(pilot: Pilot, target: Target, stage: Stage, model: str, rows: pd.DataFrame, *, gpu: bool) -> StageWork:
    threads = _threads(pilot, stage)
    rows = rows.set_index("scan")
    rows.loc[rows["peak_memory_mb"].eq(0), ["seconds", "gpu_seconds"]] = np.nan  # killed, or never begun: not measured
    not_ok = pilot.scans["status"].ne(Status.OK.value)
    costs = pd.DataFrame(0.0, pilot.scans.index, ["core", "not_ok", "gpu", "held"])  # nothing where it did not work
    costs.loc[rows.index, "core"] = rows["seconds"] * threads / _HOUR
    costs.loc[rows.index, "gpu"] = rows["gpu_seconds"] / _HOUR
    costs.loc[rows.index, "held"] = rows["seconds"] / _HOUR
    costs["not_ok"] = costs["core"] * not_ok
    totals = target.totals(costs)
    on_gpu = gpu and stage in Stage.SEGMENT.job
    memory = np.sort(rows["peak_memory_mb"][rows["peak_memory_mb"].gt(0)].to_numpy(float))
    return StageWork(
        stage,
        model,
        pilot_scans=len(memory),
        pilot_not_ok=int(rows["status"].ne(Status.OK.value).sum()),
        core_hours=totals["core"],
        core_hours_not_ok=totals["not_ok"],
        gpu_hours=totals["gpu"] if on_gpu else Amount(0.0 if stage is not Stage.SEGMENT else None),
        gpu_hours_allocated=totals["held"] if on_gpu else Amount(0.0 if stage not in Stage.SEGMENT.job else None),
        memory_mb_median=_quantile(memory, 0.5),
        memory_mb_p95=_quantile(memory, 0.95),
        memory_mb_largest=float(memory[-1]) if memory.size else None,
        above_largest=1 - (1 - CONFIDENCE) ** (1 / memory.size) if memory.size else None,
    )


def _quantile(ordered: np.ndarray, part: float) -> Amount:
    """A quantile with its distribution-free interval: Conover WJ, Practical Nonparametric Statistics, section 3.2."""
    n = ordered.size
    if not n:
        return Amount(None)
    tail = (1 - CONFIDENCE) / 2
    low, high = int(binom.ppf(tail, n, part)), int(binom.ppf(1 - tail, n, part)) + 1  # order statistics, from 1
    return Amount(
        float(np.quantile(ordered, part)),
        float(ordered[low - 1]) if low >= 1 else None,
        float(ordered[high - 1]) if high <= n else None,
    )


def shards_of(pilot: Pilot, target: Target, scans_per_shard: int) -> int:
    """Jobs of a stage: those of the list, or what the share of the pilot's scans that went to jobs lets expect."""
    if target.shards is not None:
        return target.shards
    assigned = target.totals(pd.DataFrame({"assigned": pilot.scans["shard"].notna().astype(float)}))["assigned"].value
    return math.ceil((assigned or 0.0) / scans_per_shard)


def makespan(pilot: Pilot, work: Sequence[StageWork], shards: int, gpus: int | None, cores: int) -> Makespan | None:
    """Time of all jobs on so many GPUs and cores, without the queue and the start of jobs.

    A job of `segment` takes a GPU where the pilot used one, and then the cores of the GPU's node, which are not among
    `cores`; else it takes `segment.threads` of them. It resamples the next scan meanwhile, which takes no time at best.

    Returns
    -------
    None where a cost is not known.

    Raises
    ------
    EstimateError
        If a job of `segment` needs more cores.
    """
    gpu = has_gpu(pilot)
    threads = 1 if gpu else pilot.config.segment.threads
    if cores < threads:
        raise EstimateError(f"a job of segment takes {threads} cores (segment.threads): give at least as many --cores")
    if any(row.core_hours.value is None for row in work) or not shards:
        return None

    hours = {which: [_take(row.core_hours, which) for row in work] for which in ("low", "high")}
    hours["low"] = [0.0 if row.stage is Stage.RESAMPLE else each for each, row in zip(hours["low"], work, strict=True)]
    held = {which: sum(_take(row.gpu_hours_allocated, which) for row in work) for which in ("low", "high")}
    if gpu:
        held["low"] = sum(_take(row.gpu_hours, "low") for row in work)  # what is read in advance takes no time
    on_cores = {
        which: sum(each for each, row in zip(found, work, strict=True) if not (gpu and row.stage in Stage.SEGMENT.job))
        for which, found in hours.items()
    }
    alone = {
        which: sum(each / _threads(pilot, row.stage) for each, row in zip(found, work, strict=True)) / shards
        for which, found in hours.items()
    }
    places = gpus or 1
    least = max(held["low"] / places, on_cores["low"] / cores)
    most = held["high"] / places + on_cores["high"] / (cores - threads + 1) + alone["high"]
    return Makespan(max(least, alone["low"]), most)


def _threads(pilot: Pilot, stage: Stage) -> int:
    return pilot.config.segment.threads if stage in Stage.SEGMENT.job else RULES[stage.value].threads


def _take(amount: Amount, which: str) -> float:
    wanted: float | None = getattr(amount, which)
    return (amount.value or 0.0) if wanted is None else wanted


def notes(pilot: Pilot, work: Sequence[StageWork], *, gpu: bool) -> list[str]:
    """What the numbers do not hold, for people."""
    costs = pilot.work
    killed, again = int(costs["peak_memory_mb"].eq(0).sum()), int(costs["attempt"].gt(1).sum())
    found = [
        "on the pilot's hardware, which its tables do not name: other machines differ, nothing is scaled",
        "without the queue, the start of jobs, and the jobs cohort, aggregate and report",
    ]
    if gpu:
        found.append("GPU hours allocated are at most these: a job prepares the next scan while the GPU works")
    else:
        found.append("the pilot segmented on a CPU: GPU hours and the time on GPUs are not known, run a pilot on a GPU")
    if killed:
        found.append(f"{killed} times a scan of the pilot was stopped at a stage without measured costs: not counted")
    if again:
        found.append(f"{again} times the last of several attempts counts alone: earlier ones are not recorded")
    if any(row.core_hours.value is None for row in work):
        found.append("a stage has no measured costs: its hours and the time are not known")
    if any(row.core_hours.low is None for row in work):
        found.append(
            "no interval where the pilot has fewer than 10 participants (of a layout and sequence, if scans are listed)"
        )
    return found
