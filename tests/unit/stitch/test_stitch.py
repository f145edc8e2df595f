from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_stations import centred, cut, on_grid, ukb_stations
from numpy.typing import NDArray

from dixonflow.imaging.nifti import read_nifti
from dixonflow.imaging.station import Station
from dixonflow.stitch.files import read_stitched, write_stitched
from dixonflow.stitch.grid import target_grid
from dixonflow.stitch.report import StitchOptions
from dixonflow.stitch.scan import stitch
from dixonflow.stitch.weights import place, runs
from dixonflow.vocabulary import DIXON, Contrast


def test_ukb_geometry_returns_the_analytic_image_without_seam_shift_or_zero_plane() -> None:
    stitched = stitch(ukb_stations())
    assert stitched.images[Contrast.WATER].shape == (72, 88, 370)
    np.testing.assert_allclose(np.diag(stitched.affine)[:3], [2.232, 2.232, 3.0])
    truth, _ = on_grid((72, 88, 370), np.diag(stitched.affine)[:3], stitched.affine[:3, 3])
    middle = np.s_[:, 5:-5, 1:-1]  # rows that all stations have; the outermost half slices are beyond the last sample
    for contrast in (Contrast.WATER, Contrast.FAT, Contrast.IN_PHASE):
        error = (stitched.images[contrast].astype(float) - truth[contrast])[middle]
        range_ = float(truth[contrast].max())
        assert np.abs(error).max() < 0.002 * range_ + 1
        assert np.abs(error.mean(axis=(0, 1))).max() < 0.001 * range_  # no plane is brighter, darker or empty
    water = stitched.images[Contrast.WATER][middle].astype(float)
    x, y, z = (np.gradient(truth[Contrast.WATER][middle].astype(float), axis=i) for i in range(3))
    wrong = water - truth[Contrast.WATER][middle]
    for slope in (x, y, z):  # error in the direction of the gradient = shift in voxels
        assert abs((wrong * slope).sum() / (slope**2).sum()) < 0.005


def test_stations_in_equal_grids_return_the_input_exactly() -> None:
    images, affine = on_grid((40, 30, 60), (2.0, 2.0, 3.0), (-40.0, -30.0, -90.0))
    # overlaps of 1, 2, 5 and 7 planes, triple overlaps, a station inside another
    stations = cut(images, affine, [(0, 12), (11, 25), (23, 42), (30, 40), (37, 45), (38, 60)])
    stitched = stitch(stations)
    np.testing.assert_allclose(stitched.affine, affine)
    for contrast in DIXON:
        np.testing.assert_array_equal(stitched.images[contrast], images[contrast])
    assert [report.intensity_factor for report in stitched.report.stations] == [1.0] * 6


def test_one_station_is_returned_as_it_is() -> None:
    station = centred(0, (84, 60, 10), (2.0, 2.0, 5.0), 0.0)
    stitched = stitch([station])
    for contrast in DIXON:
        np.testing.assert_array_equal(stitched.images[contrast], station.images[contrast])
    np.testing.assert_allclose(stitched.affine, station.affine)
    assert stitched.report.pairs == ()


def test_real_crop_cut_into_stations_returns_exactly(shared_data: Path, tmp_path: Path) -> None:
    image = read_nifti(shared_data / "totalsegmentator" / "example_mr_sm.nii.gz")
    in_phase = image.data.astype(np.int16)
    water = (in_phase * 0.6).astype(np.int16)
    images = {
        Contrast.IN_PHASE: in_phase,
        Contrast.WATER: water,
        Contrast.FAT: in_phase - water,
        Contrast.OPPOSED_PHASE: 2 * water - in_phase,
    }
    stitched = stitch(cut(images, image.affine, [(0, 8), (6, 15), (12, 20)]))
    for contrast in DIXON:
        np.testing.assert_array_equal(stitched.images[contrast], images[contrast])
    np.testing.assert_allclose(stitched.affine, image.affine)

    paths = {contrast: tmp_path / f"{contrast.acq}.nii.gz" for contrast in DIXON}
    write_stitched(stitched, paths)
    back, affine = read_stitched(paths)
    np.testing.assert_array_equal(back[Contrast.IN_PHASE], in_phase)
    np.testing.assert_allclose(affine, image.affine, atol=1e-4)


