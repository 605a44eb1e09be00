"""A film with what the classifier says of it, and findings read back from JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from radiolucent.figures.case import Case
from radiolucent.models import Classifier
from radiolucent.types import Annotation, Estimate, Explanation, Finding

__all__ = ["finding_from", "make_case"]


def make_case(
    clf: Classifier,
    film: Any,
    logits: Any,
    truth: str | None = None,
    readings: Sequence[Annotation] = (),
    explanations: Sequence[Explanation] = (),
) -> Case:
    """A film with its call at the threshold and the calibrated probability of the called class."""
    chances = clf.probabilities(logits)[0]
    called = int(clf.called(logits)[0])
    name = clf.class_names[called]
    return Case(film, name, float(chances[called]), truth, tuple(readings), tuple(explanations))


def finding_from(values: Mapping[str, Any]) -> Finding:
    """The inverse of `Finding.as_dict`."""
    estimate = Estimate(**values["estimate"]) if values["estimate"] else None
    given: dict[str, Any] = {**values, "estimate": estimate}
    return Finding(**given)
