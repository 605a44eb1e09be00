"""The paired interventions: what each changes on a film, its control, and the effect that counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from radiolucent.audits.trial.answers import ORIGINAL
from radiolucent.audits.trial.distort import Grey
from radiolucent.audits.trial.frames import framed, framed_as
from radiolucent.audits.trial.regions import Mask, View, dilated
from radiolucent.types import Verdict

__all__ = ["INTERVENTIONS", "LUNGS_SHARE", "MARKER", "Intervention", "unframed"]

SMALL = 0.2
"""Cohen's "small" effect (1988, §2.2): 0.2 standard deviations. Below it a change hardly matters among what else moves
the log-odds from film to film."""

MEDIUM = 0.5
"""Cohen's "medium" effect, for changes of so much of the picture that any network notices."""

LARGE = 0.8
"""Cohen's "large" effect, for a crop: it also changes the scale, and no control box enlarges just the lungs. At
0.5 six of 96 clean networks of a first self-test failed, and three development networks; the shipped one came after."""


SHIFT = 0.35
"""Standard deviations by which films of either class must move toward the class that carries a thing on the films
trained on, for a change of the whole picture that has no control as strong (ours; settled on development networks)."""

SURE = 0.175
"""Half of `SHIFT`: what counts for coarse films where the films trained on tell their number apart at the level that
all interventions share (ours; settled on development networks)."""

LUNGS_SHARE = 0.4
"""Share of what brightening and darkening the lungs alone does that doing so to the whole film must do for certain,
where what exposures are worth is asked at the case's own level and not at that of all interventions: an honest network
takes a brighter lung for an ill one, but less so where what surrounds it is brighter, too (ours; settled on development
networks)."""

COARSE = 0.03
"""Share of the middle band below which the finest structure of a film counts as missing, as where it comes from a file
of half the side (ours; phantoms: 0.01 to 0.03 where coarse, 0.037 and more where not)."""

MARKER = "marker"
RIM = 0.1


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
            carries more of it, half the usual effect toward that class counts (`KNOWN`). 0: neither. has: a film has
            it or has not, none has it by degree.
        shift: the edit, what it does in words, and the threshold, where the shift itself counts, without a control:
            patches elsewhere hide a change of the whole picture, since they move any network too.
        sure: the threshold of the shift where films trained on show it so unlike in number that it is sure at the level
            of all interventions; None: the same.
        shown: whether a film has it as the change puts it, 1 or 0: asked for the shift instead of `carries`; what films
            trained on have is not foreign. by_degree: `carries` is asked as well.
        lend: from a film and one that shows it to the first with what the other has, None where it has it already; and
            what that does in words. Films trained on that show it then lend it to the audited ones: what is drawn may
            differ from what they have. None: the edit is drawn.
        swing: the edit that makes less of it, and the two that make more and less of it in the lungs alone: see
            `trained_exposure` for what counts then.
        back: the edit that takes off what this one puts on, and its control: where the films trained on are known,
            films that have the thing lose it and others get it, so that every film tells.
        real: the channel of `exchange` that gives films what others really have there: where the films trained on are
            not known and it passes, a drawn change proves nothing; `MARKER`: nor where hardly an audited film has one;
            "" for none.
        beside: findings that ask of the same: a pass stands only where none of them fails or is open with a figure
            above its threshold.
        own: the change that takes the films' own off: where that passes, a failure of this one says so,
            unless the films trained on teach it.
        draws: of a control that is random, of which the mean counts.
        whole: it changes all of the film outside the lungs or in them, so that no patch elsewhere is as foreign: where
            the films trained on are not known it fails only if the audited films carry it on one class more.
        wanted: the answer *should* change: the test fails where the whole interval lies below the threshold.
        clears: what a pass says, and the kind of shortcut, where they are less than that the decision does not follow
            the subject; "" where they are not.
        or_else: what else a failure may mean, as a sentence; "" for nothing.
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
    has: bool = False
    shift: tuple[str, str, float] | None = None
    sure: float | None = None
    shown: Callable[[View], float | None] | None = None
    by_degree: bool = False
    lend: tuple[Callable[[View, View], Grey | None], str] | None = None
    swing: tuple[str, str, str] | None = None
    back: tuple[str, str] | None = None
    real: str = ""
    beside: tuple[str, ...] = ()
    own: str = ""
    draws: int = 1
    clears: tuple[str, str] = ("", "")
    or_else: str = ""

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
            "pass": self.clears[0] or f"the decision does not follow {self.subject}",
        }.get(verdict, f"whether the decision follows {self.subject} is open")


def _has_marker(view: View) -> float | None:
    return None if view.markers is None else float(view.markers.any())


def _brightness(place: Callable[[View], Mask]) -> Callable[[View], float | None]:
    """Mean grey level there."""
    return lambda view: float(view.grey[there].mean()) if (there := place(view)).any() else None


def _outside(view: View) -> Mask:
    return view.film if view.lungs is None else view.film & ~dilated(view.lungs)


