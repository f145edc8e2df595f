"""Show a page on which raters judge scans."""

import os
import signal
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.models.load import load_models
from dixonflow.models.runnable import models_by_sequence
from dixonflow.paths import Results
from dixonflow.ratings.export import write_csv
from dixonflow.ratings.store import read_ratings
from dixonflow.report.checks import REVIEW_PORT
from dixonflow.review.cases import read_cases, read_list
from dixonflow.review.room import ReviewOptions, open_room
from dixonflow.review.server import ReviewServer


def review_command(
    rater: Annotated[str, typer.Option(help="Who rates, letters and digits: verdicts are saved by this name.")] = "",
    blinded: Annotated[
        bool, typer.Option("--blinded", help="Show neither grades, checks nor other ratings; in random order.")
    ] = False,
    listed: Annotated[
        Path | None,
        typer.Option("--list", help="CSV file of scans to show: participant_id, session_id and, for others, sequence."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=999_999_999, help="Of the random order.")] = 0,
    without_ids: Annotated[
        bool, typer.Option("--without-ids", help="Show running numbers instead of ids, to share the screen.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 for any free one.")
    ] = REVIEW_PORT,
    export: Annotated[
        Path | None, typer.Option(help="Write all ratings to this CSV file instead, with who and when; show no page.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    config: ConfigOption = CONFIG,
) -> None:
    """Show a page on which raters judge scans, on this machine only; Ctrl-C ends it.

    Every verdict is saved below results/ratings/ before the page says so.
    """
    start_logging()
    try:
        settings = read_config(config)
        results = settings.paths
        if export is not None and without_ids:
            sys.exit("review: --export writes ids and comments of all raters: leave --without-ids out")
        if export is not None:
            _export(results, export)
            return
        if not rater:
            sys.exit("review: name yourself, for example --rater anna")
        options = ReviewOptions(rater, blinded, without_ids, seed)
        wanted = None if listed is None else read_list(listed)
        print("The tables of the run are read; of a large cohort this takes a while", flush=True)
        cases = read_cases(results, wanted, with_ids=not without_ids)
        if wanted is not None and len(cases) < len(set(wanted)):
            print(f"{len(set(wanted)) - len(cases)} scans on the list are not in the tables and are left out")
        models = models_by_sequence(load_models(settings), settings)
        server = ReviewServer(open_room(results, models, cases, options), port)
    except DixonflowError as error:
        sys.exit(f"review: {error}")
    signal.signal(signal.SIGTERM, _interrupt)
    with server, tempfile.NamedTemporaryFile("w", suffix=".html", prefix="dixonflow-review-") as forward:
        print(
            f"{len(cases):,} scans. Open this address; whoever has it can rate as {rater}:\n{server.address}",
            flush=True,
        )
        if browser and _has_display():
            # not the address itself: other users of the machine see the arguments of the browser
            forward.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={server.address}">')
            forward.flush()
            webbrowser.open(Path(forward.name).as_uri())
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nreview: ended; all verdicts that the page shows as saved are on the disk")


def _export(results: Results, target: Path) -> None:
    """Write the ratings of all raters as CSV."""
    ratings = read_ratings(results.ratings)
    try:
        write_csv(ratings, target)
    except OSError as error:
        sys.exit(f"review: {target} cannot be written: {error.strerror}")
    print(f"{len(ratings):,} ratings are in {target}; superseded and withdrawn ones are marked")


def _has_display() -> bool:
    """Whether a browser has a window to open in; one in the terminal would hide the address."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
