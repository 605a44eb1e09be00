"""Networks × methods: `python scripts/networks.py` writes docs/reference/networks.md.

Every network has random weights. What a method gives is held against plain autograd, against the network asked again
with one thing changed, or against the method's own promise that its map adds up. A cell is the largest difference as a
share of the largest number, "refused" (the message is printed below the table), or "WRONG".
"""

import argparse
import copy
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F

import radiolucent as rl
from network_zoo import NETWORKS, SAMPLE, Tutorial
from networks_attention import ATTENTION, TRANSFORMERS
from radiolucent.errors import RadiolucentError
from radiolucent.passes.hooks import forward_from
from radiolucent.passes.places import first_of, with_first
from radiolucent.passes.target_layer import Layer, find_layer

__all__ = ["CELLS", "NETWORKS", "SAMPLE", "Tutorial", "cells", "made"]

NAMES = ("NORMAL", "PNEUMONIA")
OUT = Path(__file__).parents[1] / "docs" / "reference" / "networks.md"
TOLERANCE = 1e-3
"""Largest difference, as a share, up to which a map is called exact: single precision through many layers."""


def made(name: str) -> tuple[rl.Classifier, rl.Classifier | None]:
    """A network with random weights behind `wrap`, and as it is (None where it gives no plain tensor)."""
    size, build = NETWORKS[name]
    torch.manual_seed(0)
    network = build().eval()
    with torch.no_grad():
        for parameter in network.parameters():  # zeros and ones, as before training, would hide what flows
            if parameter.numel() > 1 and float(parameter.float().std()) == 0:
                parameter.add_(0.1 * torch.randn_like(parameter))
    pre = rl.Preprocess(size, "squash", 3, (0.5,) * 3, (0.5,) * 3)
    with torch.no_grad():
        plain = isinstance(network(torch.zeros(2, 3, size, size)), torch.Tensor)
    head: Any = "multilabel" if "torchxrayvision" in name else "softmax"
    return rl.wrap(network, NAMES, preprocess=pre, head=head), rl.Classifier(network, NAMES, pre) if plain else None


def film(side: int) -> rl.Radiograph:
    """Random grey levels, smooth and not."""
    draw = np.random.default_rng(1)
    coarse = draw.random((side // 8, side // 8)).repeat(8, 0).repeat(8, 1)
    return rl.from_array((0.5 * coarse + 0.5 * draw.random(coarse.shape)).astype(np.float32))


def apart(found: Any, expected: Any) -> float:
    """The largest difference as a share of the largest number expected."""
    a, b = (np.asarray(torch.as_tensor(v).detach(), np.float64) for v in (found, expected))
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-12))


def inputs(clf: rl.Classifier, image: rl.Radiograph) -> torch.Tensor:
    return clf.preprocess(image)[None]


def layer_of(clf: rl.Classifier, image: rl.Radiograph) -> Layer:
    return find_layer(clf.network, inputs(clf, image))


def in_double(clf: rl.Classifier) -> rl.Classifier:
    """The same network in double precision: no input of a ReLU is within rounding of zero there."""
    return clf.with_(network=copy.deepcopy(clf.network).double())


def saliency(clf: rl.Classifier, image: rl.Radiograph) -> float:
    def share(clf: rl.Classifier) -> float:
        x = inputs(clf, image).to(clf.dtype).requires_grad_()
        std = torch.tensor(clf.preprocess.std).view(1, -1, 1, 1)
        gradient = torch.autograd.grad(clf.network(x.clone())[0, 1], x)[0] / std
        return apart(rl.explain(clf, image, rl.Saliency(), target=1).map, gradient.sum(1)[0])

    found = share(clf)
    found = found if found <= TOLERANCE else share(in_double(clf))
    if found <= TOLERANCE:
        return found
    std = torch.tensor(clf.preprocess.std).view(1, -1, 1, 1)
    return differences(clf, rl.explain(clf, image, rl.Saliency(), target=1).map, [inputs(clf, image)], 1 / std)


