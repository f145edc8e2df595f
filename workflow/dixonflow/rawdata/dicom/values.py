"""Values of DICOM elements as text and numbers, whether they come as bytes or from pydicom."""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Protocol

MAX_TEXT_BYTES = 1024
"""Longest text that is accepted; scanners write none that are longer."""


class Values(Protocol):
    """Values of the elements of one file or frame."""

    def text(self, tag: int) -> str:
        """Text without padding; empty where there is none. Raises ValueError where it is absurdly long."""

    def numbers(self, tag: int, count: int) -> tuple[float, ...]:
        """Finite numbers, exactly `count`; none at all where the element is missing or empty. Raises ValueError."""

    def count(self, tag: int) -> int | None:
        """An unsigned whole number of two bytes; None where the element is missing or empty. Raises ValueError."""

    def pixel_value(self, tag: int, signed: bool) -> int | None:
        """A stored value, signed as the pixels are; None where the element has no such value."""


class BytesValues:
    """Values of a little-endian file that was walked without pydicom."""

    def __init__(self, values: Mapping[int, bytes]) -> None:
        self._values = values

    def text(self, tag: int) -> str:
        """As in `Values`."""
        value = self._values.get(tag, b"")
        if len(value) > MAX_TEXT_BYTES:
            raise ValueError(f"a text is longer than {MAX_TEXT_BYTES} bytes")
        # padding is a space or a zero byte; Latin-1 never fails and none of the words looked for is beyond ASCII
        return value.decode("latin-1").strip(" \0")

    def numbers(self, tag: int, count: int) -> tuple[float, ...]:
        """As in `Values`."""
        text = self.text(tag)
        return _checked(text.split("\\"), count) if text else ()

    def count(self, tag: int) -> int | None:
        """As in `Values`."""
        value = self._values.get(tag, b"")
        if not value:
            return None
        if len(value) != 2:
            raise ValueError("a whole number does not have two bytes")
        return int.from_bytes(value, "little")

    def pixel_value(self, tag: int, signed: bool) -> int | None:
        """As in `Values`."""
        value = self._values.get(tag, b"")
        return int.from_bytes(value, "little", signed=signed) if len(value) == 2 else None

    def single(self, tag: int) -> float | None:
        """A single-precision number of private elements that hold its bytes, or its text."""
        value = self._values.get(tag, b"")
        return float(struct.unpack("<f", value)[0]) if len(value) == 4 else next(iter(self.numbers(tag, 1)), None)


class ParsedValues:
    """Values that pydicom has parsed, by tag."""

    def __init__(self, values: Mapping[int, object]) -> None:
        self._values = values

    def text(self, tag: int) -> str:
        """As in `Values`."""
        value = self._values.get(tag)
        parts = [] if value is None else value if _is_several(value) else [value]
        text = "\\".join(_word(part) for part in parts).strip(" \0")  # type: ignore[attr-defined]
        if len(text) > MAX_TEXT_BYTES:
            raise ValueError(f"a text is longer than {MAX_TEXT_BYTES} bytes")
        return text

    def numbers(self, tag: int, count: int) -> tuple[float, ...]:
        """As in `Values`."""
        value = self._values.get(tag)
        if value is None or value == "" or (_is_several(value) and not len(value)):  # type: ignore[arg-type]
            return ()
        return _checked(value if _is_several(value) else [value], count)  # type: ignore[arg-type]

    def count(self, tag: int) -> int | None:
        """As in `Values`."""
        value = self._values.get(tag)
        if value is None or value == "":
            return None
        if not isinstance(value, int):
            raise ValueError("a whole number is something else")
        return value

    def pixel_value(self, tag: int, signed: bool) -> int | None:
        """As in `Values`."""
        value = self._values.get(tag)
        if not isinstance(value, int):
            return None
        # an element of ambiguous type may be parsed with the other sign
        return (value + 0x8000) % 0x10000 - 0x8000 if signed else value % 0x10000

    def single(self, tag: int) -> float | None:
        """As in `BytesValues`."""
        value = self._values.get(tag)
        if isinstance(value, bytes):
            return BytesValues({tag: value}).single(tag)
        return next(iter(self.numbers(tag, 1)), None)


def _is_several(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _word(part: object) -> str:
    return part.decode("latin-1").strip(" \0") if isinstance(part, bytes) else str(part).strip(" \0")


def _checked(parts: Sequence[object], count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in parts)  # type: ignore[arg-type]
    except (ValueError, TypeError):  # its text repeats what somebody typed
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{count} finite numbers are needed")
    return numbers


def seconds_of(time: str) -> float | None:
    """Seconds since midnight of a DICOM time, HHMMSS.FFFFFF; None where it is none."""
    match = re.fullmatch(r"([0-9]{2})([0-9]{2})([0-9]{2}(?:\.[0-9]+)?)", time)
    return 3600.0 * int(match[1]) + 60.0 * int(match[2]) + float(match[3]) if match else None


def date_of(text: str) -> str:
    """YYYY-MM-DD of a DICOM date; empty where it is none."""
    match = re.fullmatch(r"([0-9]{4})([0-9]{2})([0-9]{2})", text)
    return "-".join(match.groups()) if match else ""


def years_of(text: str) -> float | None:
    """Years of a DICOM age, such as 063Y; None where it is none."""
    match = re.fullmatch(r"([0-9]{3})([DWMY])", text)
    return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[match[2]] if match else None
