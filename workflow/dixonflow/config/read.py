"""Read a configuration and check it, and that what it names is there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dixonflow.config.experiment import Config
from dixonflow.errors import ConfigError
from dixonflow.system.documents import DocumentError, one_line, read_yaml_file

OWN_MODEL = "model.yaml"
"""Model file of a user's own model, in `<segment.weights>/<name>/` with its network."""

_SHOWN = 20
"""Problems of a configuration that are listed."""

_PROBLEMS = {"extra_forbidden": "unknown key", "path_type": "this is not a path"}
"""What is said in place of pydantic's own message, by its name of the error."""


def parse_config(content: Mapping[str, Any]) -> Config:
    """Check the content of a configuration.

    Raises
    ------
    ConfigError
        One line a problem: the key and what is wrong with it.
    """
    try:
        return Config.model_validate(_with_nulls(content))
    except ValidationError as error:
        lines = []
        problems = error.errors()
        deeper = {problem["loc"][:length] for problem in problems for length in range(len(problem["loc"]))}
        for problem in problems:
            if problem["loc"] in deeper:
                continue  # follows from what is wrong inside it
            key = ".".join(str(part) for part in problem["loc"])
            what = problem["msg"].removeprefix("Value error, ")  # pydantic puts it before what a validator says
            lines.append(f"config: {one_line(key)}: {one_line(_PROBLEMS.get(problem['type'], what), 1000)}")
        more = [f"config: {len(lines) - _SHOWN} more problems"] if len(lines) > _SHOWN else []
        raise ConfigError("\n".join(lines[:_SHOWN] + more)) from error


def _with_nulls(content: Any) -> Any:
    """Content with null for the text `null`: Snakemake reads what is nested on its command line as text."""
    if isinstance(content, Mapping):
        return {key: _with_nulls(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_nulls(value) for value in content]
    return None if content == "null" else content


def read_config(path: Path) -> Config:
    """Read a configuration file (YAML or JSON). Raises ConfigError with one line a problem."""
    content = _load(path)
    if content is None:
        raise ConfigError(f"config: {path} does not exist")
    return parse_config(content)


def check_readable(path: Path) -> None:
    """Check that a configuration file, where there is one, is a table of keys and values. Raises ConfigError."""
    _load(path)


def _load(path: Path) -> dict[str, Any] | None:
    try:
        content = read_yaml_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"config: {path} cannot be read: {error.strerror}") from error
    except DocumentError as error:
        raise ConfigError(f"config: {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"config: {path} is not a table of keys and values")
    return content


def check_folders(config: Config, models_folder: Path) -> None:
    """Check that what the configuration names is there, before any job starts.

    Raises
    ------
    ConfigError
        Naming the key and the missing folder or file.
    """
    for number, source in enumerate(config.cohort.sources):
        key = f"config: cohort.sources.{number}.folder"
        try:
            next(source.folder.iterdir(), None)
        except (FileNotFoundError, NotADirectoryError) as error:
            hint = "; `make demo` makes the demo cohort" if source.folder.is_relative_to("demo") else ""
            raise ConfigError(f"{key}: there is no folder {source.folder}{hint}") from error
        except OSError as error:
            raise ConfigError(f"{key}: {source.folder} cannot be listed: {error.strerror}") from error
    people = config.cohort.covariates
    files = {"withdrawn": config.cohort.withdrawn, "include": config.cohort.include}
    for key, path in (files | {"covariates.file": people.file if people else None}).items():
        if path is None:
            continue
        try:
            path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ConfigError(f"config: cohort.{key}: there is no file {path}") from error
        except OSError as error:
            raise ConfigError(f"config: cohort.{key}: {path} cannot be read: {error.strerror}") from error
    own = (path.parent.name for path in config.segment.weights.glob(f"*/{OWN_MODEL}"))
    known = sorted({*(path.stem for path in models_folder.glob("*.yaml")), *own})
    named = {"segment.models": config.segment.models} | {
        f"segment.models_of.{sequence}": names for sequence, names in config.segment.models_of.items()
    }
    named["segment.swap_model"] = (config.segment.swap_model,) if config.segment.swap_model else ()
    for key, names in named.items():
        for name in names:
            if name not in known:
                raise ConfigError(f"config: {key}: there is no model {name!r}; known: {', '.join(known)}")