def integrated(clf: rl.Classifier, image: rl.Radiograph) -> float:
    """From plain gradients at a quarter and at three quarters of the way from black."""

    def share(clf: rl.Classifier) -> float:
        x = inputs(clf, image).to(clf.dtype)
        black = clf.preprocess.normalise(torch.zeros(1, *clf.preprocess.shape))[0].to(x)
        total = torch.zeros_like(x)
        for t in (0.25, 0.75):
            at = (black + t * (x - black)).requires_grad_()
            total += 0.5 * torch.autograd.grad(clf.network(at.clone())[0, 1], at)[0]
        found = rl.explain(clf, image, rl.IntegratedGradients(2, "midpoint"), target=1).map
        return apart(found, ((x - black) * total).sum(1)[0])

    found = share(clf)
    found = found if found <= TOLERANCE else share(in_double(clf))
    if found <= TOLERANCE:
        return found
    x, black = inputs(clf, image), clf.preprocess.normalise(torch.zeros(1, *clf.preprocess.shape))
    given = rl.explain(clf, image, rl.IntegratedGradients(2, "midpoint"), target=1).map
    return differences(clf, given, [black + t * (x - black) for t in (0.25, 0.75)], x - black)


class Guided(torch.autograd.Function):
    """A ReLU, clipped or not, that lets positive gradients through alone."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, top: float) -> torch.Tensor:
        ctx.save_for_backward((x > 0) & (x < top))
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return grads[0].clamp(min=0) * ctx.saved_tensors[0], None


def guided(clf: rl.Classifier, image: rl.Radiograph) -> float:
    """From torch's ReLUs by a function with a backward of its own."""
    found = rl.explain(clf, image, rl.GuidedBackprop(), target=1).map
    x = inputs(clf, image).requires_grad_()
    std = torch.tensor(clf.preprocess.std).view(1, -1, 1, 1)
    endless = float("inf")

    def hardtanh(x: torch.Tensor, low: float = -1.0, high: float = 1.0, inplace: bool = False) -> torch.Tensor:
        assert low == 0
        return Guided.apply(x, high)

    with ExitStack() as stack:
        for home, names in ((F, ("relu", "relu_")), (torch, ("relu", "relu_")), (torch.Tensor, ("relu", "relu_"))):
            for name in names:
                stack.enter_context(patch.object(home, name, lambda x, inplace=False: Guided.apply(x, endless)))
        stack.enter_context(patch.object(F, "relu6", lambda x, inplace=False: Guided.apply(x, 6.0)))
        stack.enter_context(patch.object(F, "hardtanh", hardtanh))

        def share() -> float:
            gradient = torch.autograd.grad(clf.network(x.clone())[0, 1], x)[0] / std
            return apart(found, gradient.sum(1)[0])

        plainly = share()
        if plainly <= TOLERANCE:
            return plainly
        stack.enter_context(patch.object(F, "batch_norm", affine))
        return share()


def affine(
    x: torch.Tensor, mean: Any, var: Any, weight: Any, bias: Any, training: bool, _: float, eps: float
) -> torch.Tensor:
    """A batch norm in evaluation mode by its formula: torch's gradient of one is wrong for some strides."""
    assert not training
    scale = weight / (var + eps).sqrt()
    return x * scale[:, None, None] + (bias - mean * scale)[:, None, None]


def occlusion(clf: rl.Classifier, image: rl.Radiograph) -> float:
    """From the network asked again with each quarter black; where that hardly moves it, as a share of the logit."""
    half = clf.preprocess.size // 2
    found = rl.explain(clf, image, rl.Occlusion(half, half, fill=0.0), target=1).details["drops"][:2, :2]
    x, expected = inputs(clf, image), np.zeros((2, 2))
    black = clf.preprocess.normalise(torch.zeros(1, *clf.preprocess.shape))
    with torch.no_grad():
        whole = float(clf.network(x.clone())[0, 1])
        for i in range(2):
            for j in range(2):
                part = (..., slice(i * half, (i + 1) * half), slice(j * half, (j + 1) * half))
                covered = x.clone()
                covered[part] = black[part]
                expected[i, j] = whole - float(clf.network(covered)[0, 1])
    size = max(float(np.abs(expected).max()), 1e-2 * abs(whole))  # float32 cannot tell smaller ones apart
    return float(np.abs(found - expected).max()) / size


def differences(
    clf: rl.Classifier, found: Any, places: Sequence[torch.Tensor], weight: torch.Tensor | float = 1.0
) -> float:
    """From finite differences in double precision: torch's gradient of a batch norm is wrong for some strides.

    Args:
        found: the map: at each pixel `weight` times the mean over these places (1, C, H, W) of the score's slope.
    """
    direction = torch.randn(places[0].shape[2:], generator=torch.Generator().manual_seed(0))
    step, network = (1e-7 * direction * weight).double(), in_double(clf).network
    expected = 0.0
    with torch.no_grad():
        for place in places:
            above, below = (float(network(place.double() + sign * step)[0, 1]) for sign in (1, -1))
            expected += (above - below) / 2e-7 / len(places)
    return abs(float((torch.as_tensor(found) * direction).sum()) - expected) / abs(expected)


