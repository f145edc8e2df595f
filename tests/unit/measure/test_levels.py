"""Levels of vertebrae, on a phantom whose bodies are known, with errors planted, and on a real label map."""

import nibabel
import numpy as np
import pytest
from small_models import rule, small_model
from spine import LABEL, MODEL, Spine, phantom_spine

from dixonflow.measure.checks.level_checks import LEVEL_CHECKS, level_grade
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.levels import Level, Levels, find_levels
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.models.anatomy import SACRUM, structures
from dixonflow.models.comparison import vertebrae_of
from dixonflow.models.load import MODELS, load_model
from dixonflow.vocabulary import Grade

T3, T4, T8, T12, L1, L2, L3, L4, L5 = 10, 11, 15, 19, 20, 21, 22, 23, 24
HALF_SLICE_MM = 1.5


@pytest.fixture(scope="module")
def spine() -> Spine:
    return phantom_spine()


@pytest.fixture(scope="module")
def truth(spine: Spine) -> Levels:
    return find_levels(spine.labels, spine.affine, spine.box(), MODEL)


def levels_of(spine: Spine, labels: np.ndarray) -> Levels:
    return find_levels(labels, spine.affine, spine.box(), MODEL)


def checks(levels: Levels) -> dict[str, float | Grade]:
    return {name: check(levels) for name, check in LEVEL_CHECKS.items()}


def test_ids_are_those_of_tptbox_whichever_way_a_model_counts() -> None:
    # TPTBox/core/vert_constants.py, f43f7fb5, as far as a model here labels it: downward from C1
    names = [f"{part}{number}" for part, count in (("C", 7), ("T", 12), ("L", 5)) for number in range(1, count + 1)]
    downward = {f"vertebrae_{name}": number for number, name in enumerate(names, start=1)}
    downward |= {"sacrum": 26, "vertebrae_S1": 26}
    assert {name: each.vertebra for name, each in structures().items() if each.vertebra is not None} == downward
    # wasserth/TotalSegmentator map_to_binary.py, 0e65a448: vertebrae_mr upward from the sacrum; total with S1 apart
    upward = ["sacrum", *(f"vertebrae_{name}" for name in reversed(names))]
    assert vertebrae_of(MODEL) == {downward[name]: [label] for label, name in enumerate(upward, start=1)} | {26: [1]}
    in_ct = vertebrae_of(load_model(MODELS / "totalsegmentatorct.yaml"))
    assert in_ct == {vertebra: [51 - vertebra] for vertebra in range(1, 25)} | {26: [25, 26]}
    assert list(in_ct) == sorted(in_ct)


@pytest.mark.parametrize("name", ["demo", "vibesegmentator100", "totalsegmentatormr", "mrsegmentator"])
def test_a_model_without_single_vertebrae_has_no_levels(name: str) -> None:
    model = load_model(MODELS / f"{name}.yaml")
    assert vertebrae_of(model) == {}
    empty = np.zeros((4, 4, 4), np.uint8)
    box = StationBox(0, (0.0, 0.0, 0.0), (9.0, 9.0, 9.0))
    assert find_levels(empty, np.eye(4), [box], model) == Levels({}, {})


def test_ends_are_those_of_the_bodies(spine: Spine, truth: Levels) -> None:
    assert set(truth.found) == {*range(T4, L5 + 1), SACRUM}
    assert list(truth.found) == sorted(truth.found)
    for vertebra in range(T4, L5 + 1):
        lower, upper = spine.ends_mm[vertebra]
        found = truth.found[vertebra]
        assert found.lower_mm == pytest.approx(lower, abs=HALF_SLICE_MM)
        assert found.upper_mm == pytest.approx(upper, abs=HALF_SLICE_MM)
        assert found.centre_mm == pytest.approx((lower + upper) / 2, abs=HALF_SLICE_MM)
    disc = spine.ends_mm[L5][0]
    assert disc - 12 < truth.found[SACRUM].upper_mm < disc, "the sacrum ends under the lowest disc"
    sacrum = np.argwhere(spine.labels == LABEL[SACRUM])[:, 2].min()
    assert truth.found[SACRUM].lower_mm == pytest.approx(spine.affine[2, 3] + 3 * (sacrum - 0.5))
    assert truth.missing == dict.fromkeys(range(1, T3), MissingReason.NOT_FOUND) | {
        T3: MissingReason.CUT_BY_FIELD_OF_VIEW
    }
    assert level_grade(truth) is Grade.PASS
    assert checks(truth)["vertebra_distance_ratio"] < 1.1


