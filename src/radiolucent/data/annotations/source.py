"""One file as the formats see it: its path, its bytes, and what they parse to, each parsed once."""

import csv
import io
import json
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element

from radiolucent.data.annotations.plain_pickle import load_plain
from radiolucent.data.annotations.xml import parse_xml
from radiolucent.errors import AnnotationError
from radiolucent.extras import require
from radiolucent.images.sniff import HEAD, sniff
from radiolucent.tables import after_sep, decoded

__all__ = ["Kind", "Rows", "Source", "absent", "entries", "is_picture"]

Kind = Literal["json", "csv", "xml", "dicom", "pickle", "nrrd", "nifti", "picture", "binary"]
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"GIF8")
_HEAD = 2048  # bytes that say what a file is
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax
_INFLATED = 200_000_000  # bytes
_THOUSANDS = re.compile(r"^[-+]?[1-9]\d{0,2},\d{3}$")
_TEXTS = ("image", "file", "path", "patient", "label", "class", "finding", "diagnos", "reader", "name", "statement")
_POINTS = re.compile(r"^[-+]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?$")  # 1.024 in a file with decimal commas
_COORDINATE = re.compile(r"^([xywh]|width|height|[xy]_?(min|max)|[xy][12])$")
_COMMA = re.compile(r"^[-+]?\d+,\d+$")


def is_picture(head: bytes) -> bool:
    """Whether content begins like PNG, JPEG, BMP, TIFF or GIF."""
    return head.startswith(_PICTURES)


