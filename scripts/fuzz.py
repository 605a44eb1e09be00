"""Damaged films, manifests and checkpoints: nothing but our own errors, no hang, no memory over the budget.

`make fuzz MINUTES=10` runs every reader of `ENTRIES` for so many minutes each, then `fuzz_annotations.py`;
`python scripts/fuzz.py read --minutes 1` runs one. Each file is a valid one that has been damaged (header values,
lengths, truncation, bit flips, parts of others); with atheris installed, `--atheris` lets coverage guide instead. What
fails is kept in `--out`.

A new reader is one line in `ENTRIES`.
"""

import argparse
import csv
import io
import json
import multiprocessing
import os
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fuzz_annotations import SUFFIXES, read_reading, seeds_of
from radiolucent.errors import RadiolucentError

SLOW, MEMORY = 5.0, 1_000_000_000
"""CPU seconds that one file may take; bytes that the process may grow by at one file."""


@dataclass(frozen=True)
class Entry:
    """A reader to try: valid files to damage, the suffix their name needs, and what reads one."""

    seeds: Callable[[], Sequence[bytes]]
    suffix: str
    run: Callable[[Path], object]


def film_seeds() -> list[bytes]:
    """Films in every container, and DICOM with tables, palettes, groups and odd values."""
    from support import odd_films

    return [*odd_films.films().values(), *odd_films.rich_dicom().values()]


def read_film(path: Path) -> object:
    """`read` by options that go with the content, so that a file always goes the same way."""
    from radiolucent.images import ReadOptions, read

    content = path.read_bytes()
    window = ("", "", "full", "lut", "2", "2048/4096")[len(content) % 6]
    return read(path, options=ReadOptions(frame=(None, None, 1, 2)[sum(content[-4:]) % 4], window=window))


def manifest_seeds() -> list[bytes]:
    """CSV manifests, plain and with quotes."""
    stream = io.StringIO()
    rows = [["path", "label", "patient_id", "split", "site"], ["a.png", "NORMAL", "1", "train", "x"]]
    csv.writer(stream).writerows([*rows, ["b,c.png", "PNEUMONIA", "2", "val", '"y"']])
    return [stream.getvalue().encode(), b"\xef\xbb\xbfpath\na.png\n"]


def parquet_seeds() -> list[bytes]:
    """The same as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.table({"path": ["a.png", "b.png"], "label": ["N", "P"], "split": ["train", None]}), stream)
    return [stream.getvalue()]


def checkpoint_seeds() -> list[bytes]:
    """A small network's checkpoint, and one whose header is nested without end."""
    from radiolucent.models import build, save

    with tempfile.TemporaryDirectory() as folder:
        made, _ = build("small_cnn", size=32, widths=(4, 4), hidden=4)
        seed = save(made, Path(folder) / "m.safetensors").read_bytes()
    head = json.dumps({"__metadata__": {"radiolucent": "[" * 20_000}}).encode()
    return [seed, struct.pack("<Q", len(head)) + head]


def load_dataset(path: Path) -> object:
    """A manifest as a data set."""
    from radiolucent.data import load_dataset

    return load_dataset(path)


def load_model(path: Path) -> object:
    """A checkpoint as a classifier."""
    from radiolucent.models import load

    return load(path)


ENTRIES: dict[str, Entry] = {
    "read": Entry(film_seeds, ".film", read_film),
    "manifest-csv": Entry(manifest_seeds, ".csv", load_dataset),
    "manifest-parquet": Entry(parquet_seeds, ".parquet", load_dataset),
    "checkpoint": Entry(checkpoint_seeds, ".safetensors", load_model),
    **{f"readings-{name}": Entry(partial(seeds_of, name), suffix, read_reading) for name, suffix in SUFFIXES.items()},
}

