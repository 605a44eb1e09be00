"""Where a layer's numbers lie in the image: found by changing the image and watching which numbers follow.

Nothing is read off names, kinds or attributes. The network is asked about an image, the same with a texture on it, and
with that texture fading in from top to bottom and from left to right, for two textures. A number that looks at a place
changes by the texture's strength there, so what fades in says how far down and how far across the number looks. A
layout is right where rows look further down the lower they lie, and columns further across.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

__all__ = ["SURE", "Layout", "Probe", "first_of", "probed", "with_first"]

Array = NDArray[np.float64]

SURE = 0.7
"""Smallest correlation, down and across, of where a layout says a number lies with where it looks."""

SURE_AGAIN = 0.9
"""The same for tokens to be laid out so in all layers that have as many."""

NEARLY = 0.1
"""Grids of tokens whose correlation is this near the best one's are told apart by their shape and number of places."""

TEXTURES = 2
STRENGTHS = (0.25, 0.01)
"""How strong a texture is, as a share of the image's range. The weak one serves networks that look elsewhere once an
image is changed much (one that finds the lungs first); a layout that either shows is one."""

IMAGES = 1 + 3 * TEXTURES * len(STRENGTHS)

ALIVE = 16
"""Places that must move for a layout to be sure (half of them, where there are few): the rest of a map may be empty."""

PREFIX_MOST = 16
"""Most tokens that may be no places: class and register tokens."""


@dataclass(frozen=True)
class Layout:
    """How a layer's output is laid out.

    Attributes:
        kind: "maps" (N, K, h, w), "last" (N, h, w, K), or "tokens" (N, T, K), of which h·w in a row are places.
        grid: (h, w). start: the first token that is a place.
    """

    kind: Literal["maps", "last", "tokens"]
    grid: tuple[int, int]
    start: int = 0


def first_of(output: Any) -> torch.Tensor | None:
    """The tensor a module gives, or the first of the tuple or list it gives; None for anything else."""
    first: Any = output[0] if isinstance(output, tuple | list) and output else output
    return first if isinstance(first, torch.Tensor) else None


def with_first(output: Any, value: torch.Tensor) -> Any:
    """The same output with another tensor in the place of `first_of`."""
    if isinstance(output, torch.Tensor):
        return value
    rest = [value, *output[1:]]
    if hasattr(output, "_fields"):  # a named tuple
        return type(output)(*rest)
    return type(output)(rest)


