"""Manifests as NIH, CheXpert, VinDr-CXR, PadChest, RSNA and MIMIC-CXR publish them, as rows of our own manifest.

Sources: the files' own documentation: Wang 2017 (`Data_Entry_2017.csv`), Irvin 2019 (`train.csv`), Nguyen 2022
(`image_labels_train.csv`), Bustos 2020 (`PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv`), Shih 2019
(`stage_2_train_labels.csv`), Johnson 2019 (`mimic-cxr-2.0.0-chexpert.csv`).
"""

import ast
import csv
import dataclasses
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from radiolucent.data.label_cells import name_text, value_of
from radiolucent.data.manifest_columns import names_films
from radiolucent.data.records import UNCERTAIN, LeftOut
from radiolucent.errors import DataError
from radiolucent.files import walk
from radiolucent.tables import decoded
from radiolucent.types import plain_label

__all__ = ["Laid", "as_manifest", "published_beside"]

Row = Mapping[str, Any]
NIH_LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
CHEXPERT_OTHERS = {"Path", "Sex", "Age", "Frontal/Lateral", "AP/PA"}
HEADING = 1 << 16  # bytes of a heading that are read
PADCHEST_SAYS_NOTHING = {"exclude", "unchanged", "suboptimal study"}  # alone they leave every label open
NO_SUFFIX_MATTERS = {".dicom", ".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff"}


@dataclass
class Laid:
    """A published manifest as rows of our own.

    Attributes:
        name: of the collection.
        rows: with `path` and, where known, patient_id, split and further columns; their line numbers in `lines`.
        columns: those that hold a label each. listed: the one that holds all, in a list; "" where there is none.
        vocabulary: the labels that the listed column may hold, where they are published.
    """

    rows: list[dict[str, Any]]
    lines: list[int]
    columns: tuple[str, ...] = ()
    listed: str = ""
    vocabulary: tuple[str, ...] = ()
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    notes: list[str] = field(default_factory=list[str])
    name: str = ""


def as_manifest(rows: Sequence[Row], lines: Sequence[int], file: Path) -> Laid | None:
    """The rows of a published manifest as rows of our own; None where it is none that is known.

    Films are looked for below the manifest's folder. Those that are not there are counted in one line of `left_out`.

    Raises:
        DataError: no film of it is there, or it is the file with the boxes.
    """
    layout = _layout_of({str(name) for name in rows[0] if name} if rows else set())
    if layout is None:
        return None
    return _found(dataclasses.replace(layout.read(rows, lines, file), name=layout.name), file)


def published_beside(films: Path) -> tuple[Path, str] | None:
    """(the published manifest that lies in a folder of films, its collection); it may be packed by gzip."""
    try:
        files = sorted(films.iterdir())
    except OSError:  # which searching it for films tells
        return None
    for file in files:
        if re.search(r"\.csv(\.gz)?$", file.name, re.IGNORECASE) and file.is_file():
            layout = _layout_of({name.strip() for name in next(csv.reader([_heading(file)]), ())})
            if layout is not None and layout.read is not _vindr_boxes:
                return file, layout.name
    return None


def _heading(file: Path) -> str:
    """The first line of a CSV file; "" where it cannot be read."""
    try:
        with (gzip.open if file.suffix.lower() == ".gz" else open)(file, "rb") as stream:
            found = decoded(stream.readline(HEADING))
    except (OSError, EOFError, zlib.error):
        return ""
    return found[0] if found else ""


def _layout_of(head: set[str]) -> "_Layout | None":
    return next((layout for layout in _LAYOUTS if layout.fits(head)), None)


def _found(laid: Laid, file: Path) -> Laid:
    """The rows whose film is there."""
    there = [bool(row["path"]) for row in laid.rows]
    gone = [str(row["image"]) for row, here in zip(laid.rows, there, strict=True) if not here]
    if gone and len(gone) == len(laid.rows):
        raise DataError(
            f"{file}: none of its {len(gone)} films lies below {file.parent} (e.g. {gone[0]}); put the manifest into "
            "the folder that holds the films."
        )
    if gone:
        reason = f"{len(gone)} of the {len(laid.rows)} films that {file.name} lists are not there (e.g. {gone[0]})"
        laid.left_out.append(LeftOut(file.parent, reason))
    laid.lines = [n for n, here in zip(laid.lines, there, strict=True) if here]
    laid.rows = [
        {k: v for k, v in row.items() if k != "image"} for row, here in zip(laid.rows, there, strict=True) if here
    ]
    return laid


