"""Which layer is explained of networks that hand on several things, or look at a part of the image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import radiolucent as rl
from radiolucent.errors import ExplainError
from radiolucent.explainers import explain
from radiolucent.passes.session import Session
from radiolucent.passes.target_layer import find_layer

PRE = rl.Preprocess(64, "squash", 3, (0.5,) * 3, (0.5,) * 3)
FILM = rl.from_array(np.random.default_rng(1).random((64, 64)).astype(np.float32))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.h = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.h(self.f(x).mean((2, 3)))


class Both(Net):
    """Features first, then logits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.f(x)
        return features, self.h(features.mean((2, 3)))  # type: ignore[return-value]


class Cropping(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x[:, :, 8:-8, 8:-8])


class Turning(Net):
    """A spatial transformer: what it looks at depends, by its gradient, on all of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.where = nn.Linear(16, 6)
        with torch.no_grad():
            self.where.weight.mul_(0.01)
            self.where.bias.copy_(torch.tensor([0.6, 0, 0.3, 0, 0.6, -0.3]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        theta = self.where(self.f(x).mean((2, 3))).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return super().forward(F.grid_sample(x, grid, align_corners=False))


class Attending(nn.Module):
    """A vision transformer of `nn.MultiheadAttention`, which gives its weights as well where it is asked to."""

    def __init__(self, weights: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.token = nn.Conv2d(3, 16, 8, 8), nn.Parameter(torch.randn(1, 1, 16))
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(2))
        self.attention = nn.ModuleList(nn.MultiheadAttention(16, 2, batch_first=True) for _ in range(2))
        self.h, self.weights = nn.Linear(16, 2), weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x).flatten(2).transpose(1, 2)], 1)
        for norm, attention in zip(self.norms, self.attention, strict=True):
            n = norm(t)
            t = t + attention(n, n, n, need_weights=self.weights)[0]
        return self.h(t[:, 0])


class TwoWays(nn.Module):
    """A vision transformer whose answer comes from the class token, the places, or both."""

    def __init__(self, head: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.token = nn.Conv2d(3, 24, 16, 16), nn.Parameter(torch.randn(1, 1, 24))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(24, 2, 48, batch_first=True, dropout=0, norm_first=True) for _ in range(3)
        )
        self.norm, self.h, self.aux, self.joint = nn.LayerNorm(24), nn.Linear(24, 2), nn.Linear(24, 2), nn.Linear(48, 2)
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x).flatten(2).transpose(1, 2)], 1)
        for block in self.blocks:
            t = block(t)
        t = self.norm(t)
        read, places = t[:, 0], t[:, 1:]
        if self.head == "auxiliary":
            return self.h(read) + 0.5 * self.aux(places).max(1)[0]
        if self.head == "joined":
            return self.joint(torch.cat([read, places.mean(1)], 1))
        return self.h(read if self.head == "class token" else places.mean(1))


def wrapped(network: nn.Module, **options: int) -> rl.Classifier:
    return rl.wrap(network.eval(), ("NORMAL", "PNEUMONIA"), preprocess=PRE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [rl.GradCAM, rl.AblationCAM, rl.ReciproCAM])
def test_what_a_module_gives_beside_the_logits_is_not_their_layer(method: type[rl.Explainer]) -> None:
    both, plain = wrapped(Both(), pick=1), wrapped(Net())
    found, expected = (explain(clf, FILM, method(), target=1) for clf in (both, plain))
    assert found.details["layer"] == "module.f"
    np.testing.assert_allclose(found.map, expected.map, atol=1e-5 * np.abs(expected.map).max())


def test_replacing_what_nobody_reads_is_refused() -> None:
    both = wrapped(Both(), pick=1)
    assert explain(both, FILM, rl.GradCAM("module"), target=1).map.any()
    with pytest.raises(ExplainError, match="replacing it changes nothing"):
        explain(both, FILM, rl.ReciproCAM("module"), target=1)


@pytest.mark.parametrize("network", [Cropping, Turning])
def test_maps_of_a_part_of_the_image_are_not_stretched_over_it(network: type[nn.Module]) -> None:
    with pytest.raises(ExplainError, match="no layer is sure"):
        explain(wrapped(network()), FILM, rl.GradCAM(), target=1)


@pytest.mark.parametrize("weights", [False, True])
def test_attention_that_gives_its_weights_too(weights: bool) -> None:
    clf = wrapped(Attending(weights))
    assert find_layer(clf.network, PRE(FILM)[None]).name == "module.norms.1"


@pytest.mark.parametrize(
    ("head", "layer"),
    [("auxiliary", "blocks.1"), ("joined", "blocks.1"), ("class token", "blocks.2.norm1"), ("places", "norm")],
)
def test_a_layer_that_holds_half_of_the_logits_is_not_theirs(head: str, layer: str) -> None:
    found = find_layer(wrapped(TwoWays(head)).network, PRE(FILM)[None])
    assert (found.name, found.grid, found.start) == (f"module.{layer}", (4, 4), 1)


def test_quantised_networks_are_asked_about_one_film_at_a_time() -> None:
    """Dynamic quantisation takes its scale from the batch."""
    network = nn.Sequential(
        Net().f, nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(1024, 32), nn.ReLU(), nn.Linear(32, 2)
    )
    with pytest.warns(DeprecationWarning):
        small = torch.ao.quantization.quantize_dynamic(network.eval(), {nn.Linear}, torch.qint8)
    clf = wrapped(small)
    eager = Session(worth_tracing=1, incremental_below=10.0)
    found = explain(clf, FILM, rl.Occlusion(32, 32, fill=0.0), target=1, session=eager).details["drops"]
    x = PRE(FILM)[None]
    whole = float(clf.logits(x)[0, 1])
    for i in range(2):
        for j in range(2):
            hidden = x.clone()
            hidden[:, :, i * 32 : i * 32 + 32, j * 32 : j * 32 + 32] = -1
            assert found[i, j] == pytest.approx(whole - float(clf.logits(hidden)[0, 1]), abs=1e-6)
    with torch.no_grad():
        two = torch.cat([x, 2 * x])
        assert not torch.equal(small(two)[:1], small(x))  # as it is by itself


def test_sparse_buffers() -> None:
    class Sparse(Net):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("few", self.h.weight.detach().to_sparse())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sparse.mm(self.few, self.f(x).mean((2, 3)).T).T + self.h.bias  # type: ignore[arg-type]

    found, expected = (explain(wrapped(n), FILM, rl.GradCAM(), target=1).map for n in (Sparse(), Net()))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


class Beside(Net):
    """Its features are computed a second time for an answer that nobody asks for."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x), self.h(-self.f(x).mean((2, 3)))  # type: ignore[return-value]


@pytest.mark.parametrize("method", [rl.GradCAM(), rl.GradCAM("f"), rl.LayerCAM("f"), rl.HiResCAM("f.0")])
def test_a_layer_whose_last_call_is_for_another_answer_gives_no_blank_map(method: rl.Explainer) -> None:
    with pytest.raises(ExplainError, match=r"no layer is sure|the last of its 2 calls goes elsewhere"):
        explain(wrapped(Beside(), pick=0), FILM, method, target=1)
