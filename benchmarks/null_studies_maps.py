"""Null studies of the verdicts on maps: agreement with markings, the trust stamp, and where maps point."""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, stats
from torch import nn

from null_studies_model import alike, patients_of, table_of
from radiolucent.audits.agreement.floors import Placed, clear_of_others
from radiolucent.audits.trial.attribution import Pointing, attribution, fixed_peaks
from radiolucent.audits.trial.retrained import retrained
from radiolucent.audits.trust.faithfulness import faithfulness
from radiolucent.audits.trust.repeatability import over_seeds, seeds_verdict
from radiolucent.audits.trust.similarity import likeness, pooled, surrogates
from radiolucent.explainers import Explainer, InputTimesGradient
from radiolucent.images import Preprocess
from radiolucent.models import Classifier
from radiolucent.types import Explanation, Geometry, Radiograph


def one_randomised(rng: np.random.Generator) -> bool:
    """Two smooth maps that have nothing to do with each other are called alike, which fails a map."""
    one, other = (pooled(smooth(rng, 32, 3.0), 8) for _ in range(2))
    chance = np.array([likeness(one, s) for s in surrogates(one, 200, rng)])
    return bool((np.array(likeness(one, other)) > np.quantile(chance, 0.99, axis=0)).any())


def smooth(rng: np.random.Generator, side: int, sigma: float) -> NDArray[np.float32]:
    return ndimage.gaussian_filter(rng.standard_normal((side, side)), sigma).astype(np.float32)


def one_floor(rng: np.random.Generator, same: bool) -> bool:
    """Markings lie where findings often lie; maps point there too, all alike or at random, and know no film."""
    side, films, often = 24, [], np.array([15.0, 7.0])
    fixed = -np.hypot(*(np.indices((24, 24)) - often[:, None, None])).astype(np.float32)
    for k in range(40):
        middle = often + rng.normal(0, 3, 2)
        region = np.hypot(*(np.indices((side, side)) - middle[:, None, None])) < 4
        values = fixed - fixed.min() + (0 if same else 4 * smooth(rng, side, 2.0) / 0.14)
        films.append(Placed(f"p{k // 2}", values.astype(np.float32), region))
    p = clear_of_others(films, deals=2000, seed=int(rng.integers(1 << 30)))["hit_rate"]
    return p is not None and p <= 0.05


