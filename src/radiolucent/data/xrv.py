"""torchxrayvision's data sets: one of their pathologies as the label, their films as files with a manifest."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from radiolucent.bounds import PATH, expect
from radiolucent.data.manifest import read_manifest, write_manifest
from radiolucent.data.records import Dataset, LeftOut, Record
from radiolucent.errors import DataError
from radiolucent.files import atomic_path

__all__ = ["from_torchxrayvision"]

SPAN = 1024.0
"""Their grey levels go from −1024 to 1024."""

COLUMNS = {"view": "view", "age_years": "age", "sex_male": "sex", "site": "site"}
"""Their columns that are kept, and what they are called here."""


def from_torchxrayvision(
    dataset: Any,
    pathology: str,
    folder: str | Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """The films of a torchxrayvision data set as 16-bit PNG files with a manifest: `pathology` against all others.

    Films whose label is unknown (not a number) are left out. Patient, view, age and sex are taken along where known.
    Films come as the data set gives them, its transforms and augmentation included; give it none for whole films.

    Args:
        dataset: e.g. `torchxrayvision.datasets.NIH_Dataset(imgpath=…)`; `views=["PA", "AP"]`, `unique_patients=False`
            take all films. pathology: one of `dataset.pathologies`.
        folder: where films and `manifest.csv` are written; called again, films that are there are not written again.

    Raises:
        DataError: no such pathology, or no film with a known label.
    """
    if not (hasattr(dataset, "pathologies") and hasattr(dataset, "labels")):
        expect(
            dataset, (), "data set", "one of torchxrayvision, such as torchxrayvision.datasets.NIH_Dataset(imgpath=…)"
        )
    expect(folder, PATH, "folder", "its path")
    names = [str(name) for name in dataset.pathologies]
    if pathology not in names:
        raise DataError(f"pathology {pathology!r}; this data set has {', '.join(names)}.")
    out, column = Path(folder), names.index(pathology)
    labels = np.asarray(dataset.labels, np.float64)[:, column]
    classes = (f"No {pathology}", pathology)
    rows: list[Mapping[str, Any]] = dataset.csv.to_dict("records") if hasattr(dataset, "csv") else [{}] * len(labels)
    records: list[Record] = []
    left: list[LeftOut] = []
    for i, (label, row) in enumerate(zip(labels.tolist(), rows, strict=True)):
        where = f"{i:06d}.png"
        if label not in (0.0, 1.0):
            left.append(LeftOut(out / where, f"{pathology} is {label}: unknown"))
        else:
            if not (out / where).is_file():
                _write(dataset[i]["img"], out / where)
            records.append(_record(out, where, int(label), row))
        if progress:
            progress(i + 1, len(labels))
    if not records:
        raise DataError(f"no film with a known label of {pathology} among {len(labels)}.")
    found = Dataset(tuple(records), classes, out, tuple(left), f"torchxrayvision {type(dataset).__name__}")
    write_manifest(found, out / "manifest.csv")
    again = read_manifest(out / "manifest.csv")  # classes in the order that the next call finds them in
    return dataclasses.replace(again, source=found.source, left_out=found.left_out)


def _write(picture: Any, file: Path) -> None:
    """One film (1, H, W) from −1024 to 1024 as 16-bit grey."""
    grey = np.asarray(picture, np.float32)
    if grey.ndim != 3 or grey.shape[0] != 1 or np.abs(grey).max() > SPAN * 1.001:
        raise DataError(
            f"{file.name}: a film {grey.shape} up to {np.abs(grey).max():.4g}; expected (1, H, W) within ±1024."
        )
    whole = np.clip((grey[0] + SPAN) / (2 * SPAN), 0, 1) * 65535
    with atomic_path(file) as temporary:
        Image.fromarray(whole.round().astype(np.uint16)).save(temporary)


def _record(out: Path, where: str, label: int, row: Mapping[str, Any]) -> Record:
    known = {own: str(row[theirs]) for theirs, own in COLUMNS.items() if _known(row.get(theirs))}
    if "sex" in known:
        known["sex"] = "male" if known["sex"].lower() in ("1", "1.0", "true") else "female"
    patient = str(row["patientid"]) if _known(row.get("patientid")) else None
    site = known.pop("site", None)
    return Record(out / where, where, label, patient, site=site, extra=known)


def _known(value: Any) -> bool:
    return value is not None and value == value and str(value).strip() != ""
