"""What is wrong with published weights stops their import with one line, and nothing is half-installed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from file_server import FileServer
from published_weights import (
    MRSEG,
    VIBE,
    assert_holds_published_weights,
    below,
    models,
    pinned,
    published_at,
    write_zip,
)

from dixonflow.errors import ModelError
from dixonflow.importing.install import import_model
from dixonflow.models.model import Model

pytestmark = pytest.mark.usefixtures("alone")


def _refused(model: Model, message: str, *given: str) -> str:
    """Import must fail with one line, and leave no folder of the model."""
    with pytest.raises(ModelError, match=message) as caught:
        import_model(model, given)
    assert "\n" not in str(caught.value)
    assert not model.weights.exists()
    left = {item.name for item in model.weights.parent.glob(f"*{model.name}*")}
    assert left <= {f".{model.name}.lock", f".{model.name}.download"}
    return str(caught.value)


def test_a_wrong_hash_is_refused_before_the_archive_is_opened(server: FileServer, weights: Path) -> None:
    model = published_at(pinned(models(weights)[MRSEG], server.folder), server.address)
    path = server.folder / "weights.zip"
    content = bytearray(path.read_bytes())
    content[0] ^= 1  # would also be no zip any more
    path.write_bytes(content)
    message = _refused(model, r"weights\.zip .* has SHA-256 [0-9a-f]{64}, the model file says")
    assert server.address in message
    assert "run the same command again" in message
    assert not (weights / ".mrseg.download").exists()  # the wrong file is gone
    _refused(model, "Fetch it again", str(path))
    assert path.exists()  # the user's own file stays


def test_a_page_instead_of_an_archive_is_refused_and_not_kept(
    server: FileServer, weights: Path, trainings: dict[str, Path]
) -> None:
    path = server.folder / "weights.zip"
    content = path.read_bytes()
    path.write_bytes(b"<html>Please sign in</html>")
    model = published_at(models(weights)[MRSEG], server.address)
    _refused(model, r"weights\.zip is not a complete zip file")
    path.write_bytes(content)
    import_model(model)
    assert_holds_published_weights(model, trainings)


def test_a_truncated_zip_is_refused(served: Path, weights: Path) -> None:
    path = served / "weights.zip"
    pins = pinned(models(weights)[MRSEG], served)
    path.write_bytes(path.read_bytes()[:-1000])
    message = _refused(pins, r"weights\.zip .* bytes long, the model file says", str(path))
    assert "truncated" in message
    _refused(models(weights)[MRSEG], r"weights\.zip is not a complete zip file", str(path))


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def test_a_checkpoint_with_code_is_refused_by_name_and_not_run(
    served: Path, weights: Path, trainings: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(trainings[MRSEG], tmp_path / "evil_weights"))
    content = torch.load(folder / "fold_1" / "checkpoint_final.pth", weights_only=False)  # our own
    torch.save(content | {"logging": _Evil()}, folder / "fold_1" / "checkpoint_final.pth")
    write_zip(served / "weights.zip", below(folder))
    for given in (str(served / "weights.zip"), str(folder)):
        message = _refused(
            models(weights)[MRSEG], r"fold_1/checkpoint_final\.pth holds the Python object posix\.mkdir", given
        )
        assert given in message
        assert "use the published weights" in message
    assert not (tmp_path / "evil").exists()


def test_a_changed_label_table_is_refused_and_named(
    served: Path, weights: Path, trainings: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trainings[MRSEG], tmp_path / "changed"))
    dataset = json.loads((folder / "dataset.json").read_text())
    dataset["labels"] = {"background": 0, "right_kidney": 1, "spleen": 2}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    path = write_zip(served / "weights.zip", below(folder))
    message = _refused(models(weights)[MRSEG], "class 1 is 'right_kidney', in the model file 'spleen'", str(path))
    assert f"{path}: dataset.json" in message


def test_what_came_from_one_address_is_not_taken_for_anothers(
    server: FileServer, weights: Path, trainings: dict[str, Path]
) -> None:
    for name, training in (("other", "bones"), ("right", MRSEG)):
        (server.folder / name).mkdir()
        write_zip(server.folder / name / "weights.zip", below(trainings[training]))
    model = models(weights)[MRSEG].model_copy(update={"orientation": "RAS"})
    _refused(model, "class 1 is 'femur_left'|fold 1 is missing", f"{server.address}other/")
    with pytest.raises(ModelError, match="one address of a folder"):
        import_model(model, (f"{server.address}other/", f"{server.address}right/"))
    import_model(model, (f"{server.address}right/",))
    assert_holds_published_weights(model, trainings)


def test_a_missing_fold_and_a_missing_archive_are_refused(
    server: FileServer, weights: Path, trainings: dict[str, Path]
) -> None:
    path = write_zip(server.folder / "weights.zip", below(trainings[MRSEG], folds="0"))
    _refused(models(weights)[MRSEG], r"weights\.zip: fold 1 is missing \(fold_1/checkpoint_final\.pth\)", str(path))
    (server.folder / "100_2.zip").unlink()
    _refused(published_at(models(weights)[VIBE], server.address), r"100_2\.zip: the server answers 404")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("bones", r"fold_0/checkpoint_final\.pth: .* has shape"),  # fewer classes
        ("organs", r"fold_1/checkpoint_final\.pth: .* holds folds of another training"),  # mirrored
    ],
)
def test_checkpoints_of_other_networks_are_refused(
    other: str, message: str, weights: Path, trainings: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trainings[MRSEG], tmp_path / "other"))
    shutil.copy(trainings[other] / "fold_0" / "checkpoint_final.pth", folder / "fold_0")
    text = _refused(models(weights)[MRSEG], message, str(folder))
    assert str(folder) in text
    assert ".mrseg.import" not in text


def test_no_network_and_unpublished_weights_say_what_to_do(weights: Path) -> None:
    _refused(published_at(models(weights)[MRSEG], "http://127.0.0.1:1/"), r"cannot be reached .*no network.*--from")
    _refused(models(weights)[MRSEG], r"weights\.zip of model mrseg is not published at an address.*--from")
    _refused(models(weights)[MRSEG], r"--from nowhere: no such folder or file", "nowhere")


def test_conditions_must_be_agreed_to(served: Path, weights: Path) -> None:
    model = models(weights)[MRSEG].model_copy(update={"consent": "No commercial use."})
    _refused(model, r"model mrseg has conditions: No commercial use\. Agree with --consent", str(served))
    assert import_model(model, (str(served),), consent=True) is True


def test_too_little_disk_space_is_said_before_the_download(server: FileServer, weights: Path) -> None:
    server.claims["weights.zip"] = 10**15
    model = published_at(models(weights)[MRSEG], server.address)
    _refused(model, r"too little disk space in .*Free some and run the same command again")


def test_a_damaged_import_is_found_and_not_overwritten(served: Path, weights: Path) -> None:
    model = models(weights)[MRSEG]
    import_model(model, (str(served),))
    path = model.weights / "fold_1" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"fold_1.* differs from its import.*Remove {model.weights} and import"):
        import_model(model, (str(served),))
    path.unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors.*No such file.*Remove"):
        import_model(model, (str(served),))
    (model.weights / "metadata.json").unlink()
    with pytest.raises(ModelError, match=r"metadata\.json.*Remove"):
        import_model(model, (str(served),))


def test_a_bomb_as_a_checkpoint_is_refused(
    served: Path, weights: Path, trainings: dict[str, Path], tmp_path: Path
) -> None:
    bomb = write_zip(tmp_path / "bomb.pth", {"archive/data.pkl": bytes(40 * 2**20)})
    files = below(trainings[MRSEG]) | {"fold_0/checkpoint_final.pth": bomb}
    _refused(
        models(weights)[MRSEG],
        r"fold_0/checkpoint_final\.pth cannot be read .*compressed",
        str(write_zip(served / "weights.zip", files)),
    )


def test_a_model_that_ships_with_dixonflow_is_not_imported(weights: Path) -> None:
    model = models(weights)[MRSEG].model_copy(update={"source": None, "parts": ()})
    with pytest.raises(ModelError, match="ships with DixonFlow"):
        import_model(model)


def test_an_orientation_that_nobody_states_is_refused(
    weights: Path, trainings: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trainings[VIBE], tmp_path / trainings[VIBE].name))
    path = folder / "dataset.json"
    for orientation in (None, ["S", "A", "R"]):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"orientation": orientation}))
        _refused(models(weights)[VIBE], rf"{path}: 'orientation' must be like RAS or LPS", str(folder))
