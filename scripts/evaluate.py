#!/usr/bin/env python3
"""Evaluate label maps against the truth of the phantom, with confidence intervals."""

import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dixonflow.cohort.discover import discover
from dixonflow.config import Config, demo_config, parse_config
from dixonflow.errors import DixonflowError
from dixonflow.evaluation.accuracy import Summary, summarise
from dixonflow.evaluation.phantom import evaluate_demo_scan, fat_fraction_errors, table_of
from dixonflow.evaluation.swaps import evaluate_scan as evaluate_swaps
from dixonflow.evaluation.swaps import swap_rates
from dixonflow.evaluation.targets import Targets, Violation, evaluation_record, violations
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.phantom.demo_cohort import DemoOptions, make_scan
from dixonflow.phantom.demo_scans import DEMO_SCANS, UNEVEN_SCANS, DemoScan, further_scans
from dixonflow.rawdata.raw_scan import Source
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.vocabulary import SHARD_STAGES, Layout, MergeStrategy, ScanId, Stage, Status

WEIGHTS = demo_config().segment.weights

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

ModelOption = Annotated[str, typer.Option("--model", help="Name of the model, as in docs/models.md.")]
OutputOption = Annotated[Path, typer.Option("--output", help="Folder for evaluation.json, structures.csv, scans.csv.")]
CheckOption = Annotated[bool, typer.Option("--check", help="Exit with status 1 if a target is missed.")]


@app.command()
def finished(
    results: Annotated[Path, typer.Option(help="Results folder of a run of the demo.")] = Path("results"),
    model: ModelOption = "demo",
    uneven: Annotated[
        bool, typer.Option("--uneven", help="The second cohort, of make_demo_cohort.py --uneven.")
    ] = False,
    further: Annotated[
        int, typer.Option("--further", min=0, help="The cohort of so many others, of make_demo_cohort.py --further.")
    ] = 0,
    output: OutputOption = Path("results/evaluation"),
    check: CheckOption = False,
) -> None:
    """Evaluate the finished label maps of the demo cohort (its 12 intact scans), or of another one."""
    try:
        chosen = load_model(MODELS / f"{model}.yaml", WEIGHTS)
        cohort = further_scans(further) if further else UNEVEN_SCANS if uneven else DEMO_SCANS
        items = [item for item in cohort if item.expected[0] is Status.OK]
        folder = Results(results)
        parts = (evaluate_demo_scan(item, folder, chosen, table_of(folder, item.scan, chosen)) for item in items)
        report(track(parts, "scans", total=len(items), console=Console(stderr=True)), output, check)
    except DixonflowError as error:
        sys.exit(f"evaluate: {error}")


