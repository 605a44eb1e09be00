"""Data sets from folders: `train|val|test/CLASS/*`, `CLASS/*`, either with a folder a patient, or images alone."""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from radiolucent.bounds import PATH, expect
from radiolucent.data.annotations.words import says_nothing_found
from radiolucent.data.classes import named_in, with_classes
from radiolucent.data.kermany import parse_name
from radiolucent.data.label_cells import same_classes
from radiolucent.data.label_layouts import published_beside
from radiolucent.data.manifest import FOUND, read_manifest
from radiolucent.data.multilabel import LabelOptions
from radiolucent.data.patients import with_header_patients
from radiolucent.data.records import COMPANION, HIDDEN, NOTED, Dataset, LeftOut, Record, is_lost, split_of
from radiolucent.errors import ConfigError, DataError
from radiolucent.files import LOCK, real_path, walk
from radiolucent.images import reading, unusual
from radiolucent.images.sniff import HEAD, is_film, what_else
from radiolucent.shown import counted
from radiolucent.types import plain_label

__all__ = ["IMAGE_SUFFIXES", "find_films", "load_dataset"]

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".j2k", ".dcm", ".dicom", ".dic"}
_IGNORED = {"__macosx", "thumbs.db", "desktop.ini"}
_MASKS = re.compile(r"(.*[\s_-])?(manual)?masks?", re.IGNORECASE)  # folders of readings, beside those of films
_OF_MASKS = f"{NOTED}by its name a folder of masks, which is not searched for films; rename it if it holds some"
_OF_RESULTS = f"{NOTED}results of radiolucent, which are not searched for films; remove its {LOCK} if it holds some"
_OF_EITHER = f"holds pictures and a {LOCK} of radiolucent, and was not searched; if they are films, remove the {LOCK}"
_MASKS_BESIDE = f"{NOTED}{{}} images called as another and _mask are taken for its masks; rename those that are films"
_MASK_OF = re.compile(r"(.+)[_-]mask([_-]\d+)?", re.IGNORECASE)  # files of readings, beside the film of that name
_CONTAINERS = re.compile(r"(images?|imgs?|jpegimages|films|png|jpe?g|dicom|dcm)([\s_-]*\d+)?", re.IGNORECASE)
"""Folders that are named after the files in them, numbered or not: no class and no patient."""
_PATIENT = re.compile(
    r"(patient|subject|subj?|person|pat|pid|case)[\s_-]*[a-z]?\d+|p\d{2,}|id_[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}",
    re.IGNORECASE,
)
_STUDY = re.compile(r"(study|series|session|ses)[\s_-]*[a-z]?\d[\w.]*|s\d{2,}|\d+(\.\d+){4,}", re.IGNORECASE)
"""Folders that are named as patients and their studies are: no class."""
_VERDICT = re.compile(r".*[_-](positive|negative)", re.IGNORECASE)
_COMPANIONS = {
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".manifest", ".xml", ".yaml", ".yml", ".html", ".log",
    ".parquet",
}  # fmt: skip
_OFFICE = {".xlsx", ".xlsm", ".xls", ".ods", ".docx"}  # by their content some are archives, and so might hold films
_Placed = tuple[Path, str | None, str | None, str | None]  # file, split, class, patient
FEW = 3  # folders that a note spells out as what to type
_PACKED = {".gz", ".zip", ".bz2", ".xz"}
_COMPANION_NAMES = re.compile(r"read[\s_-]?me|licen[cs]e", re.IGNORECASE)


def load_dataset(
    path: str | Path,
    *,
    classes: int | str | None = None,
    labels: LabelOptions | None = None,
    known: Iterable[str] = (),
) -> Dataset:
    """Find the films of a folder or manifest.

    Args:
        path: a folder laid out as `split/CLASS/*`, `CLASS/*` or images alone; a folder below CLASS is a patient. Or a
            manifest (CSV, Parquet), which a folder may also hold as `manifest.csv`. Or an `.npz` file in MedMNIST's
            layout, which is unpacked into the cache folder.
        classes: as in the folders or the label column unless given; see `with_classes`.
        labels: of a manifest whose films may have several: which, and what becomes of uncertain ones; found, and left
            out where uncertain, unless given (see `read_manifest`).
        known: names of classes, such as a model's: folders called so are classes, whatever else they look like.

    A file whose suffix says nothing is judged by its first bytes. What is no film is listed in `left_out`; damaged
    films are found when read.

    The patients of DICOM films are those of their headers, unless a manifest names them (`with_header_patients`).

    Raises:
        DataError: nothing there, no image in it, classes or labels that are not there, or labels of a folder.
        ConfigError: classes and labels.
    """
    expect(path, PATH, "data set's place", "the path of a folder or manifest")
    asked = named_in(classes) | {name.casefold() for name in known}
    dataset, named = _found(Path(path), classes, labels, asked)
    return with_classes(with_header_patients(dataset, over_folders=not named), classes)


