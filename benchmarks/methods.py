"""Every method beside every library that has it: same network, images and machine, one run.

    python benchmarks/methods.py [IMAGE_FOLDER] [--weights FILE | --run RUN] [--quick] [--only NAME …] [--markdown FILE]

Each contender of a method is timed in turn, round after round, after a round that warms up; the table gives the median
over rounds of a library's time as a multiple of ours in the same round, and our time in forward passes of the same
images in the same round: the limit below which no method can go. A method whose contenders are slow has fewer rounds,
but one at least; the table says how many. Perturbation methods explain one film, the others a batch.

Libraries are given batches of 32 altered copies; "captum alone" is captum's occlusion at its default of one copy a
pass. Networks without weights are random: times hardly depend on that, except for Score-CAM, where dead channels save
passes: give a trained --run. LIME: ours has 512 paired samples, lime its 1000 random ones, which is the same fidelity
(see benchmarks/explain.py, which measures it).
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import io
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

import radiolucent as rl
from explain import films
from radiolucent.explainers import METHODS, Explainer
from radiolucent.explainers.base import Goal
from radiolucent.explainers.superpixels import segment
from radiolucent.models import Classifier

Run = Callable[[], object]
SETTINGS: dict[str, dict[str, Any]] = {
    "lime": {"num_samples": 512},
    "kernelshap": {"num_samples": 500},
    "occlusion": {"window": 32, "stride": 16, "fill": 0.0},
    "integratedgradients": {"steps": 20},
    "smoothgrad": {"samples": 10},
    "gradientshap": {"samples": 10, "references": ("black",)},
}
LIBRARIES = ("captum", "captum alone", "grad-cam", "torchcam", "lime")


class Contest:
    """The libraries' ways of explaining the same inputs by a class, by method and library."""

    def __init__(self, clf: Classifier, inputs: torch.Tensor) -> None:
        self.clf, self.network, self.inputs = clf, clf.network, inputs
        self.one, self.count = inputs[:1].contiguous(memory_format=torch.channels_last), len(inputs)
        goal = Goal(torch.ones(1, dtype=torch.long), "logit", clf)
        found: Any = METHODS["gradcam"]().attribute(clf, self.one, goal, torch.Generator())
        self.layer = self.network.get_submodule(found.details[0]["layer"])

    def ours(self, method: Explainer) -> Run:
        inputs = self.one if method.one_by_one else self.inputs
        goal = Goal(torch.ones(len(inputs), dtype=torch.long), "logit", self.clf)

        def run() -> object:
            return method.attribute(self.clf, inputs, goal, torch.Generator().manual_seed(0))

        return run

    def grad_cam(self, name: str, inputs: torch.Tensor) -> Run:
        import pytorch_grad_cam as library
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        def run() -> object:
            with getattr(library, name)(self.network, [self.layer]) as cam:
                cam.batch_size = 32
                return cam(inputs, [ClassifierOutputTarget(1)] * len(inputs))

        return run

    def torchcam(self, name: str, inputs: torch.Tensor) -> Run:
        from torchcam import methods as library

        def run() -> object:
            options = {"batch_size": 32} if name == "ScoreCAM" else {}
            with getattr(library, name)(self.network, self.layer, **options) as extractor:
                return extractor([1] * len(inputs), self.network(inputs))

        return run

    def captum(self, name: str, inputs: torch.Tensor, **options: Any) -> Run:
        import captum.attr as library

        made = getattr(library, name)
        attribution = made(self.network, self.layer) if name.startswith("Layer") else made(self.network)
        return lambda: attribution.attribute(inputs.clone().requires_grad_(), target=1, **options)

    def guided(self) -> Run:
        from captum.attr import GuidedGradCam

        made = GuidedGradCam(self.network, self.layer)
        return lambda: made.attribute(self.inputs.clone().requires_grad_(), target=1)

    def noisy(self) -> Run:
        from captum.attr import NoiseTunnel, Saliency

        made, spread = NoiseTunnel(Saliency(self.network)), 0.1 * float(self.inputs.max() - self.inputs.min())
        options: dict[str, Any] = {"nt_samples": 10, "nt_samples_batch_size": 2, "stdevs": spread, "abs": False}
        return lambda: made.attribute(self.inputs.clone().requires_grad_(), target=1, **options)

    def lime(self) -> Run:
        from lime.lime_image import LimeImageExplainer

        grey = self.clf.preprocess.denormalise(self.one)[0].numpy()
        segments, pre = segment(grey, "quickshift", 0), self.clf.preprocess

        def probabilities(images: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return self.network(pre.normalise(torch.from_numpy(images[..., 0]).float())).numpy()

        def run() -> object:
            return LimeImageExplainer(random_state=0).explain_instance(
                np.repeat(grey[..., None], 3, axis=2),
                probabilities,
                top_labels=2,
                num_samples=1000,
                batch_size=32,
                segmentation_fn=lambda _: segments,
            )

        return run

    def kernelshap(self) -> Run:
        grey = self.clf.preprocess.denormalise(self.one)[0].numpy()
        mask = torch.from_numpy(segment(grey, "slic", 0).astype(np.int64))[None, None]
        black = self.clf.preprocess.normalise(torch.zeros(1, 1, 1))
        return self.captum(
            "KernelShap",
            self.one,
            feature_mask=mask,
            baselines=black.expand_as(self.one),
            n_samples=500,
            perturbations_per_eval=32,
        )

    def others(self, name: str) -> dict[str, Run]:
        """What the libraries offer for one of our methods."""
        batch, one = self.inputs, self.one
        black = float(self.clf.preprocess.normalise(torch.zeros(1, 1, 1))[0, 0, 0, 0])
        cams = {"gradcamplusplus": "GradCAMPlusPlus", "hirescam": "HiResCAM", "xgradcam": "XGradCAM"}
        both = {"gradcamplusplus": "GradCAMpp", "layercam": "LayerCAM", "xgradcam": "XGradCAM", "cam": "CAM"}
        alone = {"eigencam": "EigenCAM", "layercam": "LayerCAM", "gradcam": "GradCAM", **cams}
        found: dict[str, Run] = {}
        if name in alone:
            found["grad-cam"] = self.grad_cam(alone[name], batch)
        if name in both and name != "cam":
            found["torchcam"] = self.torchcam(both[name], batch)
        if name == "gradcam":
            found["torchcam"] = self.torchcam("GradCAM", batch)
            found["captum"] = self.captum("LayerGradCam", batch)
        if name == "scorecam":
            found["grad-cam"], found["torchcam"] = self.grad_cam("ScoreCAM", one), self.torchcam("ScoreCAM", one)
        if name == "ablationcam":
            found["grad-cam"] = self.grad_cam("AblationCAM", one)
        if name == "occlusion":
            shapes = {"sliding_window_shapes": (one.shape[1], 32, 32), "strides": (one.shape[1], 16, 16)}
            for library, copies in (("captum", 32), ("captum alone", 1)):
                options = {"baselines": black, "perturbations_per_eval": copies, **shapes}
                found[library] = self.captum("Occlusion", one, **options)
        if name == "saliency":
            found["captum"] = self.captum("Saliency", batch)
        if name == "inputtimesgradient":
            found["captum"] = self.captum("InputXGradient", batch)
        if name == "integratedgradients":
            found["captum"] = self.captum("IntegratedGradients", batch, n_steps=20, baselines=black)
        if name == "guidedbackprop":
            found["captum"] = self.captum("GuidedBackprop", batch)
        if name == "guidedgradcam":
            found["captum"] = self.guided()
        if name == "smoothgrad":
            found["captum"] = self.noisy()
        if name == "gradientshap":
            start = torch.full_like(batch[:1], black)
            found["captum"] = self.captum("GradientShap", batch, baselines=start, n_samples=10)
        if name == "deeplift":
            found["captum"] = self.captum("DeepLift", batch, baselines=black)
        if name == "lime":
            found["lime"] = self.lime()
        if name == "kernelshap":
            found["captum"] = self.kernelshap()
        return found


def method_of(name: str, clf: Classifier, one: torch.Tensor) -> Explainer:
    """Our method, on the same superpixels as its rivals: segmentation is not timed."""
    settings = dict(SETTINGS.get(name, {}))
    if name in ("lime", "kernelshap"):
        grey = clf.preprocess.denormalise(one)[0].numpy()
        pieces = segment(grey, "quickshift" if name == "lime" else "slic", 0)
        settings["segmentation"] = lambda _: pieces
    if name == "kernelshap":
        settings["fill"] = 0.0
    return METHODS[name](**settings)


@dataclass(frozen=True)
class Measured:
    """Our milliseconds an image and forward passes, each library's multiple of our time, rounds, what went wrong."""

    ms: float
    passes: float
    rivals: dict[str, float]
    rounds: int
    note: str


def measured(contest: Contest, name: str, rounds: int, seconds: float) -> Measured:
    """Time all contenders of a method, for so many rounds or until the time is up."""
    method = method_of(name, contest.clf, contest.one)
    inputs = contest.one if method.one_by_one else contest.inputs
    runs = {"ours": contest.ours(method), "forward": lambda: contest.clf.logits(inputs), **contest.others(name)}
    times: dict[str, list[float]] = {library: [] for library in runs}
    note, begin = "", time.perf_counter()
    for turn in range(rounds + 1):  # the first warms up
        if turn > 1 and time.perf_counter() - begin > seconds:
            break
        for library in list(runs):
            if method.one_by_one and not turn and library not in ("ours", "forward"):
                continue  # hundreds of passes warm up by themselves; we trace and convert in the first
            start = time.perf_counter()
            try:
                with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                    runs[library]()
            except Exception as error:  # another library may not take this network
                if library == "ours":
                    raise
                note += f"{library}: {type(error).__name__}: {str(error)[:80]} "
                del runs[library], times[library]
                continue
            if turn:
                times[library].append(time.perf_counter() - start)

    def multiple(a: str, b: str) -> float:
        return statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))

    rivals = {library: multiple(library, "ours") for library in LIBRARIES if library in times}
    ms = statistics.median(times["ours"]) / len(inputs) * 1e3
    return Measured(ms, multiple("ours", "forward"), rivals, len(times["ours"]), note)


