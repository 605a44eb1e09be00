"""Whether something that is not the lungs predicts the label."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.survey import Film
from radiolucent.metrics import auroc
from radiolucent.types import Finding

__all__ = ["confounders"]

FOLDS = 5


def _codes(values: Sequence[str]) -> NDArray[np.float64]:
    names = sorted(set(values))
    return np.array([names.index(v) for v in values], np.float64)


_FEATURES: dict[str, tuple[str, Callable[[Sequence[Film]], NDArray[np.float64]]]] = {
    "shortcut.size": (
        "the film's size in pixels",
        lambda films: np.array([[f.width, f.height] for f in films], np.float64),
    ),
    "shortcut.aspect": (
        "the film's aspect ratio",
        lambda films: np.array([[f.width / max(f.height, 1)] for f in films], np.float64),
    ),
    "shortcut.mode": ("the stored colour mode", lambda films: _codes([f.mode for f in films])[:, None]),
    "shortcut.format": (
        "file format, size in bytes and JPEG tables",
        lambda films: np.stack(
            [
                _codes([f.format for f in films]),
                _codes([f.tables for f in films]),
                np.array([f.size for f in films], float),
            ],
            1,
        ),
    ),
    "shortcut.exposure": (
        "mean grey level of film and border",
        lambda films: np.array([[f.grey, f.border] for f in films], np.float64),
    ),
}


def _together(films: Sequence[Film]) -> NDArray[np.float64]:
    return np.concatenate([feature(films) for _, feature in _FEATURES.values()], 1)


def confounders(films: Sequence[Film], class_names: tuple[str, ...]) -> list[Finding]:
    """One finding for each kind of metadata, and one for all together ("shortcut.metadata"): the cross-validated AUROC
    of a classifier that sees nothing else.

    Gradient-boosted trees, five folds grouped by patient; the last class against the rest; DeLong's interval over
    patients. A finding fails where the interval excludes 0.5: the shortcut is *available*, which does not say that a
    network uses it. Taken together, what each kind leaves open may still tell the classes apart, e.g. a size that
    means one thing in grey and another in colour. The level of the intervals is corrected for the number of kinds
    (Bonferroni).
    """
    known = [f for f in films if f.record.label is not None]
    truth = np.array([f.record.label == len(class_names) - 1 for f in known], bool)
    groups = np.array([f.record.patient_id or f.record.image_id for f in known], str)
    kinds = {
        "shortcut.metadata": ("all metadata (size, aspect, mode, format, exposure) together", _together),
        **_FEATURES,
    }
    level = 1 - 0.05 / len(kinds)
    return [_one(name, *kind, known, truth, groups, level) for name, kind in kinds.items()]


def _one(
    name: str,
    words: str,
    feature: Callable[[Sequence[Film]], NDArray[np.float64]],
    films: Sequence[Film],
    truth: NDArray[np.bool_],
    groups: NDArray[np.str_],
    level: float,
) -> Finding:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    question = f"Can the label be told from {words} alone?"
    source = "DeGrave 2021, Zech 2018: what predicts the label without the lungs; threshold ours"
    rarest = min(len(np.unique(groups[truth])), len(np.unique(groups[~truth])))  # a fold takes whole patients
    if rarest < 2 * FOLDS:
        few = f"{rarest} patients with labelled films of the rarer class; {2 * FOLDS} would do."
        return Finding(name, question, "not applicable", few, source=source)
    x = feature(films)
    if np.ptp(x, axis=0).max() == 0:
        return Finding(
            name,
            question,
            "pass",
            f"{words[0].upper()}{words[1:]}: the same for all {len(films)} films.",
            source=source,
        )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    scores = np.asarray(cross_val_predict(model, x, truth, groups=groups, cv=folds, method="predict_proba"))[:, 1]
    estimate = auroc(truth, scores, groups=groups, level=level)
    available = estimate.low is not None and (estimate.low > 0.5)
    return Finding(
        name,
        question,
        "fail" if available else "pass",
        f"{words[0].upper()}{words[1:]}: AUROC {estimate}: "
        + ("a shortcut is available to any network that can see it." if available else "no better than chance."),
        estimate,
        0.5,
        {"folds": FOLDS, "films": len(films), "classifier": "gradient-boosted trees, grouped by patient"},
        source,
        "treat size and mode alike for all films (one preprocessing does), and test whether the network uses it"
        if available
        else "",
    )
