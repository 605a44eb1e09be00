"""The trust stamp: what can be said, without a doctor, about whether a map deserves belief."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from radiolucent.audits.faithfulness import Fill, faithfulness
from radiolucent.audits.repeatability import asked_as, noise_repeatability, seed_repeatability
from radiolucent.audits.sanity import randomisation
from radiolucent.audits.similarity import is_constant
from radiolucent.errors import ConfigError
from radiolucent.explainers import Explainer
from radiolucent.models import Classifier
from radiolucent.types import Estimate, Explanation, Finding, Radiograph, Verdict

__all__ = ["cheaper", "completeness", "evaluations", "judge", "stamp", "trust_line", "trust_randomisation"]

SAMPLES = ("num_samples", "samples", "num_masks")
CHEAP = 160
"""Perturbed images a map above which a method is run with fewer where it is run several times over."""

ADD_UP = ("integratedgradients", "deeplift", "gradientshap")  # who promises Σ map = f(x) − f(baseline)
COMPLETE, BROKEN = 0.05, 0.2
EXPLAINED, WEAK = 0.5, 0.25

_SHORT: Mapping[tuple[str, Verdict], str] = {
    ("faithfulness", "fail"): "marks what matters no more than chance",
    ("faithfulness", "inconclusive"): "not clearly better than chance",
    ("repeatability", "fail"): "another seed gives another map",
    ("repeatability", "inconclusive"): "seeds agree only in part",
    ("noise", "fail"): "invisible noise changes the map",
    ("noise", "inconclusive"): "invisible noise moves the map",
    ("randomisation", "fail"): "same map without what was learnt",
    ("randomisation", "inconclusive"): "hardly depends on what was learnt",
    ("completeness", "fail"): "does not add up to the answer",
    ("completeness", "inconclusive"): "adds up to the answer only roughly",
}


def evaluations(method: Explainer) -> int:
    """Perturbed images a map takes, by the method's own parameters; 1 where it has none.

    Designs of Sobol indices take as many images each as the method has cells, and two.
    """
    designs, cells = getattr(method, "designs", None), getattr(method, "cells", None)
    counts = [int(v) for name in SAMPLES if isinstance(v := getattr(method, name, None), int)]
    if isinstance(designs, int) and isinstance(cells, int):
        counts.append(designs * (cells * cells + 2))
    return max(counts, default=1)


def cheaper(method: Explainer, images: int = CHEAP) -> Explainer:
    """The method with at most so many perturbed images a map.

    >>> from radiolucent.explainers import LIME
    >>> cheaper(LIME(num_samples=1000)).num_samples
    160
    """
    given: Any = method
    few = {n: images for n in SAMPLES if isinstance(v := getattr(method, n, None), int) and v > images}
    if isinstance(getattr(method, "designs", None), int) and evaluations(method) > images:
        few["designs"] = min(given.designs, 4)
    return dataclasses.replace(given, **few) if few else method


def _error(e: Explanation) -> float | None:
    """What a map's sum misses, as a share of what it promised; None where the method promises nothing."""
    d = e.details
    if e.method in ADD_UP and d.get("completeness_relative") is not None:
        return abs(float(d["completeness_relative"]))
    if d.get("relevance_given"):  # LRP: what neither pixels nor biases received
        return abs(1 - (float(d["relevance"]) + float(d.get("bias_share", 0.0))) / float(d["relevance_given"]))
    return None


def completeness(explanation: Explanation) -> Finding:
    """Does the map add up to what it explains?

    Methods that promise Σ map = f(x) − f(baseline) are held to it: the error is |Σ map − (f(x) − f(baseline))| as a
    share of |f(x) − f(baseline)|, from what the method tells in its details (ε-LRP: f(x), and the biases' share is
    counted in). Pass: at most 0.05. Fail: above 0.2. Methods that fit a linear model (LIME; KernelSHAP, whose sum holds
    by construction) are held to its weighted R² on what was asked (`r2`). Pass: at least 0.5. Fail: below 0.25.
    """
    question, test = "Does the map add up to the answer it explains?", "trust.completeness"
    error, r2 = _error(explanation), explanation.details.get("r2")
    if error is not None:
        verdict: Verdict = "pass" if error <= COMPLETE else "fail" if error > BROKEN else "inconclusive"
        words = f"The map's sum misses the change of the answer by {100 * error:.1f} % of it."
        figure = Estimate(error, None, None, 0.95, 1, "relative completeness error")
        return Finding(test, question, verdict, words, figure, COMPLETE, source="Sundararajan 2017, prop. 1")
    if r2 is not None:
        value = float(r2)
        verdict = "pass" if value >= EXPLAINED else "fail" if value < WEAK else "inconclusive"
        words = f"The linear model behind the map explains {100 * value:.0f} % of how the answer varies (R²)."
        figure = Estimate(value, None, None, 0.95, 1, "weighted R²")
        return Finding(test, question, verdict, words, figure, EXPLAINED, source="Ribeiro 2016, §3.4; threshold: ours")
    return Finding(test, question, "not applicable", f"{explanation.method} does not promise to add up.")