def unframed(view: View) -> Mask:
    """What lies outside the lungs, off the film's outer tenth and its markers: a black frame is no exposure,
    and a marker's edges are no sharpness."""
    top, bottom, left, right = view.frame
    down, across = round(RIM * (bottom - top)), round(RIM * (right - left))
    inner = np.zeros_like(view.film)
    inner[top + down : bottom - down, left + across : right - across] = True
    there = _outside(view) & inner
    return there if view.markers is None else there & ~dilated(view.markers)


def _sharpness(view: View) -> float | None:
    """Mean |Laplacian| by mean gradient there, a pixel off its edges: neither exposure nor a black frame changes it."""
    from scipy import ndimage

    there, grey = np.asarray(ndimage.binary_erosion(unframed(view)), bool), view.grey.astype(np.float64)
    if not there.any():
        return None
    down, across = np.gradient(grey)
    slope = float(np.hypot(down, across)[there].mean())
    return float(np.abs(ndimage.laplace(grey))[there].mean()) / max(slope, 1e-9)


def _coarse(view: View) -> float | None:
    """1 where the finest structure is missing there (`COARSE`), as in an enlarged small file, else 0."""
    from scipy import ndimage

    there, grey = unframed(view), view.grey.astype(np.float64)
    if not there.any():
        return None
    finest = ndimage.convolve1d(ndimage.convolve1d(grey, _SECOND, axis=0), _SECOND, axis=1)
    middle = ndimage.gaussian_filter(grey, 0.7) - ndimage.gaussian_filter(grey, 2.0)
    return float(np.square(finest[there]).mean() <= COARSE**2 * np.square(middle[there]).mean())


_SECOND = np.array([1.0, -2.0, 1.0]) / 4
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
            has=True,
        ),
        Intervention(
            "marker.paste", "marker.paste.control", "the side marker",
            "Does the answer change when a side marker is put on the film?",
            "putting an R on", "in-painting as many pixels at the same place", needs=_UNMARKED, carries=_has_marker,
            adds=1, has=True, real=MARKER, back=("marker.remove", "marker.remove.control"), own="marker.remove",
            or_else="An R is a bright stroke, too: `marker.remove` tells whether the markers of the films count.",
        ),
        Intervention(
            "marker.move", "marker.move.control", "the side marker",
            "Does the answer change when the marker moves to the other side of the film?",
            "moving the marker", "in-painting as many pixels at both places", needs=_MARKED, carries=_has_marker,
        ),
        Intervention(
            "marker.swap", "marker.swap.control", "the side marker",
            "Does the answer depend on which letter the marker shows?",
            "an L", "an R at the same place", signed=True, carries=_has_marker, real=MARKER,
        ),
        Intervention(
            "border.black", "border.fill.control", "the film's border",
            "Does the answer change when the border is blackened, as by collimation?",
            "blackening the border", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.border), adds=-1,
            shift=("border.black", "blackening the border", SHIFT), shown=framed,
            lend=(framed_as, "putting on the black frames of films trained on"), real="border",
            beside=("discovered.border",),
        ),
        Intervention(
            "border.fill", "border.fill.control", "the film's border",
            "Does the answer change when what is inside continues over the border?",
            "filling the border", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.border), real="border", beside=("discovered.border", "border.black"),
        ),
        Intervention(
            "corners.fill", "corners.fill.control", "the film's corners",
            "Does the answer change when the four corners are in-painted?",
            "in-painting the corners", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.corners), beside=("discovered.border", "discovered.surroundings"),
        ),
        Intervention(
            "exposure.bright", "exposure.bright.control", "the film's exposure",
            "Does the answer follow the exposure?",
            "brightening the film", "as much brightening and darkening in patches", whole=True,
            carries=_brightness(unframed), adds=1, draws=4,
            swing=("exposure.dark", "exposure.lungs", "exposure.lungs.dark"),
            beside=("discovered.curve", "discovered.tone"),
        ),
        Intervention(
            "size.outside", ORIGINAL, "the sharpness that small files lack",
            "Does the answer change when all but the lungs comes from a file of half the size?",
            "halving the resolution of all but the lungs", "leaving it", MEDIUM, _MEDIUM, _LUNGS, signed=True,
            whole=True, carries=_sharpness, adds=-1, shift=("size.film", "halving the resolution of the film", SHIFT),
            sure=SURE, shown=_coarse, by_degree=True,
            beside=("discovered.filter", "discovered.sharpness", "discovered.fine"),
            or_else="It also takes off fine structure there, such as text or wires: see `discovered.lines`.",
        ),
        Intervention(
            "lungs.crop", "lungs.crop.control", "what lies outside the lungs' box",
            "Does the answer change when the film is cropped to the lungs?",
            "cropping to the lungs", "cropping as large a box at a random place", LARGE, _LARGE, _LUNGS,
            clears=(
                "a crop to the lungs' box tells nothing against the model (what lies outside it may still count)",
                "a crop to the lungs' box",
            ),
        ),
        Intervention(
            "lungs.blank", "lungs.blank.control", "the lungs",
            "Does the answer change when the lungs are blanked?",
            "blanking the lungs", "in-painting as large an area elsewhere", needs=_LUNGS, wanted=True,
        ),
    )
}  # fmt: skip
