"""Films of every kind that is read, as bytes, made on the spot; and what careless or hostile writers make of them."""

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

__all__ = ["dicom", "films", "lut", "mha", "nifti", "npy", "nrrd", "raster", "raw_tag", "tiff", "with_raw"]

CR = "1.2.840.10008.5.1.4.1.1.1"
BIG = UID("1.2.840.10008.1.2.2")
DEFLATED = UID("1.2.840.10008.1.2.1.99")


def dicom(
    pixels: np.ndarray,
    *,
    bits: int = 12,
    syntax: str = ExplicitVRLittleEndian,
    preamble: bytes = bytes(128),
    **tags: Any,
) -> bytes:
    """One DICOM file; a tag given as None is left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(tags.get("SOPClassUID", CR)), generate_uid()
    meta.TransferSyntaxUID = UID(syntax)
    order = ">" if syntax == BIG else "<"
    kwargs = {"is_implicit_VR": UID(syntax).is_implicit_VR, "is_little_endian": order == "<"}
    made = FileDataset("", {}, file_meta=meta, preamble=preamble.ljust(128, b"\0"), **kwargs)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PatientID, made.Modality = "child-7", "CR"
    made.Rows, made.Columns = pixels.shape[:2] if pixels.shape[-1] == 3 else pixels.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    allocated = 8 * pixels.dtype.itemsize
    made.BitsAllocated, made.BitsStored, made.HighBit = allocated, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OW" if allocated > 8 else "OB"
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is meant to be odd
        for name, value in tags.items():
            if value is None and name in made:
                del made[name]
            elif value is not None:
                setattr(made, name, value)
        pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def lut(entries: Any, first: int, bits: int, *, vr: str = "OW", count: int | None = None, order: str = "<") -> Dataset:
    """A table as it stands in a LUT sequence; `entries` as bytes are stored as they are."""
    item = Dataset()
    length = count if count is not None else len(entries)
    item.add_new("LUTDescriptor", "US", [length & 0xFFFF, first & 0xFFFF, bits])
    data = entries if isinstance(entries, bytes) else np.asarray(entries).astype(f"{order}u2").tobytes()
    item.add_new("LUTData", vr, data if vr == "OW" else [int(v) for v in entries])
    return item


def sequence(*items: Dataset) -> Sequence:
    """A sequence of tables."""
    return Sequence(items)


def raw_tag(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    """An element in explicit little endian with any value, valid or not."""
    value += b" " * (len(value) % 2)
    long = vr in (b"OB", b"OW", b"UN", b"SQ")
    return struct.pack("<HH", group, element) + vr + (
        b"\0\0" + struct.pack("<I", len(value)) if long else struct.pack("<H", len(value))
    ) + value  # fmt: skip


def with_raw(content: bytes, group: int, element: int, vr: bytes, value: bytes) -> bytes:
    """An explicit little endian file with one element (not before it) put in, as bytes."""
    file = io.BytesIO(content)
    wanted = (group << 16) + element
    pydicom.dcmread(file, stop_before_pixels=True)

    def beyond(tag: Any, *_: Any) -> bool:
        return int(tag) > wanted

    file.seek(0)
    pydicom.filereader.read_partial(file, stop_when=beyond)
    at = file.tell()
    return content[:at] + raw_tag(group, element, vr, value) + content[at:]


def raster(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    """A file as PIL writes it."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """A file as tifffile writes it; `extratags` (code, type, count, value) may contradict."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **({"photometric": "minisblack", "metadata": None} | options))
    return stream.getvalue()


def npy(pixels: np.ndarray) -> bytes:
    """A file as numpy writes it."""
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()


