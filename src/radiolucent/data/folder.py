"""Data sets from folders: `train|val|test/CLASS/*`, `CLASS/*`, or images alone."""

import dataclasses
import os
from pathlib import Path

from radiolucent.data.kermany import parse_name
from radiolucent.data.manifest import read_manifest
from radiolucent.data.records import Dataset, LeftOut, Record
from radiolucent.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "load_dataset"]

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".dcm", ".dicom", ".dic", ""}
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_IGNORED = {"__MACOSX", "masks", "Thumbs.db", "desktop.ini"}


def load_dataset(path: str | Path, *, classes: int = 2) -> Dataset:
    """Find the films of a folder or manifest.

    Args:
        path: a folder laid out as `split/CLASS/*`, `CLASS/*` or images alone; or a manifest (CSV, Parquet), which a
            folder may also hold as `manifest.csv`.
        classes: 2 as in the folders, or 3 (NORMAL, BACTERIAL, VIRAL) from the Kermany file names.

    Files that cannot be films (by name or place) are listed in `left_out`; damaged films are found when read.

    Raises:
        DataError: nothing there, no image in it, or three classes without such names.
    """
    root = Path(path)
    if root.is_file():
        dataset = read_manifest(root)
    elif not root.is_dir():
        raise DataError(f"{root}: no such folder or manifest; check the path.")
    elif (root / "manifest.csv").is_file():
        dataset = read_manifest(root / "manifest.csv")
    else:
        dataset = _scan(root)
    if not dataset.records:
        raise DataError(
            f"{root}: no image found; expected split/CLASS/*, CLASS/* or images (JPEG, PNG, TIFF, BMP, DICOM)."
        )
    return _three_classes(dataset) if classes == 3 else dataset


def _scan(root: Path) -> Dataset:
    found: list[tuple[Path, str | None, str | None]] = []
    left_out: list[LeftOut] = []
    for folder, names, files in os.walk(root):
        here = Path(folder)
        for name in [n for n in names if n.startswith(".") or n in _IGNORED]:
            names.remove(name)
            left_out.append(LeftOut(here / name, "hidden or auxiliary folder"))
        names.sort()
        for name in sorted(files):
            path = here / name
            if name.startswith(".") or name in _IGNORED:
                left_out.append(LeftOut(path, "hidden or auxiliary file"))
            elif path.suffix.lower() not in IMAGE_SUFFIXES:
                left_out.append(LeftOut(path, f"not an image by its name ({path.suffix})"))
            else:
                found.append((path, *_place(path.relative_to(root).parts[:-1])))
    class_names = tuple(sorted({c for _, _, c in found if c is not None}))
    if len(class_names) == 1 and not any(split for _, split, _ in found):
        class_names = ()  # one folder of images is not a class
    records = [_record(root, path, split, label, class_names) for path, split, label in found]
    return Dataset(tuple(records), class_names, root, tuple(left_out), f"folder {root.name}")


def _place(parts: tuple[str, ...]) -> tuple[str | None, str | None]:
    """(split, class) from the folders between root and file."""
    split = next((_SPLIT_NAMES[p.lower()] for p in parts if p.lower() in _SPLIT_NAMES), None)
    rest = [p for p in parts if p.lower() not in _SPLIT_NAMES]
    return split, (rest[-1] if rest else None)


def _record(root: Path, path: Path, split: str | None, label: str | None, class_names: tuple[str, ...]) -> Record:
    patient, etiology = parse_name(path.stem, split or "all")
    index = class_names.index(label) if label is not None and label in class_names else None
    return Record(path, path.relative_to(root).as_posix(), index, patient, split, etiology=etiology)


def _three_classes(dataset: Dataset) -> Dataset:
    names = ("NORMAL", "BACTERIAL", "VIRAL")
    index = {None: 0, "bacteria": 1, "virus": 2}
    ill = [r for r in dataset.records if r.label is not None and dataset.class_names[r.label].upper() != "NORMAL"]
    unknown = [r.image_id for r in ill if r.etiology is None]
    if not ill or unknown:
        raise DataError(
            f"three classes need names such as person1_bacteria_2.jpeg; {len(unknown)} of {len(ill)} ill films say no "
            f"etiology{' (e.g. ' + unknown[0] + ')' if unknown else ''}: use two classes, or a manifest with labels."
        )
    records = tuple(dataclasses.replace(r, label=index[r.etiology]) for r in dataset.records)
    return dataclasses.replace(dataset, records=records, class_names=names)
