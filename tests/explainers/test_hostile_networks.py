"""Networks that hide what they do, change while they are looked at, or answer by chance: right, or refused by name."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import radiolucent as rl
from radiolucent.errors import ExplainError, ModelError
from radiolucent.explainers import explain
from radiolucent.models.activations import activations
from radiolucent.models.export import export
from radiolucent.models.reads_values import reads_values
from radiolucent.passes import target_layer
from radiolucent.passes.session import Session
from support.explainer_cases import noise_films, small

NAMES = ("NORMAL", "PNEUMONIA")
PRE = rl.Preprocess(64, "squash", 3, (0.5,) * 3, (0.5,) * 3)
FILM = rl.from_array(np.random.default_rng(1).random((64, 64)).astype(np.float32))
EAGER: dict[str, Any] = {"films": 600, "worth_converting": 1, "worth_tracing": 1, "incremental_below": 10.0}
"""Every shortcut is taken, however small the job."""

FACTOR = 1.0


class Net(nn.Module):
    """Two convolutions, the mean of the maps and a dense layer."""

    def __init__(self, act: Callable[[torch.Tensor], torch.Tensor] = F.relu) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c1, self.c2, self.fc = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), nn.Linear(8, 2)
        self.norm, self.last = nn.BatchNorm2d(8), nn.ReLU()
        self.act, self.factor, self.kept = [act], 1.0, {"factor": 1.0}

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.c2(self.act[0](self.c1(x))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x).mean((2, 3))) * self.factor * self.kept["factor"] * FACTOR


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0] * (ctx.saved_tensors[0] > 0)


def filled(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    x[x < 0] = 0
    return x


GUIDED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "threshold": lambda x: F.threshold(x, 0, 0),
    "leaky": lambda x: F.leaky_relu(x, 0.0),
    "vmap": torch.vmap(torch.relu),
    "clamp": lambda x: x.clamp(min=torch.tensor(0.0)),
    "checkpoint": lambda x: checkpoint(torch.relu, x, use_reentrant=False),
    "clipped": lambda x: F.hardtanh(x, 0, 1e9),
    "a number's product": lambda x: torch.ops.aten.mul.Scalar(x, 1.0).relu(),  # as attention scales its queries
}
OTHERWISE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "maximum": lambda x: torch.maximum(x, torch.tensor(0.0)),
    "where": lambda x: torch.where(x > 0, x, torch.tensor(0.0)),
    "mask": lambda x: x * (x > 0),
    "fill": lambda x: x.masked_fill(x < 0, 0.0),
    "index": filled,
    "half": lambda x: (x + x.abs()) / 2,
    "beside": lambda x: torch.stack([x, 0 * x], -1).max(-1)[0],
    "together": lambda x: torch._foreach_clamp_min([x], 0.0)[0],
    "own backward": Own.apply,
}


def wrapped(network: nn.Module) -> rl.Classifier:
    return rl.wrap(network.eval(), NAMES, preprocess=PRE)


@pytest.mark.parametrize("name", GUIDED)
def test_relus_by_any_call_are_guided(name: str) -> None:
    expected, found = (
        explain(wrapped(net), FILM, rl.GuidedBackprop(), target=1).map for net in (Net(), Net(GUIDED[name]))
    )
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_what_is_computed_again_on_the_way_back_has_no_rules() -> None:
    clf = wrapped(Net(GUIDED["checkpoint"]))
    for method in (rl.DeepLift(), rl.LRP()):
        with pytest.raises(ExplainError, match=r"checkpoint.*Use IntegratedGradients"):
            explain(clf, FILM, method, target=1)


@pytest.mark.parametrize("name", OTHERWISE)
def test_relus_written_otherwise_are_refused(name: str) -> None:
    with pytest.raises(ExplainError, match=r"written otherwise.*SmoothGrad"):
        explain(wrapped(Net(OTHERWISE[name])), FILM, rl.GuidedBackprop(), target=1)


def test_clamps_that_are_no_relu_keep_their_derivative() -> None:
    clf = wrapped(Net(F.hardtanh))
    with torch.no_grad():
        clf.network.module.c2.weight.abs_()  # type: ignore[union-attr]
        clf.network.module.c2.bias.fill_(5)  # type: ignore[union-attr]  # the last ReLU passes everything
        clf.network.module.fc.weight.abs_()  # type: ignore[union-attr]
    guided, plain = (explain(clf, FILM, m, target=1).map for m in (rl.GuidedBackprop(), rl.Saliency()))
    np.testing.assert_allclose(guided, plain, atol=1e-6 * np.abs(plain).max())


HIDDEN = {"vmap": torch.vmap(torch.tanh), "own backward": Own.apply}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_rule_for_every_function_needs_to_see_them(name: str) -> None:
    for method in (rl.DeepLift(), rl.LRP(), rl.LRP(layer="c1")):
        with pytest.raises(ExplainError, match=r"a step of this network \(.*Backward.*cannot be seen"):
            explain(wrapped(Net(HIDDEN[name])), FILM, method, target=1)


@pytest.mark.filterwarnings("ignore")  # torch's, about its compiler
def test_functions_that_are_compiled_run_as_written() -> None:
    compiled = torch.compile(F.relu, backend="eager")
    for method in (rl.GuidedBackprop(), rl.LRP()):
        found, expected = (explain(wrapped(net), FILM, method, target=1).map for net in (Net(compiled), Net()))
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_gradients_that_torch_refuses_are_refused_by_name() -> None:
    reentrant = Net(lambda x: checkpoint(torch.relu, x, use_reentrant=True))
    for method in (rl.Saliency(), rl.SmoothGrad(2), rl.GradCAM("c1")):
        with pytest.raises(ExplainError, match=r"no gradient comes back.*LIME"):
            explain(wrapped(reentrant), FILM, method, target=1)


CHANGES: dict[str, Callable[[Net], Any]] = {
    "attribute": lambda n: setattr(n, "factor", -1.0),
    "mapping": lambda n: n.kept.update(factor=-1.0),
    "hook": lambda n: n.register_forward_hook(lambda _, __, out: -out),
    "global": lambda n: globals().update(FACTOR=-1.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_kept_of_a_network_goes_when_it_changes(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "FACTOR", 1.0)
    network = Net()
    clf = wrapped(network)
    methods = (rl.LIME(num_samples=64), rl.Occlusion(16, 16), rl.AblationCAM(), rl.ReciproCAM())
    before = [explain(clf, FILM, m, target=1, session=Session(**EAGER)).map for m in methods]
    CHANGES[change](network)
    for method, old in zip(methods, before, strict=True):
        found = explain(clf, FILM, method, target=1, session=Session(**EAGER)).map
        expected = explain(clf, FILM, method, target=1, session=Session(fast=False)).map
        size = np.abs(expected).max()
        assert np.abs(found - expected).max() < 1e-3 * size < np.abs(found - old).max(), method.name


def test_a_target_layer_and_its_refusal_are_kept_only_while_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    class Turning(Net):
        turned = False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.flip(3) if self.turned else x)

    looked: list[int] = []
    real = target_layer.probed
    monkeypatch.setattr(target_layer, "probed", lambda *given: looked.append(1) or real(*given))
    network = Turning()
    clf = wrapped(network)
    for turned in (False, False, True, True, False):
        network.turned = turned
        if turned:
            with pytest.raises(ExplainError, match="no layer is sure"):
                explain(clf, FILM, rl.GradCAM(), target=1)
        else:
            assert np.ptp(explain(clf, FILM, rl.GradCAM(), target=1).map) > 0
    assert len(looked) <= 4  # once for each way, twice where nothing was found


def test_a_network_that_counts_its_calls_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(Net):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x)

    looked: list[int] = []
    real = target_layer.probed
    monkeypatch.setattr(target_layer, "probed", lambda *given: looked.append(1) or real(*given))
    clf = wrapped(Counting())
    for _ in "123":
        explain(clf, FILM, rl.GradCAM(), target=1)
    assert len(looked) == 1


class Eager(Net):
    def train(self, mode: bool = True) -> "Eager":
        super().train(mode)
        self.norm.train()
        return self

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(super().features(x)).relu()


class Moving(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(()))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        found = super().features(x)
        self.level: torch.Tensor = 0.5 * self.level + found.mean().detach()
        return found - self.level


def with_features(change: Callable[[Net, torch.Tensor], torch.Tensor]) -> Net:
    class Changed(Net):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return change(self, super().features(x))

    return Changed()


def batch_norm(s: Net, x: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(x, s.norm.running_mean, s.norm.running_var, training=True).relu()


COMPANY = {
    "statistics of the batch": lambda: with_features(batch_norm),
    "a train() of its own": Eager,
    "mean film": lambda: with_features(lambda s, x: x - x.mean(0)),
}
CHANCE = {
    "dropout": lambda: with_features(lambda s, x: F.dropout(x, 0.3, True)),
    "noise": lambda: with_features(lambda s, x: x + 0.1 * torch.randn_like(x)),
    "numpy": lambda: with_features(lambda s, x: x * float(np.random.random())),  # noqa: NPY002
    "memory": Moving,
}


@pytest.mark.parametrize("name", [*COMPANY, *CHANCE])
def test_answers_by_company_or_chance_are_refused(name: str) -> None:
    words = "company of others" if name in COMPANY else "the second time"
    network = {**COMPANY, **CHANCE}[name]().eval()
    state = {k: v.clone() for k, v in network.state_dict().items()}
    drawn, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with pytest.raises(ModelError, match=words):
        rl.wrap(network, NAMES, preprocess=PRE)
    clf = rl.Classifier(network, NAMES, PRE)
    with pytest.raises(ExplainError, match=words):
        explain(clf, FILM, rl.Occlusion(32, 32), target=1)
    with pytest.raises(ModelError, match=words):
        rl.predict(clf, [])
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert torch.equal(drawn, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002


class Merging(nn.Linear):
    """A LoRA layer: in eval mode its update lies in the weights."""

    def __init__(self) -> None:
        super().__init__(8, 2)
        self.a, self.b, self.merged = nn.Parameter(torch.randn(1, 8)), nn.Parameter(torch.randn(2, 1)), False

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if self.merged == mode:
            self.weight.data += (-1 if mode else 1) * self.b @ self.a
            self.merged = not mode
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + (0 if self.merged else x @ self.a.T @ self.b.T)


def test_modes_are_put_back_with_what_depends_on_them() -> None:
    network = Net()
    network.fc = Merging()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    clf = rl.wrap(network, NAMES, preprocess=PRE)
    explain(clf, FILM, rl.GradCAM(), target=1)
    assert network.training and not network.fc.merged
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())

    class Training(Net):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm.train()(super().features(x))

    training = Training().eval()
    with pytest.raises(ModelError, match="company of others"):
        rl.wrap(training, NAMES, preprocess=PRE)
    assert not training.norm.training


def test_a_network_that_takes_one_film_at_a_time() -> None:
    class Lone(Net):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return super().features(x).view(1, 8, 16, 16)

    lone, plain = wrapped(Lone()), wrapped(Net())
    films = [FILM, rl.from_array(1 - FILM.pixels)]
    for method in (rl.DeepLift(), rl.LRP(), rl.Occlusion(32, 32)):
        for found, expected in zip(*(explain(c, films, method, target=1) for c in (lone, plain)), strict=True):
            np.testing.assert_allclose(found.map, expected.map, atol=1e-5 * np.abs(expected.map).max())
    for method in (rl.GradCAM(), rl.AblationCAM("c2")):
        with pytest.raises(ExplainError, match=r"one film at a time.*flatten"):
            explain(lone, films, method, target=1)


def test_a_buffer_that_says_nothing_may_move_and_is_put_back() -> None:
    class Counting(Net):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros((), dtype=torch.long))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count += 1
            return super().forward(x)

    network = Counting()
    clf = wrapped(network)
    assert int(network.count) == 0
    found, expected = (explain(c, FILM, rl.Saliency(), target=1).map for c in (clf, wrapped(Net())))
    np.testing.assert_array_equal(found, expected)
    assert int(network.count) == 0


def test_activations_leave_their_input_as_it_was() -> None:
    class Writing(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.mul_(0.5))

    given = torch.rand(2, 3, 64, 64)
    before = given.clone()
    for _ in "12":
        found = activations(Writing().eval(), given, ["c1"])["c1"]
        torch.testing.assert_close(found, Net().c1(before * 0.5))
    assert torch.equal(given, before)


def test_an_engine_that_gives_another_number_of_answers_gives_way_to_torch() -> None:
    class Looping(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([super(Looping, self).forward(each[None]) for each in x])

    pytest.importorskip("openvino")
    clf = wrapped(Looping())
    found, expected = (
        explain(clf, FILM, rl.RISE(64), target=1, session=s).map for s in (Session(**EAGER), Session(fast=False))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_the_same_numbers_can_have_other_slopes() -> None:
    class Twice(Net):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return super().features(x).relu()  # changes no number, and stops gradients where there is nothing

    network = Twice().eval()
    found = explain(wrapped(network), FILM, rl.GradCAM("last"), target=1).details["feature_map"]
    kept = network.last(network.c2(network.c1(PRE(FILM)[None]).relu()))
    slopes = torch.autograd.grad(network.fc(kept.relu().mean((2, 3)))[0, 1], kept, retain_graph=True)[0]
    expected = (slopes.mean((2, 3), keepdim=True) * kept).sum(1)[0].detach().numpy()
    assert bool((kept == 0).any())
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_answers_that_a_network_has_kept_are_told() -> None:
    class Keeping(Net):
        def __init__(self) -> None:
            super().__init__()
            self.answers: dict[float, torch.Tensor] = {}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            key = float(x.detach().sum())
            if key not in self.answers:
                self.answers[key] = super().forward(x)
            return self.answers[key]

    clf = wrapped(Keeping())
    first = clf.logits(PRE(FILM)[None])
    first.add_(1)  # which is not the network's own
    torch.testing.assert_close(clf.logits(PRE(FILM)[None]), first - 1)
    with pytest.raises(ExplainError, match=r"compute each answer anew|no gradient|cannot be differentiated"):
        explain(clf, FILM, rl.Saliency(), target=1)


def test_gradients_taken_on_the_way_are_not_to_be_changed() -> None:
    class Inside(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                leaf = x.detach().clone().requires_grad_()
                slope = torch.autograd.grad(self.features(leaf).sum(), leaf)[0]
            return super().forward(x + slope)

    for method in (rl.DeepLift(), rl.LRP(), rl.GuidedBackprop()):
        with pytest.raises(ExplainError, match="takes gradients itself"):
            explain(wrapped(Inside()), FILM, method, target=1)


def test_tensors_of_a_class_of_their_own() -> None:
    class Marked(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            class Mark(torch.Tensor):
                pass

            return super().forward(x.as_subclass(Mark))

    found, expected = (explain(wrapped(net), FILM, rl.Saliency(), target=1).map for net in (Marked(), Net()))
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_memory_read_by_its_own_strides_is_that_of_contiguous_images() -> None:
    class Patches(Net):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return super().features(x.as_strided(x.shape, (3 * 64 * 64, 64 * 64, 64, 1)) * 1.0)

    found, expected = (rl.wrap(net.eval(), NAMES, preprocess=PRE) for net in (Patches(), Net()))
    inputs = PRE(FILM)[None]
    inputs[:, 1:] *= torch.tensor([0.5, 0.1]).view(1, 2, 1, 1)  # or all channels are alike
    assert torch.allclose(found.logits(inputs), expected.logits(inputs), atol=1e-6)


class Choosing(Net):
    """Bright images go another way: of one film, some altered copies do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([super(Choosing, self).forward(a if a.mean() > -0.15 else a.flip(3) * 3) for a in x.split(1)])


