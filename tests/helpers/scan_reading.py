"""Reading a raw scan of a test: what came back, or the reason why nothing did."""

from pathlib import Path

import numpy as np
import pytest

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import Station
from dixonflow.rawdata.raw_scan import DEFAULT_OPTIONS, RawScan, ReadOptions
from dixonflow.rawdata.reader import inspect
from dixonflow.rawdata.zip_archive import zip_fingerprint
from dixonflow.vocabulary import DIXON, Layout, Reason, ScanId

SCAN = ScanId("0001234", "2")
TWO = ReadOptions(stations=2)
THREE = ReadOptions(stations=3)


def raw_scan(path: Path, layout: Layout = Layout.UKB, options: ReadOptions = DEFAULT_OPTIONS) -> RawScan:
    return RawScan(SCAN, layout, path, zip_fingerprint(path), options=options)


def reason_of(path: Path, options: ReadOptions = THREE) -> tuple[Reason, str]:
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(path, options=options))
    return excluded.value.reason, excluded.value.message


def assert_equal(found: list[Station], wanted: list[Station]) -> None:
    assert [station.index for station in found] == list(range(len(wanted)))
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got.affine, want.affine, atol=1e-5)
        assert set(got.images) == set(DIXON)
        for contrast in DIXON:
            assert got.images[contrast].dtype == np.int16
            np.testing.assert_array_equal(got.images[contrast], want.images[contrast])
