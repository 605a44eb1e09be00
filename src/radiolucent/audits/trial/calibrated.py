"""Whether the probabilities mean what they say, on the audited films."""

import numpy as np

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.verdicts import film_mean, needed_words, two_sided
from radiolucent.metrics import calibration_line
from radiolucent.types import Finding

__all__ = ["TESTS", "calibrated"]

LARGE = 0.05
QUESTION = "Do the probabilities mean what they say?"


def calibrated(table: Table, *, level: float = 0.95, seed: int = 0) -> Finding:
    """Calibration in the large: mean predicted probability less the share of positives (Van Calster 2019).

    The calibration slope and intercept stand in the evidence. Threshold: five points (ours).
    """
    question = QUESTION
    known = table.known & np.isfinite(table.original)
    truth = table.truth[known]
    if not known.any() or truth.all() or not truth.any():
        return Finding(
            "calibration.large", question, "not applicable", "Needs labelled films of both classes.", concerns="model"
        )
    chances = 1 / (1 + np.exp(-np.clip(table.original[known], -500, 500)))
    groups = np.array(table.patients)[known]
    estimate = film_mean(chances - truth, groups, level=level, seed=seed)
    verdict = two_sided(estimate, LARGE)
    line = calibration_line(truth, chances, groups=groups, level=level)
    words = (
        f"Mean probability {chances.mean():.1%}, share of positives {truth.mean():.1%}: a difference of {estimate}."
        + (needed_words(estimate, LARGE, signed=True) if verdict == "inconclusive" else "")
    )
    evidence = {"slope": line.slope.as_dict(), "intercept": line.intercept.as_dict()}
    return Finding(
        "calibration.large", question, verdict, words, estimate, LARGE, evidence,
        "Van Calster 2019 (calibration in the large); threshold: ours, five points",
        "calibrate on films with this share of positives" if verdict == "fail" else "", "model",
        severity=abs(estimate.value or 0) / LARGE if verdict == "fail" else 0.0,
    )  # fmt: skip


def _made(case: Case) -> list[Finding]:
    return [calibrated(case.table, level=case.level, seed=case.seed)]


TESTS = (Test("calibration.large", QUESTION, "model", "labelled films of both classes", _made),)
