"""DICOM as careless machines and archives write it: read right, noted, or refused by name."""

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.uid import UID

from radiolucent.errors import ImageError
from radiolucent.images import ReadOptions, read
from radiolucent.images.modality import modality_values
from radiolucent.types import Radiograph
from support.odd_films import BIG, DEFLATED, dicom, lut, npy, raster, recoded, sequence, tiff, with_raw

DEEP = np.linspace(0, 4095, 48 * 64).reshape(48, 64).astype(np.uint16)
GREY = DEEP / 4095


@pytest.fixture
def film(tmp_path: Path) -> Any:
    """Read bytes as a file."""

    def of(content: bytes, name: str = "film", **options: Any) -> Radiograph:
        (tmp_path / name).write_bytes(content)
        return read(tmp_path / name, options=ReadOptions(**options))

    return of


def noted(found: Radiograph, *words: str) -> bool:
    """Whether one note or step holds all the words."""
    return any(all(w in text for w in words) for text in (*found.notes, *found.transforms))


@pytest.mark.parametrize(
    "start",
    [b"II*\0\x08\0\0\0", b"MM\0*", b"BM", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"<html>", b"{"],
)
def test_dicm_at_128_outweighs_any_other_beginning(film: Any, start: bytes) -> None:
    inverse = dicom(DEEP, preamble=start, PhotometricInterpretation="MONOCHROME1")
    found = film(inverse)
    assert found.metadata["format"] == "DICOM"
    np.testing.assert_allclose(found.pixels, 1 - GREY, atol=1e-6)


def test_files_without_preamble_are_dicom_in_either_byte_order(film: Any) -> None:
    whole = dicom(DEEP)
    assert film(whole[132:]).metadata["format"] == "DICOM"  # begins with (0002,0000)
    at = 132 + 8 + 4
    assert whole[at : at + 4] == b"\x02\0\x01\0"
    np.testing.assert_allclose(film(whole[at + 14 :]).pixels, GREY, atol=1e-6)  # begins with (0002,0002)
    for syntax in (BIG, UID("1.2.840.10008.1.2"), UID("1.2.840.10008.1.2.1")):
        content = dicom(DEEP, syntax=syntax)
        length = struct.unpack("<I", content[140:144])[0]
        found = film(content[144 + length :])  # no file meta information at all
        np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
        assert noted(found, "transfer syntax missing")


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("PixelSpacing", b"0,143\\0,143"), ("PixelSpacing", b"abc\\def"), ("PixelSpacing", b"0.143"),
        ("PixelSpacing", b"0\\0"), ("PixelSpacing", b"-0.1\\0.1"), ("PixelSpacing", b"nan\\nan"),
        ("PixelSpacing", b"inf\\1"), ("PixelSpacing", b"1e999\\1"), ("PixelSpacing", b"\xff\xfe\\1"),
    ],
)  # fmt: skip
def test_a_spacing_that_is_none_is_unknown_and_noted(film: Any, tag: str, value: bytes) -> None:
    found = film(with_raw(dicom(DEEP), 0x0028, 0x0030, b"DS", value))
    assert found.spacing is None and noted(found, tag)
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)


@pytest.mark.parametrize("value", [b"1A", b"", b"1.5", b"-3", b"\\"])
def test_an_odd_number_of_frames_is_one_frame(film: Any, value: bytes) -> None:
    found = film(with_raw(dicom(DEEP), 0x0028, 0x0008, b"IS", value))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert noted(found, "NumberOfFrames")


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": 1, "RescaleIntercept": 0},
        {"RescaleSlope": 1},
        {"RescaleIntercept": 0},
        {"ModalityLUTSequence": []},
        {"ModalityLUTSequence": [Dataset()]},
        {"VOILUTSequence": []},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": 2048},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
    ],
)
def test_empty_is_absent_and_identity_changes_nothing(film: Any, tags: dict[str, Any]) -> None:
    found = film(dicom(DEEP, **{k: sequence(*v) if isinstance(v, list) else v for k, v in tags.items()}))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert found.transforms == ("values [0, 4095] of 12 bit scaled to [0, 1]",)
    identity = tags == {"RescaleSlope": 1, "RescaleIntercept": 0}
    assert bool(found.notes) != identity


def test_an_intercept_alone_moves_the_window(film: Any) -> None:
    found = film(dicom(DEEP, RescaleIntercept=-1000, WindowCenter=1048, WindowWidth=4096))
    np.testing.assert_allclose(found.pixels, film(dicom(DEEP, WindowCenter=2048, WindowWidth=4096)).pixels, atol=1e-6)
    assert noted(found, "RescaleIntercept without RescaleSlope, 1 taken")