def test_memory_layout_and_number_type_change_nothing(spine: Spine, truth: Levels) -> None:
    assert levels_of(spine, np.asfortranarray(spine.labels)) == truth
    assert levels_of(spine, spine.labels.astype(np.uint16)) == truth


def test_a_tilted_body_with_processes_has_the_level_of_its_end_plates() -> None:
    x, y, z = np.meshgrid(*[np.arange(-70.0, 71)] * 3, indexing="ij")
    for degrees in (0, 15, 30):
        angle = np.radians(degrees)
        along = z * np.cos(angle) - y * np.sin(angle)
        across = y * np.cos(angle) + z * np.sin(angle)
        body = ((x / 22) ** 2 + (across / 16) ** 2 <= 1) & (np.abs(along) <= 13.5)
        pedicles = (np.abs(np.abs(x) - 15) <= 4) & (across < -10) & (across > -30) & (along > 0) & (along < 12)
        joints = (np.abs(np.abs(x) - 15) <= 5) & (across < -26) & (across > -36) & (np.abs(along) < 26)
        process = (np.abs(x) <= 3) & (across < -30) & (across > -55) & (along < 5) & (along > -40)
        labels = np.where(body | pedicles | joints | process, LABEL[L3], 0).astype(np.uint8)
        affine = np.eye(4)
        affine[:3, 3] = -70, -70, -70
        box = StationBox(0, (-71.0, -71.0, -71.0), (71.0, 71.0, 71.0))
        level = find_levels(labels, affine, [box], MODEL).found[L3]
        assert level.upper_mm == pytest.approx(13.5 / np.cos(angle), abs=1.5), degrees
        assert level.lower_mm == pytest.approx(-13.5 / np.cos(angle), abs=1.5), degrees


def test_stray_voxels_and_lost_pedicles_move_no_end(spine: Spine, truth: Levels) -> None:
    labels = spine.labels.copy()
    labels[2:4, 2:4, 5:7] = LABEL[L3]  # far below
    labels[-4:-2, -4:-2, -8:-5] = LABEL[L3]  # far above
    x, y = np.argwhere((labels == LABEL[L2]).any(axis=2)).mean(axis=0).astype(int)
    labels[x, y, labels[x, y] == LABEL[L2]] = LABEL[L3]  # a line through the neighbour
    stray = levels_of(spine, labels)
    assert stray.found[L3] == truth.found[L3]
    assert level_grade(stray) is Grade.PASS

    plate = spine.labels.copy()  # an arch larger than the body, and nowhere connected to it
    plate[2:-2, 2:4, :] = LABEL[T8]
    assert (plate[2:-2, 2:4] == LABEL[T8]).sum() > (spine.labels == LABEL[T8]).sum()
    plate[:, :, :2], plate[:, :, -2:] = 0, 0
    assert levels_of(spine, plate).found[T8] == truth.found[T8]


