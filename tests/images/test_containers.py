"""The same film in every container and depth gives the same grey levels; what differs is said."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some
from PIL import Image
from pydicom.encaps import get_frame

from radiolucent.errors import ConfigError, ImageError
from radiolucent.images import ReadOptions, read, read_with, reading
from radiolucent.types import Radiograph
from support.odd_films import dicom, films, mha, nifti, npy, nrrd, raster, recoded, tiff, zipped

RLE = "1.2.840.10008.1.2.5"
RAMP = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
GREY = RAMP / 65535


def film(folder: Path, content: bytes, name: str = "film", **options: Any) -> Radiograph:
    (folder / name).write_bytes(content)
    return read(folder / name, options=ReadOptions(**options))


def noted(found: Radiograph, *words: str) -> bool:
    return any(all(w in text for w in words) for text in (*found.notes, *found.transforms))


def depths(grey: np.ndarray) -> dict[str, bytes]:
    """Grey levels in [0, 1] in 8 to 16 bits, in DICOM, PNG, TIFF and arrays."""
    eight, twelve, deep = (np.rint(grey * top).astype(t) for top, t in ((255, "u1"), (4095, "u2"), (65535, "u2")))
    inverse = {"PhotometricInterpretation": "MONOCHROME1"}
    return {
        "dicom8": dicom(eight, bits=8), "dicom12": dicom(twelve), "dicom16": dicom(deep, bits=16),
        "dicom12 signed": dicom((twelve.astype(int) - 2048).astype(np.int16)),
        "dicom12 inverse": dicom(4095 - twelve, **inverse), "dicom16 inverse": dicom(65535 - deep, bits=16, **inverse),
        "dicom12 identity": dicom(twelve, RescaleSlope=1, RescaleIntercept=0, ModalityLUTSequence=[]),
        "dicom12 rescaled": dicom(twelve, RescaleSlope=2, RescaleIntercept=-100),
        "dicom12 window": dicom(twelve, WindowCenter=2048, WindowWidth=4096),
        "png8": raster(eight, "PNG"), "png16": raster(deep, "PNG"), "bmp": raster(eight, "BMP"),
        "tiff8": tiff(eight), "tiff16": tiff(deep), "tiff16 big": tiff(deep, byteorder=">"),
        "tiff16 white": tiff(65535 - deep, photometric="miniswhite"), "tiff float": tiff(grey.astype(np.float32)),
        "npy16": npy(deep), "nrrd16": nrrd(deep), "mha8": mha(eight, kind="MET_UCHAR"),
        "nifti16": nifti(deep),
    } | {
        name: content for bits in (10, 12, 14, 15) for name, content in of_bits(grey, bits, inverse).items()
    }  # fmt: skip


def of_bits(grey: np.ndarray, bits: int, inverse: dict[str, str]) -> dict[str, bytes]:
    values = np.rint(grey * (2**bits - 1)).astype(np.uint16)
    signed = (values.astype(int) - 2 ** (bits - 1)).astype(np.int16)
    return {
        f"dicom{bits}": dicom(values, bits=bits), f"dicom{bits} signed": dicom(signed, bits=bits),
        f"dicom{bits} inverse": dicom(-1 - signed, bits=bits, **inverse), f"tiff{bits}": packed(values, bits),
        f"dicom{bits} rle": recoded(dicom(signed, bits=bits), RLE),
    }  # fmt: skip


def packed(values: np.ndarray, count: int) -> bytes:
    """A TIFF of so many bits a sample, packed, which tifffile does not write by itself."""
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(*values.shape, 2), axis=2)[..., 16 - count :]
    rows = np.packbits(bits.reshape(len(values), -1), axis=1)
    stream = io.BytesIO()
    tifffile.imwrite(stream, rows, photometric="minisblack", metadata=None)
    content = bytearray(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as pages:
        tags = pages.pages[0].tags
        for code, value in ((256, values.shape[1]), (258, count)):
            at = tags[code].valueoffset
            content[at : at + 2] = value.to_bytes(2, "little")
    return bytes(content)


@given(
    grey=some.arrays(
        np.float64, some.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.floats(0, 1)
    )
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_film_gives_the_same_pixels_in_every_container_and_depth(tmp_path: Path, grey: np.ndarray) -> None:
    for name, content in depths(grey).items():
        found = film(tmp_path, content)
        tolerance = 0.502 / (255 if "8" in name or name == "bmp" else 1023 if "10" in name else 4095)
        np.testing.assert_allclose(found.pixels, grey, atol=tolerance, err_msg=name)
        assert (found.metadata["width"], found.metadata["height"]) == grey.shape[::-1]


def test_every_kind_of_file_holds_the_same_film(tmp_path: Path) -> None:
    made = {name: film(tmp_path, content) for name, content in films().items()}
    for name, found in made.items():
        np.testing.assert_allclose(found.pixels, made["dicom16"].pixels, atol=0.0021, err_msg=name)


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int32, np.float32, np.float64])
def test_one_hot_pixel_leaves_its_contrast_to_a_film_scaled_by_its_values(tmp_path: Path, dtype: type) -> None:
    values = np.linspace(-300, 900, 40 * 50).reshape(40, 50)
    values = (values + 100_000 if dtype == np.uint32 else values).astype(dtype)
    cold = film(tmp_path, tiff(values)).pixels
    values[3, 3] = 30_000 if dtype == np.int16 else 100_000_000
    found = film(tmp_path, tiff(values))
    np.testing.assert_allclose(np.delete(found.pixels, 3, 0), np.delete(cold, 3, 0), atol=1e-6)
    assert found.pixels[3, 3] == 1 and noted(found, "clipped")


@pytest.mark.parametrize("make", [lambda a: raster(a, "PNG"), tiff, npy])
def test_twelve_bit_data_in_a_sixteen_bit_file_are_noted_and_may_be_declared(tmp_path: Path, make: Any) -> None:
    content = make(RAMP >> 4)
    found = film(tmp_path, content)
    np.testing.assert_allclose(found.pixels, (RAMP >> 4) / 65535, atol=1e-6)
    assert noted(found, "below a quarter of 16 bit", "--range 0,4095")
    hot = RAMP >> 4
    hot[3, 3] = 65535
    assert noted(film(tmp_path, make(hot)), "below a quarter of 16 bit")
    told = film(tmp_path, content, range=(0, 4095))
    np.testing.assert_allclose(told.pixels, (RAMP >> 4) / 4095, atol=1e-6)
    assert not film(tmp_path, make(RAMP)).notes


# --- TIFF by its tags ----------------------------------------------------------------------------------------------


def grey_of(rgb: np.ndarray, top: int) -> np.ndarray:
    return rgb @ [0.299, 0.587, 0.114] / top


def test_white_is_zero_is_inverted_in_every_depth(tmp_path: Path) -> None:
    for values, top in ((RAMP, 65535), ((RAMP >> 8).astype(np.uint8), 255), (RAMP > 30000, 1)):
        found = film(tmp_path, tiff(values, photometric="miniswhite"))
        np.testing.assert_allclose(found.pixels, 1 - values / top, atol=1e-6)
        assert noted(found, "white is zero, inverted")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_is_one_grey_however_its_planes_lie(tmp_path: Path, planar: str, dtype: type) -> None:
    top = np.iinfo(dtype).max
    rgb = np.random.default_rng(0).integers(0, top, (30, 40, 3)).astype(dtype)
    data = rgb if planar == "contig" else np.ascontiguousarray(rgb.transpose(2, 0, 1))
    found = film(tmp_path, tiff(data, photometric="rgb", planarconfig=planar))
    np.testing.assert_allclose(found.pixels, grey_of(rgb, top), atol=1e-5)
    assert (found.metadata["mode"], found.metadata["bits"]) == ("RGB", 8 * np.dtype(dtype).itemsize)


def test_signed_and_wide_integers_do_not_wrap(tmp_path: Path) -> None:
    signed = np.linspace(-128, 127, 2000).reshape(40, 50).astype(np.int8)
    np.testing.assert_allclose(film(tmp_path, tiff(signed)).pixels, (signed + 128.0) / 255, atol=1e-6)
    wide = np.linspace(0, 2**32 - 1, 2000).reshape(40, 50).astype(np.uint32)
    np.testing.assert_allclose(film(tmp_path, tiff(wide)).pixels, wide / (2**32 - 1), atol=1e-6)


@pytest.mark.parametrize("options", [{"rowsperstrip": 7}, {"tile": (16, 32)}, {"byteorder": ">"}, {"bigtiff": True}])
@pytest.mark.parametrize("coded", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.uint8])
def test_strips_tiles_orders_and_predictors_give_what_tifffile_gives(
    tmp_path: Path, options: dict[str, Any], coded: dict[str, Any], dtype: type
) -> None:
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    values = (GREY * top).astype(dtype)
    if dtype == np.float32:
        coded = {k: v for k, v in coded.items() if k != "predictor"}  # tifffile has none for floats; see below
    content = tiff(values, **options, **coded)
    theirs = tifffile.imread(io.BytesIO(content))
    np.testing.assert_allclose(film(tmp_path, content).pixels, theirs / top, atol=1e-6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", "group3", "group4"])
def test_compressions_are_read_as_pil_reads_them(tmp_path: Path, compression: str) -> None:
    grey = (RAMP >> 8).astype(np.uint8)
    image = Image.fromarray(grey > 100) if compression.startswith("group") else Image.fromarray(grey)
    image.save(tmp_path / "a.tif", compression=compression)
    expected = np.asarray(Image.open(tmp_path / "a.tif"), np.float32) / (1 if compression.startswith("group") else 255)
    np.testing.assert_allclose(read(tmp_path / "a.tif").pixels, expected, atol=1e-6)
    if compression in ("tiff_lzw", "packbits"):
        Image.fromarray(RAMP).save(tmp_path / "deep.tif", compression=compression)
        np.testing.assert_allclose(read(tmp_path / "deep.tif").pixels, GREY, atol=1e-6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize(("predictor", "values"), [(2, RAMP), (2, GREY.astype("f4")), (3, GREY.astype("f4"))])
def test_differences_of_samples_are_summed(
    tmp_path: Path, compression: str, predictor: int, values: np.ndarray
) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif", compression=compression, tiffinfo={317: predictor})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].aspage().predictor == predictor
    np.testing.assert_allclose(read(tmp_path / "a.tif").pixels, GREY, atol=1e-6)


def test_bits_may_run_backwards_in_any_compression(tmp_path: Path) -> None:
    black = RAMP > 30000
    for compression in ("raw", "tiff_adobe_deflate", "tiff_lzw", "group4"):
        Image.fromarray(black).save(tmp_path / "a.tif", compression=compression, tiffinfo={266: 2})
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            assert file.pages[0].aspage().fillorder == 2
        with Image.open(tmp_path / "a.tif") as theirs:
            np.testing.assert_array_equal(read(tmp_path / "a.tif").pixels, np.asarray(theirs))


def test_cmyk_by_jpeg_is_not_inverted_and_ycbcr_with_less_colour_is_refused(tmp_path: Path) -> None:
    grey = (RAMP >> 8).astype(np.uint8)
    inks = Image.fromarray(np.dstack([grey] * 3)).convert("CMYK")
    inks.save(tmp_path / "a.tif", compression="jpeg", quality=95)
    np.testing.assert_allclose(read(tmp_path / "a.tif").pixels, grey / 255, atol=0.05)
    content = bytearray(tiff(np.dstack([grey] * 3), photometric="rgb"))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        tags = file.pages[0].aspage().tags
        photometric, counts = tags[262].valueoffset, tags[279].valueoffset
    content[photometric] = 6
    content[counts : counts + 4] = (40 * 50 * 3 // 2).to_bytes(4, "little")
    with pytest.raises(ImageError, match="YCbCr with fewer samples of colour"):
        film(tmp_path, bytes(content))


def test_a_volume_in_a_page_is_refused(tmp_path: Path) -> None:
    content = tiff(np.stack([RAMP, RAMP]), volumetric=True, tile=(1, 16, 16))
    with pytest.raises(ImageError, match="a volume of 2 slices"):
        film(tmp_path, content)


@pytest.mark.parametrize("bits", [2, 4, 7, 12, 15])
@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_2000_of_any_depth(tmp_path: Path, bits: int, signed: bool) -> None:
    top = 2**bits - 1
    values = np.rint(GREY * top).astype("u1" if bits <= 8 else "u2")
    stored = (values.astype(int) - 2 ** (bits - 1)).astype(values.dtype.str.replace("u", "i")) if signed else values
    made = pydicom.dcmread(io.BytesIO(recoded(dicom(stored, bits=bits), "1.2.840.10008.1.2.4.90")))
    found = film(tmp_path, get_frame(made.PixelData, 0, number_of_frames=1))
    np.testing.assert_allclose(found.pixels, values / top, atol=2e-3)
    assert noted(found, "signed") == signed


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_size_means_the_stored_one(tmp_path: Path, orientation: int) -> None:
    grey = (RAMP >> 8).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    png = film(tmp_path, raster(grey, "PNG", exif=exif))
    found = film(tmp_path, tiff(grey, extratags=[(274, 3, 1, orientation, True)]))
    np.testing.assert_array_equal(found.pixels, png.pixels)
    assert noted(found, f"TIFF orientation {orientation} applied") == (orientation > 1)
    for one in (found, png):
        assert (one.metadata["width"], one.metadata["height"]) == (50, 40)


def test_alpha_palettes_and_further_samples(tmp_path: Path) -> None:
    grey = (RAMP >> 8).astype(np.uint8)
    index = np.random.default_rng(3).integers(0, 256, (20, 30), np.uint8)
    table = np.random.default_rng(4).integers(0, 65536, (3, 256), np.uint16)
    found = film(tmp_path, tiff(index, photometric="palette", colormap=table))
    np.testing.assert_allclose(found.pixels, grey_of(table.T, 65535)[index], atol=1e-5)
    half = np.dstack([grey, np.full_like(grey, 51)])
    clear = film(tmp_path, tiff(half, extrasamples=["unassalpha"], planarconfig="contig"))
    np.testing.assert_allclose(clear.pixels, grey / 255 / 5, atol=1e-5)
    other = film(tmp_path, tiff(half, extrasamples=["unspecified"], planarconfig="contig"))
    np.testing.assert_allclose(other.pixels, grey / 255, atol=1e-6)
    assert noted(other, "further sample")


def test_a_broken_second_page_does_not_matter(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for _ in range(2):
            writer.write(RAMP, photometric="minisblack", metadata=None)
    content = bytearray(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as pages:
        at = pages.pages[1].aspage().tags[256].offset
    content[at : at + 2] = (65000).to_bytes(2, "little")  # no ImageWidth
    found = film(tmp_path, bytes(content))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    with pytest.raises(ImageError, match=r"film: .*"):
        film(tmp_path, bytes(content), frame=2)


@pytest.mark.parametrize("make", [lambda: tiff(RAMP)[:-900], lambda: tiff(RAMP, compression="zlib")[:-40]])
def test_a_tiff_cut_short_says_so(tmp_path: Path, make: Any) -> None:
    with pytest.raises(ImageError, match=r"cut off|truncated"):
        film(tmp_path, make())


# --- frames, and more containers -----------------------------------------------------------------------------------


def pages(*arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for array in arrays:
            writer.write(array, photometric="minisblack", metadata=None)
    return stream.getvalue()


def test_a_frame_is_chosen_and_never_silently_guessed(tmp_path: Path) -> None:
    other = RAMP[::-1]
    stack = dicom(np.stack([RAMP, other]), bits=16, NumberOfFrames=2, Rows=40, Columns=50)
    for content in (stack, pages(RAMP, other), npy(np.stack([RAMP, other]))):
        for number, expected in ((1, RAMP), (2, other)):
            found = film(tmp_path, content, frame=number)
            np.testing.assert_allclose(found.pixels, expected / 65535, atol=1e-6)
        with pytest.raises(ImageError, match="frame 3 was asked for; it has 2"):
            film(tmp_path, content, frame=3)
    for content, words in ((stack, "DICOM with 2 frames"), (npy(np.stack([RAMP, other])), "volume of 2 slices")):
        with pytest.raises(ImageError, match=rf"{words}.*--frame 1 to 2"):
            film(tmp_path, content)
    first = film(tmp_path, pages(RAMP, other))
    assert "first frame taken" in first.transforms and noted(first, "2 frames or pages")


def test_sixteen_bit_colour_and_alpha_pngs_say_what_is_lost(tmp_path: Path) -> None:
    import zlib

    def png(colour: int, samples: np.ndarray, extra: bytes = b"") -> bytes:
        height, width = samples.shape[:2]
        rows = b"".join(b"\0" + r.astype(">u2").tobytes() for r in samples)
        head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, colour, 0, 0, 0])
        made = b"\x89PNG\r\n\x1a\n"
        chunks = {b"IHDR": head, b"tRNS": extra, b"IDAT": zlib.compress(rows), b"IEND": b""}
        for kind, data in chunks.items():
            if kind == b"tRNS" and not data:
                continue
            made += len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        return made

    rgb = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]])
    found = film(tmp_path, png(2, rgb))
    np.testing.assert_allclose(found.pixels, grey_of(rgb, 65535), atol=0.01)
    assert noted(found, "16-bit RGB PNG read in 8 bits") and found.metadata["bits"] == 16
    alpha = np.dstack([RAMP, np.full_like(RAMP, 65535)])
    assert noted(film(tmp_path, png(4, alpha)), "16-bit grey with alpha PNG read in 8 bits")
    clear = film(tmp_path, png(0, RAMP, b"\0\0"))
    assert noted(clear, "transparent grey")
    np.testing.assert_allclose(clear.pixels, GREY, atol=0.01)


def test_nifti_lies_as_its_header_says(tmp_path: Path) -> None:
    plain = film(tmp_path, nifti(RAMP))
    np.testing.assert_allclose(plain.pixels, GREY, atol=1e-6)
    assert plain.spacing == pytest.approx((0.1, 0.2))
    turned = film(tmp_path, nifti(RAMP, affine=(0.2, 0.1)))
    np.testing.assert_allclose(turned.pixels, GREY[::-1, ::-1], atol=1e-6)
    assert noted(turned, "rows turned over") and noted(turned, "columns turned over")
    assert noted(film(tmp_path, nifti(RAMP, affine=None)), "does not say how the film lies")
    import gzip

    np.testing.assert_allclose(film(tmp_path, gzip.compress(nifti(RAMP)), "a.nii.gz").pixels, GREY, atol=1e-6)


@pytest.mark.parametrize(
    ("space", "right", "up"),
    [
        ("left-posterior-superior", "-0.1,0,0", "0,0,0.2"),
        ("RAS", "0.1,0,0", "0,0.2,0"),
        ("LAS", "-0.1,0,0", "0,0.2,0"),
    ],
)
def test_nrrd_and_metaimage_lie_as_their_headers_say(tmp_path: Path, space: str, right: str, up: str) -> None:
    deep = {"dimension": "3", "sizes": "50 40 1", "space": space}
    turned = film(tmp_path, nrrd(RAMP, **deep, **{"space directions": f"({right}) ({up}) none"}))
    np.testing.assert_allclose(turned.pixels, GREY[::-1, ::-1], atol=1e-6)
    assert noted(turned, "rows turned over") and noted(turned, "columns turned over")
    content = nrrd(RAMP, **deep, **{"space directions": "(0.1,0,0) (0,0,0.2) none"}).replace(
        b"spacings: 0.1 0.2\n", b""
    )
    assert film(tmp_path, content).spacing == pytest.approx((0.2, 0.1))
    plain = mha(RAMP).replace(b"NDims = 2", b"NDims = 3").replace(b"50 40", b"50 40 1")
    for matrix, expected in (("1 0 0 0 1 0 0 0 1", GREY), ("-1 0 0 0 0 1 0 1 0", GREY[::-1, ::-1])):
        content = plain.replace(b"ElementType", f"TransformMatrix = {matrix}\nElementType".encode())
        np.testing.assert_allclose(film(tmp_path, content).pixels, expected, atol=1e-6)


def test_research_containers_are_read_or_refused_by_name(tmp_path: Path) -> None:
    for content in (nrrd(RAMP), nrrd(RAMP, encoding="gzip"), mha(RAMP), mha(RAMP, packed=True)):
        found = film(tmp_path, content)
        np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
        assert found.spacing == (0.2, 0.1)
    refused = {
        "another file": nrrd(RAMP, **{"data file": "x.raw"}), "encoding 'bzip2'": nrrd(RAMP, encoding="bzip2"),
        "data cut off": mha(RAMP)[:-50], "of type": nrrd(RAMP, kind="block"), "whole numbers": nrrd(RAMP, sizes="-3 4"),
        "Python objects": npy(np.array([[None, 1]])), "two dimensions": npy(np.zeros(7)), "complex": npy(RAMP * 1j),
    }  # fmt: skip
    for words, content in refused.items():
        with pytest.raises(ImageError, match=words):
            film(tmp_path, content)


def test_archives_with_one_film_are_unpacked_and_others_named(tmp_path: Path) -> None:
    one = film(tmp_path, zipped(film__dcm=dicom(RAMP >> 4), notes__txt=b"hello", DICOMDIR=b"x" * 300))
    assert noted(one, "ZIP archive, where it is film.dcm") and one.metadata["format"] == "DICOM"
    with pytest.raises(ImageError, match=r"2 films \(a\.png, b\.png\); unpack it"):
        film(tmp_path, zipped(a__png=raster(RAMP, "PNG"), b__png=raster(RAMP, "PNG")))
    with pytest.raises(ImageError, match="with no film"):
        film(tmp_path, zipped(a__txt=b"hello"))
    with pytest.raises(ImageError, match="no film"):
        film(tmp_path, zipped(a__zip=zipped(b__png=raster(RAMP, "PNG"))))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GIF89a" + bytes(50), "a GIF"), (b"\0\0\0\x1cftypheic" + bytes(50), "HEIC"), (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\xff\x0a" + bytes(50), "JPEG XL"), (b"\x89HDF\r\n", "HDF5"), (b"P5 3 3 255\n" + bytes(9), "graymap"),
        (b"\x80\x04\x95" + bytes(50), "pickle"), (bytes(4096), "all zeros"), (b"SIMPLE  =   T", "FITS"),
    ],
)  # fmt: skip
def test_every_other_format_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=rf"film: is .*{words}.*expected JPEG"):
        film(tmp_path, content)


def test_options_hold_within_their_block_alone(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(pages(RAMP, RAMP[::-1]))
    with read_with(ReadOptions(frame=2)):
        np.testing.assert_allclose(read(tmp_path / "a.tif").pixels, RAMP[::-1] / 65535, atol=1e-6)
    assert reading() == ReadOptions()
    for wrong in ({"frame": 0}, {"window": "wide"}, {"window": "5/0"}, {"range": (3, 3)}, {"window": "0"}):
        with pytest.raises(ConfigError):
            ReadOptions(**wrong)


HALF = float(np.float32(0.5**0.5))


@pytest.mark.parametrize(
    ("quaternion", "across", "down", "says"),
    [
        ((0, -HALF, HALF), 1, 1, ""),
        ((0, HALF, HALF), 1, -1, "rows turned over"),
        ((HALF, 0, 0), -1, -1, "rows turned over"),
        ((float(np.sin(np.pi / 8)), 0, 0), 1, 1, "obliquely"),  # rows half to the front, half to the head
        ((0.5, 0.5, 0.5), 1, 1, "seen from the side"),
    ],
)
def test_a_quaternion_says_how_a_nifti_lies(tmp_path: Path, quaternion: Any, across: int, down: int, says: str) -> None:
    content = bytearray(nifti(RAMP, affine=None))
    content[252:254] = (1).to_bytes(2, "little")
    content[256:268] = np.array(quaternion, "<f4").tobytes()
    found = film(tmp_path, bytes(content))
    np.testing.assert_allclose(found.pixels, GREY[::down, ::across], atol=1e-6)
    assert noted(found, says) if says else not noted(found, "turned over")


def axes(across: tuple[int, int, int], down: tuple[int, int, int], stored: np.ndarray, *, middle: bool) -> bytes:
    """A NIfTI of one slice by its specification: where its first and second axis run (right, front, head)."""
    content = bytearray(nifti(stored, affine=(0.2, 0.1)))
    rows = np.array([across, (0, 1, 0), down] if middle else [across, down, (0, 1, 0)], float).T
    content[280:328] = np.hstack([rows * (0.2, 0.1, 1), np.zeros((3, 1))]).astype("<f4").tobytes()
    if middle:  # the empty axis stands between
        height, width = stored.shape
        content[40:48] = np.array([3, width, 1, height], "<i2").tobytes()
        content[76:92] = np.array([1, 0.2, 9, 0.1], "<f4").tobytes()
    return bytes(content)


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize("down", [1, -1])
@pytest.mark.parametrize("across", [1, -1])
def test_a_film_stands_upright_however_its_axes_are_stored(
    tmp_path: Path, across: int, down: int, exchanged: bool, middle: bool
) -> None:
    stored = RAMP[::-down, ::-across]  # 1: to the right, or to the head
    right, head = (across, 0, 0), (0, 0, down)
    content = axes(head, right, stored.T, middle=middle) if exchanged else axes(right, head, stored, middle=middle)
    found = film(tmp_path, content)
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert found.spacing == pytest.approx((0.2, 0.1) if exchanged else (0.1, 0.2))
    space = {"space": "right-anterior-superior", "dimension": "3", "spacings": "0.2 1 0.1"}
    named = {"space directions": f"({across},0,0) (0,1,0) (0,0,{down})", "sizes": f"{RAMP.shape[1]} 1 {RAMP.shape[0]}"}
    found = film(tmp_path, nrrd(stored, **space, **named))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert found.spacing == pytest.approx((0.1, 0.2))


def test_data_that_do_not_begin_behind_the_header_are_refused_by_name(tmp_path: Path) -> None:
    refused = {
        r"as text \(BinaryData = False\)": mha(RAMP).replace(b"BinaryData = True", b"BinaryData = False"),
        "HeaderSize 16": mha(RAMP).replace(b"BinaryData = True", b"BinaryData = True\nHeaderSize = 16"),
        "byte skip 16": nrrd(RAMP, **{"byte skip": "16"}), "line skip 1": nrrd(RAMP, **{"line skip": "1"}),
    }  # fmt: skip
    for words, content in refused.items():
        with pytest.raises(ImageError, match=words):
            film(tmp_path, content)
    np.testing.assert_allclose(film(tmp_path, nrrd(RAMP, **{"byte skip": "0"})).pixels, GREY, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_array_with_alpha_lies_over_black(tmp_path: Path, dtype: type) -> None:
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    alpha = np.where(np.indices(GREY.shape)[0] < 8, 0, 1)
    found = film(tmp_path, npy((np.dstack([GREY, GREY, GREY, alpha]) * top).astype(dtype)))
    np.testing.assert_allclose(found.pixels, GREY * alpha, atol=0.005)
    assert noted(found, "transparency laid over black")


def test_a_jpeg_tiff_may_hold_rgb_without_saying_so_twice(tmp_path: Path) -> None:
    rgb = np.dstack([RAMP >> 8, RAMP[::-1] >> 8, np.full_like(RAMP, 99)]).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "TIFF", compression="jpeg")
    found = film(tmp_path, stream.getvalue())
    np.testing.assert_allclose(found.pixels, grey_of(rgb, 255), atol=0.05)
