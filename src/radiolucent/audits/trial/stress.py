"""Whether changes that no reader would mind cost the model its ability to tell the classes apart."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.verdicts import beyond, needed_words
from radiolucent.metrics import delong_test
from radiolucent.metrics.delong import FEW
from radiolucent.metrics.ranking import perfect_auroc
from radiolucent.types import Estimate, Finding

__all__ = ["STRESSES", "TESTS", "stressed"]

LOSS = 0.05
"""A gap of .05 in AUROC matters (Seah 2021)."""

STRESSES: Mapping[str, str] = {
    "stress.blur": "a slight blur",
    "stress.noise": "noise",
    "stress.contrast_low": "less contrast",
    "stress.contrast_high": "more contrast",
    "stress.gamma_bright": "a brighter film",
    "stress.gamma_dark": "a darker film",
    "stress.resize": "a smaller file",
    "stress.shift_right": "a shift to the right by 4 %",
    "stress.shift_down": "a shift down by 4 %",
    "stress.turn_left": "a turn by 5° to the left",
    "stress.turn_right": "a turn by 5° to the right",
    "stress.jpeg_30": "JPEG quality 30",
    "stress.jpeg_70": "JPEG quality 70",
}


def stressed(table: Table, name: str, level: float) -> Finding:
    """AUROC(untouched) − AUROC(changed) on the same films, with DeLong's interval by patient."""
    question = _question(name)
    source = "Seah 2021: an AUROC gap of .05 matters; interval corrected over all stress tests (Bonferroni)"
    estimate = _loss(table, name, level)
    if estimate.value is None:
        return Finding(
            name, question, "not applicable", f"Needs films of both classes ({estimate.note}).", estimate, LOSS,
            source=source, concerns="model",
        )  # fmt: skip
    verdict = beyond(estimate, LOSS)
    changed, original = table.scores[name], table.original
    flips = float(((changed >= table.cut) != (original >= table.cut)).mean())
    shift = float((changed - original).mean() / max(table.spread, 1e-9))
    words = (
        f"{'AUROC holds; ' if verdict == 'pass' else ''}{flips:.0%} of calls flip: {STRESSES[name]} costs {estimate} "
        f"of AUROC and moves the log-odds by {shift:+.2f} SD on average."
    ) + (needed_words(estimate, LOSS) if verdict == "inconclusive" else "")
    return Finding(
        name, question, verdict, words, estimate, LOSS, {"flips": flips, "mean_shift": shift}, source,
        "train with this change as augmentation" if verdict == "fail" else "", "model",
        severity=estimate.value / LOSS if verdict == "fail" else 0.0,
    )  # fmt: skip


def _loss(table: Table, name: str, level: float) -> Estimate:
    known = table.known & np.isfinite(table.scores[name])
    truth, groups = table.truth[known], np.array(table.patients)[known]
    if not truth.any() or truth.all():
        return Estimate(None, None, None, level, int(known.sum()), "delong", "one class only")
    found, _ = delong_test(truth, table.original[known], table.scores[name][known], groups=groups, level=level)
    if found.value is None or found.low is not None or found.note == FEW:
        return found
    # No pair of an ill and a well patient changes its order: as many may as the exact interval of 0 in n allows.
    share = 1 - perfect_auroc(truth, groups, level)
    note = f"no order changes: as if up to {share:.1%} of pairs of patients did"
    return replace(found, low=found.value - share, high=found.value + share, note=note)


def _question(name: str) -> str:
    return f"Does the model tell the classes apart as well after {STRESSES[name]}?"


def _made(name: str, case: Case) -> list[Finding]:
    return [stressed(case.table, name, case.corrected("stress"))]


TESTS = tuple(
    Test(
        name, _question(name), "model", "films of both classes", partial(_made, name), edits={name: EDITS[name]},
        family="stress",
    )
    for name in STRESSES
)  # fmt: skip
