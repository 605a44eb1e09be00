"""The paired interventions: what each changes on a film, its control, and the effect that counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from radiolucent.audits.trial.answers import ORIGINAL
from radiolucent.audits.trial.regions import Mask, View, dilated
from radiolucent.types import Verdict

__all__ = ["INTERVENTIONS", "Intervention"]

SMALL = 0.2
"""Cohen's "small" effect (1988, §2.2): 0.2 standard deviations. Below it a change hardly matters among what else moves
the log-odds from film to film."""

MEDIUM = 0.5
"""Cohen's "medium" effect, for changes of so much of the picture that any network notices."""

LARGE = 0.8
"""Cohen's "large" effect, for a crop: it also changes the scale, and no control box enlarges just the lungs. At
0.5 six of 96 clean networks of a first self-test failed, and three development networks; the shipped one came after."""


@dataclass(frozen=True)
class Intervention:
    """One test.

    Attributes:
        edit, control: names in `edits.EDITS`; the control "original" is the untouched film.
        subject: what the decision would follow. question, did, control_did: in words.
        threshold: in spreads, and why it is that. signed: the figure is Δ change − Δ control instead, and fails on
            either side: for two changes of which neither is the neutral one.
        needs: the mask without which it is not applicable, in words; "" for none.
        carries: how much of it a film has, told from the film alone; None where nothing can be told.
        adds: 1 where the change makes that more, −1 where less: where the films trained on are known, and one class
            carries more of it, a smaller effect toward that class counts (`KNOWN`). 0: neither.
        real: the channel of `exchange` that gives films what others really have there: where the films trained on are
            not known and it passes, a drawn change proves nothing; "" for none.
        draws: of a control that is random, of which the mean counts.
        whole: it changes all of the film outside the lungs or in them, so that no patch elsewhere is as foreign: where
            the films trained on are not known it fails only if the audited films carry it on one class more.
        wanted: the answer *should* change: the test fails where the whole interval lies below the threshold.
    """

    edit: str
    control: str
    subject: str
    question: str
    did: str
    control_did: str
    threshold: float = SMALL
    reason: str = "Cohen 1988: 0.2 SD is a small effect"
    needs: str = ""
    signed: bool = False
    wanted: bool = False
    whole: bool = False
    carries: Callable[[View], float | None] | None = None
    adds: int = 0
    real: str = ""
    draws: int = 1

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the control's draws; the first stands for them in pictures."""
        return (self.control, *(f"{self.control}.{k}" for k in range(2, self.draws + 1)))

    def says(self, verdict: Verdict) -> str:
        """The verdict in words, without a full stop."""
        if self.wanted:
            return {
                "fail": f"the decision hardly rests on {self.subject}",
                "pass": f"the decision rests on {self.subject}",
            }.get(verdict, f"whether the decision rests on {self.subject} is open")
        return {
            "fail": f"the decision follows {self.subject}",
            "pass": f"the decision does not follow {self.subject}",
        }.get(verdict, f"whether the decision follows {self.subject} is open")


def _has_marker(view: View) -> float | None:
    return None if view.markers is None else float(view.markers.any())


def _brightness(place: Callable[[View], Mask]) -> Callable[[View], float | None]:
    """Mean grey level there."""
    return lambda view: float(view.grey[place(view)].mean()) if place(view).any() else None


def _outside(view: View) -> Mask:
    return view.film if view.lungs is None else view.film & ~dilated(view.lungs)


def _sharpness(view: View) -> float | None:
    """Mean |Laplacian| outside the lungs."""
    from scipy import ndimage

    there = _outside(view)
    return float(np.abs(ndimage.laplace(view.grey.astype(np.float64)))[there].mean()) if there.any() else None


_MEDIUM = "Cohen 1988: 0.5 SD is a medium effect; a change of the whole picture moves any network a little"
_LARGE = "Cohen 1988: 0.8 SD is a large effect; a crop also changes the scale of what is left"
_MARKED = "films with known markers (--markers, or a detector that finds some)"
_UNMARKED = "films without a marker"
_LUNGS = "lung masks (--lungs)"

INTERVENTIONS: Mapping[str, Intervention] = {
    i.edit: i
    for i in (
        Intervention(
            "marker.remove", "marker.remove.control", "the side marker",
            "Does the answer change when markers and text are taken off the film?",
            "taking markers off", "in-painting as many pixels elsewhere", needs=_MARKED, carries=_has_marker, adds=-1,
        ),
        Intervention(
            "marker.paste", "marker.paste.control", "the side marker",
            "Does the answer change when a side marker is put on the film?",
            "putting an R on", "in-painting as many pixels at the same place", needs=_UNMARKED, carries=_has_marker,
            adds=1,
        ),
        Intervention(
            "marker.move", "marker.move.control", "the side marker",
            "Does the answer change when the marker moves to the other side of the film?",
            "moving the marker", "in-painting as many pixels at both places", needs=_MARKED, carries=_has_marker,
        ),
        Intervention(
            "marker.swap", "marker.swap.control", "the side marker",
            "Does the answer depend on which letter the marker shows?",
            "an L", "an R at the same place", signed=True, carries=_has_marker,
        ),
        Intervention(
            "border.black", "border.fill.control", "the film's border",
            "Does the answer change when the border is blackened, as by collimation?",
            "blackening the border", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.border), adds=-1, real="border",
        ),
        Intervention(
            "border.fill", "border.fill.control", "the film's border",
            "Does the answer change when what is inside continues over the border?",
            "filling the border", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.border), real="border",
        ),
        Intervention(
            "corners.fill", "corners.fill.control", "the film's corners",
            "Does the answer change when the four corners are in-painted?",
            "in-painting the corners", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.corners),
        ),
        Intervention(
            "exposure.bright", "exposure.bright.control", "the film's exposure",
            "Does the answer follow the exposure?",
            "brightening the film", "as much brightening and darkening in patches", whole=True,
            carries=_brightness(_outside), adds=1, draws=4,
        ),
        Intervention(
            "size.outside", ORIGINAL, "the film's sharpness, as small files lack it",
            "Does the answer change when all but the lungs comes from a file of half the size?",
            "halving the resolution of all but the lungs", "leaving it", MEDIUM, _MEDIUM, _LUNGS, signed=True,
            whole=True, carries=_sharpness, adds=-1,
        ),
        Intervention(
            "lungs.crop", "lungs.crop.control", "what lies outside the lungs' box",
            "Does the answer change when the film is cropped to the lungs?",
            "cropping to the lungs", "cropping as large a box at a random place", LARGE, _LARGE, _LUNGS,
        ),
        Intervention(
            "lungs.blank", "lungs.blank.control", "the lungs",
            "Does the answer change when the lungs are blanked?",
            "blanking the lungs", "in-painting as large an area elsewhere", needs=_LUNGS, wanted=True,
        ),
    )
}  # fmt: skip
