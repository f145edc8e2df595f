"""The section `cohort`: which raw data goes in, and how it is read."""

import re
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from dixonflow.config.fields import NamedPath, PlainPath, Section
from dixonflow.vocabulary import Duplicates, Layout, ScanSequence

Stations = Annotated[int, Field(ge=1, le=50)] | Literal["any"]


class SourceConfig(Section):
    """A folder of raw data."""

    layout: Layout = Field(
        description="ukb (UK Biobank field 20201), nako (NAKO), bids (NIfTI), ct (NIfTI of CT) or dicom (any tree of "
        "DICOM files); docs/raw_data.md shows the forms of each."
    )
    folder: NamedPath = Field(description="Folder with the raw data, from the repository root or absolute.")
    name_pattern: str | None = Field(
        default=None,
        description="Regular expression with the groups participant and session, in place of the layout's own. ukb and "
        "nako: matches the whole name of a zip. dicom (required): matches the beginning of a file's path below the "
        "folder; all files with equal groups are one scan.",
    )
    stations: Stations | dict[ScanSequence, Stations] | None = Field(
        default=None,
        description="Stations of a complete scan; any: as many as there are. Of several sequences each has its own, as "
        "in {dixon: 4, haste: any}. null: for Dixon 6 in ukb, 4 in nako; in nako for haste 2, t2_tse 3, pd 1; for ct "
        "and me_vibe 1; else any.",
    )
    duplicates: Duplicates = Field(
        default=Duplicates.BEST,
        description="Which acquisition of a station is used if there are several. Complete ones precede incomplete "
        "ones. best: in phase is water + fat, then more overlap with its neighbours, then the later one; or later, "
        "earlier, exclude.",
    )
    time_point: int = Field(
        default=1, ge=1, le=10000, description="Which time point is used of a series with several, from 1."
    )
    sequences: tuple[ScanSequence, ...] = Field(
        default=(),
        description="What is looked for: dixon, haste, me_vibe, t2_tse, pd, ct or other (one image, in any plane). "
        "nako and bids may have several, by the names of files; me_vibe: nako only. Empty: ct for layout ct, else "
        "dixon.",
    )
    supersedes: NamedPath | None = Field(
        default=None,
        description="Folder of an earlier source: what is delivered here replaces the same files of that source.",
    )
    match_patient_id: bool | None = Field(
        default=None,
        description="Whether the PatientID in DICOM files must be the participant's id or begin with it. If so, a zip "
        "under another participant's name is excluded. null: yes for NAKO, no for others (headers may contain "
        "pseudonyms). If most scans of a source differ, the check is turned off there, with a note.",
    )

    @model_validator(mode="after")
    def _pattern_fits(self) -> Self:
        if self.layout is Layout.UKB and set(self.sequences) - {ScanSequence.DIXON}:
            raise ValueError("layout ukb has dixon only")
        if self.layout is Layout.CT and set(self.sequences) - {ScanSequence.CT}:
            raise ValueError("layout ct has ct only")
        if self.layout is Layout.DICOM and len(self.sequences) > 1:
            raise ValueError("a source of layout dicom has one of sequences: name the folder again for another")
        if self.layout is not Layout.NAKO and ScanSequence.ME_VIBE in self.sequences:
            raise ValueError("me_vibe is read in layout nako only, where the names of zips say which image is which")
        if isinstance(self.stations, dict) and (unknown := set(self.stations) - set(self.looked_for)):
            raise ValueError(f"stations names {', '.join(sorted(unknown))}, which is not looked for")
        if isinstance(self.stations, int) and len(self.looked_for) > 1:
            raise ValueError("stations must say the number of each sequence, as in {dixon: 4, haste: 2}")
        if self.name_pattern is None:
            if self.layout is Layout.DICOM:
                raise ValueError("layout dicom needs a name_pattern with the group participant")
            return self
        if self.layout.has_session_folders:
            raise ValueError(f"layout {self.layout} takes no name_pattern: its folders are named as BIDS says")
        try:
            groups = re.compile(self.name_pattern).groupindex
        except re.error as error:
            raise ValueError(f"name_pattern is not a regular expression: {error}") from error
        needed = {"participant"} if self.layout is Layout.DICOM else {"participant", "session"}
        if needed - set(groups):
            raise ValueError(f"name_pattern lacks the group {' and '.join(sorted(needed - set(groups)))}")
        return self

    @property
    def stations_of_all(self) -> int | Literal["any"] | None:
        """Number of stations that holds for all sequences."""
        return None if isinstance(self.stations, dict) else self.stations

    @property
    def looked_for(self) -> tuple[ScanSequence, ...]:
        """Sequences that are looked for."""
        return self.sequences or (self.layout.usual_sequence,)


