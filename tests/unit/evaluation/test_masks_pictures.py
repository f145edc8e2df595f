"""Pictures of cases: the image below the outlines, and what happens where something cannot be drawn."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reference_masks import SHAPE, SPACING_MM, affine_of, label_map, write

from dixonflow.evaluation.masks.label_files import LabelFiles
from dixonflow.evaluation.masks.mapping_files import named_mapping
from dixonflow.evaluation.masks.pictures import PictureTask, draw_case
from dixonflow.evaluation.outputs.case_pictures import PREDICTION_COLOUR, REFERENCE_COLOUR, ChosenCase

AMOS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 6}


def chosen(structure: str) -> ChosenCase:
    return ChosenCase("s", structure, "a", "worst", 1, 1)


def task(tmp_path: Path, image: Path | None, *structures: str) -> PictureTask:
    mapping = named_mapping("amos15")
    reference = LabelFiles(mapping, write(tmp_path / "r.nii.gz", label_map(AMOS)))
    prediction = LabelFiles(mapping, write(tmp_path / "p.nii.gz", label_map(AMOS, (1, 0, 0))))
    return PictureTask(reference, {"s": prediction}, image, tuple(map(chosen, structures)))


def colours(picture: bytes) -> set[tuple[int, int, int]]:
    with Image.open(io.BytesIO(picture)) as opened:
        return {tuple(colour) for _, colour in opened.convert("RGB").getcolors(2**20)}


def greys(picture: bytes) -> int:
    return sum(1 for red, green, blue in colours(picture) if red == green == blue)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 900, shape).astype(np.int16)


def test_both_outlines_are_drawn_with_and_without_an_image(tmp_path):
    bare = draw_case(task(tmp_path, None, "liver", "kidneys"))
    assert set(bare) == {chosen("liver"), chosen("kidneys")}
    drawn = draw_case(task(tmp_path, write(tmp_path / "i.nii.gz", noise(SHAPE)), "liver"))
    for picture in (bare[chosen("liver")], drawn[chosen("liver")]):
        assert {REFERENCE_COLOUR, PREDICTION_COLOUR} <= colours(picture)
    assert greys(drawn[chosen("liver")]) > greys(bare[chosen("liver")]) + 20


def test_an_image_on_another_grid_is_shown_on_the_references(tmp_path):
    half = tuple(each / 2 for each in SPACING_MM)
    size = tuple(2 * each for each in SHAPE)
    image = write(tmp_path / "i.nii.gz", noise(size), affine_of(half), orientation="LPS")
    assert greys(draw_case(task(tmp_path, image, "liver"))[chosen("liver")]) > 20


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_an_image_that_cannot_be_read_leaves_the_outlines(tmp_path, content):
    (tmp_path / "i.nii.gz").write_bytes(content)
    for image in (tmp_path / "i.nii.gz", tmp_path / "none.nii.gz"):
        assert REFERENCE_COLOUR in colours(draw_case(task(tmp_path, image, "liver"))[chosen("liver")])


def test_label_maps_that_are_gone_have_no_picture_and_stop_nothing(tmp_path, caplog):
    gone = task(tmp_path, None, "liver")
    (tmp_path / "p.nii.gz").unlink()
    assert draw_case(gone) == {}
    assert "pictures of a case are missing" in caplog.text
