"""Occlusion against captum, and incremental passes against whole ones."""

from functools import partial

import numpy as np
import pytest
import torch
from captum.attr import Occlusion as Captums
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError
from radiolucent.explainers import Occlusion, explain
from radiolucent.explainers.occlusion import Windows
from radiolucent.explainers.perturbation.inpaint import inpaint
from radiolucent.models import Classifier, build
from radiolucent.models.per_network import weights_of
from radiolucent.passes.fast.incremental import Incremental, incremental
from radiolucent.passes.fast.receptive_boxes import Box
from support.explainer_cases import Blob, blob_film, make, noise_films, wrap


@pytest.mark.parametrize(("window", "stride"), [(16, 8), (20, 7), ((30, 17), (25, 13)), (64, 64), (5, 5)])
def test_it_is_captums_map(window, stride) -> None:
    clf, film = build("small_cnn", size=64, seed=1)[0], noise_films(1)[0]
    x = clf.preprocess(film)[None]
    pair = [v if isinstance(v, tuple) else (v, v) for v in (window, stride)]
    black = float(clf.preprocess.normalise(torch.zeros(1, 1, 1))[0, 0, 0, 0])
    theirs = Captums(clf.network).attribute(
        x, (1, *pair[0]), strides=(1, *pair[1]), baselines=black, target=1, perturbations_per_eval=8
    )
    ours = explain(clf, film, Occlusion(window, stride, fill=0.0, engine="torch"), target=1)
    scale = float(theirs.abs().max())
    np.testing.assert_allclose(ours.map, theirs[0, 0].detach().numpy(), atol=1e-4 * scale)


def test_every_pixel_is_covered_also_at_the_far_edges() -> None:
    cases = (((50, 33), (16, 8), (12, 7)), ((20, 20), (64, 64), (9, 9)), ((31, 31), (4, 4), (4, 4)))
    for shape, window, stride in cases:
        windows = Windows.over(shape, window, stride)
        cover, mean = np.zeros(shape), np.zeros(shape)
        values = np.random.default_rng(0).normal(size=len(windows.y))
        for value, (top, left, bottom, right) in zip(values, windows.corners(slice(None)), strict=True):
            assert bottom > top and right > left
            cover[top:bottom, left:right] += 1
            mean[top:bottom, left:right] += value
        assert cover.min() >= 1 and cover[-1, -1] >= 1
        np.testing.assert_allclose(windows.mean_over_cover(values), mean / cover, atol=1e-12)
    corner = explain(wrap(Blob(100.0)), blob_film(63, 63), Occlusion(12, 7, fill=0.0), target=1).map
    assert corner[63, 63] == corner.max() > 2 * corner[50, 50]


class Plain(nn.Module):
    """Convolutions with odd strides, dilation and padding, both poolings, and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Sequential(nn.Conv2d(1, 6, 5, 2, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.side = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=3)
        self.mean = nn.AvgPool2d(2)
        self.last = nn.Conv2d(12, 4, (3, 1), padding=(1, 0))
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.first(x))
        x = torch.cat([x + self.side(x).sigmoid(), self.side(x)], 1)
        return self.head(self.last(self.mean(nn.functional.pad(x, (1, 2, 0, 1)))).amax((2, 3)))


class Branching(nn.Module):
    """One branch soon needs whole maps, which another one joins again where boxes would do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.near = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.far, self.head = nn.Conv2d(6, 6, 61, padding=30, groups=6), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        near, far = self.near(x), self.far(x)
        return self.head(((x + near).relu() + far).amax((2, 3)))


CASES = {
    "plain": lambda: wrap(Plain(), 70),
    "branching": lambda: wrap(Branching(), 64),
    "small_cnn": partial(build_it := (lambda name, size: make(name, size=size)), "small_cnn", 96),
    "mobilenetv1": partial(build_it, "mobilenetv1", 96),
    "densenet121": partial(build_it, "densenet121", 64),
}


def of(clf: Classifier, image: torch.Tensor, batch: int) -> Incremental:
    made = incremental(clf, image, batch, weights_of(clf.network))
    assert isinstance(made, Incremental), made
    return made


@pytest.mark.parametrize("name", CASES)
def test_incremental_passes_are_whole_passes(name: str) -> None:
    clf = CASES[name]()
    side, channels = clf.preprocess.size, clf.preprocess.channels
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(1, channels, side, side, generator=draw)
    made = of(clf, image, 8)
    for box in ((10, 10), (1, 13)):
        most = torch.tensor([side - b for b in box])
        corners = (torch.rand(8, 2, generator=draw) * (most + 1)).long()
        corners[:4] = torch.stack([most * 0, most, most * torch.tensor([0, 1]), most * torch.tensor([1, 0])])
        patches = 4 * torch.randn(8, channels, *box, generator=draw)
        copies = image.repeat(8, 1, 1, 1)
        for copy, patch, (y, x) in zip(copies, patches, corners.tolist(), strict=True):
            copy[:, y : y + box[0], x : x + box[1]] = patch
        expected = clf.logits(copies)
        routes = {n: made.route(Box(*corners[:n].numpy().T, *box)) for n in (8, 3)}
        found = made.logits(patches, routes[8])
        assert float((found - expected).abs().max()) <= 1e-4 * max(1.0, float(expected.abs().max()))
        assert float((expected - clf.logits(image)).abs().max()) > 1e-2  # the patches matter
        assert 0 < made.plan(routes[8]) < 1
        boxes = {n: Box(*corners[:n].numpy().T, *box) for n in (8, 3)}
        kept = made.routes([boxes[8]])
        assert made.routes([Box(*corners.numpy().T, *box)])[0] is kept[0]  # the same places
        assert len(next(b for b in made.routes([boxes[3]])[0].values() if b).y) == 3  # others
        few = made.logits(patches[:3], routes[3])
        assert torch.allclose(few, found[:3], atol=1e-5 * max(1.0, float(expected.abs().max())))