@dataclass(frozen=True)
class Rows:
    """A CSV file.

    Attributes:
        header: column names in lower case; empty cells at the end do not count, here and in the rows.
        rows: (line number, cells without blanks around them), as many as the heading has.
        ragged: the same of lines that have more or fewer cells.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    ragged: tuple[tuple[int, tuple[str, ...]], ...] = ()

    def has(self, *columns: str) -> bool:
        """Whether all these columns are there."""
        return set(columns) <= set(self.header)


@dataclass(frozen=True, eq=False)
class Source:
    """A file: where it is, what its bytes are, and the folder that was asked for.

    The bytes are read when they are asked for; a film beside the readings gives its first ones alone. The parsed views
    are None where the file is of another kind.

    Raises:
        AnnotationError: any view of a file that is damaged; the message does not name the file.
    """

    path: Path
    root: Path
    head: bytes

    @staticmethod
    def open(path: Path, root: Path | None = None) -> "Source":
        """Read a file.

        Raises:
            AnnotationError: it cannot be read; the message names it.
        """
        if path.exists() and not path.is_file():
            raise AnnotationError(f"{path}: cannot be read (it is no regular file).")
        try:
            with path.open("rb") as stream:
                head = stream.read(_HEAD)
        except (OSError, ValueError) as error:
            raise AnnotationError(f"{path}: cannot be read ({error}).") from error
        return Source(path, path.parent if root is None else root, head)

    @cached_property
    def data(self) -> bytes:
        """All bytes of the file."""
        try:
            return self.head if len(self.head) < _HEAD else self.path.read_bytes()
        except OSError as error:
            raise AnnotationError(f"cannot be read ({error}).") from error

    @cached_property
    def kind(self) -> Kind:
        """What the bytes are, whatever the name says; any text that is neither JSON nor XML is "csv"."""
        if self.head[128:132] == b"DICM":
            return "dicom"
        if self.head[:1] == b"\x80" and self.head[1:2] <= b"\x05":
            return "pickle"
        if self.head.startswith(b"NRRD000"):
            return "nrrd"
        if sniff(_unpacked(self.head)) == "NIFTI":
            return "nifti"
        if is_picture(self.head):
            return "picture"
        if self._decoded is None:
            return "binary"
        head = self._decoded[0].lstrip()[:1]
        return "json" if head in ("{", "[") else "xml" if head == "<" else "csv"

    @cached_property
    def _decoded(self) -> tuple[str, str] | None:
        """(text, encoding); None where the bytes are no text."""
        return decoded(self.data)

    @property
    def text(self) -> str:
        """The file as text."""
        if self._decoded is None:
            raise AnnotationError("is no text in UTF-8, UTF-16 or Windows-1252, nor of any other known kind.")
        return self._decoded[0]

    @property
    def assumed(self) -> str:
        """What was assumed to read it, or ""."""
        guessed = self._decoded is not None and self._decoded[1] == "cp1252" and self.kind in ("json", "csv")
        return "is no UTF-8 and was read as Windows-1252; check letters such as ä or é in names" if guessed else ""

    @cached_property
    def json(self) -> Any:
        """The parsed JSON; of JSON Lines, an object a line, the list of them."""
        if self.kind != "json":
            return None
        try:
            lines = [line for line in self.text.split("\n") if line.strip()]
            if len(lines) > 1 and lines[0].strip()[-1] == "}" and all(line.strip()[0] == "{" for line in lines):
                return [_line(number, line) for number, line in enumerate(lines, start=1)]
            return json.loads(self.text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise AnnotationError(f"no valid JSON ({error}).") from error

    @cached_property
    def rows(self) -> Rows | None:
        """The parsed CSV."""
        return _csv(self.text) if self.kind == "csv" else None

    @cached_property
    def cells(self) -> list[tuple[int, list[str]]]:
        """(line number, cells without blanks around them) of a text as CSV with commas, from its first line on."""
        return _lines(self.text, ",") if self.kind == "csv" else []

    @cached_property
    def xml(self) -> Element | None:
        """The root element."""
        return parse_xml(self.data) if self.kind == "xml" else None

    @cached_property
    def pickled(self) -> Any:
        """The plain containers and arrays of a pickle."""
        return load_plain(self.data) if self.kind == "pickle" else None

    @cached_property
    def sop_class(self) -> str:
        """The SOP Class UID of a DICOM file, from its header alone; "" of anything else."""
        if self.kind != "dicom":
            return ""
        pydicom = require("pydicom", extra="dicom")
        if _DEFLATED in self.head:
            _check_inflated(self.data)
        try:
            header = pydicom.dcmread(self.path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
            return str(header.get("SOPClassUID", ""))
        except Exception as error:  # pydicom raises nearly anything on damaged files
            raise AnnotationError(f"no readable DICOM ({type(error).__name__}: {error}).") from error

    @cached_property
    def dicom(self) -> Any:
        """The DICOM data set."""
        if self.kind != "dicom":
            return None
        pydicom = require("pydicom", extra="dicom")
        _check_inflated(self.data)
        try:
            return pydicom.dcmread(io.BytesIO(self.data))
        except Exception as error:  # pydicom raises nearly anything on damaged files
            raise AnnotationError(f"no readable DICOM ({type(error).__name__}: {error}).") from error


def _unpacked(head: bytes) -> bytes:
    """The first bytes of a file, of one by gzip those within it."""
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return head


def entries(source: Source) -> list[dict[str, Any]]:
    """The objects of JSON Lines, be it a single one, or of a JSON list; none where anything else stands there."""
    held = source.json
    found = held if isinstance(held, list) else [held]
    return found if all(isinstance(e, dict) for e in found) else []


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_once)
    except ValueError as error:
        raise AnnotationError(f"no valid JSON Lines (object {number}: {error}).") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose keys are different: of two that are one, JSON itself keeps the last.

    Raises:
        AnnotationError: a key stands there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise AnnotationError(f"the key {twice[:60]!r} stands twice in one object of the JSON; expected it once.")
    return found


def _check_inflated(data: bytes) -> None:
    """Refuse a deflated DICOM file that would grow beyond measure: pydicom inflates all of it at once."""
    if _DEFLATED not in data[:_HEAD] or data[132:136] != b"\x02\x00\x00\x00":
        return
    inflate, grown = zlib.decompressobj(-zlib.MAX_WBITS), 0
    rest = data[144 + int.from_bytes(data[140:144], "little") :]
    try:
        while rest and not inflate.eof:
            grown += len(inflate.decompress(rest, 1 << 24))
            rest = inflate.unconsumed_tail
            if grown > _INFLATED:
                raise AnnotationError(f"deflated DICOM that grows beyond {_INFLATED:,} bytes; it holds no reading.")
    except zlib.error as error:
        raise AnnotationError(f"no readable DICOM ({error}).") from error


def _csv(text: str) -> Rows:
    """Separated by what the heading has most of, or by what a line `sep=…`, as Excel writes, names."""
    declared, text, skipped = after_sep(text)
    first = text.partition("\n")[0]
    bare = re.sub(r'"[^"]*"', "", first)
    mark = declared or max(",;\t|", key=bare.count)
    found = _lines(text, mark)
    header = _without_end([c.lower() for c in found[0][1]] if found else [])
    rows = [(line + skipped, tuple(cells)) for line, cells in found[1:]]
    whole: list[tuple[int, tuple[str, ...]]] = []
    ragged: list[tuple[int, tuple[str, ...]]] = []
    for line, cells in rows:
        kept = _without_end(cells)
        if not kept:
            continue
        if len(cells) < len(header) or len(kept) > len(header):
            ragged.append((line, cells))
            continue
        padded = (*kept, *[""] * (len(header) - len(kept)))
        whole.append((line, padded))
    places = {i for i, name in enumerate(header) if _COORDINATE.match(name)}
    whole = [(n, tuple("" if i in places and absent(c) else c for i, c in enumerate(cells))) for n, cells in whole]
    if mark != ",":
        texts = {i for i, name in enumerate(header) if any(word in name for word in _TEXTS)}
        whole, ragged = _pointed(whole, texts), _pointed(ragged, texts)
    return Rows(tuple(header), tuple(whole), tuple(ragged))


def absent(cell: str) -> bool:
    """Whether a cell says that no number is there, as R and pandas write it, or is empty."""
    return cell.lower() in ("", "na", "nan", "n/a", "null", "none", "<na>")


def _lines(text: str, mark: str) -> list[tuple[int, list[str]]]:
    before = csv.field_size_limit(1 << 26)  # a mask's run lengths may pass the usual 128 KiB
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True, skipinitialspace=True)
        return [(lines.line_num, [c.strip() for c in row]) for row in lines]
    except (csv.Error, TypeError) as error:
        raise AnnotationError(f"no valid CSV ({error}).") from error
    finally:
        csv.field_size_limit(before)


def _without_end(cells: "list[str] | tuple[str, ...]") -> tuple[str, ...]:
    """Cells up to the last that is not empty."""
    end = max((i + 1 for i, cell in enumerate(cells) if cell), default=0)
    return tuple(cells[:end])


def _pointed(rows: list[tuple[int, tuple[str, ...]]], texts: set[int]) -> list[tuple[int, tuple[str, ...]]]:
    """Numbers with a decimal comma as numbers with a point, but for columns that hold texts.

    Where all of them look like 1,024, the commas may as well part thousands: they stay, and the numbers are refused.
    So is a number like 1.024 beside others with a decimal comma.
    """
    commas = [
        c
        for _, cells in rows
        for i, c in enumerate(cells)
        if i not in texts and (_COMMA.match(c) or ("," in c and _POINTS.match(c)))
    ]
    if all(_THOUSANDS.match(c) for c in commas):
        return rows

    def point(i: int, cell: str) -> str:
        if i in texts:
            return cell
        if _POINTS.match(cell):  # 1.024,5 is plain
            return cell.replace(".", "").replace(",", ".") if "," in cell else f"{cell} (or {cell.replace('.', '')}?)"
        return cell.replace(",", ".") if _COMMA.match(cell) else cell

    return [(line, tuple(point(i, c) for i, c in enumerate(cells))) for line, cells in rows]
