"""The phantom: people, anatomy, scanner and truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from dixonflow.phantom.anatomy.breath import MOVED, at_breath
from dixonflow.phantom.anatomy.participant import MOVABLE_ORGANS, draw_participant
from dixonflow.phantom.anatomy.render import Anatomy, render_anatomy
from dixonflow.phantom.anatomy.structures import MUSCLES, Structure
from dixonflow.phantom.anatomy.tissue import tissue_table
from dixonflow.phantom.scanner.acquisition import (
    IDEAL,
    ScannerOptions,
    acquire,
    axis_weights,
    box_average,
    station_affine,
)
from dixonflow.phantom.scanner.protocol import nako_protocol, ukb_protocol
from dixonflow.phantom.truth import truth_table
from dixonflow.vocabulary import Contrast

COARSE_MM = 5.0
SEEDS = (0, 1, 3, 64, 146, 275, 283)
"""Ordinary people, and of the first 300 the shortest, the tallest, the leanest and the heaviest."""


@pytest.fixture(scope="module")
def bodies() -> dict[int, Anatomy]:
    return {seed: render_anatomy(draw_participant(seed), COARSE_MM) for seed in SEEDS}


def centroid(anatomy: Anatomy, structure: Structure) -> np.ndarray:
    index = np.array(center_of_mass(anatomy.labels == structure))
    return anatomy.affine[:3, :3] @ index + anatomy.affine[:3, 3]


def touching(anatomy: Anatomy, first: Structure, second: Structure) -> int:
    """Number of voxel faces between two structures."""
    faces = 0
    for axis in range(3):
        a, b = np.moveaxis(anatomy.labels, axis, 0)[:-1], np.moveaxis(anatomy.labels, axis, 0)[1:]
        faces += int(((a == first) & (b == second)).sum() + ((a == second) & (b == first)).sum())
    return faces


def test_participants_are_deterministic_and_vary_as_promised() -> None:
    assert draw_participant(7) == draw_participant(7) != draw_participant(8)
    people = [draw_participant(seed) for seed in range(300)]
    bmi = np.array([p.bmi for p in people])
    assert bmi.min() >= 18
    assert bmi.max() <= 45
    assert bmi.min() < 19.5
    assert bmi.max() > 40
    assert {p.sex for p in people} == {"female", "male"}
    for organ in MOVABLE_ORGANS:
        offsets = np.array([p.organ_offset_mm[organ] for p in people])
        assert np.sqrt(offsets.var(axis=0).sum()) >= 10
        sizes = np.array([p.organ_size[organ] for p in people])
        assert sizes.std() / sizes.mean() >= 0.15
    for key, low, high in (("liver", 0.01, 0.30), ("muscle", 0.03, 0.15)):
        values = np.array([p.fat_fraction[key] for p in people])
        assert low <= values.min() < values.max() <= high


def test_rendered_organs_move_and_change_size() -> None:
    bodies = [render_anatomy(draw_participant(seed), 8.0) for seed in range(1000, 1024)]
    for organ in (Structure.LIVER, Structure.SPLEEN, Structure.KIDNEY_LEFT, Structure.STOMACH, Structure.HEART):
        places = np.array([centroid(body, organ) for body in bodies])
        volumes = np.array([(body.labels == organ).sum() for body in bodies])
        assert np.sqrt(places.var(axis=0).sum()) >= 10
        assert volumes.std() / volumes.mean() >= 0.15


def test_rendering_is_deterministic(bodies: dict[int, Anatomy]) -> None:
    again = render_anatomy(draw_participant(3), COARSE_MM)
    assert np.array_equal(again.labels, bodies[3].labels)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_structure_is_in_the_smallest_field_of_view(bodies: dict[int, Anatomy], seed: int) -> None:
    participant = draw_participant(seed)
    truth = truth_table(participant, bodies[seed], nako_protocol(0.3125)).set_index("id")
    assert list(truth.index) == [int(s) for s in Structure]
    assert len(truth) == 46
    assert (truth.volume_in_fov_ml > 9).all(), truth[truth.volume_in_fov_ml <= 9]
    large = {Structure.LIVER: 600, Structure.SPLEEN: 50, Structure.KIDNEY_LEFT: 45, Structure.HEART: 250}
    for structure, least in large.items():
        assert truth.volume_in_fov_ml[int(structure)] > least


@pytest.mark.parametrize("seed", SEEDS)
def test_anatomy_is_ordered_and_asymmetric(bodies: dict[int, Anatomy], seed: int) -> None:
    body = bodies[seed]
    at = {s: centroid(body, s) for s in Structure}
    right, left = 1, -1
    assert at[Structure.LIVER][0] * right > 20
    assert at[Structure.SPLEEN][0] * left > 30
    assert at[Structure.STOMACH][0] * left > 0
    assert at[Structure.HEART][0] * left > 0
    assert at[Structure.AORTA][0] < at[Structure.INFERIOR_VENA_CAVA][0]
    for structure in Structure:
        if structure.name.endswith("_RIGHT") and structure is not Structure.LUNG_MIDDLE_LOBE_RIGHT:
            assert at[structure][0] > 0 > at[Structure[structure.name.replace("_RIGHT", "_LEFT")]][0]
    above = [Structure.HEART, Structure.LIVER, Structure.URINARY_BLADDER, Structure.FEMUR_LEFT]
    heights = [at[s][2] for s in above]
    assert heights == sorted(heights, reverse=True)
    for side in ("LEFT", "RIGHT"):
        lobes = Structure[f"LUNG_UPPER_LOBE_{side}"], Structure[f"LUNG_LOWER_LOBE_{side}"]
        assert at[lobes[0]][2] > at[lobes[1]][2]
        assert at[lobes[0]][1] > at[lobes[1]][1]
    assert at[Structure.SPINAL_CORD][1] < at[Structure.VERTEBRA_BODY][1]


def test_muscles_touch_and_cannot_be_told_apart_by_signal(bodies: dict[int, Anatomy]) -> None:
    table = tissue_table(draw_participant(0))
    assert len({(float(table.water[m]), float(table.fat[m])) for m in MUSCLES}) == 1
    assert len(MUSCLES) == 11
    for side in ("LEFT", "RIGHT"):
        maximus, medius, minimus = (Structure[f"GLUTEUS_{n}_{side}"] for n in ("MAXIMUS", "MEDIUS", "MINIMUS"))
        for pair in ((maximus, medius), (medius, minimus), (Structure[f"AUTOCHTHON_{side}"], Structure.MUSCLE)):
            assert touching(bodies[0], *pair) > 50, pair


def test_muscle_lies_between_the_two_kinds_of_fat(bodies: dict[int, Anatomy]) -> None:
    for body in bodies.values():
        shared = touching(body, Structure.SUBCUTANEOUS_FAT, Structure.INNER_FAT)
        assert shared <= 0.002 * touching(body, Structure.SUBCUTANEOUS_FAT, Structure.MUSCLE)


def test_protocols_have_the_published_geometry() -> None:
    ukb = ukb_protocol()
    assert [s.matrix for s in ukb.stations] == [
        (224, 168, 64),
        (224, 174, 44),
        (224, 174, 44),
        (224, 174, 44),
        (224, 162, 72),
        (224, 156, 64),
    ]
    last = ukb.stations[-1]
    assert last.depth_mm + last.matrix[2] * last.spacing_mm[2] == pytest.approx(1110)
    nako = nako_protocol()
    assert {s.matrix for s in nako.stations} == {(320, 260, 88)}
    assert nako.stations[-1].depth_mm + 88 * 3 == pytest.approx(948)
    for protocol in (ukb_protocol(0.5, 0.75), nako_protocol(0.3125, 0.75)):
        for upper, lower in zip(protocol.stations, protocol.stations[1:], strict=False):
            assert upper.depth_mm + upper.matrix[2] * upper.spacing_mm[2] - lower.depth_mm > 4 * upper.spacing_mm[2]
    with pytest.raises(ValueError, match="scale"):
        ukb_protocol(0.0)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(4, 30), st.floats(0.5, 3), st.integers(1, 12), st.floats(0.7, 9), st.floats(-20, 20), st.floats(-3, 3)
)
def test_box_average_keeps_constants_and_sums(
    count: int, spacing: float, target_count: int, target_spacing: float, shift: float, value: float
) -> None:
    source, target = np.diag([spacing, 1, 1, 1.0]), np.diag([target_spacing, 1, 1, 1.0])
    target[0, 3] = shift
    weights = axis_weights((count, 1, 1), source, (target_count, 1, 1), target)
    volume = np.full((count, 1, 1), value, np.float32)
    result = box_average(volume, weights)[:, 0, 0]
    low, high = -spacing / 2, (count - 0.5) * spacing
    centres = shift + target_spacing * np.arange(target_count)
    inside = (centres - target_spacing / 2 >= low) & (centres + target_spacing / 2 <= high)
    outside = (centres + target_spacing / 2 <= low) | (centres - target_spacing / 2 >= high)
    assert np.allclose(result[inside], value, atol=1e-4)
    assert np.allclose(result[outside], 0, atol=1e-4)
    covered = max(0.0, min(high, centres[-1] + target_spacing / 2) - max(low, shift - target_spacing / 2))
    assert result.sum() * target_spacing == pytest.approx(value * covered, abs=1e-2)


def test_an_ideal_scanner_gives_the_partial_volumed_tissues(bodies: dict[int, Anatomy]) -> None:
    participant, body = draw_participant(0), bodies[0]
    table = tissue_table(participant)
    protocol = nako_protocol(0.3125, 0.5)
    stations = acquire(participant, body, protocol, IDEAL)
    assert [s.index for s in stations] == [0, 1, 2, 3]
    assert [s.affine[2, 3] for s in stations] == sorted((s.affine[2, 3] for s in stations), reverse=True)
    station, geometry = stations[1], protocol.stations[1]
    affine = station_affine(geometry, participant, body.top_mm)
    assert np.array_equal(station.affine, affine)
    weights = axis_weights(body.labels.shape, body.affine, geometry.matrix, affine)
    water, fat = (box_average(t[body.labels], weights) for t in (table.water, table.fat))
    expected = {
        Contrast.WATER: water,
        Contrast.FAT: fat,
        Contrast.IN_PHASE: water + fat,
        Contrast.OPPOSED_PHASE: abs(water - fat),
    }
    for contrast, image in expected.items():
        assert station.images[contrast].dtype == np.int16
        assert abs(station.images[contrast] - image).max() <= 0.51


def test_noise_shading_and_gain_leave_the_fat_fraction(bodies: dict[int, Anatomy]) -> None:
    participant, body = draw_participant(0), bodies[0]
    protocol = ukb_protocol(0.5)
    noisy, ideal = (acquire(participant, body, protocol, o) for o in (ScannerOptions(folding=False), IDEAL))
    gains = []
    for station, truth in zip(noisy, ideal, strict=True):
        bright = truth.images[Contrast.IN_PHASE] > 150
        ratios = station.images[Contrast.IN_PHASE][bright] / truth.images[Contrast.IN_PHASE][bright]
        gains.append(np.median(ratios))
        assert 0.01 < ratios.std() / ratios.mean() < 0.3
        fractions = [
            s.images[Contrast.FAT][bright].sum(dtype=float)
            / (s.images[Contrast.FAT][bright].sum(dtype=float) + s.images[Contrast.WATER][bright].sum(dtype=float))
            for s in (station, truth)
        ]
        assert fractions[0] == pytest.approx(fractions[1], abs=0.02)
        assert all((image >= 0).all() for image in station.images.values())
    assert np.std(gains) > 0.03
    assert not np.array_equal(
        acquire(participant, body, protocol, session=1)[0].images[Contrast.WATER],
        acquire(participant, body, protocol)[0].images[Contrast.WATER],
    )


def test_images_of_one_scan_share_their_noise(bodies: dict[int, Anatomy]) -> None:
    participant, body = draw_participant(0), bodies[0]
    options = ScannerOptions(shading=False, gain=False, folding=False, texture=False)
    scanner, ideal = (acquire(participant, body, nako_protocol(0.3125, 0.5), o)[1].images for o in (options, IDEAL))
    mask = (ideal[Contrast.WATER] > 120) & (ideal[Contrast.FAT] > 60)
    assert mask.sum() > 100
    errors = {
        c: scanner[c][mask].astype(float) - ideal[c][mask] for c in (Contrast.WATER, Contrast.FAT, Contrast.IN_PHASE)
    }
    sums = errors[Contrast.WATER] + errors[Contrast.FAT]
    assert np.corrcoef(sums, errors[Contrast.IN_PHASE])[0, 1] > 0.95


def test_folding_touches_end_slices_only(bodies: dict[int, Anatomy]) -> None:
    participant, body = draw_participant(0), bodies[0]
    options = ScannerOptions(noise_sd=0, shading=False, gain=False, folding=True, texture=False)
    folded, clean = (acquire(participant, body, nako_protocol(0.3125, 0.5), o)[1] for o in (options, IDEAL))
    changed = (folded.images[Contrast.WATER] != clean.images[Contrast.WATER]).any(axis=(0, 1))
    assert changed[[0, -1]].all()
    assert not changed[2:-2].any()


def test_breathing_moves_the_liver_in_the_shifted_station_only(bodies: dict[int, Anatomy]) -> None:
    participant, body = draw_participant(0), bodies[0]
    raised = render_anatomy(at_breath(participant, 15), COARSE_MM)
    assert centroid(raised, Structure.LIVER)[2] - centroid(body, Structure.LIVER)[2] > 8
    still = np.abs(centroid(raised, Structure.FEMUR_LEFT) - centroid(body, Structure.FEMUR_LEFT))
    assert still.max() < 0.1
    protocol = nako_protocol(0.3125, 0.5)
    quiet = acquire(participant, body, protocol, IDEAL)
    moved = acquire(participant, body, protocol, IDEAL, shifted={2: raised})
    for a, b in zip(quiet, moved, strict=True):
        assert np.array_equal(a.images[Contrast.WATER], b.images[Contrast.WATER]) == (a.index != 1)


@pytest.mark.parametrize("diaphragm_mm", [8, -8])
def test_a_breath_changes_no_volume_but_that_of_the_lungs(diaphragm_mm: float) -> None:
    person = draw_participant(5003)
    still, moved = (render_anatomy(each, 2.0) for each in (person, at_breath(person, diaphragm_mm)))
    volumes = [np.bincount(body.labels.ravel(), minlength=73) for body in (still, moved)]
    lungs = [each for each in Structure if each.name.startswith("LUNG")]
    air = [int(each[lungs].sum()) for each in volumes]
    assert 0.02 < (air[0] - air[1]) / air[0] * np.sign(diaphragm_mm) < 0.1
    kept = [*MOVED.values(), Structure.INNER_FAT, Structure.MUSCLE, Structure.SUBCUTANEOUS_FAT]
    np.testing.assert_allclose(volumes[1][kept], volumes[0][kept], rtol=0.005)
    shift = centroid(moved, Structure.LIVER)[2] - centroid(still, Structure.LIVER)[2]
    assert shift == pytest.approx(diaphragm_mm, abs=2)
    np.testing.assert_allclose(centroid(moved, Structure.SACRUM), centroid(still, Structure.SACRUM), atol=0.1)


def test_a_breath_that_cuts_bowel_off_is_refused() -> None:
    with pytest.raises(ValueError, match="cut each other off"):
        at_breath(draw_participant(5002), 8)


def test_arms_are_cut_by_the_field_of_view(bodies: dict[int, Anatomy]) -> None:
    station = acquire(draw_participant(283), bodies[283], nako_protocol(0.3125, 0.5), IDEAL)[1]
    assert (station.images[Contrast.IN_PHASE][0] > 100).sum() > 20
    assert (station.images[Contrast.IN_PHASE][-1] > 100).sum() > 20


def test_spacing_must_be_positive() -> None:
    with pytest.raises(ValueError, match="spacing_mm"):
        render_anatomy(draw_participant(0), 0)
