"""Names and colours of labels in the files that annotation programs read."""

from collections.abc import Mapping

from dixonflow.report.palette import colour

_SNAP_HEAD = """################################################
# ITK-SnAP Label Description File
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
"""


def itksnap_labels(labels: Mapping[str, int]) -> bytes:
    """Label descriptions as ITK-SNAP imports them (Segmentation, Import Label Descriptions)."""
    lines = [
        "{:>5} {:>5} {:>4} {:>4}        1  1  1    ".format(number, *colour(number)) + f'"{name}"\n'
        for name, number in sorted(labels.items(), key=lambda item: item[1])
    ]
    return (_SNAP_HEAD + "".join(lines)).encode()


def slicer_colours(labels: Mapping[str, int]) -> bytes:
    """Colour table of 3D Slicer: number, name, red, green, blue and opacity (0 to 255)."""
    lines = [
        "{} {} {} {} {} 255\n".format(number, name, *colour(number))
        for name, number in sorted(labels.items(), key=lambda item: item[1])
    ]
    return ("# Color table file\n0 background 0 0 0 0\n" + "".join(lines)).encode()


def label_table(labels: Mapping[str, int]) -> bytes:
    """Number, name and colour as a table of BIDS (dseg.tsv)."""
    lines = [
        "{}\t{}\t#{:02x}{:02x}{:02x}\n".format(number, name, *colour(number))
        for name, number in sorted(labels.items(), key=lambda item: item[1])
    ]
    return ("index\tname\tcolor\n" + "".join(lines)).encode()
