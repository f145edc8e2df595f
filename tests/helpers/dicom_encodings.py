"""Slices in the encodings that scanners and archives write, made of plain ones by pydicom and GDCM."""

import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import gdcm
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from raw_scan_files import encode

_GDCM = {
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
    JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
    RLELossless: gdcm.TransferSyntax.RLELossless,
}


def compressed(syntax: str, content: bytes) -> bytes:
    """A file with compressed pixels."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "plain.dcm", Path(folder) / "compressed.dcm"
        source.write_bytes(content)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(_GDCM[syntax]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return target.read_bytes()


def saved(ds: Dataset, syntax: str) -> bytes:
    """A file in one of the uncompressed transfer syntaxes; pixels are given little-endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    head = DicomBytesIO()
    head.is_little_endian, head.is_implicit_VR = True, False
    head.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(head, meta)
    stream = DicomBytesIO()
    stream.is_little_endian = syntax != ExplicitVRBigEndian
    stream.is_implicit_VR = syntax == ImplicitVRLittleEndian
    pixels = ds.PixelData
    if syntax == ExplicitVRBigEndian and ds.BitsAllocated == 16:
        ds.PixelData = np.frombuffer(pixels, "<u2").astype(">u2").tobytes()
    write_dataset(stream, ds)
    ds.PixelData = pixels
    content = stream.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        deflate = zlib.compressobj(wbits=-15)
        content = deflate.compress(content) + deflate.flush()
    return head.getvalue() + content


def without_preamble(ds: Dataset) -> bytes:
    """The data set alone, as some archives export it."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, True
    write_dataset(stream, ds)
    return stream.getvalue()


def implicit_declared_explicit(ds: Dataset) -> bytes:
    """Implicit VR under a file meta information that says explicit."""
    implicit = encode(ds, implicit=True)
    explicit_name = str(ExplicitVRLittleEndian).encode()
    implicit_name = str(ImplicitVRLittleEndian).encode()
    place = implicit.index(b"UI", implicit.index(b"\x02\x00\x10\x00"))
    length = int.from_bytes(implicit[place + 2 : place + 4], "little")
    assert implicit[place + 4 : place + 4 + length].rstrip(b"\0") == implicit_name
    padded = explicit_name + b"\0" * (len(explicit_name) % 2)
    head = implicit[: place + 2] + len(padded).to_bytes(2, "little") + padded
    rest = implicit[place + 4 + length :]
    # the group length of the file meta information counts its bytes
    group = head.index(b"\x02\x00\x00\x00UL\x04\x00") + 8
    count = int.from_bytes(head[group : group + 4], "little") + len(padded) - length
    return head[:group] + count.to_bytes(4, "little") + head[group + 4 :] + rest


def enhanced(slices: Sequence[Dataset]) -> Dataset:
    """One data set of many frames, each with its place, its echo time and its kind."""
    first = slices[0]
    ds = Dataset()
    for name in ("PatientID", "PatientName", "SeriesDescription", "SeriesNumber", "Modality", "SpecificCharacterSet"):
        if name in first:
            setattr(ds, name, getattr(first, name))
    ds.SOPClassUID = EnhancedMRImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[first.SOPInstanceUID, "frames"])
    ds.SeriesInstanceUID = first.SeriesInstanceUID
    ds.ImageType = [*first.ImageType]
    for name in ("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored"):
        setattr(ds, name, getattr(first, name))
    ds.HighBit, ds.PixelRepresentation = first.HighBit, first.PixelRepresentation
    ds.NumberOfFrames = len(slices)
    ds.PixelData = b"".join(each.PixelData for each in slices)
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    measures.PixelSpacing = first.PixelSpacing
    shared = Dataset()
    shared.PlaneOrientationSequence = Items([orientation])
    shared.PixelMeasuresSequence = Items([measures])
    ds.SharedFunctionalGroupsSequence = Items([shared])
    groups = []
    for each in slices:
        position, echo, kind, group = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = each.ImagePositionPatient
        echo.EffectiveEchoTime = float(each.EchoTime)
        kind.FrameType = [*each.ImageType]
        kind.ComplexImageComponent = "MAGNITUDE"
        group.PlanePositionSequence, group.MREchoSequence = Items([position]), Items([echo])
        group.MRImageFrameTypeSequence = Items([kind])
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Items(groups)
    return ds


SYNTAXES = {
    "explicit": lambda ds: saved(ds, ExplicitVRLittleEndian),
    "implicit": lambda ds: saved(ds, ImplicitVRLittleEndian),
    "big-endian": lambda ds: saved(ds, ExplicitVRBigEndian),
    "deflated": lambda ds: saved(ds, DeflatedExplicitVRLittleEndian),
    "RLE": lambda ds: compressed(RLELossless, encode(ds)),
    "JPEG lossless": lambda ds: compressed(JPEGLosslessSV1, encode(ds)),
    "JPEG-LS": lambda ds: compressed(JPEGLSLossless, encode(ds)),
    "JPEG 2000": lambda ds: compressed(JPEG2000Lossless, encode(ds)),
    "without preamble": without_preamble,
    "implicit declared explicit": implicit_declared_explicit,
}
"""Encoders of a slice, by name."""
