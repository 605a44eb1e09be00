"""Anyone's model: other libraries' outputs, black boxes, real Keras and ONNX files; the how-tos run as they stand."""

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

os.environ["KERAS_BACKEND"] = "torch"

import radiolucent as rl
from radiolucent.errors import CheckpointError, ConfigError, ExplainError, ModelError
from radiolucent.images import Preprocess
from radiolucent.models.logits_from import logits_from
from radiolucent.models.wrap import wrap
from radiolucent.passes.session import Session

NAMES = ["NORMAL", "PNEUMONIA"]
SMALL = rl.Preprocess(16, "squash", 1, (0.5,), (0.25,))
HOWTO = Path(__file__).parents[2] / "docs" / "howto"


def film(side: int = 16) -> rl.Radiograph:
    return rl.from_array(np.random.default_rng(0).random((side, side)).astype(np.float32))


class Net(nn.Module):
    """A small network whose output comes in another library's clothes."""

    def __init__(self, dress: Any = lambda z: z, outputs: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4, outputs)
        self.dress = dress

    def forward(self, x: torch.Tensor) -> Any:
        return self.dress(self.fc(self.conv(x).relu().mean((2, 3))))


DRESSES = {
    "tensor": (lambda z: z, None),
    "hugging face": (lambda z: SimpleNamespace(logits=z, hidden_states=None), None),
    "dict": (lambda z: {"logits": z, "features": z * 0}, None),
    "only entry": (lambda z: {"out": z}, None),
    "tuple": (lambda z: (z, z[:, :1]), None),
    "nested": (lambda z: {"loss": None, "outputs": {"logits": z}}, "outputs"),
    "named": (lambda z: {"a": z * 0, "b": z}, "b"),
    "numbered": (lambda z: [z * 0, z], 1),
    "flat": (lambda z: z[:, :, None, None], None),
    "squeezed": (lambda z: z.squeeze(), None),
}


@pytest.mark.parametrize("name", DRESSES)
def test_outputs_of_every_library(name: str) -> None:
    dress, pick = DRESSES[name]
    module = Net(dress).train()
    clf = rl.wrap(module, NAMES, preprocess=SMALL, pick=pick)
    assert module.training  # as it came
    x = SMALL(film())[None]
    torch.testing.assert_close(clf.logits(x), Net()(x).detach())
    assert clf.positive == 1 and clf.hash == rl.wrap(Net(dress), NAMES, preprocess=SMALL, pick=pick).hash
    cam = rl.explain(clf, film(), rl.GradCAM(), target="PNEUMONIA")
    plain = rl.Classifier(Net(), ("NORMAL", "PNEUMONIA"), SMALL)
    np.testing.assert_allclose(cam.map, rl.explain(plain, film(), rl.GradCAM(), target=1).map, atol=1e-6)
    fast = Session().engine(clf, x, 10_000)
    assert fast.name == ("torch" if name == "squeezed" else "openvino")  # of which one image has another shape


def test_logits_of_probabilities_and_their_limits() -> None:
    z = torch.randn(5, 3)
    torch.testing.assert_close(logits_from(z.softmax(1), "softmax").softmax(1), z.softmax(1))
    torch.testing.assert_close(logits_from(z.sigmoid(), "multilabel"), z, atol=1e-4, rtol=1e-4)
    sure = logits_from(torch.tensor([[0.0, 1.0]]), "softmax")
    assert torch.isfinite(sure).all() and float(sure[0, 0]) == pytest.approx(np.log(1e-30), rel=1e-3)
    surer = torch.tensor([[1e-3, 1 - 1e-3], [1e-8, 1.0], [1e-12, 1.0], [1e-20, 1.0]])
    for order in (surer, surer.flip(1)):  # films whose larger probability is rounded to 1 keep their order
        z = logits_from(order, "softmax")
        assert (z[:, 0] - z[:, 1]).diff().abs().min() > 5
    assert torch.isfinite(logits_from(torch.tensor([[0.0, 1.0]], dtype=torch.float16), "softmax")).all()
    near = rl.wrap_function(
        lambda x: 1 - 10.0 ** (-9 - x[:, 0, 0, 0].astype(float)), NAMES, preprocess=SMALL, head="sigmoid"
    )
    some = torch.ones_like(SMALL(film())) * torch.tensor([0.0, 1.0, 2.0])[:, None, None, None]
    assert near.logits(some).diff(dim=0).min() > 1  # what float64 tells apart
    ones = torch.tensor([[1 - 2**-20], [1 - 2**-23], [1.0]])
    assert logits_from(ones, "sigmoid").diff(dim=0).min() > 0 and torch.isfinite(logits_from(ones, "sigmoid")).all()
    raw = torch.tensor([[20.0, -3.0, 1.0]], requires_grad=True)  # whose largest probability is rounded to 1
    logits_from(raw.softmax(1), "softmax")[0, 0].backward()
    assert raw.grad is not None and raw.grad[0, 0] > 0 and raw.grad[0, 2] < 0
    with pytest.raises(ModelError, match='output="logits"'):
        logits_from(z * 5, "softmax")
    with pytest.raises(ModelError, match="multilabel"):
        logits_from(torch.full((1, 3), 0.5), "softmax")