def by_slopes(
    method: rl.Explainer, weigh: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[rl.Classifier, rl.Radiograph], float]:
    def check(clf: rl.Classifier, image: rl.Radiograph) -> float:
        e = rl.explain(clf, image, method, target=1)
        layer, kept = layer_of(clf, image), list[torch.Tensor]()

        def keep(_: Any, __: Any, output: Any) -> Any:
            value = first_of(output)
            assert value is not None
            kept.append(value)
            return with_first(output, value.clone())  # what follows may write in place

        handle = clf.network.get_submodule(layer.name).register_forward_hook(keep)
        logits = clf.network(inputs(clf, image))
        handle.remove()
        gradient = layer.maps(torch.autograd.grad(logits[0, 1], kept[-1])[0])
        return apart(e.details["feature_map"], (weigh(gradient) * layer.maps(kept[-1])).sum(1)[0])

    return check


gradcam = by_slopes(rl.GradCAM(), lambda g: g.mean((2, 3), keepdim=True))
layercam = by_slopes(rl.LayerCAM(), lambda g: g.clamp(min=0))


def adds_up(method: rl.Explainer) -> Callable[[rl.Classifier, rl.Radiograph], float]:
    def check(clf: rl.Classifier, image: rl.Radiograph) -> float:
        e = rl.explain(clf, image, method, target=1)
        promise: Any = method.promise(e.details)
        size = max(abs(e.score), float(np.abs(e.map).sum()))
        return 0.0 if promise is None else float(promise.missing / size)

    return check


def reciprocam(clf: rl.Classifier, image: rl.Radiograph) -> float:
    e = rl.explain(clf, image, rl.ReciproCAM(soft=False), target=1)
    layer, x = layer_of(clf, image), inputs(clf, image)
    found: list[float] = []
    kept: list[torch.Tensor] = []
    handle = clf.network.get_submodule(layer.name).register_forward_hook(
        lambda _, __, o: kept.append(first_of(o).clone())
    )
    with torch.no_grad():
        clf.network(x)
        handle.remove()
        maps = layer.maps(kept[-1])
        for place in ((0, 0), None):
            mask = torch.zeros(maps.shape[2:])
            if place is not None:
                mask[place] = 1
            value = layer.changed(kept[-1], maps * mask).detach()
            found.append(float(forward_from(clf.network, layer.name, layer.calls, x, value)[0, 1]))
    size = float(np.abs(e.details["feature_map"]).max())
    return abs(float(e.details["feature_map"][0, 0]) - (found[0] - found[1])) / max(size, 1e-3)


def wrapped(clf: rl.Classifier, plain: rl.Classifier | None, image: rl.Radiograph) -> float | None:
    if plain is None:
        return None
    one, other = (rl.explain(c, image, rl.GradCAM(), target=1).map for c in (clf, plain))
    return apart(one, other)


CELLS: Mapping[str, Callable[[rl.Classifier, rl.Radiograph], float]] = {
    "saliency": saliency,
    "integrated gradients": integrated,
    "guided backprop": guided,
    "gradcam": gradcam,
    "layercam": layercam,
    "reciprocam": reciprocam,
    "occlusion": occlusion,
    "deeplift": adds_up(rl.DeepLift()),
    "lrp": adds_up(rl.LRP(epsilon=1e-7)),
}


def attends(name: str) -> bool:
    return any(part in name for part in TRANSFORMERS)


def cells(
    name: str, only: Mapping[str, Callable[[rl.Classifier, rl.Radiograph], float]] | None = None
) -> tuple[dict[str, float | str | None], str]:
    """Each check's difference, or why it was refused; and the target layer."""
    clf, plain = made(name)
    image = film(64)
    found: dict[str, float | str | None] = {}

    def asked(check: Callable[[], float | None]) -> float | str | None:
        try:
            return check()
        except RadiolucentError as error:
            return str(error)

    asking = {**CELLS, **(ATTENTION if attends(name) else {})} if only is None else only
    for cell, check in asking.items():
        found[cell] = asked(lambda check=check: check(clf, image))
    if only is not None:
        return found, ""
    found["wrapped = plain"] = asked(lambda: wrapped(clf, plain, image))
    try:
        layer = layer_of(clf, image)
        where = f"`{layer.name.removeprefix('module.')}` {layer.kind}"
    except RadiolucentError:
        where = "none sure"
    return found, where


