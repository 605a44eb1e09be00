"""Opacities painted into lungs and taken out of them, and sham edits, for training: on windows, many at once.

What is painted comes from films that the network learns from, or is drawn; shapes, widths and doses are drawn at
random. `radiolucent audit` scores a network's reasons by edits of its own (`audits/trial/chests.py`): other shapes,
laid into the lungs row by row, from patients that no network here has met.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

__all__ = ["Lungs", "borrowed", "brightness", "drawn", "laid", "removed", "sham"]

FAINT = 0.03
"""Differences of grey level below this are anatomy, not opacity."""


@dataclass(frozen=True, eq=False)
class Lungs:
    """Windows of films.

    Attributes:
        grey, lungs: (N, S, S), in [0, 1]. slow: (N, S, S), grey levels without what is finer than an opacity.
        level: (N, 1, 1), grey level of what surrounds the lungs. inside: (N, S, S), the lungs with a soft edge.
    """

    grey: torch.Tensor
    lungs: torch.Tensor
    slow: torch.Tensor
    level: torch.Tensor
    inside: torch.Tensor

    @classmethod
    def of(cls, grey: torch.Tensor, lungs: torch.Tensor, rng: torch.Generator) -> "Lungs":
        """Of windows; how coarse an opacity is at least is drawn, once for all of them."""
        side = grey.shape[-1]
        sigma = side * (0.03 + 0.04 * float(torch.rand(1, generator=rng)))
        slow = _blurred(grey * lungs, sigma) / _blurred(lungs, sigma).clamp(min=1e-4)
        around = 1 - lungs
        level = (grey * around).sum((1, 2), keepdim=True) / around.sum((1, 2), keepdim=True).clamp(min=1.0)
        return cls(grey, lungs, slow, level.clamp(0.05, 0.95), _blurred(lungs, 0.01 * side) * lungs)

    def __getitem__(self, rows: torch.Tensor) -> "Lungs":
        return Lungs(*(x[rows] for x in (self.grey, self.lungs, self.slow, self.level, self.inside)))


def laid(values: torch.Tensor, donor: Lungs, recipient: Lungs) -> torch.Tensor:
    """A donor's grey levels at the recipient's exposure: the power that makes what surrounds the lungs alike."""
    return values.clamp(0, 1) ** (recipient.level.log() / donor.level.log()).clamp(0.4, 2.5)


def drawn(one: Lungs, rng: torch.Generator) -> torch.Tensor:
    """What a drawn opacity adds, (N, S, S): a cloud that brings the lung near its surroundings' grey level."""
    density = 0.5 + 0.5 * torch.rand(len(one.grey), generator=rng)[:, None, None]
    return density * cloud(one, rng) * (one.level - one.slow).clamp(min=0) * one.inside


def borrowed(one: Lungs, ill: Lungs, rng: torch.Generator) -> torch.Tensor:
    """What ill lungs are whiter by than these, in one lung, in a cloud or all over, (N, S, S)."""
    more = _over(laid(ill.slow, ill, one) - one.slow) * one.inside
    side = more.shape[-1]
    half = (torch.arange(side) < side / 2).float().expand_as(more)
    half = torch.where(torch.rand(len(more), generator=rng)[:, None, None] < 0.5, half, 1 - half)
    draw = torch.rand(len(more), generator=rng)[:, None, None]
    return more * torch.where(draw < 0.4, half, torch.where(draw < 0.7, cloud(one, rng, wide=1.6), torch.ones(())))


def removed(one: Lungs, healthy: Lungs, count: int) -> torch.Tensor:
    """What these lungs are whiter by than the median of `count` healthy ones of them, (N, S, S)."""
    n, h = len(one.grey), len(healthy.grey)
    at = (torch.arange(n)[:, None] + torch.arange(count)) % h
    shown = [laid(d.slow, d, one) for d in (healthy[at[:, k]] for k in range(count))]
    return _over(one.slow - torch.stack(shown).median(0).values) * one.inside


def sham(one: Lungs, donor: Lungs, rng: torch.Generator) -> torch.Tensor:
    """The grey levels with an edit in a cloud that whitens nothing: another lung's fine structure, none, or noise."""
    fine = one.grey - one.slow
    noise = torch.randn(fine.shape, generator=rng)
    noise = torch.where(torch.rand(len(fine), generator=rng)[:, None, None] < 0.5, noise, 2.5 * _blurred(noise, 1.0))
    area = one.inside.sum((1, 2), keepdim=True).clamp(min=1)
    noise = noise * ((fine.square() * one.inside).sum((1, 2), keepdim=True) / area).sqrt()
    theirs = laid(donor.grey, donor, one) - laid(donor.slow, donor, one)
    made = torch.stack([theirs, 0.2 * fine, noise, fine + noise])
    draw = torch.rand(len(fine), generator=rng)
    which = (draw > 0.6).long() + (draw > 0.75).long() + (draw > 0.9).long()
    other = made[which, torch.arange(len(fine))]
    place = cloud(one, rng, wide=1.5) * one.inside
    return one.grey + place * (other - fine)


def brightness(added: torch.Tensor, one: Lungs) -> torch.Tensor:
    """How much of an opacity it is, (N,): grey levels added, as a share of what would make all lung white."""
    room = ((one.level - one.slow).clamp(min=0.1) * one.lungs).sum((1, 2))
    return added.sum((1, 2)) / room.clamp(min=1e-3)


def cloud(one: Lungs, rng: torch.Generator, wide: float = 1.0) -> torch.Tensor:
    """A rough patch around a place in the lungs, (N, S, S) in [0, 1]; its edge is soft or less so."""
    n, side, _ = one.grey.shape
    flat = (one.inside.flatten(1) > 0.9).float() + 1e-6
    at = torch.multinomial(flat, 1, generator=rng)[:, 0]
    y, x = (at // side).float()[:, None, None], (at % side).float()[:, None, None]
    place = torch.arange(side, dtype=torch.float32)
    reach = wide * side * (0.10 + 0.18 * torch.rand(2, n, 1, 1, generator=rng))
    distance = (((place[:, None] - y) / reach[0]) ** 2 + ((place[None] - x) / reach[1]) ** 2).sqrt()
    rough = _blurred(torch.randn(n, side, side, generator=rng), 0.05 * side)
    rough = rough / rough.std((1, 2), keepdim=True)
    sharp = 3 + 7 * torch.rand(n, 1, 1, generator=rng)
    return torch.sigmoid(sharp * (1 - distance + 0.35 * rough))


def _over(difference: torch.Tensor) -> torch.Tensor:
    return torch.where(difference > FAINT, difference, torch.zeros(()))


def _blurred(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Normal blur along both axes, as far as the window goes; of a wide one by half as many pixels."""
    if sigma > 3:
        small = _blurred(F.avg_pool2d(x[:, None], 2)[:, 0], sigma / 2)
        return F.interpolate(small[:, None], x.shape[1:], mode="bilinear")[:, 0]
    place = torch.arange(x.shape[-1], dtype=torch.float32)
    near = torch.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    near = near / near.sum(1, keepdim=True)
    return near @ x @ near.T
