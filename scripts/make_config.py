#!/usr/bin/env python3
"""Write config.yaml (the demo experiment) and its JSON schema from the typed configuration."""

from pathlib import Path

from dixonflow.cli.options import run
from dixonflow.config import demo_config
from dixonflow.config.documents import config_schema, config_yaml

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write config.yaml and workflow/config.schema.json; your edits to config.yaml are lost."""
    (ROOT / "config.yaml").write_text(config_yaml(demo_config()), encoding="utf-8")
    (ROOT / "workflow/config.schema.json").write_text(config_schema(), encoding="utf-8")


if __name__ == "__main__":
    run(main)
