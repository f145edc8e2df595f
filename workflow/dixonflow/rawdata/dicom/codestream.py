"""The head of a JPEG 2000 code stream, checked before it is decoded: damaged ones end the process of the decoder.

Its layout is that of the first marker segment (ISO/IEC 15444-1, A.5.1).
"""

import struct

from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000, JPEG2000Lossless

from dixonflow.rawdata.dicom.slice_header import SliceHeader

JPEG_2000 = frozenset({str(JPEG2000Lossless), str(JPEG2000)})

_START = b"\xff\x4f\xff\x51"
_SIZ = struct.Struct(">HHIIIIIIIIH")
_COMPONENT = struct.Struct(">BBB")
_FIXED_BYTES = 38
_MAX_BITS = 16
_MAX_TILES = 65535


def check_code_stream(dataset: Dataset, header: SliceHeader) -> None:
    """Check that the code stream of a slice holds one image of the slice's matrix.

    Raises
    ------
    ValueError
        If it does not, or is cut off.
    """
    frames = int(dataset.get("NumberOfFrames") or 1)
    stream = get_frame(dataset.PixelData, header.frame or 0, number_of_frames=frames)
    if not stream.startswith(_START) or len(stream) < len(_START) + _SIZ.size + _COMPONENT.size:
        raise ValueError("no JPEG 2000 code stream")
    length, _, x_end, y_end, x_start, y_start, tile_x, tile_y, tile_x_start, tile_y_start, components = (
        _SIZ.unpack_from(stream, len(_START))
    )
    bits, x_step, y_step = _COMPONENT.unpack_from(stream, len(_START) + _SIZ.size)
    size = x_end - x_start, y_end - y_start
    if components != 1 or length != _FIXED_BYTES + _COMPONENT.size or size != (header.columns, header.rows):
        raise ValueError("the code stream holds another image than the header says")
    if (x_step, y_step) != (1, 1) or (bits & 0x7F) + 1 > _MAX_BITS:
        raise ValueError("components of the code stream are subsampled or have too many bits")
    if not tile_x or not tile_y or tile_x_start > x_start or tile_y_start > y_start:
        raise ValueError("tiles of the code stream do not cover its image")
    if -(-(x_end - tile_x_start) // tile_x) * -(-(y_end - tile_y_start) // tile_y) > _MAX_TILES:
        raise ValueError("the code stream has too many tiles")
