"""What a file may cost: nothing is decoded, waited for or unpacked before it has been checked."""

import gzip
import os
import resource
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radiolucent.data import find_films
from radiolucent.errors import ImageError
from radiolucent.images import MAX_PIXELS, ReadOptions, read, read_or_note
from radiolucent.images.budget import bytes_allowed
from support.odd_films import DEFLATED, dicom, nifti, npy, raster, recoded, tiff, zipped

MB = 1_000_000


def cost(path: Path) -> tuple[str, float]:
    """(what `read` says of a file, how many bytes the process grew at its peak), in a process of its own."""
    take, give = os.pipe()
    if not (child := os.fork()):
        try:
            before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
            try:
                found = f"{read(path).shape}"
            except ImageError as error:
                found = str(error)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
            os.write(give, f"{grown}|{found}".encode())
        finally:
            os._exit(0)
    os.close(give)
    with os.fdopen(take, "rb") as stream:
        grown, _, found = stream.read().decode().partition("|")
    os.waitpid(child, 0)
    return found, float(grown)


def bits_png(side: int) -> bytes:
    """A black 1-bit PNG of any size, a few kB."""
    machine = zlib.compressobj(1)
    row = bytes(1 + (side + 7) // 8)
    data = b"".join(machine.compress(row) for _ in range(side)) + machine.flush()
    made = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    for kind, content in ((b"IHDR", head), (b"IDAT", data), (b"IEND", b"")):
        made += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return made


def declaring(rows: int, columns: int, content: bytes) -> bytes:
    """A small DICOM file that declares another size."""
    small = struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 64), struct.pack("<HH2sHH", 0x28, 0x11, b"US", 2, 64)
    large = struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, rows), struct.pack("<HH2sHH", 0x28, 0x11, b"US", 2, columns)
    return content.replace(small[0], large[0]).replace(small[1], large[1])


FILM = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)


def coded(syntax: str) -> bytes:
    """A small compressed DICOM file."""
    return recoded(dicom(FILM, bits=16), syntax)


def j2k_of(side: int) -> bytes:
    """A small JPEG 2000 codestream that declares a large size, as one of 1,130 bytes did with 12,000²."""
    content = raster(FILM, "JPEG2000", no_jp2=True)
    size = struct.pack(">I", side)
    return content[:8] + size * 2 + content[16:24] + size * 2 + content[32:]


def deflate_bomb() -> bytes:
    """A deflated DICOM file of 0.3 MB that unpacks to 300 MB and declares 64 × 64 pixels."""
    content = dicom(FILM, bits=16, syntax=DEFLATED)
    start = 132 + 12 + struct.unpack("<I", content[140:144])[0]
    machine = zlib.compressobj(1, zlib.DEFLATED, -15)
    plain = zlib.decompressobj(-15).decompress(content[start:])
    piece = bytes(1 << 24)
    packed = machine.compress(plain) + b"".join(machine.compress(piece) for _ in range(18)) + machine.flush()
    return content[:start] + packed


def rle_bomb() -> bytes:
    """RLE data within the declared length that unpack to 64 times as much."""
    content = recoded(dicom(np.zeros((2000, 2000), np.uint16), bits=16), "1.2.840.10008.1.2.5")
    at = content.rindex(struct.pack("<I", 2), 0, content.rindex(b"\xfe\xff\xdd\xe0"))
    item = content.rindex(b"\xfe\xff\x00\xe0", 0, at)
    body = content[at : at + 64] + b"\x81\x00" * 4_000_000
    return content[:item] + b"\xfe\xff\x00\xe0" + struct.pack("<I", len(body)) + body + content[-8:]


