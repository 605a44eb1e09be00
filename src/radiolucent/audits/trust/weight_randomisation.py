"""Whether a map depends on what the network learnt: cascading randomisation of its layers."""

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from radiolucent.audits.trust.similarity import is_constant, likeness, pooled, surrogates
from radiolucent.explainers import Explainer, explain
from radiolucent.explainers.base import parameters_of
from radiolucent.models import Classifier
from radiolucent.models.per_network import inherit
from radiolucent.types import Estimate, Explanation, Finding, Radiograph

__all__ = ["made_by", "randomisation", "randomised"]

CELLS = 32
SURROGATES = 100
UNLIKE = 0.25
SETTLED = (0.5, 0.625)
"""Shares of what passes that one and two of three random networks' maps may have at most to pass for all (ours)."""
FILMS = 3
TRIES, APART = 8, 1_009
"""Random networks drawn until one's answer moves with the film, and how far their seeds lie apart."""
COMPUTING = {"engine", "batch_size", "max_memory_mb"}
"""Parameters that say how a map is computed, and change nothing in it."""
STAGES: tuple[tuple[str, float], ...] = (("the last layer", 0.0), ("the upper half", 0.5))
"""Shares of the layers, from the top, that get random weights before all do."""

_Original = tuple[Radiograph, int, NDArray[np.float64]]
"""A film, the class its map explains, and that map on cells."""