@pytest.mark.parametrize(("sharp", "told"), [(1.0, False), (60.0, False), (900.0, True)])
def test_a_map_that_is_lost_to_rounding_says_so(sharp: float, told: bool) -> None:
    def ask(x: np.ndarray) -> np.ndarray:
        z = sharp * x.mean((1, 2, 3))
        return torch.from_numpy(np.stack([-z, z], 1)).softmax(1).numpy()

    one = rl.explain(rl.wrap_function(ask, NAMES, preprocess=SMALL), film(), rl.Occlusion(), target=1)
    assert bool(one.map.any()) != told and ("broken_promise" in one.details) == told


def test_percentages_are_noticed() -> None:
    class Percent(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 100 * torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1).softmax(1)

    given: dict[str, Any] = {"preprocess": rl.Preprocess(32, "squash", 1, (0.0,), (1.0,))}
    with pytest.raises(ModelError, match=r"percentages.*divides them by 100.*probabilities"):
        rl.wrap(Percent(), ("NORMAL", "PNEUMONIA"), **given)
    with pytest.raises(ModelError, match=r"percentages.*divides them by 100.*probabilities"):  # a file's, too
        rl.wrap_function(lambda x: Percent()(torch.from_numpy(x)).numpy(), NAMES, output="logits", **given)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ConfigError, match=r"\(2, 2\) for 2 films; expected \(2, 3\)"):
        rl.wrap(Net(), ["A", "B", "C"], preprocess=SMALL)
    with pytest.raises(ModelError, match="mapping of a, b"):
        rl.wrap(Net(DRESSES["named"][0]), NAMES, preprocess=SMALL)
    with pytest.raises(ModelError, match=r"several are tensors \(2, 2\).*pick=1"):  # the main head and another
        rl.wrap(Net(lambda z: (z, z + 1)), NAMES, preprocess=SMALL)
    with pytest.raises(ModelError, match=r"a tuple of 2: .*pick=1"):  # a loss before the logits
        rl.wrap(Net(lambda z: (z.sum(), z)), NAMES, preprocess=SMALL)
    with pytest.raises(ConfigError, match=r"out of a tuple of 2: Tensor of shape \(2, 1\).*pick="):
        rl.wrap(Net(lambda z: (z[:, :1], z)), NAMES, preprocess=SMALL)
    with pytest.raises(ConfigError, match=r"\(2, 2, 4, 4\), numbers for many places"):
        rl.wrap(Net(lambda z: z[:, :, None, None].expand(-1, -1, 4, 4)), NAMES, preprocess=SMALL)
    with pytest.raises(ModelError, match="2 numbers for 3 images"):
        rl.wrap(Net(lambda z: z.mean(0)), NAMES, preprocess=SMALL, head="sigmoid")
    with pytest.raises(ExplainError, match=r"does not take films.*other channels"):
        rl.explain(rl.Classifier(Net(), ("NORMAL", "PNEUMONIA"), rl.Preprocess(16)), film())
    with pytest.raises(ModelError, match=r"\(2, 3\) numbers for 3 films"):
        rl.wrap(Net(lambda z: z.T), NAMES, preprocess=SMALL)
    with pytest.raises(ModelError, match=r"leave pick=0 out"):
        rl.wrap(Net(), NAMES, preprocess=SMALL, pick=0)
    with pytest.raises(ModelError, match="no 'logit'"):
        rl.wrap(Net(lambda z: {"logits": z}), NAMES, preprocess=SMALL, pick="logit")
    with pytest.raises(ModelError, match="preprocess="):
        rl.wrap(Net(), NAMES, preprocess=rl.Preprocess(16))  # three channels
    with pytest.raises(ModelError, match="for 2 images"):
        rl.wrap_function(lambda x: np.zeros(3), NAMES, preprocess=SMALL)
    with pytest.raises(ModelError, match="not-a-number"):
        rl.wrap_function(lambda x: np.full((len(x), 2), np.nan), NAMES, preprocess=SMALL)
    with pytest.raises(CheckpointError, match="wrap it"):
        rl.save(rl.wrap(Net(), NAMES, preprocess=SMALL), "nowhere")