def test_a_window_that_is_no_number_gives_way_to_the_next_rule(film: Any) -> None:
    content = with_raw(dicom(DEEP, WindowWidth=4096), 0x0028, 0x1050, b"DS", b"2048,0")
    found = film(content)
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert noted(found, "WindowCenter '2048,0' is not a number")


def test_an_empty_voi_lut_leaves_the_window_beside_it(film: Any) -> None:
    found = film(dicom(DEEP, VOILUTSequence=sequence(Dataset()), WindowCenter=2048, WindowWidth=1024))
    np.testing.assert_allclose(found.pixels, film(dicom(DEEP, WindowCenter=2048, WindowWidth=1024)).pixels)
    assert noted(found, "VOILUTSequence", "ignored") and noted(found, "LINEAR window centre 2048")


@pytest.mark.parametrize(
    "tags",
    [
        {"SamplesPerPixel": None}, {"PixelRepresentation": None}, {"BitsStored": None, "HighBit": None},
        {"HighBit": None}, {"PhotometricInterpretation": "monochrome2"}, {"PhotometricInterpretation": " MONOCHROME2 "},
        {"PhotometricInterpretation": ["MONOCHROME2", "MONOCHROME2"]}, {"PhotometricInterpretation": None},
    ],
)  # fmt: skip
def test_a_missing_description_gets_its_only_sensible_value(film: Any, tags: dict[str, Any]) -> None:
    deep = (DEEP.astype(int) * 16).clip(0, 65535).astype(np.uint16)
    found = film(dicom(deep, bits=16, **tags))
    np.testing.assert_allclose(found.pixels, deep / 65535, atol=1e-6)
    assert found.notes or tags == {"PhotometricInterpretation": " MONOCHROME2 "}


def test_colour_without_samples_or_planes_is_still_colour(film: Any) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    found = film(dicom(rgb, bits=8, PhotometricInterpretation="RGB", SamplesPerPixel=None))
    np.testing.assert_allclose(found.pixels, rgb @ [0.299, 0.587, 0.114] / 255, atol=1e-4)
    assert noted(found, "SamplesPerPixel is missing, 3") and noted(found, "PlanarConfiguration is missing")
    with pytest.raises(ImageError, match=r"HSV.*MONOCHROME2"):
        film(dicom(DEEP, PhotometricInterpretation="HSV"))