def _below(folder: Path) -> dict[str, str]:
    """Every file in the folders that can be listed, by its name and by its name without an image's suffix."""
    found: dict[str, str] = {}
    for here, folders, files in walk(folder, []):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in files:
            path = (here / name).relative_to(folder).as_posix()
            found.setdefault(name, path)
            if Path(name).suffix.lower() in NO_SUFFIX_MATTERS:
                found.setdefault(Path(name).stem, path)
    return found


def _twice(rows: Sequence[Row], folder: Path) -> list[str]:
    """A note where films that are looked for by name alone stand in several folders."""
    used = {Path(row["path"]).name: row["path"] for row in rows if row["path"]}
    counts = Counter(name for _, _, files in walk(folder, []) for name in files if name in used)
    if not (twice := sorted(name for name, many in counts.items() if many > 1)):
        return []
    return [f"{len(twice)} films stand in several folders; one each is read (e.g. {used[twice[0]]})"]


def _lines_of(file: Path) -> set[str]:
    return {line.strip() for line in file.read_text(encoding="utf-8").splitlines()} if file.is_file() else set()


def _nih(rows: Sequence[Row], lines: Sequence[int], file: Path) -> Laid:
    below = _below(file.parent)
    test, train = (_lines_of(file.parent / name) for name in ("test_list.txt", "train_val_list.txt"))
    made: list[dict[str, Any]] = []
    others = {"Patient Age": "age", "Patient Gender": "sex", "Patient Sex": "sex", "View Position": "view"}
    for row in rows:
        name = str(row["Image Index"]).strip()
        split = "test" if name in test else "train" if name in train else None
        patient = row.get("Patient ID") or name.split("_")[0]
        made.append(
            {"image": name, "path": below.get(name, ""), "patient_id": str(patient), "split": split,
             "Finding Labels": row["Finding Labels"]} | {new: row[old] for old, new in others.items() if row.get(old)}
        )  # fmt: skip
    notes = _twice(made, file.parent)
    notes += ["splits from test_list.txt and train_val_list.txt"] if test and train else []
    return Laid(made, list(lines), (), "Finding Labels", NIH_LABELS, notes=notes)


def _chexpert(rows: Sequence[Row], lines: Sequence[int], file: Path) -> Laid:
    labels = tuple(name for name in rows[0] if name and name not in CHEXPERT_OTHERS)
    made: list[dict[str, Any]] = []
    for row in rows:
        name = str(row["Path"]).strip()
        patient = re.search(r"patient\d+", name)
        own: dict[str, Any] = {"image": name, "path": _chexpert_path(name, file.parent)}
        own["patient_id"] = patient[0] if patient else ""
        given = {"sex": row.get("Sex"), "age": row.get("Age"), "view": row.get("Frontal/Lateral")}
        made.append(own | {k: v for k, v in given.items() if v} | {label: row[label] for label in labels})
    return Laid(made, list(lines), labels)


def _chexpert_path(name: str, folder: Path) -> str:
    """CheXpert's paths begin with the name of the folder that the manifest lies in."""
    parts = Path(name).parts
    tries = [Path(name), Path(*parts[1:]) if len(parts) > 1 else Path(name)]
    found = next((some.as_posix() for some in tries if (folder / some).is_file()), None)
    if found is None and (folder.parent / name).is_file():
        return str(folder.parent / name)
    return found or ""