@pytest.mark.parametrize(
    ("name", "window", "stride", "megabytes"),
    [("small_cnn", 20, 6, 9), ("small_cnn", 10, 5, 9), ("mobilenetv1", 8, 4, 32), ("mobilenetv1", 10, 5, 32)],
)
def test_windows_together_give_the_map_of_whole_passes(name: str, window: int, stride: int, megabytes: int) -> None:
    clf, film = make(name, size=96), noise_films(1)[0]
    ways = [{"passes": "whole"}, {}, {}, {"engine": "torch"}, {"batch_size": 12}]
    found = [explain(clf, film, Occlusion(window, stride, max_memory_mb=megabytes, **way), target=1) for way in ways]
    whole, *others = found
    assert [e.details["passes"] for e in others] == ["incremental"] * 4, [e.details["why"] for e in others]
    for other in others:
        np.testing.assert_allclose(other.map, whole.map, atol=2e-4 * max(1.0, abs(whole.score)))
    assert np.ptp(whole.map) > 0


@pytest.mark.parametrize("fill", [0.3, "mean", "blur", "inpaint"])
def test_both_ways_give_the_same_map(fill) -> None:
    clf, film = make("small_cnn", size=96), noise_films(1)[0]
    maps = [explain(clf, film, Occlusion(20, 14, fill=fill, passes=p), target=1) for p in ("whole", "incremental")]
    assert [e.details["passes"] for e in maps] == ["whole", "incremental"] and "%" in maps[1].details["why"]
    size = np.abs(maps[0].map).max()
    np.testing.assert_allclose(maps[1].map, maps[0].map, atol=1e-4 * max(size, np.abs(maps[0].score)))
    assert np.ptp(maps[0].map) > 0


def test_it_chooses_and_says_why() -> None:
    film = noise_films(1)[0]
    clf = make("small_cnn", size=128)
    assert explain(clf, film, Occlusion(64, 32), target=1).details["why"] == "few windows"
    quick = explain(clf, film, Occlusion(12, 8), target=1).details
    assert quick["passes"] == "incremental" and quick["samples"] == 256
    wide = explain(clf, film, Occlusion(100, 2), target=1).details
    assert wide["passes"] == "whole" and "of the network's work" in wide["why"]

    class Odd(Blob):  # not the same when traced
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            drawn = [np.random.default_rng(int(abs(1e6 * float(one.sum())))).random() for one in x]
            return super().forward(x) + torch.tensor(drawn, dtype=torch.float32)[:, None]

    told = explain(wrap(Odd(), 64), film, Occlusion(8, 4), target=1).details
    assert told["passes"] == "whole" and "trace" in told["why"]
    with pytest.raises(ConfigError, match="passes='auto'"):
        explain(wrap(Odd(), 64), film, Occlusion(8, 4, passes="incremental"), target=1)
    for bad in ({"window": 8, "stride": 9}, {"stride": 0}, {"passes": "half"}):
        with pytest.raises(ConfigError):
            Occlusion(**bad)


def test_a_changed_weight_is_seen() -> None:
    clf, film = make("small_cnn", size=96), noise_films(1)[0]
    before = explain(clf, film, Occlusion(20, 14, passes="incremental"), target=1).map
    with torch.no_grad():
        next(clf.network.parameters()).mul_(1.5)
    after = [explain(clf, film, Occlusion(20, 14, passes=p), target=1).map for p in ("whole", "incremental")]
    assert not np.allclose(before, after[1], rtol=1e-2)
    np.testing.assert_allclose(after[1], after[0], atol=1e-4 * max(1.0, np.abs(after[0]).max()))


def test_inpainting_is_harmonic() -> None:
    y, x = np.mgrid[0:40, 0:50].astype(np.float32)
    plane = 0.1 + 0.01 * y + 0.005 * x
    np.testing.assert_allclose(inpaint(plane, 5, 7, 30, 41), plane[5:30, 7:41], atol=1e-5)
    film = rl.from_array(np.random.default_rng(0).random((40, 50)).astype(np.float32)).pixels
    new = film.copy()
    new[8:20, 10:30] = inpaint(film, 8, 10, 20, 30)
    around = new[7:19, 10:30] + new[9:21, 10:30] + new[8:20, 9:29] + new[8:20, 11:31]
    np.testing.assert_allclose(new[8:20, 10:30], around / 4, atol=1e-5)
    edge = inpaint(np.where(x < 20, np.float32(0.2), film), 10, 0, 25, 20)  # the film's content does not leak in
    assert edge.shape == (15, 20) and edge.min() >= 0 and edge.max() <= 1
    flat = np.where((x < 20) & (y >= 10) & (y < 25), film, np.float32(0.4))
    np.testing.assert_allclose(inpaint(flat, 10, 0, 25, 20), 0.4, atol=1e-5)
    np.testing.assert_allclose(inpaint(film, 0, 0, 40, 50), film.mean(), atol=1e-6)
