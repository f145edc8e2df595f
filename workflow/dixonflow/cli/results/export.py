"""`dixonflow export`: tables in the formats of other programs."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.analyse.study_data import read_study_data
from dixonflow.cli.options import CONFIG, ConfigOption, file_error, start_logging
from dixonflow.config import read_config
from dixonflow.errors import ConfigError, DixonflowError
from dixonflow.export.formats import check_finite, write_csv, write_excel, write_spss, write_stata
from dixonflow.export.genetics import GeneticsFormat, genetics_files, people_without_scan
from dixonflow.export.source import bridged, per_participant, read_bridge, read_source
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.wide import WIDE_NAMES


class Format(StrEnum):
    """What is written."""

    STATA = "stata"
    SPSS = "spss"
    CSV = "csv"
    EXCEL = "excel"
    REGENIE = "regenie"
    PLINK = "plink"


class Per(StrEnum):
    """What a row is."""

    SCAN = "scan"
    PARTICIPANT = "participant"


_WRITERS = {
    Format.STATA: (".dta", write_stata),
    Format.SPSS: (".sav", write_spss),
    Format.CSV: (".csv", write_csv),
    Format.EXCEL: (".xlsx", write_excel),
}
_USUAL = (*WIDE_NAMES, COVARIATE_TABLE.name)


def export_command(
    target_format: Annotated[Format, typer.Argument(metavar="FORMAT", help="Format of the files.")],
    table: Annotated[
        list[str] | None,
        typer.Option(help="Table to export; may be given several times. By default those with one row per scan."),
    ] = None,
    per: Annotated[
        Per | None, typer.Option(help="What a row is; of a participant, sessions stand side by side. Default: a scan.")
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="REGENIE and PLINK: measures that are phenotypes; by default volume.")
    ] = None,
    normalise: Annotated[
        bool, typer.Option("--normalise", help="REGENIE and PLINK: rank-based normal scores instead of values.")
    ] = False,
    with_review: Annotated[
        bool, typer.Option("--with-review", help="REGENIE and PLINK: use values that a person should look at first.")
    ] = False,
    bridge: Annotated[
        Path | None, typer.Option(help="File of two columns: our ids, and those to write instead.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the tables; by default that of the run in the configuration.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the files; by default exports/<format> next to the tables, <format>_bridged with --bridge."
        ),
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Write tables for Stata, SPSS, Excel, programs that read CSV, or REGENIE and PLINK 2.

    variables.csv, which is written too, says which column has which name in the files, with its label and unit.
    """
    start_logging()
    try:
        of_tables = target_format in _WRITERS
        _refuse(
            {"--table": table, "--per": per}
            if not of_tables
            else {"--measure": measure, "--normalise": normalise, "--with-review": with_review},
            target_format,
        )
        folder = tables or read_config(config).paths.tables
        # ids of ours and of others do not belong in one folder
        target = output or folder.parent / "exports" / (target_format.value + ("_bridged" if bridge else ""))
        ids = read_bridge(bridge) if bridge else None
        if of_tables:
            lines = _tables(target_format, folder, target, table or _there(folder), per or Per.SCAN, ids)
        else:
            data = read_study_data(folder, measure or ("volume",), with_review=with_review)
            program = GeneticsFormat(target_format.value)
            files = genetics_files(data, program, people_without_scan(folder), normalise=normalise, bridge=ids)
            write_bytes(target / "phenotypes.txt", files.phenotypes.encode())
            write_bytes(target / "covariates.txt", files.covariates.encode())
            write_bytes(target / "exclusions.csv", files.exclusions.to_csv(index=False).encode())
            people = files.phenotypes.count("\n") - 1
            lines = [f"{people:,} participants; left out: {target / 'exclusions.csv'}"]
    except DixonflowError as error:
        sys.exit(f"export: {error}")
    except OSError as error:
        sys.exit(f"export: {file_error(error)}")
    print("\n".join([*lines, f"{target_format.value}: files in {target}"]))


def _refuse(options: Mapping[str, object], target_format: Format) -> None:
    """Refuse options that a format does not take."""
    if given := [name for name, value in options.items() if value]:
        raise ConfigError(f"{target_format.value} takes no {given[0]}")


def _there(folder: Path) -> list[str]:
    names = [path.stem for name in _USUAL for path in sorted(folder.glob(f"{name}*.parquet"))]
    if not names:
        raise ConfigError(f"{folder} has no table to export: run the workflow first, or name the folder of the tables")
    return names


def _tables(
    target_format: Format, folder: Path, target: Path, names: list[str], per: Per, ids: dict[str, str] | None
) -> list[str]:
    ending, write = _WRITERS[target_format]
    lines, variables = [], []
    for name in dict.fromkeys(names):
        source = read_source(folder, name)
        if ids is not None:
            source, without = bridged(source, ids)
            lines.append(f"{name}: {without:,} rows of participants who are not in the bridge file are left out")
        if per is Per.PARTICIPANT:
            source = per_participant(source)
        check_finite(source)
        short = write(source, target / f"{name}{ending}")
        variables += [(name, short[each.name], each.name, each.unit, each.label) for each in source.variables]
        lines.append(f"{name}: {len(source.rows):,} rows, {len(source.variables):,} columns")
    dictionary = pd.DataFrame(variables, columns=["table", "name", "column", "unit", "description"])
    path = target / "variables.csv"
    if path.exists():  # of tables that were exported before, and are still there
        before = pd.read_csv(path, dtype=str, keep_default_na=False)
        stays = [name not in names and (target / f"{name}{ending}").exists() for name in before["table"]]
        dictionary = pd.concat([before[stays], dictionary], ignore_index=True)
    write_bytes(path, dictionary.to_csv(index=False).encode())
    return lines
