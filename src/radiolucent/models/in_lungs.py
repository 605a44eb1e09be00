"""A network that sees nothing but the lungs: it finds them, cuts them out, and blanks all else.

All of this is part of the network, so that it is saved with it, cannot be left out, and is put to the test by whatever
is done to the film: a film whose lungs are blanked is searched for lungs as any other. Its last feature maps are laid
back where they lie on the film, so that maps need no other way back than any network's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from radiolucent.models.lite import Lite
from radiolucent.segment.net import LungNet

__all__ = [
    "InLungs", "Limits", "Window", "cut_out", "like_lung", "look", "narrowed", "over_lungs", "seen_in", "standardised",
    "visible", "window_of",
]  # fmt: skip

FINDER_SIDE = 128
"""Side in pixels of what the finder sees. The segmenter itself may look at more: a window needs no fine outline."""
TAIL = 0.01
"""Share of the lungs' area that may lie beyond each side of their window, before its margin: a stray pixel moves no
window."""
CHANCE = 0.5
"""Probability at or above which the finder's pixel is lung."""
AROUND = 13
"""Side in pixels of the square in which texture is measured."""


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
    lungs = (chance >= CHANCE).float() + 1e-6  # float32 whatever the network computes in: half of it counts no cells

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
    return rows.to(films.dtype) @ films @ columns.to(films.dtype).transpose(1, 2)


def visible(chance: torch.Tensor) -> torch.Tensor:
    """How visible each pixel is, in [0, 1], from the finder's probabilities in the window."""
    return ((chance - CHANCE) * 8 + 0.5).clamp(0, 1)


