"""A film with what the classifier says of it, and findings read back from JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from radiolucent.figures.case import Case, LabelCall
from radiolucent.models import Classifier
from radiolucent.types import NO_CALL, Annotation, Estimate, Explanation, Finding

__all__ = ["called_labels", "finding_from", "make_case"]


def make_case(
    clf: Classifier,
    film: Any,
    logits: Any,
    truth: str | None = None,
    readings: Sequence[Annotation] = (),
    explanations: Sequence[Explanation] = (),
    *,
    labels: Sequence[int] = (),
) -> Case:
    """A film with its call at the threshold and the calibrated probability of the called class.

    Args:
        labels: of a multi-label model, what is known of the film's: 1, 0, or below 0 (`Record.findings`).
    """
    empty = bool(clf.no_call(logits)[0])
    if clf.multilabel:
        told = _label_calls(clf, logits, labels)
        called = [c.name for c in told if c.called]
        chance = max(c.probability for c in told if c.called or not called)
        name = NO_CALL if empty else ", ".join(called) or "no label"
        return Case(film, name, chance, None, tuple(readings), tuple(explanations), told, empty)
    chances = clf.probabilities(logits)[0]
    called = int(clf.called(logits)[0])
    name = NO_CALL if empty else clf.class_names[called]
    return Case(film, name, float(chances[called]), truth, tuple(readings), tuple(explanations), (), empty)


def _label_calls(clf: Classifier, logits: Any, labels: Sequence[int]) -> tuple[LabelCall, ...]:
    chances, calls = clf.probabilities(logits)[0].tolist(), clf.calls(logits)[0].tolist()
    truth = [None if v < 0 else v == 1 for v in labels] or [None] * len(chances)
    return tuple(LabelCall(*each) for each in zip(clf.class_names, chances, calls, truth, strict=True))


def called_labels(clf: Classifier, logits: Any) -> list[str]:
    """The labels that a multi-label model calls for one film, the likeliest first, from its logits (1, K).

    All of them where the logits are not finite: then `explain` says why there is no map.
    """
    if not np.isfinite(np.asarray(logits)).all():
        return list(clf.class_names)
    chances: list[float] = clf.probabilities(logits)[0].tolist()
    calls: list[bool] = clf.calls(logits)[0].tolist()
    order = sorted(range(len(chances)), key=lambda k: -chances[k])
    return [clf.class_names[k] for k in order if calls[k]]


def finding_from(values: Mapping[str, Any]) -> Finding:
    """The inverse of `Finding.as_dict`."""
    estimate = Estimate(**values["estimate"]) if values["estimate"] else None
    given: dict[str, Any] = {**values, "estimate": estimate}
    return Finding(**given)
