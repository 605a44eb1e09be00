"""The trust stamp: what can be said, without a doctor, about whether a map deserves belief."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from radiolucent.audits.trust.faithfulness import Fill, faithfulness
from radiolucent.audits.trust.repeatability import asked_as, noise_repeatability, seed_repeatability
from radiolucent.audits.trust.similarity import is_constant
from radiolucent.audits.trust.weight_randomisation import made_by, randomisation
from radiolucent.bounds import expect
from radiolucent.errors import ConfigError
from radiolucent.explainers import Explainer
from radiolucent.explainers.promise import AddsUp
from radiolucent.models import Classifier
from radiolucent.models.classifier import check_classifier
from radiolucent.passes.session import Session
from radiolucent.types import Estimate, Explanation, Finding, Radiograph, Verdict

__all__ = ["completeness", "judge", "stamp", "trust_line", "trust_randomisation"]

CHEAP = 160
"""Perturbed images a map above which a method is run with fewer, or fewer times, where it is run several times over."""

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


def _cheaper(classifier: Classifier, method: Explainer) -> Explainer:
    return method.cheaper(CHEAP, classifier.preprocess.size)


def completeness(explanation: Explanation, method: Explainer) -> Finding:
    """Does the map add up to what it explains? Each method is held to its own promise (`Explainer.promise`).

    Where Σ map = f(x) − f(baseline) is promised, the error is |Σ map − (f(x) − f(baseline))| as a share of
    |f(x) − f(baseline)| (ε-LRP: f(x), and the biases' share is counted in). Pass: at most 0.05. Fail: above 0.2.
    Methods that fit a linear model (LIME; KernelSHAP, whose sum holds by construction) are held to its weighted R² on
    what was asked. Pass: at least 0.5. Fail: below 0.25.
    """
    question, test = "Does the map add up to the answer it explains?", "trust.completeness"
    kept = method.promise(explanation.details)
    if kept is None:
        return Finding(test, question, "not applicable", f"{method.name} does not promise that this map adds up.")
    if isinstance(kept, AddsUp):
        verdict: Verdict = "pass" if kept.error <= COMPLETE else "fail" if kept.error > BROKEN else "inconclusive"
        words = f"The map's sum misses the change of the answer by {100 * kept.error:.1f} % of it."
        figure = Estimate(kept.error, None, None, 0.95, 1, "relative completeness error")
        return Finding(test, question, verdict, words, figure, COMPLETE, source="Sundararajan 2017, prop. 1")
    verdict = "pass" if kept.r2 >= EXPLAINED else "fail" if kept.r2 < WEAK else "inconclusive"
    words = f"The linear model behind the map explains {100 * kept.r2:.0f} % of how the answer varies (R²)."
    figure = Estimate(kept.r2, None, None, 0.95, 1, "weighted R²")
    return Finding(test, question, verdict, words, figure, EXPLAINED, source="Ribeiro 2016, §3.4; threshold: ours")


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
    films: Iterable[Radiograph],
    method: Explainer,
    *,
    known: Sequence[Explanation] | None = None,
    **options: Any,
) -> Finding:
    """`randomisation` as the stamp makes it: with at most 160 perturbed images a map, and with one or two random
    networks where there is one film, the method perturbs it more often than that, and the answer is clear.

    Make it once on three films or more, and give it to `stamp` for every film of a data set.

    Args:
        known: the films' explanations by `method`, if made already: held against maps with fewer images too.
        options: of `explain`: target, contrast, score, seed, session.
    """
    few = _cheaper(classifier, method)
    return randomisation(classifier, films, few, known=known, until_clear=few is not method, **options)


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
    session: Session | None = None,
) -> Explanation:
    """The explanation with its trust stamp: `trust` holds verdict, reasons and parts, JSON-ready.

    | part | asks | passes when |
    |---|---|---|
    | faithfulness | does the answer depend on what the map marks? | insertion and deletion beat random order |
    | randomisation | does the map depend on what was learnt? | under random weights it is as unlike as random maps |
    | repeatability | does another seed give the same map? | rank correlation ≥ 0.7, or deterministic |
    | noise | does noise below a grey level change it? | rank correlation ≥ 0.7 |
    | completeness | does it add up to the answer? | error ≤ 5 %, or R² ≥ 0.5 |

    About 90 images for faithfulness, and eleven maps or fewer; methods that perturb an image more than 160 times are
    repeated with two seeds and two noises instead of three, or with one where that is far from the threshold. They are
    randomised with fewer samples, and by one or two networks instead of three where the verdict is clear. The stamp
    does not ask whether the map points at the disease: that takes doctors (`agreement`).

    Args:
        film, explanation, method: the map to be tested, the film it explains and the method that made it.
        randomised: `trust_randomisation` of this network and method, made before on several films; made on this film
            alone unless given.
        fill: what hidden places show: "blur" or "mean".
        seeds: other seeds tried, at most. session: of the job this belongs to.

    Raises:
        ConfigError: an explanation or a randomisation of another network or method.
    """
    check_classifier(classifier)
    expect(film, Radiograph, "film", "rl.read(path)")
    expect(explanation, Explanation, "explanation", "rl.explain(classifier, film, method)")
    expect(method, Explainer, "method", "the one that made the explanation, such as rl.GradCAM()")
    few, session = _cheaper(classifier, method), session or Session()
    if explanation.model_hash != classifier.hash or explanation.method != method.name:
        raise ConfigError(
            f"explanation by {explanation.method} of network {explanation.model_hash[:8]}; expected {method.name} of "
            f"{classifier.hash[:8]}: stamp it with what made it."
        )
    if randomised is not None:
        _check_belongs(randomised, made_by(classifier, few))
    parts = {"faithfulness": faithfulness(classifier, film, explanation, fill=fill, seed=seed, session=session)}
    if not is_constant(explanation.map):
        cheap = few is method
        runs = 3 if cheap else 2
        asked: dict[str, Any] = {"seed": explanation.seed, "session": session, **asked_as(explanation)}
        parts["randomisation"] = randomised or trust_randomisation(
            classifier, [film], method, known=[explanation], **asked
        )
        same = classifier, film, explanation, method
        parts["repeatability"] = seed_repeatability(
            *same, seeds=min(seeds, runs), until_clear=not cheap, session=session
        )
        parts["noise"] = noise_repeatability(*same, draws=runs, seed=seed, until_clear=not cheap, session=session)
        parts["completeness"] = completeness(explanation, method)
    verdict, reasons = judge(parts)
    if is_constant(explanation.map):
        reasons = ["the same everywhere: points nowhere"]
    trust = {"verdict": verdict, "reasons": reasons, "parts": {name: f.as_dict() for name, f in parts.items()}}
    return dataclasses.replace(explanation, trust=trust)


def _check_belongs(randomised: Finding, expected: Mapping[str, Any]) -> None:
    had = {name: randomised.evidence.get(name) for name in expected}
    if had != expected:
        raise ConfigError(
            f"a randomisation of {had['method']} {had['parameters']} on network {str(had['network'])[:8]}; expected "
            f"{expected['method']} {expected['parameters']} on {expected['network'][:8]}: make it with "
            "trust_randomisation(classifier, films, method)."
        )


def trust_line(explanation: Explanation) -> str:
    """The stamp in one line; empty where none was made."""
    if not explanation.trust:
        return ""
    verdict, reasons = explanation.trust["verdict"], explanation.trust["reasons"]
    said = {"pass": "passes", "fail": "fails", "inconclusive": "inconclusive", "not applicable": "not applicable"}
    return f"trust: {said[verdict]}" + (f": {'; '.join(reasons)}" if reasons else "")
