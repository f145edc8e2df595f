"""Mutations that get behind checksums and syntax: of what a zip or gzip file holds, of values in JSON and YAML."""

import gzip
import io
import itertools
import json
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import yaml
from targets import Mutate

_PLAIN_SHARE = 0.25
"""Inputs that are changed without regard to their structure."""
_MAX_MEMBER = 1 << 18
_MAX_MEMBERS = 200

_ODD_VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2**31,
        2**63,
        -(2**63),
        2**64,
        10**400,
        0.5,
        -0.0,
        1e308,
        float("inf"),
        float("nan"),
    ),
    *("", " ", "a", "\0", "\n", "\u2028", "/", "..", "0", "RAS", "x" * 300, [], [[]], {}, {"": {}}, ["a"], [0, 0, 0]),
    *([1, 2, 3], {"a": 1}, {"inherits_from": "3d_fullres"}, "3d_fullres", "torch.nn.Conv3d", "2001-99-99", "1:1:1"),
]
_ODD_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x01\0\0\0", b"\0\0\0\x80")
_ENTRY = b"PK\x01\x02"
_ENTRY_FIELDS = ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (38, 4), (42, 4))
"""Place and bytes of what an entry of a zip's table of contents says: version, flags, method, sizes, lengths, place."""
_ODD_STEPS = [
    *(b"N", b"\x88", b"}", b"]", b"(", b")", b"t", b"\x85", b"\x86", b"\x87", b"R", b"b", b"Q", b"s", b"u", b"a", b"e"),
    *(b"h\0", b"q\0", b"r\xff\xff\xff\xff", b"K\xff", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f"),
    *(b"X\0\0\0\0", b"X\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f", b"G" + b"\x7f\xf0" + b"\0" * 6, b"0", b"2", b"."),
    *(b"cbuiltins\nbytearray\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"cnumpy\ndtype\n"),
    *(b"ccollections\nOrderedDict\n", b"ctorch\nSize\n", b"c_codecs\nencode\n", b"ctorch\ndevice\n"),
]
"""Instructions of a pickle."""
_ODD_NAMES = ["", "a/", "../a", "/a", "a\\b", "a//b", "plans.json", "dataset.json", "fold_0/checkpoint_final.pth", "é"]


def mutate_zip(data: bytes, longest: int, random: Random, mutate: Mutate) -> bytes:
    """Change, drop, repeat or rename a member, and write the zip again with the right checksums."""
    if random.random() < _PLAIN_SHARE:
        return mutate(data, longest)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()[:_MAX_MEMBERS]
            if not infos or any(info.file_size > _MAX_MEMBER for info in infos):
                return mutate(data, longest)
            members = [(info.filename, info.compress_type, archive.read(info)) for info in infos]
    except Exception:  # any damage: it may be fuzzed as it is
        return mutate(data, longest)
    index = random.randrange(len(members))
    name, kind, content = members[index]
    choice = random.random()
    if choice < 0.8:
        change = {"json": mutate_json, "pkl": mutate_pickle}.get(name.rpartition(".")[2], mutate_plainly)
        members[index] = (name, kind, change(content, len(content) + 256, random, mutate))
    elif choice < 0.85:
        del members[index]
    elif choice < 0.9:
        members.insert(random.randrange(len(members)), members[index])
    elif choice < 0.95:
        members[index] = (random.choice(_ODD_NAMES) + name * random.randrange(2), kind, content)
    else:
        members[index] = (name, zipfile.ZIP_DEFLATED if kind == zipfile.ZIP_STORED else zipfile.ZIP_STORED, content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, kind, content in members:
            known = kind in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
            archive.writestr(zipfile.ZipInfo(name), content, kind if known else zipfile.ZIP_STORED, 1)
    written = buffer.getvalue()
    if random.random() < 0.1:
        written = _with_odd_entry(written, random)
    return written if len(written) <= longest else data


def _with_odd_entry(data: bytes, random: Random) -> bytes:
    """Give an entry of the table of contents an extreme number."""
    place = data.find(_ENTRY, data.find(_ENTRY) + random.randrange(len(data)))
    start, width = random.choice(_ENTRY_FIELDS)
    start += max(place, data.find(_ENTRY))
    return data[:start] + random.choice(_ODD_NUMBERS)[-width:] + data[start + width :]


def mutate_pickle(data: bytes, longest: int, random: Random, mutate: Mutate) -> bytes:
    """Drop, repeat, move or replace instructions."""
    if random.random() < _PLAIN_SHARE:
        return mutate_plainly(data, longest, random, mutate)
    try:
        places = [place for _, _, place in pickletools.genops(data)]
    except Exception:  # any damage: it may be fuzzed as it is
        return mutate(data, longest)
    steps = [data[start:end] for start, end in itertools.pairwise([*places, len(data)])]
    for _ in range(random.randrange(1, 4)):
        index, other = random.randrange(len(steps)), random.randrange(len(steps))
        steps[index : index + random.randrange(2)] = random.choice(([], [steps[other]], [random.choice(_ODD_STEPS)]))
        if not steps:
            return data
    return b"".join(steps)[:longest]


def mutate_plainly(data: bytes, longest: int, random: Random, mutate: Mutate) -> bytes:
    """Change bytes; now and then a number of two or four bytes to an extreme one."""
    if len(data) > 4 and random.random() < 0.3:
        start, width = random.randrange(len(data) - 4), random.choice((1, 2, 4))
        value = random.choice(_ODD_NUMBERS)
        return data[:start] + value[:width] + data[start + width :]
    return mutate(data, longest)


def mutate_gzip(inner: Callable[[bytes, int, Random, Mutate], bytes]) -> Callable[..., bytes]:
    """Change what a gzip stream holds, and compress it again; what is no such stream, as it is."""

    def change(data: bytes, longest: int, random: Random, mutate: Mutate) -> bytes:
        if not data.startswith(b"\x1f\x8b"):
            return inner(data, longest, random, mutate)
        if random.random() < _PLAIN_SHARE:
            return mutate(data, longest)
        try:
            content = zlib.decompressobj(31).decompress(data, _MAX_MEMBER)
        except zlib.error:
            return mutate(data, longest)
        written = gzip.compress(inner(content, longest, random, mutate), 1, mtime=0)
        return written if len(written) <= longest else data

    return change


def mutate_json(data: bytes, longest: int, random: Random, mutate: Mutate) -> bytes:
    """Change a value in JSON."""
    if random.random() < _PLAIN_SHARE:
        return mutate(data, longest)
    try:
        written = json.dumps(_changed(json.loads(data), random)).encode()
    except (ValueError, RecursionError):
        return mutate(data, longest)
    return written if len(written) <= longest else data


def mutate_json_lines(data: bytes, longest: int, random: Random, mutate: Mutate) -> bytes:
    """Change a value in one line of JSON."""
    lines = data.splitlines() or [b""]
    index = random.randrange(len(lines))
    lines[index] = mutate_json(lines[index], longest, random, mutate)
    return b"\n".join(lines)[:longest]


def mutate_yaml(data: bytes, longest: int, random: Random, mutate: Mutate) -> bytes:
    """Change a value in YAML."""
    if len(data) > longest or random.random() < _PLAIN_SHARE:
        return mutate(data, longest)
    try:
        value = yaml.load(data, Loader=yaml.CSafeLoader)
        written = yaml.dump(_changed(value, random), Dumper=yaml.CSafeDumper).encode()
    except Exception:  # any damage: it may be fuzzed as it is
        return mutate(data, longest)
    return written if len(written) <= longest else data


def _changed(value: Any, random: Random) -> Any:
    """Replace, drop, repeat or rename one value somewhere inside."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return random.choice(_ODD_VALUES)
    choice = random.random()
    if isinstance(value, dict):
        key = random.choice(list(value))
        if choice < 0.08:
            return {name: item for name, item in value.items() if name != key}
        name = random.choice(["", "a", "inherits_from", "\n", "0"]) if choice < 0.12 else key
        return value | {name: _changed(value[key], random)}
    index = random.randrange(len(value))
    rest = 0 if choice < 0.04 else 1
    items = [] if choice < 0.08 else [_changed(value[index], random)]
    return [*value[:index], *items, *value[index + rest :]]
