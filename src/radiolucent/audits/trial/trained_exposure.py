"""What the exposures of the films trained on are worth: how far apart they move the answer, by class.

A film's exposure is told by what lies outside the outline around both lungs, off its frame and its markers: opaque lung
that a mask has lost still lies within. Each film trained on names an
exposure; audited films are given it (grey levels to a power), and the network is asked. The figure is what exposures of
films of the positive class do more than those of the others, in standard deviations of the log-odds: 0 where the films
trained on show no difference, and 0 where the network does not mind it.

How bright a film is there also depends on the child and on where it lies. What the lungs' size and place tell of that
is taken out by a linear fit, which leaves less to chance (analysis of covariance). Where masks are smaller because
lungs are ill, that fit takes out too much; so the figure without it is told beside.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import ask
from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.covariance import contrast_at_same
from radiolucent.audits.trial.discovered import deal
from radiolucent.audits.trial.distort import exposure
from radiolucent.audits.trial.familiar import met_films
from radiolucent.audits.trial.paired_changes import unframed
from radiolucent.audits.trial.regions import View, dilated
from radiolucent.types import Estimate

__all__ = ["exposure_of", "exposures_taught"]

Floats = NDArray[np.float64]
LEAST = 20
"""Patients of either class among the films trained on that are needed."""
GRID = np.linspace(-1.0, 1.0, 11)
"""Logarithms of the gains that judges are asked at; in between their answers are interpolated."""
DARKEST, BRIGHTEST = 0.02, 0.98


def exposure_of(view: View) -> float | None:
    """How bright a film is around its lungs: −log(−log g), g the mean grey level there; None where nothing is.

    What one film has more than another is the logarithm of the gain (see `exposure`) that makes them alike.
    """
    from skimage.morphology import convex_hull_image

    there = unframed(view)
    if view.lungs is not None and view.lungs.any():
        there = there & ~dilated(convex_hull_image(view.lungs))
    if not there.any():
        return None
    grey = np.clip(float(view.grey[there].mean()) / 255, DARKEST, BRIGHTEST)
    return float(-np.log(-np.log(grey)))


def exposures_taught(case: Case, level: float) -> tuple[Estimate, float] | None:
    """See the module: the figure, its interval over the films trained on, and the figure without the fit.

    None where too few films trained on are known, or their lungs are not, or too few are audited.
    """
    known = case.once("exposures taught", partial(_asked, case))
    if known is None:
        return None
    values, ill, about = known
    fitted = contrast_at_same(values, ill, about, level, "judges")
    return None if fitted is None else (fitted, float(values[ill].mean() - values[~ill].mean()))


def _asked(case: Case) -> tuple[Floats, NDArray[np.bool_], Floats] | None:
    """Of each film trained on: what its exposure is worth, whether it is ill, and how its lungs lie."""
    rows = _trained(case)
    ill = np.array([v.label == case.classifier.positive for v in rows], bool)
    dealt = case.once("discovered.deal", partial(deal, case))
    if dealt is None or min(ill.sum(), (~ill).sum()) < LEAST:
        return None
    return _worth(case, dealt.judges, rows), ill, np.array([_lying(v) for v in rows])


def _trained(case: Case) -> list[View]:
    """One film a patient of those trained on, with a label, lungs and something outside them."""
    by_patient: dict[str, View] = {}
    for v in met_films(case):
        if v.label is not None and v.lungs is not None and v.lungs.any() and exposure_of(v) is not None:
            by_patient.setdefault(v.patient_id, v)
    return list(by_patient.values())


def _worth(case: Case, judges: Sequence[View], films: Sequence[View]) -> Floats:
    """Mean log-odds of the judges at each film's exposure, in standard deviations."""
    changed = [exposure(float(np.exp(g))) for g in GRID]
    rng = np.random.default_rng(case.seed)
    wanted = np.array([exposure_of(v) for v in films], float)
    found: list[Floats] = []
    for judge in judges:
        own = exposure_of(judge)
        if own is not None:
            answers = ask(case.classifier, [(judge, edit(judge, rng)) for edit in changed])
            found.append(np.interp(wanted - own, GRID, answers))
    return np.mean(found, 0) / max(case.table.spread, 1e-9) if found else np.full(len(films), np.nan)


def _lying(view: View) -> list[float]:
    """How large the lungs are and how they lie: area, height and width, middle and spread."""
    assert view.lungs is not None
    ys, xs = np.nonzero(view.lungs)
    return [float(len(ys)), float(np.ptp(ys)), float(np.ptp(xs)), ys.mean(), xs.mean(), ys.std(), xs.std()]
