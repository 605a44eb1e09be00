"""Lookup tables of DICOM (PS3.3 C.11.1, C.11.2, C.7.6.3.1.5), also as careless writers store them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.images.dicom_header import Header

__all__ = ["Table", "first_of", "palette", "table_of"]

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """A lookup table.

    Attributes:
        first: the input that meets the first entry; lower ones meet it too, and higher ones than the last the last.
        entries: outputs. top: the largest output that counts as white.
    """

    first: int
    entries: Values
    top: float

    def __call__(self, values: Values) -> Values:
        """The entries that values meet."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[index.astype(np.int32)]


def first_of(header: Header, name: str, *, signed: bool, number: int = 1) -> Table | None:
    """A sequence's table number `number` (from 1); None where there is none, with a note where it is unusable."""
    items = header.items(name)
    if not items:
        if header.has(name):
            header.note(f"{name} is empty")
        return None
    if number > len(items):
        header.note(f"{name} has {len(items)} tables, not {number}")
        return None
    return table_of(items[number - 1], "LUTDescriptor", "LUTData", name, signed=signed)


def table_of(item: Header, descriptor: str, data: str, name: str, *, signed: bool) -> Table | None:
    """The table that a descriptor (entries, first input, bits) and its data make; None, with a note, if unusable.

    Args:
        signed: whether inputs may be negative, so that the first input is a signed number (PS3.3 C.11.2.1.1).
    """
    told = item.bytes_of(descriptor)
    words = [] if told is None else np.frombuffer(told[0][:6], told[1] + "u2").tolist()
    stored = item.bytes_of(data)
    if len(words) != 3 or stored is None:
        item.note(f"{name}: the table is empty or has no descriptor, ignored")
        return None
    count, first, bits = words[0] or 65536, words[1], words[2]
    if signed and first >= 32768:
        first -= 65536
    entries, bits = _entries(*stored, count, bits, item, name)
    if entries is None:
        return None
    return Table(first, entries, _white(entries, bits, item, name))


def _entries(content: bytes, order: str, count: int, bits: int, item: Header, name: str) -> tuple[Values | None, int]:
    """(entries, bits an entry) of a table's data: one in 16 bits, or two 8-bit ones, the first in the low byte."""
    words = np.frombuffer(content[: len(content) // 2 * 2], order + "u2")
    if len(words) >= count:
        entries = words[:count]
        if bits <= 8 and not (entries & 0xFF).any() and entries.any():
            entries = entries >> 8
            item.note(f"{name}: entries of 8 bits stand in the high bytes")
        elif bits <= 8 and int(entries.max()) > 255 and len(content) < 2 * count + 2:
            item.note(f"{name}: entries of up to {int(entries.max())} under a descriptor of {bits} bits")
            bits = 16
    elif len(content) >= count:
        packed = np.frombuffer(words.astype("<u2").tobytes() + content[len(words) * 2 :], np.uint8)
        entries = packed[:count]
        if bits > 8:
            item.note(f"{name}: entries of 8 bits under a descriptor of {bits} bits")
            bits = 8
    else:
        item.note(f"{name}: {count} entries are declared, {len(words)} are there; ignored")
        return None, bits
    return entries.astype(np.float64), bits


def _white(entries: Values, bits: int, item: Header, name: str) -> float:
    """The output that is white: that of the declared depth, or the largest where this leaves everything dark."""
    largest, full = float(entries.max()), float(2 ** min(max(bits, 1), 16) - 1)
    if largest > full:
        item.note(f"{name}: entries of up to {largest:g} under a descriptor of {bits} bits; scaled by the largest")
        return largest
    if 0 < largest < (full + 1) / 4:
        item.note(f"{name}: no entry above {largest:g} under a descriptor of {bits} bits; scaled by the largest")
        return largest
    return full


def palette(stored: NDArray[np.generic], header: Header, *, signed: bool) -> NDArray[np.float32] | None:
    """RGB (H, W, 3) in [0, 1] of palette indices, or None where a plain table is missing or unusable."""
    tables: list[Table] = []
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        found = table_of(header, f"{name}Descriptor", f"{name}Data", f"{colour} palette", signed=signed)
        if found is None:
            return None
        tables.append(found)
    top = max(t.top for t in tables)
    planes = [(t(stored.astype(np.float64)) / top).astype(np.float32) for t in tables]
    return np.clip(np.stack(planes, axis=-1), 0, 1)