def conditions(options: argparse.Namespace, clf: Classifier) -> str:
    """Machine, versions, threads and date."""
    names = ("radiolucent", "torch", "openvino", "captum", "grad-cam", "torchcam", "lime")
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names)
    cpu = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if cpu.exists():
        lines = cpu.read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return (
        f"{clf.architecture.get('name')} at {clf.preprocess.size} px, batch of {options.batch}, "
        f"at most {options.rounds} rounds, "
        f"{torch.get_num_threads()} thread(s) of {model}, {versions}, Python {platform.python_version()}, "
        f"{datetime.datetime.now(tz=datetime.UTC).date()}"
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--run", type=Path, help="a trained run instead of a fresh network")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int)
    parser.add_argument("--seconds", type=float, default=60.0, help="a method, after which no round is begun")
    parser.add_argument("--only", nargs="+", choices=list(METHODS))
    parser.add_argument("--quick", action="store_true", help="few rounds, only what another library has: minutes")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.quick:
        options.rounds, options.batch, options.seconds = min(options.rounds, 3), min(options.batch, 8), 4.0
    made = {"pretrained": False, "weights": options.weights, "size": options.size}
    clf = rl.load(options.run) if options.run else rl.build("mobilenetv1", **made)[0]
    clf.network.eval()
    inputs = torch.stack([clf.preprocess(f) for f in films(options.folder, options.batch)])
    contest = Contest(clf, inputs.contiguous(memory_format=torch.channels_last))
    chosen = options.only or [n for n in METHODS if not options.quick or contest.others(n)]
    heading = ["method", "rounds", "ms an image", "forward passes", *(f"{x} / ours" for x in LIBRARIES)]
    rows = [heading]
    console = Console()
    for name in track(chosen, "methods", console=console):
        found = measured(contest, name, options.rounds, options.seconds)
        multiples = [f"{found.rivals[x]:.2f}" if x in found.rivals else "–" for x in LIBRARIES]
        rows.append([name, str(found.rounds), f"{found.ms:.1f}", f"{found.passes:.2f}", *multiples])
        if found.note:
            console.print(f"{name}: {found.note}", style="dim")
    table = Table(title=conditions(options, clf))
    for i, column in enumerate(heading):
        table.add_column(column, justify="right" if i else "left")
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
    if options.markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|---|" + "---:|" * (len(heading) - 1))
        options.markdown.write_text("\n".join([conditions(options, clf), "", *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