def brightness(x: np.ndarray) -> np.ndarray:
    """A probability of pneumonia that grows with the brightness of the top left quarter."""
    p = 1 / (1 + np.exp(-4 * (x[:, 0, :8, :8].mean((1, 2)) - 0.5)))
    return np.stack([1 - p, p], axis=1)


GREY = rl.Preprocess(16, "squash", 1, (0.0,), (1.0,))
WORKS = {
    "lime": rl.LIME(
        60, hide_color=0.0, segmentation="felzenszwalb", segmentation_options={"min_size": 9, "scale": 1, "sigma": 0.1}
    ),
    "kernelshap": rl.KernelSHAP(
        60, fill=0.0, segmentation=lambda g: np.add.outer(np.arange(16) // 4 * 4, np.arange(16) // 4)
    ),
    "occlusion": rl.Occlusion(4, 4, fill=0.0),
    "rise": rl.RISE(400, cells=4),
    "sobol": rl.Sobol(16, 4),
}


@pytest.mark.parametrize("name", WORKS)
def test_black_boxes_are_explained_by_perturbation(name: str) -> None:
    clf = rl.wrap_function(brightness, NAMES, preprocess=GREY)
    e = rl.explain(clf, film(), WORKS[name], target="PNEUMONIA")
    rest = np.concatenate([e.map[8:].ravel(), e.map[:8, 8:].ravel()])
    assert (
        e.map[:8, :8].mean() > 3 * np.abs(rest).mean()
        if name in ("occlusion", "kernelshap")
        else e.map[:8, :8].mean() > rest.mean()
    )
    assert e.details["engine"] in ("function", "torch") and e.model_hash == clf.hash


@pytest.mark.parametrize("method", [rl.GradCAM(), rl.CAM(), rl.ScoreCAM(), rl.AblationCAM(), rl.ReciproCAM()])
def test_other_methods_say_why_not_and_what_works(method: Any) -> None:
    clf = rl.wrap_function(brightness, NAMES, preprocess=GREY)
    with pytest.raises(ExplainError, match=r"neither layers nor gradients.*LIME\(\), KernelSHAP\(\)"):
        rl.explain(clf, film(), method, target=1)


def test_a_functions_hash_is_of_its_answers() -> None:
    def other(x: np.ndarray) -> np.ndarray:
        return brightness(x * 0.9)

    one, same = (rl.wrap_function(brightness, NAMES, preprocess=GREY) for _ in range(2))
    assert one.hash == same.hash != rl.wrap_function(other, NAMES, preprocess=GREY).hash
    rng = np.random.default_rng(0)
    noisy = rl.wrap_function(lambda x: rng.random(len(x)), NAMES, preprocess=GREY, head="sigmoid")
    assert noisy.architecture["probe"] == "unrepeatable"
    single = rl.wrap_function(lambda x: brightness(x)[:, 1], NAMES, preprocess=GREY, head="sigmoid")
    np.testing.assert_allclose(
        single.probabilities(single.logits(GREY(film())[None])), brightness(GREY(film())[None].numpy()), atol=1e-6
    )


def test_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = rng.random((60, 256))
    model = LogisticRegression().fit(x, x[:, :40].mean(1) > 0.5)
    clf = rl.wrap_function(lambda a: model.predict_proba(a.reshape(len(a), -1)), NAMES, preprocess=GREY)
    e = rl.explain(clf, film(), rl.Occlusion(1, 1, fill=0.0), target=1, score="margin")
    # log p₁ − log p₀ is linear: hiding a pixel takes away its weight times its grey
    grey = np.rint(film().pixels * 255) / 255
    np.testing.assert_allclose(e.map, model.coef_.reshape(16, 16) * grey, atol=1e-4)


def snippets(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (HOWTO / page).read_text(encoding="utf-8"), re.DOTALL)


def write_film() -> None:
    from PIL import Image

    Image.fromarray((film(64).pixels * 255).astype(np.uint8)).save("film.png")


@pytest.mark.filterwarnings("ignore")  # keras
def test_the_how_to_with_a_keras_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((64, 64, 1)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.save("model.keras")
    write_film()
    space: dict[str, Any] = {}
    first, second = snippets("explain-keras.md")
    exec(compile(first, "explain-keras.md", "exec"), space)
    clf, e = space["clf"], space["explanation"]
    x = clf.preprocess(space["film"])[None]
    expected = model.predict_on_batch(x.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(clf.probabilities(clf.logits(x)), expected, atol=1e-5)
    assert e.map.shape == (64, 64) and e.details["coefficients"].sum() == pytest.approx(
        e.score - e.details["score_of_fill"], abs=1e-5
    )
    saliency_like = rl.explain(clf, space["film"], rl.Occlusion(16, 16, engine="torch"), target=1, contrast=0).map
    exec(compile(second, "explain-keras.md", "exec"), space)
    assert space["explanation"].map.shape == (64, 64) and "r2" in space["explanation"].details
    again = rl.explain(space["clf"], space["film"], rl.Occlusion(16, 16), target=1, contrast=0).map
    # Both ways are the same model; the one leaves the softmax out, the other takes logarithms of what it gives.
    np.testing.assert_allclose(again, saliency_like, atol=1e-4)


@pytest.mark.filterwarnings("ignore")  # torch's exporter
def test_the_how_to_with_an_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = Net().eval()
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, 64, 64),),
        "model.onnx",
        input_names=["x"],
        output_names=["logits"],
        dynamic_axes={"x": {0: "n"}, "logits": {0: "n"}},
        dynamo=False,
    )
    write_film()
    space: dict[str, Any] = {}
    (code,) = snippets("explain-onnx.md")
    exec(compile(code, "explain-onnx.md", "exec"), space)
    plain = rl.Classifier(network, ("NORMAL", "PNEUMONIA"), space["clf"].preprocess)
    theirs = rl.explain(plain, space["film"], rl.Occlusion(window=16, stride=8), target="PNEUMONIA")
    np.testing.assert_allclose(space["explanation"].map, theirs.map, atol=1e-5)
    assert space["clf"].architecture["probe"] not in ("", "unrepeatable")


