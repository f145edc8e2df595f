#!/usr/bin/env python3
"""Run the loop of retraining on phantom participants over several rounds and write what each round reached."""

import csv
import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import run
from dixonflow.trials.retraining_loop import Loop


def main(
    folder: Annotated[Path, typer.Option(help="Working folder; what is finished there is not done again.")] = Path(
        "retraining-loop"
    ),
    table: Annotated[Path, typer.Option(help="Table to write.")] = Path("docs/retraining_rounds.csv"),
    cases: Annotated[
        str, typer.Option(help="Scans of the first and the second scanner that are corrected in each round.")
    ] = "3+0,0+3,3+3,6+6,12+12",
    test: Annotated[int, typer.Option(help="Frozen test participants of each scanner.")] = 4,
    epochs: Annotated[int, typer.Option(help="Epochs of each training.")] = 16,
    iterations: Annotated[int, typer.Option(help="Iterations of an epoch.")] = 25,
) -> None:
    """Run all rounds that are not done. Call it again after an interruption: it resumes at the last checkpoint."""
    rounds = [tuple(int(count) for count in each.split("+")) for each in cases.split(",")]
    loop = Loop(folder.resolve(), [(first, second) for first, second in rounds], test, epochs, iterations)
    results = loop.run()
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["round", "training_cases", "mean_dice", "dice_low", "dice_high", "gain", "gain_low", "gain_high", "stop"]
        )
        for each in results:
            numbers = (each.mean_dice, each.dice_low, each.dice_high, each.gain, each.gain_low, each.gain_high)
            texts = ["" if number is None else f"{number:.4f}" for number in numbers]
            writer.writerow([each.round, each.trained_cases, *texts, "yes" if each.stop else "no"])
    sys.stdout.write(table.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run(main)
