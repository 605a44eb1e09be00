"""The stored pixels of one DICOM frame: what the header says of them, checked, then decoded."""

import dataclasses
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ImageError
from radiolucent.images.budget import check_pixels
from radiolucent.images.codestream import Codestream, codestream, rle_checked
from radiolucent.images.dicom_bits import Decoded, PixelFormat, padding_of, stored_bits
from radiolucent.images.dicom_header import Header

__all__ = ["decode", "pixel_format"]

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG_8, JPEG_12, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.5"
LOSSLESS, J2K = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"
LS, LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
RETIRED = ("1.2.840.10008.1.2.4.5", "1.2.840.10008.1.2.4.6")  # other JPEG processes, such as .53 and .55
WITH_HEAD = tuple(f"1.2.840.10008.1.2.4.{n}" for n in ("5", "6", "70", "80", "81", "90", "91", "92", "93", "20"))
VIDEO = ("1.2.840.10008.1.2.4.10",)  # MPEG-2, MPEG-4, HEVC
SLACK = 1 << 20
GREY, COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def pixel_format(header: Header, file: Path, max_pixels: int) -> PixelFormat:
    """What the header says of the pixels; what is missing gets its only sensible value, with a note.

    Raises:
        ImageError: no size, more pixels than the limit, or what cannot be understood.
    """
    rows, columns = header.whole("Rows"), header.whole("Columns")
    if not rows or not columns:
        raise ImageError(f"{file}: DICOM without Rows or Columns; it is damaged, export it again.")
    frames = 1 if (told := header.whole("NumberOfFrames")) is None else told
    if frames < 1:
        header.note(f"NumberOfFrames {frames}, 1 taken")
        frames = 1
    check_pixels(file, rows, columns, frames, max_pixels)
    photometric = _photometric(header, file)

    def get(name: str, default: int, valid: range) -> int:
        found = header.whole(name)
        if found is not None and found in valid:
            return found
        header.note(f"{name} {'is missing' if found is None else found}, {default} taken")
        return default

    samples = get("SamplesPerPixel", 3 if photometric in COLOUR else 1, range(1, 5))
    if samples not in (1, 3) or (samples == 3) != (photometric in COLOUR):
        raise ImageError(f"{file}: {photometric} with {samples} samples a pixel, which contradict each other.")
    allocated = header.whole("BitsAllocated") or 0
    if not allocated:
        allocated = 8 if 0 < (header.whole("BitsStored") or 16) <= 8 else 16
        header.note(f"BitsAllocated is missing, {allocated} taken")
    if allocated not in (1, 8, 16, 32):
        raise ImageError(f"{file}: {allocated} bits allocated a pixel; 1, 8, 16 and 32 are read: export it again.")
    stored = get("BitsStored", allocated, range(1, allocated + 1))
    high_bit = get("HighBit", stored - 1, range(stored - 1, allocated))
    signed = get("PixelRepresentation", 0, range(2)) == 1
    planar = get("PlanarConfiguration", 0, range(2)) if samples == 3 else 0
    return PixelFormat(rows, columns, frames, samples, allocated, stored, high_bit, signed, photometric, planar)


def _photometric(header: Header, file: Path) -> str:
    told = header.text("PhotometricInterpretation")
    words = {w.strip().upper() for w in told.split("\\") if w.strip()}
    if not words:
        found = "RGB" if header.whole("SamplesPerPixel") == 3 else "MONOCHROME2"
        header.note(f"PhotometricInterpretation is missing, {found} taken")
        return found
    found = words.pop()
    if words or found not in (*GREY, *COLOUR, "PALETTE COLOR"):
        raise ImageError(
            f"{file}: photometric interpretation {told!r}; {', '.join((*GREY, *COLOUR))} and PALETTE COLOR are read."
        )
    if found != told:
        header.note(f"PhotometricInterpretation {told!r} taken for {found}")
    return found