def _found(
    root: Path,
    classes: int | str | None,
    labels: LabelOptions | None,
    asked: frozenset[str] = frozenset(),
    *,
    placed: bool = True,
) -> tuple[Dataset, bool]:
    """(the films of a folder or manifest as it tells them, whether it is no folder).

    Args:
        asked: folders that are classes, in lower case.
        placed: a folder's splits and classes are asked for, and so have to make sense.
    """
    if classes and labels and labels.names and not labels.lenient:
        raise ConfigError("classes and labels: a film has one class, or any number of labels; give one of the two.")
    options = None if classes else labels or FOUND
    named = root.is_file() or (root / "manifest.csv").is_file()
    if root.is_file() and root.suffix.lower() == ".npz":
        from radiolucent.data.medmnist import unpack

        dataset = unpack(root)
    elif root.is_file():
        dataset = read_manifest(root, options)
    elif not root.is_dir():
        raise DataError(f"{root}: no such folder or manifest; check the path.")
    elif (root / "manifest.csv").is_file():
        dataset = read_manifest(root / "manifest.csv", options)
    elif labels and labels.names and not labels.lenient:
        raise DataError(f"{root}: has no manifest.csv; labels ({', '.join(labels.names)}) are read from a manifest.")
    else:
        dataset = _scan(root, placed, asked)
    if not dataset.records:
        lost = [f" {item.path.name}: {item.reason}." for item in dataset.left_out if is_lost(item.reason)][:1]
        raise DataError(
            f"{root}: no image found; expected split/CLASS/*, CLASS/* or images (JPEG, PNG, TIFF, BMP, DICOM, …)."
            f"{''.join(lost)}"
        )
    return dataset, named


