"""Heads of JPEG code streams: damage that would end the process of the decoder is refused before."""

from pathlib import Path
from types import SimpleNamespace

import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame

from dixonflow.rawdata.dicom.codestream import check_code_stream

SEED = Path(__file__).parents[2] / "fuzz/regressions/dicom_pixels/jpeg_lossless_markers"
DAMAGED = get_frame(pydicom.dcmread(SEED, force=True).PixelData, 0, number_of_frames=1)
SOF, DHT = DAMAGED[2:15], DAMAGED[15:47]
SOUND = b"\xff\xd8" + SOF + DHT + DAMAGED[49:]
"""Without the two bytes between the segments."""


def check(stream: bytes, rows: int = 16, columns: int = 18) -> None:
    dataset = SimpleNamespace(PixelData=encapsulate([stream]), get=lambda _name: 1)
    header = SimpleNamespace(transfer_syntax="1.2.840.10008.1.2.4.70", frame=0, rows=rows, columns=columns)
    check_code_stream(dataset, header)


def test_a_sound_head_is_accepted_with_fill_bytes_and_further_segments() -> None:
    check(SOUND)
    check(b"\xff\xd8\xff" + SOUND[2:])
    check(b"\xff\xd8\xff\xfe\x00\x04ok" + SOUND[2:])


@pytest.mark.parametrize(
    ("stream", "match"),
    [
        (DAMAGED, "do not follow each other"),
        (b"\xff\xd9" + SOUND[2:], "no JPEG"),
        (b"\xff\xd8" + SOF + SOF + DHT + DAMAGED[49:], "several frames"),
        (b"\xff\xd8" + DHT + DAMAGED[49:], "another image"),
        (b"\xff\xd8" + SOF[:9] + b"\x03" + SOF[10:] + DHT + DAMAGED[49:], "another image"),
        (b"\xff\xd8" + SOF + DHT[:5] + b"\x03" + DHT[6:] + DAMAGED[49:], "not distinct"),
        (b"\xff\xd8" + SOF + DHT[:-1] + DAMAGED[49:], "cut off|damaged|follow"),
        (SOUND[:30], "cut off"),
        (SOUND[:48], "follow|cut off"),
        (b"\xff\xd8", "do not follow"),
    ],
)
def test_a_damaged_head_is_refused(stream: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        check(stream)


def test_the_matrix_is_that_of_the_header() -> None:
    with pytest.raises(ValueError, match="another image"):
        check(SOUND, rows=18, columns=16)
