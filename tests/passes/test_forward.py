"""One forward pass a batch, whatever is asked of it; contrasts; many targets; what is put back."""

import dataclasses
import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import CAM, LIME, GradCAM, GuidedGradCAM, InputTimesGradient, explain
from radiolucent.explainers.base import Explainer
from radiolucent.models import build, predict
from radiolucent.models.preserve_state import untouched
from radiolucent.passes.forward import Pass
from radiolucent.study import make_case
from radiolucent.types import Radiograph
from support.explainer_cases import wrap


@dataclasses.dataclass(frozen=True)
class Named:
    """What prediction needs of a film whose pixels are given."""

    image_id: str
    path: None = None
    patient_id: None = None
    label: None = None


@pytest.fixture(scope="module")
def films() -> list[Radiograph]:
    rng = np.random.default_rng(0)
    return [rl.from_array(rng.random((70, 80)).astype(np.float32), image_id=str(i)) for i in range(3)]


@pytest.fixture
def counted():
    """A classifier, and the batch sizes of the forward passes its network has made."""
    clf = build("small_cnn", size=64, hidden=0, seed=1)[0]
    once = [GradCAM(), LIME(num_samples=10, engine="torch")]  # finding the layer, and what an image takes of memory
    sizes: list[int] = []
    clf.network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    explain(clf, rl.from_array(np.zeros((64, 64), np.float32)), once)
    sizes.clear()
    return clf, sizes


def test_methods_and_targets_share_one_forward(counted, films) -> None:
    clf, sizes = counted
    explain(clf, films, GradCAM())
    assert sizes == [3]
    sizes.clear()
    many = explain(clf, films, [GradCAM(), CAM(), GradCAM(layer="blocks.2")], target=["NORMAL", "PNEUMONIA"])
    assert sizes == [3]
    assert [[(e.method, e.target) for e in each] for each in many] == [
        [("gradcam", 0), ("gradcam", 1), ("cam", 0), ("cam", 1), ("gradcam", 0), ("gradcam", 1)]
    ] * 3
    for film, each in zip(films, many, strict=True):
        for e, method, target in (
            (each[1], GradCAM(), 1),
            (each[2], CAM(), 0),
            (each[5], GradCAM(layer="blocks.2"), 1),
        ):
            alone = explain(clf, film, method, target=target)
            np.testing.assert_allclose(alone.map, e.map, rtol=1e-4, atol=1e-6 * np.abs(e.map).max())
            assert alone.score == pytest.approx(e.score, abs=1e-5)


def test_perturbation_and_layer_methods_together(counted, films) -> None:
    clf, sizes = counted
    lime = LIME(num_samples=32, segmentation="slic", engine="torch")
    together = explain(clf, films[:2], [GradCAM(), lime], target=1, seed=3)
    assert sizes == [2, 32, 32]  # one for the batch, then LIME's variants of each film
    for film, each in zip(films, together, strict=False):
        np.testing.assert_allclose(explain(clf, film, lime, target=1, seed=3).map, each[1].map, atol=1e-5)
    single = explain(clf, films[0], [GradCAM(), lime], target=1, seed=3)
    assert [e.method for e in single] == ["gradcam", "lime"]


def test_a_reference_of_one_level_is_asked_once_for_a_networks_weights(counted, films) -> None:
    clf, sizes = counted
    first = explain(clf, films, InputTimesGradient("black"))
    again = explain(clf, films, InputTimesGradient("black"))
    assert sizes == [3, 1, 3]
    assert again[0].details == first[0].details
    explain(clf, films, InputTimesGradient("white"))
    with torch.no_grad():
        next(clf.network.parameters()).mul_(1.5)
    changed = explain(clf, films, InputTimesGradient("black"))
    assert sizes == [3, 1, 3, 3, 1, 3, 1]
    assert changed[0].details["reference_score"] != first[0].details["reference_score"]


def test_guided_gradcam_is_one_pass_beside_the_answer(counted, films) -> None:
    clf, sizes = counted
    explain(clf, films, GuidedGradCAM())
    assert sizes == [3, 3]


def test_a_contrast_is_the_difference_of_two_classes(films) -> None:
    clf = build("small_cnn", size=64, hidden=0, class_names=("A", "B", "C"), seed=1)[0]
    one, other, apart = (
        explain(clf, films[0], GradCAM(), target=t, contrast=c) for t, c in (("C", None), ("A", None), ("C", "A"))
    )
    np.testing.assert_allclose(apart.map, one.map - other.map, atol=1e-6 * np.abs(one.map).max())
    assert apart.score == pytest.approx(one.score - other.score, abs=1e-5)
    assert (apart.score_kind, apart.contrast, apart.target_name) == ("contrast", "A", "C")
    lime = explain(clf, films[0], LIME(64, segmentation="slic"), target="C", contrast="A")
    assert lime.details["labels"][0] == 2 and 0 not in lime.details["labels"]
    single = build("small_cnn", head="sigmoid", size=64)[0]
    odds = explain(single, films[0], target="PNEUMONIA", contrast="NORMAL")
    assert odds.score == pytest.approx(explain(single, films[0], target="PNEUMONIA").score)
    for bad in (
        {"contrast": "A"},
        {"target": "A", "contrast": "A"},
        {"target": "A", "contrast": "B", "score": "margin"},
        {"target": "A", "score": "contrast"},
        {"target": []},
        {"method": []},
    ):
        with pytest.raises(ConfigError):
            explain(clf, films[0], **bad)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("positive", [0, 1])