def test_ways_that_python_chooses_by_an_image_are_not_frozen(tmp_path: Path) -> None:
    clf = wrapped(Choosing())
    frozen, plain = (
        explain(clf, FILM, rl.RISE(200), target=1, session=s) for s in (Session(**EAGER), Session(fast=False))
    )
    assert frozen.details["engine"] == "torch"
    np.testing.assert_allclose(frozen.map, plain.map, atol=1e-4 * np.abs(plain.map).max())
    for name in ("m.onnx", "m.xml"):
        with pytest.raises(ModelError, match="Python looks at what this network computes"):
            export(clf, tmp_path / name)


READING: dict[str, Callable[[Net, torch.Tensor], Any]] = {
    "if": lambda s, x: x if x.mean() > 0 else -x,
    "item": lambda s, x: x * float(x.amax()),
    "slice": lambda s, x: x.roll(int(x[0, 0, 0].argmax()), 3),
    "tolist": lambda s, x: torch.stack([x[0], x[0]])[x.mean((1, 2, 3)).gt(0).long().tolist()],
    "written": lambda s, x: (z := torch.zeros_like(x), z.__setitem__(..., x), x * z.max().item())[-1],
    "numpy": lambda s, x: torch.from_numpy(x.detach().numpy() * 2),
    "picked": lambda s, x: x if len(x[x > 0.5]) > 9 else -x,
    "where of one": lambda s, x: x if len(torch.where(x > 0.5)[0]) > 9 else -x,
    "nonzero": lambda s, x: x if (x > 0.5).nonzero().numel() > 9 else -x,
}
FOLLOWED: dict[str, Callable[[Net, torch.Tensor], Any]] = {
    "where": lambda s, x: torch.where(x > 0, x, -x),
    "shape": lambda s, x: x if x.shape[2] == x.shape[3] else -x,
    "weight": lambda s, x: x * float(s.c1.weight[0, 0, 0, 0]),
    "own tensor": lambda s, x: x * float(torch.ones(3).sum()),
    "mask": lambda s, x: x.masked_fill(x < 0, 0),
    "written by a mask": lambda s, x: filled(x),
    "weights picked": lambda s, x: x + s.fc.weight[s.fc.weight > 0].mean(),
}


