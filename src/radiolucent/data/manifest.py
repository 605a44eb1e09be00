"""Manifests: one row a film, as CSV or Parquet."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radiolucent.data.records import SPLITS, Dataset, Record
from radiolucent.errors import DataError
from radiolucent.files import atomic_path, write_text
from radiolucent.tables import csv_text, unguarded

__all__ = ["read_manifest", "write_manifest"]

MOST_BYTES = 1 << 28  # of a manifest: a line a film, for a million films
_COLUMNS = ("path", "label", "patient_id", "split", "site", "etiology", "sha256")


def read_manifest(path: Path) -> Dataset:
    """Read a manifest with the column `path` (relative to the manifest) and, where known, label (a class name),
    patient_id, split (train, val, test), site, etiology; further columns are kept.

    Raises:
        DataError: unreadable, no `path` column, an empty or repeated path, an unknown split: with the row's number.
    """
    rows = _rows(path)
    if not rows or "path" not in rows[0]:
        have = ", ".join(str(name) for name in rows[0] if name) if rows else "no rows"
        raise DataError(f"{path}: a manifest needs a column 'path' and at least one row; it has {have}.")
    names = tuple(sorted({str(r["label"]) for r in rows if r.get("label")}))
    seen: dict[str, int] = {}
    records: list[Record] = []
    for number, row in enumerate(rows, start=2):
        where = str(row.get("path") or "")
        split = row.get("split") or None
        if not where:
            raise DataError(f"{path}, line {number}: the path is empty.")
        if where in seen:
            raise DataError(f"{path}, line {number}: {where} stands in line {seen[where]} already; keep one.")
        if None in row and any(row[None]):  # pyright: ignore[reportArgumentType]
            raise DataError(f"{path}, line {number}: has more cells than the heading; quote cells that hold commas.")
        if "\0" in where:
            raise DataError(f"{path}, line {number}: the path holds a NUL byte, which no file name can.")
        if split not in (None, *SPLITS):
            raise DataError(f"{path}, line {number}: split {split!r}; expected train, val, test or nothing.")
        seen[where] = number
        file = Path(where) if Path(where).is_absolute() else path.parent / where
        label = names.index(str(row["label"])) if row.get("label") else None
        extra = {k: str(v) for k, v in row.items() if k and k not in _COLUMNS and v not in (None, "")}
        optional = {k: (str(row[k]) if row.get(k) else None) for k in ("patient_id", "site", "etiology", "sha256")}
        records.append(Record(file, where, label, split=split, extra=extra, **optional))
    return Dataset(tuple(records), names, path.parent, source=f"manifest {path.name}")


def _rows(path: Path) -> list[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: has {path.stat().st_size / 1e6:,.0f} MB, too much for a manifest.")
        if path.suffix.lower() in (".parquet", ".pq"):
            return pq.read_table(path).to_pylist()
        if path.suffix.lower() != ".csv":
            raise DataError(f"{path}: expected a folder, or a manifest ending in .csv or .parquet.")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows: list[Mapping[str, Any]] = [
                {k: unguarded(v) if isinstance(v, str) else v for k, v in row.items()} for row in reader
            ]
            names = reader.fieldnames or ()
        if twice := [n for n, many in Counter(names).items() if n and many > 1]:
            raise DataError(f"{path}: the column {twice[0]!r} stands twice in the heading; keep one.")
        return rows
    except DataError:
        raise
    except Exception as error:  # Parquet readers raise many kinds on damaged files
        raise DataError(f"{path}: not readable as a manifest ({error}).") from error


def write_manifest(dataset: Dataset, path: str | Path) -> Path:
    """Write a data set as CSV or Parquet by the suffix, atomically; paths below the file's folder become relative."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(path)
    rows = [_row(record, dataset.class_names, file.parent) for record in dataset.records]
    extras = sorted({key for record in dataset.records for key in record.extra})
    if file.suffix.lower() == ".parquet":
        table = pa.table({c: pa.array([row.get(c) or None for row in rows], pa.string()) for c in (*_COLUMNS, *extras)})
        with atomic_path(file) as temporary:
            pq.write_table(table, temporary)
    else:
        write_text(file, csv_text([*_COLUMNS, *extras], rows))
    return file


def _row(record: Record, class_names: tuple[str, ...], folder: Path) -> dict[str, str]:
    path, base = record.path.resolve(), folder.resolve()
    values = {
        "path": path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path),
        "label": "" if record.label is None else class_names[record.label],
    }
    return values | {c: getattr(record, c) or "" for c in _COLUMNS[2:]} | dict(record.extra)
