"""Reading by content, every format and every way to fail."""

import io
import struct
import zlib
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from radiolucent.data import load_dataset
from radiolucent.errors import ConfigError, DataError, ImageError
from radiolucent.images import as_film, as_films, from_array, read
from support.films import write_dicom

RAMP = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_grey_formats_are_exact_whatever_the_name(tmp_path: Path, kind: str) -> None:
    film = read(save(tmp_path / "film.xyz", Image.fromarray(RAMP), format=kind))
    np.testing.assert_allclose(film.pixels, RAMP / 255, atol=1e-7)
    assert film.metadata["format"] == kind and film.pixels.dtype == np.float32


def test_jpeg_is_close_and_its_tables_are_noted(tmp_path: Path) -> None:
    film = read(save(tmp_path / "a.jpg", Image.fromarray(RAMP), quality=95))
    assert np.abs(film.pixels - RAMP / 255).max() < 0.03
    other = read(save(tmp_path / "b.jpg", Image.fromarray(RAMP), quality=40))
    assert film.metadata["jpeg_tables"] != other.metadata["jpeg_tables"]


def test_sixteen_bit_png_keeps_its_depth(tmp_path: Path) -> None:
    deep = (RAMP.astype(np.uint16) * 257) - np.uint16(3) * (RAMP > 5)
    film = read(save(tmp_path / "deep.png", Image.fromarray(deep)))
    np.testing.assert_allclose(film.pixels, deep / 65535, atol=1e-6)
    assert film.metadata["bits"] == 16


def test_one_bit_palette_alpha_and_colour_become_grey(tmp_path: Path) -> None:
    bit = read(save(tmp_path / "bit.png", Image.fromarray(RAMP > 99)))
    assert set(np.unique(bit.pixels)) == {0.0, 1.0}
    rgb = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)
    grey = rgb.astype(float) @ [0.299, 0.587, 0.114] / 255
    colour = read(save(tmp_path / "rgb.png", Image.fromarray(rgb)))
    np.testing.assert_allclose(colour.pixels, grey, atol=0.003)
    assert colour.metadata["mode"] == "RGB" and "luminance" in colour.transforms[-1]
    palette = read(save(tmp_path / "p.png", Image.fromarray(RAMP).convert("P")))
    np.testing.assert_allclose(palette.pixels, RAMP / 255, atol=0.003)
    clear = np.dstack([rgb, np.zeros_like(RAMP)])
    assert read(save(tmp_path / "a.png", Image.fromarray(clear))).pixels.max() == 0
    cmyk = read(save(tmp_path / "c.jpg", Image.fromarray(rgb).convert("CMYK"), quality=95))
    assert cmyk.metadata["mode"] == "CMYK" and np.abs(cmyk.pixels - grey).mean() < 0.1


def test_exif_orientation_is_applied_and_recorded(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # turn a quarter clockwise
    film = read(save(tmp_path / "t.png", Image.fromarray(RAMP), exif=exif))
    np.testing.assert_allclose(film.pixels, np.rot90(RAMP, -1) / 255, atol=1e-7)
    assert film.transforms == ("EXIF orientation 6 applied",)


def truncated_png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(stream, "PNG")
    return stream.getvalue()[:-900]


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, I am a text", "not an image"),
        (b"%PDF-1.7", "PDF"),
        (b"GIF89a", "GIF"),
        (truncated_png(), "truncated"),
        (b"\xff\xd8\xff\xe0 rest is missing", "JPEG"),
        (bomb(), "PNG"),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.jpeg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=words) as error:
        read(path)
    assert str(path) in str(error.value)


def test_missing_files_and_folders_say_so(tmp_path: Path) -> None:
    for name, words in (("~/a.png", "whole path"), ("films/*.png", "pattern"), ("C:\\a.png", "parted by /")):
        with pytest.raises(ImageError, match=f"no such file; .*{words}"):
            read(name)
    with pytest.raises(ImageError, match="no such file"):
        read(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match="is a folder"):
        read(tmp_path)


def test_arrays_are_scaled_by_their_type() -> None:
    assert from_array(np.full((2, 2), 65535, np.uint16)).pixels.max() == 1
    with pytest.raises(ImageError, match=r"ranges over"):
        from_array(np.full((2, 2), 255.0))
    with pytest.raises(ImageError, match="shape"):
        from_array(np.zeros((2, 2, 7), np.uint8))
    with pytest.raises(ImageError, match="type"):
        from_array(np.zeros((2, 2), np.int64))


