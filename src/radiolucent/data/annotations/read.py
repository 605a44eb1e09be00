"""Which format a file is in, by its content; and its readings matched to a data set's films."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from radiolucent.data.annotations.chexlocalize import CHEXLOCALIZE, CHEXLOCALIZE_PICKLE
from radiolucent.data.annotations.coco import COCO
from radiolucent.data.annotations.cvat import CVAT
from radiolucent.data.annotations.darwin import DARWIN
from radiolucent.data.annotations.dicom import DICOM_SEG, DICOM_SR
from radiolucent.data.annotations.gather import Format, Gatherer, Options, Rows, Unmarked
from radiolucent.data.annotations.labelme import LABELME
from radiolucent.data.annotations.labelstudio import LABEL_STUDIO
from radiolucent.data.annotations.masks import MASKS, is_picture
from radiolucent.data.annotations.match import Films, match
from radiolucent.data.annotations.plain import CSV
from radiolucent.data.annotations.plain_pickle import load_plain
from radiolucent.data.annotations.tables import NIH, RSNA, SIIM, VINDR
from radiolucent.data.annotations.w3c import W3C
from radiolucent.data.annotations.xml import parse_xml
from radiolucent.data.annotations.zones import SIX_ZONES
from radiolucent.data.records import Dataset, LeftOut
from radiolucent.errors import AnnotationError
from radiolucent.extras import require
from radiolucent.types import Annotation

__all__ = ["FORMATS", "read_annotations"]

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        COCO, LABEL_STUDIO, LABELME, CVAT, W3C, DARWIN, CSV, RSNA, NIH, VINDR, SIIM, SIX_ZONES, CHEXLOCALIZE,
        CHEXLOCALIZE_PICKLE, MASKS, DICOM_SEG, DICOM_SR,
    )
}  # fmt: skip


def read_annotations(
    path: str | Path,
    *,
    dataset: Dataset | None = None,
    format: str | None = None,
    reader: str = "reader",
    unmarked: Unmarked = "not read",
    left_out: list[LeftOut] | None = None,
) -> list[Annotation]:
    """Read readings, one `Annotation` for each reader, image and label, in source pixels.

    The format is found by content (`FORMATS`; docs/reference/formats.md tells what each holds). A folder holds
    masks, or files of any format, whose subfolder is their reader.

    Args:
        dataset: match images to its `image_id`: by the whole path, the file name or its stem, where that is unique;
            DICOM objects by SOP Instance UID.
        format: one of `FORMATS`, where it should not be found by content.
        reader: name where the file gives none.
        unmarked: what an image means that is listed without any mark, where the format cannot tell.
        left_out: given a list, a bad entry goes there with the whole reading it belongs to, and the rest is read.

    Raises:
        AnnotationError: unreadable, of no known format, or, unless `left_out` is given, any malformed entry or image
            that matches no film or several: all of them in one message, with line or entry.
    """
    file = Path(path)
    if format is not None and format not in FORMATS:
        raise AnnotationError(f"format {format!r}; expected one of {', '.join(FORMATS)}.")
    films = Films(dataset)
    options = Options(reader, unmarked, films.size_of)
    found = _folder(file, format, options, left_out) if file.is_dir() else _file(file, format, options, left_out)
    return found if dataset is None else match(found, films, file, left_out)


_IMAGE = ("image", "patientid", "image index", "image_id", "imageid", "filename")  # columns that name the film


def _file(file: Path, name: str | None, options: Options, left_out: list[LeftOut] | None) -> list[Annotation]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{file}: cannot be read ({error}).") from error
    kind, load = _kind(content)
    try:
        parsed = load(content)
        chosen = _choose(kind, parsed, name)
    except AnnotationError as error:
        raise AnnotationError(f"{file}: {error}") from error
    return _gather(chosen, parsed, file, options, left_out)


def _gather(
    chosen: Format, parsed: Any, file: Path, options: Options, left_out: list[LeftOut] | None
) -> list[Annotation]:
    gatherer = Gatherer(file, options)
    if isinstance(parsed, Rows):
        at = next((i for i, name in enumerate(parsed.header) if name in _IMAGE), 0)
        for line, cells in parsed.ragged:
            reason = f"has {len(cells)} cells; expected {len(parsed.header)}, as in the heading"
            gatherer.problem(f"line {line}", reason, cells[at].strip() if at < len(cells) else None)
    with gatherer.entry(chosen.name):
        chosen.read(parsed, gatherer)
    return gatherer.finish(left_out)


def _choose(kind: str, parsed: Any, name: str | None) -> Format:
    if name is not None:
        if FORMATS[name].kind != kind:
            raise AnnotationError(f"is {kind}; format {name} is {FORMATS[name].kind}.")
        return FORMATS[name]
    chosen = next((f for f in FORMATS.values() if f.kind == kind and f.matches(parsed)), None)
    if chosen is None:
        known = ", ".join(f.name for f in FORMATS.values() if f.kind == kind)
        raise AnnotationError(
            f"{kind} of no known format; expected {known}. {_have(parsed)}Name it with format= (--format) if it is one."
        )
    return chosen


def _have(parsed: Any) -> str:
    names = parsed.header if isinstance(parsed, Rows) else list(parsed) if isinstance(parsed, dict) else []
    return f"It has {', '.join(str(n)[:30] for n in names[:12])}. " if names else ""


def _kind(content: bytes) -> tuple[str, Callable[[bytes], Any]]:
    head = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if content[128:132] == b"DICM":
        return "dicom", _dicom
    if content[:1] == b"\x80":
        return "pickle", load_plain
    if head in (b"{", b"["):
        return "json", _json
    if head == b"<":
        return "xml", parse_xml
    return "csv", _csv


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"cannot be read as UTF-8 text ({error}).") from error


def _json(content: bytes) -> Any:
    try:
        return json.loads(_text(content))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"no valid JSON ({error}).") from error


def _csv(content: bytes) -> Rows:
    text = _text(content)
    first = text.split("\n", 1)[0]
    mark = max(",;\t", key=first.count)
    before = csv.field_size_limit(1 << 26)  # a mask's run lengths may pass the usual 128 KiB
    try:
        lines = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
        header = tuple(c.strip().lower() for c in next(lines, []))
        rows = [(lines.line_num, tuple(row)) for row in lines if any(c.strip() for c in row)]
    except csv.Error as error:
        raise AnnotationError(f"no valid CSV ({error}).") from error
    finally:
        csv.field_size_limit(before)
    whole = tuple(row for row in rows if len(row[1]) == len(header))
    return Rows(header, whole, tuple(row for row in rows if len(row[1]) != len(header)))


def _dicom(content: bytes) -> Any:
    pydicom = require("pydicom", extra="dicom")
    try:
        return pydicom.dcmread(io.BytesIO(content))
    except Exception as error:  # pydicom raises nearly anything on damaged files
        raise AnnotationError(f"no readable DICOM ({type(error).__name__}: {error}).") from error


def _folder(folder: Path, name: str | None, options: Options, left_out: list[LeftOut] | None) -> list[Annotation]:
    inside = (f for f in sorted(folder.rglob("*")) if f.is_file())
    files = [f for f in inside if not any(p.startswith(".") for p in f.relative_to(folder).parts)]
    if not files:
        raise AnnotationError(f"{folder}: an empty folder; expected masks, or files of a known format.")
    if name == MASKS.name or (name is None and all(is_picture(f) for f in files)):
        return _gather(MASKS, files, folder, options, left_out)
    found: list[Annotation] = []
    wrong: list[str] = []
    for file in files:
        parts = file.relative_to(folder).parts
        own = Options(parts[0], options.unmarked, options.size_of) if len(parts) > 1 else options
        try:
            found += _file(file, name, own, left_out)
        except AnnotationError as error:
            if left_out is None:
                wrong.append(str(error))
            else:
                left_out.append(LeftOut(file, str(error).removeprefix(f"{file}: ")))
    if wrong:
        raise AnnotationError("\n".join(wrong[:20]) + (f"\nand {len(wrong) - 20} more" if len(wrong) > 20 else ""))
    return found