def test_the_called_class_is_that_of_the_threshold(films, head: str, positive: int) -> None:
    clf = build("small_cnn", size=64, seed=1, head=head, positive=positive)[0]
    logits = clf.logits(torch.stack([clf.preprocess(f) for f in films]))
    chances = clf.probabilities(logits)[:, positive].sort().values
    apart = clf.with_(threshold=float(chances[0] + chances[1]) / 2)  # one film below, two at or above
    expected = [
        positive if float(c) >= apart.threshold else 1 - positive for c in clf.probabilities(logits)[:, positive]
    ]
    assert sorted(expected) == sorted([1 - positive, positive, positive])
    assert expected != clf.probabilities(logits).argmax(1).tolist()
    assert [e.target for e in explain(apart, films)] == expected == apart.called(logits).tolist()
    assert [make_case(apart, f, logits[i : i + 1]).called for i, f in enumerate(films)] == [
        apart.class_names[c] for c in expected
    ]
    records = [Named(f.image_id) for f in films]
    pixels = np.stack([apart.preprocess.quantise(f) for f in films])
    assert predict(apart, records, pixels=pixels).called.tolist() == [c == positive for c in expected]
    edge = clf.with_(threshold=float(chances[1]))  # at the threshold is called
    assert edge.called(logits).tolist().count(positive) == 2
    many = build("small_cnn", size=64, class_names=("A", "B", "C"), seed=1)[0].with_(threshold=0.99)
    scores = many.logits(torch.stack([many.preprocess(f) for f in films]))
    assert many.called(scores).dtype == torch.int64 and many.called(scores).tolist() == scores.argmax(1).tolist()


def test_all_random_state_is_put_back() -> None:
    network = torch.nn.Linear(1, 1)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    with pytest.raises(RuntimeError, match="broken"), untouched(network):
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        raise RuntimeError("broken")
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), before[2])


def test_a_third_party_method_shares_the_pass_without_registering(counted, films) -> None:
    @dataclasses.dataclass(frozen=True)
    class Mean(Explainer):
        def attribute(self, classifier, inputs, goal, generator):
            features = goal.over(classifier, inputs).cut().features.mean((1, 2, 3))
            return features[:, None, None].expand(-1, *inputs.shape[2:])

    clf, sizes = counted
    explain(clf, films, [GradCAM(), Mean()], target=1)
    assert sizes == [3]


class Inner(nn.Module):
    """A dense head of two layers behind a trunk that is run in some mode of its own, or whose features are detached."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc1, self.fc2, self.mode = nn.Conv2d(1, 4, 9, 8), nn.Linear(256, 8), nn.Linear(8, 2), mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.set_grad_enabled(True) if self.mode == "enabled" else nullcontext():
            x = self.conv(nn.functional.pad(x, (4, 4, 4, 4))).relu()
        if self.mode == "writes":
            with torch.no_grad():
                self.fc1.weight.clamp_(-1, 1)
        x = x.detach() if self.mode == "detached" else x
        return self.fc2(self.fc1(x[:, :, :8, :8].flatten(1)).relu())


@pytest.mark.parametrize("mode", ["plain", "enabled", "writes"])
def test_networks_with_modes_of_their_own(mode: str, films: list[Radiograph]) -> None:
    clf, plain = wrap(Inner(mode)), wrap(Inner("plain"))
    expected = explain(plain, films[0], GradCAM(), target=1).map
    np.testing.assert_array_equal(explain(clf, films[0], GradCAM(), target=1).map, expected)
    assert np.abs(expected).max() > 0


def test_detached_features_are_told_and_give_no_map_of_zeros(films: list[Radiograph]) -> None:
    with pytest.raises(ExplainError, match="no gradient passes"):
        explain(wrap(Inner("detached")), films[0], GradCAM(), target=1)


def test_a_pass_lets_the_gradient_through_to_its_inputs(films: list[Radiograph]) -> None:
    clf = build("small_cnn", size=64, hidden=0, seed=1)[0]
    x = clf.preprocess(films[0])[None].requires_grad_()
    logits = Pass(clf, x).cut().logits
    assert float(torch.autograd.grad(logits[0, 1], x)[0].abs().max()) > 0
