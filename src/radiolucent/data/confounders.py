"""Whether something that is not the lungs predicts the label."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.survey import Film
from radiolucent.metrics import auroc
from radiolucent.types import Estimate, Finding

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

    Gradient-boosted trees, five folds grouped by patient; DeLong's interval over patients. A finding fails where the
    interval excludes 0.5: the shortcut is *available*, which does not say that a network uses it. Of more than two
    classes each is held against the rest, and the one that is told best decides. Taken together, what each kind leaves
    open may still tell the classes apart, e.g. a size that means one thing in grey and another in colour. The level of
    the intervals is corrected for the number of kinds and classes (Bonferroni).
    """
    known = [f for f in films if f.record.label is not None]
    labels = np.array([f.record.label for f in known], np.intp)
    classes = {class_names[1]: labels == 1} if len(class_names) == 2 else {}
    classes = classes or {name: labels == k for k, name in enumerate(class_names)}
    groups = np.array([f.record.patient_id or f.record.image_id for f in known], str)
    kinds = {
        "shortcut.metadata": ("all metadata (size, aspect, mode, format, exposure) together", _together),
        **_FEATURES,
    }
    level = 1 - 0.05 / (len(kinds) * max(1, len(classes)))
    return [_one(name, *kind, known, classes, groups, level) for name, kind in kinds.items()]


def _one(
    name: str,
    words: str,
    feature: Callable[[Sequence[Film]], NDArray[np.float64]],
    films: Sequence[Film],
    classes: Mapping[str, NDArray[np.bool_]],
    groups: NDArray[np.str_],
    level: float,
) -> Finding:
    question = f"Can the label be told from {words} alone?"
    source = "DeGrave 2021, Zech 2018: what predicts the label without the lungs; threshold ours"
    # A fold takes whole patients.
    rarest = {c: min(len(np.unique(groups[t])), len(np.unique(groups[~t]))) for c, t in classes.items()}
    asked = [c for c, count in rarest.items() if count >= 2 * FOLDS]
    if not asked:
        few = max(rarest.values(), default=0)
        words = f"{few} patients with labelled films of the rarer class; {2 * FOLDS} would do."
        return Finding(name, question, "not applicable", words, source=source)
    x = feature(films)
    if np.ptp(x, axis=0).max() == 0:
        return Finding(
            name,
            question,
            "pass",
            f"{words[0].upper()}{words[1:]}: the same for all {len(films)} films.",
            source=source,
        )
    told = {c: _told(x, classes[c], groups, level) for c in asked}
    best = max(told, key=lambda c: (told[c].low or 0.0, told[c].value or 0.0))
    estimate = told[best]
    available = estimate.low is not None and (estimate.low > 0.5)
    against = f"{best} against the rest, " if len(classes) > 1 else ""
    return Finding(
        name,
        question,
        "fail" if available else "pass",
        f"{words[0].upper()}{words[1:]}: {against}AUROC {estimate}: "
        + ("a shortcut is available to any network that can see it." if available else "not told from chance."),
        estimate,
        0.5,
        {
            "folds": FOLDS,
            "films": len(films),
            "classifier": "gradient-boosted trees, grouped by patient",
            **({"classes": {c: e.as_dict() for c, e in told.items()}} if len(classes) > 1 else {}),
        },
        source,
        "treat size and mode alike for all films (one preprocessing does), and test whether the network uses it"
        if available
        else "",
    )


def _told(x: NDArray[np.float64], truth: NDArray[np.bool_], groups: NDArray[np.str_], level: float) -> Estimate:
    """Cross-validated AUROC of one class against the rest."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    scores = np.asarray(cross_val_predict(model, x, truth, groups=groups, cv=folds, method="predict_proba"))[:, 1]
    return auroc(truth, scores, groups=groups, level=level)
