"""Grad-CAM and LIME against grad-cam, torchcam, captum and lime: same network, batch, image and machine, one run.

    python benchmarks/explain.py [IMAGE_FOLDER] [--weights FILE] [--reference 20000]

Grad-CAM: each contender is timed in turn, round after round; the table gives medians as multiples of one forward pass
of the same batch in the same round. LIME: on the same superpixels and score, the Pearson correlation of the
coefficients with those of a reference with many samples (lime's own estimator), against time. Networks without given
weights are random: times do not depend on that, fidelity does.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import radiolucent as rl
from radiolucent.data.phantom import draw
from radiolucent.explainers import LIME, GradCAM
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.superpixels import segment
from radiolucent.models import Classifier


def films(folder: Path | None, count: int) -> list[rl.Radiograph]:
    """Real films from a folder, or phantoms."""
    if folder:
        return [rl.read(p) for p in sorted(folder.rglob("*.jp*g"))[:count]]
    return [rl.from_array(draw(i, size=224, pneumonia=bool(i % 2)).pixels) for i in range(count)]


def gradcam_table(clf: Classifier, inputs: torch.Tensor, rounds: int) -> Table:
    """Median time of each library's Grad-CAM, in forward passes of the same batch."""
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM as Jacob
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchcam.methods import GradCAM as TorchCam

    network, count = clf.network.eval(), len(inputs)
    goal = Goal(torch.ones(count, dtype=torch.long), "logit", clf)
    first = GradCAM().attribute(clf, inputs, goal, torch.Generator())
    layer = network.get_submodule(first.details[0]["layer"])

    def torchcam() -> None:
        with TorchCam(network, layer) as extractor:
            extractor([1] * count, network(inputs))

    def jacob() -> None:
        with Jacob(network, [layer]) as cam:
            cam(inputs, [ClassifierOutputTarget(1)] * count)

    def forward() -> None:
        with torch.no_grad():
            network(inputs)

    contenders: dict[str, Callable[[], object]] = {
        "forward pass": forward,
        "radiolucent": lambda: GradCAM().attribute(clf, inputs, goal, torch.Generator()),
        "captum": lambda: LayerGradCam(network, layer).attribute(inputs, target=1),
        "torchcam": torchcam,
        "grad-cam": jacob,
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    table = Table(title=f"Grad-CAM, batch of {count}, {rounds} rounds, {torch.get_num_threads()} threads")
    for heading in ("", "ms an image", "forward passes (median of ratios)"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, measured in times.items():
        ratios = [a / b for a, b in zip(measured[1:], times["forward pass"][1:], strict=True)]
        table.add_row(name, f"{statistics.median(measured[1:]) / count * 1e3:.1f}", f"{statistics.median(ratios):.2f}")
    return table


def lime_table(clf: Classifier, film: rl.Radiograph, reference: int, rounds: int) -> Table:
    """Fidelity to a large reference against time, for lime's defaults and ours."""
    from lime.lime_image import LimeImageExplainer

    grey = clf.preprocess.quantise(film).astype(np.float32) / 255
    segments = segment(grey, "quickshift", 0)

    def logits(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return clf.network(clf.preprocess.normalise(torch.from_numpy(images[..., 0]).float())).numpy()

    def ours(samples: int, sampling: str, estimator: str, seed: int) -> tuple[np.ndarray, float]:
        method = LIME(samples, lambda _: segments, sampling=sampling, estimator=estimator)  # type: ignore[arg-type]
        start = time.perf_counter()
        found = rl.explain(clf, film, method, target=1, seed=seed)
        return found.details["coefficients"], time.perf_counter() - start

    def theirs(seed: int) -> tuple[np.ndarray, float]:
        colour = np.repeat(grey[..., None], 3, axis=2)
        start = time.perf_counter()
        found = LimeImageExplainer(random_state=seed).explain_instance(
            colour, logits, top_labels=2, num_samples=1000, segmentation_fn=lambda _: segments
        )
        spent = time.perf_counter() - start
        coefficients = np.zeros(segments.max() + 1)
        for piece, weight in found.local_exp[1]:
            coefficients[piece] = weight
        return coefficients, spent

    truth, _ = ours(reference, "random", "ridge", 12345)
    table = Table(
        title=f"LIME, {segments.max() + 1} superpixels (segmentation not timed), reference {reference} samples"
    )
    for heading in ("", "Pearson r to the reference", "seconds", "lime's time / its own"):
        table.add_column(heading, justify="right" if heading else "left")
    plans: list[tuple[str, Callable[[int], tuple[np.ndarray, float]]]] = [("lime, 1000 random", theirs)]
    for samples, how, estimator in (
        (512, "paired", "ridge"),
        (512, "balanced", "ridge"),
        (256, "balanced", "emulator"),
        (353, "balanced", "emulator"),
        (512, "balanced", "emulator"),
    ):
        name = f"radiolucent, {samples} {how}, {estimator}"
        plans.append((name, lambda s, n=samples, h=how, e=estimator: ours(n, h, e, s)))
    found: dict[str, list[tuple[np.ndarray, float]]] = {name: [] for name, _ in plans}
    for seed in range(rounds):  # in turn: a noisy machine is noisy for all
        for name, run in plans:
            found[name].append(run(seed))
    for name, results in found.items():
        fidelity = [float(np.corrcoef(c, truth)[0, 1]) for c, _ in results]
        ratios = [theirs[1] / own[1] for theirs, own in zip(found["lime, 1000 random"], results, strict=True)]
        table.add_row(
            name,
            f"{np.mean(fidelity):.4f} ± {np.std(fidelity, ddof=1):.4f}",
            f"{statistics.median(t for _, t in results):.2f}",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
        )
    return table


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--run", type=Path, help="a trained run instead of a fresh network")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--reference", type=int, default=20_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    clf = rl.load(options.run) if options.run else rl.build("mobilenetv1", pretrained=False, weights=options.weights)[0]
    chosen = films(options.folder, options.batch)
    inputs = torch.stack([clf.preprocess(f) for f in chosen]).contiguous(memory_format=torch.channels_last)
    Console().print(gradcam_table(clf, inputs, options.rounds))
    if options.reference:
        Console().print(lime_table(clf, chosen[-1], options.reference, options.rounds))


if __name__ == "__main__":
    main()