def randomised(network: nn.Module, share: float, inputs: torch.Tensor, seed: int) -> nn.Module:
    """A copy of the network whose last layers, in order of definition, hold random weights (Adebayo 2018, §3).

    Matrices and kernels are drawn from N(0, σ²), σ the layer's own spread; vectors are shuffled, or 1 and 0 in norms;
    batch norms estimate their statistics anew on `inputs` (N, C, H, W), so that activations keep their size. A larger
    share contains a smaller one's draws: stages cascade.

    Args:
        share: of the layers with weights, from the top; at least one layer.
    """
    made = copy.deepcopy(network).eval()
    layers = [m for m in made.modules() if any(True for _ in m.parameters(recurse=False))]
    chosen = layers[len(layers) - max(1, round(share * len(layers))) :] if layers else []
    for module in chosen:
        draw = torch.Generator().manual_seed(seed * 100_003 + layers.index(module))
        is_norm = "norm" in type(module).__name__.lower()
        for name, p in module.named_parameters(recurse=False):
            p.data = _drawn(p.data, name, is_norm, draw).to(p)
    norms = [m for m in chosen if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain mean over what comes
        norm.train()
    if norms:
        with torch.no_grad():
            made(torch.cat([inputs, inputs.flip(-1)]))
    inherit(made, network)  # the target layer, above all
    return made.eval()


def _drawn(values: torch.Tensor, name: str, is_norm: bool, draw: torch.Generator) -> torch.Tensor:
    shape, kind = values.shape, values.dtype if values.is_floating_point() else torch.float32
    if values.ndim >= 2:
        spread = float(values.float().std()) or 1 / float(np.sqrt(values[0].numel()))
        return torch.randn(shape, generator=draw, dtype=torch.float32).mul_(spread).to(kind)
    if is_norm:
        return torch.ones(shape) if name == "weight" else torch.zeros(shape)
    return values.flatten().cpu()[torch.randperm(values.numel(), generator=draw)].view(shape)


def randomisation(
    classifier: Classifier,
    films: Iterable[Radiograph],
    method: Explainer,
    *,
    seed: int = 0,
    draws: int = 3,
    known: Sequence[Explanation] | None = None,
    until_clear: bool = False,
    **options: Any,
) -> Finding:
    """Does the map change when the network forgets? All layers get random weights; where it does not, also fewer.

    The figure is the mean |ρ| (Spearman, on 32 × 32 cells) of each film's map with its map under a wholly random
    network. It is held against random pairs: the same |ρ| between the map and random maps of its own values and
    smoothness (see `surrogates`). Pass: at most their 95th percentile, and so for SSIM. Fail: either above the 99th.
    Between: inconclusive. Below 0.25 no two maps are called alike, however rare that is among random ones (ours). Where
    it does not pass, the evidence also says how alike the maps are under random weights in the last layer alone, and in
    the upper half. Films whose map is the same everywhere are passed over; where all are, the test is not applicable,
    nor is it where no random network's answer moves with the film.
    The result belongs to network and method, which its evidence names, and may be used for every film.

    Args:
        films: the first three with a map that is not the same everywhere are used.
        draws: random networks in all at the last stage, at least one a film.
        known: the films' explanations, if made already, by this method with as many samples or more.
        until_clear: for a single film, make no further random network where the verdict is settled: both figures of the
            first are at most half of what passes, or those of two at most five eighths; or it fails whatever the rest
            would give.
        options: of `explain`: target, contrast, score, session.
    """
    question = "Does the map change when the network's weights are replaced by random ones?"
    common: dict[str, Any] = {**options, "seed": seed}
    test, source = "trust.randomisation", "Adebayo 2018, §3; random pairs as in Arun 2021, by Theiler 1992"
    of = made_by(classifier, method)
    if not any(True for _ in classifier.network.parameters()):
        words = "The network has no weights to replace."
        return Finding(test, question, "not applicable", words, evidence=of, source=source)
    kept, flat = _with_maps(classifier, films, method, known, common)
    if not kept:
        words = f"No film of {flat} has a map that is not the same everywhere: nothing could change."
        return Finding(test, question, "not applicable", words, evidence={**of, "constant": flat}, source=source)
    rng = np.random.default_rng([seed, 13])
    chance = np.array([likeness(m, s) for _, _, m in kept for s in surrogates(m, SURROGATES // len(kept) + 1, rng)])
    count = max(1, -(-draws // len(kept))) * len(kept)
    at_once = 1 if until_clear and len(kept) == 1 else count
    last = np.zeros((0, 2))
    for k in range(0, count, at_once):
        last = np.concatenate([last, _alike(classifier, method, kept, common, 1.0, range(k, k + at_once))])
        if _settled(last, count, chance):
            break
    if not len(last):
        words = (
            f"Under random weights the answer does not move with the film ({TRIES} tried a map): nothing to compare."
        )
        return Finding(test, question, "not applicable", words, evidence={**of, "films": len(kept)}, source=source)
    found = _judged(test, question, source, last, chance, {**of, "films": len(kept), "constant": flat})
    stages = {"all layers": _means(last)}
    if found.verdict != "pass":  # from where on it changes
        once = range(len(kept))
        above = {name: _alike(classifier, method, kept, common, share, once) for name, share in STAGES}
        above = {name: _means(alike) for name, alike in above.items() if len(alike)}
        stages = above | stages
    return dataclasses.replace(found, evidence={**found.evidence, "stages": stages})


def made_by(classifier: Classifier, method: Explainer) -> dict[str, Any]:
    """What a randomisation belongs to: the network's hash, and the method with the parameters that make its map."""
    what = {k: v for k, v in parameters_of(method).items() if k not in COMPUTING}
    return {"network": classifier.hash, "method": method.name, "parameters": what}


def _with_maps(
    classifier: Classifier,
    films: Iterable[Radiograph],
    method: Explainer,
    known: Sequence[Explanation] | None,
    common: dict[str, Any],
) -> tuple[list[_Original], int]:
    """The first three films whose maps say something, with these on cells; and how many were the same everywhere."""
    kept: list[_Original] = []
    flat = 0
    for i, film in enumerate(films):
        e = known[i] if known else explain(classifier, film, method, **common)
        cells = pooled(e.map, CELLS)
        if is_constant(cells):
            flat += 1
        else:
            kept.append((film, e.target, cells))
        if len(kept) == FILMS:
            break
    return kept, flat


def _alike(
    classifier: Classifier,
    method: Explainer,
    kept: Sequence[_Original],
    common: dict[str, Any],
    share: float,
    numbers: range,
) -> np.ndarray[Any, Any]:
    """Likeness (n, 2) of films' maps, in turn, with those under random weights: a number, a random network. n is less
    than there are numbers where no random network answers a film."""
    inputs = torch.stack([classifier.preprocess(film) for film, _, _ in kept]).to(classifier.device)
    found: list[tuple[float, float]] = []
    for k in numbers:
        film, target, cells = kept[k % len(kept)]
        copied = _that_answers(classifier, share, inputs, k % len(kept), common["seed"] + 1 + k)
        if copied is None:
            continue
        asked: dict[str, Any] = common | {"target": target}
        again = explain(copied, film, method, **asked)
        found.append(likeness(cells, pooled(again.map, CELLS)))
    return np.array(found).reshape(-1, 2)


def _that_answers(classifier: Classifier, share: float, inputs: torch.Tensor, at: int, seed: int) -> Classifier | None:
    """One of up to `TRIES` random networks whose answer to film `at` moves when the film does; None of none.

    A network that looks for lungs first may find none under random weights. Its map is blank whatever it shows, and
    says nothing about the method.
    """
    film = inputs[at : at + 1]
    draw = torch.Generator().manual_seed(seed)
    moved = film + 0.01 * film.std().cpu() * torch.randn(film.shape, generator=draw).to(film)
    for attempt in range(TRIES):
        copied = classifier.with_(network=randomised(classifier.network, share, inputs, seed + attempt * APART))
        if not torch.equal(copied.logits(film), copied.logits(moved)):
            return copied
    return None


def _means(alike: np.ndarray[Any, Any]) -> dict[str, float]:
    return {"rank": float(alike[:, 0].mean()), "ssim": float(alike[:, 1].mean())}


def _settled(last: np.ndarray[Any, Any], count: int, chance: np.ndarray[Any, Any]) -> bool:
    """Whether likeness (n, 2) under the first n of `count` random networks tells the verdict under all."""
    if not 0 < len(last) <= len(SETTLED):
        return False
    passes = last.mean(0) <= SETTLED[len(last) - 1] * _unlike(chance, 0.95)
    return bool(passes.all() or (last.sum(0) > count * _unlike(chance, 0.99)).any())


def _unlike(chance: np.ndarray[Any, Any], quantile: float) -> np.ndarray[Any, Any]:
    """How alike (rank correlation, SSIM) two maps may be that have nothing to do with each other."""
    return np.maximum(np.quantile(chance, quantile, axis=0), UNLIKE)


def _judged(
    test: str,
    question: str,
    source: str,
    last: np.ndarray[Any, Any],
    chance: np.ndarray[Any, Any],
    evidence: dict[str, Any],
) -> Finding:
    mean = last.mean(0)
    usual, rare = _unlike(chance, 0.95), _unlike(chance, 0.99)
    verdict = "pass" if (mean <= usual).all() else "fail" if (mean > rare).any() else "inconclusive"
    says = {
        "pass": "Under random weights the map is as unlike as random maps are",
        "fail": "Under random weights the map stays alike: it shows the film, not what the network learnt",
        "inconclusive": "Under random weights the map changes, though not clearly as much as random maps differ",
    }[verdict]
    several = len(last) > 1
    how = "range over random networks" if several else "one random network: no interval"
    ends = (float(last[:, 0].min()), float(last[:, 0].max())) if several else (None, None)
    estimate = Estimate(float(mean[0]), *ends, 1.0, len(last), how)
    words = (
        f"{says}: rank correlation {mean[0]:.2f}, SSIM {mean[1]:.2f}; random maps {usual[0]:.2f} and {usual[1]:.2f}."
    )
    evidence = {
        **evidence,
        "random_pairs_95": {"rank": float(usual[0]), "ssim": float(usual[1])},
        "random_pairs_99": {"rank": float(rare[0]), "ssim": float(rare[1])},
        "maps": len(last),
    }
    return Finding(test, question, verdict, words, estimate, float(usual[0]), evidence, source)
