"""What each shortcut of `radiolucent.passes.fast` gains: the same maps with it and without it, in turn.

    python benchmarks/fast.py [--networks NAME …] [--shortcuts NAME …] [--rounds 7] [--results FILE] [--markdown FILE]

A shortcut's gain is the time without it divided by the time with it, both in the same round; every other shortcut is
taken in both. The table gives the median over rounds after one that warms up, with the interval of at least 95 % that
order statistics give, and the lines of the files that exist for this shortcut alone. A shortcut earns its place where
the interval lies above 1 on two networks or more. Networks have random weights: times do not depend on them.

`openvino_kernels` acts only on processors with AVX2 and without AVX-512; set ONEDNN_MAX_CPU_ISA=AVX2 on others.
With `--results` figures are kept in a file, and a later call adds to them. `--processor-time` counts what the process
computes instead of what passes, for a busy machine; it does not tell what `parallel_batches` gains.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import torch

import radiolucent as rl
import radiolucent.passes.fast as room
from radiolucent.explainers import Explainer
from radiolucent.files import write_json, write_text
from radiolucent.passes.session import SHORTCUTS, Session

NETWORKS = ("mobilenetv1", "resnet18", "densenet121", "efficientnet_lite0")
LIME = rl.LIME(65, segmentation="slic")
JOBS: dict[str, tuple[str, Explainer, int, tuple[str, ...]]] = {
    "openvino": ("LIME, 65 copies", LIME, 1, ("engine",)),
    "openvino_kernels": ("LIME, 65 copies", LIME, 1, ("openvino_kernels",)),
    "openvino_features": ("Grad-CAM, 16 films of 600", rl.GradCAM(), 16, ("openvino_features",)),
    "incremental": (
        "Occlusion, 196 windows",
        rl.Occlusion(),
        1,
        ("incremental", "patched", "region_ops", "receptive_boxes"),
    ),
    "parallel_batches": ("LIME, 65 copies", LIME, 1, ("parallel_batches",)),
    "traced_head": ("ReciproCAM", rl.ReciproCAM(), 1, ("trace",)),
}
"""By shortcut a job in which it acts: what, by which method, on how many films; and the files of the shortcut."""


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Order statistics that hold the median with at least 95 %; the lowest and highest where rounds are few."""
    ranked, n = sorted(values), len(values)
    k = 0
    while 2 * sum(comb(n, i) for i in range(k + 2)) / 2**n <= 0.05:
        k += 1
    return ranked[k], ranked[n - 1 - k]


def gains(network: str, shortcut: str, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """The shortcut's gain in its job, round by round."""
    clf = rl.build(network, pretrained=False)[0]
    what, method, count, _ = JOBS[shortcut]
    draw = np.random.default_rng(0)
    films = [rl.from_array(draw.random((224, 224)).astype(np.float32)) for _ in range(count)]

    def job(without: tuple[str, ...]) -> Callable[[], Any]:
        session = Session(films=600, worth_converting=1, worth_tracing=1, without=without)
        return lambda: rl.explain(clf, films, method, target=1, session=session)

    ways, times = {"on": job(()), "off": job((shortcut,))}, {"on": list[float](), "off": list[float]()}
    for i in range(rounds + 1):
        for name, run in ways.items():
            if shortcut in ("openvino_kernels", "parallel_batches") or not i:
                run()  # what one way prepares for the network takes the place of what the other did
            start = clock()
            run()
            if i:
                times[name].append(clock() - start)
    ratios = [off / on for off, on in zip(times["off"], times["on"], strict=True)]
    low, high = interval(ratios)
    return {
        "what": what,
        "gain": statistics.median(ratios),
        "low": low,
        "high": high,
        "rounds": rounds,
        "seconds": statistics.median(times["on"]),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def lines(shortcut: str) -> int:
    """Lines of the files that exist for this shortcut alone."""
    folder = Path(room.__path__[0])
    return sum(len((folder / f"{file}.py").read_text().splitlines()) for file in JOBS[shortcut][3])


def table(found: dict[str, dict[str, Any]]) -> str:
    """A row a shortcut, a column a network."""
    networks = [n for n in NETWORKS if any(key.endswith(f" {n}") for key in found)]
    rows = [f"| shortcut | job | {' | '.join(networks)} | lines |", "|---" * (len(networks) + 3) + "|"]
    for shortcut in (s for s in SHORTCUTS if any(key.startswith(f"{s} ") for key in found)):
        cells = [found.get(f"{shortcut} {n}") for n in networks]
        told = [f"{c['gain']:.2f} ({c['low']:.2f} to {c['high']:.2f})" if c else "" for c in cells]
        rows.append(f"| `{shortcut}` | {JOBS[shortcut][0]} | {' | '.join(told)} | {lines(shortcut)} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Measure, keep, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--shortcuts", nargs="+", choices=SHORTCUTS, default=[s for s in SHORTCUTS if s in JOBS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    clock = time.process_time if options.processor_time else time.perf_counter
    kept = options.results is not None and options.results.is_file()
    found: dict[str, dict[str, Any]] = json.loads(options.results.read_text()) if kept else {}
    for shortcut in options.shortcuts:
        for network in options.networks:
            found[f"{shortcut} {network}"] = gains(network, shortcut, options.rounds, clock)
            if options.results:
                write_json(options.results, found)
    print(table(found))
    if options.markdown:
        write_text(options.markdown, table(found))


if __name__ == "__main__":
    main()