class Scaled(nn.Module):
    """What torchxrayvision's networks do: a sigmoid, then a scaling by operating points; some outputs mean nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Conv2d(1, 4, 5, stride=4)
        self.classifier = nn.Linear(4, 4)
        self.points = torch.tensor([0.4, float("nan"), 0.6, 0.3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p = torch.sigmoid(self.classifier(self.features(x).relu().mean((2, 3))))
        low, high = p / (2 * self.points), 1 - (1 - p) / (2 * (1 - self.points))
        return torch.where(self.points.isnan(), 0.5, torch.where(p < self.points, low, high))


def test_several_labels_of_another_library() -> None:
    names, net = ("Effusion", "", "Mass", "Hernia"), Scaled()
    pre = Preprocess(32, "squash", 1, (0.0,), (1.0,))
    with pytest.raises(ModelError, match="probabilities"):  # the sigmoid is not the last step, and is noticed
        wrap(net, names, preprocess=pre, head="multilabel")
    made = wrap(net, names, preprocess=pre, head="multilabel", output="probabilities")
    assert made.class_names == ("Effusion", "Mass", "Hernia") and made.outputs == 3
    x = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        expected = net(x)[:, [0, 2, 3]].double()
    torch.testing.assert_close(made.probabilities(made.logits(x)), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(made.calls(made.logits(x)), expected >= 0.5)
    cut = wrap(
        net, names, preprocess=pre, head="multilabel", output="probabilities", threshold=(0.0, 0.5, float("nan"), 1.0)
    )
    assert [rule.threshold for rule in cut.label_rules] == [0.0, None, 1.0]
    assert cut.calls(cut.logits(x)).any(0).tolist() == [True, False, False]
    with pytest.raises(ConfigError, match="one call of several labels"):
        made.called(made.logits(x))
    with pytest.raises(ConfigError, match="expected one a label"):
        wrap(net, names, preprocess=pre, head="multilabel", output="probabilities", threshold=(0.5, 0.5))
    with pytest.raises(ConfigError, match="leave it out"):
        wrap(net, names, preprocess=pre, head="multilabel", output="probabilities", positive="Mass")
    with pytest.raises(ConfigError, match="an empty one"):
        wrap(net, names, preprocess=pre, output="probabilities")
    net.config = type("Config", (), {"problem_type": "multi_label_classification"})()  # as Hugging Face says it
    with pytest.raises(ConfigError, match='head="multilabel"'):
        wrap(net, ("a", "b", "c", "d"), preprocess=pre, output="probabilities")


@pytest.mark.parametrize("given", ["net.onnx", Path("net.pt2"), None, nn.Linear])
def test_what_is_no_module_is_refused_by_the_call_that_takes_it(given: Any) -> None:
    for call in (rl.wrap, rl.wrap_function):
        with pytest.raises(
            ConfigError, match=r"an object of it" if given is nn.Linear else r"rl\.own_model .*rl\.load"
        ):
            call(given, NAMES)