def _vindr(rows: Sequence[Row], lines: Sequence[int], file: Path) -> Laid:
    below = _below(file.parent)
    reader = next((name for name in rows[0] if name and name.casefold() in ("rad_id", "radid")), None)
    labels = tuple(n for n in rows[0] if n and n not in ("image_id", reader))
    groups: dict[str, list[tuple[int, Row]]] = {}
    for line, row in zip(lines, rows, strict=True):
        groups.setdefault(str(row["image_id"]).strip(), []).append((line, row))
    made: list[dict[str, Any]] = []
    ties = 0
    for name, some in groups.items():
        own: dict[str, Any] = {"image": name, "path": below.get(name, "")}
        for label in labels:
            said = [value_of(row[label], f"{file}, line {line}", label) for line, row in some]
            own[label] = majority(said)
            ties += own[label] == str(UNCERTAIN) and UNCERTAIN not in said
        made.append(own)
    notes = _twice(made, file.parent)
    if len(groups) < len(rows):
        tied = f"; {ties} ties are uncertain" if ties else ""
        notes.append(f"{len(rows)} rows of {len(groups)} films: each label as most of its readers have it{tied}")
    return Laid(made, [some[0][0] for some in groups.values()], labels, notes=notes)


def majority(said: Sequence[int]) -> str:
    """What most readers say, as a cell; a tie is uncertain.

    >>> majority([1, 0, 1]), majority([1, 0]), majority([])
    ('1', '-1', '')
    """
    with_it, without = said.count(1), said.count(0)
    if with_it + without + said.count(UNCERTAIN) == 0:
        return ""
    return "1" if with_it > len(said) - with_it else "0" if without > len(said) - without else str(UNCERTAIN)


def _padchest(rows: Sequence[Row], lines: Sequence[int], file: Path) -> Laid:
    below = _below(file.parent)
    made: list[dict[str, Any]] = []
    silent = beside = 0
    for row in rows:
        name, folder = str(row["ImageID"]).strip(), str(row.get("ImageDir") or "").strip().removesuffix(".0")
        direct = f"{folder}/{name}" if folder else name
        path = direct if (file.parent / direct).is_file() else below.get(name, "")
        own: dict[str, Any] = {"image": name, "path": path, "patient_id": str(row["PatientID"])}
        given = {"sex": row.get("PatientSex_DICOM"), "view": row.get("Projection"), "born": row.get("PatientBirth")}
        said, normal = _padchest_words(row["Labels"])
        silent += said == ""
        beside += normal
        made.append(own | {k: v for k, v in given.items() if v} | {"Labels": row["Labels"] if said is None else said})
    words = ", ".join(sorted(PADCHEST_SAYS_NOTHING))
    notes = [f"{silent} films labelled {words} alone, or nothing: no label is given"] if silent else []
    if beside:
        notes.append(f"{beside} films labelled normal beside a finding: the finding counts")
    return Laid(made, list(lines), (), "Labels", notes=notes)


def _padchest_words(cell: Any) -> tuple[str | None, bool]:
    """(the labels with "|" between, whether "normal" stood beside a finding).

    "" where no label is given; None for what is no list, which is refused where labels are read.
    """
    try:
        given: Any = ast.literal_eval(str(cell or "[]").strip() or "[]")
        if not isinstance(given, list):
            return None, False
        words = [str(word).strip() for word in cast(list[Any], given) if str(word).strip()]
    except (ValueError, SyntaxError, TypeError):
        return ("", False) if str(cell).strip().casefold() == "nan" else (None, False)
    told = [word for word in words if plain_label(word) not in PADCHEST_SAYS_NOTHING]
    if not told or any(plain_label(word) == "exclude" for word in words):
        return "", False
    real = [word for word in told if plain_label(word) != "normal"]
    return "|".join(real or told), bool(real) and len(real) < len(told)


def _rsna(rows: Sequence[Row], lines: Sequence[int], file: Path) -> Laid:
    """A row a box; its films by patient, of whom each has one."""
    below = _below(file.parent)
    said: dict[str, tuple[int, str]] = {}
    for line, row in zip(lines, rows, strict=True):
        name, target = name_text(row["patientId"]), name_text(row["Target"])
        if said.setdefault(name, (line, target))[1] != target:
            raise DataError(f"{file}, line {line}: Target of {name} is {target}, in line {said[name][0]} another.")
    made = [
        {"image": name, "path": below.get(name, ""), "patient_id": name, "Lung Opacity": target}
        for name, (_, target) in said.items()
    ]
    return Laid(made, [line for line, _ in said.values()], ("Lung Opacity",), notes=_twice(made, file.parent))


