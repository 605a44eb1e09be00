"""How well a model does on films of which only a part is left, by our segmenter's masks and by hand-drawn ones."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from box_data import PREPROCESS, Films
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.masked import MASKED_EDITS
from radiolucent.audits.trial.maskers import seen_lungs
from radiolucent.audits.trial.regions import Masker, View, boxed, dilated, masks_from_folder, view_of
from radiolucent.images import read
from radiolucent.metrics import auroc
from radiolucent.models import Classifier

__all__ = ["NOISES", "figures_of", "rows_of", "scores_of"]

Say = Callable[[str, int, int], None]
Edit = Callable[[View, np.random.Generator], NDArray[np.float32]]
_SHAPES: Mapping[str, Any] = {"tight": lambda m: m, "dilated": dilated, "boxed": boxed}


def _noise(shape: str, grain: float, level: float | None) -> Edit:
    """Lungs filled with the surroundings' mean and normal noise; `grain`: its blur in pixels, `level`: its deviation,
    the surroundings' own unless given."""

    def edit(view: View, rng: np.random.Generator) -> NDArray[np.float32]:
        assert view.lungs is not None
        grey, mask = view.grey.astype(np.float32) / 255, _SHAPES[shape](view.lungs)
        around = grey[~mask]
        noise = rng.normal(size=grey.shape)
        if grain:
            noise = ndimage.gaussian_filter(noise, grain)
        noise = noise / noise.std() * (around.std() if level is None else level)
        return np.where(mask, around.mean() + noise, grey).astype(np.float32)

    return edit


NOISES = {f"no_lungs.{s}.noise": _noise(s, 0, None) for s in _SHAPES}
NOISES |= {f"no_lungs.{s}.soft_noise": _noise(s, 1.5, 0.08) for s in _SHAPES}
EVERY: Mapping[str, Any] = {n: EDITS[n] for n in MASKED_EDITS} | NOISES


def rows_of(
    classifier: Classifier, films: Films, rows: NDArray[np.intp], data: Path, *, seed: int, say: Say
) -> dict[str, Any]:
    """AUROC by patient on held-out films of each edit, for the segmenter's masks and, as `drawn`, for those by hand.

    As `ungated` the first once more, of the network without its rule on texture.
    """
    open_ = copy.deepcopy(classifier)
    network: Any = open_.network
    network.limits = None
    seen = _by({"seen": classifier, "ungated": open_}, films, rows, seen_lungs, seed, say)
    return seen | _by({"drawn": classifier}, films, rows, masks_from_folder(data / "lungs"), seed, say)


Scores = dict[str, NDArray[np.float32]]
"""By network, (films, 1 + edits) log-odds; NaN where there is no mask."""


def _by(
    classifiers: Mapping[str, Classifier], films: Films, rows: NDArray[np.intp], masker: Masker, seed: int, say: Say
) -> dict[str, Any]:
    found = scores_of(classifiers, films, rows, masker, seed, say)
    return {name: figures_of(found[name], classifier, films, rows) for name, classifier in classifiers.items()}


def scores_of(
    classifiers: Mapping[str, Classifier], films: Films, rows: NDArray[np.intp], masker: Masker, seed: int, say: Say
) -> Scores:
    """What each network says of each film and of its edits."""
    scores = {name: np.full((len(rows), 1 + len(EVERY)), np.nan, np.float32) for name in classifiers}
    for k, row in enumerate(rows):
        record = films.cache.records[row]
        view = view_of(read(record.path), PREPROCESS, label=record.label, lungs=masker)
        if view.lungs is not None and view.lungs.any():
            greys = [view.grey.astype(np.float32) / 255]
            greys += [edit(view, np.random.default_rng([seed, int(row)])) for edit in EVERY.values()]
            stack = torch.from_numpy(np.rint(np.clip(np.stack(greys), 0, 1) * 255).astype(np.float32) / 255)[:, None]
            for name, classifier in classifiers.items():
                logits = classifier.logits(stack).numpy()
                scores[name][k] = logits[:, 1] - logits[:, 0]
        say(f"rows: {' '.join(classifiers)}", k + 1, len(rows))
    return scores


def figures_of(
    scores: NDArray[np.float32], classifier: Classifier, films: Films, rows: NDArray[np.intp]
) -> dict[str, Any]:
    """AUROC of each edit by patient, and the share of films that got the answer given where there is no lung."""
    kept = ~np.isnan(scores).any(1)
    truth, groups = films.labels[rows[kept]] == 1, films.groups[rows[kept]]
    blank = classifier.logits(torch.full((1, 1, *classifier.preprocess.shape), 0.5)).numpy()[0]
    same = np.isclose(scores[kept], blank[1] - blank[0], atol=1e-4).mean(0)
    return {
        name: auroc(truth, z, groups=groups).as_dict() | {"films": int(kept.sum()), "same_answer": float(share)}
        for name, z, share in zip(("original", *EVERY), scores[kept].T, same, strict=True)
    }
