"""MedMNIST's .npz files and torchxrayvision's data sets, in the layouts that they publish."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import radiolucent as rl
from radiolucent.data import load_dataset
from radiolucent.data.xrv import from_torchxrayvision
from radiolucent.errors import DataError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RADIOLUCENT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def npz(file: Path, shape: tuple[int, ...] = (28, 28), labels: int = 1, **changes: object) -> Path:
    """As MedMNIST writes it: uint8 images and uint8 labels (N, 1) of three splits."""
    content: dict[str, object] = {}
    for split, count in (("train", 6), ("val", 4), ("test", 2)):
        content[f"{split}_images"] = RNG.integers(0, 256, (count, *shape), dtype=np.uint8)
        content[f"{split}_labels"] = (np.arange(count * labels) % 2).astype(np.uint8).reshape(count, labels)
    np.savez_compressed(file, **(content | changes))  # type: ignore[arg-type]
    return file


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3)])
def test_an_npz_file_is_a_data_set(shape: tuple[int, ...], tmp_path: Path, cache: Path) -> None:
    file = npz(tmp_path / "pneumoniamnist.npz", shape)
    found = load_dataset(file)
    assert {s: sum(c.values()) for s, c in found.counts().items()} == {"train": 6, "val": 4, "test": 2}
    assert found.class_names in (("NORMAL", "PNEUMONIA"), ("0", "1")) and found.records[1].label == 1
    expected = np.load(file)["train_images"][0]
    np.testing.assert_array_equal(np.asarray(Image.open(found.records[0].path)), expected)
    before = [p.stat().st_mtime_ns for p in cache.rglob("*.png")]
    assert load_dataset(file).records == found.records
    assert [p.stat().st_mtime_ns for p in cache.rglob("*.png")] == before


def test_other_names_and_parts(tmp_path: Path) -> None:
    assert load_dataset(npz(tmp_path / "mine.npz")).class_names == ("0", "1")
    images, labels = np.zeros((3, 8, 8), np.uint8), np.array([0, 2, 1])
    np.savez(tmp_path / "some.npz", train_images=images, train_labels=labels)
    assert [r.label for r in load_dataset(tmp_path / "some.npz").records] == [0, 2, 1]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"labels": 14}, "several labels a film"),
        ({"shape": (28, 28, 28)}, "3-D volumes"),
        ({"train_images": np.zeros((6, 28, 28), np.float32)}, "expected uint8"),
        ({"train_labels": np.zeros((5, 1), np.uint8)}, "for 6 images"),
    ],
)
def test_what_is_no_such_file_is_refused(changes: dict[str, object], why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        load_dataset(npz(tmp_path / "odd.npz", **changes))  # type: ignore[arg-type]
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="holds x; expected train_images"):
        load_dataset(tmp_path / "other.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(DataError, match=r"not readable as \.npz"):
        load_dataset(tmp_path / "broken.npz")


def test_torchxrayvision(tmp_path: Path) -> None:
    xrv = pytest.importorskip("torchxrayvision")
    pytest.importorskip("pandas")
    grey = {f"0000000{i}_000.png": RNG.integers(0, 256, (32, 32), dtype=np.uint8) for i in range(4)}
    (tmp_path / "images").mkdir()
    for name, pixels in grey.items():
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    head = (
        (
            "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
            "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
        )
        .replace("OriginalImage[Width,Height]", '"OriginalImage[Width,Height]"')
        .replace("OriginalImagePixelSpacing[x,y]", '"OriginalImagePixelSpacing[x,y]"')
    )
    labels = ("Effusion|Edema", "No Finding", "Mass", "Effusion")
    rows = [
        f"{n},{t},0,{i},{50 + i},{'MF'[i % 2]},PA,32,0.1" for i, (n, t) in enumerate(zip(grey, labels, strict=True))
    ]
    (tmp_path / "entries.csv").write_text("\n".join([head, *rows]) + "\n")
    theirs = xrv.datasets.NIH_Dataset(str(tmp_path / "images"), csvpath=str(tmp_path / "entries.csv"))
    found = from_torchxrayvision(theirs, "Effusion", tmp_path / "films")
    again = load_dataset(tmp_path / "films")
    assert found.class_names == again.class_names == ("Effusion", "No Effusion")
    assert [r.label for r in again.records] == [0, 1, 1, 0]
    assert [r.patient_id for r in again.records] == ["0", "1", "2", "3"]
    assert again.records[1].columns == {"view": "PA", "age": "51.0", "sex": "female"}
    film = rl.read(again.records[0].path)
    np.testing.assert_allclose(film.pixels, next(iter(grey.values())) / 255, atol=1e-3)
    with pytest.raises(DataError, match="this data set has Atelectasis"):
        from_torchxrayvision(theirs, "Fracture", tmp_path / "films")
    theirs.labels[0, theirs.pathologies.index("Effusion")] = np.nan
    assert len(from_torchxrayvision(theirs, "Effusion", tmp_path / "fewer")) == 3
