"""From source pixels to the network's input, and exactly back. No other module converts between frames."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from radiolucent.errors import ConfigError
from radiolucent.types import Geometry, Radiograph

__all__ = ["Box", "Preprocess", "Window", "coverage_to_model", "cut", "map_to_source", "mask_to_model", "viewed_area"]

Fit = Literal["squash", "pad", "crop"]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
LEAST_STD = 1e-6
"""Of grey levels in [0, 1]: a step of 8 bit is 4000 times that."""


class Window(Protocol):
    """Which part of a film a model looks at; it belongs to the model and is saved with it."""

    def __call__(self, film: Radiograph) -> Box:
        """The part, in the film's own pixels, within the film; the same for the same film."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with everything that decides the part."""
        ...


@dataclass(frozen=True)
class Preprocess:
    """How a film becomes the network's input.

    Attributes:
        size: side of the square input in pixels; its height where there is a `width`.
        fit: "squash" (each axis scaled by itself), "pad" (whole film, black bars) or "crop" (largest centred square).
        channels: 1, or 3 for networks that expect colour (the grey channel thrice).
        mean, std: input = (grey - mean) / std, by channel.
        window: the part of the film that is looked at (as a whole, "squash"), or None for all of it.
        width: of an input that is no square, in pixels; None: as wide as high.

    Resizing is antialiased (triangle filter over the source pixels under each model pixel) and stored in 8 bit, so that
    a cached film and one read anew give the same input.
    """

    size: int = 224
    fit: Fit = "squash"
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    window: Window | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None and (self.width < 8 or self.window is not None):
            raise ConfigError(f"width {self.width}; expected at least 8 pixels, and no window beside it.")
        if self.size < 8 or self.channels not in (1, 3) or self.fit not in ("squash", "pad", "crop"):
            raise ConfigError(
                f"Preprocess(size={self.size}, fit={self.fit!r}, channels={self.channels}); expected size ≥ 8, fit "
                "squash, pad or crop, channels 1 or 3."
            )
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if not finite or len(self.mean) != self.channels or len(self.std) != self.channels or min(self.std) < LEAST_STD:
            raise ConfigError(
                f"mean {self.mean} and std {self.std}; expected {self.channels} values each, all finite, std at least "
                f"{LEAST_STD:g}."
            )
        if self.window is not None and self.fit != "squash":
            raise ConfigError(f"fit {self.fit!r} with a window; expected 'squash': nothing beside the window is shown.")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the input in pixels."""
        return self.size, self.size if self.width is None else self.width

    def geometry_of(self, film: Radiograph) -> Geometry:
        """Where the input lies in a film."""
        return self.geometry(film.shape) if self.window is None else _squashed(film.shape, self.window(film), self.size)

    def geometry(self, shape: tuple[int, int]) -> Geometry:
        """Where the input lies in a source image of `shape` (H, W), whatever it shows.

        Raises:
            ConfigError: a window, for which the film itself is needed (`geometry_of`).

        >>> Preprocess(size=100, fit="pad").geometry((200, 400)).to_model(np.array([[400.0, 200.0]]))
        array([[100.,  75.]])
        """
        if self.window is not None:
            raise ConfigError("the model looks at a window that depends on the film; ask geometry_of(film).")
        (height, width), (high, wide) = shape, self.shape
        if self.fit == "squash":
            scale, shift = (high / height, wide / width), (0.0, 0.0)
        else:
            one = (min if self.fit == "pad" else max)(high / height, wide / width)
            scale, shift = (one, one), ((high - one * height) / 2, (wide - one * width) / 2)
        return Geometry(shape, (high, wide), scale, shift)

    def resize(self, film: Radiograph) -> NDArray[np.float32]:
        """Antialiased (H, W) grey levels in [0, 1]; black outside the film."""
        if self.window is not None:
            return _part(film.pixels, self.window(film), self.size)
        return _resample(film.pixels, self.geometry(film.shape))

    def quantise(self, film: Radiograph) -> NDArray[np.uint8]:
        """`resize` in 8 bit: what the pixel cache stores."""
        return np.rint(self.resize(film) * 255).astype(np.uint8)

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        """Grey batch (N, S, S) or (N, 1, S, S), uint8 or float in [0, 1], to the input (N, C, S, S) float32."""
        grey = batch.float().div_(255) if batch.dtype == torch.uint8 else batch.float()
        grey = grey[:, None] if grey.ndim == 3 else grey
        mean = grey.new_tensor(self.mean).view(1, -1, 1, 1)
        std = grey.new_tensor(self.std).view(1, -1, 1, 1)
        return (grey - mean) / std

    def denormalise(self, inputs: torch.Tensor) -> torch.Tensor:
        """The inverse of `normalise`: inputs (N, C, S, S) to grey (N, S, S) in [0, 1] (the channels' mean)."""
        mean = inputs.new_tensor(self.mean).view(1, -1, 1, 1)
        std = inputs.new_tensor(self.std).view(1, -1, 1, 1)
        return (inputs * std + mean).mean(1)

    def __call__(self, film: Radiograph) -> torch.Tensor:
        """One film to one input (C, S, S)."""
        return self.normalise(torch.from_numpy(self.quantise(film))[None])[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        values = asdict(dataclasses.replace(self, window=None)) | {"mean": list(self.mean), "std": list(self.std)}
        values.pop("window")  # not written where there is none: older checkpoints have the same hash
        if self.width is None:
            values.pop("width")
        return values if self.window is None else values | {"window": self.window.to_dict()}

    @staticmethod
    def from_dict(values: Mapping[str, Any], window: Window | None = None) -> "Preprocess":
        """The inverse of `to_dict`; whoever knows the windows makes the window (`models.checkpoint`)."""
        known: dict[str, Any] = {**values, "mean": tuple(values["mean"]), "std": tuple(values["std"]), "window": window}
        return Preprocess(**known)


def _squashed(shape: tuple[int, int], box: Box, side: int) -> Geometry:
    """A part of a film as the whole of a square input."""
    left, top, right, bottom = box
    scale = (side / (bottom - top), side / (right - left))
    return Geometry(shape, (side, side), scale, (-top * scale[0], -left * scale[1]))


def cut(pixels: NDArray[np.uint8], box: Box, side: int) -> NDArray[np.uint8]:
    """A part of 8-bit pixels (H, W) as a square of another side, antialiased as films are."""
    return np.rint(_part((pixels / 255).astype(np.float32), box, side) * 255).astype(np.uint8)


def _part(pixels: NDArray[np.float32], box: Box, side: int) -> NDArray[np.float32]:
    """A part of (H, W) as a square; cut out first, because the filter would reach beyond the box."""
    left, top, right, bottom = box
    x, y = int(np.floor(left)), int(np.floor(top))
    near = pixels[y : int(np.ceil(bottom - 1e-6)), x : int(np.ceil(right - 1e-6))]
    moved = (left - x, top - y, right - x, bottom - y)
    return _resample(near, _squashed((near.shape[0], near.shape[1]), moved, side))


def _resample(pixels: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Antialiased resampling of (H, W) into the model frame; 0 outside the source."""
    height, width = geometry.source_shape
    rows, columns = geometry.model_shape
    if pixels.shape == geometry.model_shape and geometry.scale == (1.0, 1.0) and geometry.shift == (0.0, 0.0):
        return pixels
    corners = geometry.to_source(np.array([[0.0, 0.0], [columns, rows]]))
    (left, top), (right, bottom) = corners
    inside = left >= -1e-6 and top >= -1e-6 and right <= width + 1e-6 and bottom <= height + 1e-6
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if inside:
        box = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
        return np.clip(np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR, box=box)), 0, 1)
    # Padding: PIL only resamples inside the image, so lay the film on a black canvas that covers the view.
    before_x, before_y = int(np.ceil(max(-left, 0))), int(np.ceil(max(-top, 0)))
    after_x, after_y = int(np.ceil(max(right - width, 0))), int(np.ceil(max(bottom - height, 0)))
    canvas = Image.fromarray(np.pad(pixels, ((before_y, after_y), (before_x, after_x))))
    box = (left + before_x, top + before_y, right + before_x, bottom + before_y)
    return np.clip(np.asarray(canvas.resize((columns, rows), Image.Resampling.BILINEAR, box=box)), 0, 1)


def map_to_source(values: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Bring a map (h, w) of the model frame to source pixels (H, W), bilinearly; 0 outside the model's view.

    The map may be coarser than the model's input (a feature map): it then spans the same view.
    """
    rows, columns = values.shape
    height, width = geometry.source_shape
    ys, xs = np.arange(height) + 0.5, np.arange(width) + 0.5
    v = (ys * geometry.scale[0] + geometry.shift[0]) * rows / geometry.model_shape[0]
    u = (xs * geometry.scale[1] + geometry.shift[1]) * columns / geometry.model_shape[1]
    by_row = _weights(v - 0.5, rows)
    by_column = _weights(u - 0.5, columns)
    out = (by_row @ values.astype(np.float32)) @ by_column.T
    inside = ((v >= 0) & (v <= rows))[:, None] & ((u >= 0) & (u <= columns))[None]
    return np.where(inside, out, np.float32(0)).astype(np.float32)


def _weights(positions: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Linear interpolation as a (len(positions), size) matrix, constant beyond the outer centres."""
    clipped = np.clip(positions, 0, size - 1)
    low = np.minimum(np.floor(clipped).astype(int), max(size - 2, 0))
    part = (clipped - low).astype(np.float32)
    matrix = np.zeros((len(positions), size), np.float32)
    index = np.arange(len(positions))
    matrix[index, low] = 1 - part
    if size > 1:
        matrix[index, low + 1] += part
    return matrix


def coverage_to_model(mask: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.float32]:
    """Fraction of each model pixel's area that a source mask (H, W) covers, float32 (h, w) in [0, 1]; exact."""
    rows = _overlap(geometry.model_shape[0], geometry.source_shape[0], geometry.scale[0], geometry.shift[0])
    columns = _overlap(geometry.model_shape[1], geometry.source_shape[1], geometry.scale[1], geometry.shift[1])
    return np.clip(rows @ mask.astype(np.float32) @ columns.T, 0, 1, dtype=np.float32)


def _overlap(model: int, source: int, scale: float, shift: float) -> NDArray[np.float32]:
    """(model, source): share of each model pixel that each source pixel covers, along one axis."""
    edges = np.arange(source + 1) * scale + shift
    low, high = edges[:-1][None], edges[1:][None]
    left = np.arange(model)[:, None]
    return np.clip(np.minimum(high, left + 1) - np.maximum(low, left), 0, None).astype(np.float32)


def mask_to_model(mask: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """A source mask (H, W) in the model frame: pixels at least half covered."""
    return coverage_to_model(mask, geometry) >= 0.5 - 1e-6


def viewed_area(geometry: Geometry) -> NDArray[np.bool_]:
    """Source pixels (H, W) whose centre the model sees: all of them unless the film was cropped."""
    ys = (np.arange(geometry.source_shape[0]) + 0.5) * geometry.scale[0] + geometry.shift[0]
    xs = (np.arange(geometry.source_shape[1]) + 0.5) * geometry.scale[1] + geometry.shift[1]
    rows, columns = geometry.model_shape
    return ((ys >= 0) & (ys <= rows))[:, None] & ((xs >= 0) & (xs <= columns))[None]