def decode(
    stream: BinaryIO, header: Header, syntax: str, form: PixelFormat, frame: int, file: Path, steps: list[str]
) -> Decoded:
    """One frame from a stream that stands at the pixel data.

    Raises:
        ImageError: float, cut-off or damaged pixel data, video, or a missing codec: it says which.
    """
    compressed, size, vr = _place(stream, file)
    if not syntax:
        implicit = getattr(header.dataset, "original_encoding", (True, True))
        syntax = IMPLICIT if implicit[0] else EXPLICIT if implicit[1] else BIG
        words = {IMPLICIT: "implicit little endian", EXPLICIT: "explicit little endian", BIG: "big endian"}
        if not compressed:
            steps.append(f"transfer syntax missing, {words[syntax]} assumed")
    if syntax.startswith(VIDEO):
        raise ImageError(f"{file}: DICOM video; export the picture to read as a file of its own.")
    if not compressed and syntax not in (IMPLICIT, EXPLICIT, BIG):
        if size not in (form.frame_bytes * form.frames, form.frame_bytes * form.frames + 1):
            raise ImageError(
                f"{file}: declares compressed pixel data ({_named(syntax)}) that are not; export it again."
            )
        header.note(f"declares {_named(syntax)}, but its pixel data are not compressed")
        syntax = EXPLICIT
    if not compressed:
        if 0xFFFFFFFF > size >= 2 * (declared := form.frame_bytes * form.frames) and size > declared + 1:
            raise ImageError(
                f"{file}: {size:,} bytes of pixel data, where Rows, Columns, BitsAllocated and NumberOfFrames declare "
                f"{declared:,}: they contradict each other; export it again."
            )
        if size > declared + 1:
            header.note(f"{size - declared:,} bytes of pixel data more than declared, ignored")
        words, found = _native(stream, syntax, form, frame, size, vr, file), None
    else:
        words, form, found = _compressed(stream, header, syntax, form, frame, file)
    if form.samples == 3 or form.allocated == 1:
        return Decoded(words, form.stored, None)
    padding = padding_of(words, form, header)
    words = stored_bits(words, padding, header, form)
    if found is not None and found.bits > form.stored and int(words.max()) > form.high:
        header.note(f"BitsStored {form.stored}, but the compressed data have {found.bits} bits")
        return Decoded(words, found.bits, padding)
    return Decoded(words, form.stored, padding)


