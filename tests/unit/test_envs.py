"""The conda environments carry the pins of the lock file, and the lock file nothing that needs CUDA."""

import importlib.metadata
import re
import runpy
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "envs/requirements.lock").read_text().split()


def test_conda_environments_have_the_pins_of_the_lock_file():
    render = runpy.run_path(str(ROOT / "scripts/make_conda_envs.py"))["conda_environment"]
    for kind in ("cpu", "cuda"):
        text = (ROOT / f"envs/{kind}.yaml").read_text()
        assert text == render(kind), "run scripts/make_conda_envs.py"
        (pip,) = (item["pip"] for item in yaml.safe_load(text)["dependencies"] if isinstance(item, dict))
        assert pip == LOCK


def test_lock_file_pins_everything_exactly_and_holds_no_cuda_package():
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-\[\]]+==[^=]+", line) for line in LOCK)
    names = {line.split("==")[0].lower() for line in LOCK}
    assert not {name for name in names if name.startswith(("nvidia", "cuda", "triton", "torch"))}


def test_installed_versions_are_the_pinned_ones():
    for line in LOCK:
        name, version = line.split("==")
        assert importlib.metadata.version(name.split("[")[0]) == version
