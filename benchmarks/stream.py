"""Ten thousand explanations of a folder in one resumable run: time, memory, and a kill in the middle.

    python benchmarks/stream.py [--films 10000] [--out runs/stream] [--kill-at 5000] [--minutes 9]

Small films (a few phantoms, each with noise of its own: no two files alike) are explained by Grad-CAM on a small CNN,
one explanation a film. The run is killed (SIGKILL) when so many films are in the journal, and goes on. `--minutes`
stops it as hard, for a machine shared with others: the same command goes on. Resident memory is sampled twice a second.

At the end every film must stand in the table once, with a map of its own on disk; no film may have been entered in
the journal twice; and no map that was entered before a kill may have been written again.
"""

import argparse
import csv
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from radiolucent.data.phantom import PhantomConfig, generate
from radiolucent.explainers import GradCAM
from radiolucent.models import build, load, save
from radiolucent.study import ManyConfig, explain_many


def draw(folder: Path, films: int) -> None:
    """`films` small films from a few phantoms and noise; those that are there are kept."""
    seeds = generate(folder.parent / "phantom", PhantomConfig(patients=40, films=1, size=96, seed=0), workers=1).records
    pixels = [np.asarray(Image.open(r.path), np.int16) for r in seeds]
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(films):
        file = folder / f"film{i:06d}.png"
        if not file.is_file():
            noise = np.random.default_rng(i).integers(-3, 4, pixels[0].shape)
            image = np.clip(pixels[i % len(pixels)] + noise, 0, 255).astype(np.uint8)
            Image.fromarray(image).save(file, compress_level=1)


def work(out: Path) -> None:
    """The run: whatever is not done yet."""
    config = ManyConfig((GradCAM(),), panels=False, trust=False)
    found = explain_many(load(out / "run"), [out / "films"], out / "maps", config)
    print(f"# explained {found.films}, of them now {found.new}, left out {len(found.left_out)}", flush=True)


def resident(pid: int) -> float:
    """Resident memory of a process in MiB; 0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def entered(out: Path) -> int:
    """Films in the journal."""
    journal = out / "maps" / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


def piece(out: Path, kill_at: int, until: float) -> bool:
    """Run until it ends (True), or kill it when `kill_at` films are entered or the time is up; sample its memory."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, __file__, "--work", "--out", str(out)])
    with (out / "samples.csv").open("a") as stream:
        while process.poll() is None:
            time.sleep(0.5)
            films = entered(out)
            row = (process.pid, f"{time.monotonic() - started:.1f}", films, f"{resident(process.pid):.1f}")
            print(*row, sep=",", file=stream, flush=True)
            if (kill_at and films >= kill_at) or time.monotonic() > until:
                process.send_signal(signal.SIGKILL)
                process.wait()
                note_kill(out)
                return False
    if process.returncode:
        sys.exit(f"the run ended with {process.returncode}")
    return True


def note_kill(out: Path) -> None:
    """Write down what was done when the run was killed: films entered, and when their maps were written."""
    lines = (out / "maps" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
    times = {r["map"]: (out / "maps" / r["map"]).stat().st_mtime_ns for e in whole for r in e["rows"]}
    (out / f"kill-{len(whole):06d}.json").write_text(json.dumps(times))
    print(f"# killed with {len(whole)} films in the journal", flush=True)


def check(out: Path, films: int) -> None:
    """Every film once, with its map; nothing lost, nothing done twice."""
    with (out / "maps" / "explanations.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    files = {str(p) for p in (out / "films").iterdir()}
    contents = {hashlib.sha256(Path(p).read_bytes()).digest() for p in files}
    maps = {str(p.relative_to(out / "maps")) for p in (out / "maps" / "maps").rglob("*") if p.is_file()}
    keys = [json.loads(line)["key"] for line in (out / "maps" / "journal.jsonl").read_bytes().splitlines()]
    kills = sorted(out.glob("kill-*.json"))
    before = [item for kill in kills for item in json.loads(kill.read_text()).items()]
    again = sum((out / "maps" / name).stat().st_mtime_ns != when for name, when in before)
    counts = {
        "films": films,
        "different files": len(contents),
        "rows": len(rows),
        "films in them": len({r["image"] for r in rows}),
        "maps on disk": len(maps),
        "journal lines": len(keys),
        "kills": len(kills),
        "maps written again": again,
    }
    print("#", ", ".join(f"{name} {count}" for name, count in counts.items()))
    whole = len(contents) == len(rows) == len(maps) == len(keys) == len(set(keys)) == films
    if not whole or {r["image"] for r in rows} != files or {r["map"] for r in rows} != maps or again:
        sys.exit("a film was lost or done twice")


def tell(out: Path, films: int) -> None:
    """A table: the run in tenths, with films a second and the most resident memory in each."""
    with (out / "samples.csv").open() as stream:
        samples = [(int(p), float(s), int(n), float(m)) for p, s, n, m in csv.reader(stream)]
    print("| films | films a second | resident MiB, most |\n|---:|---:|---:|")
    for tenth in range(10):
        low, high = films * tenth // 10, films * (tenth + 1) // 10
        some = [s for s in samples if low < s[2] <= high]
        seconds = done = 0.0
        for one, other in itertools.pairwise(some):
            if one[0] == other[0]:  # of one process
                seconds, done = seconds + other[1] - one[1], done + other[2] - one[2]
        peak = max((s[3] for s in some), default=0.0)
        print(f"| {low:,}–{high:,} | {done / seconds if seconds else 0:.0f} | {peak:.0f} |")


def main() -> None:
    """Draw, run, kill, go on, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("runs/stream"))
    parser.add_argument("--kill-at", type=int, default=5_000, help="0: never")
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    out, until = options.out, time.monotonic() + 60 * options.minutes
    if options.work:
        work(out)
        return
    draw(out / "films", options.films)
    if not (out / "run").exists():
        save(build("small_cnn", size=64, hidden=0, seed=0)[0], out / "run" / "model.safetensors")
    kill_at = options.kill_at if entered(out) < options.kill_at else 0
    while not piece(out, kill_at, until):
        kill_at = 0
        if time.monotonic() > until:
            print("# time is up; the same command goes on")
            return
    check(out, options.films)
    tell(out, options.films)


if __name__ == "__main__":
    main()