@app.command()
def held_out(
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first participant.")] = 300000,
    participants: Annotated[int, typer.Option(min=1, help="Number of participants, with consecutive seeds.")] = 20,
    model: ModelOption = "demo",
    interpolate: Annotated[
        str | None, typer.Option(help="scores, probabilities or nearest, as in segment.interpolate.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    strategy: Annotated[
        list[MergeStrategy] | None,
        typer.Option(help="How contrasts are merged; repeat it to compare. Default: all."),
    ] = None,
    output: OutputOption = Path("results/evaluation"),
    check: CheckOption = False,
) -> None:
    """Simulate scans of phantom participants not used in training, segment them and evaluate the labels.

    Participants alternate between the protocols of UK Biobank and NAKO. With several strategies each has its
    own subfolder of the output folder.
    """
    try:
        chosen = load_model(MODELS / f"{model}.yaml", WEIGHTS)
        asked = {"segment": {"interpolate": interpolate, "threads": threads, "device": device}}
        config = parse_config(demo_config().model_dump() | asked)
        strategies = strategy or list(MergeStrategy)
        parts: dict[MergeStrategy, list[pd.DataFrame]] = {chosen_strategy: [] for chosen_strategy in strategies}
        layouts = (Layout.UKB, Layout.NAKO)
        with tempfile.TemporaryDirectory(prefix="dixonflow-") as folder:
            for place in track(range(participants), "participants", console=Console(stderr=True)):
                item = DemoScan(ScanId(f"{first_seed + place}", "2"), layouts[place % 2], first_seed + place)
                for name, found in evaluate_scan(item, config, chosen, strategies, Path(folder) / str(place)).items():
                    parts[name].append(found)
        if len(strategies) == 1:
            report(parts[strategies[0]], output, check)
            return
        for name in strategies:
            typer.echo(f"\nmerge strategy {name}")
            report(parts[name], output / name, check=False)
        compare_strategies(parts)
    except DixonflowError as error:
        sys.exit(f"evaluate: {error}")


@app.command()
def swaps(
    scans: Annotated[int, typer.Option(min=1, help="Number of phantom scans, of five stations on average.")] = 420,
    output: Annotated[Path, typer.Option(help="Table of the scans; those that it holds are not done again.")] = Path(
        "results/evaluation/swaps.csv"
    ),
) -> None:
    """Plant swaps of water and fat in stations, halves and whole scans, and count what is found and repaired."""
    done = pd.read_csv(output) if output.exists() else pd.DataFrame({"scan": []})
    open_scans = sorted(set(range(scans)) - set(done["scan"]))
    for number in track(open_scans, "scans", console=Console(stderr=True)):
        done = pd.concat([done, pd.DataFrame(evaluate_swaps(number))], ignore_index=True)
        write_bytes(output, done.to_csv(index=False).encode())
    rates = swap_rates(done)
    typer.echo("| body mass index | scans | stations | station | half | whole scan | specificity | smallest margin |")
    typer.echo("|---|---|---|---|---|---|---|---|")
    for row in rates.to_dict("records"):
        shares = " | ".join(f"{100 * row[each]:.2f} %" for each in ("station", "half", "scan", "specificity"))
        typer.echo(f"| {row['size']} | {row['scans']} | {row['stations']} | {shares} | {row['smallest_margin']:.1f} |")
    typer.echo(f"written to {output}")


def evaluate_scan(
    item: DemoScan,
    config: Config,
    model: Model,
    strategies: Sequence[MergeStrategy],
    folder: Path,
    options: DemoOptions | None = None,
) -> dict[MergeStrategy, pd.DataFrame]:
    """Scan a phantom participant, run the stages of the workflow on the raw data, and compare.

    Parameters
    ----------
    strategies
        How contrasts are merged; the scan is stitched once for all of them.
    folder
        For raw data and results; removed at the end.
    options
        Resolution; that of the demo by default.

    Returns
    -------
    Rows of `evaluate_demo_scan` for each strategy.
    """
    options = options or DemoOptions()
    make_scan(item, folder / "raw", options)
    (found,) = discover([Source(item.layout, folder / "raw")]).scans
    rows, results = {}, Results(folder / "results")
    done: set[Stage] = set()
    for strategy in strategies:
        keep = config.keep.model_copy(update={"temporary": True})
        settings = config.model_copy(
            update={"merge": config.merge.model_copy(update={"strategy": strategy}), "keep": keep}
        )
        context = StageContext(settings, (model,), model, results, "held-out")
        for stage in SHARD_STAGES:
            if stage not in done:
                measured = stage_work(stage, context).by_hand(found.raw)
        table = pd.DataFrame(measured.payload["measurements"])
        rows[strategy] = evaluate_demo_scan(item, results, model, table, options)
        done = {Stage.STITCH, Stage.RESAMPLE}
    shutil.rmtree(folder)
    return rows


def report(parts: Iterable[pd.DataFrame], output: Path, check: bool) -> None:
    """Summarise, print and write the comparisons."""
    comparisons = pd.concat(parts, ignore_index=True)
    summary = summarise(comparisons)
    fat_errors = fat_fraction_errors(comparisons, Targets().fat_fraction_regions)
    missed = violations(summary, fat_errors)
    show(summary, fat_errors, missed)
    write_json(output / "evaluation.json", evaluation_record(summary, fat_errors, missed))
    write_bytes(output / "structures.csv", summary.structures.to_csv(index=False).encode())
    write_bytes(output / "scans.csv", comparisons.to_csv(index=False).encode())
    typer.echo(f"written to {output}")
    if check and missed:
        raise typer.Exit(1)


def compare_strategies(parts: dict[MergeStrategy, list[pd.DataFrame]]) -> None:
    """Print what decides between merge strategies, one line each."""
    table = Table(title="median absolute errors; volume: mean over structures of 50 mL and more")
    targets = Targets()
    for name in ("strategy", "mean Dice", "smallest", "volume", *targets.compartments, "targets missed"):
        table.add_column(name, justify="left" if name == "strategy" else "right", no_wrap=True)
    for strategy, frames in parts.items():
        comparisons = pd.concat(frames, ignore_index=True)
        summary = summarise(comparisons)
        missed = violations(summary, fat_fraction_errors(comparisons, targets.fat_fraction_regions))
        rows = summary.structures.set_index("structure")
        single = rows[~rows["composite"]]
        large = single[single["median_true_ml"] >= targets.volume_ml]
        table.add_row(
            strategy,
            f"{summary.mean_dice.value:.3f}",
            f"{single['mean_dice'].min():.3f}",
            f"{large['median_absolute_error_percent'].mean():.1f} %",
            *(f"{error:.1f} %" for error in rows["median_absolute_error_percent"].reindex(targets.compartments)),
            f"{len(missed)}",
        )
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def show(summary: Summary, fat_errors: pd.DataFrame, missed: list[Violation]) -> None:
    """Print the tables."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table(title=f"{summary.scans} scans; intervals are 95 % bootstrap over participants")
    for name in ("structure", "n", "mL", "Dice", "95 % CI", "smallest", "volume error", "absolute", "95 % CI", "grid"):
        table.add_column(name, justify="left" if name == "structure" else "right", no_wrap=True)
    for row in summary.structures.sort_values(["composite", "mean_dice"]).to_dict("records"):
        table.add_row(
            f"{row['structure']}{' *' if row['composite'] else ''}",
            f"{row['n']}",
            f"{row['median_true_ml']:.0f}",
            f"{row['mean_dice']:.3f}",
            f"{row['dice_low']:.3f} - {row['dice_high']:.3f}",
            f"{row['smallest_dice']:.3f}",
            f"{row['median_error_percent']:+.1f} %",
            f"{row['median_absolute_error_percent']:.1f} %",
            f"{row['error_low']:.1f} - {row['error_high']:.1f}",
            f"{row['median_grid_error_percent']:.1f} %",
        )
    console.print(table)
    console.print(
        "* composite of several structures, not in the means. grid: error of the true labels on these voxels."
    )
    mean = summary.mean_dice
    console.print(f"mean Dice over structures {mean.value:.3f} ({mean.low:.3f} - {mean.high:.3f})", highlight=False)
    single = summary.structures[~summary.structures["composite"]]
    for least in single.nsmallest(1, "mean_dice").to_dict("records"):
        console.print(f"smallest mean Dice {least['mean_dice']:.3f} ({least['structure']})", highlight=False)
    for region, error in fat_errors.to_dict("index").items():
        console.print(
            f"fat fraction of {region}: absolute error {error['median']:.2f} points in the median scan, "
            f"{error['worst']:.2f} in the worst; {error['to_true_mean']:+.2f} from the true mean; "
            f"of sums {error['of_sums']:.2f}",
            highlight=False,
        )
    console.print("targets: all met" if not missed else f"targets: {len(missed)} missed")
    for miss in missed:
        console.print(f"  {miss.structure}: {miss.measure} {miss.value:.3f}, bound {miss.bound:g}", highlight=False)


if __name__ == "__main__":
    app()
