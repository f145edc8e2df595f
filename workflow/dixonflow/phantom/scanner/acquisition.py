"""The scanner: from tissue on the fine grid to the stations a Dixon sequence delivers.

Order of the physics: water and fat of the tissues; partial volume into a station's voxels, applied to water and fat;
coil shading; two echoes, in = W + F and opposed = W - F, with a smooth phase; complex Gaussian noise on each echo; a
gain per station. In-phase and opposed-phase images are the magnitudes; water and fat are computed back from the
echoes after the phase was removed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.station import Station
from dixonflow.imaging.types import Floats32
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy
from dixonflow.phantom.anatomy.tissue import water_and_fat
from dixonflow.phantom.scanner.protocol import Protocol, StationGeometry
from dixonflow.vocabulary import Contrast


@dataclass(frozen=True)
class ScannerOptions:
    """What the scanner adds. Everything off gives the partial-volumed truth, rounded.

    Attributes
    ----------
    noise_sd
        Standard deviation of each of the two components of the noise of each echo, in signal units (muscle is about
        230) before the gain. 0 means none. It is for voxels of the true protocols; larger voxels are less noisy, see
        `acquire`.
    shading, gain, folding, texture
        Coil shading, one gain per station, folded slices at station ends, smooth variation inside tissues.
    """

    noise_sd: float = 9.0
    shading: bool = True
    gain: bool = True
    folding: bool = True
    texture: bool = True


IDEAL = ScannerOptions(noise_sd=0.0, shading=False, gain=False, folding=False, texture=False)
"""A scanner that adds nothing."""


def station_affine(geometry: StationGeometry, participant: Participant, top_mm: float) -> NDArray[np.float64]:
    """Affine of a station: field of view centred on the table, its upper edge `depth_mm` below the top."""
    affine = np.diag([*geometry.spacing_mm, 1.0])
    offset = np.asarray(participant.table_offset_mm)
    extent = np.asarray(geometry.matrix) * geometry.spacing_mm
    low = np.array([-extent[0] / 2, -extent[1] / 2 - 8, top_mm - geometry.depth_mm - extent[2]]) + offset
    affine[:3, 3] = low + np.asarray(geometry.spacing_mm) / 2
    return affine


def axis_weights(
    source_shape: tuple[int, ...],
    source_affine: NDArray[np.float64],
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
) -> list[Floats32]:
    """Share of each source voxel in each target voxel, one (target, source) matrix per axis; exact box average for
    axis-aligned RAS+ grids.
    """
    matrices = []
    for axis in range(3):
        step, target_step = source_affine[axis, axis], affine[axis, axis]
        edges = source_affine[axis, 3] + step * (np.arange(source_shape[axis] + 1) - 0.5)
        low = affine[axis, 3] + target_step * (np.arange(shape[axis]) - 0.5)
        overlap = np.minimum(low[:, None] + target_step, edges[None, 1:]) - np.maximum(low[:, None], edges[None, :-1])
        matrices.append((np.clip(overlap, 0, None) / target_step).astype(np.float32))
    return matrices


def box_average(volume: Floats32, matrices: list[Floats32]) -> Floats32:
    """Apply `axis_weights` to a volume (x, y, z)."""
    used = [np.flatnonzero(m.any(axis=0)) for m in matrices]
    if any(len(u) == 0 for u in used):
        return np.zeros(tuple(len(m) for m in matrices), np.float32)
    window = tuple(slice(u[0], u[-1] + 1) for u in used)
    mx, my, mz = (m[:, w] for m, w in zip(matrices, window, strict=True))
    cut = volume[window]
    along_z = (cut.reshape(-1, cut.shape[2]) @ mz.T).reshape(cut.shape[0], cut.shape[1], -1)
    along_y = np.matmul(my, along_z)
    return np.asarray((mx @ along_y.reshape(along_y.shape[0], -1)).reshape(len(mx), len(my), len(mz)))


def _smooth_field(rng: np.random.Generator, shape: tuple[int, ...], waves: float) -> Floats32:
    """Smooth random field of unit-order amplitude, about `waves` periods across the volume."""
    field = np.zeros(shape, np.float32)
    for _ in range(3):
        parts = [
            np.cos(2 * np.pi * rng.uniform(0, waves) * np.linspace(0, 1, n) + rng.uniform(0, 2 * np.pi)).astype(
                np.float32
            )
            for n in shape
        ]
        field += (parts[0][:, None] * parts[1][None, :])[:, :, None] * parts[2]
    return field / np.float32(np.sqrt(3))


def acquire(
    participant: Participant,
    anatomy: Anatomy,
    protocol: Protocol,
    options: ScannerOptions | None = None,
    *,
    session: int = 0,
    shifted: Mapping[int, Anatomy] | None = None,
) -> list[Station]:
    """Scan a participant.

    Parameters
    ----------
    participant, anatomy
        From `draw_participant` and `render_anatomy`.
    protocol
        From `ukb_protocol` or `nako_protocol`.
    options
        What the scanner adds, all by default. The noise is divided by the square root of the voxel volume relative to
        10 mm3 up to a factor of 3: averaging over a larger voxel lowers noise.
    session
        Another number gives other noise, shading and gains of the same participant.
    shifted
        Station number (1 nearest to the head) to the anatomy of the participant `at_breath`: the participant breathed
        between stations.

    Returns
    -------
    list of Station
        Head to feet, int16 images. Where the field of view ends, the body is cut.
    """
    options = options or ScannerOptions()
    rng = np.random.default_rng([participant.seed, session, 6, len(protocol.stations)])
    fine: dict[int, tuple[Floats32, Floats32]] = {}
    stations = []
    for number, geometry in enumerate(protocol.stations, start=1):
        body = (shifted or {}).get(number, anatomy)
        if id(body) not in fine:
            fine[id(body)] = water_and_fat(body, participant, with_texture=options.texture)
        affine = station_affine(geometry, participant, anatomy.top_mm)
        matrices = axis_weights(body.labels.shape, body.affine, geometry.matrix, affine)
        if options.folding:
            matrices[2] = _folded(rng, body, geometry, affine, matrices[2])
        water, fat = (box_average(v, matrices) for v in fine[id(body)])
        stations.append(Station(number - 1, _echoes(rng, water, fat, geometry, options), affine))
    return stations


def _folded(
    rng: np.random.Generator, body: Anatomy, geometry: StationGeometry, affine: NDArray[np.float64], along_z: Floats32
) -> Floats32:
    """Slice profile of an imperfect slab: the outer one or two slices carry signal from beyond the other end of the
    slab.
    """
    folded = along_z.copy()
    slices = geometry.matrix[2]
    beyond = affine.copy()
    for share, depth in ((0.45, 0), (0.18, 1)):
        strength = np.float32(share * rng.uniform(0.7, 1.3))
        for target, source in ((depth, slices + depth), (slices - 1 - depth, -1 - depth)):
            beyond[2, 3] = affine[2, 3] + source * geometry.spacing_mm[2]
            row = axis_weights((1, 1, body.labels.shape[2]), body.affine, (1, 1, 1), beyond)[2][0]
            folded[target] = (1 - strength / 2) * folded[target] + strength * row
    return folded


def _echoes(
    rng: np.random.Generator, water: Floats32, fat: Floats32, geometry: StationGeometry, options: ScannerOptions
) -> dict[Contrast, NDArray[np.int16]]:
    """The four images of a station from its water and fat signal."""
    shape = water.shape
    if options.shading:
        x, y = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape[:2])
        bowl = 1 - 0.10 * (x**2)[:, None] + 0.06 * (y**2)[None, :]
        shading = bowl[:, :, None] * (1 + np.float32(0.06) * _smooth_field(rng, shape, 0.9))
        water, fat = water * shading, fat * shading
    in_echo, opposed_echo = (water + fat).astype(np.complex64), (water - fat).astype(np.complex64)
    phase = np.exp(1j * 1.5 * _smooth_field(rng, shape, 1.5)).astype(np.complex64)
    in_echo *= phase
    opposed_echo *= phase
    if options.noise_sd > 0:
        sd = np.float32(options.noise_sd / np.clip(np.sqrt(np.prod(geometry.spacing_mm) / 10), 1, 3))
        in_echo += sd * _complex_noise(rng, shape)
        opposed_echo += sd * _complex_noise(rng, shape)
    gain = np.float32(rng.uniform(0.75, 1.3)) if options.gain else np.float32(1)
    unwound = [(echo * phase.conj()).real for echo in (in_echo, opposed_echo)]
    images = {
        Contrast.WATER: (unwound[0] + unwound[1]) / 2,
        Contrast.FAT: (unwound[0] - unwound[1]) / 2,
        Contrast.IN_PHASE: np.abs(in_echo),
        Contrast.OPPOSED_PHASE: np.abs(opposed_echo),
    }
    return {contrast: np.rint(np.clip(image * gain, 0, 4095)).astype(np.int16) for contrast, image in images.items()}


def _complex_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Complex Gaussian noise, standard deviation 1 in both components."""
    noise = np.empty(shape, np.complex64)
    noise.real = rng.standard_normal(shape, np.float32)
    noise.imag = rng.standard_normal(shape, np.float32)
    return noise