@pytest.mark.parametrize("name", [*READING, *FOLLOWED])
def test_values_that_python_reads_are_noticed(name: str) -> None:
    class Reading(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward({**READING, **FOLLOWED}[name](self, x))

    assert reads_values(Reading().eval(), torch.rand(1, 3, 64, 64)) == (name in READING)


FLAT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "input": lambda x: (x * 127).round() / 127,
    "floor": lambda x: (x * 255).floor(),
    "sign": torch.sign,
}


@pytest.mark.parametrize("name", FLAT)
def test_steps_without_a_slope_give_no_blank_map(name: str) -> None:
    class Rounding(Net):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return super().features(FLAT[name](x))

    clf = wrapped(Rounding())
    for method in (rl.Saliency(), rl.InputTimesGradient(), rl.SmoothGrad(samples=4), rl.IntegratedGradients()):
        with pytest.raises(ExplainError, match=r"rounds or compares on its way \((Round|Floor|Sign)Backward.*LIME"):
            explain(clf, FILM, method, target=1)
    assert explain(clf, FILM, rl.GradCAM(), target=1).map.any()  # behind that step
    plain = wrapped(Net())
    with torch.no_grad():  # of an answer that is always the same, the map is blank all the same
        plain.network.module.fc.weight.zero_()
    assert not explain(plain, FILM, rl.Saliency(), target=1).map.any()