def test_gains_are_recovered_and_fat_fraction_is_unchanged() -> None:
    gains = (1.0, 1.6, 0.7, 1.2, 2.1, 0.9)
    plain, matched = stitch(ukb_stations()), stitch(ukb_stations(gains))
    factors = np.array([report.intensity_factor for report in matched.report.stations])
    np.testing.assert_allclose(factors * gains / (factors[0] * gains[0]), 1.0, rtol=0.005)
    assert 1.0 in factors
    signal = plain.images[Contrast.IN_PHASE] > 300  # below, rounding to whole numbers is what differs

    def fraction(images: dict[Contrast, NDArray[np.int16]]) -> NDArray[np.float64]:
        fat, water = images[Contrast.FAT].astype(float), images[Contrast.WATER].astype(float)
        return fat[signal] / (fat[signal] + water[signal])

    assert np.abs(fraction(matched.images) - fraction(plain.images)).max() < 0.01
    assert abs(np.mean(fraction(matched.images) - fraction(plain.images))) < 1e-4
    ratio = matched.images[Contrast.WATER][signal] / plain.images[Contrast.WATER][signal].clip(1)
    assert np.std(ratio) / np.mean(ratio) < 0.02  # one brightness from head to feet

    unmatched = stitch(ukb_stations(gains), StitchOptions(match_intensities=False))
    assert {report.intensity_factor for report in unmatched.report.stations} == {1.0}


def test_order_of_the_list_does_not_matter() -> None:
    stations = ukb_stations((1.0, 1.6, 0.7, 1.2, 2.1, 0.9))
    first, second = stitch(stations), stitch([stations[i] for i in (3, 0, 5, 1, 4, 2)])
    for contrast in DIXON:
        np.testing.assert_array_equal(first.images[contrast], second.images[contrast])
    assert first.report == second.report


def test_folded_end_slices_do_not_reach_the_image() -> None:
    images, affine = on_grid((40, 30, 60), (2.0, 2.0, 3.0), (-40.0, -30.0, -90.0))
    stations = cut(images, affine, [(0, 25), (15, 45), (35, 60)])
    for station, ends in zip(stations, ((0, 1), (0, 1, -2, -1), (-2, -1)), strict=True):
        for contrast in DIXON:
            folded = station.images[contrast].copy()
            for end in ends:
                folded[:, :, end] = folded[::-1, :, len(folded[0, 0]) // 2 + end]
            station.images[contrast][:] = folded  # type: ignore[index]
    stitched = stitch(stations)
    for contrast in DIXON:
        np.testing.assert_array_equal(stitched.images[contrast], images[contrast])
    assert [(s.dropped_feet_end, s.dropped_head_end) for s in stitched.report.stations] == [(2, 0), (2, 2), (0, 2)]


def test_dropping_never_makes_a_hole_where_the_neighbour_is_narrower() -> None:
    wide, narrow = centred(0, (30, 30, 20), (2.0, 2.0, 3.0), 30.0), centred(1, (30, 20, 20), (2.0, 2.0, 3.0), 0.0)
    for station in (wide, narrow):
        for contrast in DIXON:
            station.images[contrast][:] += 50  # type: ignore[index]
    stitched = stitch([wide, narrow])
    water = stitched.images[Contrast.WATER]
    assert (water[:, :, 10:] >= 50).all()  # the wide station's whole box, dropped slices included
    assert (water[:, 5:-5] >= 50).all()
    assert not water[:, :5, :10].any()  # no station reaches here


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(6, 20),  # slices
            st.sampled_from([2.0, 3.0, 3.5, 4.0, 4.5]),  # slice spacing
            st.integers(8, 14),  # y matrix
            st.floats(0.0, 0.9),  # overlap with the next, as part of the thinner one
        ),
        min_size=2,
        max_size=5,
    ),
    st.integers(0, 3),
)
def test_weights_sum_to_one_for_any_layout(layout: list[tuple[int, float, int, float]], drop: int) -> None:
    finest = min(dz for _, dz, _, _ in layout)
    boxes: list[tuple[float, float, int, float, int]] = []
    for z, dz, y, overlap in layout:
        shared = max(finest, overlap * min(boxes[-1][1] - boxes[-1][0], z * dz)) if boxes else 0.0
        top = boxes[-1][0] + shared if boxes else 0.0
        boxes.append((top - z * dz, top, z, dz, y))
    boxes.sort(key=lambda box: (box[1], box[0]), reverse=True)
    stations = []
    for index, (low, _, z, dz, y) in enumerate(boxes):
        affine = np.diag([2.0, 2.0, dz, 1.0])
        affine[:3, 3] = [0.0, -(y - 1.0), low + dz / 2]
        # wherever weights do not sum to 1, the stitched value of a constant image is off; no image is quite constant,
        # because stitch refuses those
        image = np.full((6, y, z), 1000, np.int16)
        image[0, 0, 0] = 999
        stations.append(Station(index, dict.fromkeys(DIXON, image), affine))
    grid = target_grid(stations, 2**27)
    placements = place(stations, grid, drop)
    reached = np.zeros(grid.shape[::-1], bool)
    covered = np.zeros(grid.shape[2], bool)
    for placement in placements:
        across, along, through = placement.samplings
        reached[through.start : through.stop, along.start : along.stop, across.start : across.stop] = True
        assert placement.z_weights.min() > 0
        for part in placement.samplings:
            if part.matrix is not None:
                np.testing.assert_allclose(part.matrix.sum(axis=1), 1, atol=1e-5)
    for start, stop, members in runs(placements):
        assert not covered[start:stop].any()
        covered[start:stop] = True
        assert len(members) >= 1
    assert covered.all()  # neighbours overlap, so no plane is without a station

    options = StitchOptions(drop_end_slices=drop, match_intensities=False, check_contrasts=False)  # all are one image
    images = stitch(stations, options).images
    water = images[Contrast.WATER].transpose(2, 1, 0)
    assert np.abs(water[reached].astype(int) - 1000).max() <= 1
    assert not water[~reached].any()


