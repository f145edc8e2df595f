"""Inputs that fuzzing has found: once mended, they stay so. The targets themselves: what they start from is read."""

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"
sys.path.append(str(FUZZ))

from limits import examine  # noqa: E402
from targets import MODULES, load  # noqa: E402

REGRESSIONS = sorted(path for path in FUZZ.glob("regressions/*/*") if path.is_file())


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_mended_input_is_read_or_refused_as_declared(path: Path, tmp_path: Path) -> None:
    found = examine(load(path.parent.name), path.read_bytes(), tmp_path)
    assert found is None, f"{found.key}\n{found.detail}"


@pytest.mark.parametrize("name", MODULES)
def test_what_fuzzing_starts_from_is_read(name: str, tmp_path: Path) -> None:
    target = load(name)
    (tmp_path / "seeds").mkdir()
    seeds = target.seeds(tmp_path / "seeds")
    assert seeds
    for number, seed in enumerate(seeds):
        assert len(seed) <= target.longest
        target.read(seed, tmp_path / str(number))


def test_an_undeclared_exception_is_a_finding(tmp_path: Path) -> None:
    def fail(data: bytes, folder: Path) -> None:
        raise LookupError(folder, data)

    target = load("withdrawn")
    found = examine(type(target)(fail, target.allowed, target.seeds), b"", tmp_path)
    assert found is not None
    assert found.key.startswith("LookupError test_fuzz_regressions.py")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux only")
def test_much_memory_is_a_finding(tmp_path: Path) -> None:
    target = load("withdrawn")
    found = examine(type(target)(lambda data, folder: _fill(), target.allowed, target.seeds), b"", tmp_path)
    assert found is not None
    assert found.key == "memory"


def _fill() -> None:
    assert len(bytearray(b"x") * (400 << 20))
