"""JPEG, PNG, BMP, WebP and JPEG 2000, and arrays, to grey levels in [0, 1]."""

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from radiolucent.bounds import expect
from radiolucent.errors import ImageError
from radiolucent.images.budget import check_pixels
from radiolucent.images.codestream import Codestream, codestream
from radiolucent.images.options import ReadOptions, reading
from radiolucent.images.scale import luminance, scaled, unused_depth
from radiolucent.types import Radiograph

__all__ = ["from_array", "from_picture", "page_of", "read_raster"]

_PNG_GREY, _PNG_COLOURS = (0, 4), {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}


def read_raster(stream: BinaryIO, file: Path, kind: str, options: ReadOptions) -> Radiograph:
    """Decode a raster file; see `radiolucent.images.read`."""
    steps: list[str] = []
    notes: list[str] = []
    head = stream.read(1 << 16)
    stream.seek(0)
    found = codestream(head) if kind in ("JPEG", "JPEG2000") else None
    if found is not None:
        check_pixels(file, found.rows, found.columns, 1, options.max_pixels)
        _refuse_rare(found, file)
    if Image.MAX_IMAGE_PIXELS is not None and 2 * Image.MAX_IMAGE_PIXELS < options.max_pixels:
        Image.MAX_IMAGE_PIXELS = options.max_pixels  # PIL has a limit of its own
    try:
        image = Image.open(stream, formats=[kind])
    except Image.DecompressionBombError:
        raise ImageError(
            f"{file}: declares far more than {options.max_pixels:,} pixels; it is no radiograph, or damaged."
        ) from None
    except UnidentifiedImageError:
        raise ImageError(f"{file}: starts like {kind} but cannot be decoded; copy or download it again.") from None
    check_pixels(file, image.height, image.width, 1, options.max_pixels)
    metadata = _metadata(image, kind, head, found)
    page = page_of(options.frame, metadata.get("frames", 1), file, steps, notes)
    if page > 1:
        image.seek(page - 1)
    image.load()
    image = _upright(image, steps)
    if kind == "PNG":
        _lost(head, notes)
    if kind == "JPEG2000" and found is not None:
        image = _unshifted(image, found, notes)
    pixels = _grey(image, steps, notes, options, found)
    return Radiograph(np.clip(pixels, 0, 1), transforms=tuple(steps), metadata=metadata, notes=tuple(notes))


def from_picture(picture: Image.Image, *, image_id: str = "array") -> Radiograph:
    """A film from an image of PIL's, read as its file would be: orientation, palette and transparency are followed.

    Raises:
        ImageError: values that are no grey levels, floats of no file outside [0, 1], or an uncompressed TIFF on its
            side, which PIL jumbles.
    """
    if picture.mode == "F" and not picture.format:  # made from an array
        return from_array(np.asarray(picture), image_id=image_id)
    steps: list[str] = []
    notes: list[str] = []
    if picture.info.get("compression") == "raw" and picture.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9):
        raise ImageError("an uncompressed TIFF that lies on its side, whose rows PIL jumbles: give its file's path.")
    try:
        pixels = _grey(_upright(picture, steps), steps, notes, reading(), None)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"a PIL image of mode {picture.mode} that cannot be read ({error}).") from error
    metadata = {"format": picture.format or "array"}
    return Radiograph(
        np.clip(pixels, 0, 1), image_id, source="array", transforms=tuple(steps), metadata=metadata, notes=tuple(notes)
    )


def _upright(image: Image.Image, steps: list[str]) -> Image.Image:
    orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1) or 1)
    if orientation not in range(2, 9):
        return image
    steps.append(f"EXIF orientation {orientation} applied")
    return ImageOps.exif_transpose(image)


def page_of(asked: int | None, pages: int, file: Path, steps: list[str], notes: list[str]) -> int:
    """Which page (from 1) is read; the first unless asked, which is noted.

    Raises:
        ImageError: it has fewer.
    """
    if asked is not None and asked > pages:
        raise ImageError(f"{file}: frame {asked} was asked for; it has {pages}.")
    if pages > 1 and asked is None:
        steps.append("first frame taken")
        notes.append(f"it has {pages} frames or pages, of which the first is read (--frame chooses)")
    elif pages > 1:
        steps.append(f"frame {asked} of {pages}")
    return asked or 1


def _refuse_rare(found: Codestream, file: Path) -> None:
    if found.kind == "ls" or found.kind == "lossless" or (found.kind == "dct" and found.bits != 8):
        raise ImageError(f"{file}: {found.words}, which is read within DICOM only; save it as PNG or TIFF.")


def _metadata(image: Image.Image, kind: str, head: bytes, found: Codestream | None) -> dict[str, Any]:
    width, height = image.size
    told: dict[str, Any] = {"format": kind, "mode": image.mode, "width": width, "height": height}
    told["bits"] = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}.get(image.mode, 8)
    if kind == "PNG" and len(head) > 25:
        told["bits"] = head[24]
    elif found is not None:
        told["bits"] = found.bits
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        told["frames"] = frames
    tables = getattr(image, "quantization", None)
    if kind == "JPEG" and tables:
        told["jpeg_tables"] = hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()[:12]
    return told


