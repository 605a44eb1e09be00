"""Where the lungs are: a small network of our own, which also says when not to believe it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from radiolucent.errors import WeightsError
from radiolucent.files import sha256_file, write_tensors
from radiolucent.images import Preprocess, as_film, map_to_source
from radiolucent.segment.distrust import EXPECTED, Expectation, clean, reasons, signs
from radiolucent.segment.net import SIDE, LungNet
from radiolucent.types import Radiograph

__all__ = ["LungMask", "Segmenter", "load_segmenter", "lungs", "lungs_of", "save_segmenter", "shipped", "weights_path"]

KEY = "radiolucent.lungs"
SHIFT = SIDE // 16
TINY = 1e-4
_PREPROCESS = Preprocess(size=SIDE, channels=1, mean=(0.0,), std=(1.0,))


@dataclass(frozen=True, eq=False)
class LungMask:
    """The lungs of one film, with the heart's shadow, down to the diaphragm.

    Attributes:
        pixels: bool (H, W), the film's own pixels.
        trusted: whether every sign lies within its limits. reasons: in words, those that do not.
        signs: their values by name (see `segment.distrust.SIGNS`), and the expected Dice, which combines them.
        image_id: the film's.
    """

    pixels: NDArray[np.bool_]
    trusted: bool
    reasons: tuple[str, ...]
    signs: Mapping[str, float]
    image_id: str

    @property
    def expected_dice(self) -> float:
        """Dice with a person's outline, as the signs let expect it on films like those of the card.

        Of other films it says nothing: signs beyond what those showed count as at the edge, so that a film of nothing
        but black has 0.79. `trusted` rests on every sign.
        """
        return self.signs[EXPECTED]


@dataclass(frozen=True, eq=False)
class Segmenter:
    """The network with the limits of its signs.

    Attributes:
        network: fused, in evaluation mode. limits: (low, high) of each sign. about: provenance, JSON-ready.
        expectation: the expected Dice from the signs.
    """

    network: LungNet
    limits: Mapping[str, tuple[float, float]]
    about: Mapping[str, Any]
    expectation: Expectation

    def probabilities(self, grey: NDArray[np.uint8]) -> tuple[NDArray[np.float32], list[dict[str, float]]]:
        """Mean probabilities (N, 64, 64) of squashed films (N, 128, 128), and every film's signs.

        Two passes, whose logits are averaged: the film, and its mirror image moved up and left by a sixteenth of its
        side.
        """
        x = torch.from_numpy(np.ascontiguousarray(grey))[:, None].float().div_(255)
        moved = F.pad(x.flip(3), (0, SHIFT, 0, SHIFT), mode="replicate")[:, :, SHIFT:, SHIFT:]
        with torch.inference_mode():  # one after the other: smaller batches stay in the processor's cache
            plain, other = (self.network(y.contiguous(memory_format=torch.channels_last)) for y in (x, moved))
        step = SHIFT // 2
        back = torch.full_like(other, float("nan"))
        back[:, step:, step:] = other[:, :-step, :-step]
        back = back.flip(2)
        mean = torch.where(back.isnan(), plain, (plain + back) / 2).sigmoid().numpy()
        cleaned = np.stack([clean(p) for p in mean])
        return cleaned, [signs(*part) for part in zip(cleaned, plain.numpy(), back.numpy(), strict=True)]

    def batch(self, films: Sequence[Radiograph]) -> list[LungMask]:
        """The lungs of a batch of films."""
        grey = np.stack([_PREPROCESS.quantise(film) for film in films])
        found, values = self.probabilities(grey)
        masks: list[LungMask] = []
        for film, p, sign in zip(films, found, values, strict=True):
            sign[EXPECTED] = self.expectation(sign)
            why = reasons(sign, self.limits)
            logits = np.log(p + TINY) - np.log(1 - p + TINY)  # straighter between cells than probabilities are
            pixels = map_to_source(logits, _PREPROCESS.geometry(film.shape)) > 0
            masks.append(LungMask(pixels, not why, why, sign, film.image_id))
        return masks


def weights_path() -> Path:
    """The shipped weights."""
    return Path(str(resources.files("radiolucent.segment") / "lungs.safetensors"))


def save_segmenter(segmenter: Segmenter, path: str | Path) -> Path:
    """Write weights (half precision) and limits to one safetensors file, atomically; the same bytes for the same."""
    tensors = {n: t.detach().half().contiguous().clone() for n, t in segmenter.network.state_dict().items()}
    header = {
        "side": SIDE,
        "limits": {k: list(v) for k, v in segmenter.limits.items()},
        "expectation": asdict(segmenter.expectation),
        "about": dict(segmenter.about),
    }
    write_tensors(path, tensors, {KEY: json.dumps(header, sort_keys=True, allow_nan=False)})
    return Path(path)


def load_segmenter(path: str | Path | None = None) -> Segmenter:
    """Read a segmenter; the shipped one unless given.

    Raises:
        WeightsError: missing, damaged, or not a lung segmenter.
    """
    file = weights_path() if path is None else Path(path)
    try:
        with safe_open(file, framework="pt") as stream:
            header = json.loads((stream.metadata() or {})[KEY])
            tensors = {name: stream.get_tensor(name).float() for name in stream.keys()}
        if header["side"] != SIDE:
            raise ValueError(f"it looks at films of {header['side']} pixels, this version at {SIDE}")
        network = _skeleton()
        network.load_state_dict(tensors, strict=True)
        limits = _pairs(header["limits"])
        expected = Expectation(header["expectation"]["weights"], _pairs(header["expectation"]["ranges"]))
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{file}: no lung segmenter ({error}); expected the file written by scripts/train_lungs.py. Install "
            "radiolucent again, or run the script."
        ) from error
    return Segmenter(network, limits, header["about"] | {"sha256": sha256_file(file)}, expected)


def _pairs(values: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    return {name: (float(low), float(high)) for name, (low, high) in values.items()}


def _skeleton() -> LungNet:
    """The fused network, without drawing the caller's random numbers."""
    with torch.random.fork_rng(devices=[]):
        return LungNet(norm=False).eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


@lru_cache(maxsize=1)
def shipped() -> Segmenter:
    return load_segmenter()


def lungs(film: Any, *, segmenter: Segmenter | None = None) -> LungMask:
    """The lungs of one film, in its own pixels, with the heart's shadow, as far as the diaphragm.

    Trained on children's frontal films (see the card, `docs/reference/cards/lungs.md`); look at `trusted` before use.
    Research use, not for diagnosis.

    Args:
        film: a `Radiograph`, a path, an array, a PIL image or a tensor. segmenter: another than the shipped one.
    """
    return (segmenter or shipped()).batch([as_film(film)])[0]


def lungs_of(films: Iterable[Radiograph], *, batch: int = 16, segmenter: Segmenter | None = None) -> Iterator[LungMask]:
    """The lungs of many films, in order, a batch at a time in bounded memory."""
    chosen = segmenter or shipped()
    waiting: list[Radiograph] = []
    for film in films:
        waiting.append(film)
        if len(waiting) == batch:
            yield from chosen.batch(waiting)
            waiting = []
    if waiting:
        yield from chosen.batch(waiting)
