"""Whether the shipped model's answer follows opacities: the audit's reasons score, and checks beside it.

Training aims at what the score measures. Beside it stand the score by lung masks drawn by hand, and opacities of a
shape that neither training nor the audit draws: the lower part of one lung, whitened up to a level line.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from box_data import PREPROCESS, Films
from radiolucent.audits.trial.answers import ask
from radiolucent.audits.trial.chests import Chest, chest
from radiolucent.audits.trial.examine import examine
from radiolucent.audits.trial.maskers import seen_lungs
from radiolucent.audits.trial.regions import Masker, masks_from_folder, view_of
from radiolucent.data import Dataset
from radiolucent.images import read
from radiolucent.metrics.resample import cluster_bootstrap_mean
from radiolucent.models import Classifier
from radiolucent.reports.audit_page import audit_summary

__all__ = ["lobes", "reasons_of"]

Say = Callable[[str, int, int], None]
LEVELS = (0.0, 0.5, 1.0)
"""How far a lobe is brought to the grey level of what surrounds the lungs: 1 is all the way."""


def reasons_of(
    classifier: Classifier, films: Films, rows: NDArray[np.intp], data: Path, *, seed: int, say: Say
) -> dict[str, Any]:
    """The reasons score and its five figures by the segmenter's masks and by hand-drawn ones; and `lobes`."""
    records = tuple(films.cache.records[i] for i in rows)
    found: dict[str, Any] = {}
    for name, masker in (("seen", seen_lungs), ("drawn", masks_from_folder(data / "lungs"))):
        audit = examine(
            classifier, Dataset(records, films.dataset.class_names), lungs=masker, tests=("reasons.",),
            data_checks=False, seed=seed, progress=lambda s, d, t, n=name: say(f"reasons {n}: {s}", d, t),
        )  # fmt: skip
        told = {f["test"].removeprefix("reasons."): f for f in audit_summary(audit)["findings"]}
        found[name] = {k: told[k]["estimate"] for k in ("score", "paint", "remove", "sham", "lungs", "outside")}
    return found | {"lobes": lobes(classifier, films, rows, data, seed=seed, say=say)}


def lobes(
    classifier: Classifier, films: Films, rows: NDArray[np.intp], data: Path, *, seed: int, say: Say
) -> dict[str, Any]:
    """Healthy held-out films with the lower part of one lung whitened, by hand-drawn masks where there are some.

    Returns the mean rise of the log-odds in standard deviations of the untouched films', at half and full dose, by
    patient; and the share of calls of "normal" that turn at full dose.
    """
    drawn: Masker = masks_from_folder(data / "lungs")
    scores: list[NDArray[np.float64]] = []
    labels: list[int] = []
    for k, row in enumerate(rows):
        record = films.cache.records[row]
        film = read(record.path)
        views = [view_of(film, PREPROCESS, label=record.label, lungs=m) for m in (drawn, seen_lungs)]
        one = next((found for view in views if (found := chest(view)) is not None), None)
        labels.append(int(record.label or 0))
        scores.append(np.full(len(LEVELS), np.nan))
        if one is not None:
            made = [_lobe(one, dose, np.random.default_rng([seed, 211, int(row)])) for dose in LEVELS]
            scores[-1] = ask(classifier, [(one.view, grey) for grey in made])
        say("lobes", k + 1, len(rows))
    table, truth = np.array(scores), np.array(labels) == 1
    spread = float(np.nanstd(table[:, 0]))
    kept = ~truth & np.isfinite(table).all(1)
    cut = float(np.log(classifier.threshold / (1 - classifier.threshold)))
    start = kept & (table[:, 0] < cut)
    patients: Any = films.groups[rows].astype(str)
    options: Any = {"level": 0.95, "folds": 2000, "seed": seed, "scale": "plain"}

    def mean(values: NDArray[np.float64], of: NDArray[np.bool_]) -> dict[str, Any]:
        return cluster_bootstrap_mean(values[of], patients[of], **options).as_dict() | {"films": int(of.sum())}

    rise = (table - table[:, :1]) / spread
    turned = (table[:, -1] >= cut).astype(float)
    return {"half": mean(rise[:, 1], kept), "full": mean(rise[:, 2], kept), "turned": mean(turned, start)}


def _lobe(one: Chest, dose: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The lower 30 to 60 % of one lung brought near its surroundings' grey level; its fine structure stays."""
    side = one.sides[int(rng.integers(2))]
    down = np.flatnonzero(side.any(1))
    top = down[0] + (1 - rng.uniform(0.3, 0.6)) * (down[-1] - down[0])
    place = side * (np.arange(len(side))[:, None] >= top)
    soft = ndimage.gaussian_filter(place.astype(np.float64), 2.0) * side
    more = 0.9 * dose * soft * np.maximum(one.level - one.slow, 0)
    return np.clip(one.grey + more, 0, 1).astype(np.float32)