def nifti(pixels: np.ndarray, *, affine: tuple[float, float] | None = (-0.2, -0.1), code: int = 512) -> bytes:
    """A NIfTI-1 image of one slice; `affine`: the diagonal (mm to the right a column, to the front a row), or None."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 2, pixels.shape[1], pixels.shape[0], 1, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, code, 8 * pixels.dtype.itemsize)
    struct.pack_into("<8f", head, 76, 1, *(abs(a) for a in affine or (0.2, 0.1)), 1, 1, 1, 1, 1)
    struct.pack_into("<3f", head, 108, 352, 1, 0)
    head[123] = 2
    if affine is not None:
        struct.pack_into("<2h", head, 252, 0, 1)
        struct.pack_into("<12f", head, 280, affine[0], 0, 0, 0, 0, affine[1], 0, 0, 0, 0, 1, 0)
    head[344:348] = b"n+1\0"
    return bytes(head) + pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


def nrrd(pixels: np.ndarray, *, kind: str = "ushort", encoding: str = "raw", **fields: str) -> bytes:
    """An NRRD file (Teem's format) of one image."""
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    if encoding == "gzip":
        machine = zlib.compressobj(wbits=31)
        data = machine.compress(data) + machine.flush()
    told = {"type": kind, "dimension": "2", "sizes": f"{pixels.shape[1]} {pixels.shape[0]}", "endian": "little"}
    lines = [f"{k}: {v}" for k, v in (told | {"encoding": encoding, "spacings": "0.1 0.2"} | fields).items()]
    return ("NRRD0004\n# made by a test\n" + "\n".join(lines) + "\n\n").encode() + data


def mha(pixels: np.ndarray, *, kind: str = "MET_USHORT", packed: bool = False) -> bytes:
    """A MetaImage with its data inside."""
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    lines = [
        "ObjectType = Image", "NDims = 2", f"DimSize = {pixels.shape[1]} {pixels.shape[0]}", "ElementSpacing = 0.1 0.2",
        f"ElementType = {kind}", "BinaryData = True", "BinaryDataByteOrderMSB = False", f"CompressedData = {packed}",
        "ElementDataFile = LOCAL",
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode() + (zlib.compress(data) if packed else data)


def zipped(**files: bytes) -> bytes:
    """A ZIP archive; double underscores in names stand for a dot."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return stream.getvalue()


def films(size: tuple[int, int] = (40, 48)) -> dict[str, bytes]:
    """The same small film in every container and depth that holds it, by name; all of them are read."""
    grey = np.add.outer(np.linspace(0, 0.6, size[0]), np.linspace(0, 0.4, size[1]))
    deep, twelve, flat = (np.rint(grey * top).astype(t) for top, t in ((65535, "u2"), (4095, "u2"), (255, "u1")))
    rle, j2k, jls = ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80")
    made: dict[str, Callable[[], bytes]] = {
        "dicom8": lambda: dicom(flat, bits=8),
        "dicom12": lambda: dicom(twelve),
        "dicom16": lambda: dicom(deep, bits=16),
        "dicom_implicit": lambda: dicom(twelve, syntax="1.2.840.10008.1.2"),
        "dicom_big": lambda: dicom(twelve, syntax=BIG),
        "dicom_deflated": lambda: dicom(twelve, syntax=DEFLATED),
        "dicom_inverse": lambda: dicom(4095 - twelve, PhotometricInterpretation="MONOCHROME1"),
        "dicom_rle": lambda: recoded(dicom(twelve), rle),
        "dicom_j2k": lambda: recoded(dicom(twelve), j2k),
        "dicom_jls": lambda: recoded(dicom(twelve), jls),
        "png8": lambda: raster(flat, "PNG"),
        "png16": lambda: raster(deep, "PNG"),
        "bmp": lambda: raster(flat, "BMP"),
        "webp": lambda: raster(np.dstack([flat] * 3), "WEBP", lossless=True),
        "jp2": lambda: raster(deep, "JPEG2000"),
        "tiff8": lambda: tiff(flat),
        "tiff16": lambda: tiff(deep),
        "tiff16_white": lambda: tiff(65535 - deep, photometric="miniswhite"),
        "tiff_deflate": lambda: tiff(deep, compression="zlib", predictor=True),
        "npy": lambda: npy(deep),
        "nifti": lambda: nifti(deep),
        "nrrd": lambda: nrrd(deep, encoding="gzip"),
        "mha": lambda: mha(deep, packed=True),
        "zip": lambda: zipped(film__dcm=dicom(twelve), readme__txt=b"hello"),
    }  # fmt: skip
    return {name: make() for name, make in made.items()}


def recoded(content: bytes, syntax: str) -> bytes:
    """A DICOM file compressed."""
    made = pydicom.dcmread(io.BytesIO(content))
    plain = syntax == "1.2.840.10008.1.2.5"  # of the encoders of RLE, GDCM's ends the process over odd sizes
    made.compress(UID(syntax), encoding_plugin="pydicom" if plain else "")
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def rich_dicom(size: tuple[int, int] = (20, 24)) -> dict[str, bytes]:
    """DICOM films with everything that may stand in a header: tables, palettes, groups, padding, several frames."""
    deep = np.arange(size[0] * size[1], dtype=np.uint16).reshape(size) * 8
    curve = np.rint(np.linspace(0, 1, 256) ** 2 * 65535)
    rgb = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    colours: dict[str, Any] = {}
    for colour in ("Red", "Green", "Blue"):
        colours[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        colours[f"{colour}PaletteColorLookupTableData"] = curve.astype("<u2").tobytes()
    item = Dataset()
    window = Dataset()
    window.WindowCenter, window.WindowWidth = 900, 1800
    item.FrameVOILUTSequence = Sequence([window])
    return {
        "luts": dicom(
            deep,
            VOILUTSequence=sequence(lut(curve, 0, 16), lut(curve, 5, 12, vr="US")),
            ModalityLUTSequence=sequence(lut(curve.astype(np.uint8).tobytes(), 0, 8)),
            PixelPaddingValue=0,
            PixelPaddingRangeLimit=8,
        ),
        "windows": dicom(
            deep,
            WindowCenter=[100, 2000],
            WindowWidth=[200, 4000],
            VOILUTFunction="SIGMOID",
            RescaleSlope=2,
            RescaleIntercept=-100,
            PixelSpacing=[0.1, 0.2],
            PatientOrientation=["R", "F"],
        ),
        "palette": dicom((deep >> 4).astype(np.uint8), bits=8, PhotometricInterpretation="PALETTE COLOR", **colours),
        "rgb": dicom(rgb, bits=8, PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0),
        "frames": dicom(
            np.stack([deep, deep]),
            NumberOfFrames=2,
            Rows=size[0],
            Columns=size[1],
            PerFrameFunctionalGroupsSequence=sequence(item, item),
        ),
        "signed": dicom((deep.astype(int) - 2000).astype(np.int16), syntax="1.2.840.10008.1.2"),
        "no preamble": dicom(deep)[132:],
        "tiff pages": tiff(np.stack([deep, deep]), photometric="minisblack"),
        "tiff rgb": tiff(rgb, photometric="rgb", tile=(16, 16), compression="zlib"),
        "jpeg": raster(rgb, "JPEG"),
        "rgba": raster(np.dstack([rgb, rgb[..., :1]]), "PNG"),
    }


def refused(size: tuple[int, int] = (20, 24)) -> dict[str, tuple[bytes, str]]:
    """Files that are no film or cannot be read, with a part of what `read` says of each."""
    deep = np.arange(size[0] * size[1], dtype=np.uint16).reshape(size) * 8
    store = "1.2.840.10008.5.1.4.1.1."
    stack = np.stack([deep, deep])
    pages = raster(deep, "PNG")
    return {
        "ct.dcm": (dicom(deep, SOPClassUID=store + "2"), "a CT image"),
        "dose.dcm": (dicom(deep, SOPClassUID=store + "481.2"), "an RT dose"),
        "seg.dcm": (dicom(deep, SOPClassUID=store + "66.4"), "a segmentation"),
        "sr.dcm": (dicom(deep, SOPClassUID=store + "88.33", PixelData=None), "a structured report"),
        "pdf.dcm": (dicom(deep, SOPClassUID=store + "104.1", PixelData=None), "PDF"),
        "ecg.dcm": (dicom(deep, SOPClassUID=store + "9.1.1", PixelData=None), "a waveform"),
        "frames.dcm": (dicom(stack, NumberOfFrames=2, Rows=size[0], Columns=size[1]), "DICOM with 2 frames"),
        "cut.dcm": (dicom(deep)[:-100], "pixel data cut off"),
        "nopixels.dcm": (dicom(deep, PixelData=None), "without pixel data"),
        "norows.dcm": (dicom(deep, Rows=None), "without Rows"),
        "hsv.dcm": (dicom(deep, PhotometricInterpretation="HSV"), "photometric interpretation"),
        "many.dcm": (dicom(deep, NumberOfFrames=1_000_000), "pixels; at most"),
        "float.dcm": (with_raw(dicom(deep, PixelData=None), 0x7FE0, 0x0008, b"OF", bytes(16)), "float pixel data"),
        "head.dcm": (dicom(deep)[:140], "DICOM without"),
        "empty.png": (b"", "is empty"),
        "text.png": (b"this is no image", "not an image"),
        "zeros.jpg": (bytes(5000), "all zeros"),
        "page.jpg": (b"<!DOCTYPE html><html>", "HTML"),
        "picture.png": (b"GIF89a" + bytes(40), "a GIF"),
        "phone.jpg": (b"\0\0\0\x1cftypheic" + bytes(40), "HEIC"),
        "cut.png": (pages[: len(pages) // 2], "PNG"),
        "cut.tif": (tiff(deep)[:-300], "cut off"),
        "cut.jpg": (raster((deep >> 4).astype(np.uint8), "JPEG")[:200], "JPEG"),
        "two.zip": (zipped(a__png=pages, b__png=pages), "2 films"),
        "none.zip": (zipped(a__txt=b"hello"), "no film"),
        "volume.npy": (npy(np.zeros((5, 8, 8), np.uint8)), "volume of 5 slices"),
        "objects.npy": (npy(np.array([[None]])), "Python objects"),
        "raw.nrrd": (nrrd(deep, **{"data file": "x.raw"}), "another file"),
        "cut.mha": (mha(deep)[:-40], "cut off"),
        "wide.nrrd": (nrrd(deep, sizes="60000 60000"), "pixels; at most"),
    }  # fmt: skip


def noted() -> dict[str, bytes]:
    """DICOM films that are read although their header is not as it should be."""
    deep = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24) * 8
    made = {
        f"spacing{i}.dcm": with_raw(dicom(deep), 0x0028, 0x0030, b"DS", value)
        for i, value in enumerate((b"0,143\\0,143", b"abc\\def", b"0.1", b"0\\0", b"-1\\1", b"nan\\nan"))
    }
    made |= {f"frames{i}.dcm": with_raw(dicom(deep), 0x28, 8, b"IS", v) for i, v in enumerate((b"1A", b"", b"0"))}
    starts = (b"II*\0\x08\0\0\0", b"MM\0*", b"BM", b"\xff\xd8\xff\xe0", b"PK\x03\x04", b"GIF89a")
    made |= {f"start{i}.dcm": dicom(deep, preamble=start) for i, start in enumerate(starts)}
    odd: list[dict[str, Any]] = [
        {"RescaleSlope": ""}, {"RescaleIntercept": ""}, {"WindowCenter": "", "WindowWidth": ""}, {"WindowCenter": 2048},
        {"ModalityLUTSequence": []}, {"VOILUTSequence": sequence(Dataset())}, {"SamplesPerPixel": None},
        {"PixelRepresentation": None}, {"HighBit": None}, {"PhotometricInterpretation": "monochrome1"},
        {"PhotometricInterpretation": None}, {"PresentationLUTShape": "INVERSE"}, {"PixelPaddingValue": 0},
        {"PatientOrientation": ["R", "F"]}, {"PresentationIntentType": "FOR PROCESSING"}, {"ViewPosition": "LL"},
        {"LossyImageCompression": "01"}, {"FieldOfViewHorizontalFlip": "YES"}, {"ImagerPixelSpacing": [0.1, 0.1]},
        {"PixelSpacing": [0.2, 0.2]}, {"WindowCenter": [1, 2], "WindowWidth": [100, 0]},
        {"BitsStored": 16, "HighBit": 15},
    ]  # fmt: skip
    made |= {f"odd{i}.dcm": dicom(deep, **tags) for i, tags in enumerate(odd)}
    made |= {f"tables{name}.dcm": content for name, content in rich_dicom().items() if name in ("luts", "windows")}
    made["preamble.dcm"] = dicom(deep)[132:]
    made["trailing.dcm"] = dicom(deep) + bytes(1000)
    return made
