"""Tables as CSV, written in one way: no cell runs as a formula, no name moves the cursor."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

__all__ = ["TableWriter", "after_sep", "csv_text", "decoded", "guarded", "printable", "unguarded"]

# Controls of both sets, line and paragraph separators, marks that turn the direction of writing, half a surrogate pair.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMULA = re.compile(r"\s*(=|@|[\t\r]|[+-].*([|!]|\w\())", re.DOTALL)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?\s*")
_SEP = re.compile(r'(?:[ \t]*\r?\n)*(?:"?sep=(.?)"?[ \t]*\r?\n(?:[ \t]*\r?\n)*)?', re.IGNORECASE)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")


def decoded(content: bytes) -> tuple[str, str] | None:
    """(text, encoding) of a file that people or spreadsheets wrote: UTF-8, UTF-16, Windows-1252; None where it is none.

    >>> decoded("ä".encode("utf-8-sig")), decoded("ä".encode("utf-16")), decoded(b"\\xe4"), decoded(b"\\0")
    (('ä', 'utf-8-sig'), ('ä', 'utf-16'), ('ä', 'cp1252'), None)
    """
    for coding in ("utf-16",) if content.startswith(_UTF16) else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(coding)
        except UnicodeDecodeError:
            continue
        return None if _CONTROL.search(text) else (text, coding)
    return None


def after_sep(text: str) -> tuple[str, str, int]:
    """(what a line `sep=…` of Excel names, or ""; the table behind it and blank lines; the lines before that).

    >>> after_sep("sep=;\\n\\na;b"), after_sep("a,b")
    ((';', 'a;b', 2), ('', 'a,b', 0))
    """
    before = _SEP.match(text)
    assert before is not None  # it matches nothing, too
    return before[1] or "", text[before.end() :], before[0].count("\n")


def printable(text: object) -> str:
    """A name as it may be printed: characters that are not seen, or act on a terminal, become escapes.

    >>> printable("a\\x1b[2Jb\\n.png")
    'a\\\\x1b[2Jb\\\\n.png'
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), str(text))


def guarded(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula: one that would be begins with an apostrophe.

    Ordinary text that begins with a dash or plus, and numbers, stay as they are.

    >>> guarded("=1+1"), guarded("- opacity"), guarded("-3.5"), guarded("-cmd|' /C calc'!A0")
    ("'=1+1", '- opacity', '-3.5', "'-cmd|' /C calc'!A0")
    """
    return f"'{cell}" if _runs(cell) else cell


def unguarded(cell: str) -> str:
    """The inverse of `guarded`.

    >>> unguarded(guarded("=1+1")), unguarded("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell[:1] == "'" and _runs(cell[1:]) else cell


def _runs(cell: str) -> bool:
    """Whether a spreadsheet might run a cell; behind any apostrophes, so that guarding can be undone."""
    bare = cell.lstrip("'")
    return bool(_FORMULA.match(bare)) and not _NUMBER.fullmatch(bare)


class TableWriter:
    """Writes rows as CSV.

    Args:
        stream: text, opened with `newline=""`. columns: the heading, which is written at once.
        names: columns that hold names of files or people, which are escaped (see `printable`).
    """

    def __init__(self, stream: TextIO, columns: Sequence[str], *, names: Collection[str] = ()) -> None:
        self._stream, self._columns, self._names = stream, tuple(columns), frozenset(names)
        self._put([guarded(printable(c)) for c in self._columns])

    def write(self, row: Mapping[str, Any] | Sequence[Any]) -> None:
        """Write one row, by column or in their order; None is an empty cell."""
        cells = [row.get(c) for c in self._columns] if isinstance(row, Mapping) else row
        self._put([self._cell(c, v) for c, v in zip(self._columns, cells, strict=True)])

    def _put(self, cells: Sequence[Any]) -> None:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\r\n").writerow(cells)  # so that cells with either line end are quoted
        self._stream.write(line.getvalue().removesuffix("\r\n") + "\n")

    def _cell(self, column: str, value: Any) -> Any:
        if not isinstance(value, str):
            return "" if value is None else value
        return guarded(printable(value) if column in self._names else value)


def csv_text(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any] | Sequence[Any]], *, names: Collection[str] = ()
) -> str:
    """A whole table as CSV; see `TableWriter`."""
    stream = io.StringIO(newline="")
    writer = TableWriter(stream, columns, names=names)
    for row in rows:
        writer.write(row)
    return stream.getvalue()
