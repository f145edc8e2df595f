"""Every model file of DixonFlow: weights with its label table, in its authors' layout, are imported by it."""

import shutil
from pathlib import Path

import pytest
from published_weights import publish_model, train_model

from dixonflow.errors import ModelError
from dixonflow.importing.install import check_imported, import_model
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.segment import load_model_folder

PUBLISHED = sorted(path.stem for path in MODELS.glob("*.yaml") if load_model(path).source is not None)


def _model_file(name: str, folder: Path) -> tuple[Path, Model]:
    """The model in a folder of its own; without the pins, which are those of the real weights."""
    folder.mkdir(exist_ok=True)
    for each in MODELS.glob("*.yaml"):  # a model that is cropped needs the file of its rough model
        shutil.copy(each, folder)
    path = folder / f"{name}.yaml"
    model = load_model(path)
    parts = [
        part.model_copy(
            update={
                "archives": tuple(
                    archive.model_copy(update={"bytes": None, "sha256": None}) for archive in part.archives
                )
            }
        )
        for part in model.parts
    ]
    return path, model.model_copy(update={"parts": tuple(parts)})


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_as_published_are_imported(name: str, tmp_path: Path) -> None:
    path, model = _model_file(name, tmp_path / "models")
    publish_model(model, train_model(model, tmp_path / "results"), tmp_path / "archives")
    assert import_model(model, (str(tmp_path / "archives"),), consent=model.consent is not None) is True
    check_imported(model)
    for part in model.parts:
        loaded = load_model_folder(model.folders[part.name])
        assert loaded.architecture.classes == len(model.published_names_of(part)) + 1
        assert loaded.folds == (part.folds or tuple(str(fold) for fold in range(len(part.archives))))
        assert part.trainer in {None, loaded.metadata.trainer_name}
    imported = load_model(path)
    assert imported.is_imported
    assert imported.orientation != "dataset"
    assert imported.spacing_mm != "plans"


def test_real_pins_stop_other_weights(tmp_path: Path) -> None:
    path, unpinned = _model_file("mrsegmentator", tmp_path / "models")
    publish_model(unpinned, train_model(unpinned, tmp_path / "results"), tmp_path / "archives")
    with pytest.raises(ModelError, match=r"weights\.zip has SHA-256 .*, the model file says dd26c1b5"):
        import_model(load_model(path), (str(tmp_path / "archives"),))