def test_what_the_field_of_view_cuts_or_leaves_out_has_no_level(spine: Spine, truth: Levels) -> None:
    inside_l3 = truth.found[L3].centre_mm
    levels = find_levels(spine.labels, spine.affine, spine.box(low_mm=inside_l3), MODEL)
    assert levels.missing[L3] is MissingReason.CUT_BY_FIELD_OF_VIEW
    assert levels.missing[L5] is levels.missing[SACRUM] is MissingReason.OUTSIDE_FIELD_OF_VIEW
    assert levels.found == {vertebra: truth.found[vertebra] for vertebra in range(T4, L3)}
    assert level_grade(levels) is Grade.PASS, "what is seen is in order"
    cropped = Spine(spine.labels[:, :, 215:], spine.affine.copy(), spine.ends_mm)
    cropped.affine[2, 3] += 3 * 215
    beyond = levels_of(cropped, cropped.labels)
    assert beyond.missing[L5] is MissingReason.CUT_BY_FIELD_OF_VIEW, "the edge of the grid cuts too"
    assert beyond.missing[SACRUM] is MissingReason.NOT_FOUND


def test_what_is_left_of_a_cut_body_has_no_level_though_an_arch_beside_it_is_thicker() -> None:
    model = small_model({1: rule("vertebrae_L4", "a"), 2: rule("vertebrae_L5", "a")})
    labels = np.zeros((30, 40, 40), np.uint8)
    labels[8:22, 20:36, 17:26], labels[8:22, 20:36, 5:6], labels[12:18, 4:9, 6:14] = 1, 2, 2
    box = StationBox(0, (-1.0, -1.0, 13.5), (60.0, 80.0, 120.0))
    levels = find_levels(labels, np.diag([2.0, 2.0, 3.0, 1.0]), [box], model)
    assert set(levels.found) == {L4}
    assert levels.missing == {L5: MissingReason.CUT_BY_FIELD_OF_VIEW}


@pytest.mark.parametrize(
    ("names", "failed", "value"),
    [
        ({L3: 0}, "vertebra_gaps", 1),
        ({L3: 0, T12: 0}, "vertebra_gaps", 2),
        ({L2: L3, L3: L2}, "vertebra_order", 1),
        ({vertebra: T4 + L5 - vertebra for vertebra in range(T4, L5 + 1)} | {T3: 0, SACRUM: 0}, "vertebra_order", 13),
        # one is passed over: no gap in the names, one in the body
        ({T3: T4, L2: 0} | {vertebra: vertebra + 1 for vertebra in range(T4, L2)}, "vertebra_distance_ratio", 2),
        # two are one: the same, and the one that is found is one of the two
        ({T3: T4} | {vertebra: vertebra + 1 for vertebra in range(T4, L2)}, "vertebra_distance_ratio", 2),
    ],
)
def test_planted_errors_make_all_levels_of_the_scan_for_review(
    spine: Spine, truth: Levels, names: dict[int, int], failed: str, value: float
) -> None:
    levels = levels_of(spine, spine.renamed(names))
    assert checks(levels)[failed] == pytest.approx(value, rel=0.15)
    assert CHECKS[failed].grade(float(value)) is Grade.REVIEW
    assert level_grade(levels) is Grade.REVIEW
    for vertebra in set(truth.found) - set(names):
        assert levels.found[vertebra] == truth.found[vertebra], "nothing is corrected silently"


def test_one_vertebra_that_is_counted_as_two_is_for_review(spine: Spine, truth: Levels) -> None:
    labels = spine.renamed({vertebra: vertebra - 1 for vertebra in range(T4, L3)} | {T3: 0})
    upper = np.arange(labels.shape[2]) * 3 + spine.affine[2, 3] > truth.found[L3].centre_mm
    labels[:, :, upper] = np.where(labels[:, :, upper] == LABEL[L3], LABEL[L2], labels[:, :, upper])
    levels = levels_of(spine, labels)
    assert checks(levels) == {"vertebra_order": 0, "vertebra_gaps": 0, "vertebra_distance_ratio": pytest.approx(2, 0.3)}
    assert level_grade(levels) is Grade.REVIEW


