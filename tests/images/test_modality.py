"""A film before its window: exact values, and what the header says of showing them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radiolucent.errors import ImageError
from radiolucent.images import read
from radiolucent.images.modality import ModalityValues, modality_values
from support.odd_films import dicom, films, raster, rich_dicom, tiff, zipped
from support.study_server import write_dicom

STEPS = np.arange(4096).reshape(64, 64)


def values(found: ModalityValues) -> np.ndarray:
    return found.intercept + found.slope * found.levels.astype(np.float64)


def film(folder: Path, stored: Any = STEPS, **tags: Any) -> ModalityValues:
    write_dicom(folder / "film.dcm", stored, **tags)
    return modality_values(folder / "film.dcm")


def test_values_are_those_after_the_modality_lut_and_before_the_window(tmp_path: Path) -> None:
    found = film(tmp_path, WindowCenter=[1000, 3000], WindowWidth=[500, 400], WindowCenterWidthExplanation=["A", "B"])
    assert np.array_equal(values(found), STEPS) and found.range == (0, 4095)
    assert [(w.name, w.centre, w.width) for w in found.windows] == [("A", 1000, 500), ("B", 3000, 400)]
    scaled = film(tmp_path, RescaleSlope="0.5", RescaleIntercept="-1000", RescaleType="HU")
    assert np.array_equal(values(scaled), STEPS * 0.5 - 1000) and scaled.unit == "HU"
    assert (scaled.slope, scaled.range) == (0.5, (-1000, 1047.5)) and scaled.windows == ()


def test_signed_stored_values_and_padding(tmp_path: Path) -> None:
    signed = STEPS - 2048
    signed[:8] = -2048
    found = film(tmp_path, signed, PixelRepresentation=1, PixelPaddingValue=-2048)
    assert np.array_equal(values(found), signed)
    assert found.range == (-2048 + 512, 2047) and found.auto[0] > -1600  # padding is no value


def test_monochrome1_and_a_voi_lut_show_what_read_shows(tmp_path: Path) -> None:
    import pydicom

    lut = pydicom.Dataset()
    table = np.rint(4095 * (np.arange(4096) / 4095) ** 2).astype("<u2")
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 12], table.tolist()
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "US"
    found = film(tmp_path, VOILUTSequence=[lut], PhotometricInterpretation="MONOCHROME1")
    assert found.inverted and found.windows[0].function == "TABLE" and found.windows[0].table is not None
    shown = 1 - found.windows[0].table[found.levels] / 255
    assert np.abs(shown - read(tmp_path / "film.dcm").pixels).max() < 0.51 / 255 + 1e-6


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.1]}, ((0.2, 0.1), "detector")),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.2, 0.1]}, ((0.2, 0.1), "detector")),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.18, 0.18]}, ((0.18, 0.18), "patient")),
        (
            {"PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"},
            ((0.2, 0.2), "patient"),
        ),
        ({"PixelSpacing": [0.2, 0.2]}, ((0.2, 0.2), "detector")),
        ({"PixelSpacing": [0, 0]}, (None, "")),
        ({}, (None, "")),
    ],
)
def test_the_plane_of_a_spacing_is_said(tmp_path: Path, tags: dict[str, Any], expected: Any) -> None:
    found = film(tmp_path, **tags)
    assert (found.spacing, found.plane) == expected


def test_windows_that_are_not_valid_are_left_out(tmp_path: Path) -> None:
    assert film(tmp_path, WindowCenter=100, WindowWidth=0).windows == ()
    exact = film(tmp_path, WindowCenter=100, WindowWidth=0.5, VOILUTFunction="LINEAR_EXACT")
    assert exact.windows[0].function == "LINEAR_EXACT"


def test_rasters_keep_their_bits(tmp_path: Path) -> None:
    twelve = STEPS.astype(np.uint16)
    Image.fromarray(twelve).save(tmp_path / "a.png")
    found = modality_values(tmp_path / "a.png")
    assert np.array_equal(values(found), twelve) and found.range == (0, 4095) and found.bits == 16
    eight = (STEPS // 16).astype(np.uint8)
    Image.fromarray(eight).save(tmp_path / "b.png")
    assert np.array_equal(values(modality_values(tmp_path / "b.png")), eight)
    Image.fromarray(np.linspace(-3, 5, 4096, dtype=np.float32).reshape(64, 64)).save(tmp_path / "c.tiff")
    floats = modality_values(tmp_path / "c.tiff")
    assert np.abs(values(floats) - np.linspace(-3, 5, 4096).reshape(64, 64)).max() < 8 / 65535


def test_what_cannot_be_read_is_refused_as_read_does(tmp_path: Path) -> None:
    for content in (b"", b"no film"):
        (tmp_path / "x.png").write_bytes(content)
        with pytest.raises(ImageError, match=r"x\.png"):
            modality_values(tmp_path / "x.png")
    with pytest.raises(ImageError, match="no such file"):
        modality_values(tmp_path / "none.png")


def test_what_a_viewer_shows_is_what_read_shows_in_every_container(tmp_path: Path) -> None:
    """The same film, light and dark the same way, turned the same way, whatever holds it."""
    grey = np.linspace(0, 4095, 40 * 48).reshape(40, 48).astype(np.uint16)
    more = {
        "white is zero": tiff(65535 - grey * 16, photometric="miniswhite"),
        "turned": tiff(grey * 16, extratags=[(274, "H", 1, 6, True)]),
        "white is zero, 8 bit": tiff((255 - grey // 16).astype(np.uint8), photometric="miniswhite"),
        "signed": tiff((grey.astype(int) - 2000).astype(np.int16)), "long": tiff(grey.astype(np.uint32) * 100),
        "packed": zipped(a__png=raster(grey * 16, "PNG")), "falling": dicom(grey, RescaleSlope=-1, RescaleIntercept=9),
        "inverse": dicom(grey, PhotometricInterpretation="MONOCHROME1"), "signed in name": dicom(grey.astype(np.int16)),
    }  # fmt: skip
    rich = {name: content for name, content in rich_dicom().items() if name != "frames"}
    for name, content in (films() | rich | more).items():
        (tmp_path / "film").write_bytes(content)
        seen, shown = modality_values(tmp_path / "film"), read(tmp_path / "film").pixels
        assert seen.levels.shape == shown.shape, name
        ranks = [np.argsort(np.argsort(v.ravel(), kind="stable")) for v in (values(seen), shown)]
        same = float(np.corrcoef(*ranks)[0, 1]) * (-1 if seen.inverted else 1)
        assert same > 0.9 or shown.std() == 0, (name, same)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("how", ["rescale", "lut"])
def test_modality_values_are_pydicoms(tmp_path: Path, how: str, signed: bool) -> None:
    import pydicom
    from pydicom.pixels import apply_modality_lut

    stored = np.arange(3000).reshape(50, 60) - (1500 if signed else 0)
    tags: dict[str, Any] = {"RescaleSlope": "0.25", "RescaleIntercept": "-7", "PixelRepresentation": int(signed)}
    if how == "lut":
        table = pydicom.Dataset()
        table.LUTDescriptor, table.LUTData = [3000, 64036 if signed else 0, 16], (np.arange(3000) * 20).tolist()
        table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "US"
        tags = {"ModalityLUTSequence": [table], "PixelRepresentation": int(signed)}
    found = film(tmp_path, stored, **tags)
    dataset = pydicom.dcmread(tmp_path / "film.dcm")
    if how == "lut" and signed:
        dataset.ModalityLUTSequence[0].LUTDescriptor[1] = -1500  # as pydicom holds it after its own correction
    expected = apply_modality_lut(stored, dataset)
    np.testing.assert_allclose(values(found), expected, atol=1e-9)
