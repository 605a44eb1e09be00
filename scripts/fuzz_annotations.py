"""Damaged files of readings, for every format: nothing but our own errors, no hang, no memory over the budget.

`python scripts/fuzz_annotations.py --minutes 10 [FORMAT …]` goes through all formats in turn. Text formats are damaged
as text and as structure (values swapped for odd ones, keys dropped, parts doubled); binary ones byte by byte. Each
failure is kept as a file in `--out`, with its traceback.
"""

import argparse
import gzip
import io
import json
import pickle
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np

from radiolucent.data import FORMATS, Dataset, LeftOut, Record, read_annotations
from radiolucent.errors import RadiolucentError

__all__ = ["SUFFIXES", "main", "read_reading", "seeds", "seeds_of"]

_BY_KIND = {
    "json": ".json", "csv": ".csv", "xml": ".xml", "dicom": ".dcm", "pickle": ".pkl", "nrrd": ".nrrd",
    "nifti": ".nii", "picture": ".png",
}  # fmt: skip

SUFFIXES = {name: ".txt" if name == "yolo" else _BY_KIND[f.kind] for name, f in FORMATS.items()}
"""The suffix of each format's files, for a fuzzer that takes one file at a time (`seeds_of`, `read_reading`)."""
SLOW, MEMORY = 5.0, 1_000_000_000
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, float("nan"), float("inf"), 2**31, 2**63, 10**400, 1 << 20, "",
    "a.png", "../a.png", "..\\..\\a.png", "0", "1", "No finding", "NORMAL", "\x00", "é", [], {}, [[]], [[[]]], [{}],
    {"": {}},
    [1, 2], [1, 2, 3, 4], ["x"] * 5, "1e999", "-1", "nan", {"a": [1]}, [None], "0" * 500,
)  # fmt: skip


