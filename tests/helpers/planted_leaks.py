"""Files that must not leave a protected environment: each kind plants an id, a row or a picture of one participant."""

import base64
import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from leaks_in_drawings import SHOWN, Plant, Rng
from leaks_in_text import IN_TEXT

GROUPS = pd.DataFrame(
    {"structure": ["liver", "spleen", "kidneys"], "n": [412, 407, 399], "mean": [1543.2, 210.7, 301.4]}
)
"""An aggregate that may leave."""

SHORT_ID = "P012"
"""A further participant, whose id has fewer characters than most."""


def _csv(folder: Path, rows: pd.DataFrame, name: str = "table.csv") -> None:
    rows.to_csv(folder / name, index=False)


def _file_name(folder: Path, own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS, f"means_sub-{own}.csv")


def _folder_name(folder: Path, own: str, _rng: Rng) -> None:
    (folder / own).mkdir()
    _csv(folder / own, GROUPS)


def _cell(folder: Path, own: str, rng: Rng) -> None:
    rows = GROUPS.astype({"structure": object})
    rows.loc[int(rng.integers(len(rows))), "structure"] = f"liver of {own}"
    _csv(folder, rows)


def _numbers(folder: Path, own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS.assign(code=[10, int(own), 30]))


def _floats(folder: Path, own: str, _rng: Rng) -> None:
    GROUPS.assign(weight=[0.5, float(own), 0.7]).to_parquet(folder / "table.parquet")


def _file_metadata(folder: Path, own: str, _rng: Rng) -> None:
    table = pa.Table.from_pandas(GROUPS, preserve_index=False)
    pq.write_table(table.replace_schema_metadata({"history": f"merged {own}"}), folder / "table.parquet")


def _field_metadata(folder: Path, own: str, _rng: Rng) -> None:
    field = pa.field("mean", pa.float64(), metadata={"description": f"mean without {own}"})
    table = pa.table([pa.array([412]), pa.array([1.5])], schema=pa.schema([pa.field("n", pa.int64()), field]))
    pq.write_table(table, folder / "table.parquet")


def _unused_category(folder: Path, own: str, _rng: Rng) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 0, 1]), pa.array(["a", "b", own]))
    pq.write_table(pa.table({"group": column, "n": [8, 9, 10]}), folder / "table.parquet")


def _column_name(folder: Path, own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS.assign(**{f"value_{own}": [0.25, 0.5, 0.75]}))


def _hashed(folder: Path, own: str, rng: Rng) -> None:
    name = ("md5", "sha1", "sha256")[int(rng.integers(3))]
    _csv(folder, GROUPS.assign(key=["a", hashlib.new(name, own.encode(), usedforsecurity=False).hexdigest(), "c"]))


def _base_64(folder: Path, own: str, _rng: Rng) -> None:
    (folder / "notes.txt").write_text(f"checked: {base64.b64encode(own.encode()).decode()}\n")


def _two_bytes(folder: Path, own: str, _rng: Rng) -> None:
    (folder / "notes.txt").write_bytes(f"see {own}".encode("utf-16"))


def _small_count(folder: Path, _own: str, rng: Rng) -> None:
    rows = GROUPS.copy()
    rows.loc[int(rng.integers(len(rows))), "n"] = int(rng.integers(1, 5))
    if rng.random() < 0.5:
        _csv(folder, rows)
    else:
        rows.to_parquet(folder / "table.parquet")


def _rows_of_people(folder: Path, _own: str, rng: Rng) -> None:
    _csv(folder, pd.DataFrame({"age": np.round(rng.uniform(40, 80, 30), 1), "liver_ml": rng.normal(1500, 200, 30)}))


def _renamed_id_column(folder: Path, _own: str, rng: Rng) -> None:
    rows = pd.DataFrame({"eid": np.arange(9_000_000, 9_000_010), "n": 10, "liver_ml": rng.normal(1500, 200, 10)})
    rows.to_parquet(folder / "table.parquet")


def _image(folder: Path, _own: str, rng: Rng) -> None:
    (folder / "water.nii.gz").write_bytes(gzip.compress(rng.bytes(400)))


