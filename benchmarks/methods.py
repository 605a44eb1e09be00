"""Every method beside every library that has it: same network, images and machine, one run.

    python benchmarks/methods.py [IMAGE_FOLDER] [--weights FILE | --run RUN] [--quick] [--only NAME …] [--films N]
                                 [--results FILE [--minutes 3]] [--markdown FILE]

Each contender of a method is timed in turn, round after round, after a round that warms up; the table gives the median
over rounds of a library's time as a multiple of ours in the same round, with the lowest and the highest, and our time
in forward passes of the same images in the same round: the limit below which no gradient method can go. A method whose
contenders are slow has fewer rounds, but one at least; the table says how many. Perturbation methods explain one film,
the others a batch.

With `--results` every method's figures are kept as soon as they are measured, and a later call goes on with the methods
that are missing: `--minutes` ends a call early. Figures of one method always come from one call. `--processor-time`
counts what the process computes instead of what passes: ratios of one thread hardly change with what else the machine
does.

`--films` measures batches of a data set of so many films, for which methods that need no backward pass convert the
network (`openvino_features` of `radiolucent.passes.session`): that happens once, in the round that warms up; its time
is printed.

Libraries are given as many altered copies a pass as torch is quickest with; "captum alone" is captum's occlusion at its
default of one copy a pass. "plain loop" is the paper's own way, where no library for torch has the method. Networks
without weights are random: times hardly depend on that, except for Score-CAM, where dead channels save passes: give
--weights or a trained --run. LIME: each by its defaults, 353 samples and lime's 1000; whether that is the same
fidelity depends on network and film (benchmarks/lime_fidelity.py measures it).

The last column is fidelity: Pearson's r of our maps with each library's, of the same films at the same settings, the
mean over the batch (rectified where the library rectifies; methods that draw at random differ by their draws). Of LIME,
KernelSHAP, RISE and Sobol, with `--reference`, it is each contender's 1 − r with so many samples: lime's and captum's
own estimates for the first two, which favours them, and ours of another seed for the others, whose plain loop
estimates something else of Sobol's. One film and one draw each: see lime_fidelity.py and kernelshap.py for more.
"""

import argparse
import contextlib
import dataclasses
import datetime
import importlib.metadata
import io
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import radiolucent as rl
from explain import films
from fidelity import agreement, errors, maps_of
from fidelity import told as fidelity_told
from radiolucent.errors import ExplainError
from radiolucent.explainers import METHODS
from radiolucent.files import write_json, write_text
from radiolucent.models import Classifier
from radiolucent.passes.session import Session
from rivals import LIBRARIES, Contest, method_of


@dataclass(frozen=True)
class Measured:
    """One method's figures.

    Attributes:
        ms: our milliseconds an image. passes: our time in forward passes of the same images.
        rivals: each library's time as multiples of ours, one a round. batch: images explained at once.
        copies: altered copies a pass that libraries were given. note: what went wrong. conditions: of the run.
        agreements: r of our maps with each library's. errors: 1 − r of each with many samples.
    """

    ms: float
    passes: float
    rivals: dict[str, list[float]]
    rounds: int
    batch: int
    copies: int
    note: str
    conditions: str = ""
    agreements: dict[str, float] = field(default_factory=dict[str, float])
    errors: dict[str, float] = field(default_factory=dict[str, float])


def measured(
    contest: Contest, name: str, rounds: int, seconds: float, clock: Callable[[], float], reference: int
) -> Measured:
    """Time all contenders of a method, for so many rounds or until the time is up; then compare their last answers."""
    method = method_of(name, contest.clf, contest.one)
    inputs = contest.one if method.one_by_one else contest.inputs
    runs = {"ours": contest.ours(method), "forward": lambda: contest.clf.logits(inputs), **contest.others(name)}
    times: dict[str, list[float]] = {library: [] for library in runs}
    answers: dict[str, object] = {}
    note, begin = "", clock()
    for turn in range(rounds + 1):  # the first warms up
        if turn > 1 and clock() - begin > seconds:
            break
        for library in list(runs):
            if method.one_by_one and not turn and library not in ("ours", "forward"):
                continue  # hundreds of passes warm up by themselves; we trace and convert in the first
            start = clock()
            try:
                with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                    answers[library] = runs[library]()
            except Exception as error:  # another library may not take this network
                if library == "ours":
                    raise
                note += f"{library}: {type(error).__name__}: {str(error)[:80]} "
                del runs[library], times[library]
                answers.pop(library, None)
                continue
            if turn:
                times[library].append(clock() - start)

    def multiples(a: str, b: str) -> list[float]:
        return [x / y for x, y in zip(times[a], times[b], strict=True)]

    rivals = {library: multiples(library, "ours") for library in LIBRARIES if library in times}
    ms, passes = statistics.median(times["ours"]) / len(inputs) * 1e3, statistics.median(multiples("ours", "forward"))
    size = (int(inputs.shape[2]), int(inputs.shape[3]))
    maps = maps_of(answers["ours"], size)
    same = {library: agreement(library, maps, answers[library]) for library in rivals}
    del answers["forward"]
    many = contest.many(name, reference) if reference else None
    with contextlib.redirect_stderr(io.StringIO()):
        apart = errors({k: answers[k] for k in ("ours", *rivals)}, many, size) if many else {}
    return Measured(
        ms, passes, rivals, len(times["ours"]), len(inputs), contest.copies, note, agreements=same, errors=apart
    )


