"""`read` is total: whatever a file holds, a film comes back or our own error that names the file."""

import random
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fuzz
from radiolucent.errors import ImageError
from radiolucent.images import ReadOptions, read
from radiolucent.types import Radiograph
from support.odd_films import dicom, films, noted, raster, recoded, refused, rich_dicom, tiff, with_raw

SEEDS = [*films((36, 40)).values(), *rich_dicom().values()]
DEEP = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24) * 8
QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def holds(folder: Path, content: bytes) -> None:
    """A film, or our own error that begins with the file's name."""
    path = folder / "film"
    path.write_bytes(content)
    try:
        found = read(path)
    except ImageError as error:
        assert str(error).startswith(f"{path}: ")
        return
    assert found.pixels.dtype == np.float32 and 0 <= found.pixels.min() and found.pixels.max() <= 1


@given(seed=st.sampled_from(SEEDS), luck=st.integers(0, 2**32))
@QUIET
def test_damaged_films_are_read_or_refused(tmp_path: Path, seed: bytes, luck: int) -> None:
    holds(tmp_path, fuzz.damaged(seed, SEEDS, random.Random(luck)))


@given(seed=st.sampled_from(SEEDS), share=st.floats(0, 1))
@QUIET
def test_films_cut_anywhere_are_read_or_refused(tmp_path: Path, seed: bytes, share: float) -> None:
    holds(tmp_path, seed[: int(share * len(seed))])


TEXT = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"nan\\nan", b"1e400", b"0,5\\0,5", b"-1", b"1\\2\\3", b"1A", b"\\", b"  ", b"0x10", b"1_000"]),
)


@given(
    tag=st.sampled_from(
        [
            (0x08, 0x60), (0x18, 0x1164), (0x20, 0x20), (0x28, 0x04), (0x28, 0x08), (0x28, 0x30), (0x28, 0x1050),
            (0x28, 0x1051), (0x28, 0x1052), (0x28, 0x1053), (0x28, 0x1056), (0x2050, 0x20),
        ]
    ),
    value=TEXT,
)  # fmt: skip
@QUIET
def test_no_header_value_ends_a_batch(tmp_path: Path, tag: tuple[int, int], value: bytes) -> None:
    vr = b"CS" if tag in ((0x08, 0x60), (0x28, 0x04), (0x28, 0x1056), (0x2050, 0x20)) else b"DS"
    holds(tmp_path, with_raw(dicom(DEEP, PhotometricInterpretation=None), *tag, vr, value))


@pytest.mark.parametrize("name", refused())
def test_what_is_refused_says_why(tmp_path: Path, name: str) -> None:
    content, words = refused()[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError) as error:
        read(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ") and words in str(error.value)


def test_what_is_odd_is_read(tmp_path: Path) -> None:
    for name, content in noted().items():
        (tmp_path / name).write_bytes(content)
        assert isinstance(read(tmp_path / name), Radiograph), name


# --- what fuzzing found: as code that makes it ---------------------------------------------------------------------


def rle(*segments: bytes, count: int | None = None, starts: tuple[int, ...] | None = None) -> bytes:
    """A DICOM film whose RLE frame is written by hand."""
    content = recoded(dicom(DEEP), "1.2.840.10008.1.2.5")
    places = [64 + sum(map(len, segments[:i])) for i in range(len(segments))] if starts is None else list(starts)
    head = [len(segments) if count is None else count, *places, *[0] * (15 - len(places))]
    body = b"".join(n.to_bytes(4, "little") for n in head) + b"".join(segments)
    item = content.rindex(b"\xfe\xff\x00\xe0", 0, content.rindex(b"\xfe\xff\xdd\xe0"))
    return content[:item] + b"\xfe\xff\x00\xe0" + len(body).to_bytes(4, "little") + body + content[-8:]


def plain(size: int) -> bytes:
    """A segment of zeros."""
    return b"".join(bytes([257 - min(128, size - i)]) + b"\0" for i in range(0, size - size % 128, 128)) + (
        bytes([size % 128 - 1]) + bytes(size % 128) if size % 128 else b""
    )


def patched(syntax: str, start: bytes, at: int, new: bytes) -> bytes:
    """A compressed film with some bytes replaced, counted from where its codestream starts."""
    film = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48)
    content = bytearray(recoded(dicom(film), f"1.2.840.10008.1.2.4.{syntax}"))
    at += content.rindex(start)
    content[at : at + len(new)] = new
    return bytes(content)


LS, J2K = b"\xff\xd8\xff\xf7", b"\xff\x4f\xff\x51"
SIZE = 20 * 24
NO_ROWS = struct.pack("<HHII", 278, 3, 1, 7), struct.pack("<HHII", 278, 3, 1, 0)
FOUND = {
    "rle that runs over its end made a decoder in Rust panic": rle(plain(SIZE), plain(SIZE + 1)),
    "rle whose last run is cut off did the same": rle(plain(SIZE), plain(SIZE)[:-1] + b"\x90"),
    "rle with a run behind its end made it panic too": rle(plain(SIZE), plain(SIZE) + b"\x90\x01"),
    "rle with more segments than there are": rle(plain(SIZE), plain(SIZE), count=15),
    "rle whose segments lie outside": rle(plain(SIZE), plain(SIZE), starts=(64, 2**31)),
    "a photometric interpretation within itself": dicom(DEEP, PhotometricInterpretation=["MONOCHROME1", "RGB"]),
    "more samples than planes": dicom(DEEP, SamplesPerPixel=200),
    "no bits at all": dicom(DEEP, BitsStored=0, HighBit=0, BitsAllocated=0),
    "jpeg-ls of 53 bits a sample ended the process": patched("80", LS, 6, b"\x35"),
    "jpeg-ls without a frame header ended the process": patched("80", LS, 3, b"\0\x28\0"),
    "jpeg 2000 of 39,424 components ended the process": patched("90", J2K, 40, b"\x9a\0"),
    "jpeg 2000 of three components under a grey header": patched("90", J2K, 40, b"\0\x03"),
    "a tiff whose strips have no rows": tiff(DEEP, rowsperstrip=7).replace(*NO_ROWS),
    "a png without a picture": raster(DEEP, "PNG")[:33],
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_fuzzing_found_stays_mended(tmp_path: Path, name: str) -> None:
    holds(tmp_path, FOUND[name])


def test_a_good_rle_film_written_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(rle(plain(SIZE), plain(SIZE)))
    assert not read(tmp_path / "film", options=ReadOptions(window="full")).pixels.any()
    (tmp_path / "film").write_bytes(rle(plain(SIZE), plain(SIZE) + b"\x90\x01"))  # something behind the end
    assert not read(tmp_path / "film").pixels.any()


def test_every_fuzz_entry_reads_its_own_seeds(tmp_path: Path) -> None:
    for name, entry in fuzz.ENTRIES.items():
        seeds = entry.seeds()
        assert seeds, name
        path = tmp_path / f"seed{entry.suffix}"
        path.write_bytes(seeds[0])
        with suppress(ImageError):  # a frame that is not there
            entry.run(path)


def test_threads_leave_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(dicom(DEEP, PhotometricInterpretation="monochrome2"))
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: read(tmp_path / "film"), range(40)))
    assert warnings.filters == before