@dataclass(frozen=True, eq=False)
class Probe:
    """What one module's last output did while the image was changed.

    Attributes:
        shape: for one image. calls: how often the module was called. handed_on: it only gave a child's output.
        changes: by kind of layout, (strengths, 3, places…) how far the whole, downward and rightward texture moved each
            place.
        size: (H, W) of the image.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    calls: int
    handed_on: bool
    changes: dict[str, Array]
    size: tuple[int, int]

    @property
    def moves(self) -> bool:
        """Whether the output depends on the image at all."""
        return any(bool(c[:, 0].max() > 0) for c in self.changes.values())

    def layout(self, known: dict[int, Layout]) -> Layout | None:
        """The layout that fits what was seen; None where none does for sure.

        Args:
            known: by number of tokens what a layer before had, which this one then has or none; what is found here.
        """
        if "tokens" in self.changes and (hint := _known(self.shape[1], known)) is not None:
            places = hint.grid[0] * hint.grid[1]
            part = slice(hint.start, hint.start + places)
            seen = ((y[part].reshape(hint.grid), x[part].reshape(hint.grid)) for y, x in self._looks("tokens"))
            # Chance gives 1/√n: with places known from before, three times that is enough after much mixing.
            return hint if max(_follows(y, x) for y, x in seen) >= min(SURE, max(3 / places**0.5, 0.2)) else None
        fits = (self._fits(kind, y, x) for kind in self.changes for y, x in self._looks(kind))
        found = max(fits, key=lambda f: f[0], default=(0.0, None))
        if found[0] < SURE or found[1] is None:
            return None
        if found[1].kind == "tokens" and found[0] >= SURE_AGAIN:
            known[self.shape[1]] = found[1]
        return found[1]

    def like(self, before: Layout) -> Layout | None:
        """The layout of the layer before, where this one can have it: where all places see all of the image.

        That is so of the last, smallest maps of plain convolutions: each place has seen everything, and all that still
        says which is which is that convolutions leave places where they are.
        """
        grid = self.shape[2:] if before.kind == "maps" else self.shape[1:3]
        if len(self.shape) != 4 or before.kind == "tokens" or not self.moves or grid[0] * grid[1] < 2:
            return None
        fits = all(now <= old for now, old in zip(grid, before.grid, strict=True))
        shape = abs(grid[0] * self.size[1] / self.size[0] - grid[1]) <= 1
        return Layout(before.kind, (grid[0], grid[1])) if fits and shape else None

    def _fits(self, kind: str, y: Array, x: Array) -> tuple[float, Layout | None]:
        if np.isfinite(y).sum() < min(y.size / 2, ALIVE):
            return 0.0, None
        if kind == "tokens":
            return _as_tokens(y, x, self.size)
        if not _possible((y.shape[0], y.shape[1]), self.size):
            return 0.0, None
        return _follows(y, x), Layout("maps" if kind == "maps" else "last", (y.shape[0], y.shape[1]))

    def _looks(self, kind: str) -> Iterator[tuple[Array, Array]]:
        """By strength, how far down and across (0 to 1) each number looks; not-a-number where it looks at nothing."""
        for total, down, across in self.changes[kind]:
            alive = total > 1e-6 * total.max(initial=0)
            below = np.where(alive, total, 1)
            y, x = (np.where(alive, np.clip(part / below, 0, 1), np.nan) for part in (down, across))
            yield y, x


def _known(tokens: int, known: dict[int, Layout]) -> Layout | None:
    """The layout of as many tokens, or of so many places once class tokens are cut off."""
    bare = (Layout("tokens", k.grid) for k in known.values() if k.grid[0] * k.grid[1] == tokens)
    return known.get(tokens) or next(bare, None)


def _as_tokens(y: Array, x: Array, size: tuple[int, int]) -> tuple[float, Layout | None]:
    """The grid that fits T tokens, and where it begins.

    Of those nearly as good as the best, one of the image's own shape before others, and one of most places that move.
    """
    found: list[tuple[float, Layout]] = []
    for h, w in _grids(len(y), size):
        for start in range(len(y) - h * w + 1):
            part = slice(start, start + h * w)
            found.append((_follows(y[part].reshape(h, w), x[part].reshape(h, w)), Layout("tokens", (h, w), start)))
    best = max((score for score, _ in found), default=0.0)

    def rank(one: tuple[float, Layout]) -> tuple[bool, int, int, float]:
        (score, layout), (h, w) = one, one[1].grid
        moving = np.isfinite(y[layout.start : layout.start + h * w]).sum()
        return h * size[1] == w * size[0], int(moving), h * w, score

    good = [one for one in found if one[0] >= best - NEARLY]
    return max(good, key=rank) if good else (0.0, None)


def _grids(tokens: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Grids of about the image's shape (or of half or twice its width) that so many tokens can hold."""
    found: list[tuple[int, int]] = []
    for h in range(1, tokens + 1):
        for stretch in (1.0, 2.0, 0.5):
            near = h * size[1] / size[0] * stretch
            found += [(h, w) for w in range(max(1, int(near) - 1), int(near) + 3) if 1 < h * w <= tokens]
    return [g for g in dict.fromkeys(found) if tokens - g[0] * g[1] <= PREFIX_MOST and _possible(g, size)]


