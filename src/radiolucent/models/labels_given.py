"""Which outputs of another's network are labels, and how each is called."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from radiolucent.bounds import expect
from radiolucent.errors import ConfigError
from radiolucent.types import Head, LabelRule

__all__ = ["Outputs", "Thresholds", "names_given", "outputs_of"]

Thresholds = float | Sequence[float | None]


@dataclass(frozen=True)
class Outputs:
    """The named outputs of a network.

    Attributes:
        names: of those that have one. keep: their places among all; None where every output has a name.
        threshold: for all. rules: one a label, where thresholds differ; empty otherwise.
    """

    names: tuple[str, ...]
    keep: tuple[int, ...] | None
    threshold: float
    rules: tuple[LabelRule, ...]


def names_given(class_names: Sequence[str]) -> tuple[str, ...]:
    """Class names as they were given; one text, whose letters would be classes, or what holds no texts, is refused.

    Raises:
        ConfigError: with what is expected.
    """
    expected = "a list of texts, such as ['NORMAL', 'PNEUMONIA']"
    expect(class_names, Iterable, "class names", expected)
    if isinstance(class_names, str | bytes):
        raise ConfigError(f"class names {class_names!r}; expected {expected}.")
    found = tuple(class_names)
    for name in found:
        expect(name, str, "class name", "a text")
    return found


def outputs_of(class_names: Sequence[str], head: Head, threshold: Thresholds) -> Outputs:
    """The outputs that have a name; an empty one means nothing (torchxrayvision's untrained labels), and is cut off.

    A threshold a label may be not-a-number or None: that label is never called.

    Raises:
        ConfigError: empty names or thresholds a class with another head than "multilabel", thresholds of another
            number, or no name at all, or one twice.
    """
    given = names_given(class_names)
    keep = tuple(k for k, name in enumerate(given) if name.strip())
    names = tuple(given[k] for k in keep)
    several = head == "multilabel"
    if len(keep) < len(given) and (not several or not keep):
        raise ConfigError(f"class names {given}: an empty one is for labels of a 'multilabel' head that mean nothing.")
    if several and len({n.casefold() for n in names}) < len(names):
        raise ConfigError(f"labels {', '.join(names)}: one stands there twice.")
    place = keep if len(keep) < len(given) else None
    if isinstance(threshold, int | float):
        return Outputs(names, place, float(threshold), ())
    cuts = [_cut(t) for t in threshold]
    if not several or len(cuts) not in (len(given), len(names)):
        raise ConfigError(f"{len(cuts)} thresholds for {len(given)} outputs and head {head!r}; expected one a label.")
    chosen = [cuts[k] for k in keep] if len(cuts) == len(given) else cuts
    return Outputs(names, place, 0.5, tuple(LabelRule(cut) for cut in chosen))


def _cut(value: float | None) -> float | None:
    return None if value is None or math.isnan(float(value)) else float(value)