def test_the_gap_between_l5_and_sacrum_is_looked_at() -> None:
    found = {vertebra: Level(100 - 36.0 * vertebra, 127 - 36.0 * vertebra) for vertebra in range(T12, L5 + 1)}
    good = Levels(found | {SACRUM: Level(-950.0, 127 - 36.0 * (L5 + 1))}, {})
    assert level_grade(good) is Grade.PASS
    passed_over = Levels(found | {SACRUM: Level(-950.0, 127 - 36.0 * (L5 + 2))}, {})
    assert checks(passed_over)["vertebra_distance_ratio"] == pytest.approx(2)


def test_too_little_to_look_at_is_for_review(spine: Spine, truth: Levels) -> None:
    alone = Levels({L3: truth.found[L3]}, {})
    assert set(checks(alone).values()) == {Grade.REVIEW}
    assert level_grade(alone) is Grade.REVIEW
    nothing = levels_of(spine, np.zeros_like(spine.labels))
    assert nothing.found == {}
    assert set(nothing.missing.values()) == {MissingReason.NOT_FOUND}
    assert level_grade(nothing) is Grade.REVIEW
    pair = Levels({vertebra: truth.found[vertebra] for vertebra in (L3, L4)}, {})
    assert checks(pair) == {"vertebra_order": 0, "vertebra_gaps": 0, "vertebra_distance_ratio": Grade.REVIEW}


def test_s1_is_the_upper_end_of_the_sacrum() -> None:
    model = small_model({1: rule("vertebrae_L5", "a"), 2: rule("vertebrae_S1", "a"), 7: rule("sacrum", "a")})
    labels = np.zeros((20, 20, 60), np.uint8)
    labels[4:16, 4:16, 45:55], labels[4:16, 4:16, 30:42], labels[6:14, 6:14, 5:30] = 1, 2, 7
    box = StationBox(0, (-1.0, -1.0, -1.0), (20.0, 20.0, 60.0))
    level = find_levels(labels, np.eye(4), [box], model).found[SACRUM]
    assert (level.lower_mm, level.upper_mm) == (4.5, 41.5)
    for alone in (2, 7):
        part = np.where(labels == 9 - alone, 0, labels)
        assert find_levels(part, np.eye(4), [box], model).missing[SACRUM] is MissingReason.INCOMPLETE


def test_a_real_vertebra_ends_where_its_discs_begin(shared_data) -> None:
    segmentation = nibabel.load(shared_data / "totalsegmentator" / "example_seg.nii.gz")
    labels, affine = np.asarray(segmentation.dataobj), segmentation.affine
    low = affine[:3, 3] - np.diag(affine)[:3] / 2
    box = StationBox(0, tuple(low), tuple(low + np.diag(affine)[:3] * labels.shape))
    model = load_model(MODELS / "totalsegmentatorct.yaml")
    levels = find_levels(labels, affine, [box], model)
    assert set(levels.found) == {L1}
    assert {v for v, reason in levels.missing.items() if reason is MissingReason.CUT_BY_FIELD_OF_VIEW} == {18, T12, L2}
    whole = 3 * np.ptp(np.argwhere(labels == model.structures["vertebrae_L1"])[:, 2]) + 3
    assert whole == 54, "from the tip of the spinous process to that of the articular processes"
    assert levels.found[L1].upper_mm - levels.found[L1].lower_mm == pytest.approx(27)
    # with slices of air around it the neighbours' ends are seen, and discs between all of them
    taller = np.pad(labels, ((0, 0), (0, 0), (5, 5)))
    affine = affine.copy()
    affine[2, 3] -= 15
    box = StationBox(0, tuple(low - 15), tuple(low - 15 + 3.0 * np.array(taller.shape)))
    found = find_levels(taller, affine, [box], model).found
    assert found[L1] == levels.found[L1]
    for upper, lower in ((T12, L1), (L1, L2)):
        assert 3 <= found[upper].lower_mm - found[lower].upper_mm <= 12
