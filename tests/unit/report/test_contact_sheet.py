import io

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_cie76, rgb2lab

from dixonflow.report.contact_sheet import contact_sheet, sheet_name, shown_slices
from dixonflow.report.palette import colour, lookup_table
from dixonflow.vocabulary import Contrast, ScanId

AFFINE = np.diag([4.0, 4.0, 6.0, 1.0])


def body(shape=(60, 40, 80)):
    """A grey block with a label 5 box on the patient's right, in front, near the head."""
    image = np.full(shape, 100, np.int16)
    labels = np.zeros(shape, np.uint8)
    labels[40:55, 25:35, 55:75] = 5
    return {Contrast.WATER: image, Contrast.IN_PHASE: image}, labels


def decode(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def coloured(picture):
    return np.ptp(picture, axis=2) > 40


def test_views_keep_millimetres_and_sides():
    images, labels = body()
    picture = decode(contact_sheet(images, labels, AFFINE))
    # 240 x 160 x 480 mm: the coronal view is 560 pixels tall for 480 mm.
    scale = 560 / 480
    coronal, sagittal, half, gap = round(240 * scale), round(160 * scale), (560 - 8) // 2, 8
    assert picture.shape[0] == 560 + 2 * gap
    assert picture.shape[1] == 5 * gap + 2 * coronal + sagittal + round(half * 240 / 160)
    marked = coloured(picture)
    first = marked[:, gap : gap + coronal]
    assert not first.any()  # the plain view has no labels

    left = 2 * gap + coronal
    rows, columns = np.nonzero(marked[:, left : left + coronal])
    # The patient's right (high x) is on the left, superior (high z) is up, sizes are 60 x 120 mm.
    assert columns.min() == pytest.approx((60 - 55) * 4 * scale, abs=2)
    assert np.ptp(columns) + 1 == pytest.approx(60 * scale, abs=2)
    assert rows.min() - gap == pytest.approx((80 - 75) * 6 * scale, abs=2)
    assert np.ptp(rows) + 1 == pytest.approx(120 * scale, abs=2)

    left = 3 * gap + 2 * coronal
    rows, columns = np.nonzero(marked[:, left : left + sagittal])
    # Anterior (high y) is on the left.
    assert columns.min() == pytest.approx((40 - 35) * 4 * scale, abs=2)
    assert np.ptp(columns) + 1 == pytest.approx(40 * scale, abs=2)

    left = 4 * gap + 2 * coronal + sagittal
    upper = marked[gap : gap + half, left:-gap]
    rows, columns = np.nonzero(upper)
    axial = half / 160
    assert columns.min() == pytest.approx(5 * 4 * axial, abs=2)
    assert rows.min() == pytest.approx(5 * 4 * axial, abs=2)  # anterior is up


def test_structure_has_its_palette_colour():
    images, labels = body()
    picture = decode(contact_sheet(images, labels, AFFINE))
    # The boundary is drawn at 90 % opacity on white (the image is constant, hence all white).
    expected = 0.9 * np.array(colour(5)) + 0.1 * 255
    nearest = np.abs(picture - expected).max(axis=2).min()
    assert nearest <= 6  # the indexed PNG rounds


def test_same_input_same_bytes_and_no_labels_is_drawn():
    images, labels = body()
    assert contact_sheet(images, labels, AFFINE) == contact_sheet(images, labels, AFFINE)
    empty = decode(contact_sheet(images, np.zeros_like(labels), AFFINE))
    assert not coloured(empty).any()
    assert empty.max() > 250


def test_slices_show_most_structures():
    labels = np.zeros((80, 80, 160), np.uint8)
    labels[10:70, 10:70, 20:150] = 1
    labels[30:36, 10:40, 100:110] = 2
    labels[30:36, 50:60, 100:110] = 3
    labels[40:50, 20:26, 40:50] = 4
    x, y, upper, lower = shown_slices(labels)
    assert 30 <= x < 36
    assert 20 <= y < 26
    assert 100 <= upper < 110
    assert 40 <= lower < 50


def test_flat_tiny_and_not_finite_images_do_not_break():
    for shape in ((1, 1, 1), (200, 3, 4), (2, 2, 400)):
        image = np.zeros(shape, np.float32)
        image.flat[0] = np.nan
        picture = decode(contact_sheet({Contrast.WATER: image}, np.zeros(shape, np.uint16), np.eye(4)))
        assert picture.shape[1] <= 1600


def test_any_image_is_drawn_where_water_and_in_phase_are_missing():
    images, labels = body()
    water = contact_sheet({Contrast.WATER: images[Contrast.WATER]}, labels, AFFINE)
    for contrast in (Contrast.FAT, Contrast.T2, Contrast.PD, Contrast.MR):
        assert contact_sheet({contrast: images[Contrast.WATER]}, labels, AFFINE) == water


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, a, f: ({}, a, f), "needs an image"),
        (lambda i, a, f: (i, a[:-1], f), "one grid"),
        (lambda i, a, f: (i, a.astype(float), f), "integers"),
        (lambda i, a, f: (i, a.astype(np.int16) - 1, f), "integers"),
        (lambda i, a, f: (i, a, np.diag([-4.0, 4.0, 6.0, 1.0])), "RAS"),
    ],
)
def test_wrong_input_is_refused(change, message):
    images, labels = body()
    with pytest.raises(ValueError, match=message):
        contact_sheet(*change(images, labels, AFFINE))


def test_file_name_hides_the_participant():
    scan = ScanId("1000123", "2")
    name = sheet_name(scan, "abc")
    assert name == sheet_name(scan, "abc")
    assert "1000123" not in name
    assert len({name, sheet_name(ScanId("1000124", "2"), "abc"), sheet_name(scan, "abd")}) == 3
    with pytest.raises(ValueError, match="fingerprint"):
        sheet_name(scan, "")


def test_palette_tells_any_two_labels_apart():
    table = lookup_table(150)
    assert not table[0].any()
    assert tuple(table[5]) == colour(5)
    lab = rgb2lab(table[1:])
    distance = deltaE_cie76(lab[:, None], lab[None])
    assert distance[~np.eye(150, dtype=bool)].min() >= 15
    assert lab[:, 0].min() > 30  # seen on black
    assert len(lookup_table(1000)) == 1001
    with pytest.raises(ValueError, match="start at 1"):
        colour(0)
