"""`python -m benchmarks`: runs all benchmarks or those asked for, prints the table, writes the records.

Exit code 1 where outputs differ or something that is there could not be run.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.catalogue import BENCHMARKS
from benchmarks.harness import Setting, measure
from benchmarks.peers import installed_versions
from benchmarks.record import Record, print_table, read_records, write_records

ROOT = Path(__file__).resolve().parents[2]


def main(
    only: Annotated[
        list[str] | None, typer.Argument(help="Names, or parts of names, of benchmarks; all by default.")
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="Tiny inputs, to try the benchmarks: the ratios mean nothing.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every library, on both sides.")] = 1,
    peers: Annotated[Path, typer.Option(help="Python of the peers' environment.")] = ROOT
    / ".venv-peers"
    / "bin"
    / "python",
    results: Annotated[Path, typer.Option(help="Folder of benchmarks.json and of the cached inputs.")] = ROOT
    / "results",
) -> None:
    """Compare DixonFlow with other programs. Records of benchmarks that are not run now are kept."""
    console = Console(width=None if sys.stdout.isatty() else 180)
    chosen = [item for item in BENCHMARKS if not only or any(part in item.name for part in only)]
    if not chosen:
        sys.exit(f"no benchmark of these names; there are: {', '.join(item.name for item in BENCHMARKS)}")
    setting = Setting(Path(sys.executable), peers, threads, small)
    results = results.resolve()
    inputs = results / "benchmark-inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    versions = installed_versions(peers)
    path = results / ("benchmarks-small.json" if small else "benchmarks.json")
    records = {record.name: record for record in read_records(path)}
    done: list[Record] = []
    for benchmark in chosen:
        console.print(f"{benchmark.name} ...")
        done.append(measure(benchmark, inputs, setting, versions))
        print_table(done[-1:], console)
        records[benchmark.name] = done[-1]
        write_records(path, [records[item.name] for item in BENCHMARKS if item.name in records])
    print_table(done, console)
    if any(record.failed for record in done):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
