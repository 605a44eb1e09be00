"""Manifests: one row a film, as CSV or Parquet."""

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radiolucent.data.label_cells import COMMA, cell_text, classes_in, name_text
from radiolucent.data.label_layouts import Laid, as_manifest
from radiolucent.data.manifest_columns import COLUMNS, separator_of, under_known_names
from radiolucent.data.multilabel import FoundLabels, LabelOptions, labels_in
from radiolucent.data.patients import names_nobody
from radiolucent.data.records import NOT_GIVEN, SPLITS, Dataset, Record, split_of
from radiolucent.errors import DataError
from radiolucent.files import atomic_path, real_path, write_text
from radiolucent.shown import counted
from radiolucent.tables import after_sep, csv_text, decoded, unguarded

__all__ = ["read_manifest", "write_manifest"]

MOST_BYTES = 1 << 28  # of a manifest: a line a film, for a million films
_SHORTENED = re.compile(r"\d(\.\d+)?[eE]\+\d+")  # as Excel saves 123456789012
FOUND = LabelOptions()  # the labels that are there, those that are not plain being left out


def read_manifest(path: Path, options: LabelOptions | None = FOUND) -> Dataset:
    """Read a manifest with the column `path` (relative to the manifest) and, where known, label (a class name),
    patient_id, split (train, val, test), site, etiology; further columns are kept. Other usual names of these columns
    are understood (`manifest_columns.COLUMNS`), which a note says; cells may stand between semicolons or tabs, the text
    may be UTF-8, UTF-16 or Windows-1252, and cells such as "nan" or "NA" are empty. Spellings of one class are joined.

    A film has several labels where `label` holds names with `|` or `;` between, or where there is no such column and
    two or more hold nothing but 1 or yes, 0 or no, -1 (uncertain) and empty cells (not given). The manifests of NIH
    ChestX-ray14, CheXpert, VinDr-CXR, PadChest, RSNA and MIMIC-CXR are read as they are published
    (`radiolucent.data.label_layouts`).

    Args:
        options: which labels, and what becomes of uncertain ones; None: films have one class each.

    Raises:
        DataError: unreadable, no `path` column, an empty or repeated path, an unknown split: with the row's number.
    """
    rows, lines, assumed = _rows(path)
    laid, renamed = as_manifest(rows, lines, path), list[str]()
    if rows and laid is None:
        rows, renamed = under_known_names(rows, path)
    labels = _labels(path, rows, lines, laid, options)
    if laid is not None:
        rows, lines = laid.rows, laid.lines
    if not rows or "path" not in rows[0]:
        have = ", ".join(str(name) for name in rows[0] if name) if rows else "no rows"
        raise DataError(f"{path}: a manifest needs a column 'path' and at least one row; it has {have}.")
    people, who = _people(rows)
    given = [] if labels else [name_text(row.get("label")) for row in rows]
    called, said = classes_in(given)
    names = tuple(sorted(set(called.values())))
    said += [COMMA.format(n) for n in names if "," in n][:1]
    skip = {*COLUMNS, *(labels.columns if labels else ())}
    seen: dict[str, int] = {}
    nobody: Counter[str] = Counter()
    records: list[Record] = []
    for at, (number, row) in enumerate(zip(lines, rows, strict=True)):
        where, file = _film(str(row.get("path") or ""), path.parent)
        said_split = cell_text(row.get("split"))
        split = split_of(said_split) or said_split or None
        if not where:
            raise DataError(f"{path}, line {number}: the path is empty.")
        place = os.path.normpath(file)
        if place in seen:
            raise DataError(f"{path}, line {number}: {where} stands in line {seen[place]} already; keep one.")
        if None in row and any(row[None]):  # pyright: ignore[reportArgumentType]
            raise DataError(f"{path}, line {number}: has more cells than the heading; quote cells that hold commas.")
        if "\0" in where:
            raise DataError(f"{path}, line {number}: the path holds a NUL byte, which no file name can.")
        if split not in (None, *SPLITS):
            raise DataError(f"{path}, line {number}: split {split!r}; expected train, val, test or nothing.")
        seen[place] = number
        label = names.index(called[given[at]]) if given and given[at] in called else None
        extra = {k: text for k, v in row.items() if k and k not in skip and (text := cell_text(v))}
        optional = {k: cell_text(row.get(k)) or None for k in ("site", "etiology", "sha256")}
        optional["patient_id"] = people.get(name_text(row.get("patient_id")))
        if optional["patient_id"] and names_nobody(optional["patient_id"]):
            nobody[optional["patient_id"]] += 1
            optional["patient_id"] = None
        findings = labels.values[at] if labels else ()
        records.append(Record(file, where, label, split=split, extra=extra, findings=findings, **optional))
    notes = [*assumed, *renamed, *said, *who, *(laid.notes if laid else ()), *(labels.notes if labels else ())]
    notes += [f"patient {name!r} of {counted(count, 'film')} names nobody" for name, count in nobody.items()]
    kind = f"{laid.name} manifest" if laid else "manifest"
    return Dataset(
        tuple(records), labels.names if labels else names, path.parent, tuple(laid.left_out) if laid else (),
        f"{kind} {path.name}", tuple(notes), labels is not None,
    )  # fmt: skip


