"""A film with what was said of it, and how sure the network is, in words; drawn in `cases`."""

from dataclasses import dataclass

from radiolucent.types import Annotation, Explanation, Radiograph

__all__ = ["Case", "sure"]


@dataclass(frozen=True, eq=False)
class Case:
    """A film with all that was said of it.

    Attributes:
        film: the X-ray. called: class called at the threshold. probability: calibrated, of that class.
        truth: its label, or None where unknown.
        annotations: readings of it. explanations: by any methods.
    """

    film: Radiograph
    called: str
    probability: float
    truth: str | None = None
    annotations: tuple[Annotation, ...] = ()
    explanations: tuple[Explanation, ...] = ()

    @property
    def right(self) -> bool | None:
        """Whether the call was right; None where the truth is unknown."""
        return None if self.truth is None else self.called == self.truth


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
