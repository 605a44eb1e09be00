"""Doctors' readings of films with several labels, as what each reader said of one label."""

import dataclasses
from collections.abc import Sequence

from radiolucent.types import Annotation, absent, plain_label

__all__ = ["other_names", "readings_of_label"]


def readings_of_label(readings: Sequence[Annotation], label: str) -> list[Annotation]:
    """What each reader said of one label: its regions alone, or that it is not there.

    A reading of a film that names other findings, or none, says that this one is not there, but only if somebody uses
    the name somewhere: readings made of other findings alone say nothing of it, and there is none. Names are compared
    without case. Regions without a name belong to no label.
    """
    plain = plain_label(label)
    if not any(plain in _names(a) for a in readings):
        return []
    groups: dict[tuple[str, str], list[Annotation]] = {}
    for a in readings:
        groups.setdefault((a.image_id, a.reader), []).append(a)
    found: list[Annotation] = []
    for some in groups.values():
        own = [a for a in some if a.finding and plain in _names(a)]
        marked = [dataclasses.replace(a, label=label, diagnoses=()) for a in own if _is(a.label, plain)]
        if marked:
            found += marked
        elif own:  # named as a diagnosis of the whole film, with no place of its own
            found.append(dataclasses.replace(own[0], regions=(), label=label, diagnoses=()))
        elif any(a.label is not None or not a.finding for a in some):
            first = some[0]
            found.append(
                Annotation(
                    first.image_id, (), absent(label), first.reader, "", False, first.image_shape
                )
            )  # fmt: skip
    return found


def other_names(readings: Sequence[Annotation], labels: Sequence[str]) -> dict[str, int]:
    """Names of findings that readers use and no label has, with the number of readings."""
    known = {plain_label(n) for n in labels}
    found: dict[str, int] = {}
    for a in readings:
        if a.finding and a.label is not None and plain_label(a.label) not in known:
            found[a.label] = found.get(a.label, 0) + 1
    return found


def _is(name: str | None, plain: str) -> bool:
    return name is not None and plain_label(name) == plain


def _names(a: Annotation) -> set[str]:
    return {plain_label(n) for n in (a.label, *a.diagnoses) if n is not None}