def seeds() -> dict[str, dict[str, bytes]]:
    """Valid files by path, by format: text formats, pickles, masks and NRRD; DICOM objects made from a film."""
    from support.odd_readings import readings

    found = readings()
    mask = np.zeros((60, 100), np.uint8)
    mask[20:50, 10:40] = 1
    entry = {"map": mask, "cxr_dims": (100, 60), "task": "Mass"}
    found["chexlocalize-pickle"] = {"a.pkl": pickle.dumps(entry), "b.pkl": pickle.dumps([entry], protocol=2)}
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(mask * 255).save(stream, "PNG")
    found["masks"] = {"a.png": stream.getvalue()}
    head = "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 100 60\nencoding: raw\n"
    head += "Segment0_LabelValue:=1\nSegment0_Name:=M\n\n"
    from support.odd_films import nifti

    found["nifti"] = {"a.nii": nifti(mask, code=2), "b.nii.gz": gzip.compress(nifti(mask, code=2))}
    found["nrrd"] = {"a.nrrd": head.encode() + mask.tobytes()}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from radiolucent.types import Annotation, Region
        from support.films import write_dicom

        film = Path(folder) / "a.dcm"
        write_dicom(film, np.zeros((60, 100), np.uint16), StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
        films = Dataset((Record(film, "a.dcm"),), ())
        said = [Annotation("a.dcm", (Region.box(10, 20, 30, 30),), "Mass", "A", image_shape=(60, 100))]
        for name in ("dicom-seg", "dicom-sr"):
            write = FORMATS[name].write
            assert write is not None
            write(said, Path(folder) / name, films)
            found[name] = {p.name: p.read_bytes() for p in (Path(folder) / name).rglob("*.dcm")}
    found["dicom-gsps"] = {"pr.dcm": _presentation_state()}
    zones = ",".join(f"{reader}-{zone}" for reader in "SJ" for zone in (*"ABCDEF", "Global"))
    found["zones"] = {"z.csv": f"filename,{zones}\na.png,0,1,2,3,0,1,7,0,0,0,0,0,0,0\n".encode()}
    return found


def _presentation_state() -> bytes:
    """A filled box and a circle on one film, with a text beside them."""
    from pydicom.dataset import Dataset as Tags
    from pydicom.dataset import FileMetaDataset

    def item(**tags: Any) -> Any:
        made = Tags()
        for name, value in tags.items():
            setattr(made, name, value)
        return made

    film = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.1", ReferencedSOPInstanceUID="1.2.3.4.5")
    shared = {"GraphicAnnotationUnits": "PIXEL", "GraphicDimensions": 2, "GraphicFilled": "Y"}
    box, circle = [10.0, 20, 40, 20, 40, 50, 10, 50, 10, 20], [70.0, 30, 80, 30]
    drawn = [
        item(GraphicType="POLYLINE", GraphicData=box, NumberOfGraphicPoints=5, **shared),
        item(GraphicType="CIRCLE", GraphicData=circle, NumberOfGraphicPoints=2, **shared),
    ]
    layer = item(GraphicLayer="L", ReferencedImageSequence=[film], GraphicObjectSequence=drawn)
    layer.TextObjectSequence = [item(UnformattedTextValue="Mass")]
    state = item(SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1", SOPInstanceUID="1.2.9", GraphicAnnotationSequence=[layer])
    state.file_meta = FileMetaDataset()
    state.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    state.file_meta.MediaStorageSOPClassUID, state.file_meta.MediaStorageSOPInstanceUID = state.SOPClassUID, "1.2.9"
    stream = io.BytesIO()
    state.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def seeds_of(name: str) -> list[bytes]:
    """Valid files of one format, for a fuzzer that takes one file at a time."""
    return list(seeds()[name].values())


def read_reading(path: Path, **options: Any) -> object:
    """A file of readings as a caller would read it who wants all that can be had."""
    left: list[LeftOut] = []
    return read_annotations(path, left_out=left, **options)


def bent(value: Any, rng: random.Random) -> Any:
    """JSON with one value swapped, dropped or doubled somewhere inside."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.08:
        return rng.choice(ODD)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, kind = rng.choice(keys), rng.random()
    out = dict(value) if isinstance(value, dict) else list(value)
    if kind < 0.1:
        del out[key]
    elif kind < 0.2 and isinstance(out, list):
        out.append(out[key])
    elif kind < 0.25 and isinstance(out, dict):
        out[rng.choice(["", "id", "type", "frames", "0"])] = out[key]
    else:
        out[key] = bent(out[key], rng)
    return out


def damaged(content: bytes, name: str, rng: random.Random) -> bytes:
    """A valid file, damaged."""
    if name.endswith(".json") and rng.random() < 0.7:
        value = json.loads(content)
        for _ in range(rng.choice((1, 1, 2, 4))):
            value = bent(value, rng)
        return json.dumps(value).encode()
    out = bytearray(content)
    words = [
        b"",
        b",",
        b";",
        b"\n",
        b'"',
        b"\x00",
        b"-1",
        b"nan",
        b"1e999",
        b"<",
        b">",
        b"&x;",
        b"9" * 40,
        b"\xff\xfe",
        b"[",
        b"{",
    ]
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        if not out:
            break
        at, kind = rng.randrange(len(out)), rng.randrange(5)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.randrange(256)
        elif kind == 2:
            del out[at : len(out) if rng.random() < 0.3 else at + rng.choice((1, 2, 4, 16))]
        elif kind == 3:
            out[at : at + rng.choice((0, 0, 1, 3))] = rng.choice(words)
        else:
            size = rng.choice((1, 4, 16, 64))
            out[at:at] = out[at : at + size]
    return bytes(out)


def main() -> int:
    """Run, and print a line a format: executions, seconds, findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*")
    parser.add_argument("--minutes", type=float, default=1.0, help="of processor time, all formats together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    made = {k: v for k, v in seeds().items() if not options.formats or k in options.formats}
    rng = random.Random(options.seed)
    share = 60 * options.minutes / len(made)
    failures = 0
    for name, files in made.items():
        start, runs, found = time.process_time(), 0, 0
        while time.process_time() - start < share:
            runs += 1
            found += _one(name, files, rng, options.out)
        failures += found
        print(f"{name:22} {runs:8} executions {time.process_time() - start:6.0f} s {found} findings", flush=True)
    return min(failures, 1)


def _one(name: str, files: dict[str, bytes], rng: random.Random, out: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        victim = rng.choice(list(files))
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(damaged(content, path, rng) if path == victim else content)
        more: dict[str, Any] = {}
        if rng.random() < 0.3:
            more["dataset"] = Dataset((Record(root / "f" / "a.png", "a.png"), Record(root / "b.png", "b.png")), ())
        if rng.random() < 0.2:
            more |= {"skip_shapes": True, "labels": ["NORMAL", "Mass"], "coordinates": "relative"}
        if rng.random() < 0.3:
            more["format"] = name
        target = root if rng.random() < 0.3 else root / victim
        start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        trace = ""
        try:
            read_reading(target, **more)
        except RadiolucentError:
            pass
        except Exception:
            trace = traceback.format_exc()
        took = time.process_time() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        if not trace and took > SLOW:
            trace = f"took {took:.1f} s"
        if not trace and grown > MEMORY:
            trace = f"grew by {grown:,} bytes"
        if trace:
            out.mkdir(parents=True, exist_ok=True)
            stamp = f"{name}-{rng.randrange(10**8)}"
            (out / f"{stamp}.txt").write_text(f"{more}\n{victim}\n{trace}")
            (out / f"{stamp}.bin").write_bytes((root / victim).read_bytes())
        return bool(trace)


if __name__ == "__main__":
    sys.exit(main())