class Blob(nn.Module):
    """Reads the mean grey of a place."""

    def __init__(self, weight: NDArray[np.float32]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = (x[:, 0] * self.weight).sum((1, 2))
        return torch.stack([torch.zeros_like(one), one], 1)


def one_stamp(rng: np.random.Generator) -> bool:
    """A smooth random map that knows nothing of the network passes faithfulness."""
    side = 32
    weight = np.clip(smooth(rng, side, 3.0), 0, None)
    preprocess = Preprocess(side, "squash", 1, (0.0,), (1.0,))
    clf = Classifier(Blob(weight / weight.sum() * 9).eval(), ("a", "b"), preprocess)
    film = Radiograph(np.clip(0.5 + smooth(rng, side, 2.0) * 2, 0, 1).astype(np.float32), "f")
    geometry = preprocess.geometry(film.shape)
    assert isinstance(geometry, Geometry)
    e = Explanation(smooth(rng, side, 3.0), "f", 1, "b", 0.0, "logit", "random", {}, 0, clf.hash, geometry)
    return faithfulness(clf, film, e, seed=int(rng.integers(1 << 30))).verdict == "pass"


def one_seed(rng: np.random.Generator) -> bool:
    """Maps of four seeds whose ranks agree by exactly 0.7 on average are called repeatable, or not."""
    signal = rng.standard_normal((8, 8))
    low, high = 0.1, 3.0
    drawn = rng.standard_normal((60, 64))
    for _ in range(12):
        middle = (low + high) / 2
        ranks = np.corrcoef(stats.rankdata(signal.ravel() + middle * drawn, axis=1))
        agree = float(np.tanh(np.arctanh(np.clip(ranks[np.triu_indices(60, 1)], -0.999, 0.999)).mean()))
        low, high = (middle, high) if agree > 0.7 else (low, middle)
    maps = [signal + middle * rng.standard_normal((8, 8)) for _ in range(4)]
    return seeds_verdict(over_seeds(maps)) != "inconclusive"


def one_place(rng: np.random.Generator) -> bool:
    """Maps that dwell on the border by exactly its share of the area, in skewed amounts, are said to dwell on it."""
    maps, patients = Pointing(), patients_of(40, rng)
    maps.ratios["border"] = alike(patients, rng, skew=True).tolist()
    maps.patients["border"] = patients.tolist()
    found = {f.test.rpartition(".")[2]: f for f in attribution("m", maps, seed=int(rng.integers(1 << 30)))}
    return found["border"].verdict == "fail"


def one_peak(rng: np.random.Generator) -> bool:
    """Maps of half of the patients peak at one place: most are said to."""
    maps, patients = Pointing(), patients_of(40, rng)
    _, index = np.unique(patients, return_inverse=True)
    own = np.where(rng.random(index.max() + 1) < 0.5, 9, rng.integers(10, 64, index.max() + 1))
    maps.peaks[1] = own[index].tolist()
    maps.peak_patients[1] = patients.tolist()
    return fixed_peaks("m", maps, ("a", "b"))[0].verdict == "fail"


@dataclass(frozen=True)
class Edges(Explainer):
    """Shows the film's edges, and a pattern of the network's that has nothing to do with what it learnt."""

    pattern: float = 0.5

    def attribute(self, classifier: Any, inputs: Any, targets: Any, generator: Any) -> torch.Tensor:
        film = inputs[:, 0].cpu().numpy()
        key = int(hashlib.sha256(classifier.hash.encode()).hexdigest()[:8], 16)
        own = smooth(np.random.default_rng(key), film.shape[1], 2.0)
        seen = np.stack([ndimage.gaussian_gradient_magnitude(one, 1.0) for one in film])
        return torch.from_numpy((seen / seen.std() + self.pattern * own / own.std()).astype(np.float32))


def small_films(rng: np.random.Generator, lesion: float) -> Any:
    """Small films of 80 patients; where labels mean something, the ill have a bright spot."""
    patients = patients_of(80, rng)
    table = table_of(patients, rng)
    side = np.indices((32, 32))
    pixels = np.stack([smooth(rng, 32, 2.0) for _ in patients])
    pixels = 128 + 30 * pixels / pixels.std()
    for i in np.flatnonzero(table.truth):
        y, x = rng.integers(8, 24, 2)
        pixels[i] += lesion * np.exp(-((side[0] - y) ** 2 + (side[1] - x) ** 2) / 18)
    small = np.clip(pixels, 0, 255).astype(np.uint8)
    return dataclasses.replace(table, thumbs={"original": (small, np.arange(len(small)))})


def one_training(rng: np.random.Generator, method: Explainer, lesion: float, wrong: str) -> bool:
    """The verdict on whether a method's maps depend on what labels teach."""
    found = retrained(small_films(rng, lesion), {"m": method}, seed=int(rng.integers(1 << 30)))
    return next(f for f in found if f.test.startswith("training.labels")).verdict == wrong


ROWS: dict[str, tuple[Callable[[np.random.Generator], bool], float]] = {
    "agreement: the same map on every film is clear": (lambda rng: one_floor(rng, True), 0.05),
    "agreement: maps that know places but no film": (lambda rng: one_floor(rng, False), 0.05),
    "stamp: a smooth random map passes faithfulness": (one_stamp, 0.025),
    "stamp: unrelated smooth maps are called alike": (one_randomised, 0.02),
    "stamp: seeds agree by exactly 0.7, passes or fails": (one_seed, 0.05),
    "maps dwell on a place by exactly its area": (one_place, 0.025),
    "maps of half of the patients peak at one place": (one_peak, 0.025),
    "training again: maps of edges pass": (lambda rng: one_training(rng, Edges(), 40, "pass"), 0.025),
    "training again: labels that teach nothing, gradients pass": (
        lambda rng: one_training(rng, InputTimesGradient(), 0, "pass"), 0.025,
    ),
    "training again: labels that teach, gradients fail": (
        lambda rng: one_training(rng, InputTimesGradient(), 60, "fail"), 0.025,
    ),
}  # fmt: skip
"""By row: one study, and the rate of wrong verdicts that is promised at most."""