def _disguised_zip(folder: Path, own: str, _rng: Rng) -> None:
    with zipfile.ZipFile(folder / "table.csv", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ids.txt", own)


def _link(folder: Path, _own: str, _rng: Rng) -> None:
    (folder / "table.csv").symlink_to("/etc/hostname")


def _hidden(folder: Path, _own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS, ".table.csv")


def _markdown_rows(folder: Path, _own: str, rng: Rng) -> None:
    lines = [
        "| age | liver |",
        "| --- | --- |",
        *(f"| {age:.1f} | {age * 20:.0f} |" for age in rng.uniform(40, 80, 12)),
    ]
    (folder / "rows.md").write_text("\n".join(lines))


def _table(text: str) -> Plant:
    """Plant a file of separated values as it is written here; {own} is the id."""

    def plant(folder: Path, own: str, _rng: Rng) -> None:
        (folder / "table.csv").write_text(text.replace("{own}", own))

    return plant


def _text(text: str) -> Plant:
    def plant(folder: Path, own: str, _rng: Rng) -> None:
        grouped = f"{int(own):,}"
        coded = base64.b64encode(f"{own}\n".encode()).decode()
        escaped = "".join(f"\\u{ord(each):04x}" for each in own)
        lines = (
            text.replace("{escaped}", escaped)
            .replace("{own}", own)
            .replace("{grouped}", grouped)
            .replace("{coded}", coded)
            .replace("{exponent}", f"{int(own):.6e}")
        )
        (folder / "notes.txt").write_text(lines)

    return plant


def _people(columns: dict[str, object]) -> Plant:
    """Plant rows of people with further columns that look like numbers of people."""

    def plant(folder: Path, _own: str, rng: Rng) -> None:
        rows = pd.DataFrame({"age": rng.uniform(40, 80, 30).round(1), "liver": rng.normal(1500, 200, 30).round(1)})
        _csv(folder, rows.assign(**columns))

    return plant


def _printed(folder: Path, _own: str, rng: Rng) -> None:
    rows = pd.DataFrame({"age": rng.uniform(40, 80, 12).round(1), "liver": rng.normal(1500, 200, 12).round(1)})
    (folder / "notes.txt").write_text(f"Results\n\n{rows.to_string()}\n")


def _markdown_under_a_title(folder: Path, _own: str, rng: Rng) -> None:
    rows = "\n".join(f"| {age:.1f} | {20 * age:.1f} |" for age in rng.uniform(40, 80, 5))
    (folder / "notes.md").write_text(f"# Results\n\n| age | liver |\n|---|---|\n{rows}\n")


def _transposed(folder: Path, _own: str, rng: Rng) -> None:
    (folder / "table.csv").write_text(",".join(f"{value:.1f}" for value in rng.normal(1500, 200, 30)) + "\n")


def _negative(folder: Path, own: str, _rng: Rng) -> None:
    GROUPS.assign(code=[10, -int(own), 30]).to_parquet(folder / "table.parquet")


def _date(folder: Path, own: str, _rng: Rng) -> None:
    table = pa.table({"n": pa.array([40]), "day": pa.array([int(own)], pa.int32()).cast(pa.date32())})
    pq.write_table(table, folder / "table.parquet")


def _same_name_twice(folder: Path, own: str, _rng: Rng) -> None:
    table = pa.table([pa.array([400]), pa.array([int(own)]), pa.array([60])], names=["n", "some code", "some_code"])
    pq.write_table(table, folder / "table.parquet")


def _between_parts(folder: Path, own: str, _rng: Rng) -> None:
    out = io.BytesIO()
    GROUPS.to_parquet(out)
    data = out.getvalue()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    (folder / "table.parquet").write_bytes(data[:footer] + gzip.compress(own.encode()) + data[footer:])


def _short_name(folder: Path, _own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS, f"means_{SHORT_ID}.csv")


def _short_column(folder: Path, _own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS.assign(**{SHORT_ID.lower(): [0.25, 0.5, 0.75]}))


def _count_in_parquet(folder: Path, _own: str, _rng: Rng) -> None:
    GROUPS.assign(women=["0.75% (3)", "50%", "25%"]).to_parquet(folder / "table.parquet")


def _difference(folder: Path, _own: str, rng: Rng) -> None:
    part = [n - int(rng.integers(1, 5)) for n in GROUPS["n"]]
    GROUPS.assign(in_one_piece=part).to_parquet(folder / "table.parquet")


def _split_over_folders(folder: Path, own: str, _rng: Rng) -> None:
    (folder / own[:4]).mkdir()
    _csv(folder / own[:4], GROUPS, f"{own[4:]}.csv")


KINDS: dict[str, Plant] = {
    **SHOWN,
    **{"file_name": _file_name, "folder_name": _folder_name, "cell": _cell, "numbers": _numbers, "floats": _floats},
    **{"file_metadata": _file_metadata, "field_metadata": _field_metadata, "unused_category": _unused_category},
    **{"column_name": _column_name, "hashed": _hashed, "base_64": _base_64, "two_bytes": _two_bytes},
    **{"small_count": _small_count, "rows_of_people": _rows_of_people, "renamed_id_column": _renamed_id_column},
    **{"image": _image, "disguised_zip": _disguised_zip, "link": _link, "hidden": _hidden},
    **{"markdown_rows": _markdown_rows, "printed": _printed, "markdown_under_a_title": _markdown_under_a_title},
    **{"transposed": _transposed, "negative": _negative, "date": _date},
    **{"same_name_twice": _same_name_twice, "between_parts": _between_parts, "split_over_folders": _split_over_folders},
    "float_counts": _table("site,n,fail,pass\na,50,3.0,47.0\nb,40,,40.0\n"),
    "counts_with_shares": _table("group,n,women\na,400,3 (0.8%)\nb,300,140 (46.7%)\n"),
    "suppressed_beside_a_small_one": _table("group,n,cases\na,400,3\nb,300,<5\nc,500,11\n"),
    "decimal_commas": _table("group;n;cases\na;400;3,0\nb;300;20,0\n"),
    "second_line_of_heading": _table("group,n,liver,liver\n,,mean,count\na,400,1500.1,3\n"),
    "no_heading": _table("a,400,1500.1\nb,300,1400.2\n"),
    "quoted_line_break": _table('group,n,note\na,400,"one line\nand {own}"\n'),
    "slices_as_people": _people({"n_slices": 224}),
    "totals_as_people": _people({"total": 99.5}),
    "empty_numbers_of_people": _people({"n": np.nan}),
    "no_people": _people({"n": 0}),
    "id_with_session": _text("see sub{own}ses2"),
    "id_with_version": _text("see t1w{own}v2"),
    "in_an_identifier": _text("1.2.840.113619.{own}.3"),
    "in_groups_of_three": _text("left out: {grouped} and others"),
    "base_64_of_a_line": _text("{coded}"),
    "escaped": _text("{escaped}"),
    "float_in_a_cell": _table("structure,n,note\nliver,400,without {own}.0\nspleen,300,\n"),
    "float_in_a_heading": _table("structure,n,mean of {own}.0\nliver,400,1.5\n"),
    "float_in_a_text": _text("id={own}.00"),
    "exponent": _text("left out: {exponent}"),
    **{"short_name": _short_name, "short_column": _short_column},
    "short_in_a_cell": _table(f"structure,n,note\nliver,400,without {SHORT_ID}\n"),
    "short_in_a_text": _text(f"without {SHORT_ID}"),
    **IN_TEXT,
    "count_behind_a_share": _table("group,n,women\na,400,0.75% (3)\nb,300,46.7% (140)\n"),
    "count_behind_a_count": _table("group,n,women (men)\na,500,397 (3)\nb,300,150 (50)\n"),
    "count_of_all": _table("group,n,women\na,400,0.75% (3/400)\nb,300,50% (150/300)\n"),
    "count_with_n": _table("group,n,women\na,400,n=3\nb,300,n=200\n"),
    "count_among_words": _table("group,n,note\na,400,3 women had none\nb,300,\n"),
    **{"count_in_parquet": _count_in_parquet, "difference": _difference},
    "count_in_a_list": _text("- missing spleen: 3\n- missing liver: 50\n"),
    "count_behind_a_name": _text("missing_spleen: 3"),
    "count_behind_blanks": _text("sex scans\nfemale 3\nmale 400"),
    "count_of_a_group": _text("female 3"),
    "count_in_latex": _text("female & 3 & 400 \\\\"),
}
"""Every way to plant a leak, by name."""
