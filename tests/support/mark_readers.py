"""Networks whose guilt is known in closed form, and a few phantoms for them."""

import functools

import numpy as np
import torch
from torch import nn

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.planted import Pool, audit_views, pool
from radiolucent.audits.trial.regions import View
from radiolucent.images import Preprocess
from radiolucent.models import Classifier

SIZE = 64
GREY = Preprocess(SIZE, "squash", 1, (0.0,), (1.0,))


class Reader(nn.Module):
    """Logit of the positive class: Σ weight · f(grey) + bias, of nothing but the pixels that `weight` names."""

    def __init__(self, weight: np.ndarray, *, above: float = 0.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight.astype(np.float32)))
        self.maps = nn.Identity()
        self.above, self.bias = above, bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = (self.maps((x[:, 0:1] - self.above).relu())[:, 0] * self.weight).sum((1, 2)) + self.bias
        return torch.stack([torch.zeros_like(one), one], 1)


def classifier(network: nn.Module, **options: object) -> Classifier:
    return Classifier(network.eval(), ("NORMAL", "PNEUMONIA"), GREY, **options)  # type: ignore[arg-type]


@functools.cache
def phantoms() -> Pool:
    return pool(64, SIZE, 5)


@functools.cache
def views() -> list[View]:
    return audit_views(phantoms(), 0)


def lung_reader() -> Classifier:
    """Reads the lungs' brightness where nearly all films have lung: opacities brighten them."""
    common = phantoms().lungs.mean(0) > 0.9
    return classifier(Reader(common * 40.0 / common.sum(), bias=-14.0))


def marker_reader() -> Classifier:
    """Reads what is nearly white in the upper corners, and the lungs a little."""
    place = np.zeros((SIZE, SIZE))
    place[2:26, 1:16] = place[2:26, -16:-1] = 1
    place *= ~(phantoms().lungs.mean(0) > 0)
    lungs = phantoms().lungs.mean(0) > 0.9
    network = Reader(place * 2.0, above=0.8)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Identity()
            self.marker, self.lungs = network, Reader(lungs * 8.0 / lungs.sum(), bias=-2.8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen = self.maps(x)
            return self.marker(seen) + self.lungs(seen)

    return classifier(Both())


def border_reader() -> Classifier:
    """Reads the mean grey level of the outer three pixels, and the lungs a little."""
    ring = np.ones((SIZE, SIZE))
    ring[3:-3, 3:-3] = 0
    lungs = phantoms().lungs.mean(0) > 0.9
    return classifier(Reader(ring * 30.0 / ring.sum() + lungs * 8.0 / lungs.sum(), bias=-8.0))


def times(table: Table, k: int) -> Table:
    """The films k times over, each time of other patients: of few patients nothing is sure that does not change."""
    scores = {name: np.tile(values, k) for name, values in table.scores.items()}
    names = tuple(f"{p}-{i}" for i in range(k) for p in table.patients)
    plain = table.image_ids * k, names, table.sites * k, np.tile(table.truth, k), np.tile(table.known, k)
    return Table(*plain, scores, {}, None, table.cut)
