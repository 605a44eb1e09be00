"""What a channel looks for: films made by gradient ascent, with a prior that keeps them film-like."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.features.channels import checked_channels, layer_named
from radiolucent.models import Classifier
from radiolucent.models.activations import activations

__all__ = ["Ascent", "Wanted", "visualise"]

CONTRAST = 1.0  # largest standard deviation before the sigmoid: about 0.2 in grey levels, that of chest films


@dataclass(frozen=True)
class Ascent:
    """How a film is made that a channel wants. Source: Olah, Mordvintsev, Schubert 2017 (Distill), "The enemy of
    feature visualization".

    The film is grey, lies in [0, 1] (a sigmoid) and has no more contrast than chest films. What is moved are its
    Fourier coefficients, each divided by its frequency, so that all frequencies of natural images are equally easy to
    reach (decorrelation); the network sees it shifted, scaled and turned a little at every step, so that no pattern
    survives that only works at one place.

    Attributes:
        steps: of Adam. rate: its learning rate.
        jitter: largest shift in pixels. scale: largest relative change of size. turn: largest angle in degrees.
        negative: make what the channel is suppressed by instead.
        seed: of start and transforms.
    """

    steps: int = 128
    rate: float = 0.05
    jitter: float = 8.0
    scale: float = 0.1
    turn: float = 5.0
    negative: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate <= 0 or min(self.jitter, self.scale, self.turn) < 0:
            raise ConfigError(f"{self}; expected at least one step, a positive rate, and transforms of 0 or more.")


@dataclass(frozen=True, eq=False)
class Wanted:
    """Films a layer's channels want.

    Attributes:
        layer: dotted name. channels: (k,). images: float32 (k, S, S) in [0, 1].
        start, end: (k,) mean activation of the channel on the first and on the last film, untransformed.
    """

    layer: str
    channels: NDArray[np.intp]
    images: NDArray[np.float32]
    start: NDArray[np.float64]
    end: NDArray[np.float64]


def _scale(size: int) -> torch.Tensor:
    """1/f of every coefficient of a real Fourier transform (S, S // 2 + 1); the lowest frequency stands for 0."""
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None])
    return 1 / frequency.clamp(min=1 / size)


def _film(spectrum: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Spectra (k, S, S // 2 + 1, 2) to films (k, S, S) in [0, 1]."""
    size = scale.shape[0]
    waves = torch.fft.irfft2(torch.view_as_complex(spectrum) * scale, s=(size, size), norm="ortho")
    mean = waves.mean((1, 2), keepdim=True)
    spread = waves.std((1, 2), keepdim=True)
    return torch.sigmoid(torch.tanh(mean) + (waves - mean) * (CONTRAST / spread).clamp(max=1))


def _moved(films: torch.Tensor, how: Ascent, draw: torch.Generator) -> torch.Tensor:
    """Films (k, S, S) shifted, scaled and turned, each by its own random amount; grey outside."""
    count, size = films.shape[0], films.shape[-1]
    angle, zoom, right, down = 2 * torch.rand(4, count, generator=draw) - 1
    angle, zoom = angle * math.radians(how.turn), 1 + zoom * how.scale
    shift = torch.stack([right, down], 1) * 2 * how.jitter / size
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    matrix = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    theta = torch.cat([matrix, shift[:, :, None]], 2).to(films)
    grid = F.affine_grid(theta, [count, 1, size, size], align_corners=False)
    return F.grid_sample(films[:, None] - 0.5, grid, align_corners=False)[:, 0] + 0.5


def visualise(
    classifier: Classifier,
    layer: str | None = None,
    *,
    channels: Sequence[int],
    how: Ascent | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Wanted:
    """Films that raise (or lower) the mean activation of each channel, all made side by side.

    The same seed gives the same films. The network is left as it was; its parameters take part in no gradient.

    Raises:
        ConfigError: no such layer or channel.
    """
    place, chosen = layer_named(classifier, layer), how or Ascent()
    numbers = torch.from_numpy(checked_channels(place, channels))
    size, count = classifier.preprocess.size, len(numbers)
    draw = torch.Generator().manual_seed(chosen.seed)
    scale = _scale(size)
    spectrum = (0.01 * torch.randn(count, size, size // 2 + 1, 2, generator=draw)).requires_grad_()
    optimiser = torch.optim.Adam([spectrum], chosen.rate)
    sign = 1.0 if chosen.negative else -1.0

    def response(films: torch.Tensor, gradients: bool) -> torch.Tensor:
        inputs = classifier.preprocess.normalise(films).to(classifier.device)
        maps = activations(classifier.network, inputs, [place.name], gradients=gradients)[place.name]
        return maps[torch.arange(count), numbers].mean((1, 2)).float().cpu()

    frozen = [(p, p.requires_grad) for p in classifier.network.parameters()]
    try:
        for p, _ in frozen:
            p.requires_grad_(False)
        start = response(_film(spectrum.detach(), scale), False)
        for step in range(chosen.steps):
            optimiser.zero_grad()
            with torch.enable_grad():
                loss = sign * response(_moved(_film(spectrum, scale), chosen, draw), True).sum()
                loss.backward()
            optimiser.step()
            if progress:
                progress(step + 1, chosen.steps)
        films = _film(spectrum.detach(), scale)
        end = response(films, False)
    finally:
        for p, requires in frozen:
            p.requires_grad_(requires)
    return Wanted(place.name, numbers.numpy(), films.numpy(), start.double().numpy(), end.double().numpy())
