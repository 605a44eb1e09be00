"""Whether a map comes out the same again: with another seed, and with noise nobody can see."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trust.similarity import is_constant, pooled, rank_correlation
from radiolucent.explainers import Explainer, explain
from radiolucent.models import Classifier
from radiolucent.models.difference import relative_difference
from radiolucent.passes.session import Session
from radiolucent.types import Estimate, Explanation, Finding, Radiograph, Verdict

__all__ = ["asked_as", "noise_repeatability", "over_seeds", "seed_repeatability", "seeds_verdict"]

CELLS = 8
THRESHOLD = 0.7
"""Rank correlation of two maps of one film below which they no longer tell the same (ours)."""

CLEARLY_SAME, CLEARLY_OTHER = 0.95, 0.3
"""Rank correlations of a first repetition that settle the verdict, unless a second differs from it by a lot (ours)."""

SAME, NEARLY = 1e-5, 1e-3
"""Shares of a map's largest value: maps of one engine that differ by no more are the same; of two engines, may be."""


def in_frame(classifier: Classifier, film: Radiograph, noise: NDArray[np.float32] | None = None) -> Radiograph:
    """The film as the model sees it, (S, S), with noise added in grey levels before it is stored in 8 bit."""
    grey = classifier.preprocess.resize(film)
    moved = grey if noise is None else np.clip(grey + noise, 0, 1)
    return Radiograph(moved.astype(np.float32), film.image_id, film.patient_id, source=film.source)


def asked_as(e: Explanation) -> dict[str, Any]:
    """The arguments of `explain` that ask for the same quantity again."""
    if e.contrast is not None:
        return {"target": e.target, "contrast": e.contrast}
    return {"target": e.target, "score": e.score_kind}


def _again(
    classifier: Classifier, film: Radiograph, e: Explanation, method: Explainer, seed: int, session: Session | None
) -> NDArray[np.float32]:
    return explain(classifier, film, method, seed=seed, session=session, **asked_as(e)).map


