"""Cold starts: how long a fresh process takes to its answer, as multiples of `python -c "import torch"` beside it.

    python benchmarks/startup.py [--repeats 3] [--films 600]

Every row is a new process; a torch import is timed before each, so that a slow minute slows both. Goals are multiples
by the clock, on an idle machine; processor seconds also tell something on a busy one. Rows with "no byte code" run
without any compiled files, as the first start after an installation does.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

GOALS = {
    "help": "0.3 s", "wrong usage": "0.3 s", "completion": "0.3 s", "predict": 1.5, "explain gradcam": 2.2,
    "explain": 5.0, "torchcam script": "", "evaluate": 2.5,
}  # fmt: skip
INSTALLED = "import sys; sys.argv = ['radiolucent']; from radiolucent.cli import main; main()"
COMPLETION = {"_RADIOLUCENT_COMPLETE": "complete_bash", "COMP_WORDS": "radiolucent ex", "COMP_CWORD": "1"}

# What one would write instead of `explain --method gradcam`: a network, a map, a picture.
TORCHCAM = """
import sys, matplotlib, torch, torchvision
matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image
from torchcam.methods import GradCAM
from torchvision.transforms.functional import to_tensor, resize
network = torchvision.models.resnet18(weights=None).eval()
image = resize(to_tensor(Image.open(sys.argv[1]).convert("RGB")), [224, 224])
with GradCAM(network, target_layer="layer4") as cam:
    answer = network(image[None])
    heat = cam(int(answer.argmax()), answer)[0][0]
plt.imshow(image[0], cmap="gray")
plt.imshow(resize(heat[None], [224, 224])[0], alpha=0.5)
plt.savefig("rival.png")
"""


def timed(words: Sequence[str], folder: Path, *, byte_code: bool) -> tuple[float, float]:
    """Seconds of one process: by the clock, and of the processor."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "byte code") if byte_code else tempfile.mkdtemp(dir=folder)
    if not byte_code:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    if "explain" in words:  # nothing is left over from the start before
        shutil.rmtree(folder / "explanations", ignore_errors=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    if "completion" in words:
        words, environment = words[:-1], environment | COMPLETION
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True)
    if done.returncode != (2 if "--nope" in words else 0):
        raise SystemExit(f"{' '.join(words)}: status {done.returncode}\n{done.stderr.decode()}")
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def films(folder: Path, count: int) -> Path:
    """Films in two class folders, quickly made: one drawn film, shifted a little."""
    from radiolucent.data.phantom import PhantomConfig, generate

    generate(folder / "phantom", PhantomConfig(patients=4, films=1, size=224), workers=1)
    drawn = [np.asarray(Image.open(p)) for p in sorted((folder / "phantom").rglob("PNEUMONIA/*.png"))[:1]]
    for i in range(count):
        place = folder / "films" / ("NORMAL" if i % 2 else "PNEUMONIA") / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(drawn[0], i % 5, axis=1)).save(place, compress_level=1)
    return folder / "films"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--films", type=int, default=600)
    parser.add_argument("--no-byte-code", action="store_true", help="also without compiled files")
    parser.add_argument("--only", default="", help="one row by its name")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        many = films(folder, chosen.films)
        film = str(next((many / "PNEUMONIA").iterdir()))
        (folder / "rival.py").write_text(TORCHCAM)
        package = ["-m", "radiolucent"]
        rows = {
            "help": [*package, "--help"],
            "wrong usage": [*package, "predict", "--nope"],
            "completion": ["-c", INSTALLED, "completion"],
            "predict": [*package, "predict", "box", film],
            "explain gradcam": [*package, "explain", film, "--method", "gradcam", "--no-trust"],
            "explain": [*package, "explain", film],
            "torchcam script": ["rival.py", film],
            "evaluate": [*package, "evaluate", "box", str(many)],
        }
        print("| start | byte code | seconds (median) | × import torch | processor seconds | × import torch | goal |")
        print("|---|---|---|---|---|---|---|")
        for byte_code in (True, False) if chosen.no_byte_code else (True,):
            for name, words in rows.items():
                if chosen.only in ("", name):
                    line(name, words, folder, byte_code, chosen.repeats)


def line(name: str, words: Sequence[str], folder: Path, byte_code: bool, repeats: int) -> None:
    """Measure and print one row."""
    taken: list[tuple[float, float]] = []
    torch: list[tuple[float, float]] = []
    if byte_code:  # written by these
        timed(["-c", "import torch"], folder, byte_code=True)
        timed(words, folder, byte_code=True)
    for _ in range(repeats):
        torch.append(timed(["-c", "import torch"], folder, byte_code=byte_code))
        taken.append(timed(words, folder, byte_code=byte_code))
    kind, goal = "yes" if byte_code else "no", GOALS[name]
    (clock, clock_torch), (cpu, cpu_torch) = (
        tuple(statistics.median(run[k] for run in runs) for runs in (taken, torch)) for k in (0, 1)
    )
    print(
        f"| {name} | {kind} | {clock:.2f} | {clock / clock_torch:.2f} | {cpu:.2f} | {cpu / cpu_torch:.2f} | {goal} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
