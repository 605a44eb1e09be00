"""Ten thousand explanations of a folder in one resumable run: time, memory, and a kill in the middle.

    python benchmarks/stream.py [--films 10000] [--out runs/stream] [--kill-at 4000]

Small phantom films (drawn once, then copied with a little noise under new names) are explained by Grad-CAM on a small
CNN. The run is killed (SIGKILL) when so many films are in the journal, and started again. Printed are films a second
and the resident memory over the run; the maps are then counted: none lost, none twice.
"""

import argparse
import csv
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


def resident() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


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
    """Explain, and print films done and memory now and then."""
    start = time.monotonic()

    def say(stage: str, done: int, total: int) -> None:
        if done % 800 == 0 or done == total:
            print(f"{done},{time.monotonic() - start:.1f},{resident():.1f}", flush=True)

    config = ManyConfig((GradCAM(),), panels=False, trust=False, batch_size=16)
    found = explain_many(load(out / "run"), [out / "films"], out / "maps", config, say=say)
    print(f"# explained {found.films}, of them now {found.new}, left out {len(found.left_out)}", flush=True)


def main() -> None:
    """Draw, run, kill, go on, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("runs/stream"))
    parser.add_argument("--kill-at", type=int, default=4_000)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.out)
        return
    draw(options.out / "films", options.films)
    if not (options.out / "run").exists():
        save(build("small_cnn", size=64, hidden=0, seed=0)[0], options.out / "run" / "model.safetensors")
    journal = options.out / "maps" / "journal.jsonl"
    command = [sys.executable, __file__, "--work", "--out", str(options.out)]
    if options.kill_at and not journal.is_file():
        process = subprocess.Popen(command)
        while process.poll() is None and (not journal.is_file() or journal.read_bytes().count(b"\n") < options.kill_at):
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"# killed with {journal.read_bytes().count(bytes([10]))} films in the journal", flush=True)
    subprocess.run(command, check=True)
    with (options.out / "maps" / "explanations.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    maps = [p for p in (options.out / "maps" / "maps").rglob("*") if p.is_file()]
    unique = {r["map"] for r in rows}
    print(f"# rows {len(rows)}, different maps in them {len(unique)}, files {len(maps)}, films {options.films}")
    if not len(rows) == len(unique) == len(maps) == options.films:
        sys.exit("a film was lost or done twice")


if __name__ == "__main__":
    main()
