"""Side markers and burned-in text: small bright components, told from bones and devices by a few measurements."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import WeightsError
from radiolucent.images import Preprocess, as_film, map_to_source, mask_to_model
from radiolucent.segment.components import FEATURES, FRAME, Components, components
from radiolucent.segment.connected import connected, grown
from radiolucent.types import Radiograph

__all__ = ["Mark", "Markers", "Scorer", "find_components", "load_scorer", "markers", "scorer_path", "select_marks"]

_PREPROCESS = Preprocess(size=FRAME, fit="pad", channels=1, mean=(0.0,), std=(1.0,))
_NEAR = 5  # frame pixels between the boxes of one word's letters


@dataclass(frozen=True)
class Mark:
    """One marker or word.

    Attributes:
        box: left, top, right, bottom in source pixels. score: of its surest part, in [0, 1]; a ranking, no probability.
    """

    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, eq=False)
class Markers:
    """What was found on one film.

    Attributes:
        marks: the surest first. pixels: their ink, bool (H, W), the film's own pixels. image_id: the film's.
    """

    marks: tuple[Mark, ...]
    pixels: NDArray[np.bool_]
    image_id: str


@dataclass(frozen=True, eq=False)
class Scorer:
    """A network of one hidden layer over standardised features: σ(v · tanh(W z + b) + c), z = (x − mean) / scale.

    Attributes:
        mean, scale: (F,). weight: (hidden, F). bias, out: (hidden,). offset: c. threshold: score at or above which a
            component counts as ink, fixed on training films.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    out: NDArray[np.float64]
    offset: float
    threshold: float

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (K,) of features (K, F)."""
        from scipy import special

        standard = np.clip((features - self.mean) / self.scale, -6, 6)
        return special.expit(np.tanh(standard @ self.weight.T + self.bias) @ self.out + self.offset)


def scorer_path() -> Path:
    """The shipped scorer."""
    return Path(str(resources.files("radiolucent.segment") / "markers.json"))


def load_scorer(path: str | Path | None = None) -> Scorer:
    """Read a scorer (JSON); the shipped one unless given.

    Raises:
        WeightsError: missing, damaged, or made for other features.
    """
    file = scorer_path() if path is None else Path(path)
    try:
        stored = json.loads(file.read_text())
        if tuple(stored["features"]) != FEATURES:
            raise ValueError("made for other features")
        arrays = {name: np.array(stored[name], np.float64) for name in ("mean", "scale", "weight", "bias", "out")}
        return Scorer(**arrays, offset=float(stored["offset"]), threshold=float(stored["threshold"]))
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{file}: no marker scorer ({error}); expected the file written by scripts/train_markers.py. Install "
            "radiolucent again, or run the script."
        ) from error


@lru_cache(maxsize=1)
def _shipped() -> Scorer:
    return load_scorer()


def find_components(film: Radiograph) -> Components:
    """The candidates on a film, in the padded frame."""
    geometry = _PREPROCESS.geometry(film.shape)
    inside = mask_to_model(np.ones(film.shape, bool), geometry)
    return components(_PREPROCESS.resize(film), inside)


def markers(film: Any, *, scorer: Scorer | None = None) -> Markers:
    """Side markers and burned-in text of one film, as boxes and ink in its own pixels.

    Components overlap where one threshold lies above another: of those that do, the one with the best score counts.
    Letters closer than a stroke or two make one mark. How often it is right: `docs/reference/cards/markers.md`.

    Args:
        film: a `Radiograph`, a path, an array, a PIL image or a tensor. scorer: another than the shipped one.
    """
    film, chosen = as_film(film), scorer or _shipped()
    found = find_components(film)
    scores = chosen(found.features) if len(found) else np.zeros(0)
    return select_marks(film, found, scores, chosen.threshold)


def select_marks(film: Radiograph, found: Components, scores: NDArray[np.float64], threshold: float) -> Markers:
    """The marks on a film from the scores (K,) of its components: see `markers`."""
    from scipy import ndimage

    geometry = _PREPROCESS.geometry(film.shape)
    ink, sure = np.zeros((FRAME, FRAME), bool), np.zeros((FRAME, FRAME))
    for k in np.argsort(-scores, kind="stable"):
        if scores[k] < threshold:
            break
        pixels = found.pixels(int(k))
        if not (pixels & ink).any():
            ink |= pixels
            sure[pixels] = scores[k]
    if not ink.any():
        return Markers((), np.zeros(film.shape, bool), film.image_id)
    words, _ = connected(grown(ink, (3, 1 + _NEAR)), diagonal=True)
    words = np.where(ink, words, 0)
    marks: list[Mark] = []
    for k, (ys, xs) in enumerate(ndimage.find_objects(words), start=1):
        corners = geometry.to_source(np.array([[xs.start, ys.start], [xs.stop, ys.stop]], np.float64))
        box = np.clip(corners, 0, np.array(film.shape[::-1], np.float64))
        (left, top), (right, bottom) = box.tolist()
        marks.append(Mark((left, top, right, bottom), float(sure[words == k].max())))
    pixels = map_to_source(ink.astype(np.float32), geometry) >= 0.5
    return Markers(tuple(sorted(marks, key=lambda m: -m.score)), pixels, film.image_id)