def _place(stream: BinaryIO, file: Path) -> tuple[bool, int, bytes]:
    """(whether the pixel data are encapsulated, their length, their VR or b""); the stream then stands behind these."""
    head = stream.read(12)
    little, big = (head[:4] == tag for tag in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"))
    if head[:4] in (b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00", b"\x7f\xe0\x00\x08", b"\x7f\xe0\x00\x09"):
        raise ImageError(f"{file}: float pixel data, as of a parametric map; it is no radiograph.")
    if not (little or big):
        raise ImageError(f"{file}: DICOM without pixel data; give an image object (CR, DX or secondary capture).")
    order = "little" if little else "big"
    explicit = head[4:6] in (b"OB", b"OW", b"UN", b"OF", b"OD", b"OL")
    if not explicit:
        stream.seek(-4, 1)
    length = int.from_bytes(head[8:12] if explicit else head[4:8], order)
    return length == 0xFFFFFFFF, length, head[4:6] if explicit else b""


def _cut_off(have: int, need: int) -> str:
    return f"pixel data cut off: {have:,} of {need:,} bytes are there; copy or export it again"


def _native(
    stream: BinaryIO, syntax: str, form: PixelFormat, frame: int, size: int, vr: bytes, file: Path
) -> NDArray[Any]:
    """One uncompressed frame; no other is read."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    need = form.frame_bytes
    if form.allocated == 1 and form.rows * form.columns % 8 and frame > 1:
        raise ImageError(f"{file}: 1-bit frames that begin within a byte; export the frame as a file of its own.")
    start, stop = (frame - 1) * need, frame * need
    swapped = syntax == BIG and vr == b"OW" and form.allocated <= 8  # two pixels or more a word, the first one low
    if swapped:
        start, stop = start // 2 * 2, (stop + 1) // 2 * 2
    stream.seek(start, 1)
    content = stream.read(max(0, min(stop, size) - start))
    if swapped:
        content = np.frombuffer(content[: len(content) // 2 * 2], "u2").byteswap().tobytes()
        content = content[(frame - 1) * need - start :][:need]
    if len(content) < need:
        raise ImageError(f"{file}: {_cut_off(len(content) + (frame - 1) * need, need * form.frames)}.")
    if form.allocated == 1:
        bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
        return bits[: form.rows * form.columns].reshape(form.rows, form.columns)
    array, _ = get_decoder(UID(syntax)).as_array(
        content + b"\0" * (need % 2), **_options(form, frames=1, pixel_vr="OW" if form.allocated > 8 else "OB")
    )
    return array


def _options(form: PixelFormat, frames: int, **more: Any) -> dict[str, Any]:
    return {
        "rows": form.rows,
        "columns": form.columns,
        "number_of_frames": frames,
        "samples_per_pixel": form.samples,
        "bits_allocated": form.allocated,
        "bits_stored": form.stored,
        "photometric_interpretation": form.photometric,
        "pixel_representation": int(form.signed),
        "planar_configuration": form.planar,
        "pixel_keyword": "PixelData",
        "correct_unused_bits": False,
    } | more


def _compressed(
    stream: BinaryIO, header: Header, syntax: str, form: PixelFormat, frame: int, file: Path
) -> tuple[NDArray[Any], PixelFormat, Codestream | None]:
    """(one frame's words, what they are like, what the compressed data say themselves)."""
    from pydicom.encaps import get_frame

    raw = form.frame_bytes * form.frames
    buffer = stream.read(2 * raw + SLACK + 1)
    if len(buffer) > 2 * raw + SLACK:
        raise ImageError(f"{file}: has more compressed data than {form.columns} × {form.rows} pixels can need.")
    try:
        content = get_frame(buffer, frame - 1, number_of_frames=form.frames)
    except Exception as error:  # pydicom raises several kinds on damaged items
        raise ImageError(f"{file}: {_damaged(error)}") from error
    found = codestream(content)
    if found is not None:
        _fits(found, form, file)
        syntax = _really(syntax, found, header)
    elif syntax in ("", IMPLICIT, EXPLICIT, BIG):
        raise ImageError(f"{file}: compressed pixel data of no known kind; export it again.")
    elif syntax == RLE:
        planes = form.samples * max(1, form.allocated // 8)
        content, fault = rle_checked(content, planes, form.rows * form.columns)
        if fault:
            raise ImageError(f"{file}: RLE pixel data are damaged ({fault}); copy or export it again.")
    elif syntax.startswith(WITH_HEAD):
        raise ImageError(f"{file}: {_damaged(ValueError('they do not begin as such data do'))}")
    if found is not None and found.kind == "dct" and found.bits == 8 and form.stored != 8:
        header.note(f"BitsStored {form.stored}, but the compressed data have 8 bits")
        form = dataclasses.replace(form, allocated=8, stored=8, high_bit=7, signed=False)
    array = _decoded(content, syntax, form, file)
    if form.allocated not in (1, 8 * array.dtype.itemsize):
        form = dataclasses.replace(form, allocated=8 * array.dtype.itemsize)
    return array, form, found


def _fits(found: Codestream, form: PixelFormat, file: Path) -> None:
    """Refuse compressed data that are not of the film that the header declares, or that say what none may say."""
    if (found.rows, found.columns) != (form.rows, form.columns):
        raise ImageError(
            f"{file}: declares {form.columns} × {form.rows} pixels, its compressed data {found.columns} × "
            f"{found.rows}; it is damaged."
        )
    if fault := found.fault:
        raise ImageError(f"{file}: {_damaged(ValueError(f'they declare {fault}'))}")
    if found.samples != form.samples:
        raise ImageError(
            f"{file}: declares {form.samples} samples a pixel, its compressed data {found.samples}; it is damaged."
        )


def _really(syntax: str, found: Codestream, header: Header) -> str:
    """The transfer syntax that decodes a codestream, whatever is declared."""
    natural = {"lossless": LOSSLESS, "ls": LS, "j2k": J2K}.get(found.kind, JPEG_8 if found.bits == 8 else JPEG_12)
    groups = {
        "lossless": ("57", "70"), "ls": ("80", "81"), "j2k": ("90", "91", "92", "93", "201", "202", "203"),
        "dct": ("50", "51"),
    }  # fmt: skip
    if syntax.rpartition(".")[2] in groups[found.kind] and syntax.startswith("1.2.840.10008.1.2.4."):
        return syntax if found.kind != "dct" else natural
    if not (found.kind == "dct" and syntax.startswith(RETIRED)):
        header.note(f"declares {_named(syntax) or 'no transfer syntax'}, but its pixel data are {found.words}")
    return natural


def _decoded(content: bytes, syntax: str, form: PixelFormat, file: Path) -> NDArray[Any]:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    name = _named(syntax)
    if syntax == JPEG_12:
        return _twelve_bit(content, form, file)
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        raise ImageError(f"{file}: compressed by {name}, which is not read; export it uncompressed.") from None
    if not decoder.is_available:
        wanted = "; ".join(decoder.missing_dependencies)
        raise ImageError(
            f"{file}: compressed by {name}, for which no codec is installed ({wanted}); run: pip install "
            "'radiolucent[dicom]'"
        )
    try:
        # What GDCM finds damaged need not be tried by CharLS, which takes seconds over some damage.
        alone = "gdcm" if syntax in (LS, LS_NEAR) and form.stored > 7 and "gdcm" in decoder.available_plugins else ""
        array, _ = decoder.as_array(encapsulate([content]), decoding_plugin=alone, **_options(form, frames=1))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # each codec raises its own kinds; those in Rust panic
        raise ImageError(f"{file}: {_damaged(error)}") from error
    return array


def _damaged(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"compressed pixel data are damaged or cut off ({words[:200]}); copy or export it again."


def _twelve_bit(content: bytes, form: PixelFormat, file: Path) -> NDArray[Any]:
    """JPEG with 12 bits a sample by GDCM, which pydicom does not ask for it."""
    try:
        import gdcm
    except ImportError:
        raise ImageError(
            f"{file}: JPEG of 12 bits, for which no codec is installed (python-gdcm); pip install 'radiolucent[dicom]'."
        ) from None
    if form.samples != 1:
        raise ImageError(f"{file}: colour JPEG of 12 bits, which is not read; export it uncompressed.")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(content)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((form.columns, form.rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, 0))
    values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), "<u2")
    if values.size != form.rows * form.columns:
        raise ImageError(f"{file}: {_damaged(ValueError('JPEG of 12 bits'))}")
    return values.reshape(form.rows, form.columns)


def _named(syntax: str) -> str:
    from pydicom.uid import UID

    return str(UID(syntax).name) if syntax else ""