def _possible(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a grid is one of two directions, or of the long one of an image twice as long as wide.

    A few numbers in one row follow any direction by chance: two logits would be a grid.
    """
    if 1 not in grid:
        return True
    return max(size) >= 2 * min(size) and (grid[0] < grid[1]) == (size[0] < size[1])


def _follows(y: Array, x: Array) -> float:
    """How well places (h, w) that look at (y, x) lie where a grid has them: the smaller of two correlations."""
    h, w = y.shape
    rows, columns = np.broadcast_to(np.arange(h)[:, None], (h, w)), np.broadcast_to(np.arange(w), (h, w))
    found = [_correlation(a, b) for a, b, n in ((rows, y, h), (columns, x, w)) if n > 1]
    return min(found, default=0.0)


def _correlation(a: NDArray[Any], b: Array) -> float:
    known = np.isfinite(b)
    a, b = a[known] - a[known].mean(), b[known] - b[known].mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 1e-9 * len(a) else 0.0


def probed(network: nn.Module, image: torch.Tensor) -> list[Probe]:
    """What every module gives that gives numbers, by its last call and in that order.

    Args:
        image: (1, C, H, W), as the network takes it.
    """
    images = _textured(image)
    size = (int(image.shape[2]), int(image.shape[3]))
    with torch.no_grad(), _watched(network, size) as seen:
        network(images)
    return list(seen.values())


@contextmanager
def _watched(network: nn.Module, size: tuple[int, int]) -> Generator[dict[str, Probe]]:
    names = {module: name for name, module in network.named_modules()}
    seen: dict[str, Probe] = {}
    latest: list[Any] = [None]

    def note(module: nn.Module, _: Any, output: Any) -> None:
        value = first_of(output)
        handed_on, latest[0] = value is latest[0] and any(True for _ in module.children()), value
        if value is not None and value.ndim > 1 and len(value) == IMAGES and not _one_of_several(output):
            name, shape = names[module], (1, *value.shape[1:])
            calls = seen.pop(name).calls + 1 if name in seen else 1  # the last call decides on the order
            seen[name] = Probe(name, type(module).__name__, shape, calls, handed_on, _changes(value), size)

    handles = [m.register_forward_hook(note) for m in network.modules() if m is not network]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _one_of_several(output: Any) -> bool:
    """Whether a module gives several tensors alike (maps of several scales), of which the first is not the whole.

    Attention (N, T, T) beside tokens (N, T, K), as `nn.MultiheadAttention` gives, is something else.
    """
    if isinstance(output, torch.Tensor):
        return not output.is_floating_point()
    first: torch.Tensor = output[0]
    alike = [v for v in output[1:] if isinstance(v, torch.Tensor) and v.ndim == first.ndim]
    tokens = first.shape[1] if first.ndim == 3 else -1
    return not first.is_floating_point() or any(tuple(v.shape[1:]) != (tokens, tokens) for v in alike)


def _changes(value: torch.Tensor) -> dict[str, Array]:
    """How far each place moved (strengths, 3, …), whole, downwards and to the right, by layouts it may have."""
    if value.ndim not in (3, 4):
        return {}
    moved = (value[1:] - value[:1]).detach().float().square()

    def over(axis: int) -> Array:
        each = moved.sum(axis).unflatten(0, (len(STRENGTHS), TEXTURES, 3)).sum(1)
        return each.sqrt().nan_to_num(0, 0, 0).cpu().double().numpy()

    if value.ndim == 3:
        return {"tokens": over(2)} if value.shape[1] > 1 else {}
    by_kind = {"maps": (1, value.shape[2:])}
    if value.shape[3] > 1:
        by_kind["last"] = (3, value.shape[1:3])
    return {kind: over(axis) for kind, (axis, grid) in by_kind.items() if grid.numel() > 1}


def _textured(image: torch.Tensor) -> torch.Tensor:
    """The image, and by strength with each texture everywhere, fading in downwards, and to the right (N, C, H, W)."""
    height, width = image.shape[2:]
    plain = image.detach().float().cpu()
    spread = float(plain.max() - plain.min())
    scale = spread if spread > 0 else 1 / STRENGTHS[0]
    down = (torch.arange(height) + 0.5).view(1, 1, -1, 1) / height
    across = (torch.arange(width) + 0.5).view(1, 1, 1, -1) / width
    draw = torch.Generator().manual_seed(0)
    textures: list[torch.Tensor] = []
    for _ in range(TEXTURES):
        fine = torch.randn(1, 1, height, width, generator=draw)
        coarse = torch.randn(1, 1, -(-height // 8), -(-width // 8), generator=draw)
        textures.append(scale * (fine + F.interpolate(coarse, size=(height, width), mode="nearest")))
    if spread == 0:  # an even image alone would leave rectified features dead
        plain = plain + 0.5 * STRENGTHS[0] * textures[0].flip(-1)
    fades = (torch.ones(1), down, across)
    changed = [plain + strength * texture * fade for strength in STRENGTHS for texture in textures for fade in fades]
    return torch.cat([plain, *changed]).to(image)
