"""Models that are cropped to what a rough model finds, compared with TotalSegmentator's own steps, written out."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from imported_system import SCAN, Array, ImportedSystem, context_of, differing, segmented
from nnunet_reference import body
from scipy import ndimage
from totalsegmentator_reference import ONE_IN, of_the_authors

from dixonflow.config import demo_config
from dixonflow.errors import ModelError
from dixonflow.execution.content_keys import settings
from dixonflow.imaging.nifti import NiftiImage
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.models.runnable import check_runnable
from dixonflow.paths import Results
from dixonflow.segment.rough import box_around, cut, pasted
from dixonflow.vocabulary import Contrast, Stage

FINE, ROUGH = "totalsegmentatormr3mm", "totalsegmentatormr6mm"
MARGIN_MM = 4.2
WITHIN_MM = 5.0


@given(st.data())
def test_the_box_is_that_of_totalsegmentator(data):
    mask = data.draw(arrays(np.bool_, (5, 4, 6)))
    spacing = data.draw(st.tuples(*[st.floats(0.5, 4)] * 3))
    margin = data.draw(st.floats(0, 9))
    found = box_around(mask, spacing, margin)
    if not mask.any():
        assert found is None
        return
    added = (np.full(3, margin) / spacing).astype(int)
    for axis, where in enumerate(np.where(mask)):
        low, high = int(where.min()) - added[axis], int(where.max()) + 1 + added[axis]
        assert (found[axis].start, found[axis].stop) == (max(0, low), min(mask.shape[axis], high))


def test_a_part_lies_where_it_lay():
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = 10, 20, 30
    image = NiftiImage(np.arange(4 * 5 * 6).reshape(4, 5, 6), affine)
    box = (slice(1, 3), slice(2, 5), slice(0, 4))
    part = cut(image, box)
    assert part.data.shape == (2, 3, 4)
    np.testing.assert_array_equal(part.affine[:3, 3], [12, 26, 30])
    whole = pasted(part.data, box, image.data.shape)
    np.testing.assert_array_equal(whole[box], image.data[box])
    whole[box] = 0
    assert not whole.any()


class Cropped:
    """A fine model that is cropped to one structure of a rough one, both imported.

    Parameters
    ----------
    keep
        Whether labels must lie near a second structure, too.
    """

    def __init__(self, folder: Path, fine: str = FINE, rough: str = ROUGH, *, keep: bool = False) -> None:
        self.rough = ImportedSystem(rough, folder)
        (self.contrast,) = self.rough.model.input_contrasts
        image = body((15, 12, 11)) - (700 if self.contrast is Contrast.CT else 0)
        self.spacing_mm = (4.0, 5.0, 4.5)
        self.rough_labels = of_the_authors(self.rough, image, self.spacing_mm)
        self.image = image
        boxes = {label: self.box(label) for label in np.unique(self.rough_labels).tolist() if label}
        sizes = {label: np.prod([part.stop - part.start for part in box]) for label, box in boxes.items()}
        self.label = min(sizes, key=lambda label: abs(sizes[label] - image.size / 2))
        names = self.rough.model.labels
        crop = {"model": rough, "structures": [names[self.label].name], "margin_mm": MARGIN_MM}
        self.kept = [self.label, min(sizes, key=lambda label: sizes[label])] if keep else []
        if keep:
            crop |= {"keep_within": [names[label].name for label in self.kept], "keep_within_mm": WITHIN_MM}
        self.fine = ImportedSystem(fine, folder, {"crop": crop})

    def box(self, label: int) -> tuple[slice, ...]:
        where = np.where(self.rough_labels == label)
        added = (np.full(3, MARGIN_MM) / self.spacing_mm).astype(int)
        return tuple(
            slice(max(0, int(at.min()) - more), min(size, int(at.max()) + 1 + more))
            for at, more, size in zip(where, added, self.image.shape, strict=True)
        )

    def of_the_authors(self) -> Array:
        labels = np.zeros(self.image.shape, np.uint8)
        box = self.box(self.label)
        labels[box] = of_the_authors(self.fine, self.image[box], self.spacing_mm)
        if self.kept:
            steps = int(WITHIN_MM / np.mean(self.spacing_mm))
            near = ndimage.binary_dilation(np.isin(self.rough_labels, self.kept), iterations=steps)
            labels[~near] = 0
        return labels


@pytest.fixture(scope="module")
def cropped(tmp_path_factory: pytest.TempPathFactory) -> Cropped:
    return Cropped(tmp_path_factory.mktemp("cropped"))


def test_labels_are_those_of_the_authors_steps_on_the_part(cropped: Cropped, tmp_path: Path) -> None:
    box = cropped.box(cropped.label)
    share = np.prod([part.stop - part.start for part in box]) / cropped.image.size
    assert 0.1 < share < 0.9, "it is a part"
    theirs = cropped.of_the_authors()
    found = segmented(cropped.fine.model, {Contrast.IN_PHASE: cropped.image}, cropped.spacing_mm, tmp_path)
    assert differing(found[Contrast.IN_PHASE], theirs, 4) <= theirs.size / ONE_IN
    provenance = yaml.safe_load(Results(tmp_path).segment_provenance("shard", SCAN, FINE).read_text())
    assert provenance["crop"]["box"] == [[part.start, part.stop] for part in box]
    assert provenance["crop"]["model"] == ROUGH
    assert not list((tmp_path / "temporary").rglob("*resampled*"))


def test_labels_far_from_what_they_must_lie_near_are_removed(tmp_path: Path) -> None:
    """As in TotalSegmentator's task heartchambers_highres, whose box nnU-Net alone resamples."""
    heart = Cropped(tmp_path, "totalsegmentatorheartct", "totalsegmentatorct3mm", keep=True)
    published = load_model(MODELS / "totalsegmentatorheartct.yaml")
    assert (published.crop.structures, published.crop.margin_mm) == (("heart",), 20)
    assert published.crop.keep_within == ("heart", "aorta", "inferior_vena_cava")
    theirs = heart.of_the_authors()
    found = segmented(heart.fine.model, {Contrast.CT: heart.image}, heart.spacing_mm, tmp_path / "near")[Contrast.CT]
    assert differing(found, theirs, 4) <= theirs.size / ONE_IN
    everywhere = heart.fine.model.model_copy(
        update={"crop": heart.fine.model.crop.model_copy(update={"keep_within": ()})}
    )
    other = segmented(everywhere, {Contrast.CT: heart.image}, heart.spacing_mm, tmp_path / "all")[Contrast.CT]
    assert np.count_nonzero(other) > np.count_nonzero(found) > 0
    assert settings(Stage.SEGMENT, demo_config(), everywhere) != settings(
        Stage.SEGMENT, demo_config(), heart.fine.model
    )


