"""How well the model does on parts of the film: without lungs, on lungs alone, on the border alone, on outlines."""

from collections.abc import Mapping

import numpy as np

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.verdicts import beyond, needed_words
from radiolucent.metrics import auroc
from radiolucent.types import Estimate, Finding

__all__ = ["MASKED_EDITS", "masked"]

NO_LUNGS = 0.6
"""Without lungs an honest chest classifier can do no better than what heart, diaphragm and habitus tell; published
classifiers that used shortcuts reached .72 there (Mask of Truth 2024). Ours: a tenth above chance."""

_SHAPES, _FILLS = ("tight", "dilated", "boxed"), ("mean", "blur", "inpaint")
MASKED_EDITS = (
    *(f"no_lungs.{s}.{f}" for s in _SHAPES for f in _FILLS),
    *(f"lungs_only.{s}" for s in _SHAPES),
    *(f"silhouette.{s}" for s in _SHAPES),
    "border_only",
)


def masked(table: Table, *, level: float = 0.95) -> list[Finding]:
    """Findings "regions.no_lungs", "regions.border_only" and "regions.lungs_only".

    The verdict on no-lungs rests on the box around the lungs, in-painted: tight and dilated masks leak the lungs'
    outline, which the control, bare silhouettes, measures. All combinations stand in the evidence. AUROC is by patient.
    """
    every = {name: _auc(table, name, level) for name in MASKED_EDITS if name in table.scores}
    return [_no_lungs(every), _border_only(every), _lungs_only(every, _auc(table, "original", level))]


def _auc(table: Table, name: str, level: float) -> Estimate:
    scores = table.scores[name]
    known = table.known & np.isfinite(scores)
    return auroc(table.truth[known], scores[known], groups=np.array(table.patients)[known], level=level)


_SOURCE = "Maguolo & Nanni 2020; Mask of Truth 2024 (2412.04030); threshold: ours, a tenth above chance"
_WHOLE = "the part alone, on the untouched model; it was not trained on such pictures"


def _finding(
    test: str, question: str, estimate: Estimate, what: str, control: Estimate | None, every: Mapping[str, Estimate]
) -> Finding:
    if estimate.value is None:
        words = f"Needs trusted lung masks (or --lungs) and films of both classes ({estimate.note})."
        return Finding(test, question, "not applicable", words, estimate, NO_LUNGS, source=_SOURCE, concerns="model")
    verdict = beyond(estimate, NO_LUNGS)
    says = {
        "fail": f"{what} the model still tells the classes apart",
        "pass": f"{what} the model is near chance",
        "inconclusive": f"{what} it is open whether the model tells the classes apart",
    }[verdict]
    words = f"{says}: AUROC {estimate}"
    if control is not None and control.value is not None:
        words += f"; on bare outlines {control.value:.2f}"
    words += "." + (needed_words(estimate, NO_LUNGS) if verdict == "inconclusive" else "")
    evidence = {name: e.as_dict() for name, e in every.items()} | {"read_as": _WHOLE}
    return Finding(
        test, question, verdict, words, estimate, NO_LUNGS, evidence, _SOURCE,
        "find what outside the lungs decides: see the interventions; then train on films cropped to the lungs"
        if verdict == "fail" else "",
        "model", control, (estimate.value - 0.5) / (NO_LUNGS - 0.5) if verdict == "fail" else 0.0,
    )  # fmt: skip


def _no_lungs(every: Mapping[str, Estimate]) -> Finding:
    return _finding(
        "regions.no_lungs",
        "Does the model tell the classes apart without seeing the lungs?",
        every["no_lungs.boxed.inpaint"],
        "With the lungs taken out",
        every["silhouette.boxed"],
        {n: e for n, e in every.items() if n.startswith(("no_lungs", "silhouette"))},
    )


def _border_only(every: Mapping[str, Estimate]) -> Finding:
    return _finding(
        "regions.border_only",
        "Does the model tell the classes apart from the film's border alone?",
        every["border_only"],
        "On the border alone",
        None,
        {"border_only": every["border_only"]},
    )


def _lungs_only(every: Mapping[str, Estimate], whole: Estimate) -> Finding:
    """Whether lungs alone are enough: not a fault where they are not, since the model never saw such pictures."""
    question = "Do the lungs alone carry the model's answer?"
    estimate = every["lungs_only.dilated"]
    if estimate.value is None or estimate.low is None or estimate.high is None:
        words = f"Needs trusted lung masks (or --lungs) and films of both classes ({estimate.note})."
        return Finding("regions.lungs_only", question, "not applicable", words, source=_SOURCE, concerns="model")
    verdict = "pass" if estimate.low > 0.5 else "inconclusive"
    words = f"On the lungs alone the model reaches AUROC {estimate}, on whole films {whole.value or 0:.3f}." + (
        "" if verdict == "pass" else " That is no proof of a shortcut: it never saw films with all else removed."
    )
    evidence = {n: e.as_dict() for n, e in every.items() if n.startswith("lungs_only")}
    return Finding(
        "regions.lungs_only", question, verdict, words, estimate, 0.5, evidence, _SOURCE, concerns="model",
        control=whole,
    )  # fmt: skip
