"""What parts of the film offer: small probes trained on masked pixels, beside what the model makes of the same.

A model evaluated on a masked film meets a picture unlike any it was trained on; a probe is trained on such pictures,
and so tells what is *available* there, used or not. Maguolo & Nanni 2020 trained on blackened lungs likewise.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.masked import ALONE, MASKED_EDITS, WITHOUT
from radiolucent.metrics import auroc
from radiolucent.metrics.intervals import exact_low
from radiolucent.types import Estimate, Finding, Verdict

__all__ = ["PROBED", "TESTS", "dealt_by_patient", "probe", "probes"]

READS: Mapping[str, tuple[str, ...]] = {
    "probes.no_lungs": WITHOUT,
    "probes.border_only": ("border_only",),
    "probes.silhouette": tuple(name for name in WITHOUT if name.startswith("silhouette")),
    "probes.lungs_only": (*ALONE, "original"),
}
"""The small pictures that each probe reads."""
PROBED = (*MASKED_EDITS, "original")
FOLDS, COMPONENTS, LEAST = 5, 40, 10
CHANCE = 0.5
_SOURCE = "Maguolo & Nanni 2020; Mask of Truth 2024 (2412.04030); threshold: chance, which the interval must exclude"


def probe(
    pixels: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    patients: NDArray[np.str_],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Cross-validated AUROC of a logistic regression on the leading principal components of small pictures (N, T, T).

    Five folds by patient; components are found inside each fold; a patient's films answer by their mean, and DeLong's
    interval is over patients. Without ten films of the rarer class the value is None and the note says why; where all
    pictures are alike, it is chance.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    rarest = min(int(truth.sum()), int((~truth).sum())) if len(truth) else 0
    if rarest < LEAST or min(len(set(patients[truth])), len(set(patients[~truth]))) < FOLDS:
        return Estimate(None, None, None, level, len(truth), "delong", f"{rarest} films of the rarer class")
    x = pixels.reshape(len(pixels), -1).astype(np.float32) / 255
    spread = x.std(0)
    if spread.max() < 1e-3:
        n = len(set(patients))
        room = (1 - exact_low(n, level)) / 2
        note = f"all pictures are alike: as if up to {2 * room:.1%} of patients had another"
        return Estimate(CHANCE, CHANCE - room, CHANCE + room, level, n, "exact", note)
    x = x[:, spread >= 1e-3]
    count = min(COMPONENTS, x.shape[1], len(x) // (2 * FOLDS))
    model = make_pipeline(PCA(count, whiten=True, random_state=seed), LogisticRegression(C=0.1, max_iter=500))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(limits=1):
        told = np.asarray(cross_val_predict(model, x, truth, groups=patients, cv=folds, method="decision_function"))
    return _by_patient(truth, told, patients, level)


def _by_patient(
    truth: NDArray[np.bool_], told: NDArray[np.float64], patients: NDArray[np.str_], level: float
) -> Estimate:
    """AUROC of patients' mean answers, who are independent as their films are not; of films where labels are mixed."""
    _, index, counts = np.unique(patients, return_inverse=True, return_counts=True)
    ill = np.bincount(index, truth)
    if ((ill > 0) & (ill < counts)).any():
        return auroc(truth, told, groups=patients, level=level)
    return auroc(ill > 0, np.bincount(index, told) / counts, level=level)


def probes(table: Table, name: str, *, level: float = 0.95, seed: int = 0) -> Finding | None:
    """The finding of this name, from the small pictures that the table kept of each masked film; None without any.

    "probes.no_lungs" rests on the box around the lungs, in-painted, with the bare box as control; "probes.border_only"
    has shuffled labels as control; "probes.silhouette" asks of the lungs' bare outline. Each fails where the interval
    excludes chance: something is available there. "probes.lungs_only" tells whether lungs alone carry the label, which
    they should. All masks and fills stand in the evidence, with the model's own AUROC on the same pictures.
    """
    if not table.thumbs:
        return None
    told = {edit: _on(table, edit, level, seed) for edit in READS[name]}
    both = _beside(table, told, level)
    if name == "probes.lungs_only":
        return _lungs(told, both)
    if name == "probes.border_only":
        shuffled = _shuffled(table, level, seed)
        return _available(name, "the film's border", told["border_only"], shuffled, "shuffled labels", both)
    if name == "probes.silhouette":
        return _available(name, "the lungs' outline", told["silhouette.tight"], None, "", both)
    bare = told["silhouette.boxed"]
    part = told["no_lungs.boxed.inpaint"]
    return _available(name, "the film without its lungs", part, bare, "the bare outline", both)