def test_a_reference_without_an_answer_is_refused() -> None:
    class Standardising(Net):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return super().features((x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True))

    clf = wrapped(Standardising())
    for method in (rl.IntegratedGradients(steps=4), rl.GradientSHAP(samples=4)):
        with pytest.raises(ExplainError, match=r"answer to the reference image is not finite.*blur"):
            explain(clf, FILM, method, target=1)
    assert "broken_promise" not in explain(clf, FILM, rl.IntegratedGradients(baseline="blur"), target=1).details
    assert "reference_score" not in explain(clf, FILM, rl.InputTimesGradient(), target=1).details


def test_several_references_count_with_their_mean_score() -> None:
    network = Net()
    with torch.no_grad():
        network.fc.weight.mul_(60)  # far from a straight line
    found = explain(wrapped(network), FILM, rl.GradientSHAP(samples=800), target=1, score="probability")
    ends = [
        explain(wrapped(network), FILM, rl.IntegratedGradients(steps=2, baseline=b), target=1, score="probability")
        for b in rl.GradientSHAP().references
    ]
    expected = np.mean([e.details["reference_score"] for e in ends])
    assert found.details["reference_score"] == pytest.approx(expected, rel=1e-4)
    assert "broken_promise" not in found.details


def test_attnlrp_in_float16() -> None:
    clf = small("attnlrp")
    low = clf.with_(network=copy.deepcopy(clf.network).half())
    found, expected = (explain(c, noise_films(1)[0], rl.AttnLRP(), target=1).map for c in (low, clf))
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