_INTEGERS = (0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
_WORDS = (
    b"", b"nan", b"-1", b"0", b"1e999", b"1A", b"0,5", b"abc\\def", b"\\", b"MONOCHROME1", b"RGB", b"PALETTE COLOR",
    b"\xff\xfe\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xe0\x7f\x10\0OW\0\0", b"\xff\xd8\xff",
    b"II*\0", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.1.99", b"\0" * 64, b"[" * 200, b'"', b"\n", b",,,,",
    b"null", b"{}",
)  # fmt: skip


def damaged(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A valid file, damaged in one to six places."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        size = len(out)
        if not size:
            break
        at = min(int(size * rng.random() ** rng.choice((1, 3))), size - 1)  # headers stand at the beginning
        kind = rng.randrange(8)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.randrange(256)
        elif kind == 2:
            value, width = rng.choice(_INTEGERS), rng.choice((1, 2, 4, 8))
            out[at : at + width] = (value & (256**width - 1)).to_bytes(width, rng.choice(("little", "big")))
        elif kind == 3:
            del out[at : size if rng.random() < 0.3 else at + rng.choice((1, 2, 4, 16, 256))]
        elif kind == 4:
            word = rng.choice(_WORDS)
            out[at : at + (len(word) if rng.random() < 0.7 else 0)] = word
        elif kind == 5:
            other = rng.choice(others)
            start = rng.randrange(max(len(other), 1))
            part = other[start : start + rng.choice((2, 8, 32, 200))]
            out[at : at + (len(part) if rng.random() < 0.5 else 0)] = part
        elif kind == 6:
            out[at:at] = out[at : at + rng.choice((1, 8, 64))] * rng.choice((1, 2, 50))
        else:
            out += bytes(rng.choice((1, 3, 1000)))
    return bytes(out)


def verdict(entry: Entry, path: Path) -> str:
    """What is wrong with how a file is read, or ""."""
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        entry.run(path)
    except RadiolucentError:
        pass
    except Exception:
        return traceback.format_exc(limit=-6)
    if (took := time.process_time() - started) > SLOW:
        return f"took {took:.1f} s"
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return f"grew by {grown / 1e6:,.0f} MB" if grown > MEMORY else ""


def _work(name: str, seed: int, minutes: float, now: Path, found: Path, count: Any, alive: Any) -> None:
    """Damage and read until the CPU time is used up; the file being read is always `now`, what fails goes to `found`
    and a number."""
    entry, rng = ENTRIES[name], random.Random(seed)
    seeds = entry.seeds()
    for content in seeds:  # imports what readers need, which is not to be timed
        now.write_bytes(content)
        verdict(entry, now)
    before = time.process_time()
    while time.process_time() - before < 60 * minutes:
        content = damaged(rng.choice(seeds), seeds, rng)
        now.write_bytes(content)
        alive.value = time.monotonic()
        if wrong := verdict(entry, now):
            keep = found.with_name(f"{found.name}-{count.value}{entry.suffix}")
            keep.write_bytes(content)
            keep.with_suffix(".txt").write_text(wrong)
        count.value += 1
    alive.value = 0.0


def fuzz(name: str, minutes: float, out: Path, seed: int) -> int:
    """Try one reader in a process that may die or hang; give how many files failed.

    Files bear this process's number, so that several runs may share a folder.
    """
    suffix = ENTRIES[name].suffix
    found, now = out / "found" / f"{name}-{os.getpid()}", out / f"now-{os.getpid()}{suffix}"
    found.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    count, alive = context.Value("q", 0), context.Value("d", time.monotonic())
    started, used = time.monotonic(), 0.0
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    while used < 60 * minutes:
        alive.value = time.monotonic() + 300  # time for imports
        left = minutes - used / 60
        worker = context.Process(target=_work, args=(name, seed + count.value, left, now, found, count, alive))
        worker.start()
        while worker.is_alive() and not (alive.value and time.monotonic() - alive.value > 12 * SLOW):
            worker.join(0.5)
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        if worker.is_alive() or worker.exitcode:
            why = "hung" if worker.is_alive() else f"died ({worker.exitcode})"
            worker.kill()
            worker.join()
            if now.is_file():
                now.replace(found.with_name(f"{found.name}-{count.value}-{why.split()[0]}{suffix}"))
            count.value += 1
            continue
        break
    worker.join()
    now.unlink(missing_ok=True)
    failed = sorted(found.parent.glob(f"{found.name}-*{suffix}"))
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    print(
        f"{name}: {count.value:,} files in {time.monotonic() - started:.0f} s "
        f"({spent:.0f} s of CPU); {len(failed)} failed" + (f", in {found.parent}" if failed else ""),
        flush=True,
    )
    return len(failed)


def _by_atheris(name: str, minutes: float, out: Path) -> None:
    """Let coverage guide: one reader, until the time is used up or something fails."""
    import atheris  # not among our dependencies

    with atheris.instrument_imports(include=["radiolucent"]):
        ENTRIES[name].run  # noqa: B018
    entry = ENTRIES[name]
    corpus = out / f"corpus-{name}"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(entry.seeds()):
        (corpus / f"seed-{number}").write_bytes(content)
    path = out / f"now{entry.suffix}"

    def one(content: bytes) -> None:
        path.write_bytes(content)
        if wrong := verdict(entry, path):
            raise AssertionError(wrong)

    options = [f"-max_total_time={int(60 * minutes)}", "-max_len=20000", f"-artifact_prefix={out}/found-{name}-"]
    atheris.Setup([sys.argv[0], str(corpus), *options], one)
    atheris.Fuzz()


def main() -> None:
    """Parse, run, and end with 1 if any file failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entries", nargs="*", help=f"any of {', '.join(ENTRIES)}; all unless given")
    parser.add_argument("--minutes", type=float, default=1.0, help="CPU minutes a reader")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"))
    parser.add_argument("--atheris", action="store_true", help="guided by coverage; needs the package atheris")
    given = parser.parse_args()
    if unknown := [name for name in given.entries if name not in ENTRIES]:
        parser.error(f"{', '.join(unknown)}; expected any of {', '.join(ENTRIES)}")
    names = given.entries or list(ENTRIES)
    given.out.mkdir(parents=True, exist_ok=True)
    print(f"seed {given.seed}", flush=True)
    if given.atheris:
        _by_atheris(names[0], given.minutes, given.out)
    sys.exit(any([fuzz(name, given.minutes, given.out, given.seed) for name in names]))


if __name__ == "__main__":
    main()