def _people(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """(the patient that each name means, notes): names that differ in case or Unicode form alone are one patient."""
    names = sorted({name for row in rows if (name := name_text(row.get("patient_id")))})
    called: dict[str, str] = {}
    first: dict[str, str] = {}
    for name in names:
        key = name if names_nobody(name) else unicodedata.normalize("NFC", name).casefold()
        called[name] = first.setdefault(key, name)
    notes = [f"{n!r} and {called[n]!r} are taken for one patient" for n in names if called[n] != n][:3]
    if shortened := [name for name in names if _SHORTENED.fullmatch(name)]:
        notes.append(
            f"patients such as {shortened[0]} are long numbers that a spreadsheet has shortened: several may be one "
            "now; export them as text"
        )
    return called, notes


def _labels(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    lines: Sequence[int],
    laid: Laid | None,
    options: LabelOptions | None,
) -> FoundLabels | None:
    if options is None or not rows:
        return None
    if laid is not None:
        found = {"columns": laid.columns, "listed": laid.listed, "vocabulary": laid.vocabulary}
        return labels_in(laid.rows, laid.lines, options, str(path), **found)  # pyright: ignore[reportArgumentType]
    found = labels_in(rows, lines, options, str(path))
    if found is None and options.names and not options.lenient:
        have = ", ".join(str(name) for name in rows[0] if name)
        raise DataError(f"{path}: no column {', '.join(options.names)}, and no column 'label'; it has {have}.")
    return found


def _film(where: str, folder: Path) -> tuple[str, Path]:
    """(a film's path as it is listed, its file).

    A name that is not there may have backslashes, blanks around it, or its accents in another Unicode form.
    """
    if "\0" not in where and (not where.isascii() or "\\" in where or where != where.strip()):
        bare = where.strip().replace("\\", "/")
        forms = (where, bare, unicodedata.normalize("NFC", bare), unicodedata.normalize("NFD", bare))
        where = next((form for form in forms if _is_there(folder / form)), where)
    return where, folder / where


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:  # a name that is too long
        return False


def _rows(path: Path) -> tuple[Sequence[Mapping[str, Any]], Sequence[int], list[str]]:
    """(rows, the line that each stands in, notes of what was assumed)."""
    import pyarrow.parquet as pq

    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: has {path.stat().st_size / 1e6:,.0f} MB, too much for a manifest.")
        if path.suffix.lower() in (".parquet", ".pq"):
            rows = pq.read_table(path).to_pylist()
            return rows, range(2, len(rows) + 2), []
        if path.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".ods"):
            raise DataError(f"{path}: is a spreadsheet; save the sheet as CSV (UTF-8), and give that.")
        if path.suffix.lower() in (".gz", ".zip", ".bz2", ".xz"):
            raise DataError(f"{path}: is packed; unpack it, and give the manifest in it.")
        if path.suffix.lower() not in (".csv", ".tsv", ".tab", ".txt"):
            raise DataError(f"{path}: expected a folder, or a manifest ending in .csv, .tsv or .parquet.")
        found = decoded(path.read_bytes())
        if found is None:
            raise DataError(
                f"{path}: not readable as a manifest (it is no text in UTF-8, or UTF-16 "
                "with its mark: it holds a NUL byte, or another control); save it as CSV (UTF-8)."
            )
        declared, text, before = after_sep(found[0])
        heading = io.StringIO(text, newline="").readline()  # lines may end as those of old Macs do
        separator = declared or separator_of(heading)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        rows: list[Mapping[str, Any]] = []
        lines: list[int] = []
        try:
            for row in reader:
                rows.append({k: unguarded(v) if isinstance(v, str) else v for k, v in row.items()})
                lines.append(before + reader.line_num)
        except csv.Error as error:
            raise DataError(
                f"{path}: not readable as a manifest ({error}): quotes in line {before + reader.reader.line_num}, or "
                "above it, are not closed, or stand within a cell and have to be doubled."
            ) from error
        while rows and not any(rows[-1].values()):  # as spreadsheets leave behind the last one
            rows.pop()
            lines.pop()
        names = reader.fieldnames
        short = [line for row, line in zip(rows, lines, strict=True) if None in row.values()]
        if short == lines[-1:] and len(lines) > 1 and text[-1] not in "\r\n":
            raise DataError(f"{path}: is cut short within its last line, {short[0]}; copy it again.")
        if twice := [n for n, many in Counter(names).items() if n and many > 1]:
            raise DataError(f"{path}: the column {twice[0]!r} stands twice in the heading; keep one.")
        guessed = "is no UTF-8 and was read as Windows-1252; check letters such as ä or é in names"
        notes = [guessed] if found[1] == "cp1252" else []
        if short:
            notes.append(f"{len(short)} lines (first: {short[0]}) have fewer cells than the heading: the rest is empty")
        return rows, lines, notes
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
    named = dataset.class_names if dataset.multilabel else ()
    if clash := set(named) & {*COLUMNS, *(key for record in dataset.records for key in record.extra)}:
        raise DataError(f"{file}: label {sorted(clash)[0]!r} has the name of another column; rename it.")
    extras = [*named, *sorted({key for record in dataset.records for key in record.extra})]
    columns = [c for c in COLUMNS if c != "label" or not dataset.multilabel] + extras
    if file.suffix.lower() == ".parquet":
        table = pa.table({c: pa.array([row.get(c) or None for row in rows], pa.string()) for c in columns})
        with atomic_path(file) as temporary:
            pq.write_table(table, temporary)
    else:
        write_text(file, csv_text(columns, rows))
    return file


def _row(record: Record, class_names: tuple[str, ...], folder: Path) -> dict[str, str]:
    path, base = real_path(record.path), real_path(folder)
    values = {
        "path": path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path),
        "label": "" if record.label is None else class_names[record.label],
    } | {n: "" if v == NOT_GIVEN else str(v) for n, v in zip(class_names, record.findings, strict=False)}
    return values | {c: getattr(record, c) or "" for c in list(COLUMNS)[2:]} | dict(record.extra)
