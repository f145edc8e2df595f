"""The truth of the phantom: what lies in the field of view, and on a grid of other voxels."""

import numpy as np
import pytest

from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.scanner.acquisition import station_affine
from dixonflow.phantom.scanner.protocol import ukb_protocol
from dixonflow.phantom.truth import truth_on_grid, truth_table

COARSE_MM = 5.0


def test_truth_table_counts_the_union_of_the_stations() -> None:
    participant, body = draw_participant(0), render_anatomy(draw_participant(0), COARSE_MM)
    protocol = ukb_protocol(0.5)
    inside = np.zeros(body.labels.shape, bool)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in body.labels.shape), indexing="ij"), axis=-1)
    places = index * body.spacing_mm + body.affine[:3, 3]
    for geometry in protocol.stations:
        affine = station_affine(geometry, participant, body.top_mm)
        low = affine[:3, 3] - np.diag(affine)[:3] / 2
        inside |= ((places >= low) & (places < low + np.array(geometry.matrix) * geometry.spacing_mm)).all(axis=-1)
    truth = truth_table(participant, body, protocol).set_index("id")
    counts = np.bincount(body.labels[inside], minlength=256)
    for structure in Structure:
        assert truth.volume_in_fov_ml[int(structure)] == pytest.approx(counts[structure] * COARSE_MM**3 / 1000)
    assert truth.fat_fraction[int(Structure.LIVER)] == pytest.approx(participant.fat_fraction["liver"], abs=1e-5)
    assert (inside.sum() < inside.size) and (body.labels[~inside] > 0).any()


def test_truth_on_a_grid_is_the_majority() -> None:
    body = render_anatomy(draw_participant(1), COARSE_MM)
    same = truth_on_grid(body, body.labels.shape, body.affine)
    assert np.array_equal(same, body.labels)
    x, y, z = (n // 2 for n in body.labels.shape)
    affine = body.affine.copy()
    affine[:3, :3] *= 2
    affine[:3, 3] += body.spacing_mm / 2
    halved = truth_on_grid(body, (x, y, z), affine)
    blocks = body.labels[: 2 * x, : 2 * y, : 2 * z].reshape(x, 2, y, 2, z, 2).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 8)
    rng = np.random.default_rng(0)
    edges = np.flatnonzero(blocks.min(axis=1) != blocks.max(axis=1))
    for i in rng.choice(edges, 300, replace=False):
        counts = np.bincount(blocks[i], minlength=256)
        assert counts[halved.reshape(-1)[i]] == counts.max()