def conditions(options: argparse.Namespace, clf: Classifier) -> str:
    """Machine, versions, threads and date."""
    names = ("radiolucent", "torch", "openvino", "captum", "grad-cam", "torchcam", "lime", "shapiq", "zennit")
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names)
    cpu = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if cpu.exists():
        lines = cpu.read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return (
        f"{clf.architecture.get('name')} at {clf.preprocess.size} px, "
        f"{f'of a data set of {options.films} films, ' if options.films else ''}at most {options.rounds} rounds, "
        f"{'processor' if options.processor_time else 'wall'} time, "
        f"{torch.get_num_threads()} thread(s) of {model}, {versions}, Python {platform.python_version()}, "
        f"{datetime.datetime.now(tz=datetime.UTC).date()}"
    )


def kept(path: Path | None) -> dict[str, Measured]:
    """Figures of earlier calls."""
    if path is None or not path.exists():
        return {}
    return {name: Measured(**row) for name, row in json.loads(path.read_text(encoding="utf-8")).items()}


def cells(name: str, found: Measured) -> list[str]:
    """A method's row of the table."""

    def ratios(library: str) -> str:
        if not (values := found.rivals.get(library)):
            return "–"
        spread = f" ({min(values):.2f}–{max(values):.2f})" if len(values) > 1 else ""
        return f"{statistics.median(values):.2f}{spread}"

    numbers = [str(found.batch), str(found.rounds), f"{found.ms:.1f}", f"{found.passes:.2f}"]
    fidelity = fidelity_told(found.agreements, found.errors, LIBRARIES)
    return [name, *numbers, *(ratios(library) for library in LIBRARIES), fidelity]


def show(results: dict[str, Measured], markdown: Path | None) -> None:
    """Print the table, and write it if asked to."""
    heading = [
        "method",
        "batch",
        "rounds",
        "ms an image",
        "forward passes",
        *(f"{x} / ours" for x in LIBRARIES),
        "fidelity",
    ]
    rows = [heading, *(cells(name, results[name]) for name in METHODS if name in results)]
    told = list(dict.fromkeys(found.conditions for found in results.values()))
    table = Table(title="\n".join(told))
    for i, column in enumerate(heading):
        table.add_column(column, justify="right" if i else "left")
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|---|" + "---:|" * (len(heading) - 1))
        write_text(markdown, "\n\n".join([*told, "\n".join(lines)]) + "\n")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--run", type=Path, help="a trained run instead of a fresh network")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--films", type=int, default=0, help="of the data set that the batch is of")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int)
    parser.add_argument("--seconds", type=float, default=60.0, help="a method, after which no round is begun")
    parser.add_argument("--only", nargs="+", choices=list(METHODS))
    parser.add_argument("--quick", action="store_true", help="few rounds, only what another library has: minutes")
    parser.add_argument("--results", type=Path, help="keep figures here (JSON) and go on from what it holds")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no method after so long")
    parser.add_argument("--processor-time", action="store_true", help="for a busy machine; set OMP_NUM_THREADS=1")
    parser.add_argument("--reference", type=int, default=0, help="samples of the maps that sampled ones are held to")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.batch, options.seconds = min(options.rounds, 3), min(options.batch, 4), 40.0
    return options


def main() -> None:
    """Parse, measure, print."""
    options, begin = parsed(), time.monotonic()
    clock = time.process_time if options.processor_time else time.perf_counter
    warnings.simplefilter("ignore")
    made = {"pretrained": False, "weights": options.weights, "size": options.size}
    clf = rl.load(options.run) if options.run else rl.build("mobilenetv1", **made)[0]
    clf.network.eval()
    inputs = torch.stack([clf.preprocess(f) for f in films(options.folder, options.batch)])
    contest = Contest(clf, inputs.contiguous(memory_format=torch.channels_last))
    chosen = options.only or [n for n in METHODS if not options.quick or contest.others(n)]
    results, told, console = kept(options.results), conditions(options, clf), Console()
    missing = [name for name in chosen if name not in results]
    for name in missing:
        if time.monotonic() - begin > 60 * options.minutes:
            console.print(f"time is up; call again for {', '.join(n for n in missing if n not in results)}")
            break
        contest.session = Session(films=options.films)  # as rl.explain makes one for all films it is given
        if options.films:
            start = clock()
            contest.ours(method_of(name, clf, contest.one))()
            console.print(f"{name}: first batch of the data set {clock() - start:.1f} s")
        try:
            found = measured(contest, name, options.rounds, options.seconds, clock, options.reference)
        except ExplainError as error:  # a method for other networks
            console.print(f"{name}: {error}")
            continue
        found = dataclasses.replace(found, conditions=told)
        results[name] = found
        console.print("  ".join(cells(name, found)), found.note)
        if options.results:
            write_json(options.results, {n: dataclasses.asdict(row) for n, row in results.items()})
    show({name: results[name] for name in chosen if name in results}, options.markdown)


if __name__ == "__main__":
    main()