def _mimic(rows: Sequence[Row], lines: Sequence[int], file: Path) -> Laid:
    """A row a study, whose films lie in a folder `s` and its number, each with the labels of the study."""
    films: dict[str, list[str]] = {}
    for path in sorted((here / n).relative_to(file.parent) for here, _, files in walk(file.parent, []) for n in files):
        if path.suffix.lower() in NO_SUFFIX_MATTERS:
            films.setdefault(path.parent.name, []).append(path.as_posix())
    labels = tuple(name for name in rows[0] if name and name not in ("subject_id", "study_id"))
    splits, notes = _splits_of_mimic(file.parent)
    made: list[dict[str, Any]] = []
    placed: list[int] = []
    for line, row in zip(lines, rows, strict=True):
        study, patient = f"s{name_text(row['study_id'])}", name_text(row["subject_id"])
        for path in films.get(study, [""]):
            own = {"image": path or study, "path": path, "patient_id": patient, "study": study}
            own["split"] = splits.get(Path(path).stem, "")
            made.append(own | {label: row[label] for label in labels})
            placed.append(line)
    return Laid(made, placed, labels, notes=["every film of a study has the labels of its report", *notes])


def _splits_of_mimic(folder: Path) -> tuple[dict[str, str], list[str]]:
    """(the split of each film as published beside the manifest, by `dicom_id`; a note)."""
    for file in sorted(folder.glob("*split.csv*")):
        if {"dicom_id", "split"} <= set(next(csv.reader([_heading(file)]), ())):
            opened = gzip.open if file.suffix.lower() == ".gz" else open
            with opened(file, "rt", newline="", encoding="utf-8") as stream:
                found = {row["dicom_id"]: row["split"] or "" for row in csv.DictReader(stream)}
            return found, [f"splits as in {file.name}"]
    return {}, []


def _vindr_boxes(rows: Sequence[Row], lines: Sequence[int], file: Path) -> Laid:
    raise DataError(
        f"{file}: holds VinDr's boxes; give it with --annotations, and image_labels_train.csv or image_labels_test.csv "
        "as the data."
    )


def _is_vindr(head: set[str]) -> bool:
    plain = {name.casefold() for name in head}
    return "image_id" in head and "path" not in head and ("no finding" in plain or "rad_id" in plain)


def _is_mimic(head: set[str]) -> bool:
    return {"subject_id", "study_id", "No Finding"} <= head and "dicom_id" not in head and not names_films(head)


_OF_RSNA = {"patientId", "x", "y", "width", "height", "Target", "class"}  # more columns are a manifest of one's own


def _is_rsna(head: set[str]) -> bool:
    return {"patientId", "Target"} <= head <= _OF_RSNA


def _has(*columns: str) -> Callable[[set[str]], bool]:
    """Whether a heading has all these columns."""
    needed = set(columns)
    return needed.issubset


class _Layout(NamedTuple):
    """A collection's name, by which columns its manifest is told, and how that is read."""

    name: str
    fits: Callable[[set[str]], bool]
    read: Callable[[Sequence[Row], Sequence[int], Path], Laid]


_LAYOUTS = (
    _Layout("NIH ChestX-ray14", _has("Image Index", "Finding Labels"), _nih),
    _Layout("CheXpert", _has("Path", "No Finding"), _chexpert),
    _Layout("VinDr's boxes", _has("image_id", "class_name", "x_min"), _vindr_boxes),
    _Layout("VinDr-CXR", _is_vindr, _vindr),
    _Layout("PadChest", _has("ImageID", "PatientID", "Labels"), _padchest),
    _Layout("RSNA Pneumonia", _is_rsna, _rsna),
    _Layout("MIMIC-CXR", _is_mimic, _mimic),
)
