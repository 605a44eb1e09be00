"""TIFF by its tags (tifffile reads them): what a sample is decides, not the mode that a library makes of it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ImageError
from radiolucent.images.budget import check_pixels
from radiolucent.images.options import ReadOptions
from radiolucent.images.raster import page_of
from radiolucent.images.scale import grey_of_colour, luminance, scaled
from radiolucent.images.tiff_segments import JPEG, Layout, read_segments
from radiolucent.types import Radiograph

__all__ = ["read_tiff", "tiff_stored"]

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what is odd about a file is told by us

_PHOTOMETRIC = {
    0: "white is zero", 1: "black is zero", 2: "RGB", 3: "palette", 4: "transparency mask", 5: "CMYK", 6: "YCbCr",
    8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "colour filter array", 34892: "linear raw",
}  # fmt: skip
FIRST = 20  # pages among which the first that is no reduced one is looked for
_SAMPLE_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
_MODES = {(1, "u"): "1", (8, "u"): "L", (16, "u"): "I;16", (32, "f"): "F"}


@dataclass(frozen=True)
class _Tags:
    """The tags of one page, by number where it matters."""

    width: int
    height: int
    bits: int
    kind: str
    compression: int
    photometric: int
    samples: int
    planar: bool
    predictor: int
    fill: int
    orientation: int
    extra: tuple[int, ...]

    @property
    def mode(self) -> str:
        """The mode in the words that are used for other raster files."""
        colours = {2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr"}
        return colours.get(self.photometric) or _MODES.get((self.bits, self.kind), f"{self.kind}{self.bits}")


def read_tiff(stream: BinaryIO, file: Path, options: ReadOptions) -> Radiograph:
    """Decode one page of a TIFF or BigTIFF; see `radiolucent.images.read`.

    Bits a sample (tag 258), photometric interpretation (262), orientation (274), planar configuration (284) and sample
    format (339) are followed.

    Raises:
        ImageError: damaged, over the limit, or a kind that is not read: it says which.
    """
    steps: list[str] = []
    notes: list[str] = []
    values, tags, tags_photometric, colours, count = _page(stream, file, options, steps, notes)
    pixels = _grey(values, tags, tags_photometric, colours, options, steps, notes, file)
    if tags.orientation != 1:
        pixels = _turned(pixels, tags.orientation)
        steps.append(f"TIFF orientation {tags.orientation} applied")
    metadata: dict[str, Any] = {
        "format": "TIFF", "mode": tags.mode, "width": tags.width, "height": tags.height, "bits": tags.bits,
    }  # fmt: skip
    if count > 1:
        metadata["frames"] = count
    return Radiograph(np.ascontiguousarray(pixels), transforms=tuple(steps), metadata=metadata, notes=tuple(notes))


def tiff_stored(stream: BinaryIO, file: Path, options: ReadOptions) -> tuple[NDArray[Any], bool, int] | None:
    """(stored values (H, W) as the film stands, whether high ones are dark, their depth) of grey alone; None of others.

    Raises:
        ImageError: as `read_tiff` does.
    """
    values, tags, photometric, _, _ = _page(stream, file, options, [], [])
    if photometric not in (0, 1) or tags.samples != 1:
        return None
    turned = np.ascontiguousarray(_turned(values[..., 0], tags.orientation))
    return turned, photometric == 0, tags.bits


def _page(
    stream: BinaryIO, file: Path, options: ReadOptions, steps: list[str], notes: list[str]
) -> tuple[NDArray[Any], _Tags, int, Any, int]:
    """(values (H, W, samples), tags, photometric interpretation, palette, pages in the file) of the page asked for."""
    import tifffile

    with tifffile.TiffFile(stream) as pages:
        count = len(pages.pages)
        if not count:
            raise ImageError(f"{file}: TIFF without a page; it is damaged, copy or download it again.")
        whole = _first_whole(pages.pages, count) if options.frame is None else 1
        number = whole if whole > 1 else page_of(options.frame, count, file, steps, notes)
        if whole > 1:
            steps.append(f"frame {whole} of {count}")
            notes.append(
                f"it has {count} pages, of which page {whole} is read: those before it are a film made smaller"
            )
        page: Any = pages.pages[number - 1].aspage()
        if page.imagedepth > 1:
            raise ImageError(f"{file}: TIFF of a volume of {page.imagedepth} slices (ImageDepth); save one slice.")
        tags = _tags(page, file, notes)
        limits = page.tags.valueof(532)
        if tags.photometric == 6 and limits and tuple(limits[:4]) not in ((0, 1, 255, 1), (0, 1, 2**tags.bits - 1, 1)):
            notes.append("TIFF with a ReferenceBlackWhite of its own, which is not applied")
        check_pixels(file, tags.height, tags.width, 1, options.max_pixels)
        values, tags_photometric = _values(stream, page, tags, "<" if pages.byteorder == "<" else ">", file)
        colours = page.tags.valueof(320) if tags.photometric == 3 else None
    return values, tags, tags_photometric, colours, count


def _first_whole(pages: Any, count: int) -> int:
    """The first page (from 1) that does not say that it is another made smaller (NewSubfileType, or SubfileType 2)."""
    for number in range(1, min(count, FIRST) + 1):
        tags = pages[number - 1].aspage().tags
        if not int(tags.valueof(254) or 0) & 1 and tags.valueof(255) != 2:
            return number
    return 1


def _tags(page: Any, file: Path, notes: list[str]) -> _Tags:
    def values(code: int, default: int) -> tuple[int, ...]:
        found = page.tags.valueof(code)
        many = found if isinstance(found, tuple) else (default if found is None else found,)
        return tuple(int(v) for v in many)

    def one(code: int, default: int, valid: range) -> int:
        found = values(code, default)[0]
        if found not in valid:
            notes.append(f"TIFF tag {code} is {found}, {default} taken")
            return default
        return found

    samples = one(277, 1, range(1, 6))
    bits, formats = set(values(258, 1)[:samples]), set(values(339, 1)[:samples])
    if len(bits) > 1 or len(formats) > 1:
        raise ImageError(f"{file}: TIFF whose samples differ in depth ({sorted(bits)}) or format; save it anew.")
    depth, form = bits.pop(), formats.pop()
    if form not in _SAMPLE_KINDS or depth not in ((16, 32, 64) if form == 3 else (*range(1, 17), 32, 64)):
        raise ImageError(f"{file}: TIFF of sample format {form} with {depth} bits, which is not read; save it anew.")
    if form == 4:
        notes.append("TIFF samples of undefined format, taken for unsigned integers")
    photometric = page.tags.valueof(262)
    if photometric is None:
        photometric = 2 if samples >= 3 else 1
        notes.append(f"TIFF without photometric interpretation, {_PHOTOMETRIC[photometric]} taken")
    return _Tags(
        int(page.imagewidth), int(page.imagelength), depth, _SAMPLE_KINDS[form], one(259, 1, range(1, 65536)),
        int(photometric), samples, one(284, 1, range(1, 3)) == 2 and samples > 1, one(317, 1, range(1, 4)),
        one(266, 1, range(1, 3)), one(274, 1, range(1, 9)), values(338, 0) if page.tags.get(338) else (),
    )  # fmt: skip


def _values(stream: BinaryIO, page: Any, tags: _Tags, order: Literal["<", ">"], file: Path) -> tuple[NDArray[Any], int]:
    """(values (H, W, samples), photometric interpretation of them, which JPEG may have changed)."""
    tiled = bool(page.is_tiled)
    layout = Layout(
        tags.width, tags.height, 1 if tags.planar else tags.samples, tags.samples if tags.planar else 1,
        int(page.tilewidth) if tiled else tags.width,
        int(page.tilelength) if tiled else min(int(page.rowsperstrip or tags.height), tags.height),
        tags.bits, tags.kind, order, tags.compression, tags.predictor, tags.fill, page.jpegtables or b"",
        int(page.tags.valueof(292) or 0), tags.photometric,
    )  # fmt: skip
    values = read_segments(stream, layout, list(page.dataoffsets), list(page.databytecounts), file)
    return values, 2 if tags.compression == JPEG and tags.photometric == 6 else tags.photometric


def _grey(
    values: NDArray[Any], tags: _Tags, photometric: int, colours: Any, options: ReadOptions,
    steps: list[str], notes: list[str], file: Path,
) -> NDArray[np.float32]:  # fmt: skip
    if photometric not in (0, 1, 2, 3, 5, 6) or (photometric == 6 and tags.samples < 3):
        name = _PHOTOMETRIC.get(photometric, f"photometric interpretation {photometric}")
        raise ImageError(f"{file}: TIFF of {name}, which is not read; save it as grey or RGB.")
    basic = {2: 3, 5: 4, 6: 3}.get(photometric, 1)
    if tags.samples < basic:
        raise ImageError(f"{file}: TIFF of {_PHOTOMETRIC[photometric]} with {tags.samples} samples; it is damaged.")
    if options.range is not None and photometric in (3, 5):
        notes.append(f"the range asked for is not applied to {_PHOTOMETRIC.get(photometric, 'a palette')}")
    if photometric == 3:
        grey = _palette(values[..., 0], colours, notes, file)
        steps.append("palette looked up")
    elif basic == 1:
        grey = scaled(values[..., 0], steps, notes, bits=tags.bits, range=options.range)
        if photometric == 0:
            grey = np.float32(1) - grey
            steps.append("white is zero, inverted")
    else:
        grey = _colour(values, photometric, tags.bits, options.range, steps, notes)
        steps.append(f"{_PHOTOMETRIC[photometric]} to grey by luminance")
    if tags.samples > basic:
        if tags.extra[:1] in ((1,), (2,)) and tags.kind == "u":
            grey = grey * (values[..., basic] / np.float32(2**tags.bits - 1)) if tags.extra[0] == 2 else grey
            steps.append("transparency laid over black")
        else:
            notes.append(f"{tags.samples - basic} further sample(s) a pixel, ignored")
    return grey.astype(np.float32)


def _colour(
    values: NDArray[Any], photometric: int, bits: int, range: tuple[float, float] | None,
    steps: list[str], notes: list[str],
) -> NDArray[np.float32]:  # fmt: skip
    if photometric == 5:
        inks = scaled(values[..., :4], steps, notes, bits=bits)
        return luminance((1 - inks[..., :3]) * (1 - inks[..., 3:4]))
    if photometric == 6:  # Y is the luminance
        return scaled(values[..., 0], steps, notes, range=range, bits=bits)
    return grey_of_colour(values[..., :3], steps, notes, range=range, bits=bits)


def _palette(index: NDArray[Any], colours: Any, notes: list[str], file: Path) -> NDArray[np.float32]:
    table = np.asarray(colours if colours is not None else [], np.float64)
    if table.size < 3 or table.size % 3 or index.dtype.kind != "u" or int(index.max()) >= table.size // 3:
        raise ImageError(f"{file}: TIFF whose palette is missing or too short; save it anew.")
    top = 65535.0
    if table.max() <= 255:
        top = 255.0
        notes.append("palette of 8 bits where 16 are declared")
    rgb = (table.reshape(3, -1).T / top).astype(np.float32)
    return luminance(rgb)[index]


def _turned(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    if orientation >= 5:
        pixels = pixels.T
    down, right = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}[
        orientation
    ]
    return pixels[::down, ::right]
