"""The size and kind that a compressed picture declares itself, found without decoding it."""

from dataclasses import dataclass

__all__ = ["Codestream", "codestream", "rle_checked"]

_LOSSLESS, _LS = {0xC3, 0xC7, 0xCB, 0xCF}, {0xF7}
_DCT = {0xC0, 0xC1, 0xC2, 0xC5, 0xC6, 0xC9, 0xCA, 0xCD, 0xCE}
_ALONE = {0x01, *range(0xD0, 0xD9)}


@dataclass(frozen=True)
class Codestream:
    """What a codestream says of itself: kind "dct" (lossy JPEG), "lossless" (JPEG), "ls" (JPEG-LS) or "j2k"."""

    kind: str
    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool = False

    @property
    def fault(self) -> str:
        """What no codestream of its kind may say, or "": decoders have ended the whole process over it."""
        low, high = {"dct": (8, 12), "lossless": (2, 16), "ls": (2, 16), "j2k": (1, 38)}[self.kind]
        if not low <= self.bits <= high:
            return f"{self.bits} bits a sample"
        return "" if self.samples in (1, 3, 4) else f"{self.samples} samples a pixel"

    @property
    def words(self) -> str:
        """Its kind in words."""
        name = {"dct": "lossy JPEG", "lossless": "lossless JPEG", "ls": "JPEG-LS", "j2k": "JPEG 2000"}[self.kind]
        return f"{name} of {self.bits} bits"


def codestream(content: bytes) -> Codestream | None:
    """What JPEG, JPEG-LS or JPEG 2000 data declare; None for anything else, or where they are cut off before it.

    >>> codestream(b"no") is None
    True
    """
    if content[:4] == b"\xff\x4f\xff\x51":
        return _j2k(content)
    if content[4:8] == b"jP  ":
        at = content.find(b"\xff\x4f\xff\x51")
        return _j2k(content[at : at + 64]) if at >= 0 else None
    return _jpeg(content) if content[:2] == b"\xff\xd8" else None


def _jpeg(content: bytes) -> Codestream | None:
    at = 2
    while at + 9 < len(content):
        if content[at] != 0xFF:
            at += 1
            continue
        marker = content[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        kind = "lossless" if marker in _LOSSLESS else "ls" if marker in _LS else "dct" if marker in _DCT else ""
        if kind:
            bits, rows, columns, samples = (
                content[at + 4],
                *(int.from_bytes(content[at + i : at + i + 2], "big") for i in (5, 7)),
                content[at + 9],
            )
            return Codestream(kind, rows, columns, samples, bits)
        if marker == 0xDA:
            return None
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None


def _j2k(content: bytes) -> Codestream | None:
    if len(content) < 43:
        return None
    width, height, left, top = (int.from_bytes(content[i : i + 4], "big") for i in (8, 12, 16, 20))
    samples = int.from_bytes(content[40:42], "big")
    return Codestream("j2k", height - top, width - left, samples, (content[42] & 0x7F) + 1, content[42] > 0x7F)


def rle_checked(content: bytes, planes: int, size: int) -> tuple[bytes, str]:
    """(DICOM RLE data (PS3.5 G) without what follows each segment, what is wrong with them or ""); nothing is unpacked.

    Args:
        planes: segments that there are to be. size: bytes that each is to unpack to.
    """
    if len(content) < 64:
        return b"", "their header is cut off"
    count = int.from_bytes(content[:4], "little")
    if count != planes or count > 15:
        return b"", f"{count} segments, where {planes} are expected"
    starts = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "little") for i in range(count)]
    if starts[0] < 64 or sorted(set(starts)) != starts or starts[-1] >= len(content):
        return b"", "their segments lie outside them"
    kept: list[bytes] = []
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        stop, fault = _segment_end(content, start, end, size)
        if fault:
            return b"", fault
        kept.append(content[start:stop])
    places = [64 + sum(map(len, kept[:i])) for i in range(count)]
    return b"".join(n.to_bytes(4, "little") for n in (count, *places, *[0] * (15 - count))) + b"".join(kept), ""


def _segment_end(content: bytes, at: int, end: int, size: int) -> tuple[int, str]:
    """(where a segment has unpacked to `size` bytes, what is wrong with it or "")."""
    total = 0
    while at < end and total < size:
        control = content[at]
        if control == 128:
            at += 1
            continue
        total += 257 - control if control > 128 else control + 1
        at += 2 if control > 128 else control + 2
        if at > end:
            return at, "a segment is cut off"
    if total not in (size, size + size % 2):  # some writers pad to an even number before they pack
        return at, f"a segment unpacks to {total:,} bytes, where {size:,} are expected"
    if end - at > 64 + size // 64:
        return at, f"a segment unpacks to more than {size:,} bytes"
    return at, ""
