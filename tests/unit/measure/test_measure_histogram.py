import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dixonflow.measure import histogram
from dixonflow.measure.definitions import FAT_FRACTION_STEPS
from dixonflow.measure.fat import fat_fractions
from dixonflow.measure.histogram import joint_histogram

REGIONS = 4
SIZES = st.integers(1, 60)


@st.composite
def voxels(draw):
    size = draw(SIZES)
    region = draw(arrays(draw(st.sampled_from([np.uint8, np.uint16])), size, elements=st.integers(0, REGIONS - 1)))
    kind = draw(st.sampled_from(["int16", "uint16", "int32", "float32", "float64"]))
    if kind.startswith("float"):
        numbers = st.floats(-1e4, 1e4, width=32 if kind == "float32" else 64)
    else:
        info = np.iinfo(kind)
        low, high = draw(st.sampled_from([(max(info.min, -5), 5), (info.min, info.max)]))
        numbers = st.integers(low, high)
    return region, draw(arrays(np.dtype(kind), size, elements=numbers))


@settings(max_examples=200, deadline=None)
@given(voxels(), st.sets(st.integers(0, REGIONS - 1), min_size=1))
def test_statistics_are_those_of_numpy(data, chosen):
    region, values = data
    histogram = joint_histogram(region, values, REGIONS)
    assert np.array_equal(histogram.voxels, np.bincount(region, minlength=REGIONS))
    distribution = histogram.of(sorted(chosen))
    direct = values[np.isin(region, sorted(chosen))].astype(np.float64)
    assert distribution.size == len(direct)
    if not len(direct):
        return
    scale = max(1.0, float(np.abs(direct).max()))
    assert distribution.total == pytest.approx(direct.sum(), abs=1e-9 * scale * len(direct))
    assert distribution.mean == pytest.approx(direct.mean(), abs=1e-9 * scale)
    assert distribution.sd == pytest.approx(direct.std(), abs=1e-9 * scale)
    for fraction in (0, 0.05, 0.5, 0.95, 1):
        assert distribution.quantile(fraction) == pytest.approx(np.quantile(direct, fraction), abs=1e-9 * scale)
    limit = float(np.median(direct))
    assert distribution.count_below(limit) == np.count_nonzero(direct < limit)


def test_counting_and_sorting_agree(monkeypatch):
    rng = np.random.default_rng(1)
    region, values = rng.integers(0, REGIONS, 5000).astype(np.uint8), rng.integers(-300, 3000, 5000).astype(np.int16)
    counted = joint_histogram(region, values, REGIONS)
    monkeypatch.setattr(histogram, "MAX_TABLE_CELLS", 0)
    by_sorting = joint_histogram(region, values, REGIONS)
    monkeypatch.undo()
    monkeypatch.setattr(histogram, "VOXELS_AT_ONCE", 999)
    in_stretches = joint_histogram(region, values, REGIONS)
    for name in ("start", "values", "counts"):
        assert np.array_equal(getattr(counted, name), getattr(by_sorting, name))
        assert np.array_equal(getattr(counted, name), getattr(in_stretches, name))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40).flatmap(
        lambda size: st.tuples(
            arrays(np.uint8, size, elements=st.integers(0, REGIONS - 1)),
            arrays(bool, size),
            arrays(np.int16, (2, size), elements=st.integers(-20, 300)),
        )
    ),
    st.floats(0, 200),
)
def test_fat_fractions_are_counted_voxel_by_voxel(voxels_of_scan, floor):
    region, interior, (water, fat) = voxels_of_scan
    floor = float(np.float32(floor))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histogram, "VOXELS_AT_ONCE", 7)
        counted = fat_fractions(region, interior, water, fat, floor, REGIONS)
    whole, eroded = (np.zeros((REGIONS, FAT_FRACTION_STEPS + 1), int) for _ in range(2))
    for r, inner, w, f in zip(region, interior, water.astype(float), fat.astype(float), strict=True):
        if w + f >= floor and w + f > 0:
            ratio = np.float32(f * FAT_FRACTION_STEPS) / np.float32(w + f)
            step = int(np.clip(np.rint(ratio), 0, FAT_FRACTION_STEPS))
            whole[r, step] += 1
            eroded[r, step] += inner
    assert np.array_equal(counted.whole, whole)
    assert np.array_equal(counted.eroded, eroded)
    assert np.array_equal(counted.eroded_voxels, np.bincount(region[interior], minlength=REGIONS))


def test_no_voxels_at_all():
    empty = joint_histogram(np.empty(0, np.uint8), np.empty(0, np.int16), REGIONS).of([0, 1])
    assert empty.size == 0
    assert empty.total == 0
    with pytest.raises(ZeroDivisionError):
        empty.mean  # noqa: B018


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        joint_histogram(np.zeros(3, np.uint8), np.array([1.0, bad, 2.0]), REGIONS)
