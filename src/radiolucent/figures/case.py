"""A film with what was said of it, and how sure the network is, in words; drawn in `cases`."""

from dataclasses import dataclass

from radiolucent.types import NO_CALL, NO_LUNG, Annotation, Explanation, Radiograph

__all__ = ["Case", "LabelCall", "sure"]


@dataclass(frozen=True)
class LabelCall:
    """One label of a film: its calibrated probability, whether it is called, and whether the film has it, if known."""

    name: str
    probability: float
    called: bool
    truth: bool | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A film with all that was said of it.

    Attributes:
        film: the X-ray. called: class called at the threshold. probability: calibrated, of that class.
        truth: its label, or None where unknown.
        annotations: readings of it. explanations: by any methods.
        labels: of a model that tells several labels, each of them; `called` then names those that are called.
        no_call: whether the answer is that of any film without lung, and so none of this one.
    """

    film: Radiograph
    called: str
    probability: float
    truth: str | None = None
    annotations: tuple[Annotation, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    labels: tuple[LabelCall, ...] = ()
    no_call: bool = False

    @property
    def headline(self) -> str:
        """What was called, and how sure the network is."""
        if self.no_call:
            return f"{NO_CALL}: {NO_LUNG}"
        if not self.labels:
            return sure(self.probability, self.called)
        called = [f"{c.name} {_percent(c.probability)}" for c in self.labels if c.called]
        if called:
            return f"called: {', '.join(called)}"
        likeliest = max(self.labels, key=lambda c: c.probability)
        return f"no label called; the likeliest: {likeliest.name} {_percent(likeliest.probability)}"

    @property
    def chance(self) -> str:
        """The probability of the class called, in words; "" where there is none, or several."""
        return "" if self.labels or self.no_call else f"probability {min(self.probability, 0.9999):.4f}"

    @property
    def known(self) -> bool:
        """Whether its class is known, or any of its labels."""
        return self.truth is not None or any(c.truth is not None for c in self.labels)

    @property
    def verdict(self) -> str:
        """Whether the call was right, in words."""
        if self.no_call:
            return f"{NO_CALL}, whatever the label" if self.known else "label unknown"
        if not self.labels:
            return {None: "label unknown", True: "✓ right"}.get(self.right, f"✗ wrong: the label is {self.truth}")
        known = [c for c in self.labels if c.truth is not None]
        if not known:
            return "labels unknown"
        missed = ", ".join(c.name for c in known if c.truth and not c.called)
        alarms = ", ".join(c.name for c in known if c.called and not c.truth)
        wrong = [f"missed {missed}"] * bool(missed) + [f"false alarm {alarms}"] * bool(alarms)
        open_ = ", ".join(c.name for c in self.labels if c.truth is None)
        rest = f" (not known: {open_})" if open_ else ""
        return f"✗ {'; '.join(wrong)}{rest}" if wrong else f"✓ every known label right{rest}"

    @property
    def right(self) -> bool | None:
        """Whether the call was right, of several labels every known one; None without a call or a known truth."""
        if self.no_call:
            return None
        if self.labels:
            known = [c.called == c.truth for c in self.labels if c.truth is not None]
            return all(known) if known else None
        return None if self.truth is None else self.called == self.truth


def _percent(probability: float) -> str:
    return "over 99.9 %" if probability > 0.9994 else f"{100 * probability:.1f} %"


def sure(probability: float, name: str) -> str:
    """How sure the network is, in words; never "100 %".

    Below one half the class was called because the threshold, chosen on validation, is not one half.

    >>> sure(0.9948, "NORMAL")
    '99.5 % sure: NORMAL'
    >>> sure(1.0, "PNEUMONIA")
    'over 99.9 % sure: PNEUMONIA'
    >>> sure(0.306, "PNEUMONIA")
    'called PNEUMONIA by threshold, at 30.6 %'
    """
    if probability < 0.5:
        return f"called {name} by threshold, at {probability * 100:.1f} %"
    return f"over 99.9 % sure: {name}" if probability > 0.9994 else f"{probability * 100:.1f} % sure: {name}"
