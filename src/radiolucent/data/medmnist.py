"""MedMNIST: downloaded through its package, or an `.npz` file in its layout, as files with a manifest."""

import dataclasses
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.data.manifest import read_manifest, write_manifest
from radiolucent.data.records import SPLITS, Dataset, Record
from radiolucent.errors import DataError
from radiolucent.extras import require
from radiolucent.files import atomic_path, sha256_file

__all__ = ["download", "unpack"]


def download(
    folder: str | Path,
    *,
    name: str = "pneumoniamnist",
    size: int = 224,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Download a MedMNIST data set and write it as PNG files with a manifest (its own splits kept).

    Args:
        name: "pneumoniamnist" or another single-label one. size: 28, 64, 128 or 224 pixels.

    Raises:
        MissingExtraError: medmnist is not installed. DataError: an unknown name, or the download failed.
    """
    medmnist = require("medmnist", extra="datasets")
    info = medmnist.INFO.get(name)
    if info is None or "label" not in info:
        raise DataError(f"MedMNIST has no {name!r}; it has {', '.join(sorted(medmnist.INFO))}.")
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    names = tuple(str(info["label"][str(i)]).upper() for i in range(len(info["label"])))
    parts: list[_Part] = []
    for split in SPLITS:
        try:
            part = getattr(medmnist, info["python_class"])(split=split, download=True, size=size, root=str(out))
        except Exception as error:  # medmnist raises the network's errors and its own RuntimeError
            raise DataError(f"MedMNIST {name}: download failed ({error}); check the network.") from error
        parts.append((split, part.imgs, np.ravel(part.labels)))
    return _written(out, names, parts, f"MedMNIST {name} {size}", progress)


_Part = tuple[str, NDArray[Any], NDArray[Any]]
"""Split, images (N, H, W) or (N, H, W, 3), labels (N,)."""


def unpack(file: Path, folder: Path | None = None) -> Dataset:
    """The films of an `.npz` file in MedMNIST's layout, written as PNG files with a manifest; its own splits are kept.

    The file holds `train_images`, uint8 (N, H, W) or (N, H, W, 3), `train_labels`, (N, 1) or (N,), and the same for
    `val` and `test`, each of which may be missing. Class names are MedMNIST's own where the file has one of its names
    and the package is installed; else labels are their numbers.

    Args:
        folder: where they are written; below the cache folder unless given, where they are found again.

    Raises:
        DataError: no such layout, several labels a film, or pixels that are no 8-bit grey or colour.
    """
    out = folder or _cache() / "npz" / sha256_file(file)[:16]
    if (out / "manifest.csv").is_file():
        return read_manifest(out / "manifest.csv")
    try:
        with file.open("rb") as stream, zipfile.ZipFile(stream):  # damaged ones are told here
            held = np.load(file, allow_pickle=False)
        with held:
            content = {key: held[key] for key in held.files}
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{file}: not readable as .npz ({error}).") from error
    parts = [_part(file, split, content) for split in SPLITS if f"{split}_images" in content]
    if not parts:
        raise DataError(
            f"{file}: holds {', '.join(content) or 'nothing'}; expected train_images and train_labels (also val_, "
            "test_), as MedMNIST's files do."
        )
    return _written(out, _names(file, max(int(labels.max()) for *_, labels in parts)), parts, f"npz {file.name}")


def _cache() -> Path:
    home = os.environ.get("RADIOLUCENT_CACHE")
    return Path(home) if home else Path.home() / ".cache" / "radiolucent"


def _part(file: Path, split: str, content: dict[str, NDArray[Any]]) -> _Part:
    images, labels = content[f"{split}_images"], content.get(f"{split}_labels")
    if labels is None:
        raise DataError(f"{file}: {split}_images without {split}_labels.")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise DataError(
            f"{file}: {split}_images {images.dtype} {images.shape}; expected uint8 (N, H, W) or (N, H, W, 3): 3-D "
            "volumes are no films."
        )
    if labels.ndim > 2 or (labels.ndim == 2 and labels.shape[1] != 1):
        raise DataError(f"{file}: {split}_labels {labels.shape}: several labels a film; expected one class a film.")
    whole = labels.ravel().astype(np.int64)
    if len(whole) != len(images) or not len(whole) or (whole != labels.ravel()).any() or whole.min() < 0:
        raise DataError(
            f"{file}: {split}_labels {labels.shape} for {len(images)} images; expected a class number each."
        )
    return split, images, whole


def _names(file: Path, largest: int) -> tuple[str, ...]:
    """MedMNIST's names of the classes where the file is one of its own, else their numbers."""
    try:
        known = require("medmnist", extra="datasets").INFO.get(re.sub(r"_\d+$", "", file.stem), {}).get("label", {})
    except ImportError:
        known = {}
    if len(known) > largest:
        return tuple(str(known[str(i)]).upper() for i in range(len(known)))
    return tuple(str(i) for i in range(largest + 1))


def _written(
    out: Path,
    names: tuple[str, ...],
    parts: Iterable[_Part],
    source: str,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """The films as PNG files `split/CLASS/number.png`, and `manifest.csv` last."""
    records: list[Record] = []
    parts = list(parts)
    total = sum(len(labels) for *_, labels in parts)
    for split, images, labels in parts:
        for i, (pixels, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            where = f"{split}/{names[int(label)]}/{i:05d}.png"
            if not (out / where).is_file():
                with atomic_path(out / where) as temporary:
                    Image.fromarray(pixels).save(temporary)
            records.append(Record(out / where, where, int(label), split=split))
            if progress:
                progress(len(records), total)
    dataset = Dataset(tuple(records), names, out, source=source)
    write_manifest(dataset, out / "manifest.csv")
    again = read_manifest(out / "manifest.csv")  # classes in the order that the next call finds them in
    return dataclasses.replace(again, source=dataset.source, left_out=dataset.left_out)