def odd_picture(kind: str) -> Image.Image:
    """A picture whose values alone do not say how it looks."""
    grey = Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) % 251).convert("L")
    clear = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1)))
    if kind == "P":
        found = grey.convert("P")
        found.info["transparency"] = 7
        return found
    if kind == "turned":
        found = grey
        found.getexif()[0x0112] = 6
        return found
    if kind == "I;16":
        return Image.fromarray(np.asarray(grey).astype(np.uint16) * 16)
    return Image.merge(kind, [*(grey,) * (len(kind) - 1), clear])


@pytest.mark.parametrize("kind", ["turned", "LA", "RGBA", "P", "I;16"])
def test_a_picture_is_read_as_its_file_is(tmp_path: Path, kind: str) -> None:
    picture = odd_picture(kind)
    picture.save(tmp_path / "a.png", exif=picture.getexif(), **{k: v for k, v in picture.info.items() if kind == "P"})
    for given in (picture, Image.open(tmp_path / "a.png")):
        found, read_ = as_film(given), read(tmp_path / "a.png")
        np.testing.assert_allclose(found.pixels, read_.pixels, atol=1e-6)
        assert bool(found.notes) == bool(read_.notes)


def test_a_tiff_on_its_side_opened_by_pil_is_turned_or_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(RAMP).save(tmp_path / "a.tif", exif=exif, compression="tiff_lzw")
    turned = as_film(Image.open(tmp_path / "a.tif"))
    np.testing.assert_allclose(turned.pixels, read(tmp_path / "a.tif").pixels, atol=1e-6)
    Image.fromarray(RAMP).save(tmp_path / "a.tif", exif=exif)
    with Image.open(tmp_path / "a.tif") as picture, pytest.raises(ImageError, match="give its file's path"):
        as_film(picture)


def test_arrays_and_tensors_say_what_they_are_not() -> None:
    deep = np.linspace(0, 4095, 2048).reshape(32, 64).astype(np.uint16)
    assert "12-bit data, divide them by 4095" in from_array(deep).notes[0]
    clear = np.dstack([np.full((2, 3, 3), 255, np.uint8), np.zeros((2, 3, 1), np.uint8)])
    assert from_array(clear).pixels.max() == 0
    np.testing.assert_allclose(as_film(torch.full((1, 2, 3), 0.5, dtype=torch.bfloat16)).pixels, 0.5)
    with pytest.raises(ConfigError, match=r"pydicom; give its file's path"):
        as_films(pydicom.Dataset())


DEEP = np.linspace(0, 4095, 48 * 64).reshape(48, 64).astype(np.uint16)


def test_dicom_carries_patient_spacing_and_steps(tmp_path: Path) -> None:
    write_dicom(tmp_path / "film", DEEP)
    film = read(tmp_path / "film")
    np.testing.assert_allclose(film.pixels, DEEP / 4095, atol=1e-6)
    assert (film.patient_id, film.spacing, film.metadata["format"]) == ("child-7", (0.2, 0.1), "DICOM")
    assert film.transforms


def test_monochrome1_is_inverted_and_the_window_applied(tmp_path: Path) -> None:
    write_dicom(tmp_path / "inverse.dcm", DEEP, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read(tmp_path / "inverse.dcm").pixels, 1 - DEEP / 4095, atol=1e-6)
    write_dicom(tmp_path / "window.dcm", DEEP, WindowCenter=2048, WindowWidth=1024)
    shown = read(tmp_path / "window.dcm").pixels
    expected = np.clip((DEEP - (2048 - 0.5)) / (1024 - 1) + 0.5, 0, 1)  # PS3.3 C.11.2.1.2
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    write_dicom(tmp_path / "rescale.dcm", DEEP, RescaleSlope=2, RescaleIntercept=-100)
    np.testing.assert_allclose(read(tmp_path / "rescale.dcm").pixels, DEEP / 4095, atol=1e-6)


