"""Which format a file is in, by its content; and its readings matched to a data set's films."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from radiolucent.bounds import PATH, expect
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.formats import FORMATS
from radiolucent.data.annotations.gather import Gatherer, Options, Unmarked
from radiolucent.data.annotations.match import Films, match
from radiolucent.data.annotations.names import LAYOUT, names_masks
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.words import fold, nothing_found_by
from radiolucent.data.records import NOTED, Dataset, LeftOut, check_dataset
from radiolucent.errors import AnnotationError
from radiolucent.files import walk
from radiolucent.images.sniff import what_else
from radiolucent.types import Annotation, plain_label

__all__ = ["read_annotations"]

_READINGS = (
    ".json",
    ".jsonl",
    ".manifest",
    ".xml",
    ".csv",
    ".tsv",
    ".pkl",
    ".pickle",
    ".nrrd",
    ".nii",
    ".geojson",
    ".ndjson",
)
"""Suffixes of files that are meant to be readings: damaged, they are a loss, and no file that lies beside."""


def read_annotations(
    path: str | Path,
    *,
    dataset: Dataset | None = None,
    format: str | None = None,
    reader: str = "reader",
    unmarked: Unmarked | None = None,
    skip_shapes: bool = False,
    labels: Sequence[str] | None = None,
    coordinates: Literal["as stated", "relative"] = "as stated",
    nothing_found: Sequence[str] = (),
    left_out: list[LeftOut] | None = None,
) -> list[Annotation]:
    """Read readings, one `Annotation` for each reader, image and label, in source pixels.

    The format is found by content (`FORMATS`; docs/reference/formats.md tells what each holds). A folder holds
    masks, or files of any format, whose subfolder is their reader; other files beside them are counted.

    Args:
        dataset: match images to its `image_id`: by the longest common end of their paths, where that is unique and no
            folder contradicts; DICOM objects by SOP Instance UID.
        format: one of `FORMATS`, where it should not be found by content.
        reader: name where the file gives none.
        unmarked: what an image means that is listed without any mark; by default what the format says it means.
        skip_shapes: pass over keypoints, lines and other shapes that mark no area, and count them.
        labels: labels of whole images (tags, flags, choices) that are readings; others, such as "rotated", are passed
            over and counted. None: all are readings.
        coordinates: "relative": coordinates in pixels are shares of the image's size, from 0 to 1.
        nothing_found: labels that say that nothing was found, besides those that are known to ("no finding", "normal",
            "clear lungs", "no acute disease" and the like).
        left_out: given a list, a bad entry goes there with the whole reading it belongs to, and the rest is read; so do
            notes of what was assumed or passed over (see `is_lost`).

    Raises:
        AnnotationError: unreadable, of no known format, or, unless `left_out` is given, any malformed entry or image
            that matches no film or several: all of them in one message, with line or entry.
    """
    expect(path, PATH, "place of readings", "the path of a file or folder")
    if dataset is not None:
        check_dataset(dataset)
    file = Path(path)
    if format is not None and format not in FORMATS:
        raise AnnotationError(f"format {format!r}; expected one of {', '.join(FORMATS)}.")
    if unmarked not in (None, "not read", "no finding") or coordinates not in ("as stated", "relative"):
        raise AnnotationError(
            f"unmarked {unmarked!r}, coordinates {coordinates!r}; expected None, 'not read' or 'no finding', and "
            "'as stated' or 'relative'."
        )
    remote: set[str] = set()
    films = Films(dataset, remote)
    wanted = None if labels is None else frozenset(fold(x) for x in labels)
    options = Options(reader, unmarked, films.size_of, skip_shapes, wanted, coordinates == "relative", remote)
    chosen = FORMATS[format] if format else None
    with nothing_found_by(nothing_found):
        if file.is_dir():
            found = _folder(file, chosen, options, films, left_out)
        else:
            found = _file(file, chosen, options, left_out)
    if left_out is not None:
        left_out += [LeftOut(file, why) for why in _spelt_twice(a.reader for a in found)]
    return found if dataset is None else match(found, films, file, left_out)


def _spelt_twice(readers: Iterable[str]) -> list[str]:
    """A note of each reader whose name is there in several spellings: who is whom, nobody but the user knows."""
    spelt: dict[str, set[str]] = defaultdict(set)
    for name in readers:
        spelt[plain_label(name)].add(name)
    return [
        f"{NOTED}readers {', '.join(map(repr, sorted(names)))} count as {len(names)}; if they are one, give one name"
        for names in spelt.values()
        if len(names) > 1
    ]


def _file(file: Path, chosen: Format | None, options: Options, left_out: list[LeftOut] | None) -> list[Annotation]:
    source = Source.open(file)
    try:
        return _gather(_choose(source, chosen), source, options, left_out)
    except AnnotationError as error:
        text = str(error)
        raise AnnotationError(text if text.startswith(str(file)) else f"{file}: {text}") from error


def _gather(chosen: Format, source: Source, options: Options, left_out: list[LeftOut] | None) -> list[Annotation]:
    gatherer = Gatherer(source.path, options, chosen.empty_means, chosen.units)
    if source.assumed:
        gatherer.note(source.assumed)
    with gatherer.entry(""):
        chosen.read(source, gatherer)
    return gatherer.finish(left_out)


def sniffed(source: Source) -> Format | None:
    """The first format that takes a file; None where none does."""
    for f in FORMATS.values():
        if f.kind == source.kind:
            try:
                if f.sniff(source):
                    return f
            except (TypeError, ValueError, KeyError, IndexError, AttributeError):  # built otherwise than it looked for
                continue
    return None


def _choose(source: Source, chosen: Format | None) -> Format:
    if chosen is not None:
        if chosen.kind != source.kind:
            raise AnnotationError(f"is {source.kind}; format {chosen.name} is {chosen.kind}.")
        return chosen
    if why := _other(source):
        raise AnnotationError(f"{why}.")
    if (found := sniffed(source)) is not None:
        return found
    known = ", ".join(f.name for f in FORMATS.values() if f.kind == source.kind)
    raise AnnotationError(
        f"{source.kind} of no known format; expected {known}. {_have(source)}Name it with format= (--format) if it is "
        "one."
    )


def _other(source: Source) -> str:
    """What a file is that holds no readings in any format, with the next step; "" where it may hold some."""
    head = source.head
    if not head.strip() and source.path.suffix.lower() != ".txt":
        return "is empty; copy or download it again"
    if head.startswith(b"PK\x03\x04"):
        what = (
            "a spreadsheet; save the sheet as CSV"
            if b"xl/" in head or b"[Content_Types]" in head
            else "a ZIP archive; unpack it"
        )
        return f"is {what}, and give that"
    if head[:4] == b"Iout":
        return "is an ImageJ ROI; save the marks as a mask image (Edit > Selection > Create Mask), named like the film"
    if b"<html" in head[:512].lower():
        return "is an HTML page, perhaps of a log-in, in place of the file; download it again"
    if head.startswith(b"version https://git-lfs"):
        return f"is {what_else(head)}"
    if source.kind != "binary":
        return ""
    named = what_else(head)
    return (
        f"is {named}, which holds no readings that are read"
        if named != "not an image"
        else "is no text (UTF-8, UTF-16, Windows-1252), nor DICOM, NRRD, NIfTI, a pickle or an image"
    )


def _have(source: Source) -> str:
    if source.sop_class:
        from pydicom.uid import UID

        return f"It is of the class {UID(source.sop_class).name}. "
    held = source.json if source.kind == "json" else None
    rows = source.rows if source.kind == "csv" else None
    names = rows.header if rows is not None else list(held) if isinstance(held, dict) else []
    return f"It has {', '.join(str(n)[:30] for n in names[:12])}. " if names else ""


def _folder(
    folder: Path, chosen: Format | None, options: Options, films: Films, left_out: list[LeftOut] | None
) -> list[Annotation]:
    """Each format takes its own files; pictures are masks only where nothing else is a reading."""
    wrong: list[tuple[Path, str]] = []
    inside = [f for f in sorted(here / n for here, _, names in walk(folder, wrong) for n in names) if f.is_file()]
    files = [f for f in inside if not any(p.startswith(".") for p in f.relative_to(folder).parts)]
    if not files and not wrong:
        raise AnnotationError(f"{folder}: an empty folder; expected masks, or files of a known format.")
    told: list[tuple[Source, Format, list[Annotation]]] = []
    beside: list[Path] = []
    pictures: list[Source] = []
    taken = 0
    for file in files:
        try:
            source = Source.open(file, folder)
            known = sniffed(source)
        except AnnotationError as error:
            lost = file.suffix.lower() in _READINGS and (chosen is None or chosen.kind != "picture")
            wrong.append((file, str(error))) if lost else beside.append(file)
            continue
        if known is None or (chosen is not None and known is not chosen):
            beside.append(file)
        elif known.kind == "picture":
            pictures.append(source)
        else:
            taken += 1
            told.append((source, known, _inside(known, source, options, films, left_out, wrong)))
    if taken:
        beside += [source.path for source in pictures]
    elif not pictures and not wrong:
        what = chosen.name if chosen else "a known format"
        raise AnnotationError(
            f"{folder}: none of its {len(files)} files is of {what} ({_counted(beside)}); give one of them to be told "
            f"why, such as {files[0].relative_to(folder)}."
        )
    for source in () if taken else pictures:
        told.append((source, FORMATS["masks"], _inside(FORMATS["masks"], source, options, films, left_out, wrong)))
    twice = _told_twice(told, wrong)
    _report(folder, wrong, beside, left_out)
    return [a for _, _, some in told for a in some if (a.image_id, a.reader) not in twice]


def _told_twice(
    told: Sequence[tuple[Source, Format, list[Annotation]]], wrong: list[tuple[Path, str]]
) -> set[tuple[str, str]]:
    """(image, reader) of which two files tell, in formats that have a file for each image; they go to `wrong`."""
    first: dict[tuple[str, str], Path] = {}
    twice: set[tuple[str, str]] = set()
    for source, known, some in told:
        for pair in {(a.image_id, a.reader) for a in some} if known.per_image else ():
            other = first.setdefault(pair, source.path)
            if other != source.path:
                twice.add(pair)
                words = (
                    f"tells of {pair[0]} by {pair[1]}, as {other} does; give the data set (--data), or images by path"
                )
                wrong.append((source.path, words))
    return twice


def _inside(
    known: Format,
    source: Source,
    options: Options,
    films: Films,
    left_out: list[LeftOut] | None,
    wrong: list[tuple[Path, str]],
) -> list[Annotation]:
    """A file's readings, by the reader that its folder names; what is wrong with the whole file goes to `wrong`.

    A folder that belongs to a layout, or that the data set's films lie in, names no reader.
    """
    folders = source.path.relative_to(source.root).parts[:-1]
    first = folders[0] if folders else ""
    named = first and first.lower() not in LAYOUT and first not in films.folders and not names_masks(first)

    def place(name: str) -> str:
        return films.placed(name, folders)

    def size_of(name: str) -> tuple[int, int] | None:
        return films.size_of(place(name))

    reader = first if named else options.reader
    own = dataclasses.replace(options, reader=reader, place=place, size_of=size_of)
    try:
        return _gather(known, source, own, left_out)
    except AnnotationError as error:
        wrong.append((source.path, str(error).removeprefix(f"{source.path}: ")))
        return []


def _report(
    folder: Path, wrong: Sequence[tuple[Path, str]], beside: Sequence[Path], left_out: list[LeftOut] | None
) -> None:
    if left_out is not None:
        left_out += [LeftOut(file, reason) for file, reason in wrong]
        if beside:
            left_out.append(
                LeftOut(folder, f"{NOTED}beside the readings lie {len(beside)} other files ({_counted(beside)})")
            )
    elif wrong:
        said = [reason if reason.startswith(str(file)) else f"{file}: {reason}" for file, reason in wrong]
        raise AnnotationError("\n".join(said[:20]) + (f"\nand {len(said) - 20} more" if len(said) > 20 else ""))


def _counted(files: Sequence[Path]) -> str:
    kinds = Counter(f.suffix.lower() or f.name for f in files)
    return ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(6))
