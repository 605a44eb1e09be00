"""A network that sees nothing but the lungs: it finds them, cuts them out, and blanks all else.

All of this is part of the network, so that it is saved with it, cannot be left out, and is put to the test by whatever
is done to the film: a film whose lungs are blanked is searched for lungs as any other. Its last feature maps are laid
back where they lie on the film, so that maps need no other way back than any network's.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from radiolucent.models.small_resnet import SmallResNet
from radiolucent.segment.net import SIDE, LungNet

__all__ = ["InLungs", "Window", "cut_out", "look", "standardised", "texture", "visible", "window_of"]

TAIL = 0.01
"""Share of the lungs' area that may lie beyond each side of their window, before its margin: a stray pixel moves no
window."""
CHANCE = 0.5
"""Probability at or above which the finder's pixel is lung."""


@dataclass(frozen=True, eq=False)
class Window:
    """Where the lungs lie: edges (N,) as shares of the film's height and width, each between 0 and 1."""

    top: torch.Tensor
    bottom: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor


def window_of(chance: torch.Tensor, margin: float) -> Window:
    """The window of the lungs, `margin` of its side wider on each side, as far as the film goes.

    Args:
        chance: the finder's probabilities (N, h, w). Without any lung the window is the whole film.
    """
    lungs = (chance >= CHANCE).float() + 1e-6

    def span(mass: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        share = mass.cumsum(1) / mass.sum(1, keepdim=True)
        low = (share < TAIL).sum(1) / mass.shape[1]
        high = ((share < 1 - TAIL).sum(1) + 1) / mass.shape[1]
        grow = margin * (high - low)
        return (low - grow).clamp(min=0), (high + grow).clamp(max=1)

    return Window(*span(lungs.sum(2)), *span(lungs.sum(1)))


def _sampling(low: torch.Tensor, high: torch.Tensor, side: int, source: int) -> torch.Tensor:
    """Linear interpolation (N, side, source) at `side` even places between two edges given as shares."""
    steps = (torch.arange(side, device=low.device) + 0.5) / side
    places = (low[:, None] + steps * (high - low)[:, None]) * source - 0.5
    apart = places.clamp(0, source - 1)[:, :, None] - torch.arange(source, device=low.device)
    return (1 - apart.abs()).clamp(min=0)


def cut_out(films: torch.Tensor, window: Window, side: int) -> torch.Tensor:
    """What lies in the window, (N, side, side), of films (N, H, W), linearly interpolated along each axis."""
    rows = _sampling(window.top, window.bottom, side, films.shape[1])
    columns = _sampling(window.left, window.right, side, films.shape[2])
    return rows @ films @ columns.transpose(1, 2)


def visible(chance: torch.Tensor) -> torch.Tensor:
    """How visible each pixel is, in [0, 1], from the finder's (grown) probabilities in the window."""
    return ((chance - CHANCE) * 8 + 0.5).clamp(0, 1)


def standardised(grey: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Grey levels (N, S, S) with mean 0 and deviation about 1 over what is seen (N, S, S); 0, their mean, elsewhere."""
    total = seen.sum((1, 2), keepdim=True).clamp(min=1.0)
    middle = (grey * seen).sum((1, 2), keepdim=True) / total
    spread = ((grey - middle).square() * seen).sum((1, 2), keepdim=True).div(total).clamp(min=1e-8).sqrt()
    return (grey - middle) / (spread + 0.05) * seen


def texture(grey: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """How much fine structure is seen, (N,): mean |grey − its 3 × 3 mean| over the spread of grey levels."""
    total = seen.sum((1, 2)).clamp(min=1.0)
    middle = (grey * seen).sum((1, 2)) / total
    spread = ((grey - middle[:, None, None]).square() * seen).sum((1, 2)).div(total).clamp(min=1e-8).sqrt()
    fine = (grey - F.avg_pool2d(grey[:, None], 3, 1, 1, count_include_pad=False)[:, 0]).abs()
    return (fine * seen).sum((1, 2)) / total / (spread + 0.05)


def look(
    grey: torch.Tensor, chance: torch.Tensor, side: int, margin: float
) -> tuple[torch.Tensor, Window, torch.Tensor]:
    """What the trunk sees of films (N, H, W) with the finder's probabilities.

    Returns the lungs, standardised, (N, 1, side, side), their window, and their texture (N,).
    """
    window = window_of(chance, margin)
    seen = visible(cut_out(F.max_pool2d(chance[:, None], 3, 1, 1)[:, 0], window, side))
    cut = cut_out(grey, window, side)
    return standardised(cut, seen)[:, None], window, texture(cut, seen)


class _Placed(nn.Module):
    """Feature maps of the window laid where they lie on the film, so that their mean stays what it was."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(
        self,
        maps: torch.Tensor,
        top: torch.Tensor,
        bottom: torch.Tensor,
        left: torch.Tensor,
        right: torch.Tensor,
    ) -> torch.Tensor:
        """(N, K, h, w) to (N, K, cells, cells)."""
        rows = self._shares(top, bottom, maps.shape[2])[:, None]
        columns = self._shares(left, right, maps.shape[3])[:, None].transpose(2, 3)
        return rows @ maps @ columns

    def _shares(self, low: torch.Tensor, high: torch.Tensor, count: int) -> torch.Tensor:
        """(N, cells, count): how much of each map cell falls on each film cell, times cells / count."""
        edges = low[:, None] + (high - low)[:, None] * torch.arange(count + 1, device=low.device) / count
        edges = edges * self.cells
        cells = torch.arange(self.cells, device=low.device)[:, None]
        begin, end = edges[:, None, :-1], edges[:, None, 1:]
        overlap = (torch.minimum(end, cells + 1.0) - torch.maximum(begin, cells + 0.0)).clamp(min=0)
        return overlap / (end - begin) * (self.cells / count)


class InLungs(nn.Module):
    """A small residual network on the lungs alone, inside a network on whole films.

    The finder (the lung segmenter's network, one pass, no gradient) gives each pixel's chance to be lung; their window
    is cut out and brought to side × side, which takes away the film's frame, size and aspect; what is not lung, grown
    by one of the finder's cells, is set to the lungs' mean; the rest is standardised, which takes away the exposure.
    Pixels that are not seen have no way to the logits but through the finder and, beside the edge of what is seen, the
    texture that decides whether it is lung.

    Args:
        outputs: number of logits.
        film: side of the input in pixels. side: of the window. margin: around the lungs, as a share of their box.
        widths, dropout: of the small residual network.
        least: texture below which what is seen is no lung (none was found, or it was painted over): the last feature
            maps are then zero, and the answer is the same whatever the film.
        cells: side of the grid on the film that the last feature maps are laid on.
    """

    matrix: torch.Tensor

    def __init__(
        self,
        outputs: int,
        *,
        film: int = 224,
        side: int = 112,
        margin: float = 0.04,
        widths: tuple[int, ...] = (16, 32, 64, 128),
        dropout: float = 0.2,
        least: float = 0.0,
        cells: int = 28,
    ) -> None:
        super().__init__()
        self.side, self.margin, self.least = side, margin, least
        self.finder = LungNet(norm=False)
        self.trunk = SmallResNet(outputs, widths=widths, dropout=dropout)
        self.placed = _Placed(cells)
        self.register_buffer("matrix", _shrink(film, SIDE), persistent=False)
        for parameter in self.finder.parameters():
            parameter.requires_grad_(False)

    def chances(self, grey: torch.Tensor) -> torch.Tensor:
        """The finder's probabilities (N, 64, 64) of films (N, H, W) in [0, 1]."""
        with torch.no_grad():
            return self.finder((self.matrix @ grey.detach() @ self.matrix.T)[:, None]).sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, outputs) of films (N, 1, film, film), grey levels in [0, 1]."""
        grey = x[:, 0]
        inside, window, detail = look(grey, self.chances(grey), self.side, self.margin)
        is_lung = (detail >= self.least).to(x.dtype)[:, None, None, None]
        maps = self.placed(self.trunk.features(inside) * is_lung, window.top, window.bottom, window.left, window.right)
        return self.trunk.head(maps.mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        """The dense layer, by timm's name for what "freeze all but the head" leaves free."""
        return self.trunk.head


def _shrink(source: int, side: int) -> torch.Tensor:
    """(side, source): antialiased resampling along one axis, a triangle over the source pixels under each pixel."""
    scale = source / side
    middle = (torch.arange(side) + 0.5) * scale
    apart = (torch.arange(source) + 0.5)[None] - middle[:, None]
    weights = (1 - apart.abs() / max(scale, 1.0)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
