"""An audit of thousands of films in one run, killed in the middle: films a second, memory on the way, and resuming.

    python benchmarks/audit.py [--films 5000] [--kill-at 2500] [--size 64] [--out DIR]

Films are phantoms with noise of their own, as PNG files with masks of lungs and markers; the network is the small CNN,
fresh. The first process is killed (SIGKILL) at `--kill-at` films; a second does the rest. Resident memory is read from
/proc/self/statm at every step; what matters is how much it grows from the first tenth to the end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from radiolucent.audits.trial import examine, masks_from_folder
from radiolucent.audits.trial.planted import audit_views, pool
from radiolucent.data import Dataset, Record
from radiolucent.models import build


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def draw(root: Path, films: int, size: int) -> None:
    """Films, lung and marker masks, each film once."""
    views, rng = audit_views(pool(32, size, 3), 3), np.random.default_rng(5)
    for i in range(films):
        v = views[i % len(views)]
        name = f"{'PNEUMONIA' if v.label else 'NORMAL'}/{i:05d}.png"
        grey = np.clip(v.grey + rng.normal(0, 4, v.grey.shape), 0, 255).astype(np.uint8)
        for folder, pixels in (("films", grey), ("lungs", v.lungs), ("markers", v.markers)):
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shown = pixels if pixels is not None and pixels.dtype == np.uint8 else np.asarray(pixels, np.uint8) * 255
            Image.fromarray(shown).save(path, compress_level=1)


def work(root: Path, size: int, kill_at: int) -> None:
    """The audit itself; prints one line of JSON at its end."""
    names = sorted(p.relative_to(root / "films").as_posix() for p in (root / "films").rglob("*.png"))
    records = tuple(Record(root / "films" / n, n, int(n.startswith("PNEU")), f"p{i // 2}") for i, n in enumerate(names))
    network, _ = build("small_cnn", size=size, widths=(8, 16, 32), hidden=0, pretrained=False, seed=1)
    seen: dict[str, list[tuple[int, float]]] = {}

    def tell(stage: str, done: int, total: int) -> None:
        if done % 100 == 0 or done == total:
            seen.setdefault(stage, []).append((done, resident()))
        if kill_at and stage == "asking the model" and done >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    began = time.perf_counter()
    found = examine(
        network, Dataset(records, ("NORMAL", "PNEUMONIA")), lungs=masks_from_folder(root / "lungs"),
        markers=masks_from_folder(root / "markers"), folder=root / "state", progress=tell,
    )  # fmt: skip
    print(json.dumps({"seconds": time.perf_counter() - began, "films": len(found.table), "headline": found.headline,
                      "findings": len(found.findings), "memory": seen}))  # fmt: skip


def lines(root: Path) -> int:
    return sum(f.read_bytes().count(b"\n") for f in (root / "state").glob("*.jsonl"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=5000)
    parser.add_argument("--kill-at", type=int, default=2500)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    root = given.out or Path(tempfile.mkdtemp(prefix="audit-"))
    if given.work:
        work(root, given.size, given.kill_at)
        return
    if not (root / "films").is_dir():
        draw(root, given.films, given.size)
    command = [sys.executable, __file__, "--work", "--size", str(given.size), "--out", str(root)]
    began = time.perf_counter()
    dead = subprocess.run([*command, "--kill-at", str(given.kill_at)], check=False, stdout=subprocess.PIPE)
    first, kept = time.perf_counter() - began, lines(root)
    print(f"killed with status {dead.returncode} after {first:.0f} s; {kept} films in the journal")
    alive = subprocess.run([*command, "--kill-at", "0"], check=True, stdout=subprocess.PIPE)
    told = json.loads(alive.stdout)
    print(f"resumed: {told['films']} films, {told['findings']} findings, {told['seconds']:.0f} s; {lines(root)} lines")
    print(f"{told['headline']}\n")
    print("| stage | steps seen | MiB at the first tenth | MiB at the end | most |\n|---|---:|---:|---:|---:|")
    for stage, steps in told["memory"].items():
        sizes = [mib for _, mib in steps]
        print(f"| {stage} | {len(sizes)} | {sizes[len(sizes) // 10]:.0f} | {sizes[-1]:.0f} | {max(sizes):.0f} |")


if __name__ == "__main__":
    main()