def find_films(paths: str | Path | Iterable[str | Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """(images, (file, reason) of files that cannot be any) of files and folders, each once, in a stable order."""
    found: dict[Path, Path] = {}
    left: list[tuple[Path, str]] = []
    several = paths if isinstance(paths, Iterable) and not isinstance(paths, str) else [paths]
    for one in several:
        expect(one, PATH, "film or folder", "its path; rl.load_dataset(folder).records have one each")
        given = Path(one)
        if given.is_dir() or (given.suffix.lower() == ".npz" and given.is_file()):
            dataset = _found(given, None, None, placed=False)[0]
            left += [(item.path, item.reason) for item in dataset.left_out]
            files = [record.path for record in dataset.records]
        elif why := unreadable_name(given):
            left.append((given, why))
            files = []
        else:
            files = [given]
        for file in files:
            found.setdefault(real_path(file), file)
    return list(found.values()), left


def _scan(root: Path, placed: bool, asked: frozenset[str]) -> Dataset:
    """The films of a folder, whose folders in `asked` are classes, whatever else their names look like."""
    films: list[Path] = []
    left_out: list[LeftOut] = []
    closed: list[tuple[Path, str]] = []
    for here, names, files in walk(root, closed):
        if LOCK in files and here != root:  # a run, or maps: its pictures are no films
            if names or len(files) > 1:
                pictures = [Path(name).suffix.lower() in IMAGE_SUFFIXES for name in files if name != LOCK]
                left_out.append(LeftOut(here, _OF_EITHER if pictures and all(pictures) else _OF_RESULTS))
            names.clear()
            continue
        for name in [n for n in names if n.startswith(".") or n.lower() in _IGNORED or _MASKS.fullmatch(n)]:
            names.remove(name)
            left_out.append(LeftOut(here / name, _OF_MASKS if _MASKS.fullmatch(name) else HIDDEN))
        stems, masks = {Path(name).stem for name in files}, 0
        for name in sorted(set(files) - {LOCK}):
            path = here / name
            if (mask := _MASK_OF.fullmatch(path.stem)) and mask[1] in stems:
                left_out.append(LeftOut(path, HIDDEN))
                masks += 1
            elif reason := _no_film(path):
                left_out.append(LeftOut(path, reason))
            else:
                films.append(path)
        if masks:
            left_out.append(LeftOut(here, _MASKS_BESIDE.format(masks)))
    left_out += [LeftOut(*item) for item in closed]
    films.sort(key=lambda path: [*((1, folder) for folder in path.parts[:-1]), (0, path.name)])  # linked or not
    folders = _unwrapped([path.relative_to(root).parts[:-1] for path in films], asked)
    placed_films: list[_Placed] = [(path, *_place(parts)) for path, parts in zip(films, folders, strict=True)]
    found, no_class = _without_classes(root, placed_films, asked)
    called, notes = same_classes(c for _, _, c, _ in found if c is not None)
    class_names = tuple(sorted(set(called.values())))
    if len(class_names) == 1 and not any(split for _, split, _, _ in found):
        class_names = ()  # one folder of images is not a class
    if len(class_names) > 2 and all(map(str.isdecimal, class_names)) and not any(split for _, split, _, _ in found):
        some = ", ".join(class_names[:3])
        notes.append(
            f"the folders {some}, … are classes; where they only deal out files, as PadChest's, give its manifest"
        )
    if placed:
        _refuse_misplaced(root, found)
    deeper = {patient for *_, patient in found if patient}
    known = {name for name in deeper if len(deeper) > 1 or _PATIENT.fullmatch(name)}  # one everywhere is no patient
    records = [
        _record(root, path, split, called.get(label or ""), class_names, patient if patient in known else None)
        for path, split, label, patient in found
    ]
    notes += no_class + _alike(found) + _taken_for_patients(known) + _verdicts(root, found)
    return Dataset(tuple(records), class_names, root, tuple(left_out), f"folder {root.name}", tuple(notes))


def _without_classes(root: Path, found: Sequence[_Placed], asked: Collection[str]) -> tuple[list[_Placed], list[str]]:
    """The films without classes where the folders can be none, and a note that says so.

    They are none where all are called as patients or studies are, and where a published manifest lies beside them,
    unless one is called normal or the like, or is asked for.
    """
    folders = sorted({label for _, _, label, _ in found if label is not None})
    if any(name.casefold() in asked for name in folders):
        return list(found), []
    listed = published_beside(root)
    if not folders and not listed:
        folders = _numbered(root, found)
    named = bool(folders) and all(
        any(form.fullmatch(name) for form in (_PATIENT, _STUDY, _CONTAINERS)) for name in folders
    )
    if not listed and not named:
        return list(found), []
    notes: list[str] = []
    if listed and any(map(says_nothing_found, folders)):
        return list(found), [f"{listed[0].name}, the manifest of {listed[1]}, is not read: the folders are the classes"]
    if listed:
        file, name = listed
        unpacked = ", unpacked," if file.suffix.lower() == ".gz" else ""
        notes.append(f"{file.name} is the manifest of {name}, with its labels and patients: give it{unpacked} as data")
    if folders:
        why = "" if listed else f", which are called {_called(folders)}; a manifest tells them"
        if not listed and 1 < len(folders) <= FEW:
            why += f"; if these are the classes, say --classes '{','.join(folders)}'"
        some = ", ".join(folders[:3]) + (", …" if len(folders) > 3 else "")
        notes.append(f"no classes are taken from the folders ({some}){why}")
    bare: list[_Placed] = [(path, split, None, _patient(label, patient)) for path, split, label, patient in found]
    return bare, notes


def _called(folders: Sequence[str]) -> str:
    return "after the files in them" if all(map(_CONTAINERS.fullmatch, folders)) else "as patients or studies are"


def _numbered(root: Path, found: Sequence[_Placed]) -> list[str]:
    """The folders that would be classes but for names such as images1 and images2; none where one has no number."""
    first = {path.relative_to(root).parts[0] for path, *_ in found if path.parent != root}
    return sorted(first) if len(first) > 1 and all(name[-1].isdigit() for name in first) else []


def _patient(label: str | None, patient: str | None) -> str | None:
    """The patient, of a folder that stands where classes do and the one that stands where patients do."""
    named = [name for name in (patient, label) if name and _PATIENT.fullmatch(name)]
    return named[0] if named else label if label and _STUDY.fullmatch(label) else patient


def _verdicts(root: Path, found: Sequence[_Placed]) -> list[str]:
    """A note where folders of studies are called positive and negative: these are the labels then, as in MURA."""
    told = {path.parent.name for path, *_ in found if _VERDICT.fullmatch(path.parent.name)}
    if len({name.lower()[-8:] for name in told}) < 2:
        return []
    return [f"folders such as {min(told)} and {max(told)} may tell the classes, and are not read; a manifest does"]


def _refuse_misplaced(root: Path, found: Sequence[_Placed]) -> None:
    """Refuse a folder that stands where classes do, but is a split by its name, or holds folders called as the classes.

    Raises:
        DataError: such as `dev/NORMAL` beside `train/NORMAL`.
    """
    below: dict[str, set[str | None]] = {}
    for _, _, label, patient in found:
        if label is not None:
            below.setdefault(label, set()).add(patient and plain_label(patient))
    for label, inner in below.items():
        others = {plain_label(name) for name in below if name != label}
        if split_of(label):
            why = "is called as a split is, and stands within another"
        elif inner <= others:
            why = f"stands where classes do, and the folders in it ({', '.join(sorted(map(str, inner))[:4])}) are some"
        else:
            continue
        raise DataError(
            f"{root}: the folder {label} {why}. Call splits train, val and test, move what is no film out, or give a "
            "manifest."
        )


def _alike(found: Sequence[_Placed]) -> list[str]:
    """A note where each of several classes has the same folders below it: these may be the classes."""
    below: dict[str, set[str | None]] = {}
    for _, _, label, patient in found:
        if label is not None:
            below.setdefault(label, set()).add(patient)
    first = next(iter(below.values()), set[str | None]())
    if len(below) < 2 or len(first) < 2 or None in first or any(some != first for some in below.values()):
        return []
    inner = ", ".join(sorted(map(str, first))[:4])
    return [
        f"the folders {', '.join(sorted(below)[:4])} are taken for classes, and those below them, {inner}, for "
        "patients; each has the same ones, so if these are the classes, give one of the upper folders, or a manifest"
    ]


def _taken_for_patients(folders: Collection[str]) -> list[str]:
    """A note of folders below a class that count as patients, though nothing in their names says so."""
    plain = sorted(name for name in folders if not _PATIENT.fullmatch(name))
    if not plain:
        return []
    some = ", ".join(plain[:3]) + (", …" if len(plain) > 3 else "")
    return [
        f"{counted(len(plain), 'folder')} below a class ({some}) count as one patient each, in splits and intervals; "
        "if they are none, give a manifest with patient_id"
    ]


def _no_film(path: Path) -> str:
    """Why a file is no film, or ""."""
    if path.name.startswith(".") or path.name.lower() in _IGNORED:
        return HIDDEN
    if why := unreadable_name(path):
        return why
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return ""
    if suffix in _OFFICE or (suffix in _PACKED and Path(path.stem).suffix.lower() in _COMPANIONS):
        return COMPANION
    if why := unusual(path, reading().max_pixels):
        return why
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if path.name.upper() == "DICOMDIR":
        return COMPANION
    if is_film(head):
        return ""
    if suffix in _COMPANIONS or _COMPANION_NAMES.search(path.stem):
        return COMPANION
    what = what_else(head, path)
    no_image = "neither its name nor its content is that of an image (JPEG, PNG, TIFF, BMP, DICOM)"
    return no_image if what == "not an image" else f"is {what}"


def unreadable_name(path: Path) -> str:
    """Why a file cannot be part of tables, reports and manifests by its name, or ""."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8 text, so that no table or report can hold it; rename it"
    return ""


def _unwrapped(folders: Sequence[tuple[str, ...]], asked: Collection[str]) -> list[tuple[str, ...]]:
    """The folders above each film, without those called after the files in them, and without one around all.

    An archive's own folder stands around all: that of the classes is in it, of which one is called normal or the like,
    or is asked for.
    """
    bare = [tuple(p for p in one if p.casefold() in asked or not _CONTAINERS.fullmatch(p)) for one in folders]
    inner = {one[1:2] for one in bare}
    if (
        len({one[:1] for one in bare}) > 1
        or len(inner) < 2
        or () in inner
        or any(split_of(p) for one in bare for p in one)
    ):
        return bare
    known = any(says_nothing_found(p) or p.casefold() in asked for (p,) in inner)
    return [one[1:] for one in bare] if known else bare


def _place(parts: tuple[str, ...]) -> tuple[str | None, str | None, str | None]:
    """(split, class, patient) from the folders between root and file.

    The class is the first folder below the split, or below the root; the patient the one below the class. With
    nothing below the split, the class is the folder above it.
    """
    at = next((i for i, p in enumerate(parts) if split_of(p)), None)
    split = None if at is None else split_of(parts[at])
    above = () if at is None else parts[:at]
    below = parts if at is None else parts[at + 1 :]
    while split and below and split_of(below[0]) == split:  # an archive unpacked into a folder of its own name
        below = below[1:]
    below = below or above[-1:]
    inner = [p for p in below[1:] if _PATIENT.fullmatch(p)][-1:] or below[1:2]  # p10/p10000032 is one of ten thousand
    return split, (below[0] if below else None), (inner[0] if inner else None)


def _record(
    root: Path, path: Path, split: str | None, label: str | None, class_names: tuple[str, ...], patient: str | None
) -> Record:
    named, etiology = parse_name(path.stem, split or "all")
    index = class_names.index(label) if label is not None and label in class_names else None
    return Record(path, path.relative_to(root).as_posix(), index, patient or named, split, etiology=etiology)