def standardised(grey: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Grey levels (N, S, S) with mean 0 and deviation about 1 over what is seen (N, S, S); 0, their mean, elsewhere."""
    total = seen.sum((1, 2), keepdim=True).clamp(min=1.0)
    middle = (grey * seen).sum((1, 2), keepdim=True) / total
    spread = ((grey - middle).square() * seen).sum((1, 2), keepdim=True).div(total).clamp(min=1e-8).sqrt()
    return (grey - middle) / (spread + 0.05) * seen


@dataclass(frozen=True)
class Limits:
    """What the texture of a lung is like, in deviations of its grey levels; see `like_lung`.

    Attributes:
        fine: least difference from the 3 × 3 mean. low, high: of the difference of the 3 × 3 from the 9 × 9 mean.
        ratio: most of the first over the second; white noise has 2.6. share: of what is seen that must be so.
    """

    fine: float
    low: float
    high: float
    ratio: float
    share: float


def _mean(x: torch.Tensor, side: int, step: int = 1) -> torch.Tensor:
    """Means over a square around every pixel, or every `step`-th, as far as the window goes; quicker than a pool."""
    place = torch.arange(x.shape[-1], device=x.device)
    near = ((place[step // 2 :: step, None] - place).abs() <= side // 2).to(x.dtype)
    near = near / near.sum(1, keepdim=True)
    return near @ x @ near.T


def like_lung(grey: torch.Tensor, seen: torch.Tensor, limits: Limits, step: int = 1) -> torch.Tensor:
    """Share of what is seen, (N,), that has the texture of a lung: not smooth (painted over), and no noise.

    Measured around every `step`-th pixel along each axis, so that a bright rim does not speak for the rest.
    """
    total = seen.sum((1, 2)).clamp(min=1.0)
    middle = (grey * seen).sum((1, 2)) / total
    spread = ((grey - middle[:, None, None]).square() * seen).sum((1, 2)).div(total).clamp(min=1e-8).sqrt()
    smooth, weight = _mean(grey, 3), _mean(seen, AROUND, step).clamp(min=0.02) * (spread + 0.05)[:, None, None]
    fine = _mean((grey - smooth).abs() * seen, AROUND, step) / weight
    coarse = _mean((smooth - _mean(smooth, 7)).abs() * seen, AROUND, step) / weight
    fits = (fine >= limits.fine) & (coarse >= limits.low) & (coarse <= limits.high) & (fine <= limits.ratio * coarse)
    there = seen[:, step // 2 :: step, step // 2 :: step]
    return (fits * there).sum((1, 2)) / there.sum((1, 2)).clamp(min=1.0 / step**2)


def look(
    grey: torch.Tensor, chance: torch.Tensor, side: int, margin: float
) -> tuple[torch.Tensor, torch.Tensor, Window]:
    """What the trunk sees of films (N, H, W) with the finder's probabilities.

    Returns what lies in their lungs' window (N, side, side), how visible each of these pixels is (N, side, side), and
    the window. The outermost of the finder's cells of each outline are not seen: the lungs' edge tells too much of what
    lies beyond it.
    """
    window = window_of(chance, margin)
    return *seen_in(window, grey, chance, side), window


def seen_in(window: Window, grey: torch.Tensor, chance: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What lies in a window of films and how visible each pixel is, both (N, side, side), as `look` gives them."""
    return cut_out(grey, window, side), visible(cut_out(narrowed(chance), window, side))


def narrowed(chance: torch.Tensor) -> torch.Tensor:
    """Each outline (N, h, w) taken in by one of the finder's cells."""
    return -F.max_pool2d(-chance[:, None], 3, 1, 1)[:, 0]


def over_lungs(maps: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Maps (N, K, h, w) times how much of each cell is seen, so that their mean is the mean over what is seen."""
    # Plain numbers: what is exported has no sizes that hang on the input.
    cells = F.adaptive_avg_pool2d(seen[:, None], (int(maps.shape[2]), int(maps.shape[3])))
    return maps * (cells / cells.mean((2, 3), keepdim=True).clamp(min=0.02))


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
        k, high, wide = (int(s) for s in maps.shape[1:])  # as in `over_lungs`
        rows = self._shares(top, bottom, high).to(maps.dtype)
        columns = self._shares(left, right, wide).to(maps.dtype)
        tall = rows @ maps.permute(0, 2, 3, 1).reshape(-1, high, wide * k)
        return (columns[:, None] @ tall.reshape(-1, self.cells, wide, k)).permute(0, 3, 1, 2)

    def _shares(self, low: torch.Tensor, high: torch.Tensor, count: int) -> torch.Tensor:
        """(N, cells, count): how much of each map cell falls on each film cell, times cells / count."""
        edges = low[:, None] + (high - low)[:, None] * torch.arange(count + 1, device=low.device) / count
        edges = edges * self.cells
        cells = torch.arange(self.cells, device=low.device)[:, None]
        begin, end = edges[:, None, :-1], edges[:, None, 1:]
        overlap = (torch.minimum(end, cells + 1.0) - torch.maximum(begin, cells + 0.0)).clamp(min=0)
        return overlap / (end - begin) * (self.cells / count)


class InLungs(nn.Module):
    """A network of ImageNet's features on the lungs alone, inside a network on whole films.

    The finder (the lung segmenter's network, one pass, no gradient) gives each pixel's chance to be lung; their window
    is cut out and brought to side × side, which takes away the film's frame, size and aspect; what is not lung, and the
    outermost of the finder's cells of what is, is set to the lungs' mean; the rest is standardised, which takes away
    the exposure. The maps count as far as lung is seen under them, so that the size of the outline does not. Pixels
    that are not seen have no way to the logits but through the finder and, a few pixels beside the edge of what is
    seen, the texture that decides whether it is lung.

    Args:
        outputs: number of logits.
        film: side of the input in pixels. side: of the window. margin: around the lungs, as a share of their box.
        width, dropout, norm, hidden: of the trunk, see `Lite`.
        limits: what the texture of a lung is like, the numbers of `Limits` in order; where less than its share of what
            is seen is so (nothing was found, or it was painted over) the last feature maps are zero, and the answer is
            the same whatever the film. None: everything counts as lung.
        step: texture is measured around every `step`-th pixel along each axis.
        texture: side of the window in which texture is measured, as it hangs on the pixels' size; None: `side`.
        cells: side of the grid on the film that the last feature maps are laid on.
    """

    laid_on_film = "placed"
    """The layer whose maps lie on the film, and of whose means the logits are made."""
    matrix: torch.Tensor

    def __init__(
        self,
        outputs: int,
        *,
        film: int = 224,
        side: int = 128,
        margin: float = 0.04,
        width: int = 192,
        dropout: float = 0.2,
        norm: bool = True,
        hidden: Sequence[int] | None = None,
        limits: tuple[float, ...] | None = (0.008, 0.042, 0.24, 2.0, 0.45),
        step: int = 1,
        texture: int | None = None,
        cells: int = 28,
    ) -> None:
        super().__init__()
        self.side, self.margin, self.step = side, margin, step
        self.texture = side if texture is None else texture
        self.limits = None if limits is None else Limits(*limits)
        self.finder = LungNet(norm=False)
        self.trunk = Lite(outputs, width=width, dropout=dropout, norm=norm, hidden=hidden)
        self.placed = _Placed(cells)
        self.register_buffer("matrix", _shrink(film, FINDER_SIDE), persistent=False)
        for parameter in self.finder.parameters():
            parameter.requires_grad_(False)

    def chances(self, grey: torch.Tensor) -> torch.Tensor:
        """The finder's probabilities (N, 64, 64) of films (N, H, W) in [0, 1]."""
        with torch.no_grad():
            return self.finder((self.matrix @ grey.detach() @ self.matrix.T)[:, None]).sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, outputs) of films (N, 1, film, film), grey levels in [0, 1]."""
        grey = x[:, 0]
        chance = self.chances(grey)
        cut, seen, window = look(grey, chance, self.side, self.margin)
        maps = over_lungs(self.trunk.features(standardised(cut, seen)[:, None]), seen)
        if self.limits is not None:
            if self.texture != self.side:
                cut, seen = seen_in(window, grey.detach(), chance, self.texture)
            is_lung = like_lung(cut.detach(), seen, self.limits, self.step) >= self.limits.share
            maps = maps * is_lung.to(x.dtype)[:, None, None, None]
        maps = self.placed(maps, window.top, window.bottom, window.left, window.right)
        return self.trunk.head(maps.mean((2, 3)))

    def takes_for_lung(self, x: torch.Tensor) -> torch.Tensor:
        """Whether anything on each film (N, 1, film, film) counts as lung, bool (N,); else the answer is fixed."""
        if self.limits is None:
            return torch.ones(len(x), dtype=torch.bool, device=x.device)
        cut, seen, _ = look(x[:, 0], self.chances(x[:, 0]), self.texture, self.margin)
        return like_lung(cut, seen, self.limits, self.step) >= self.limits.share

    @property
    def without_lung(self) -> torch.Tensor:
        """Logits (outputs,) of every film on which nothing counts as lung."""
        return self.trunk.dense.bias.detach()

    def get_classifier(self) -> nn.Module:
        """The dense layer, by timm's name for what "freeze all but the head" leaves free."""
        return self.trunk.dense


def _shrink(source: int, side: int) -> torch.Tensor:
    """(side, source): antialiased resampling along one axis, a triangle over the source pixels under each pixel."""
    scale = source / side
    middle = (torch.arange(side) + 0.5) * scale
    apart = (torch.arange(source) + 0.5)[None] - middle[:, None]
    weights = (1 - apart.abs() / max(scale, 1.0)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
