"""OpenVINO gives torch's logits, or says why not."""

import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError, ModelError
from radiolucent.explainers import LIME
from radiolucent.models import build
from radiolucent.passes.session import Session

NETWORKS = [("small_cnn", 64), ("mobilenetv1", 64), ("inception_v3", 96), ("densenet121", 64)]


@pytest.mark.parametrize(("name", "size"), NETWORKS)
def test_the_same_logits(name: str, size: int) -> None:
    clf, _ = build(name, pretrained=False, size=size)
    x = torch.randn(5, 1 if name == "small_cnn" else 3, size, size, generator=torch.Generator().manual_seed(0))
    clf.network.train()
    fast = Session().engine(clf, x[:2], 10_000)
    assert fast.name == "openvino" and clf.network.training
    expected = clf.logits(x)
    for batch in (x, x.contiguous(memory_format=torch.channels_last), x[:1]):
        assert torch.allclose(fast.logits(batch), expected[: len(batch)], rtol=1e-4, atol=1e-4)


def test_made_once_and_anew_when_a_weight_changes() -> None:
    clf, _ = build("small_cnn", size=64)
    x = torch.randn(2, 1, 64, 64)
    fast = Session().engine(clf, x, 10_000)
    assert Session().engine(clf, x, 1) is fast
    with torch.no_grad():
        next(iter(clf.network.parameters())).mul_(1.5)
    again = Session().engine(clf, x, 10_000)
    assert again is not fast and torch.allclose(again.logits(x), clf.logits(x), atol=1e-4)


def test_few_images_are_not_worth_it() -> None:
    clf, _ = build("small_cnn", size=64)
    assert Session().engine(clf, torch.zeros(1, 1, 64, 64), 10).name == "torch"


class Uneven(nn.Module):
    """Traces into something else than it computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x.mean((2, 3)).repeat(1, 2)
        return out + 1 if torch.jit.is_tracing() else out


def test_a_network_that_converts_wrongly_stays_with_torch() -> None:
    clf, _ = build("small_cnn", size=32)
    odd = clf.with_(network=Uneven())
    x = torch.rand(2, 1, 32, 32)
    fast = Session().engine(odd, x, 10_000)
    assert fast.name == "torch" and "differ" in fast.why
    with pytest.raises(ModelError, match="differ"):
        Session().engine(odd, x, 10_000, "openvino")
    with pytest.raises(ConfigError, match="auto, torch or openvino"):
        Session().engine(odd, x, 1, "tpu")  # type: ignore[arg-type]


class Guards(nn.Module):
    """Turns films that it takes for inverted."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = -x if x[0, 0, 0, 0] < 0 else x
        return x.mean((2, 3)).repeat(1, 2)


def test_a_network_that_looks_whether_a_film_is_inverted_stays_with_torch() -> None:
    clf = build("small_cnn", size=32)[0].with_(network=Guards())
    assert Session().engine(clf, torch.rand(1, 1, 32, 32) + 0.1, 10_000).name == "torch"


def test_without_openvino_it_is_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> Any:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    clf, _ = build("small_cnn", size=64)
    assert Session().engine(clf, torch.zeros(1, 1, 64, 64), 10_000).name == "torch"


def test_lime_gives_the_same_map_with_either() -> None:
    clf, _ = build("small_cnn", size=64)
    film = rl.from_array(torch.rand(64, 64, generator=torch.Generator().manual_seed(0)).numpy())
    maps = [rl.explain(clf, film, LIME(300, segmentation="slic", engine=e)).map for e in ("torch", "openvino")]  # type: ignore[arg-type]
    assert abs(maps[0] - maps[1]).max() <= 1e-3 * abs(maps[0]).max()


class OneByOne(nn.Module):
    """Asks each image of a batch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.conv(each[None]).amax((2, 3)) for each in x])


@pytest.mark.parametrize("count", [1, 2])
def test_a_network_that_loops_over_the_batch_stays_with_torch(count: int) -> None:
    clf = build("small_cnn", size=32)[0].with_(network=OneByOne())
    x = torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    fast = Session().engine(clf, x, 10_000)
    assert fast.name == "torch", fast.why
    assert fast.logits(torch.cat([x, -x])).shape == (2 * count, 2)


class Faint(nn.Module):
    """Logits that hardly move, and that OpenVINO and a trace see as a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv(x).mean((2, 3))
        if torch.jit.is_tracing():
            out = out.detach() * 0
        return out * 1e-3


def test_a_constant_is_not_taken_for_logits_that_hardly_move() -> None:
    clf = build("small_cnn", size=32)[0].with_(network=Faint())
    fast = Session().engine(clf, torch.rand(1, 1, 32, 32), 10_000)
    assert fast.name == "torch" and "differ" in fast.why