PADDED = np.where(np.indices(DEEP.shape)[1] < 12, np.uint16(4095), (DEEP // 2).astype(np.uint16))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("tags", [{}, {"WindowCenter": 1024, "WindowWidth": 2048}])
def test_padding_is_black_and_takes_no_part(film: Any, photometric: str, tags: dict[str, Any]) -> None:
    found = film(dicom(PADDED, PixelPaddingValue=4095, PhotometricInterpretation=photometric, **tags))
    plain = film(dicom((DEEP // 2).astype(np.uint16), PhotometricInterpretation=photometric, **tags))
    assert not found.pixels[:, :12].any()
    np.testing.assert_allclose(found.pixels[:, 12:], plain.pixels[:, 12:])
    assert noted(found, "padding")


def test_a_padding_range_and_signed_padding(film: Any) -> None:
    found = film(dicom(PADDED, PixelPaddingValue=4000, PixelPaddingRangeLimit=4095))
    assert not found.pixels[:, :12].any() and found.pixels[:, 12:].max() > 0.4
    signed = np.where(np.indices(DEEP.shape)[1] < 12, -2000, DEEP // 2).astype(np.int16)
    content = with_raw(dicom(signed, bits=16), 0x0028, 0x0120, b"SS", struct.pack("<h", -2000))
    found = film(content)
    assert not found.pixels[:, :12].any() and found.pixels[:, 12:].std() > 0.2
    whole = film(dicom(np.full((40, 40), 7, np.uint16), PixelPaddingValue=7))
    assert noted(whole, "every pixel has the padding value")


@pytest.mark.parametrize("bits", [12, 16])
def test_one_hot_pixel_leaves_the_film_its_contrast(film: Any, bits: int) -> None:
    dark = (DEEP // 8).astype(np.uint16)
    hot = dark.copy()
    hot[3, 3] = 2**bits - 1
    found, cold = film(dicom(hot, bits=bits)), film(dicom(dark, bits=bits))
    np.testing.assert_allclose(np.delete(found.pixels, 3, 0), np.delete(cold.pixels, 3, 0), atol=1e-3)
    assert found.pixels.std() > 0.25 and noted(found, "less than a quarter")


def test_twelve_bit_data_in_sixteen_are_noted_and_a_range_can_be_declared(film: Any) -> None:
    found = film(dicom(DEEP, bits=16))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert noted(found, "less than a quarter of its 16 bits")
    told = film(dicom(DEEP, bits=16), range=(0, 8190))
    np.testing.assert_allclose(told.pixels, GREY / 2, atol=1e-6)
    assert noted(told, "declared by the user")


# --- lookup tables -------------------------------------------------------------------------------------------------

RISING = np.minimum(np.arange(4096) * 16, 65535)


@pytest.mark.parametrize("vr", ["OW", "US"])
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_agree_with_pydicom(film: Any, vr: str, name: str) -> None:
    curve = np.rint(np.linspace(0, 1, 3000) ** 2 * 65535).astype(np.uint16)
    content = dicom(DEEP, **{name: sequence(lut(curve, 500, 16, vr=vr))})
    apply = apply_voi_lut if name == "VOILUTSequence" else apply_modality_lut
    np.testing.assert_allclose(
        film(content).pixels, apply(DEEP, pydicom.dcmread(io.BytesIO(content))) / 65535, atol=1e-6
    )


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (lut(RISING // 16, 0, 12), ""),
        (lut(RISING // 16, 0, 16), "scaled by the largest"),  # 12-bit entries under a descriptor of 16
        (lut(RISING // 256, 0, 8), ""),  # 8-bit entries, each in a word
        (lut((RISING // 256 * 256), 0, 8), "high bytes"),
        (lut((RISING // 256).astype(np.uint8).tobytes(), 0, 8, count=4096), ""),  # two to a word
        (lut((RISING // 256).astype(np.uint8).tobytes(), 0, 16, count=4096), "8 bits under a descriptor of 16"),
        (lut(RISING, 0, 12), "descriptor of 12"),
    ],
)
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_of_every_depth_and_packing_give_the_same_film(film: Any, name: str, table: Dataset, says: str) -> None:
    found = film(dicom(DEEP, **{name: sequence(table)}))
    np.testing.assert_allclose(found.pixels, GREY, atol=1 / 255)
    assert not says or noted(found, says), found.notes


def test_a_packed_table_in_big_endian_has_its_first_entry_in_the_low_byte(film: Any) -> None:
    packed = (RISING // 256).astype(np.uint8).tobytes()
    words = np.frombuffer(packed, "<u2").astype(">u2").tobytes()
    content = dicom(DEEP, syntax=BIG, VOILUTSequence=sequence(lut(words, 0, 8, count=4096)))
    np.testing.assert_allclose(film(content).pixels, GREY, atol=1 / 255)


def test_the_first_input_of_a_voi_lut_is_signed_where_values_may_be_negative(film: Any) -> None:
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1000}
    found = film(dicom(DEEP, VOILUTSequence=sequence(lut(RISING, -1000, 16)), **tags))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-3)
    high = (DEEP + np.uint16(40000)).astype(np.uint16)
    found = film(dicom(high, bits=16, VOILUTSequence=sequence(lut(RISING, 40000, 16))))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-3)


@pytest.mark.parametrize("vr", ["OW", "US"])
def test_a_table_that_is_too_short_is_ignored_with_a_note(film: Any, vr: str) -> None:
    found = film(dicom(DEEP, VOILUTSequence=sequence(lut(RISING[:900], 0, 16, vr=vr, count=4096))))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert noted(found, "4096 entries are declared, 900 are there")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("syntax", [UID("1.2.840.10008.1.2.1"), BIG])
@pytest.mark.parametrize("packed", [False, True])
def test_palettes_of_either_depth_order_and_packing(film: Any, bits: int, syntax: UID, packed: bool) -> None:
    index = np.random.default_rng(1).integers(0, 256, (20, 30), np.uint8)
    table = np.random.default_rng(2).integers(0, 256, (3, 256))
    tags: dict[str, Any] = {}
    order = ">" if syntax == BIG else "<"
    for colour, row in zip(("Red", "Green", "Blue"), table, strict=True):
        entries = row * 257 if bits == 16 else row
        data = entries.astype(f"{order}u2").tobytes()
        if packed and bits == 8:
            data = np.frombuffer(row.astype(np.uint8).tobytes(), "<u2").astype(f"{order}u2").tobytes()
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        tags[f"{colour}PaletteColorLookupTableData"] = data
    found = film(dicom(index, bits=8, syntax=syntax, PhotometricInterpretation="PALETTE COLOR", **tags))
    np.testing.assert_allclose(found.pixels, (table.T @ [0.299, 0.587, 0.114])[index] / 255, atol=1e-5)
    with pytest.raises(ImageError, match="palette is missing or damaged"):
        film(dicom(index, bits=8, PhotometricInterpretation="PALETTE COLOR"))


def test_window_and_rescale_may_stand_in_functional_groups(film: Any) -> None:
    def group(**parts: Any) -> Dataset:
        made = Dataset()
        for name, tags in parts.items():
            item = Dataset()
            for tag, value in tags.items():
                setattr(item, tag, value)
            setattr(made, name, sequence(item))
        return made

    shared = group(
        PixelValueTransformationSequence={"RescaleSlope": 2, "RescaleIntercept": -4000},
        PixelMeasuresSequence={"PixelSpacing": [0.2, 0.1]},
    )
    frames = [group(FrameVOILUTSequence={"WindowCenter": c, "WindowWidth": 3000}) for c in (-500, 0)]
    stack = np.stack([DEEP, DEEP])
    content = dicom(
        stack, NumberOfFrames=2, SharedFunctionalGroupsSequence=sequence(shared),
        PerFrameFunctionalGroupsSequence=sequence(*frames), Rows=48, Columns=64,
    )  # fmt: skip
    plain = dicom(DEEP, RescaleSlope=2, RescaleIntercept=-4000, WindowCenter=0, WindowWidth=3000)
    found = film(content, frame=2)
    np.testing.assert_allclose(found.pixels, film(plain).pixels, atol=1e-6)
    assert found.spacing == (0.2, 0.1) and noted(found, "frame 2 of 2")


def test_windows_are_chosen_by_number_values_table_or_not_at_all(film: Any) -> None:
    content = dicom(
        DEEP, WindowCenter=[1000, 3000], WindowWidth=[500, 100], VOILUTSequence=sequence(lut(RISING[::-1], 0, 16))
    )
    dataset = pydicom.dcmread(io.BytesIO(content))
    for number in (1, 2):
        expected = apply_windowing(DEEP, dataset, index=number - 1) / 4095
        np.testing.assert_allclose(film(content, window=str(number)).pixels, expected, atol=1e-6)
    np.testing.assert_allclose(film(content, window="lut").pixels, 1 - GREY, atol=5e-3)
    np.testing.assert_allclose(film(content, window="full").pixels, GREY, atol=1e-6)
    dataset.WindowCenter, dataset.WindowWidth = 2000, 800
    expected = apply_windowing(DEEP, dataset) / 4095
    np.testing.assert_allclose(film(content, window="2000/800").pixels, expected, atol=1e-6)
    with pytest.raises(ImageError, match=r"window '3' was asked for; the film declares 2 window"):
        film(content, window="3")


# --- stored bits, compression --------------------------------------------------------------------------------------


def test_left_aligned_bits_and_overlays_in_the_unused_ones(film: Any) -> None:
    left = film(dicom((DEEP << 4).astype(np.uint16), HighBit=15))
    np.testing.assert_allclose(left.pixels, GREY, atol=1e-6)
    assert noted(left, "shifted down")
    marked = DEEP | (np.indices(DEEP.shape)[0] % 2 << 12).astype(np.uint16)
    found = film(dicom(marked.astype(np.uint16)))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert noted(found, "masked")


def test_signed_pixels_keep_their_order(film: Any) -> None:
    signed = (DEEP.astype(int) - 2048).astype(np.int16)
    np.testing.assert_allclose(film(dicom(signed)).pixels, GREY, atol=1e-6)
    left = film(dicom((signed << 4).astype(np.int16), HighBit=15))
    np.testing.assert_allclose(left.pixels, GREY, atol=1e-6)


def test_what_the_pixel_data_are_outweighs_the_declared_syntax(film: Any) -> None:
    content = recoded(dicom(DEEP), "1.2.840.10008.1.2.4.90")
    wrong = content.replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.70")
    found = film(wrong)
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert noted(found, "declares JPEG Lossless", "JPEG 2000")
    assert found.metadata["bits"] == 12


@pytest.mark.parametrize(
    ("options", "syntax", "bits"),
    [
        ("+ee", "51", 12),
        ("+es", "53", 12),
        ("+ep", "55", 12),
        ("+ep", "55", 8),
        ("+eb", "50", 8),
        ("+e1", "70", 12),
    ],
)
def test_every_jpeg_process_is_read_as_dcmtk_reads_it(
    film: Any, tmp_path: Path, options: str, syntax: str, bits: int
) -> None:
    if not shutil.which("dcmcjpeg"):
        pytest.skip("dcmtk is not installed (Debian: apt-get install dcmtk)")
    smooth = np.add.outer(np.linspace(0, 2000, 48), np.linspace(0, 2095, 64)).astype(np.uint16)
    smooth = smooth if bits == 12 else (smooth // 16).astype(np.uint8)
    (tmp_path / "plain.dcm").write_bytes(dicom(smooth, bits=bits))
    subprocess.run(["dcmcjpeg", options, "plain.dcm", "coded.dcm"], cwd=tmp_path, check=True)
    content = (tmp_path / "coded.dcm").read_bytes()
    told = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    assert told.file_meta.TransferSyntaxUID.rpartition(".")[2] == syntax
    subprocess.run(["dcmdjpeg", "coded.dcm", "back.dcm"], cwd=tmp_path, check=True)
    back = pydicom.dcmread(tmp_path / "back.dcm")
    found = film(content, window="full")
    assert found.metadata["bits"] == bits
    expected = back.pixel_array / (2**bits - 1)
    np.testing.assert_allclose(found.pixels, expected, atol=1.6 / (2**bits - 1))


def test_dcmtk_renders_the_same_film(film: Any, tmp_path: Path) -> None:
    if not shutil.which("dcm2pnm"):
        pytest.skip("dcmtk is not installed (Debian: apt-get install dcmtk)")
    for tags in ({"PhotometricInterpretation": "MONOCHROME1"}, {"RescaleSlope": 2, "RescaleIntercept": -100}):
        content = dicom(DEEP, WindowCenter=2000, WindowWidth=1500, **tags)
        (tmp_path / "f.dcm").write_bytes(content)
        subprocess.run(["dcm2pnm", "+op", "+Wi", "1", "f.dcm", "f.pgm"], cwd=tmp_path, check=True)
        from PIL import Image

        theirs = np.asarray(Image.open(tmp_path / "f.pgm"), np.float64) / 255
        np.testing.assert_allclose(film(content).pixels, theirs, atol=1.5 / 255)


# --- what is no radiograph, and what is missing --------------------------------------------------------------------

STORE = "1.2.840.10008.5.1.4.1.1."


@pytest.mark.parametrize(
    ("uid", "words"),
    [
        ("2", "CT image"), ("481.2", "RT dose"), ("66.4", "segmentation"), ("88.11", "structured report"),
        ("104.1", "PDF"), ("9.1.1", "waveform"), ("11.1", "presentation state"), ("128", "PET"), ("4", "MR"),
    ],
)  # fmt: skip
def test_what_is_no_radiograph_is_named(film: Any, uid: str, words: str) -> None:
    with pytest.raises(ImageError, match=rf"{words}.*no radiograph"):
        film(dicom(DEEP, SOPClassUID=STORE + uid))


@pytest.mark.parametrize("tags", [{"PresentationIntentType": "FOR PROCESSING"}, {"SOPClassUID": STORE + "1.1.1"}])
def test_raw_detector_values_are_said_to_be(film: Any, tags: dict[str, Any]) -> None:
    found = film(dicom(DEEP, **tags))
    assert noted(found, "FOR PROCESSING") and found.metadata["for_processing"]
    assert not noted(film(dicom(DEEP, SOPClassUID=STORE + "1.1")), "FOR PROCESSING")


def test_a_dicomdir_names_its_files(film: Any) -> None:
    items = []
    for name in ("IM1", "IM2"):
        item = Dataset()
        item.ReferencedFileID = ["DIR", name]
        items.append(item)
    content = dicom(DEEP, SOPClassUID="1.2.840.10008.1.3.10", DirectoryRecordSequence=sequence(*items), PixelData=None)
    with pytest.raises(ImageError, match=r"DICOMDIR, the list of 2 files: DIR/IM1, DIR/IM2"):
        film(content)


def test_messages_tell_the_real_cause(film: Any) -> None:
    content = dicom(DEEP)
    with pytest.raises(ImageError, match=r"pixel data cut off: 4,144 of 6,144 bytes") as error:
        film(content[:-2000])
    assert "pip install" not in str(error.value)
    floats = with_raw(dicom(DEEP, PixelData=None), 0x7FE0, 0x0008, b"OF", bytes(16))
    with pytest.raises(ImageError, match="float pixel data"):
        film(floats)
    coded = recoded(content, "1.2.840.10008.1.2.4.90")
    with pytest.raises(ImageError, match="damaged or cut off") as error:
        film(coded[:-200] + bytes(150))
    assert "pip install" not in str(error.value)
    for name in ("Rows", "Columns"):
        with pytest.raises(ImageError, match="without Rows or Columns"):
            film(dicom(DEEP, **{name: None}))
    with pytest.raises(ImageError, match="without pixel data"):
        film(dicom(DEEP, PixelData=None))


def test_a_missing_codec_is_named(film: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import base

    content = recoded(dicom(DEEP), "1.2.840.10008.1.2.4.90")
    monkeypatch.setattr(base.Decoder, "is_available", property(lambda _: False))
    monkeypatch.setattr(base.Decoder, "missing_dependencies", property(lambda _: ["pylibjpeg - requires numpy"]))
    with pytest.raises(ImageError, match=r"JPEG 2000.*no codec.*pylibjpeg.*pip install 'radiolucent\[dicom\]'"):
        film(content)


def test_metadata_that_a_hospital_needs(film: Any) -> None:
    found = film(
        dicom(
            DEEP, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4", PatientAge="007Y", PatientSex="F",
            ViewPosition="AP", Laterality="L", PatientOrientation=["R", "F"], ImagerPixelSpacing=[0.2, 0.1],
            LossyImageCompression="01", LossyImageCompressionRatio=12, FieldOfViewHorizontalFlip="YES",
            PresentationLUTShape="INVERSE",
        )
    )  # fmt: skip
    kept = ("StudyInstanceUID", "SeriesInstanceUID", "PatientAge", "PatientSex", "ViewPosition", "Laterality")
    assert [found.metadata[k] for k in kept] == ["1.2.3", "1.2.4", "007Y", "F", "AP", "L"]
    assert found.metadata["SOPInstanceUID"] and found.spacing == (0.2, 0.1)
    assert (found.metadata["spacing_from"], found.metadata["spacing_plane"]) == ("ImagerPixelSpacing", "detector")
    for words in ("mirrored", "with loss", "flipped", "PresentationLUTShape INVERSE contradicts"):
        assert noted(found, words)
    plain = film(dicom(DEEP, PatientOrientation=["L", "F"]))
    assert not plain.notes and "mirrored" not in plain.metadata
    both = film(dicom(DEEP, PixelSpacing=[0.15, 0.15], ImagerPixelSpacing=[0.2, 0.2]))
    assert both.spacing == (0.15, 0.15) and both.metadata["spacing_plane"].startswith("patient")


def test_a_deflated_film_is_the_film(film: Any) -> None:
    np.testing.assert_allclose(film(dicom(DEEP, syntax=DEFLATED)).pixels, GREY, atol=1e-6)


# --- values that do not fit their declared bits --------------------------------------------------------------------

EDGE = np.indices(DEEP.shape)[1] < 12


@pytest.mark.parametrize(
    ("pixels", "bits", "high_bit", "vr", "value"),
    [
        ((DEEP.astype(int) - 2048).astype(np.int16), 12, 11, b"SS", -32768),
        (DEEP, 12, 11, b"US", 65535),
        ((DEEP // 2 << 5).astype(np.uint16), 12, 15, b"US", 65520),
        ((DEEP * 14).astype(np.uint16), 16, 15, b"SS", -2000),
    ],
)
def test_padding_outside_the_stored_bits_is_padding(
    film: Any, pixels: np.ndarray, bits: int, high_bit: int, vr: bytes, value: int
) -> None:
    plain = film(dicom(pixels, bits=bits, HighBit=high_bit)).pixels
    padded = np.where(EDGE, np.int64(value), pixels).astype(pixels.dtype)
    packed = struct.pack("<h" if vr == b"SS" else "<H", value)
    found = film(with_raw(dicom(padded, bits=bits, HighBit=high_bit), 0x0028, 0x0120, vr, packed))
    assert not found.pixels[EDGE].any() and noted(found, "padding (")
    np.testing.assert_allclose(found.pixels[~EDGE], plain[~EDGE], atol=1e-6)
    assert not noted(found, "masked")


def test_signed_values_beyond_their_bits_are_kept_or_noted(film: Any) -> None:
    plain = film(dicom(DEEP.astype(np.int16)))  # 12 bits, wrongly declared signed
    assert noted(plain, "do not fit 12 signed bits", "taken as they stand, unsigned")
    np.testing.assert_allclose(plain.pixels, GREY, atol=1e-6)
    around = np.linspace(-900, 900, DEEP.size).reshape(DEEP.shape).astype(np.int16)  # signed, with the sign cut off
    cut = film(dicom(around & 0x0FFF))
    assert noted(cut, "their sign is taken from bit 11") and (np.diff(cut.pixels.ravel()) >= 0).all()
    wide = (DEEP.astype(int) - 1000).astype(np.int16)
    found = film(dicom(wide))
    assert (np.diff(found.pixels.reshape(-1)) >= 0).all() and noted(found, "[-1000, 3095]", "taken as they stand")


@pytest.mark.parametrize(("bits", "top"), [(8, 127), (12, 2047), (13, 4095), (16, 32767)])
def test_signed_values_without_a_negative_one_begin_at_black(film: Any, bits: int, top: int) -> None:
    grey = np.linspace(0, top, DEEP.size).reshape(DEEP.shape).astype(np.int8 if bits == 8 else np.int16)
    found = film(dicom(grey, bits=bits))
    np.testing.assert_allclose(found.pixels, grey / top, atol=1e-6)
    assert noted(found, "none of which is negative")


def test_a_range_of_colour_holds_for_its_luminance(film: Any) -> None:
    rgb = np.stack([DEEP // 16, DEEP // 32, DEEP // 64], -1).astype(np.uint8)
    grey = np.clip(rgb @ np.array([0.299, 0.587, 0.114]) / 100, 0, 1)
    colour = {"bits": 8, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    for content in (dicom(rgb, **colour), tiff(rgb, photometric="rgb"), npy(rgb), raster(rgb, "PNG")):
        np.testing.assert_allclose(film(content, range=(0, 100)).pixels, grey, atol=0.006)  # PIL rounds grey


def test_what_a_window_or_a_mask_would_hide_is_said(film: Any) -> None:
    outside = film(dicom(DEEP, WindowCenter=-9000, WindowWidth=10))
    assert noted(outside, "the window leaves 100% of the film wholly black or white")
    assert not noted(film(dicom(DEEP, WindowCenter=2048, WindowWidth=2000)), "wholly black")
    deeper = film(dicom(DEEP, bits=10))  # 12 bits under a header of 10
    np.testing.assert_allclose(deeper.pixels, GREY, atol=1e-6)
    assert noted(deeper, "values up to 4095 do not fit 10 bits", "taken as they stand")
    overlay = np.where((np.indices(DEEP.shape) % 7 == 0).all(0), 0x8000, 0).astype(np.uint16)
    masked = film(dicom(DEEP | overlay))
    np.testing.assert_allclose(masked.pixels, GREY, atol=1e-6)
    assert noted(masked, "an overlay?", "masked")


@pytest.mark.parametrize("tags", [{"PixelAspectRatio": [2, 1]}, {"PixelSpacing": [0.2, 0.1]}])
def test_pixels_that_are_not_square_are_said(film: Any, tags: dict[str, Any]) -> None:
    assert noted(film(dicom(DEEP, **tags)), "pixels are not square")
    assert not noted(film(dicom(DEEP, PixelSpacing=[0.143, 0.143])), "square")


def test_nothing_is_shifted_where_the_low_bits_are_in_use(film: Any) -> None:
    found = film(dicom(DEEP, HighBit=15))
    np.testing.assert_allclose(found.pixels, GREY, atol=1e-6)
    assert noted(found, "not shifted")
    assert noted(film(dicom((DEEP * 16 + 5).astype(np.uint16), HighBit=15)), "lowest 4 bits", "left out")


@pytest.mark.parametrize("frame", [1, 2])
def test_words_of_two_small_pixels_are_swapped_in_big_endian(film: Any, frame: int) -> None:
    stack = np.random.default_rng(1).integers(0, 256, (2, 5, 7), np.uint8)
    swapped = stack.reshape(-1, 2)[:, ::-1].reshape(stack.shape)
    content = dicom(swapped, bits=8, syntax=BIG, NumberOfFrames=2, Rows=5, Columns=7)
    found = film(content.replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW"), frame=frame)
    np.testing.assert_allclose(found.pixels, stack[frame - 1] / 255, atol=1e-6)


def test_words_of_sixteen_one_bit_pixels_are_swapped_in_big_endian(film: Any) -> None:
    bits = np.random.default_rng(2).integers(0, 2, (16, 16), np.uint8)
    stored = np.packbits(bits, bitorder="little").reshape(-1, 2)[:, ::-1].reshape(2, 16)
    content = dicom(stored, bits=1, syntax=BIG, BitsAllocated=1, Rows=16, Columns=16)
    found = film(content.replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW"))
    np.testing.assert_array_equal(found.pixels, bits)


@pytest.mark.parametrize("kind", ["SIGMOID", "LINEAR_EXACT"])
def test_a_window_in_a_functional_group_keeps_its_function(film: Any, tmp_path: Path, kind: str) -> None:
    window, group = Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = 2048, 1024, kind
    group.FrameVOILUTSequence = sequence(window)
    content = dicom(DEEP, SharedFunctionalGroupsSequence=sequence(group))
    plain = dicom(DEEP, WindowCenter=2048, WindowWidth=1024, VOILUTFunction=kind)
    np.testing.assert_allclose(film(content).pixels, film(plain).pixels, atol=1e-6)
    assert film(content).pixels.std() > 0
    (tmp_path / "groups").write_bytes(content)
    assert [w.function for w in modality_values(tmp_path / "groups").windows] == [kind]


def test_a_table_in_the_shared_group_is_found_behind_the_group_of_the_frame(film: Any) -> None:
    table, rescale, shared, own = Dataset(), Dataset(), Dataset(), Dataset()
    table.VOILUTSequence = sequence(lut(RISING[::-1], 0, 16))
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, 0, "US"
    shared.FrameVOILUTSequence, own.PixelValueTransformationSequence = sequence(table), sequence(rescale)
    groups = {"SharedFunctionalGroupsSequence": shared, "PerFrameFunctionalGroupsSequence": own}
    found = film(dicom(DEEP, **{name: sequence(group) for name, group in groups.items()}))
    np.testing.assert_allclose(found.pixels, 1 - GREY, atol=5e-3)
    assert noted(found, "VOI LUT applied")


def test_eight_bits_are_rescaled_by_more_than_one_value(film: Any) -> None:
    eight = (DEEP >> 4).astype(np.uint8)
    for slope, intercept in ((2, -7), (0.5, 3.5)):  # both leave 7 as it is
        found = film(dicom(eight, bits=8, RescaleSlope=slope, RescaleIntercept=intercept))
        np.testing.assert_allclose(found.pixels, eight / 255, atol=1e-6)


def test_colour_takes_a_range_and_says_that_it_has_no_window(film: Any) -> None:
    grey = np.repeat((DEEP >> 4).astype(np.uint8)[..., None], 3, axis=2)
    colour = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    found = film(dicom(grey, bits=8, **colour), range=(0, 510))
    np.testing.assert_allclose(found.pixels, grey[..., 0] / 510, atol=1e-5)
    assert noted(found, "declared by the user")
    assert noted(film(dicom(grey, bits=8, **colour), window="100/50"), "'100/50'", "not applied to colour")
    deep = np.repeat(DEEP[..., None], 3, axis=2)
    assert noted(film(dicom(deep, bits=16, **colour)), "12-bit data", "--range 0,4095")


@pytest.mark.parametrize(
    ("words", "high", "signed"),
    [
        (DEEP | ((DEEP > 2000).astype(np.uint16) << 13), 11, 0),  # an overlay above the film
        (DEEP << 4, 15, 0),
        ((DEEP.astype(np.int16) - 2048).view(np.uint16) & 0xFFF, 11, 1),  # its sign in bit 11
    ],
)
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_stored_bits_are_followed_in_compressed_words_too(
    film: Any, words: np.ndarray, high: int, signed: int, syntax: str
) -> None:
    made = pydicom.dcmread(io.BytesIO(recoded(dicom(words, bits=16), syntax)))
    made.BitsStored, made.HighBit, made.PixelRepresentation = 12, high, signed
    stream = io.BytesIO()
    made.save_as(stream)
    np.testing.assert_allclose(film(stream.getvalue()).pixels, GREY, atol=1e-6)


@pytest.mark.parametrize(
    ("uid", "name"),
    [("6", "Ultrasound"), ("68.1", "Surface Scan"), ("81.1", "Ophthalmic Thickness"), ("200.1", "Protocol")],
)
def test_every_standard_class_that_is_no_radiograph_is_refused_by_its_name(film: Any, uid: str, name: str) -> None:
    with pytest.raises(ImageError, match=f"{name}.*no radiograph"):
        film(dicom(DEEP, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{uid}", Modality="OT"))


def test_other_classes_and_modalities_are_noted(film: Any) -> None:
    assert noted(film(dicom(DEEP, SOPClassUID="1.3.46.670589.2.1")), "SOP class 1.3.46.670589.2.1 is not known")
    assert noted(film(dicom(DEEP, Modality="ES")), "Modality ES")
    assert noted(film(dicom(DEEP, ShutterShape="CIRCULAR")), "display shutter (CIRCULAR)")
    assert noted(film(dicom(DEEP, NumberOfFrames=0)), "NumberOfFrames 0, 1 taken")
    assert not film(dicom(DEEP, SOPClassUID="1.2.840.10008.5.1.4.1.1.12.1.1", Modality="XA")).notes


def test_more_pixel_data_than_declared_are_noted_and_four_samples_refused(film: Any) -> None:
    assert noted(film(dicom(DEEP, Rows=40)), "bytes of pixel data more than declared")
    for odd in ({"Rows": 20}, {"BitsAllocated": 8}):
        with pytest.raises(ImageError, match=r"they contradict each other"):
            film(dicom(DEEP, **odd))
    rgb = np.dstack([DEEP.astype(np.uint8)] * 3)
    with pytest.raises(ImageError, match="RGB with 4 samples"):
        film(dicom(rgb, bits=8, SamplesPerPixel=4, PhotometricInterpretation="RGB", PlanarConfiguration=0))


def test_rle_of_an_odd_number_of_bytes_may_be_padded_to_an_even_one(film: Any) -> None:
    values = np.arange(21, dtype=np.uint8).reshape(3, 7) * 12
    for padding in (b"", b"\0"):
        packed = values.tobytes() + padding
        segment = bytes([len(packed) - 1]) + packed
        made = pydicom.dcmread(io.BytesIO(dicom(values, bits=8)))
        made.PixelData = encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + segment + b"\0" * (len(segment) % 2)])
        made["PixelData"].is_undefined_length, made.file_meta.TransferSyntaxUID = True, UID("1.2.840.10008.1.2.5")
        stream = io.BytesIO()
        made.save_as(stream)
        np.testing.assert_allclose(film(stream.getvalue()).pixels, values / 255, atol=1e-6)
