"""What the Snakefile needs to know, and nothing that costs time: it is read again in every job."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from dixonflow.cohort.shards import dixon_scans, read_shard
from dixonflow.cohort.walk import BIDS_FOLDERS, walk
from dixonflow.config import Config, check_folders, parse_config
from dixonflow.errors import ConfigError
from dixonflow.execution.content_keys import stage_key
from dixonflow.models.load import MODELS, load_models
from dixonflow.models.model import Model
from dixonflow.models.runnable import models_for, sequences_of
from dixonflow.paths import Results
from dixonflow.ratings.rating import RatingError
from dixonflow.ratings.store import rating_files
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.run.resources import RULES, shard_mem_mb, shard_minutes
from dixonflow.run.retry import read_retry
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.system.regular_file import open_regular
from dixonflow.vocabulary import ScanId, Stage


@dataclass(frozen=True)
class Plan:
    """Configuration, models and paths of one run."""

    config: Config
    models: tuple[Model, ...]
    results: Results

    @classmethod
    def from_config(cls, content: Mapping[str, Any]) -> "Plan":
        """Check a configuration and what it names.

        Raises
        ------
        ConfigError, ModelError
            One clear line a problem.
        """
        config = parse_config(content)
        check_folders(config, MODELS)
        return cls(config, load_models(config), config.paths)

    def write(self) -> None:
        """Write the configuration in force where the jobs read it, unless it is there already."""
        path = self.results.config
        content = json.loads(self.config.model_copy(update={"verify": False}).model_dump_json())
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # none yet, or a damaged one
            there = None
        if there != content:
            write_json(path, content)

    def recheck_unknown_results(self, snakemake_folder: Path) -> None:
        """Have every shard checked again if Snakemake has no records of these results, or not the latest.

        It tells by its records what changed. Where they are gone (`.snakemake` removed, results moved), or another copy
        of the project has worked on the results since, it would take results for new that were made from other raw data
        or settings. Both sides keep one word, made when they were last brought together.
        """
        place = hashlib.sha256(os.path.realpath(self.results.root).encode()).hexdigest()[:16]
        known = snakemake_folder / "dixonflow" / place
        word = _content(known)
        if not word or word != _content(self.results.look_again):
            word = uuid4().hex.encode()
            for where, path in (("config: results", self.results.look_again), ("the project folder", known)):
                try:
                    write_bytes(path, word)
                except OSError as error:
                    raise ConfigError(f"{where}: {path} cannot be written: {error.strerror}") from error

    def settings(self, stage: str) -> str:
        """Hash of all settings that the results of `stage` depend on: a change makes Snakemake check every shard."""
        chosen = Stage(stage)
        if not chosen.is_per_model:
            return stage_key(chosen, "", self.config, self.models[0], self.models)[:16]
        keys = []
        for sequence in sequences_of(self.config):
            models = models_for(sequence, self.models, self.config)
            own = sequence is models[0].own_sequence
            words = "" if own else f"{sequence} "
            keys += [f"{words}{model.name} {stage_key(chosen, '', self.config, model, models)}" for model in models]
        return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]

    def retry(self, name: str) -> int:
        """Give a number that changes when earlier runs have requested a retry of a shard, or of the raw data.

        It also changes where `max_attempts` was raised above the attempts of a failed scan.
        """
        return read_retry(self.results, name).number(self.config.max_attempts)

    def threads(self, rule: str) -> int:
        """Cores that a job of a rule asks for."""
        return self.config.segment.threads if rule == Stage.SEGMENT.value else RULES[rule].threads

    def mem_mb(self, rule: str, shard: str = "", attempt: int = 1) -> int:
        """Memory that a job asks for (MB): more after a scan ran out of it, and at each further attempt of the job.

        Parameters
        ----------
        shard
            Of a stage's job.
        attempt
            Which try of Snakemake's this is, from 1.
        """
        factor = attempt * read_retry(self.results, shard or rule).memory
        if not shard:
            return factor * RULES[rule].mem_mb
        return shard_mem_mb(Stage(rule), _n_scans(self.results.shard(shard)), len(self.models), factor)

    def runtime(self, rule: str, shard: str = "", attempt: int = 1) -> int:
        """Time limit of a job (minutes); parameters as of `mem_mb`."""
        if not shard:
            return round(RULES[rule].minutes)
        n_scans, n_models = _n_scans(self.results.shard(shard)), len(self.models)
        return attempt * shard_minutes(Stage(rule), n_scans, n_models, self.config.scan_minutes)

    def raw_listing(self) -> str:
        """Hash over the cohort's settings and the names, sizes and dates in its folders; a change reruns `cohort`.

        It only triggers; content decides what is recomputed, scan by scan. Nothing in a raw folder ends it: what
        cannot be looked at counts as that, and `cohort` says what it is.
        """
        digest = hashlib.sha256(self.config.cohort.model_dump_json(exclude={"covariates"}).encode())

        def add(path: str, state: str) -> None:
            digest.update(os.fsencode(f"{path}\0{state}\n"))

        def add_error(path: str, error: OSError) -> None:
            add(path, type(error).__name__)

        for source in self.config.cohort.sources:
            passed_over = BIDS_FOLDERS if source.layout.has_session_folders else ()
            for entry, is_folder in walk(source.folder, add_error, passed_over):
                if is_folder:
                    add(entry.path, "folder")
                    continue
                try:
                    state = entry.stat()
                except OSError as error:
                    add_error(entry.path, error)
                else:
                    add(entry.path, _state(state))
        for path in (self.config.cohort.withdrawn, self.config.cohort.include):
            if path is not None:
                digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    @property
    def covariate_file(self) -> list[str]:
        """The file of covariates, in a list; an empty one where there is none."""
        section = self.config.cohort.covariates
        return [str(section.file)] if section else []

    def covariate_state(self) -> str:
        """Hash over what the tables of covariates are made of but the scans: how the file is read, whether it is
        another one (its date may be older), and who has withdrawn, with or without a scan. Empty without a file.
        """
        section = self.config.cohort.covariates
        if section is None:
            return ""
        digest = hashlib.sha256(section.model_dump_json().encode())
        digest.update(_state(section.file.stat()).encode())
        if self.config.cohort.withdrawn is not None:
            digest.update(self.config.cohort.withdrawn.read_bytes())
        return digest.hexdigest()[:16]

    def rating_files(self) -> list[str]:
        """Files of what raters said, none where nobody has rated."""
        try:
            return [str(path) for path in rating_files(self.results.ratings)]
        except RatingError:  # aggregate says what is wrong
            return []

    def rating_state(self) -> str:
        """Hash over the content of these files: a new verdict changes the tables, whatever dates say. Empty without."""
        digest, files = hashlib.sha256(), self.rating_files()
        for path in files:
            try:
                with open_regular(Path(path)) as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:  # it too is for aggregate to say
                digest.update(type(error).__name__.encode())
        return digest.hexdigest()[:16] if files else ""

    @property
    def environment(self) -> str:
        """Name of the conda environment of the segment stage: `cuda`, or `cpu` where the configuration says so."""
        return "cpu" if self.config.segment.device == "cpu" else "cuda"

    def members(self, shard: str) -> str:
        """Hash over a shard list: a change of it is seen whatever the dates of files say."""
        return _shard_digest(self.results.shard(shard))

    def labels_for(self, shard: str) -> list[str]:
        """Outcome files of the shards whose label maps the scans of a shard take; none where these are segmented."""
        taking = self.config.segment.labels_of_dixon
        if not taking:
            return []
        members = read_shard(self.results.shard(shard))
        if members.sequence not in taking:
            return []
        dixon = _dixon_scans(self.results.shards)
        wanted = [entry.scan.dixon for entry in members.scans]
        names = sorted({dixon[scan][0] for scan in wanted if scan in dixon})
        return [str(self.results.outcomes(Stage.POSTPROCESS, name)) for name in names]

    def reached(self, stage: str, shards: Path | str) -> list[str]:
        """Outcome files of a stage, of all shards named in the file `shards`, one per line."""
        names = Path(shards).read_text(encoding="utf-8").split()
        return [str(self.results.outcomes(Stage(stage), name)) for name in names]

    def closing_lines(self, seconds: float) -> str:
        """What a run says at its end: the counts, its seconds, and where tables and report are.

        Where only some target was asked for, there may be none of these yet.
        """
        if not self.results.summary.exists():
            return f"seconds   {seconds:.0f}"
        counts = self.results.summary.read_text(encoding="utf-8").rstrip()
        return (
            f"{counts}\nseconds   {seconds:.0f}\n"
            f"tables    {self.results.tables}/\nreport    {self.results.report / 'report.html'}"
        )


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


@cache
def _n_scans(path: Path) -> int:
    # asked for once per stage
    return len(read_shard(path).scans)


def _state(found: os.stat_result) -> str:
    """What changes with a file, for a hash.

    With its mode: a file that could not be opened may be open now; with its inode and change time: it may have been
    replaced, or written in place, and keep its date.
    """
    dates = f"{found.st_mtime_ns}\0{found.st_ctime_ns}"
    return f"{found.st_size}\0{dates}\0{found.st_ino}\0{found.st_mode}"


@cache
def _dixon_scans(folder: Path) -> Mapping[ScanId, tuple[str, RawScan]]:
    # asked for once per shard that takes their label maps
    return dixon_scans(folder)


@cache
def _shard_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