def judge(parts: Mapping[str, Finding]) -> tuple[Verdict, list[str]]:
    """(verdict, reasons): one part that fails fails the map; it passes if all that apply pass; else inconclusive."""
    verdicts = [f.verdict for f in parts.values()]
    if "fail" in verdicts:
        overall: Verdict = "fail"
    elif "inconclusive" in verdicts:
        overall = "inconclusive"
    else:
        overall = "pass" if "pass" in verdicts else "not applicable"
    wanted: tuple[Verdict, ...] = ("fail",) if overall == "fail" else ("inconclusive",)
    return overall, [_SHORT[name, f.verdict] for name, f in parts.items() if f.verdict in wanted]


def trust_randomisation(
    classifier: Classifier,
    films: Sequence[Radiograph],
    method: Explainer,
    *,
    known: Sequence[Explanation] | None = None,
    **options: Any,
) -> Finding:
    """`randomisation` as the stamp makes it: with at most 160 perturbed images a map.

    Make it once on a few films, and give it to `stamp` for every film of a data set.

    Args:
        options: of `explain`: target, contrast, score, seed.
    """
    few = cheaper(method)
    same = known if few == method else None
    return randomisation(classifier, films, few, known=same, **options)


def stamp(
    classifier: Classifier,
    film: Radiograph,
    explanation: Explanation,
    method: Explainer,
    *,
    randomised: Finding | None = None,
    fill: Fill = "blur",
    seeds: int = 3,
    seed: int = 0,
) -> Explanation:
    """The explanation with its trust stamp: `trust` holds verdict, reasons and parts, JSON-ready.

    | part | asks | passes when |
    |---|---|---|
    | faithfulness | does the answer depend on what the map marks? | insertion and deletion beat random order |
    | randomisation | does the map depend on what was learnt? | under random weights it is as unlike as random maps |
    | repeatability | does another seed give the same map? | rank correlation ≥ 0.7, or deterministic |
    | noise | does noise below a grey level change it? | rank correlation ≥ 0.7 |
    | completeness | does it add up to the answer? | error ≤ 5 %, or R² ≥ 0.5 |

    About 90 images for faithfulness, and twelve maps or fewer; methods that perturb an image more than 160 times are
    repeated with one seed only, and randomised with fewer samples. The stamp does not ask whether the map points at
    the disease: that takes doctors (`agreement`).

    Args:
        film, explanation, method: the map to be tested, the film it explains and the method that made it.
        randomised: `trust_randomisation` of this network and method, made before; made on this film unless given.
        fill: what hidden places show: "blur" or "mean".
        seeds: other seeds tried.

    Raises:
        ConfigError: an explanation of another network or method.
    """
    if explanation.model_hash != classifier.hash or explanation.method != method.name:
        raise ConfigError(
            f"explanation by {explanation.method} of network {explanation.model_hash[:8]}; expected {method.name} of "
            f"{classifier.hash[:8]}: stamp it with what made it."
        )
    parts = {"faithfulness": faithfulness(classifier, film, explanation, fill=fill, seed=seed)}
    if not is_constant(explanation.map):
        tries = seeds if evaluations(method) <= CHEAP else 1
        parts["randomisation"] = randomised or trust_randomisation(
            classifier, [film], method, known=[explanation], seed=explanation.seed, **asked_as(explanation)
        )
        parts["repeatability"] = seed_repeatability(classifier, film, explanation, method, seeds=tries)
        draws = 2 if evaluations(method) <= CHEAP else 1
        parts["noise"] = noise_repeatability(classifier, film, explanation, method, draws=draws, seed=seed)
        parts["completeness"] = completeness(explanation)
    verdict, reasons = judge(parts)
    if is_constant(explanation.map):
        reasons = ["the same everywhere: points nowhere"]
    trust = {"verdict": verdict, "reasons": reasons, "parts": {name: f.as_dict() for name, f in parts.items()}}
    return dataclasses.replace(explanation, trust=trust)


def trust_line(explanation: Explanation) -> str:
    """The stamp in one line; empty where none was made."""
    if not explanation.trust:
        return ""
    verdict, reasons = explanation.trust["verdict"], explanation.trust["reasons"]
    said = {"pass": "passes", "fail": "fails", "inconclusive": "inconclusive", "not applicable": "not applicable"}
    return f"trust: {said[verdict]}" + (f": {'; '.join(reasons)}" if reasons else "")