def shown(value: float | str | None, notes: dict[str, int]) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return f"refused [{notes.setdefault(value, len(notes) + 1)}]"
    return f"{value:.0e}" if value <= TOLERANCE else f"**WRONG** {value:.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="networks whose name contains one of these, with commas between")
    parser.add_argument("--most", type=int, default=len(NETWORKS), help="new networks at most, then end")
    parser.add_argument("--kept", type=Path, help="a JSON file of rows: those in it are not made again")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    if given.kept and given.kept.is_file():
        rows = json.loads(given.kept.read_text(encoding="utf-8"))
    wanted = [n for n in NETWORKS if not given.only or any(part in n for part in given.only.split(","))]
    for name in [n for n in wanted if n not in rows][: given.most]:
        rows[name] = cells(name)
        print(name, *rows[name], flush=True)
        if given.kept:
            given.kept.write_text(json.dumps(rows), encoding="utf-8")
    for name in [n for n in wanted if n in rows and attends(n) and "chefer" not in rows[n][0]][: given.most]:
        rows[name][0].update(cells(name, ATTENTION)[0])  # rows kept from before there were such methods
        print(name, *(rows[name][0][c] for c in ATTENTION), flush=True)
        if given.kept:
            given.kept.write_text(json.dumps(rows), encoding="utf-8")
    given.out.write_text(page({n: rows[n] for n in wanted if n in rows}), encoding="utf-8")


def page(rows: Mapping[str, Any]) -> str:
    notes: dict[str, int] = {}
    columns = [*CELLS, "wrapped = plain"]
    head = ["network", "pixels", "target layer", *columns]
    lines = [INTRODUCTION, f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, (found, where) in rows.items():
        told = " | ".join(shown(found[c], notes) for c in columns)
        lines.append(f"| {name} | {NETWORKS[name][0]} | {where} | {told} |")
    lines += ["", "## Methods for transformers", "", ABOUT_ATTENTION]
    lines += [f"| network | {' | '.join(ATTENTION)} |", f"|{'---|' * (1 + len(ATTENTION))}"]
    for name, (found, _) in rows.items():
        if "chefer" in found:
            lines.append(f"| {name} | {' | '.join(shown(found[c], notes) for c in ATTENTION)} |")
    lines += ["", "Refused, with these words:", "", *(f"{number}. {words}" for words, number in notes.items())]
    return "\n".join(lines) + "\n"


INTRODUCTION = f"""# Networks

Which networks are explained, and how exactly. Weights are random (zeros and ones of the initialisation are
disturbed), films are noise: what is checked is arithmetic, not sense. A cell is the largest difference as a share of
the largest number:

- **saliency**, **integrated gradients** (at two points of the way), **gradcam**, **layercam**: from plain autograd,
  CAMs at the target layer that is found by itself. Where autograd differs, from autograd in double precision (an input
  of a ReLU within rounding of zero makes a gradient in single precision jump), or from finite differences there
  (torch's gradient of a batch norm is wrong for some strides).
- **guided backprop**: from the network run with ReLUs that have a guided backward of their own; where it differs, with
  batch norms by their formula, too.
- **reciprocam**: from the network asked again with one place left, at its last call.
- **occlusion**: from the network asked again with each quarter of the image black (as a share of a hundredth of the
  logit where it moves less: single precision tells no more).
- **deeplift**, **lrp**: what the map's sum misses of the score's change.
- **wrapped = plain**: Grad-CAM behind `wrap`, from that of the network itself.

Up to {TOLERANCE:g} counts as exact; "refused" is an error that names the reason. Made by `scripts/networks.py`; the
tests repeat {len(SAMPLE)} of the rows. Where attention with random weights mixes the whole film, as LeViT's does, it is
a close call which of the last layers still has places, and other weights give another layer: name it with `layer=`.
"""

ABOUT_ATTENTION = """\
The same networks, as far as they have attention. **attnlrp**: what relevance and the constants' share miss of the
score. **legrad**, **chefer**: from the papers' equations on the attention that the network computes, read off every
softmax (`scripts/networks_attention.py`).
"""

if __name__ == "__main__":
    main()
