"""The conda environments carry the pins of the lock file, and the lock file nothing that needs CUDA."""

import importlib.metadata
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "envs/requirements.lock").read_text().splitlines()


def test_conda_environments_have_the_pins_of_the_lock_file():
    render = runpy.run_path(str(ROOT / "scripts/make_conda_envs.py"))["conda_environment"]
    for kind in ("cpu", "cuda"):
        text = (ROOT / f"envs/{kind}.yaml").read_text()
        assert text == render(kind), "run scripts/make_conda_envs.py"
        (pip,) = (item["pip"] for item in yaml.safe_load(text)["dependencies"] if isinstance(item, dict))
        assert pip == LOCK


def test_lock_file_pins_everything_exactly_and_holds_no_cuda_package():
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-\[\]]+==[^=; ]+", line.partition(" ; ")[0]) for line in LOCK)
    names = {line.split("==")[0].lower() for line in LOCK}
    assert not {name for name in names if name.startswith(("nvidia", "cuda", "triton", "torch"))}


def test_installed_versions_are_the_pinned_ones():
    for requirement in map(Requirement, LOCK):
        if requirement.marker is None or requirement.marker.evaluate():
            assert importlib.metadata.version(requirement.name) in requirement.specifier


def check_folder(folder):
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/check_folder.sh", folder / "scripts")
    return subprocess.run(["scripts/check_folder.sh"], cwd=folder, check=False, text=True, capture_output=True)


@pytest.mark.parametrize("name", ["$(touch owned)", "`touch owned`", 'a"b', "a\\b", "a:b", "a\nb", "a\x7fb"])
def test_nothing_is_installed_where_programs_of_the_environment_would_run_the_path(tmp_path, name):
    run = check_folder(tmp_path / name)
    assert run.returncode == 1
    assert run.stderr.startswith("install: the path of this folder must not contain ")
    assert len(run.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["check_folder.sh"]
    assert "\t@scripts/check_folder.sh\n\t@scripts/install.sh\n" in (ROOT / "Makefile").read_text()


def test_blanks_and_apostrophes_are_no_obstacle_to_installing(tmp_path):
    run = check_folder(tmp_path / "it's Körper (neu) [a]*? ; & | # ~ {x}")
    assert (run.returncode, run.stderr) == (0, "")


def test_both_images_hold_the_same_parts_and_install_as_any_machine_does():
    docker, apptainer = ((ROOT / "envs" / name).read_text() for name in ("Dockerfile", "dixonflow.def"))
    copied = {part for words in re.findall(r"^COPY (.+) \S+$", docker, re.M) for part in words.split()}
    listed = {line.split()[0] for line in re.search(r"%files\n(.*?)\n\n", apptainer, re.S)[1].splitlines()}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == listed == let_through
    assert all((ROOT / part).exists() for part in copied)
    for text in (docker, apptainer):
        assert re.findall(r"(?:pip|conda|uv) install", text) == []
        assert text.count("scripts/install.sh") == 1


def test_a_build_of_torch_that_does_not_exist_is_refused_in_one_line(tmp_path):
    for folder in ("scripts", "envs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    run = subprocess.run(
        ["scripts/install.sh"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "TORCH": "gpu"},
        check=False,
        text=True,
        capture_output=True,
    )
    assert (run.returncode, run.stderr) == (1, "install: TORCH must be cpu or cuda, not gpu\n")
    assert not (tmp_path / ".venv").exists()


def test_without_a_program_that_builds_images_one_line_says_so(tmp_path):
    for folder in ("scripts", "envs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "bin").mkdir()
    for program in ("bash", "dirname"):
        (tmp_path / "bin" / program).symlink_to(str(shutil.which(program)))
    run = subprocess.run(
        ["bash", "scripts/build_image.sh"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path / "bin")},
        check=False,
        text=True,
        capture_output=True,
    )
    assert run.returncode == 1
    assert run.stderr.startswith(
        "build_image: none of docker (with its daemon), podman, buildah and apptainer works here"
    )
    assert len(run.stderr.splitlines()) == 1
