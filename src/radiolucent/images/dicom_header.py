"""A DICOM header read with patience: what is empty is absent, what is not understood is noted and absent."""

import io
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from radiolucent.errors import ImageError
from radiolucent.images.budget import bytes_allowed, check_pixels, inflated

__all__ = ["DEFLATED", "Header", "is_dicom", "open_header"]

DEFLATED = b"1.2.840.10008.1.2.1.99"
READS = 100_000  # a header of ten thousand elements needs a third of it
LARGE = 1 << 20  # larger elements are left in the file until asked for
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_BINARY = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8", "US or SS": "u2", "UV": "u8"}
_FIRST = {0x0002: range(0x0000, 0x0104), 0x0008: range(0x0000, 0x0062)}


def is_dicom(head: bytes) -> bool:
    """Whether a file starts as DICOM does: "DICM" behind a preamble of any content, or an element of group 2 or 8."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 12:
        return False
    for order in ("little", "big"):
        group, element = (int.from_bytes(head[i : i + 2], order) for i in (0, 2))
        if element in _FIRST.get(group, ()):
            explicit = head[4:6].isalpha() and head[4:6].isupper()
            length = int.from_bytes(head[4:8], order)
            if explicit or (order == "little" and length < 1024):
                return True
    return False


class Header:
    """The elements of a data set by keyword, and of the functional groups below it.

    Args:
        dataset: of pydicom. notes: what had to be assumed is appended to it. below: further data sets, asked where the
            first has no value (functional groups, the frame's before the shared ones).
    """

    def __init__(self, dataset: Any, notes: list[str], below: "tuple[Header, ...]" = ()) -> None:
        self.dataset, self.notes, self.below = dataset, notes, below

    def has(self, name: str) -> bool:
        """Whether the element is there, empty or not."""
        return name in self.dataset

    def bytes_of(self, name: str) -> tuple[bytes, str] | None:
        """(bytes as stored, dtype prefix "<" or ">") of an element, or None where it is absent or empty."""
        element = self._raw(name)
        if element is None:
            return None
        value: Any = element.value
        order = "<" if getattr(element, "is_little_endian", self._little()) else ">"
        if isinstance(value, bytes):
            return (value, order) if value else None
        many = value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]
        try:
            words = np.array([int(v) & 0xFFFF for v in many], "<u2")
        except (TypeError, ValueError):
            return None
        return (words.tobytes(), "<") if words.size else None

    def text(self, name: str) -> str:
        """An element as text, several values with backslashes; "" where it is absent, empty or not understood."""
        return self._text(name) or next((found for group in self.below if (found := group.text(name))), "")

    def _text(self, name: str) -> str:
        try:
            value = self.dataset.get(name)
        except Exception:  # pydicom raises many kinds on values it cannot convert
            found = self._raw(name)
            value = found.value.decode("latin-1") if found is not None and isinstance(found.value, bytes) else ""
        if value is None:
            return ""
        many = isinstance(value, list | tuple) or (hasattr(value, "append") and not isinstance(value, str))
        try:
            joined = "\\".join(str(v) for v in value) if many else str(value)
        except Exception:
            return ""
        return joined.strip(" \0\t\r\n")

    def numbers(self, name: str) -> list[float] | None:
        """An element's numbers; None where it is absent or empty, or, with a note, where one is no finite number."""
        element = self._raw(name)
        if element is None:
            return self._below(name)
        value: Any = element.value
        if value is None or value in ("", b""):
            found = self._below(name)
            if found is None:
                self.note(f"{name} is empty")
            return found
        if isinstance(value, bytes):
            kind = _BINARY.get(str(element.VR or _vr_of(name)))
            if kind:
                size = int(kind[1])
                order = "<" if element.is_little_endian else ">"
                parts: list[Any] = np.frombuffer(value[: len(value) // size * size], order + kind).tolist()
            else:
                parts = value.decode("latin-1").split("\\")
        else:
            parts = list(value) if isinstance(value, list | tuple) or hasattr(value, "append") else [value]
        words = [str(p).strip(" \0\t\r\n") for p in parts]
        if not any(words):
            self.note(f"{name} is empty")
            return self._below(name)
        if not all(_NUMBER.fullmatch(w) and abs(float(w)) < 1e300 for w in words):
            shown = "\\".join(words)[:40]
            self.note(f"{name} {shown!r} is not a number, ignored")
            return self._below(name)
        return [float(w) for w in words]

    def number(self, name: str) -> float | None:
        """The first of an element's numbers; see `numbers`."""
        found = self.numbers(name)
        return found[0] if found else None

    def whole(self, name: str) -> int | None:
        """The first of an element's numbers where it is whole."""
        found = self.number(name)
        if found is not None and not found.is_integer():
            self.note(f"{name} {found:g} is not a whole number, ignored")
            return None
        return None if found is None else int(found)

    def items(self, name: str) -> "list[Header]":
        """The items of a sequence; none where it is absent, empty or damaged."""
        if not self.has(name):
            return self._items_below(name)
        try:
            found = [Header(item, self.notes) for item in self.dataset[name].value]
        except Exception:  # pydicom raises many kinds on damaged sequences
            self.note(f"{name} is damaged, ignored")
            found = []
        return found or self._items_below(name)

    def holder(self, name: str) -> "Header":
        """The one data set that has a value of an element, for what stands beside it there; itself where none has."""
        return next((h for h in (Header(self.dataset, self.notes), *self.below) if h.text(name)), self)

    def of_frame(self, frame: int) -> "Header":
        """The header with a frame's functional groups (PS3.3 C.7.6.16): window, rescale and spacing may stand there."""
        found: list[Header] = []
        own, shared = self.items("PerFrameFunctionalGroupsSequence"), self.items("SharedFunctionalGroupsSequence")
        for group in (*own[frame - 1 : frame], *shared[:1]):
            for name in ("FrameVOILUTSequence", "PixelValueTransformationSequence", "PixelMeasuresSequence"):
                found += group.items(name)[:1]
        return self.within(*found) if found else self

    def within(self, *groups: "Header") -> "Header":
        """The same header that asks `groups` where it has no value itself."""
        return Header(self.dataset, self.notes, groups)

    def note(self, words: str) -> None:
        """Add a note, once."""
        if words not in self.notes:
            self.notes.append(words)

    def _below(self, name: str) -> list[float] | None:
        return next((found for group in self.below if (found := group.numbers(name)) is not None), None)

    def _items_below(self, name: str) -> "list[Header]":
        return next((found for group in self.below if (found := group.items(name))), [])

    def _raw(self, name: str) -> Any:
        from pydicom.datadict import tag_for_keyword

        try:
            return self.dataset.get_item(tag_for_keyword(name))
        except Exception:  # absent, or cut off
            return None

    def _little(self) -> bool:
        return getattr(self.dataset, "original_encoding", (None, True))[1] is not False


class _Counted:
    """A stream that is read from so many times only: a damaged header may lead through a file eight bytes at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.left = stream, READS
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            ValueError: it was asked too often.
        """
        self.left -= 1
        if self.left < 0:
            raise ValueError("its header does not end")
        return self.stream.read(size)


def _vr_of(name: str) -> str:
    from pydicom.datadict import dictionary_VR

    return dictionary_VR(name)


def open_header(stream: BinaryIO, file: Path, max_pixels: int, notes: list[str]) -> tuple[Header, str, BinaryIO]:
    """(header without pixels, transfer syntax UID or "", stream that stands at the pixel data); unpacks deflated files.

    Raises:
        ImageError: damaged beyond reading.
    """
    from pydicom import dcmread

    head = stream.read(4096)
    if DEFLATED in head:
        stream = _unpacked(stream, head, file, max_pixels)
    stream.seek(0)
    try:
        counted: Any = _Counted(stream)
        dataset = dcmread(counted, force=True, stop_before_pixels=True, defer_size=LARGE)
    except Exception as error:  # pydicom raises many kinds on damaged files
        raise ImageError(f"{file}: damaged DICOM ({error}); export it again.") from error
    header = Header(dataset, notes)
    meta = Header(getattr(dataset, "file_meta", None) or {}, notes)
    return header, meta.text("TransferSyntaxUID"), stream


def _unpacked(stream: BinaryIO, head: bytes, file: Path, max_pixels: int) -> BinaryIO:
    """A deflated file as the same file in explicit little endian, never more of it than its header accounts for."""
    start = _end_of_meta(head)
    meta = head[:start].replace(DEFLATED, DEFLATED[:-3] + b"\0\0\0")
    limit = 4 * LARGE
    stream.seek(start)
    content, more = inflated(stream, limit)
    if more:
        rows, columns, stored = _size(meta + content)
        check_pixels(file, rows, columns, 1, max_pixels)
        stream.seek(start)
        content, more = inflated(stream, min(stored + 16 * LARGE, bytes_allowed(max_pixels)))
    if more:
        raise ImageError(f"{file}: unpacks to more than its header accounts for; it is damaged, or no film.")
    return io.BytesIO(meta + content)


def _size(begun: bytes) -> tuple[int, int, int]:
    """(rows, columns, bytes of pixel data) that the first part of a file declares."""
    from pydicom import dcmread

    counted: Any = _Counted(io.BytesIO(begun))
    header = Header(dcmread(counted, force=True, stop_before_pixels=True), [])
    rows, columns, frames, samples, bits = (
        header.whole(name) or default
        for name, default in (
            ("Rows", 0), ("Columns", 0), ("NumberOfFrames", 1), ("SamplesPerPixel", 1), ("BitsAllocated", 16),
        )
    )  # fmt: skip
    return rows, columns, rows * columns * max(frames, 1) * samples * bits // 8


def _end_of_meta(head: bytes) -> int:
    """Where the elements of group 2 end, which are always explicit little endian."""
    at = 132 if head[128:132] == b"DICM" else 0
    while head[at : at + 2] == b"\x02\x00" and at + 12 <= len(head):
        long = head[at + 4 : at + 6] in (b"OB", b"OW", b"UN", b"SQ", b"UT")
        size = (
            int.from_bytes(head[at + 8 : at + 12], "little")
            if long
            else int.from_bytes(head[at + 6 : at + 8], "little")
        )
        at += (12 if long else 8) + size
    return at
