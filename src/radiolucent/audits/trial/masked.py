"""How well the model does on parts of the film: without lungs, on lungs alone, on the border alone, on outlines."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.verdicts import beyond, needed_words
from radiolucent.metrics import auroc
from radiolucent.types import Estimate, Finding

__all__ = ["MASKED_EDITS", "TESTS"]

NO_LUNGS = 0.6
"""Without lungs an honest chest classifier can do no better than what heart, diaphragm and habitus tell; published
classifiers that used shortcuts reached .72 there (Mask of Truth 2024). Ours: a tenth above chance."""

_SHAPES, _FILLS = ("tight", "dilated", "boxed"), ("mean", "blur", "inpaint")
WITHOUT = (*(f"no_lungs.{s}.{f}" for s in _SHAPES for f in _FILLS), *(f"silhouette.{s}" for s in _SHAPES))
ALONE = tuple(f"lungs_only.{s}" for s in _SHAPES)
MASKED_EDITS = (*WITHOUT, *ALONE, "border_only")


def _asked(case: Case, names: Sequence[str]) -> dict[str, Estimate]:
    """AUROC of the model on each of these parts of the film, by patient."""
    return {name: case.once(f"auc.{name}", lambda n=name: _auc(case.table, n, case.level)) for name in names}


def _auc(table: Table, name: str, level: float) -> Estimate:
    scores = table.scores[name]
    known = table.known & np.isfinite(scores)
    truth, scores, patients = table.truth[known], scores[known], np.array(table.patients)[known]
    found = auroc(truth, scores, groups=patients, level=level)
    if found.value is None or np.ptp(scores) > 0:
        return found
    # All alike: in either class a share of 1 − α^(1/n) of the patients may still answer otherwise, which moves the
    # AUROC by no more than that share.
    fewest = min(len(set(patients[truth == k])) for k in (0, 1))
    share = 1 - ((1 - level) / 2) ** (1 / fewest)
    note = "every film gets the same answer"
    return dataclasses.replace(found, low=0.5 - share, high=0.5 + share, method="exact bound of a share", note=note)


_SOURCE = "Maguolo & Nanni 2020; Mask of Truth 2024 (2412.04030); threshold: ours, a tenth above chance"
_WHOLE = "the part alone, on the untouched model; it was not trained on such pictures"


def _finding(
    test: str, question: str, estimate: Estimate, what: str, control: Estimate | None, every: Mapping[str, Estimate]
) -> Finding:
    if estimate.value is None:
        words = f"Needs trusted lung masks (or --lungs) and films of both classes ({estimate.note})."
        return Finding(test, question, "not applicable", words, estimate, NO_LUNGS, source=_SOURCE, concerns="model")
    verdict = beyond(estimate, NO_LUNGS)
    near = all(1 - NO_LUNGS <= e.value <= NO_LUNGS for e in every.values() if e.value is not None)
    says = {
        "fail": f"{what} the model still tells the classes apart",
        "pass": f"{what} the model {'is near chance' if near else 'stays below the limit'}",
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


def _no_lungs(case: Case) -> list[Finding]:
    """The verdict rests on the box around the lungs, in-painted: tight and dilated masks leak the lungs' outline, which
    the control, bare silhouettes, measures. All combinations stand in the evidence, their range in the words."""
    every = _asked(case, WITHOUT)
    found = _finding(
        "regions.no_lungs",
        _QUESTIONS["regions.no_lungs"],
        every["no_lungs.boxed.inpaint"],
        "With the lungs taken out",
        every["silhouette.boxed"],
        every,
    )
    cut = [e.value for name, e in every.items() if name.startswith("no_lungs") and e.value is not None]
    if found.verdict == "not applicable" or not cut:
        return [found]
    outlined = all((e.value or 0) <= NO_LUNGS for name, e in every.items() if name.startswith("no_lungs.boxed"))
    words = (
        f" Held against {NO_LUNGS:g}. Over all {len(cut)} ways to take the lungs out: {min(cut):.2f} to {max(cut):.2f}"
        + (", the higher ones with masks that leave the lungs' outline." if outlined and max(cut) > NO_LUNGS else ".")
    )
    spread = {"cut_outs": {"lowest": min(cut), "highest": max(cut), "ways": len(cut), "limit": NO_LUNGS}}
    return [dataclasses.replace(found, summary=found.summary + words, evidence={**found.evidence, **spread})]


def _border_only(case: Case) -> list[Finding]:
    every = _asked(case, ("border_only",))
    name = "regions.border_only"
    return [_finding(name, _QUESTIONS[name], every["border_only"], "On the border alone", None, every)]


def _lungs_only(case: Case) -> list[Finding]:
    """Whether lungs alone are enough: not a fault where they are not, since the model never saw such pictures."""
    question = _QUESTIONS["regions.lungs_only"]
    every = _asked(case, (*ALONE, "original"))
    estimate, whole = every["lungs_only.dilated"], every.pop("original")
    if estimate.value is None or estimate.low is None or estimate.high is None:
        words = f"Needs trusted lung masks (or --lungs) and films of both classes ({estimate.note})."
        return [Finding("regions.lungs_only", question, "not applicable", words, source=_SOURCE, concerns="model")]
    verdict = "pass" if estimate.low > 0.5 else "inconclusive"
    words = f"On the lungs alone the model reaches AUROC {estimate}, on whole films {whole.value or 0:.3f}." + (
        "" if verdict == "pass" else " That is no proof of a shortcut: it never saw films with all else removed."
    )
    evidence = {n: e.as_dict() for n, e in every.items() if n.startswith("lungs_only")}
    return [Finding(
        "regions.lungs_only", question, verdict, words, estimate, 0.5, evidence, _SOURCE, concerns="model",
        control=whole,
    )]  # fmt: skip


_NEEDS = "trusted lung masks (or --lungs) and films of both classes"
_QUESTIONS = {
    "regions.no_lungs": "Does the model tell the classes apart without seeing the lungs?",
    "regions.border_only": "Does the model tell the classes apart from the film's border alone?",
    "regions.lungs_only": "Do the lungs alone carry the model's answer?",
}


def _test(name: str, needs: str, findings: Callable[[Case], list[Finding]], edits: Sequence[str], says: str) -> Test:
    return Test(
        name, _QUESTIONS[name], "model", needs, findings, edits={e: EDITS[e] for e in edits},
        decides="part" if says else "", says=says,
    )  # fmt: skip


TESTS = (
    _test("regions.no_lungs", _NEEDS, _no_lungs, WITHOUT, "the model tells the classes apart without seeing the lungs"),
    _test(
        "regions.border_only", "films of both classes", _border_only, ("border_only",),
        "the model tells the classes apart from the film's border alone",
    ),
    _test("regions.lungs_only", _NEEDS, _lungs_only, ALONE, ""),
)  # fmt: skip