def _apart(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The largest difference from the second map, as a share of its largest value."""
    return relative_difference(torch.from_numpy(first), torch.from_numpy(second), floor=1e-12)


def _z(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Fisher's z of the rank correlation of two maps' cells; 0 where one of them is constant."""
    return float(np.arctanh(np.clip(rank_correlation(first, second) or 0.0, -0.999999, 0.999999)))


def over_seeds(maps: Sequence[NDArray[np.floating]], level: float = 0.95) -> Estimate:
    """Mean rank correlation of two seeds' maps, from the maps of n seeds.

    All pairs count, on 8 × 8 cells, in Fisher's z. Pairs share maps and neighbouring cells go together, so neither
    are independent; seeds are. The interval is the jackknife over seeds with Student's t, n − 1 degrees of freedom
    (Arvesen 1969, Jackknifing U-statistics), on the safe side for few seeds (Efron & Stein 1981). None of two maps.
    """
    from scipy import special

    cells = [pooled(m, CELLS) for m in maps]
    n = len(cells)
    z = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        z[i, j] = z[j, i] = _z(cells[i], cells[j])
    mean = float(z.sum() / (n * (n - 1)))
    if n < 3:
        return Estimate(float(np.tanh(mean)), None, None, level, n, "one pair of seeds: too few for an interval")
    without = (z.sum() - 2 * z.sum(1)) / ((n - 1) * (n - 2))
    pseudo = n * mean - (n - 1) * without
    if pseudo.std() < 1e-9:
        return Estimate(float(np.tanh(mean)), None, None, level, n, f"{n} seeds agree alike: no interval")
    half = float(special.stdtrit(n - 1, 0.5 + level / 2) * pseudo.std(ddof=1) / np.sqrt(n))
    low, high = (float(np.tanh(mean + side * half)) for side in (-1, 1))
    method = f"jackknife over {n} seeds' maps ({n * (n - 1) // 2} pairs), Fisher z"
    return Estimate(float(np.tanh(mean)), low, high, level, n, method)


def _over_draws(first: NDArray[np.floating], others: Sequence[NDArray[np.floating]], level: float) -> Estimate:
    """Mean rank correlation of a map with others that are drawn independently; t over these, in Fisher's z."""
    from scipy import special

    own = pooled(first, CELLS)
    z = np.array([_z(own, pooled(other, CELLS)) for other in others])
    if len(z) < 2:
        return Estimate(float(np.tanh(z[0])), None, None, level, 1, "one draw: too few for an interval")
    if z.std() < 1e-9:
        return Estimate(float(np.tanh(z[0])), None, None, level, len(z), f"{len(z)} draws agree alike: no interval")
    half = float(special.stdtrit(len(z) - 1, 0.5 + level / 2) * z.std(ddof=1) / np.sqrt(len(z)))
    low, high = (float(np.tanh(z.mean() + side * half)) for side in (-1, 1))
    return Estimate(float(np.tanh(z.mean())), low, high, level, len(z), f"t over {len(z)} draws, Fisher z")


def seeds_verdict(e: Estimate) -> Verdict:
    """Pass where the interval lies above the threshold, or the figure far above; fail below it, or far below.

    Without an interval only what is far off decides.
    """
    value = e.value or 0.0
    if value >= THRESHOLD:
        return "pass" if value >= 0.9 or (e.low is not None and e.low >= THRESHOLD) else "inconclusive"
    return "fail" if value < 0.5 or (e.high is not None and e.high < THRESHOLD) else "inconclusive"


def _clear(e: Estimate) -> bool:
    return not CLEARLY_OTHER <= (e.value or 0.0) < CLEARLY_SAME


def _words(e: Estimate) -> str:
    if e.low is None or e.high is None:
        return f"{e.value:.2f} ({e.method}; 1 is the same order of places)"
    return f"{e.value:.2f} ({e.level:.0%} interval {e.low:.2f} to {e.high:.2f}; 1 is the same order of places)"


def seed_repeatability(
    classifier: Classifier,
    film: Radiograph,
    explanation: Explanation,
    method: Explainer,
    *,
    seeds: int = 3,
    level: float = 0.95,
    until_clear: bool = False,
    session: Session | None = None,
) -> Finding:
    """Does another seed give the same map?

    The figure is the mean Spearman ρ of any two of the maps of this seed and `seeds` others, on 8 × 8 cells, with its
    interval over the seeds (see `over_seeds`). A method that takes nothing from its generator is called deterministic,
    without a figure. The evidence holds each region's interval: of superpixels that come with standard errors, or of
    each cell's mean over the seeds (t).

    Args:
        until_clear: make no further map where the first repetition is far from the threshold (ρ ≥ 0.95 or below 0.3).
    """
    question = "Does the map come out the same with another seed?"
    test, source = "trust.repeatability", "interval: Arvesen 1969; rank correlation on cells and threshold: ours"
    others = [_again(classifier, film, explanation, method, explanation.seed + 1, session)]
    far = _apart(others[0], explanation.map)
    if SAME < far <= NEARLY:  # the map may be of a data set's engine: made again by this one
        far = _apart(others[0], _again(classifier, film, explanation, method, explanation.seed, session))
    if far <= SAME:
        words = "Deterministic: another seed gives the same map."
        return Finding(test, question, "pass", words, None, THRESHOLD, {"deterministic": True}, source)
    estimate = over_seeds([explanation.map, *others], level)
    if not (until_clear and _clear(estimate)):
        others += [
            _again(classifier, film, explanation, method, explanation.seed + 1 + k, session) for k in range(1, seeds)
        ]
        estimate = over_seeds([explanation.map, *others], level)
    evidence = {"deterministic": False, "seeds": 1 + len(others), **_regions(explanation, others, level)}
    words = f"Maps of {1 + len(others)} seeds agree by {_words(estimate)}."
    return Finding(test, question, seeds_verdict(estimate), words, estimate, THRESHOLD, evidence, source)


def _regions(e: Explanation, others: Sequence[NDArray[np.floating]], level: float) -> dict[str, Any]:
    """Each region's value and interval, and the share of regions whose interval leaves their sign open."""
    from scipy import special

    if "standard_errors" in e.details and "coefficients" in e.details:
        middle = np.asarray(e.details["coefficients"], np.float64)
        half = np.asarray(e.details["standard_errors"], np.float64) * float(special.ndtri(0.5 + level / 2))
        kind = "superpixels"
    else:
        maps = np.stack([pooled(m, CELLS).ravel() for m in (e.map, *others)])
        middle, n = maps.mean(0), len(maps)
        half = maps.std(0, ddof=1) * float(special.stdtrit(n - 1, 0.5 + level / 2)) / np.sqrt(n)
        kind = f"cells of {CELLS} × {CELLS}"
    return {
        "regions": kind,
        "values": [float(f"{v:.4g}") for v in middle],
        "half_widths": [float(f"{v:.4g}") if np.isfinite(v) else None for v in half],
        "sign_open": float((~(np.abs(middle) > half)).mean()),  # an unknown width leaves the sign open
    }


def noise_repeatability(
    classifier: Classifier,
    film: Radiograph,
    explanation: Explanation,
    method: Explainer,
    *,
    draws: int = 3,
    seed: int = 0,
    level: float = 0.95,
    until_clear: bool = False,
    session: Session | None = None,
) -> Finding:
    """Does the map stand when every grey level moves by at most half of an 8-bit step, which nobody can see?

    The figure is the mean Spearman ρ of the map with those of `draws` noisy films, on 8 × 8 cells, with the same seed;
    its interval is over the draws (t), none of one.

    Args:
        until_clear: as in `seed_repeatability`.
    """
    question = "Does the map stand when the film changes by less than a grey level?"
    rng = np.random.default_rng([seed, 11])
    shape = classifier.preprocess.shape
    maps: list[NDArray[np.float32]] = []
    estimate = Estimate(None, None, None, level, 0, "no draw")
    for _ in range(draws):
        noisy = in_frame(classifier, film, ((rng.random(shape) - 0.5) / 255).astype(np.float32))
        maps.append(_again(classifier, noisy, explanation, method, explanation.seed, session))
        estimate = _over_draws(explanation.map, maps, level)
        if until_clear and len(maps) == 1 and _clear(estimate):
            break
    words = f"With noise below one grey level the maps agree by {_words(estimate)}."
    if is_constant(explanation.map):
        words = "The map is the same everywhere: nothing to repeat."
    source = "Yeh 2019 (infidelity and sensitivity), in rank correlation; noise and threshold: ours"
    return Finding(
        "trust.noise", question, seeds_verdict(estimate), words, estimate, THRESHOLD, {"draws": len(maps)}, source
    )
