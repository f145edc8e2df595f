"""Import of published weights, end to end: real checkpoints, a real server, every way in."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from file_server import FileServer
from published_weights import (
    MRSEG,
    TOTAL,
    VIBE,
    assert_holds_published_weights,
    models,
    pinned,
    published_at,
)

from dixonflow.cli.networks.import_model import import_model_command
from dixonflow.cli.options import CONFIG, weights_folder
from dixonflow.errors import ModelError
from dixonflow.importing.install import check_imported, import_model
from dixonflow.segment import load_model_folder
from dixonflow.system.regular_file import sha256_of

pytestmark = pytest.mark.usefixtures("alone")

SYSTEMS = (VIBE, MRSEG, TOTAL)


@pytest.mark.parametrize("system", SYSTEMS)
def test_published_archives_are_downloaded_and_installed(
    system: str, server: FileServer, weights: Path, trainings: dict[str, Path]
) -> None:
    model = published_at(pinned(models(weights)[system], server.folder), server.address)
    assert import_model(model) is True
    assert_holds_published_weights(model, trainings)
    assert sorted(item.name for item in weights.iterdir()) == [f".{system}.lock", system]
    asked = len(server.requests)
    assert import_model(model) is False
    assert len(server.requests) == asked == sum(len(part.archives) for part in model.parts)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_folder_of_archives_a_mirror_and_unpacked_weights_give_the_same(
    system: str, server: FileServer, weights: Path, trainings: dict[str, Path], tmp_path: Path
) -> None:
    unpacked = trainings["organs"].parent.parent if system != MRSEG else trainings[MRSEG]
    for number, given in enumerate((str(server.folder), server.address, str(unpacked))):
        model = models(tmp_path / str(number))[system]
        import_model(model, (given,))
        assert_holds_published_weights(model, trainings)
        record = json.loads((model.weights / "import.json").read_text())
        assert bool(record["parts"][0]["archives"]) is (number < 2)
    hashes = {models(tmp_path / str(number))[system].weights_hash for number in range(3)}
    assert len(hashes) == 1  # where it came from and when does not make it another model


@pytest.mark.parametrize("how", ["folder", "mirror", "zips"])
def test_further_archives_that_only_the_first_one_names_come_with_it(
    how: str, server: FileServer, weights: Path, trainings: dict[str, Path]
) -> None:
    model = models(weights)[VIBE]
    (part,) = model.parts
    part = part.model_copy(update={"archives": part.archives[:1], "further_archives": True})
    model = model.model_copy(update={"parts": (part,)})
    zips = tuple(str(server.folder / f"100{addendum}.zip") for addendum in ("_1", "", "_2"))
    import_model(model, {"folder": (str(server.folder),), "mirror": (server.address,), "zips": zips}[how])
    assert_holds_published_weights(model, trainings)


def test_zips_can_be_given_one_by_one(served: Path, weights: Path, trainings: dict[str, Path]) -> None:
    model = models(weights)[VIBE]
    with pytest.raises(ModelError, match=r"100_2\.zip is missing: add it with --from, model vibe needs it too"):
        import_model(model, [str(served / name) for name in ("100.zip", "100_1.zip")])
    import_model(model, [str(served / name) for name in ("100_2.zip", "100.zip", "100_1.zip")])
    assert_holds_published_weights(model, trainings)
    only = models(weights)[MRSEG]
    renamed = served / "mine.zip"
    (served / "weights.zip").rename(renamed)
    import_model(only, (str(renamed),))
    assert_holds_published_weights(only, trainings)


def test_everything_about_the_import_is_recorded(server: FileServer, weights: Path, trainings: dict[str, Path]) -> None:
    model = published_at(pinned(models(weights)[MRSEG], server.folder), server.address)
    import_model(model)
    record = json.loads((model.weights / "import.json").read_text())
    assert record["model"] == MRSEG
    assert record["versions"]["torch"] == torch.__version__.split("+")[0] or record["versions"]["torch"]
    assert record["imported"][:2] == "20"
    (part,) = record["parts"]
    (archive,) = part["archives"]
    published = model.parts[0].archives[0]
    assert archive == {
        "origin": server.address + "weights.zip",
        "file": {"name": "weights.zip", "bytes": published.bytes, "sha256": published.sha256},
        "sha256_published": True,
    }
    files = {file["name"]: file for file in part["files"]}
    assert set(files) == {
        "plans.json",
        "dataset.json",
        "version.json",
        "fold_0/checkpoint_final.pth",
        "fold_1/checkpoint_final.pth",
    }
    for name, file in files.items():
        path = trainings[MRSEG] / name
        assert file["bytes"] == path.stat().st_size
        assert file["sha256"] == sha256_of(path)
    assert (model.weights / "version.json").read_text() == '{"weights_version": 1.2}'


def test_an_interrupted_download_goes_on_in_the_next_call(
    server: FileServer, weights: Path, trainings: dict[str, Path]
) -> None:
    model = published_at(pinned(models(weights)[VIBE], server.folder), server.address)
    server.break_after["100_1.zip"] = [5000, 0, 0, 0, 0]
    with pytest.raises(ModelError, match=r"100_1\.zip: the connection broke off.*Run the same command again to resume"):
        import_model(model)
    assert not model.weights.exists()
    import_model(model)
    assert_holds_published_weights(model, trainings)
    assert server.statuses("100.zip") == [200]  # not fetched again
    assert server.requests[-2] == ("100_1.zip", "bytes=5000-", 206)


def test_local_copies_are_taken_before_anything_is_downloaded(
    weights: Path, trainings: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(trainings["organs"].parent.parent))
    model = published_at(models(weights)[TOTAL], "http://127.0.0.1:1/")
    import_model(model)
    assert_holds_published_weights(model, trainings)
    record = json.loads((model.weights / "import.json").read_text())
    assert record["parts"][0]["origin"].endswith(f": Dataset850_Total_organs/{trainings['organs'].name}")


def test_leftovers_of_a_killed_import_are_cleared(served: Path, weights: Path, trainings: dict[str, Path]) -> None:
    left = weights / ".mrseg.import" / "model" / "fold_0"
    left.mkdir(parents=True)
    (left / "weights.safetensors").write_bytes(b"half")
    model = models(weights)[MRSEG]
    import_model(model, (str(served),))
    assert_holds_published_weights(model, trainings)
    assert not (weights / ".mrseg.import").exists()


def test_a_copied_folder_is_as_good_as_an_import(
    served: Path, weights: Path, trainings: dict[str, Path], tmp_path: Path
) -> None:
    import_model(models(weights)[TOTAL], (str(served),))
    offline = tmp_path / "offline"
    shutil.copytree(weights / TOTAL, offline / TOTAL)
    model = published_at(models(offline)[TOTAL], "http://127.0.0.1:1/")
    check_imported(model)
    assert import_model(model) is False
    assert_holds_published_weights(model, trainings)


def test_the_folder_names_the_fold_not_the_checkpoint(
    weights: Path, trainings: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trainings[MRSEG], tmp_path / "renamed"))
    (folder / "fold_0").rename(folder / "fold_2")
    (folder / "fold_1").rename(folder / "fold_0")
    (folder / "fold_2").rename(folder / "fold_1")
    model = models(weights)[MRSEG]
    import_model(model, (str(folder),))
    published = torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False)["network_weights"]  # our own
    (network,) = load_model_folder(model.weights, ("0",)).networks
    assert all(torch.equal(tensor, published[name]) for name, tensor in network.state_dict().items())


HOLD = """
import sys, time
from pathlib import Path
from dixonflow.importing.lock import import_lock
with import_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_a_second_import_says_that_it_waits_and_then_goes_on(
    served: Path, weights: Path, trainings: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    command = [sys.executable, "-c", HOLD, str(weights / ".mrseg.lock"), "1.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        began = time.monotonic()
        model = models(weights)[MRSEG]
        import_model(model, (str(served),))
        assert time.monotonic() - began > 1
    assert "another process is importing this model" in caplog.text
    assert_holds_published_weights(model, trainings)


def test_two_imports_at_once_leave_one_whole_model(
    served: Path, weights: Path, trainings: dict[str, Path], tmp_path: Path
) -> None:
    model = models(Path())[MRSEG]  # the file and its weights are moved together
    (weights / "mrseg.yaml").write_text(yaml.safe_dump(model.model_dump(mode="json", exclude_none=True)))
    command = [
        sys.executable,
        "-m",
        "dixonflow",
        "import-model",
        MRSEG,
        "--from",
        str(served),
        "--models",
        str(weights),
    ]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    told = sorted(out.strip().removeprefix(f"{weights / MRSEG}: ") for out, _ in outputs)
    assert told == ["already imported, unchanged", "imported"]
    assert_holds_published_weights(models(weights)[MRSEG], trainings)


def test_the_script_reports_an_error_as_one_line(weights: Path) -> None:
    main = import_model_command
    (weights / "mrseg.yaml").write_text("name: mrseg\n")
    for name, message in (
        ("nosuch", r"import-model: model file .*nosuch\.yaml"),
        ("mrseg", "import-model: model file"),
    ):
        with pytest.raises(SystemExit, match=message) as caught:
            main(name, models=weights)
        assert str(caught.value).count("\n") == 0


def test_a_configuration_that_is_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert weights_folder(CONFIG) == Path("models"), "there is none yet"
    with pytest.raises(SystemExit, match=r"import-model: config: nowhere\.yaml does not exist"):
        import_model_command(MRSEG, config=Path("nowhere.yaml"))
    assert list(tmp_path.iterdir()) == []
