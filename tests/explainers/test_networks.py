"""Anyone's network is explained right or refused by name: rows of docs/reference/networks.md, and hostile modules."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError, ExplainError, ModelError
from radiolucent.explainers import DeepLift, GradCAM, IntegratedGradients, Occlusion, Saliency, explain
from radiolucent.models.activations import activations
from radiolucent.passes.target_layer import find_layer

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import networks

NAMES = ["NORMAL", "PNEUMONIA"]
PRE = rl.Preprocess(16, "squash", 1, (0.4,), (0.25,))
FILM = rl.from_array(np.random.default_rng(0).random((16, 16)).astype(np.float32))


@pytest.mark.filterwarnings("ignore")  # other libraries'
@pytest.mark.parametrize("name", networks.SAMPLE)
def test_a_row_of_the_table(name: str) -> None:
    pytest.importorskip({"timm": "timm", "transformers": "transformers"}.get(name.split()[0], "torch"))
    found, layer = networks.cells(name)
    assert layer != "none sure"
    for cell, value in found.items():
        if isinstance(value, str):
            words = {"guided backprop": "is a rule for ReLUs", "legrad": "is meant for", "chefer": "is meant for"}
            assert cell in ("deeplift", "lrp", *words) and words.get(cell, "has no rule for") in value, (cell, value)
        else:
            assert value is None or value <= networks.TOLERANCE, (cell, value)


class Net(nn.Module):
    """Two convolutions around a function, then pooling and a dense layer."""

    def __init__(self, function: Callable[["Net", torch.Tensor], torch.Tensor] = lambda s, x: s.c1(x).relu()) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c1, self.c2, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1), nn.Linear(6, 2)
        self.act, self.prelu, self.up = nn.ReLU(), nn.PReLU(4), nn.ConvTranspose2d(4, 4, 2, 2)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.act(self.c2(self.function(self, x))).mean((2, 3)))


def standardised(s: Net, x: torch.Tensor) -> torch.Tensor:
    weight = F.batch_norm(s.c1.weight.reshape(1, 4, -1), None, None, training=True, momentum=0.0)
    return F.conv2d(x, weight.reshape_as(s.c1.weight), s.c1.bias).relu()


ADD_UP: dict[str, Callable[[Net, torch.Tensor], torch.Tensor]] = {
    "larger of two": lambda s, x: torch.maximum(s.c1(x), s.c1(x.flip(3))),
    "smaller of two": lambda s, x: torch.min(s.c1(x), s.c1(x.flip(3))),
    "larger than a constant": lambda s, x: torch.max(s.c1(x), torch.tensor(0.1)),
    "largest channel": lambda s, x: s.c1(x).relu() + s.c1(x).max(1, keepdim=True)[0],
    "constants": lambda s, x: s.c1((x - 0.4) / 0.2).add_(0.3).relu_(),
    "constant channel": lambda s, x: torch.cat([s.c1(x)[:, :3], torch.ones_like(x)], 1).relu(),
    "fill": lambda s, x: s.c1(F.pad(x, (1, 1, 1, 1), value=0.7)).relu(),
    "transposed convolution": lambda s, x: s.up(s.c1(x).relu()).relu(),
    "prelu": lambda s, x: s.prelu(s.c1(x)),
    "clamp": lambda s, x: s.c1(x).mul(20).clamp(0, 6),
    "pool with indices": lambda s, x: F.max_pool2d(s.c1(x).relu(), 2, return_indices=True)[0],
    "weight standardisation": standardised,
    "films by number": lambda s, x: s.c1(x).relu()[torch.arange(len(x))] * torch.ones(len(x), 1, 1, 1),
    "small numbers": lambda s, x: (s.c1(x) * 1e-9).relu() * 1e9,
}


@pytest.mark.parametrize("name", ADD_UP)
def test_what_adds_up_does_so(name: str) -> None:
    clf = rl.wrap(Net(ADD_UP[name]), NAMES, preprocess=PRE)
    for method in (DeepLift(), rl.LRP(epsilon=1e-14)):
        e = explain(clf, FILM, method, target=1)
        kept: Any = method.promise(e.details)
        assert kept.error < 1e-3 and "broken_promise" not in e.details, (name, method.name, e.details)


@pytest.mark.parametrize("name", ["weights", "gate"])
def test_products_of_two_things_that_depend_on_the_image_are_refused(name: str) -> None:
    def weights(s: Net, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.conv2d(s.c1(e), s.c1(e).mean().expand(4, 4, 1, 1)) for e in x.split(1)]).relu()

    def gate(s: Net, x: torch.Tensor) -> torch.Tensor:
        return s.c1(x) * s.c1(x).sigmoid()

    clf = rl.wrap(Net({"weights": weights, "gate": gate}[name]), NAMES, preprocess=PRE)
    for method in (DeepLift(), rl.LRP()):
        with pytest.raises(ExplainError, match="has no rule for"):
            explain(clf, FILM, method, target=1)


NO_SLOPE: dict[str, Callable[[Net, torch.Tensor], torch.Tensor]] = {
    "mask": lambda s, x: s.c1(x) * (s.c1(x) > 0),
    "mask of the image": lambda s, x: s.c1(x * (x > 0.5)),
    "filled": lambda s, x: (h := s.c1(x)).masked_fill(h < 0, 0.0),
    "detached": lambda s, x: s.c1(x).detach().relu() + s.c1(x),
}


@pytest.mark.parametrize("name", NO_SLOPE)
def test_what_the_image_decides_without_a_slope_has_no_rule(name: str) -> None:
    clf = rl.wrap(Net(NO_SLOPE[name]), NAMES, preprocess=PRE)
    with pytest.raises(ExplainError, match=r"DeepLift has no rule for"):
        explain(clf, FILM, DeepLift(), target=1)


def test_a_broken_promise_stands_on_the_map() -> None:
    clf = rl.wrap(Net(lambda s, x: (60 * s.c1(x)).sigmoid()), NAMES, preprocess=PRE)
    e = explain(clf, FILM, rl.IntegratedGradients(1, "midpoint"), target=1)  # one point of a crooked way
    assert "does not add up" in e.details["broken_promise"]
    assert "broken_promise" not in explain(rl.wrap(Net(), NAMES, preprocess=PRE), FILM, DeepLift(), target=1).details


def opaque(kind: str, network: nn.Module) -> nn.Module:
    x = torch.zeros(1, 1, 16, 16)
    if kind == "script":
        return torch.jit.trace(network, x)
    if kind == "frozen":
        return torch.jit.freeze(torch.jit.trace(network, x))
    if kind == "export":
        return torch.export.export(network, (x,)).module()
    if kind == "compile":
        return torch.compile(network, backend="eager")
    return torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)


WORDS = {
    "script": "torch.jit",
    "frozen": "torch.jit",
    "export": "exported",
    "compile": "compiled",
    "quantise": "quantised",
}


@pytest.mark.filterwarnings("ignore")  # torch says that it will drop some of these
@pytest.mark.parametrize("kind", WORDS)
def test_what_cannot_be_seen_into_is_perturbed_only(kind: str) -> None:
    plain = Net().eval()
    clf = rl.wrap(opaque(kind, plain), NAMES, preprocess=PRE)
    for method in (GradCAM(), Saliency(), DeepLift(), rl.LRP(), rl.AblationCAM(), rl.GuidedBackprop()):
        with pytest.raises(ExplainError, match=rf"{WORDS[kind]}.*LIME"):
            explain(clf, FILM, method, target=1)
    expected = explain(rl.wrap(plain, NAMES, preprocess=PRE), FILM, Occlusion(4, 4), target=1).map
    found = explain(clf, FILM, Occlusion(4, 4), target=1).map
    np.testing.assert_allclose(found, expected, atol=0.5 * np.abs(expected).max() if kind == "quantise" else 1e-5)
    assert clf.hash == clf.digest()
    with pytest.raises(ModelError, match=WORDS[kind]):
        activations(clf.network, torch.zeros(1, 1, 16, 16), ["module"])


def test_a_state_that_is_no_tensor() -> None:
    class Extra(Net):
        state: object = "a"

        def get_extra_state(self) -> object:
            return {"kept": [1, self.state]}

    module = Extra()
    before = rl.wrap(module, NAMES, preprocess=PRE).digest()
    explain(rl.wrap(module, NAMES, preprocess=PRE), FILM, IntegratedGradients(2), target=1)
    module.state = "b"
    assert rl.wrap(module, NAMES, preprocess=PRE).digest() != before


def test_a_layer_called_twice_is_replaced_at_its_last_call() -> None:
    clf = rl.wrap(networks.Tutorial(16), NAMES, preprocess=rl.Preprocess(16, "squash", 3))  # `view` too
    layer = find_layer(clf.network, torch.rand(1, 3, 16, 16))
    assert (layer.name, layer.calls) == ("module.pool", 2)
    assert networks.reciprocam(clf, FILM) < 1e-4 and networks.gradcam(clf, FILM) < 1e-4
    drops = explain(clf, FILM, rl.AblationCAM(), target=1).details["drops"]
    value = activations(clf.network, clf.preprocess(FILM)[None], ["module.pool"])["module.pool"]
    assert value.shape == (1, 16, 4, 4)
    module: Any = clf.network.module
    changed = value.clone()
    changed[:, 3] = 0
    with torch.no_grad():
        logits = [module.fc2(module.fc1(v.flatten(1)).relu())[0, 1] for v in (value, changed)]
    assert drops[3] == pytest.approx(float(logits[0] - logits[1]), abs=1e-5)


class Tokens(nn.Module):
    """A transformer's layout: class tokens before or after the places, or none; the head reads tokens or their mean."""

    def __init__(self, before: int, after: int, pooled: bool, size: tuple[int, int] = (16, 16)) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.before, self.after, self.pooled = nn.Conv2d(1, 24, 4, 4), before, after, pooled
        self.extra = nn.Parameter(torch.randn(1, before + after, 24))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(24, 3, 32, norm_first=True, batch_first=True) for _ in "12"
        )
        self.end, self.fc = nn.LayerNorm(24), nn.Linear(24, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.patches(x).flatten(2).transpose(1, 2)
        extra = self.extra.expand(len(x), -1, -1)
        tokens = torch.cat([extra[:, : self.before], places, extra[:, self.before :]], 1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.end(tokens)
        inside = tokens[:, self.before : tokens.shape[1] - self.after]
        return self.fc(inside.mean(1) if self.pooled else tokens[:, 0 if self.before else -1])


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("layout", [(1, 0, False), (5, 0, False), (0, 1, False), (0, 0, True), (1, 4, True)])
@pytest.mark.parametrize("size", [(16, 16), (16, 32), (24, 16)])
def test_tokens_are_laid_out_by_what_moves(layout: tuple[int, int, bool], size: tuple[int, int]) -> None:
    network = Tokens(*layout).eval()
    wrapper = rl.wrap(network, NAMES, preprocess=rl.Preprocess(size[0], "squash", 1, (0.4,), (0.25,), width=size[1]))
    layer = find_layer(network, torch.rand(1, 1, *size))
    assert layer.kind == "tokens" and layer.grid == (size[0] // 4, size[1] // 4) and layer.start == layout[0]
    assert layer.name == ("end" if layout[2] else "blocks.1.norm1")
    assert find_layer(wrapper.network, torch.rand(1, 1, *size)).name == f"module.{layer.name}"
    e = explain(wrapper, FILM, GradCAM(), target=1)
    assert e.map.shape == size and e.geometry.model_shape == size and np.ptp(e.map) > 0
    for name in (layer.name, f"module.{layer.name}"):
        np.testing.assert_array_equal(explain(wrapper, FILM, GradCAM(name), target=1).map, e.map)


def test_logits_are_no_places() -> None:
    for draw in range(4):
        torch.manual_seed(draw)
        network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.Flatten()).eval()
        assert find_layer(network, torch.rand(1, 1, 16, 16)).name == "0"


def test_where_no_layer_is_sure_candidates_are_listed() -> None:
    class Scrambled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.mix, self.fc = nn.Conv2d(1, 4, 4, 4), nn.Linear(16, 16), nn.Linear(64, 2)
            self.order = torch.randperm(16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = self.mix(x.unfold(2, 4, 4).unfold(3, 4, 4).flatten(1, 3).flatten(2)[:, self.order])
            return self.fc(maps.flatten(1)[:, :64])

    clf = rl.wrap(Scrambled(), NAMES, preprocess=PRE)
    with pytest.raises(ExplainError, match="candidates, the deepest last: none"):
        explain(clf, FILM, GradCAM(), target=1)
    with pytest.raises(ExplainError, match="Say with reshape="):
        explain(clf, FILM, GradCAM("mix"), target=1)
    back = torch.argsort(clf.network.module.order)  # type: ignore[union-attr]
    mine = GradCAM("mix", reshape=lambda v: v[:, back].unflatten(1, (4, 4)).permute(0, 3, 1, 2))
    e = explain(clf, FILM, mine, target=1)
    assert e.details["feature_map"].shape == (4, 4) and "lambda" in e.parameters["reshape"]
    with pytest.raises(ConfigError, match="empty list"):
        explain(clf, FILM, GradCAM(()), target=1)


class Between(nn.Module):
    """Features of a picture that a function has changed, and the largest of each read out."""

    def __init__(self, function: Callable[[Callable[..., torch.Tensor], torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())
        self.fc, self.function = nn.Linear(32, 2), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.function(self.features, x).amax((2, 3)))


MOVED: dict[str, Callable[[Callable[..., torch.Tensor], torch.Tensor], torch.Tensor]] = {
    "mirrored": lambda f, x: f(x.flip(3)),
    "transposed": lambda f, x: f(x.transpose(2, 3)),
    "turned": lambda f, x: f(x.rot90(1, (2, 3))),
    "cut at one corner": lambda f, x: f(x[:, :, 16:, 16:]),
    "cut all around": lambda f, x: f(x[:, :, 16:48, 16:48]),
    "padded": lambda f, x: f(F.pad(x, (16, 0, 16, 0))),
}


@pytest.mark.parametrize("name", MOVED)
def test_maps_that_lie_elsewhere_in_the_image_are_refused(name: str) -> None:
    clf = rl.wrap(Between(MOVED[name]), NAMES, preprocess=rl.Preprocess(64, "squash", 3, (0.5,) * 3, (0.5,) * 3))
    for _ in "12":
        with pytest.raises(ExplainError, match="no layer is sure to hold the image's places"):
            explain(clf, FILM, GradCAM(), target=1)


def test_probabilities_are_noticed_and_peeled() -> None:
    for last, words in ((nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid")):
        with pytest.raises(ModelError, match=words):
            rl.wrap(nn.Sequential(Net(), last), NAMES, preprocess=PRE)
    plain, peeled = (
        rl.wrap(Net(), NAMES, preprocess=PRE),
        rl.wrap(nn.Sequential(Net(), nn.Softmax(1)), NAMES, preprocess=PRE, output="probabilities"),
    )
    for method in (GradCAM(), DeepLift(), rl.LRP(), Occlusion(4, 4)):
        np.testing.assert_allclose(
            explain(peeled, FILM, method, target=1).map, explain(plain, FILM, method, target=1).map
        )


def test_what_is_written_into_probabilities_counts() -> None:
    class Weighed(Net):
        def __init__(self, in_place: bool) -> None:
            super().__init__()
            self.in_place = in_place

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found, weights = super().forward(x).softmax(1), torch.tensor([0.2, 0.8])
            found = found.mul_(weights) if self.in_place else found * weights
            total = found.sum(1, keepdim=True)
            return found.div_(total) if self.in_place else found / total

    wanted, found = (
        rl.wrap(Weighed(in_place), NAMES, preprocess=PRE, output="probabilities") for in_place in (False, True)
    )
    np.testing.assert_allclose(
        found.logits(found.preprocess(FILM)[None]), wanted.logits(wanted.preprocess(FILM)[None]), atol=1e-5
    )


def test_caches_and_hooks_of_others() -> None:
    class Caching(Net):
        kept: torch.Tensor | None = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.kept is None:
                self.kept = torch.ones(1, 1, *x.shape[2:], device=x.device)
            return super().forward(x * self.kept)

    expected = explain(rl.wrap(Net(), NAMES, preprocess=PRE), FILM, Saliency(), target=1).map
    with torch.inference_mode():
        made = rl.wrap(Caching(), NAMES, preprocess=PRE)
    np.testing.assert_allclose(explain(made, FILM, Saliency(), target=1).map, expected, atol=1e-7)

    class Keyed(Net):
        def __init__(self) -> None:
            super().__init__()
            self.tables: dict[int, torch.Tensor] = {}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) not in self.tables:
                self.tables[len(x)] = torch.ones(len(x), 1, 1, 1)
            return super().forward(x * self.tables[len(x)])

    keyed, plain = (rl.wrap(network, NAMES, preprocess=PRE) for network in (Keyed(), Net()))
    for method in (rl.ReciproCAM(), Occlusion(4, 2), Saliency()):
        found, wanted = (explain(clf, FILM, method, target=1).map for clf in (keyed, plain))
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    assert all(type(v) is torch.Tensor for v in keyed.network.module.tables.values())  # type: ignore[union-attr]
    hooked = Net()
    seen: list[int] = []
    hooked.c1.register_full_backward_hook(lambda *_: seen.append(1))
    np.testing.assert_allclose(
        explain(rl.wrap(hooked, NAMES, preprocess=PRE), FILM, Saliency(), target=1).map, expected, atol=1e-7
    )
    assert not seen and len(hooked.c1._backward_hooks) == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_types(dtype: torch.dtype) -> None:
    class Normed(Net):
        def __init__(self) -> None:
            super().__init__(lambda s, x: s.norm(s.c1(x).transpose(2, 3)).transpose(2, 3).relu())
            self.norm = nn.BatchNorm2d(4)
            nn.init.uniform_(self.norm.running_var, 0.5, 2)

    expected = explain(rl.wrap(Normed(), NAMES, preprocess=PRE), FILM, Saliency(), target=1).map
    found = explain(rl.wrap(Normed().to(dtype), NAMES, preprocess=PRE), FILM, Saliency(), target=1).map
    if dtype == torch.float64:
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95
