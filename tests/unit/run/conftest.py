"""Fixtures of the tests of runs."""

import json

import pytest
from helpers.pilot_run import config_of, write_config

from dixonflow.cli.pipeline.estimate import estimate_command


@pytest.fixture
def estimated(tmp_path, capsys):
    """Run the command on a pilot that has been written; its content as JSON."""

    def run(pilot, *, scans=1000, gpus=None, cores=None, config=None, as_json=True):
        path = write_config(tmp_path / "config.json", config or config_of(tmp_path / "results"))
        estimate_command(pilot, path, scans, gpus, cores, as_json)
        text = capsys.readouterr().out
        return json.loads(text) if as_json else text

    return run
