"""The head of JPEG and JPEG 2000 code streams, checked before they are decoded: damaged ones end the decoder's process.

The layouts are those of the marker segments (JPEG: ISO/IEC 10918-1, B.2; JPEG 2000: ISO/IEC 15444-1, A.5.1).
"""

import struct

from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from dixonflow.rawdata.dicom.slice_header import SliceHeader

_JPEG_2000 = frozenset({str(JPEG2000Lossless), str(JPEG2000)})
_JPEG = frozenset(str(uid) for uid in (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1))

_START = b"\xff\x4f\xff\x51"
_SIZ = struct.Struct(">HHIIIIIIIIH")
_COMPONENT = struct.Struct(">BBB")
_FIXED_BYTES = 38
_MAX_BITS = 16
_MAX_TILES = 65535


_JPEG_START, _SOF, _DHT, _SOS = b"\xff\xd8", frozenset({0xC0, 0xC1, 0xC3}), 0xC4, 0xDA
_FRAME = struct.Struct(">BHHB")
_CODE_LENGTHS, _MOST_SYMBOLS = 16, 256


def check_code_stream(dataset: Dataset, header: SliceHeader) -> None:
    """Check that the code stream of a slice holds one image of the slice's matrix; other encodings have none.

    Raises
    ------
    ValueError
        If it does not, or is cut off.
    """
    if header.transfer_syntax not in _JPEG | _JPEG_2000:
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    stream = get_frame(dataset.PixelData, header.frame or 0, number_of_frames=frames)
    if header.transfer_syntax in _JPEG:
        _check_jpeg(stream, header)
    else:
        _check_jpeg_2000(stream, header)


def _check_jpeg(stream: bytes, header: SliceHeader) -> None:
    """Marker segments follow each other up to the scan; one frame, of one component."""
    if not stream.startswith(_JPEG_START):
        raise ValueError("no JPEG code stream")
    place, size = len(_JPEG_START), None
    while True:
        if place + 4 > len(stream) or stream[place] != 0xFF:
            raise ValueError("marker segments of the code stream do not follow each other")
        if stream[place + 1] == 0xFF:  # a fill byte
            place += 1
            continue
        marker, length = stream[place + 1], int.from_bytes(stream[place + 2 : place + 4], "big")
        segment = stream[place + 4 : place + 2 + length]
        if length < 2 or len(segment) != length - 2:
            raise ValueError("a marker segment of the code stream is cut off")
        if marker == _SOS:
            break
        if marker in _SOF:
            if size is not None or len(segment) < _FRAME.size:
                raise ValueError("the code stream has several frames, or a damaged one")
            bits, rows, columns, components = _FRAME.unpack_from(segment)
            size = columns, rows
            if components != 1 or not 2 <= bits <= _MAX_BITS or len(segment) != _FRAME.size + 3:
                raise ValueError("the code stream holds another image than the header says")
        elif marker == _DHT:
            _check_huffman_tables(segment)
        place += 2 + length
    if size != (header.columns, header.rows):
        raise ValueError("the code stream holds another image than the header says")
    if len(segment) != 6 or segment[0] != 1:
        raise ValueError("the scan of the code stream is of other components than its frame")


def _check_huffman_tables(segment: bytes) -> None:
    """Tables fill their segment, and their codes exist: no more of a length than are left by shorter ones."""
    place = 0
    while place < len(segment):
        counts = segment[place + 1 : place + 1 + _CODE_LENGTHS]
        room = 1
        for count in counts:
            room = 2 * room - count
            if room < 0:
                raise ValueError("codes of the code stream are not distinct")
        place += 1 + _CODE_LENGTHS + sum(counts)
        if len(counts) < _CODE_LENGTHS or not 0 < sum(counts) <= _MOST_SYMBOLS or place > len(segment):
            raise ValueError("a table of codes is damaged")


def _check_jpeg_2000(stream: bytes, header: SliceHeader) -> None:
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
