"""The contract every method keeps, on every network."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import (
    CAM,
    LIME,
    METHODS,
    Explainer,
    GradCAM,
    explain,
    load_explanation,
    save_explanation,
)
from radiolucent.models import Classifier, build, freeze
from radiolucent.types import Radiograph
from support.explainer_cases import (
    BLIND,
    FAST,
    NETWORKS,
    NO_ATTENTION,
    UNDEFINED,
    Blob,
    blob,
    blob_film,
    make,
    noise_films,
    shortest,
    wrap,
)


@pytest.fixture(scope="module")
def films() -> list[Radiograph]:
    return noise_films()


@pytest.fixture(scope="module")
def network() -> Classifier:
    return build("small_cnn", size=64, hidden=0, seed=1)[0]


@pytest.fixture
def its_network(name: str, network: Classifier) -> Classifier:
    return make("vit") if name in NO_ATTENTION else network


@pytest.mark.parametrize("name", METHODS)
class TestContract:
    def test_shape_finite_seeded_and_batch_is_one_by_one(self, name, its_network, films) -> None:
        method = FAST[name]
        maps = explain(its_network, films, method, target="PNEUMONIA", seed=4)
        for film, e in zip(films, maps, strict=True):
            assert e.map.shape == (64, 64) and e.map.dtype == np.float32 and np.isfinite(e.map).all()
            alone = explain(its_network, film, method, target=1, seed=4)
            np.testing.assert_allclose(alone.map, e.map, atol=1e-5 * max(1, np.abs(e.map).max()))
            assert (e.image_id, e.target_name, e.method) == (film.image_id, "PNEUMONIA", name)
            assert e.geometry.source_shape == (70, 80) and e.model_hash == its_network.hash

    def test_the_model_leaves_as_it_came(self, name, its_network, films) -> None:
        its_network.network.train()
        hooks = sum(len(m._forward_hooks) for m in its_network.network.modules())
        state = {k: v.clone() for k, v in its_network.network.state_dict().items()}
        random = torch.random.get_rng_state()
        explain(its_network, films[0], FAST[name])
        assert its_network.network.training and all(p.grad is None for p in its_network.network.parameters())
        assert hooks == sum(len(m._forward_hooks) for m in its_network.network.modules())
        assert all(torch.equal(v, state[k]) for k, v in its_network.network.state_dict().items())
        assert torch.equal(random, torch.random.get_rng_state())
        its_network.network.eval()

    def test_also_when_the_network_fails(self, name, films) -> None:
        class Breaks(Blob):
            def forward(self, x):
                self.conv(x)
                raise RuntimeError("broken")

        clf = wrap(Breaks())
        clf.network.train()
        with pytest.raises(RuntimeError, match="broken"):
            explain(clf, films[0], FAST[name])
        assert clf.network.training and not any(m._forward_hooks for m in clf.network.modules())
        assert torch.is_grad_enabled() and all(p.requires_grad for p in clf.network.parameters())

    def test_a_constant_model_has_a_zero_map(self, name, films) -> None:
        largest = np.abs(explain(wrap(blob(name, 0.0)), films[0], FAST[name], target=1).map).max()
        assert largest > 0.1 if name in BLIND else largest < 1e-7

    def test_the_blob_is_found(self, name) -> None:
        e = explain(wrap(blob(name)), blob_film(), FAST[name], target="PNEUMONIA")
        rows, columns = np.nonzero(e.map == e.map.max())  # a whole superpixel, for LIME
        assert np.hypot(rows.mean() - 40, columns.mean() - 20) < 10

    def test_it_survives_the_disk(self, name, its_network, films, tmp_path: Path) -> None:
        e = explain(its_network, films[0], FAST[name])
        back = load_explanation(save_explanation(e, tmp_path / "e.npz"))
        np.testing.assert_array_equal(back.map, e.map)
        assert back.geometry == e.geometry and back.score == e.score and set(back.details) == set(e.details)


@pytest.fixture(scope="module", params=NETWORKS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def of_kind(kind: str, request: pytest.FixtureRequest) -> Classifier:
    clf = make(kind)
    clf.network.to(request.param)
    return clf


@pytest.mark.parametrize("name", METHODS)
def test_every_method_on_every_network(name: str, kind: str, of_kind: Classifier, films: list[Radiograph]) -> None:
    clf, method = of_kind, shortest(name, kind)
    dtype, some = clf.dtype, films[: 2 if clf.dtype == torch.float32 else 1]
    if hint := UNDEFINED.get(kind, {}).get(name):
        with pytest.raises(ExplainError, match=hint):
            explain(clf, films[0], method, target=1)
    else:
        for film, e in zip(some, explain(clf, some, method, target="PNEUMONIA"), strict=True):
            assert e.method == name
            assert e.map.shape == (clf.preprocess.size,) * 2 and e.map.dtype == np.float32
            assert np.isfinite(e.map).all()
            if name == "guidedgradcam":  # nothing where Grad-CAM is negative everywhere
                assert e.map.any() or (explain(clf, film, GradCAM(), target="PNEUMONIA").map <= 0).all()
            else:
                assert e.map.any()
    assert all(p.dtype == dtype and p.requires_grad for p in clf.network.parameters())


def test_closed_forms_on_the_linear_model() -> None:
    film = blob_film()
    cam = explain(wrap(Blob()), film, CAM(), target=1)
    np.testing.assert_allclose(cam.map, film.pixels, atol=0.003)  # 8-bit input
    grad = explain(wrap(Blob()), film, GradCAM(), target=1)
    np.testing.assert_allclose(grad.map, film.pixels / 64**2, atol=1e-6)
    # Of a linear score LIME's coefficients are what each piece adds: its mass above the fill.
    lime = explain(wrap(Blob(1000.0)), film, LIME(400, hide_color=0.0, segmentation="slic", alpha=1e-6), target=1)
    segments = lime.details["segments"]
    grey = np.rint(film.pixels * 255) / 255
    expected = np.array([grey[segments == i].sum() for i in range(segments.max() + 1)]) * 1000 / 64**2
    np.testing.assert_allclose(lime.details["coefficients"], expected, atol=1e-3 * expected.max())
    assert lime.details["r2"] > 0.9999


def test_odd_heads_and_networks() -> None:
    film = rl.from_array(np.random.default_rng(1).random((64, 64)).astype(np.float32))
    single, _ = build("small_cnn", head="sigmoid", size=64)
    ill, well = (explain(single, film, GradCAM(), target=t) for t in ("PNEUMONIA", "NORMAL"))
    np.testing.assert_allclose(ill.map, -well.map, atol=1e-7)
    assert ill.score == pytest.approx(-well.score)
    many, _ = build("small_cnn", head="multilabel", size=64, class_names=("A", "B", "C"), positive=0)
    assert np.isfinite(explain(many, film, LIME(100), target="C").map).all()
    frozen, _ = build("mobilenetv1", pretrained=False, size=64)
    free = explain(frozen, film, GradCAM(), target=1).map
    freeze(frozen.network, "all")
    np.testing.assert_array_equal(explain(frozen, film, GradCAM(), target=1).map, free)
    assert not any(p.requires_grad for n, p in frozen.network.named_parameters() if "classifier" not in n)

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.relu = nn.ReLU(inplace=True)
            self.fc = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.relu(self.conv(x)).flatten(2).amax(2))

    assert explain(wrap(InPlace()), film, GradCAM(layer="conv"), target=1).map.std() > 0


def test_errors_name_the_way_out(network, films) -> None:
    with pytest.raises(ConfigError, match="NORMAL, PNEUMONIA"):
        explain(network, films[0], target="CAT")
    with pytest.raises(ExplainError, match="candidates"):
        explain(network, films[0], GradCAM(layer="nowhere"))
    with pytest.raises(ExplainError, match=r"use GradCAM"):
        explain(build("small_cnn", size=64)[0], films[0], CAM())

    @dataclasses.dataclass(frozen=True)
    class Wrong(Explainer):
        def attribute(self, classifier, inputs, goal, generator):
            return torch.full((len(inputs), 3, 3), 1.0)

    with pytest.raises(ExplainError, match="shape"):
        explain(network, films[0], Wrong())