Covariate = Literal["age", "sex", "height", "weight", "centre", "scan_date"]
COVARIATES: tuple[Covariate, ...] = get_args(Covariate)

SEX_WORDS = {"female": ("female", "f", "w", "weiblich", "frau"), "male": ("male", "m", "männlich", "maennlich", "mann")}
"""Words for the sexes, in English and German, in small letters."""


def whole_number(text: str) -> str:
    """Text, without the fraction of zero that a program has written after a whole number (2.0, or 2,0)."""
    return re.sub(r"(?<=[0-9])(\.0+|,0)$", "", text)


def sex_code(text: str) -> str:
    """A code or word of sex in the form in which they are compared: 2.0 is 2, and F is f."""
    return whole_number(text.strip().lower())


def _as_sex_code(code: object) -> object:
    """YAML has a number for a code without quotes; what is no code is left for pydantic to refuse."""
    number = isinstance(code, int | float) and not isinstance(code, bool)
    return sex_code(str(code)) if number or isinstance(code, str) else code


SexCode = Annotated[str, BeforeValidator(_as_sex_code, json_schema_input_type=str | int | float)]


class CovariatesConfig(Section):
    """A file with covariates of the participants."""

    file: PlainPath = Field(
        description="CSV, TSV or Parquet file. UK Biobank's columns (p21003_i2, 21003-2.0, f.21003.2.0 and the like) "
        "are known, with the instance as session; so are NAKO's basis_age, basis_sex, basis_uort, anthro_groe and "
        "anthro_gew, of the baseline visit; and age, sex, height_cm, weight_kg, centre, scan_date."
    )
    participant: str | None = Field(
        default=None, description="Column of the participants' ids; null: eid, ID or participant_id."
    )
    session: str | None = Field(
        default=None,
        description="Column of the session, in a file with a row per session; null: session_id, if there is one.",
    )
    columns: dict[Covariate, str] = Field(
        default={},
        description="Columns with other names, such as {age: alter_{session}}: age (years), sex, height (cm), weight "
        "(kg), centre, scan_date (YYYY-MM-DD). {session} stands for the session of the scan.",
    )
    sex_codes: dict[Literal["female", "male"], tuple[SexCode, ...]] = Field(
        default={},
        description="Codes of sex in the file, such as {female: ['2'], male: ['1']}. Known without: words, and the "
        "codes 0 and 1 of UK Biobank's field 31. Other codes are refused, because cohorts number in both ways.",
    )

    @model_validator(mode="after")
    def _each_code_is_of_one_sex(self) -> Self:
        codes = [code for listed in self.sex_codes.values() for code in listed]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"sex_codes lists {twice[0]!r} twice")
        for sex, listed in self.sex_codes.items():
            for other, words in SEX_WORDS.items():
                if other != sex and (wrong := sorted(set(listed) & set(words))):
                    raise ValueError(f"sex_codes has {wrong[0]!r} for {sex}, and it is a word for {other}")
        return self


class CohortConfig(Section):
    """Which scans go in."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1, description="Folders of raw data, each with its layout.")
    withdrawn: NamedPath | None = Field(
        default=None, description="Text file with the ids of withdrawn participants, one per line; null for none."
    )
    withdrawn_rows: Literal["named", "counted"] = Field(
        default="named",
        description="Rows of withdrawn participants in the table scans, which have no values: named, with id and "
        "file; counted, without them, so that only their number is known.",
    )
    include: NamedPath | None = Field(
        default=None,
        description="Text file of the scans to include: a participant, or participant and session, per line; null for "
        "all. Other scans are in no table.",
    )
    personal: tuple[Literal["date", "age", "sex"], ...] = Field(
        default=(),
        description="Header fields that the table acquisitions may hold in addition: date (of the scan), age, sex (of "
        "the participant). Others are not read.",
    )
    covariates: CovariatesConfig | None = Field(
        default=None,
        description="File with age, sex, height, weight, centre and date, for analyses; null for none. They are in the "
        "table covariates alone.",
    )
    scans_per_shard: int = Field(
        default=64,
        ge=1,
        le=1000,
        description="Scans per job. 64 suits a cluster. A change applies only to the shards of new scans.",
    )

    @model_validator(mode="after")
    def _superseded_are_sources(self) -> Self:
        for number, source in enumerate(self.sources):
            others = [other for place, other in enumerate(self.sources) if place != number]
            if source.supersedes is not None and not any(
                other.folder == source.supersedes and other.layout is source.layout for other in others
            ):
                raise ValueError(f"sources.{number}.supersedes must be the folder of another source of its layout")
        return self
