"""The field of view is cut step by step from above, below and the sides: what changes is graded, the rest stays."""

import numpy as np
import pandas as pd
import pytest
from graded_rows import graded

from dixonflow.config import demo_config
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import measure
from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.truth import truth_on_grid
from dixonflow.stitch.scan import stitch
from dixonflow.tables.cohort_threshold import SMALLEST_SPREAD_MM, UNUSUAL_DEVIATIONS
from dixonflow.vocabulary import Grade, Layout

MODEL = load_model(MODELS / "demo.yaml", demo_config().segment.weights)
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
EDGES = {"top": (2, 1), "bottom": (2, 0), "left": (0, 0), "right": (0, 1)}
SIDES = {"top": "above", "bottom": "below", "left": "left", "right": "right"}


class Scan:
    """A phantom scan in the true labels."""

    def __init__(self, seed: int) -> None:
        participant = draw_participant(seed)
        anatomy = render_anatomy(participant, 2.0)
        stitched = stitch(acquire(participant, anatomy, DemoOptions().protocol(Layout.UKB)))
        self.images, self.affine = stitched.images, stitched.affine
        labels = truth_on_grid(anatomy, next(iter(self.images.values())).shape, self.affine)
        self.labels = np.where(np.isin(labels, list(MODEL.labels)), labels, 0).astype(np.uint8)
        self.boxes = [StationBox(each.index, each.low_mm, each.high_mm) for each in stitched.report.stations]
        self.low = np.min([box.low_mm for box in self.boxes], axis=0)
        self.high = np.max([box.high_mm for box in self.boxes], axis=0)
        self.extents: dict[str, float] = {}
        self.cut: dict[str, str] = {}
        self.whole = self.volumes(self.low, self.high)
        self.cut_in_whole = frozenset(self.cut)

    def volumes(self, low, high) -> pd.DataFrame:
        """Graded volumes of what lies inside a smaller box, among scans that all reach as far as the whole one."""
        boxes = [within for box in self.boxes if (within := box.within(tuple(low), tuple(high)))]
        inside = np.zeros(self.labels.shape, bool)
        inside[StationBox(0, tuple(low), tuple(high)).slices(self.labels.shape, self.affine)] = True
        images = {contrast: image * inside for contrast, image in self.images.items()}
        found = measure(self.labels * inside, images, self.affine, boxes, MODEL, wrong_side_ml=0.0)
        extents = found.quality[found.quality["check"].str.startswith("extent_") & found.quality["value"].notna()]
        self.extents = self.extents or dict(zip(extents["check"], extents["value"], strict=True))
        for place, row in extents.iterrows():
            if row["value"] < self.extents[row["check"]] - UNUSUAL_DEVIATIONS * SMALLEST_SPREAD_MM:
                found.quality.loc[place, "grade"] = Grade.REVIEW.value
        cut = found.quality[found.quality["check"].eq("cut_by_field_of_view") & found.quality["grade"].ne("pass")]
        self.cut = dict(zip(cut["structure"], cut["place"], strict=True))
        rows = graded(found, MODEL)
        return rows[rows["measure"].eq("volume")].set_index("structure")


@pytest.fixture(scope="module", params=[31, pytest.param(12, marks=pytest.mark.slow)])
def scan(request):
    return Scan(request.param)


@pytest.mark.parametrize("edge", EDGES)
def test_what_a_cut_changes_is_graded_and_nothing_else_is_lost(scan, edge) -> None:
    axis, end = EDGES[edge]
    before = scan.whole["value"].astype(float)
    moved_at_all = 0
    for share in SHARES:
        low, high = scan.low.copy(), scan.high.copy()
        (high if end else low)[axis] -= (1 if end else -1) * share * (scan.high - scan.low)[axis]
        rows = scan.volumes(low, high)
        now = rows["value"].fillna(rows["value_before_grade"]).astype(float)
        change = now / before - 1
        newly = {name: place for name, place in scan.cut.items() if name not in scan.cut_in_whole}
        assert all(SIDES[edge] in place.split(", ") for place in newly.values()), newly
        missing = now.isna() & before.notna()
        assert rows.loc[missing, "missing_reason"].notna().all()
        moved = change.abs().gt(0.05)
        moved_at_all += int(moved.sum()) + int(missing.sum())
        ungraded = change.index[moved & rows["grade"].eq("pass")]
        assert not len(ungraded), f"{share:g} of the scan at the {edge}: {change[ungraded].to_dict()}"
        untouched = change.abs().lt(1e-9) & scan.whole["grade"].eq("pass")
        lost = untouched & rows["value"].isna()
        assert not lost.any(), f"{share:g} of the scan at the {edge}: {rows.loc[lost, 'decided_by'].to_dict()}"
    assert moved_at_all > 20
    assert len(newly) >= 3