def _rows(table: Table, name: str) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The small pictures of labelled films that have one of this kind, and their rows in the table."""
    nothing = (np.zeros((0, 1, 1), np.uint8), np.zeros(0, np.intp))
    pixels, rows = table.thumbs.get(name, nothing)
    keep = table.known[rows]
    return pixels[keep], rows[keep]


def _on(table: Table, name: str, level: float, seed: int) -> Estimate:
    pixels, rows = _rows(table, name)
    return probe(pixels, table.truth[rows], np.array(table.patients)[rows], level=level, seed=seed)


def _shuffled(table: Table, level: float, seed: int) -> Estimate:
    """The probe of the border where labels mean nothing: dealt anew among the patients."""
    pixels, rows = _rows(table, "border_only")
    patients = np.array(table.patients)[rows]
    truth = dealt_by_patient(table.truth[rows], patients, np.random.default_rng([seed, 53]))
    return probe(pixels, truth, patients, level=level, seed=seed)


def dealt_by_patient(
    truth: NDArray[np.bool_], patients: NDArray[np.str_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Labels (N,) dealt anew by patient: each patient's films get the labels of another patient's, over again if fewer.

    Films of one patient stay alike in label, as they were, so that a probe cannot win by knowing the patient again.
    """
    names, index = np.unique(patients, return_inverse=True)
    rows = [np.flatnonzero(index == k) for k in range(len(names))]
    found = truth.copy()
    for own, other in zip(rows, rng.permutation(len(names)), strict=True):
        found[own] = np.resize(truth[rows[int(other)]], len(own))
    return found


def _beside(table: Table, told: Mapping[str, Estimate], level: float) -> dict[str, Any]:
    """By part: what a probe reads there, and what the model does, on the same films."""
    found: dict[str, Any] = {}
    for name, estimate in told.items():
        _, rows = _rows(table, name)
        if not len(rows):
            continue
        truth, scores = table.truth[rows], table.scores[name][rows]
        own = auroc(truth, scores, groups=np.array(table.patients)[rows], level=level)
        found[name] = {"probe": estimate.as_dict(), "model": own.as_dict()}
    return found


def _available(
    test: str, what: str, estimate: Estimate, control: Estimate | None, control_is: str, evidence: Mapping[str, Any]
) -> Finding:
    question = f"Can the label be told from the pixels of {what} alone?"
    if estimate.value is None or estimate.low is None:
        words = f"Needs {2 * LEAST} labelled films of both classes, and trusted lung masks ({estimate.note})."
        return Finding(test, question, "not applicable", words, estimate, CHANCE, source=_SOURCE)
    verdict: Verdict = "fail" if estimate.low > CHANCE else "pass"
    words = f"A small probe trained on {what} alone reaches AUROC {estimate}"
    words += f"; {control_is}: {control.value:.2f}" if control is not None and control.value is not None else ""
    words += (
        ": it is available to whoever learns from these films; whether the model uses it, its own figure tells."
        if verdict == "fail"
        else f": {_not_told(estimate)}, as far as a linear probe of small pictures can tell."
    )
    return Finding(
        test, question, verdict, words, estimate, CHANCE, evidence, _SOURCE,
        "see the model's own answer on the same part; crop films to the lungs before training"
        if verdict == "fail" else "",
        "data", control, (estimate.value - CHANCE) / CHANCE if verdict == "fail" else 0.0,
    )  # fmt: skip


def _not_told(e: Estimate) -> str:
    if e.high is not None and e.high < CHANCE:
        return f"not above chance ({CHANCE})"
    return f"not told from chance ({CHANCE}, which the interval holds)"


def _lungs(told: Mapping[str, Estimate], evidence: Mapping[str, Any]) -> Finding:
    """Whether lungs alone carry the label: the one part where it should be available."""
    test, question = "probes.lungs_only", "Can the label be told from the lungs' pixels alone?"
    estimate, whole = told["lungs_only.dilated"], told["original"]
    if estimate.value is None or estimate.low is None:
        words = f"Needs {2 * LEAST} labelled films of both classes, and trusted lung masks ({estimate.note})."
        return Finding(test, question, "not applicable", words, estimate, CHANCE, source=_SOURCE)
    verdict: Verdict = "pass" if estimate.low > CHANCE else "inconclusive"
    words = f"A small probe trained on the lungs alone reaches AUROC {estimate}, on whole films {whole.value or 0:.2f}."
    return Finding(test, question, verdict, words, estimate, CHANCE, evidence, _SOURCE, control=whole)


_QUESTION = "Can the label be told from the pixels of {} alone?"
_PARTS = {
    "probes.no_lungs": "the film without its lungs",
    "probes.border_only": "the film's border",
    "probes.silhouette": "the lungs' outline",
    "probes.lungs_only": "the lungs",
}


def _made(name: str, case: Case) -> list[Finding]:
    found = probes(case.table, name, level=case.corrected("probes"), seed=case.seed)
    return [] if found is None else [found]


TESTS = tuple(
    Test(
        name, _QUESTION.format(_PARTS[name]), "data",
        f"{2 * LEAST} labelled films of both classes, and trusted lung masks", partial(_made, name),
        edits={edit: EDITS[edit] for edit in edits if edit in EDITS}, small=edits, family="probes",
    )
    for name, edits in READS.items()
)  # fmt: skip