def test_where_the_rough_model_finds_nothing_there_is_nothing(cropped: Cropped, tmp_path: Path) -> None:
    absent = sorted(set(cropped.rough.model.labels) - set(np.unique(cropped.rough_labels).tolist()))
    nowhere = cropped.rough.model.labels[absent[0]].name
    model = cropped.fine.model.model_copy(
        update={"crop": cropped.fine.model.crop.model_copy(update={"structures": (nowhere,)})}
    )
    found = segmented(model, {Contrast.IN_PHASE: cropped.image}, cropped.spacing_mm, tmp_path)
    assert found[Contrast.IN_PHASE].shape == cropped.image.shape
    assert not found[Contrast.IN_PHASE].any()
    provenance = yaml.safe_load(Results(tmp_path).segment_provenance("shard", SCAN, FINE).read_text())
    assert provenance["crop"]["box"] is None


def test_the_rough_model_is_part_of_the_key(cropped: Cropped) -> None:
    def key(model: Model) -> object:
        return settings(Stage.SEGMENT, demo_config(), model)

    model = cropped.fine.model
    wider = model.model_copy(update={"crop": model.crop.model_copy(update={"margin_mm": 9.0})})
    assert key(wider) != key(model)
    other = model.model_copy()
    other._rough = model.rough.model_copy(update={"tile_step": 0.9})
    assert key(other) != key(model)
    assert "rough" not in settings(Stage.SEGMENT, demo_config(), cropped.rough.model)


def test_a_rough_model_that_is_not_imported_is_named(cropped: Cropped, tmp_path: Path) -> None:
    model = cropped.fine.model
    config = context_of(model, Results(tmp_path)).config
    check_runnable(model, config)
    other = model.model_copy()
    other._rough = model.rough.model_copy(update={"weights": tmp_path / "nowhere"})
    with pytest.raises(ModelError, match=rf"{ROUGH} is not imported, .* does not hold it"):
        check_runnable(other, config)


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ({"model": ROUGH, "structures": ["tail"]}, f"{ROUGH} does not have tail"),
        ({"model": ROUGH, "structures": ["liver"], "keep_within": ["tail"]}, f"{ROUGH} does not have tail"),
        ({"model": "nosuch", "structures": ["liver"]}, "nosuch.yaml cannot be read"),
        ({"model": "totalsegmentatorct3mm", "structures": ["liver"]}, "must take one image of the same kind"),
    ],
)
def test_a_crop_that_cannot_be_is_one_line(tmp_path: Path, crop: dict[str, object], message: str) -> None:
    for name in (ROUGH, "totalsegmentatorct3mm"):
        (tmp_path / f"{name}.yaml").write_text((MODELS / f"{name}.yaml").read_text())
    content = yaml.safe_load((MODELS / f"{FINE}.yaml").read_text()) | {"crop": crop | {"margin_mm": 20}}
    (tmp_path / f"{FINE}.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match=message) as error:
        load_model(tmp_path / f"{FINE}.yaml")
    assert "\n" not in str(error.value)