def linear(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2, the standard's pseudo code with y from 0 to 1."""
    low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (x - (centre - 0.5)) / (width - 1) + 0.5
    return np.where(x <= low, 0, np.where(x > high, 1, between))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"WindowCenter": 6000, "WindowWidth": 8000}, linear(DEEP, 6000, 8000)),  # wider than the film: not stretched
        ({"WindowCenter": [1000, 3000], "WindowWidth": [500, 100]}, linear(DEEP, 1000, 500)),
        ({"WindowCenter": 2000, "WindowWidth": 1}, linear(DEEP, 2000, 1)),
        (
            {"WindowCenter": 0, "WindowWidth": 3000, "RescaleSlope": 2, "RescaleIntercept": -4000},
            linear(DEEP * 2.0 - 4000, 0, 3000),
        ),
        (
            {"WindowCenter": 3000, "WindowWidth": 4000, "VOILUTFunction": "LINEAR_EXACT"},
            np.clip((DEEP - 3000.0) / 4000 + 0.5, 0, 1),
        ),
        (
            {"WindowCenter": 3000, "WindowWidth": 2000, "VOILUTFunction": "SIGMOID"},
            1 / (1 + np.exp(-4 * (DEEP - 3000.0) / 2000)),
        ),
    ],
)
def test_the_window_is_applied_as_declared(tmp_path: Path, tags: dict[str, object], expected: np.ndarray) -> None:
    write_dicom(tmp_path / "w.dcm", DEEP, **tags)
    film = read(tmp_path / "w.dcm")
    np.testing.assert_allclose(film.pixels, expected, atol=1e-6)
    assert sum("window" in step for step in film.transforms) == 1 and not any("values [" in s for s in film.transforms)


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"WindowCenter": None, "WindowWidth": None}, None),
        ({"WindowCenter": 2000, "WindowWidth": 0}, "LINEAR window centre 2000, width 0 is not valid, ignored"),
    ],
)
def test_no_window_leaves_the_values_their_range(tmp_path: Path, tags: dict[str, object], says: str | None) -> None:
    write_dicom(tmp_path / "w.dcm", DEEP, **tags)
    film = read(tmp_path / "w.dcm")
    np.testing.assert_allclose(film.pixels, DEEP / 4095, atol=1e-6)
    assert [s for s in film.transforms if "window" in s] == ([says] if says else [])
    assert "values [0, 4095] of 12 bit scaled to [0, 1]" in film.transforms


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2",  # implicit little endian
        "1.2.840.10008.1.2.1.99",  # deflated
        "1.2.840.10008.1.2.5",  # RLE
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
        "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    ],
)
def test_lossless_transfer_syntaxes_give_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    path = tmp_path / "coded.dcm"
    made = write_dicom(path, DEEP)
    uid = UID(syntax)
    try:
        if uid.is_compressed and not uid.is_deflated:
            made.compress(uid)
        else:
            made.file_meta.TransferSyntaxUID = uid
    except (RuntimeError, ValueError, NotImplementedError) as error:
        pytest.skip(f"no encoder for {uid.name} here: {error}")
    made.save_as(path, enforce_file_format=True)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == uid
    np.testing.assert_allclose(read(path).pixels, DEEP / 4095, atol=1e-6)


def test_jpeg_baseline_dicom(tmp_path: Path) -> None:
    """8-bit lossy, as most archives of old films hold."""
    flat = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(flat).save(stream, "JPEG", quality=95)
    path = tmp_path / "jpeg.dcm"
    made = write_dicom(path, flat)
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = encapsulate([stream.getvalue()])
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.50")
    made.save_as(path, enforce_file_format=True)
    film = read(path)
    np.testing.assert_allclose(film.pixels, flat / 255, atol=3 / 255)


