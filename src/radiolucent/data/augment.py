"""Augmentation of whole batches: one affine resampling, then grey levels."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F

from radiolucent.errors import ConfigError

__all__ = ["Augment"]


@dataclass(frozen=True)
class Augment:
    """How far training films may differ from what was taken. Every amount is drawn uniformly from ± the value.

    Attributes:
        rotate: degrees. scale: relative. aspect: relative stretch of x against y. translate: fraction of the side.
        shear: tangent.
        brightness: added grey. contrast, gamma: natural logarithm of the factor and exponent.
        noise: largest standard deviation of Gaussian noise. blur: share of films softened with a 3 × 3 binomial filter.
        erase: largest side of a grey rectangle as a fraction of the film's; 0 for none.
        flip: mirror half of the films. Off: it turns the heart and the side markers round.
    """

    rotate: float = 10.0
    scale: float = 0.12
    aspect: float = 0.08
    translate: float = 0.08
    shear: float = 0.0
    brightness: float = 0.1
    contrast: float = 0.25
    gamma: float = 0.3
    noise: float = 0.03
    blur: float = 0.1
    erase: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        if min(v for k, v in asdict(self).items() if k != "flip") < 0 or self.scale >= 1 or self.erase >= 1:
            raise ConfigError(f"{self}; expected amounts ≥ 0, scale and erase below 1.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def apply(self, batch: torch.Tensor, draws: torch.Tensor, noise: torch.Generator | None = None) -> torch.Tensor:
        """Augment films.

        Args:
            batch: uint8 or float in [0, 1], (N, S, S).
            draws: uniform numbers in [0, 1), (N, 16), one row a film: the film's augmentation depends on its row alone.
            noise: generator of the pixel noise.

        Returns float (N, S, S) in [0, 1].
        """
        x = (batch.float() / 255 if batch.dtype == torch.uint8 else batch.float())[:, None]
        u = draws * 2 - 1
        x = F.grid_sample(x, self._grid(u, x.shape), mode="bilinear", padding_mode="zeros", align_corners=False)

        def column(i: int) -> torch.Tensor:
            return u[:, i].view(-1, 1, 1, 1)

        x = x.clamp_(1e-6, 1).pow_(torch.exp(column(6) * self.gamma))
        middle = x.mean((2, 3), keepdim=True)
        x = (x - middle).mul_(torch.exp(column(7) * self.contrast)).add_(middle + column(8) * self.brightness)
        soften = draws[:, 9] < self.blur
        if soften.any():
            kernel = x.new_tensor([1.0, 2.0, 1.0])
            x[soften] = F.conv2d(x[soften], (kernel[:, None] * kernel / 16)[None, None], padding=1)
        if self.noise:
            x = x + torch.randn(x.shape, generator=noise) * (draws[:, 10].view(-1, 1, 1, 1) * self.noise)
        if self.erase:
            x = self._erased(x, draws)
        return x.clamp_(0, 1)[:, 0]

    def move(self, masks: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Masks bool (N, S, S) moved as `apply` moves the films of the same draws; outside them False."""
        x = masks[:, None].float()
        grid = self._grid(draws * 2 - 1, x.shape)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0] >= 0.5

    def _grid(self, u: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        angle = u[:, 0] * (self.rotate * math.pi / 180)
        grow, aspect = 1 + u[:, 1] * self.scale, 1 + u[:, 2] * self.aspect
        mirror = torch.where(u[:, 11] < 0, -1.0, 1.0) if self.flip else torch.ones_like(angle)
        theta = torch.zeros(len(u), 2, 3)
        theta[:, 0, 0] = angle.cos() * grow * aspect * mirror
        theta[:, 0, 1] = -angle.sin() * grow + u[:, 5] * self.shear
        theta[:, 1, 0] = angle.sin() * grow * mirror
        theta[:, 1, 1] = angle.cos() * grow / aspect
        theta[:, 0, 2] = u[:, 3] * self.translate * 2
        theta[:, 1, 2] = u[:, 4] * self.translate * 2
        return F.affine_grid(theta, list(shape), align_corners=False)

    def _erased(self, x: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        side = x.shape[-1]
        place = torch.arange(side).view(1, -1)
        start = (draws[:, 12:14] * (1 - self.erase) * side).unsqueeze(-1)
        end = start + (draws[:, 14:16] * self.erase * side).unsqueeze(-1)
        rows = (place >= start[:, 0]) & (place < end[:, 0])
        columns = (place >= start[:, 1]) & (place < end[:, 1])
        return torch.where((rows[:, :, None] & columns[:, None])[:, None], x.mean((2, 3), keepdim=True), x)