J2K, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
WIDTH = struct.pack("<HHII", 256, 4, 1, 64), struct.pack("<HHII", 256, 4, 1, 10**7)
SIDES = struct.pack(">II", 64, 64), struct.pack(">II", 12_000, 12_000)
SLOW = ("gzip", "zip")  # 600 MB to unpack: for the table alone
OVER: dict[str, tuple[Callable[[], bytes], str]] = {
    "jpeg 2000 of 12,000²": (lambda: j2k_of(12_000), "144,000,000 pixels"),
    "the same in dicom": (lambda: declaring(12_000, 12_000, coded(J2K)), "144,000,000"),
    "dicom that declares less than its jpeg 2000": (
        lambda: coded(J2K).replace(*SIDES),
        "its compressed data 12000 × 12000",
    ),
    "rle of 24,000²": (lambda: declaring(24_000, 24_000, coded(RLE)), "576,000,000"),
    "rle that unpacks to more": (rle_bomb, "unpacks to more than 4,000,000 bytes"),
    "deflated": (deflate_bomb, "unpacks to more than its header"),
    "many frames": (lambda: dicom(FILM, bits=16, NumberOfFrames=1_000_000), "frames = 4,096,000,000 pixels"),
    "1-bit png": (lambda: bits_png(8_200), "67,240,000 pixels"),
    "tiff": (lambda: tiff(FILM).replace(*WIDTH), "pixels"),
    "gzip": (lambda: gzip.compress(nifti(FILM)[:348] + bytes(600 * MB), 9), "unpacks to more"),
    "zip": (lambda: zipped(a__npy=npy(FILM)[:80] + bytes(600 * MB)), "unpacks to more"),
    "npy": (lambda: npy(FILM).replace(b"(64, 64), }    ", b"(64, 9999999), }"), "pixels"),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")
@pytest.mark.parametrize("name", [n for n in OVER if n not in SLOW])
def test_what_is_over_the_limit_costs_next_to_nothing(tmp_path: Path, name: str) -> None:
    make, words = OVER[name]
    (tmp_path / "film").write_bytes(make())
    started = time.perf_counter()
    said, grown = cost(tmp_path / "film")
    assert words in said, said
    assert grown < 200 * MB and time.perf_counter() - started < 5


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")
@pytest.mark.parametrize(
    "name", ["native", "deflated", "rle", "jpeg 2000", "png of 1 bit", "png", "tiff", "tiff of 12 bits", "jpeg"]
)
def test_no_film_costs_more_than_ten_times_its_grey_levels(tmp_path: Path, name: str) -> None:
    side = 1_600
    deep = np.zeros((side, side), np.uint16)
    deep[::7] = 40_000
    make: dict[str, Callable[[], bytes]] = {
        "native": lambda: dicom(deep, bits=16),
        "deflated": lambda: dicom(deep, bits=16, syntax=DEFLATED),
        "rle": lambda: recoded(dicom(deep, bits=16), "1.2.840.10008.1.2.5"),
        "jpeg 2000": lambda: recoded(dicom(deep, bits=16), "1.2.840.10008.1.2.4.90"),
        "png of 1 bit": lambda: bits_png(side),
        "png": lambda: raster(deep, "PNG", compress_level=1),
        "tiff": lambda: tiff(deep, compression="zlib"),
        "tiff of 12 bits": lambda: tiff(deep, compression="zlib", predictor=True),
        "jpeg": lambda: raster((deep >> 8).astype(np.uint8), "JPEG"),
    }
    (tmp_path / "film").write_bytes(make[name]())
    said, grown = cost(tmp_path / "film")
    assert said == f"{(side, side)}"
    assert grown < 10 * 4 * side * side


def test_a_large_sparse_file_is_not_read(tmp_path: Path) -> None:
    for name, head in (("film.png", bits_png(8)), ("film.dcm", dicom(FILM))):
        with (tmp_path / name).open("wb") as stream:
            stream.write(head)
            stream.truncate(3_000 * MB)
        with pytest.raises(ImageError, match=r"has 3,000 MB; .*limit of 64,000,000 pixels.*--max-pixels"):
            read(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_sockets_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.dcm")
    (tmp_path / "null.png").symlink_to("/dev/null")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    with socket.socket(socket.AF_UNIX) as server, chdir(tmp_path):  # a socket's path must be short
        server.bind("socket.dcm")
    words = {
        "pipe.dcm": "named pipe", "link.png": "named pipe", "null.png": "a device", "zero": "a device",
        "gone.png": "a link to a file that is not there", "socket.dcm": "a socket",
    }  # fmt: skip
    for name, why in words.items():
        with pytest.raises(ImageError, match=why):
            read(tmp_path / name)
    Image.fromarray(FILM).save(tmp_path / "good.png")
    found, left = find_films([tmp_path])
    left = [*left, *((p, "") for p in found if read_or_note(p, left) is None)]
    assert {p.name for p, _ in left} == words.keys() - {"pipe.dcm"}  # which the link names too
    assert all(words[p.name] in why for p, why in left if why)


def test_the_limit_can_be_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(raster(FILM, "PNG"))
    with pytest.raises(ImageError, match=r"4,096 pixels; at most 4,095 are read.*--max-pixels"):
        read(tmp_path / "a.png", options=ReadOptions(max_pixels=4095))
    assert read(tmp_path / "a.png", options=ReadOptions(max_pixels=4096)).shape == (64, 64)
    assert bytes_allowed(MAX_PIXELS) < 600 * MB
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # PIL's own limit gives way
    assert read(tmp_path / "a.png").shape == (64, 64)


def test_a_header_that_leads_through_the_whole_file_ends(tmp_path: Path) -> None:
    """An element of undefined length that holds zeros: eight bytes at a time, without end."""
    content = dicom(FILM, bits=16)
    at = content.index(b"\x10\0\x20\0LO")
    element = b"\x09\0\x10\0LO\x04\0ABCD\x09\0\x01\x10UN\0\0\xff\xff\xff\xff"
    (tmp_path / "film").write_bytes(content[:at] + element + bytes(8 * MB))
    started = time.process_time()
    with pytest.raises(ImageError, match="header does not end"):
        read(tmp_path / "film")
    assert time.process_time() - started < 5


def test_an_archive_is_unpacked_up_to_the_limit_only(tmp_path: Path) -> None:
    small = ReadOptions(max_pixels=100_000)
    large = nifti(FILM)[:348] + bytes(3 * MB)
    for content in (gzip.compress(large), zipped(a__nii=large)):
        (tmp_path / "film").write_bytes(content)
        with pytest.raises(ImageError, match=r"unpacks to more than a film of 100,000 pixels"):
            read(tmp_path / "film", options=small)


if __name__ == "__main__":  # the table of peak memory
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for label, (build, _) in OVER.items():
            file = Path(folder) / "film"
            file.write_bytes(build())
            told, grew = cost(file)
            print(f"{label:45} {file.stat().st_size:>12,} bytes  {grew / MB:7.1f} MB  {told.partition(': ')[2][:70]}")