def _lost(head: bytes, notes: list[str]) -> None:
    """What is lost of a PNG whose colours or transparency have 16 bits: they are read in 8."""
    bits, colour = head[24], head[25]
    if bits == 16 and colour not in (0,):
        notes.append(f"16-bit {_PNG_COLOURS.get(colour, 'colour')} PNG read in 8 bits")
    elif bits == 16 and b"tRNS" in head:
        notes.append("16-bit PNG with a transparent grey read in 8 bits")


def _unshifted(image: Image.Image, found: Codestream, notes: list[str]) -> Image.Image:
    """JPEG 2000 of less than 8 bits, which PIL shifts up, over the whole range; and what is lost of others."""
    if found.signed:
        notes.append("JPEG 2000 of signed values: the lowest that there may be is black")
    if found.bits > 8 and not image.mode.startswith("I"):
        notes.append(f"{found.bits}-bit JPEG 2000 read in 8 bits")
    if found.bits >= 8 or image.mode not in ("L", "RGB", "P"):
        return image
    stored = np.asarray(image) >> (8 - found.bits)
    if image.mode == "P":
        indexed = Image.fromarray(stored)
        indexed.putpalette(image.getpalette() or [])
        return indexed
    return Image.fromarray(np.rint(stored * (255 / (2**found.bits - 1))).astype(np.uint8))


def _grey(
    image: Image.Image, steps: list[str], notes: list[str], options: ReadOptions, found: Codestream | None
) -> NDArray[np.float32]:
    if image.mode in ("La", "LAB", "HSV"):  # which PIL turns into no others
        image = image.convert("LA" if image.mode == "La" else "RGB")
    mode = image.mode
    clear = mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if mode in ("I;16", "I;16B", "I;16L", "I", "F") and not clear:
        values = np.asarray(image)
        if found is not None and 8 < found.bits < 16:  # PIL shifts JPEG 2000 up to 16 bit
            values = values >> (16 - found.bits)
        bits = found.bits if found is not None else 16 if mode != "F" else None
        values = values if mode == "F" or int(values.min()) < 0 else values.astype(np.uint16, copy=False)
        return scaled(values, steps, notes, bits=bits, range=options.range)
    if clear:
        if mode in ("I;16", "I"):  # a transparent grey of 16 bits, which PIL would cut at 255
            image = Image.fromarray((np.asarray(image, np.uint16) >> 8).astype(np.uint8))
            steps.append("16 bit to 8")
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
        steps.append("transparency laid over black")
        if darker := float((np.asarray(image) < np.asarray(rgba)[..., :3]).any(2).mean()):
            notes.append(
                f"transparent pixels are shown over black, and so darker than stored ({darker:.0%} of the film)"
            )
    if image.mode == "P":
        image = image.convert("RGB")
        steps.append("palette looked up")
    if image.mode not in ("1", "L"):
        steps.append(f"{mode} to grey by luminance")
    return scaled(np.asarray(image.convert("L")), steps, notes, range=options.range)


def from_array(
    array: NDArray[Any],
    *,
    image_id: str = "array",
    patient_id: str | None = None,
    spacing: tuple[float, float] | None = None,
) -> Radiograph:
    """Make a radiograph from an array.

    Args:
        array: (H, W), or (H, W, 3) or (H, W, 4) colour, the fourth channel its opacity; bool, uint8 (0–255), uint16
            (0–65535) or float in [0, 1].

    Raises:
        ImageError: another shape or type, or floats outside [0, 1].

    >>> from_array(np.full((2, 3), 255, np.uint8)).pixels.max()
    np.float32(1.0)
    """
    expect(array, np.ndarray, "array", "a NumPy array; rl.read(path) reads a file")
    scale = {"bool": 1, "uint8": 255, "uint16": 65535}.get(array.dtype.name)
    if scale is None and array.dtype.kind != "f":
        raise ImageError(f"array of type {array.dtype}; expected bool, uint8, uint16 or float in [0, 1].")
    pixels = array.astype(np.float32) / np.float32(scale or 1)
    steps = [f"{array.dtype} scaled by {scale}"] if scale and scale > 1 else []
    notes: list[str] = []
    if scale == 65535 and pixels.size and (said := unused_depth(array, 16)):
        notes.append(
            f"hardly any value is above {said[0]}, which lies below a quarter of 16 bit: if these are {said[1]}-bit "
            f"data, divide them by {2 ** said[1] - 1} first"
        )
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        opaque = pixels[..., 3:]
        pixels = luminance(pixels)
        steps.append("colour to grey by luminance")
        if opaque.size and float(opaque.min()) < 1:
            pixels = pixels * opaque[..., 0]
            steps.append("transparency laid over black")
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ImageError(f"array of shape {array.shape}; expected (H, W), (H, W, 3) or (H, W, 4).")
    if not (float(pixels.min()) >= 0 and float(pixels.max()) <= 1 + 1e-5):
        raise ImageError(f"array ranges over [{pixels.min()}, {pixels.max()}]; expected [0, 1]: scale it first.")
    return Radiograph(
        np.clip(pixels, 0, 1), image_id, patient_id, spacing, "array", tuple(steps), {"format": "array"}, tuple(notes)
    )