def test_weights_are_smooth_along_z() -> None:
    stations = ukb_stations()
    grid = target_grid(stations, 2**27)
    placements = place(stations, grid, 2)
    for start, stop, members in runs(placements):
        if len(members) == 1:
            continue
        weights = np.zeros((len(members), stop - start))
        for row, member in enumerate(members):
            first = placements[member].samplings[2].start
            weights[row] = placements[member].z_weights[start - first : stop - first]
        weights /= weights.sum(axis=0)
        assert np.abs(np.diff(weights, axis=1)).max() < 0.3
        assert np.sort(weights, axis=0)[-1][[0, -1]].min() > 0.99  # no step where an overlap begins or ends


def test_quality_of_overlaps_tells_a_foreign_station() -> None:
    good = stitch(ukb_stations()).report.pairs
    assert min(pair.correlation or 0 for pair in good) > 0.99
    assert max(pair.relative_difference or 1 for pair in good) < 0.01
    stations = ukb_stations()
    foreign = {contrast: np.roll(image, (9, 7), axis=(0, 1)) for contrast, image in stations[3].images.items()}
    stations[3] = Station(3, foreign, stations[3].affine)
    bad = stitch(stations).report.pairs
    assert {(p.upper, p.lower) for p in bad if (p.correlation or 0) < 0.95} == {(2, 3), (3, 4)}


@pytest.mark.parametrize(("maximum", "scale"), [(60000, 0.5), (200000, 0.125), (3000, 1.0), (0.9, 2048.0)])
def test_values_fit_int16_by_a_recorded_power_of_two(maximum: float, scale: float) -> None:
    station = centred(0, (20, 20, 10), (4.0, 4.0, 5.0), 0.0)
    top = max(float(image.max()) for image in station.images.values())
    images = {contrast: image.astype(np.float32) * (maximum / top) for contrast, image in station.images.items()}
    stitched = stitch([Station(0, images, station.affine)])
    assert stitched.report.intensity_scale == scale
    for contrast in DIXON:
        np.testing.assert_allclose(stitched.images[contrast], images[contrast] * scale, atol=0.51)