@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14"])
def test_jpeg_lossless_dicom(tmp_path: Path, syntax: str) -> None:
    """What most radiography machines send; written here by another library."""
    write_dicom(tmp_path / "plain.dcm", DEEP)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(tmp_path / "plain.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(tmp_path / "coded.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert pydicom.dcmread(tmp_path / "coded.dcm").file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_allclose(read(tmp_path / "coded.dcm").pixels, DEEP / 4095, atol=1e-6)


def test_several_frames_are_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "frames.dcm"
    made = write_dicom(path, DEEP)
    made.NumberOfFrames = 3
    made.PixelData = np.stack([DEEP, DEEP // 2, DEEP // 3]).tobytes()
    made.save_as(path, enforce_file_format=True)
    with pytest.raises(ImageError, match=r"frames\.dcm: DICOM with 3 frames; export the one"):
        read(path)


def test_colour_dicom_is_made_grey(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    path = tmp_path / "rgb.dcm"
    made = write_dicom(path, rgb[..., 0])
    made.SamplesPerPixel, made.PlanarConfiguration, made.PhotometricInterpretation = 3, 0, "RGB"
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = rgb.tobytes()
    made.save_as(path, enforce_file_format=True)
    np.testing.assert_allclose(read(path).pixels, rgb @ [0.299, 0.587, 0.114] / 255, atol=1e-4)


@pytest.mark.parametrize("compressed", [False, True])
def test_ybr_dicom_gives_the_grey_of_its_colours(tmp_path: Path, compressed: bool) -> None:
    """Native and RLE; R, G, B from Y, Cb, Cr by PS3.3 C.7.6.3.1.2, and their luminance."""
    rng = np.random.default_rng(0)
    ybr = np.dstack([rng.integers(80, 170, (40, 50)), *rng.integers(100, 156, (2, 40, 50))]).astype(np.uint8)
    path = tmp_path / "ybr.dcm"
    made = write_dicom(path, ybr[..., 0])
    made.SamplesPerPixel, made.PlanarConfiguration, made.PhotometricInterpretation = 3, 0, "YBR_FULL"
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = ybr.tobytes()
    if compressed:
        made.compress(UID("1.2.840.10008.1.2.5"))
    made.save_as(path, enforce_file_format=True)
    y, cb, cr = (ybr[..., i].astype(float) - (128 if i else 0) for i in range(3))
    rgb = np.dstack([y + 1.402 * cr, y - 0.3441 * cb - 0.7141 * cr, y + 1.772 * cb])
    np.testing.assert_allclose(read(path).pixels, np.rint(rgb) @ [0.299, 0.587, 0.114] / 255, atol=0.6 / 255)


@pytest.mark.parametrize("values", [(0, 100_000), (-500, 900), (70_000, 70_100)])
def test_integers_beyond_sixteen_bit_are_scaled_by_their_range_and_say_so(
    tmp_path: Path, values: tuple[int, int]
) -> None:
    whole = np.linspace(*values, 40 * 50).reshape(40, 50).astype(np.int32)
    film = read(save(tmp_path / "whole.tiff", Image.fromarray(whole)))
    low, high = values
    np.testing.assert_allclose(film.pixels, (whole - low) / (high - low), atol=1e-6)
    assert film.transforms == (f"32 bit range [{low}, {high}] scaled to [0, 1]",)


def test_thirty_two_bit_files_that_hold_sixteen_bit_keep_the_scale(tmp_path: Path) -> None:
    whole = np.linspace(0, 4095, 40 * 50).reshape(40, 50).astype(np.int32)
    film = read(save(tmp_path / "whole.tiff", Image.fromarray(whole)))
    np.testing.assert_allclose(film.pixels, whole / 65535, atol=1e-6)
    assert film.transforms == ("16 bit scaled by 65535",)


def test_float_tiff_is_scaled_and_says_so(tmp_path: Path) -> None:
    dose = np.linspace(-3, 12, 40 * 50).reshape(40, 50).astype(np.float32)
    film = read(save(tmp_path / "dose.tiff", Image.fromarray(dose)))
    np.testing.assert_allclose(film.pixels, (dose + 3) / 15, atol=1e-6)
    assert "float range [-3, 12] scaled to [0, 1]" in film.transforms
    dose[3, 3] = np.nan
    with pytest.raises(ImageError, match="not-a-number"):
        read(save(tmp_path / "nan.tiff", Image.fromarray(dose)))


def test_dicom_without_an_image_or_cut_short_is_named(tmp_path: Path) -> None:
    made = write_dicom(tmp_path / "cut.dcm", DEEP)
    del made.PixelData
    made.save_as(tmp_path / "none.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match="without pixel data"):
        read(tmp_path / "none.dcm")
    content = (tmp_path / "cut.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(content[:-2000])
    with pytest.raises(ImageError, match=r"cut\.dcm"):
        read(tmp_path / "cut.dcm")


@pytest.mark.realdata
def test_real_films_are_read(realdata: Path) -> None:
    files = sorted((realdata / "chest_xray" / "train" / "PNEUMONIA").iterdir())[::400]
    for file in files:
        film = read(file)
        assert film.shape == (224, 224) and film.pixels.std() > 0.05


def test_raw_pixels_are_refused_with_the_next_step(tmp_path: Path) -> None:
    file = tmp_path / "JPCLN001.IMG"
    np.random.default_rng(0).integers(1, 4096, (128, 128)).astype(">u2").tofile(file)
    for refused in (lambda: read(file), lambda: load_dataset(tmp_path)):
        with pytest.raises((ImageError, DataError), match=r"raw pixels without a header.*reshape\(128, 128\)"):
            refused()
    with pytest.raises(ImageError, match="is not an image"):
        read(file.rename(tmp_path / "film.xyz"))


def test_transparency_that_changes_a_film_is_noted_and_one_that_changes_nothing_is_not(tmp_path: Path) -> None:
    grey = [RAMP] * 3
    for alpha, noted in ((np.full_like(RAMP, 255), False), (RAMP, True), (np.where(RAMP > 0, 255, 0), False)):
        file = tmp_path / "a.png"
        Image.fromarray(np.dstack([*grey, alpha.astype(np.uint8)])).save(file)
        assert any("darker than stored" in note for note in read(file).notes) == noted
    Image.fromarray(RAMP).save(file, transparency=255)  # white is black then
    found = read(file)
    assert found.pixels.max() < 1 and any("darker than stored" in note for note in found.notes)
