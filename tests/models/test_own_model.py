"""A model of one's own by name: made, saved, made again; run from files; and written to files that give the same."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

import radiolucent as rl
from radiolucent.errors import CheckpointError, ConfigError, ExplainError, ModelError, WeightsError
from radiolucent.models.weights import load_weights
from radiolucent.types import LabelRule

SOURCE = """
import numpy as np, torch, radiolucent as rl
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(1, 4, 3, 2), nn.Linear(4, 2)
    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

PRE = rl.Preprocess(32, "squash", 1, (0.5,), (0.25,))
LIMIT = 3
def make(): return Net()
def probabilities(): return nn.Sequential(Net(), nn.Softmax(1))
def classifier(): return rl.wrap(Net(), ("NORMAL", "PNEUMONIA"), preprocess=PRE, threshold=0.3)
def answers(x):
    chance = 1 / (1 + np.exp(-x.mean((1, 2, 3))))
    return np.stack([chance, 1 - chance], 1)

def fails(): raise KeyError("no such thing")
def number(): return 3
instance = Net()
"""
PRE = rl.Preprocess(32, "squash", 1, (0.5,), (0.25,))
FILM = rl.from_array(np.random.default_rng(0).random((32, 32)).astype(np.float32))
NAMES = ("NORMAL", "PNEUMONIA")


@pytest.fixture(autouse=True)
def their_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "their_models.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield
    assert sys.path == path
    sys.modules.pop("their_models", None)


def logits(classifier: rl.Classifier) -> torch.Tensor:
    return classifier.logits(classifier.preprocess(FILM)[None])


@pytest.mark.parametrize("name", ["make", "probabilities", "classifier", "answers", "instance", "Net"])
def test_what_is_saved_is_made_again(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {} if name == "classifier" else {"class_names": NAMES, "preprocess": PRE}
    if name == "probabilities":
        options["output"] = "probabilities"
    made = rl.own_model(f"their_models:{name}", **options)
    if name not in ("answers", "classifier"):
        with torch.no_grad():
            next(made.network.parameters()).mul_(1.5)  # other weights than the factory's
        made = made.with_(threshold=0.4)
    again = rl.load(rl.save(made, tmp_path / "run"))
    torch.testing.assert_close(logits(again), logits(made))
    assert again.digest() == made.digest() and again.meta() == made.meta() and not again.network.training
    if name == "answers":
        with pytest.raises(ExplainError, match="a wrapped function"):
            rl.explain(again, FILM, rl.GradCAM())
    else:
        maps = [rl.explain(c, FILM, rl.GradCAM(), target=1).map for c in (made, again)]
        np.testing.assert_allclose(maps[1], maps[0], atol=1e-5 * np.abs(maps[0]).max())
    with pytest.raises(CheckpointError, match=r"their_models.*imports=True"):
        rl.load(tmp_path / "run", imports=False)
    (tmp_path / "their_models.py").unlink()
    del sys.modules["their_models"]
    with pytest.raises(CheckpointError, match="runs the code of that module"):
        rl.load(tmp_path / "run")
    for asked in ({"imports": True}, {}):
        with pytest.raises(CheckpointError, match="their_models cannot be imported"):
            rl.load(tmp_path / "run", **asked)
        monkeypatch.setenv("RADIOLUCENT_IMPORTS", "1")


def test_a_name_can_be_loaded_where_it_gives_a_classifier() -> None:
    assert rl.load("their_models:classifier").threshold == 0.3
    with pytest.raises(ConfigError, match="class-names"):
        rl.load("their_models:make")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("their_models:missing", "has no missing"),
        ("nowhere:make", "nowhere cannot be imported"),
        ("os:getcwd", "Python's own"),
        ("their_models:fails", "KeyError"),
        ("their_models:number", "gave a int"),
        ("their_models:LIMIT", "is a int"),
        ("their_models", "package.module:factory"),
        ("missing.onnx", "no such file"),
    ],
)
def test_what_is_no_model_is_named(source: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        rl.own_model(source, NAMES, preprocess=PRE)


def test_tied_weights_that_a_file_keeps_once(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Conv2d(1, 2, 3)
            self.other = self.one

    source, network = Tied(), Tied()
    save_model(source, str(tmp_path / "tied.safetensors"))
    report = load_weights(network, tmp_path / "tied.safetensors")
    assert not report.missing and torch.equal(network.other.weight, source.one.weight)


def test_weights_have_to_fit_wholly(tmp_path: Path) -> None:
    plain = rl.own_model("their_models:make", NAMES, preprocess=PRE)
    state = {k.removeprefix("module."): v * 2 for k, v in plain.network.state_dict().items()}
    save_file(state, tmp_path / "all.safetensors")
    files = ["all.safetensors"]
    for prefix, key in (("module.", "state_dict"), ("model.net.", "state_dict"), ("_orig_mod.", "model_state_dict")):
        files.append(f"{prefix}pth")
        torch.save({key: {prefix + k: v for k, v in state.items()}, "epoch": 3}, tmp_path / files[-1])
    files.append("stray.pth")  # a plain name beside the prefixed ones, which are the network's
    torch.save({f"net.{k}": v for k, v in state.items()} | {"fc.bias": 9 + state["fc.bias"]}, tmp_path / files[-1])
    for file in files:
        found = rl.own_model("their_models:make", NAMES, preprocess=PRE, weights=file)
        assert torch.equal(found.network.state_dict()["module.fc.bias"], state["fc.bias"])
    both = {f"net.{k}": v for k, v in state.items()} | {f"ema.{k}": 3 * v for k, v in state.items()}
    torch.save(both, tmp_path / "both.pth")
    with pytest.raises(WeightsError, match=r"2 times, under ema\. and net\."):  # which of the two is not said
        rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="both.pth")
    torch.save(state | {f"ema.{k}": 3 * v for k, v in state.items()}, tmp_path / "beside.pth")
    network: Any = plain.network.module
    assert len(load_weights(network, tmp_path / "beside.pth").unexpected) == len(state)
    assert torch.equal(network.state_dict()["fc.bias"], state["fc.bias"])
    apart = {k if k == "fc.bias" else f"net.{k}": v for k, v in state.items()}  # its own name is no loss's
    torch.save(apart, tmp_path / "apart.pth")
    assert not load_weights(network, tmp_path / "apart.pth").missing
    torch.save({"model": {"state_dict": {k: v * torch.nan for k, v in state.items()}}}, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match="holds NaN"):
        rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="nan.pth")
    torch.save({"params": state, "epoch": 3, "scheduler": {}}, tmp_path / "alone.pth")  # what else could be meant?
    found = rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="alone.pth")
    assert torch.equal(found.network.state_dict()["module.fc.bias"], state["fc.bias"])
    torch.save({"params": state, "ema": state, "epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="It has params, ema, epoch"):
        rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="other.pth")
    torch.save({"model": state, "model_ema": state, "optimizer": {"0": state}}, tmp_path / "same.pth")
    found = rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="same.pth")
    assert torch.equal(found.network.state_dict()["module.fc.bias"], state["fc.bias"])
    average = {f"module.{k}": 3 * v for k, v in state.items()}
    for other in (average, {"decay": 0.9, "shadow_params": list(average.values())}):
        torch.save({"model": state, "ema": other}, tmp_path / "average.pth")
        with pytest.raises(WeightsError, match=r"2 times, under model and ema(\.shadow_params)?, such as"):
            rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="average.pth")
    torch.save(network, tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match=r"\(it holds Python objects: [\w.]+\); nothing is unpickled"):
        load_weights(network, tmp_path / "whole.pth")
    prefixed = {f"model.{k}": v for k, v in state.items()}
    torch.save({"state_dict": prefixed | {"criterion.weight": torch.ones(2)}}, tmp_path / "loss.ckpt")
    found = rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="loss.ckpt")
    assert torch.equal(found.network.state_dict()["module.fc.bias"], state["fc.bias"])
    assert "not of the network, ignored: criterion.weight" in str(load_weights(network, tmp_path / "loss.ckpt"))
    torch.save(prefixed | {"head.weight": torch.ones(2, 2), "head.bias": torch.ones(2)}, tmp_path / "head.ckpt")
    with pytest.raises(WeightsError, match=r"unexpected, ignored: head\.weight"):  # it takes part in the answer
        rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="head.ckpt")
    save_file({k: v for k, v in state.items() if k != "fc.bias"}, tmp_path / "some.safetensors")
    with pytest.raises(WeightsError, match=r"fc\.bias"):
        rl.own_model("their_models:make", NAMES, preprocess=PRE, weights="some.safetensors")
    with pytest.raises(ConfigError, match="for a torch module"):
        rl.own_model("their_models:answers", NAMES, preprocess=PRE, weights="module.pth")


@pytest.mark.filterwarnings("ignore")  # torch's, about its exporters
@pytest.mark.parametrize("kind", ["any.onnx", "one.onnx", "any.pt2", "one.pt2"])
def test_files_answer_as_the_network_and_cannot_be_looked_into(kind: str, tmp_path: Path) -> None:
    if kind.endswith("onnx"):
        pytest.importorskip("onnxruntime")
    plain = rl.own_model("their_models:make", NAMES, preprocess=PRE)
    network: Any = plain.network.module
    x = torch.rand(2, 1, 32, 32)
    if kind == "any.onnx":
        torch.onnx.export(network, (x,), kind, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    elif kind == "one.onnx":
        torch.onnx.export(network, (x[:1],), kind, dynamo=False)
    else:
        free = None if kind == "one.pt2" else ({0: torch.export.Dim.AUTO},)
        torch.export.save(torch.export.export(network.eval(), (x if free else x[:1],), dynamic_shapes=free), kind)
    made = rl.own_model(kind, NAMES, preprocess=PRE)
    batch = torch.randn(5, 1, 32, 32)
    torch.testing.assert_close(made.logits(batch), plain.logits(batch), atol=1e-5, rtol=1e-5)
    expected, found = (rl.explain(c, FILM, rl.Occlusion(8, 8), target=1).map for c in (plain, made))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    words = "an ONNX file" if kind.endswith("onnx") else r"an exported program \(torch.export\)"
    for method in (rl.GradCAM(), rl.Saliency(), rl.LRP()):
        with pytest.raises(ExplainError, match=rf"{words} has neither layers nor gradients.*LIME"):
            rl.explain(made, FILM, method)
    again = rl.load(rl.save(made, tmp_path / "run"), imports=False)
    (tmp_path / kind).unlink()  # the checkpoint holds the file
    torch.testing.assert_close(again.logits(batch), made.logits(batch))
    assert again.digest() == made.digest()


@pytest.mark.filterwarnings("ignore")  # torch's, about its exporters
@pytest.mark.parametrize("kind", ["two.onnx", "two.pt2"])
def test_which_of_a_files_results_is_said(kind: str, tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> Any:
            out = self.inner(x)
            return {"label": out.argmax(1), "score": out.softmax(1), "each": out.sigmoid()}

    plain = rl.own_model("their_models:make", NAMES, preprocess=PRE)
    two, x = Two(plain.network.module).eval(), torch.rand(2, 1, 32, 32)
    if kind.endswith("onnx"):
        pytest.importorskip("onnxruntime")
        torch.onnx.export(two, (x,), kind, dynamo=False, output_names=["label", "score", "each"])
    else:
        torch.export.save(torch.export.export(two, (x,)), kind)
    with pytest.raises(ModelError, match=r"label, score, each.*pick="):
        rl.own_model(kind, NAMES, preprocess=PRE)
    with pytest.raises(ModelError, match=r"gives probabilities.*output=probabilities"):
        rl.own_model(kind, NAMES, preprocess=PRE, pick="score")
    with pytest.raises(ModelError, match=r"lies in \[0, 1\]: say whether"):
        rl.own_model(kind, ("effusion", "mass"), preprocess=PRE, pick="each", head="multilabel")
    made = rl.own_model(kind, NAMES, preprocess=PRE, output="probabilities", pick="score")
    torch.testing.assert_close(made.logits(x).softmax(1), plain.logits(x).softmax(1), atol=1e-5, rtol=1e-5)
    again = rl.load(rl.save(made, tmp_path / "run"))
    assert torch.equal(again.logits(x), made.logits(x))


@pytest.mark.filterwarnings("ignore")  # torch's, about its exporters
@pytest.mark.parametrize("kind", ["whole.xml", "whole.pt2", "whole.onnx", "many.onnx", "signed.onnx"])
def test_a_file_that_takes_whole_numbers_gets_no_films_cut_to_black(kind: str, tmp_path: Path) -> None:
    """Grey levels in [0, 1] became 0 on the way."""
    levels = 65535 if "many" in kind else 255

    class Whole(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.float() / 255).mean((2, 3)) @ torch.tensor([[3.0, -4.0]])

    if kind.endswith("pt2"):
        torch.export.save(torch.export.export(Whole(), (torch.zeros(2, 1, 32, 32, dtype=torch.uint8),)), kind)
    elif kind.endswith("onnx"):
        onnx = pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
        helper, types = onnx.helper, {"whole": 2, "many": 4, "signed": 6}
        given = helper.make_tensor_value_info("x", types[kind.partition(".")[0]], ["n", 1, 32, 32])
        weights = [onnx.numpy_helper.from_array(np.array([[3.0, -4.0]], np.float32) / levels, "w")]
        steps = [("Cast", ["x"], "f", {"to": 1}), ("GlobalAveragePool", ["f"], "p", {}), ("Flatten", ["p"], "v", {})]
        steps.append(("MatMul", ["v", "w"], "logits", {}))
        nodes = [helper.make_node(kind, start, [end], **said) for kind, start, end, said in steps]
        graph = helper.make_graph(
            nodes, "g", [given], [helper.make_tensor_value_info("logits", 1, ["n", 2])], initializer=weights
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), kind)
    else:
        openvino = pytest.importorskip("openvino")
        ops = openvino.opset13
        given = ops.parameter([-1, 1, 32, 32], np.uint8, name="x")
        mean = ops.reduce_mean(ops.convert(given, "f32"), np.array([2, 3]))
        made = ops.matmul(mean, np.array([[3.0, -4.0]], np.float32) / 255, False, False)
        openvino.save_model(openvino.Model([made], [given], "whole"), kind, compress_to_fp16=False)
    if kind.startswith("signed"):
        with pytest.raises(ModelError, match=r"takes .*int32.*; expected floating-point images, or uint8.*wrap_funct"):
            rl.own_model(kind, NAMES)
        return
    with pytest.raises(
        ModelError, match=rf"whole numbers from 0 to {levels}, and films .* from .* to .*std=1/{levels}"
    ):
        rl.own_model(kind, NAMES, preprocess=PRE)
    made = rl.own_model(kind, NAMES)
    levels_of_film = np.rint(FILM.pixels * levels) / levels
    expected = torch.tensor([[3.0, -4.0]]) * float(levels_of_film.mean())
    assert torch.allclose(made.logits(made.preprocess(FILM)[None]), expected, atol=1e-4)
    brighter = made.preprocess(FILM)[None] + 2 * levels  # an altered copy beyond white is white, and not black again
    assert torch.allclose(made.logits(brighter), torch.tensor([[3.0, -4.0]]), atol=1e-4)
    again = rl.load(rl.save(made, tmp_path / "run"))
    assert torch.allclose(again.logits(made.preprocess(FILM)[None]), expected, atol=1e-4)


def test_an_onnx_file_that_keeps_its_weights_elsewhere_says_what_to_do() -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    sizes = [onnx.helper.make_tensor_value_info(n, 1, ["n", k]) for n, k in (("x", 4), ("y", 2))]
    weights = onnx.numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "g", *[[v] for v in sizes], [weights]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, "apart.onnx", save_as_external_data=True, location="apart.data", size_threshold=0)
    with pytest.raises(ModelError, match=r"weights in another file.*save_as_external_data=False"):
        rl.own_model("apart.onnx", NAMES, preprocess=PRE)


def test_what_is_no_name_says_where_it_goes() -> None:
    with pytest.raises(ConfigError, match=r"rl\.wrap_function"):
        rl.own_model(lambda x: x, NAMES)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="gives probabilities"):
        rl.wrap_function(lambda x: np.full((len(x), 2), 0.5), NAMES, preprocess=PRE, output="logits")


def test_a_damaged_model_file_is_named(tmp_path: Path) -> None:
    for name, words in (("bad.onnx", "no ONNX model"), ("bad.pt2", "no exported program")):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        if name.endswith("onnx"):
            pytest.importorskip("onnxruntime")
        with pytest.raises(ModelError, match=words):
            rl.own_model(name, NAMES, preprocess=PRE)
        with pytest.raises(CheckpointError, match="own_model, or --model"):
            rl.load(name)


@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_an_export_that_is_cut_short_leaves_no_mixture(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for needed in ("openvino",) if name.endswith(".xml") else ("onnx", "onnxruntime"):
        pytest.importorskip(needed)

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    classifier, films = rl.build("small_cnn", size=32, widths=(4, 4), hidden=0)[0], [FILM]
    old = rl.export(classifier, tmp_path / name, films=films)
    learned = Path(f"{old.file}.films.csv")
    learned.write_text("split,sha256,pixels_sha256\n")
    for fails in ("atomic_path", "describe"):
        assert rl.own_model(old.file).threshold == classifier.threshold and learned.exists(), "nothing was placed"
        with monkeypatch.context() as patch, pytest.raises(OSError, match="no space left"):
            patch.setattr(importlib.import_module("radiolucent.models.export"), fails, full)
            rl.export(classifier.with_(threshold=0.9), tmp_path / name, films=films)
    assert not learned.exists(), "which films another run learned from"
    assert not old.file.exists(), "neither the old file with new weights nor the new one with the old threshold"
    rl.export(classifier.with_(threshold=0.9), tmp_path / name, films=films)
    assert rl.own_model(tmp_path / name).threshold == 0.9


def test_an_export_to_openvino_sends_no_usage_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    sender = pytest.importorskip("openvino_telemetry")
    asked: list[object] = []
    monkeypatch.setattr(sender.Telemetry, "send_event", lambda *said, **_: asked.append(said))
    rl.export(rl.build("small_cnn", size=32, widths=(4, 4), hidden=0)[0], tmp_path / "model.xml")
    assert not asked


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_an_exported_file_gives_the_same_and_comes_back(to: Any, tmp_path: Path) -> None:
    pytest.importorskip(to)
    classifier = rl.build("small_cnn", size=48, seed=3)[0].with_(threshold=0.37, temperature=1.4)
    found = rl.export(classifier, tmp_path / "model", to, films=[FILM, rl.from_array(1 - FILM.pixels)])
    assert found.file.suffix == (".onnx" if to == "onnx" else ".xml") and found.on == "films" and found.images == 2
    assert found.difference <= found.tolerance and found.moves > 0
    told = json.loads(found.description.read_text(encoding="utf-8"))
    assert told["class_names"] == ["NORMAL", "PNEUMONIA"] and told["temperature"] == 1.4
    if to == "onnx":
        pytest.importorskip("onnxruntime")
    again = rl.own_model(found.file)
    batch = torch.rand(3, 1, 48, 48)
    torch.testing.assert_close(again.logits(batch), classifier.logits(batch), atol=1e-4, rtol=1e-4)
    assert again.threshold == 0.37 and again.temperature == 1.4 and again.preprocess == classifier.preprocess
    kept = rl.load(rl.save(again, tmp_path / "run"))
    torch.testing.assert_close(kept.logits(batch), again.logits(batch))
    with pytest.raises(ExplainError, match=f"an {'ONNX' if to == 'onnx' else 'OpenVINO'} file has neither layers"):
        rl.explain(kept, FILM, rl.GradCAM())
    found.description.write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="damaged"):
        rl.own_model(found.file)
    found.description.unlink()
    if to == "openvino":
        found.file.with_suffix(".bin").unlink()
        with pytest.raises(ModelError, match=r"its weights, model\.bin, are not beside it"):
            rl.own_model(found.file, NAMES)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".model")] == []


def test_the_rules_of_several_labels_travel_with_the_file(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    rules = (LabelRule(0.2, 1.5, 40), LabelRule(None))
    clf = rl.Classifier(network.eval(), ("EFFUSION", "MASS"), PRE, 0, "multilabel", rules=rules)
    again = rl.own_model(rl.export(clf, tmp_path / "labels.onnx").file)
    assert again.rules == rules and again.class_names == clf.class_names and again.head == "multilabel"
    one = again.of_label("EFFUSION")
    assert one.threshold == 0.2
    with pytest.raises(ExplainError, match="an ONNX file has neither layers"):
        rl.explain(one, FILM, rl.GradCAM())
    found, expected = (rl.explain(c, FILM, rl.Occlusion(8, 8), target="MASS").map for c in (again, clf))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_file_that_answers_otherwise_is_not_written(tmp_path: Path) -> None:
    pytest.importorskip("openvino")

    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = x.mean((2, 3)).repeat(1, 2)
            return out + 1 if torch.jit.is_tracing() else out

    odd = rl.Classifier(Odd(), NAMES, PRE)
    with pytest.raises(ModelError, match=r"not written.*8 images of noise"):
        rl.export(odd, tmp_path / "odd.xml")
    assert not list(tmp_path.glob("odd*")) and not list(tmp_path.glob(".odd*"))
    for bad in ("odd.pb", "nowhere/odd.xml"):
        with pytest.raises(ConfigError):
            rl.export(odd, tmp_path / bad)
    with pytest.raises(ModelError, match="a wrapped function cannot be exported"):
        rl.export(rl.own_model("their_models:answers", NAMES, preprocess=PRE), tmp_path / "f.onnx")


def test_several_labels_keep_their_rules_and_places(tmp_path: Path) -> None:
    cuts = (0.4, float("nan"))
    made = rl.own_model("their_models:make", ("effusion", "mass"), preprocess=PRE, head="multilabel", threshold=cuts)
    again = rl.load(rl.save(made, tmp_path / "own.safetensors"))
    assert again.label_rules == made.label_rules and again.hash == made.hash and again.multilabel
    one_dead = rl.own_model("their_models:make", ("effusion", ""), preprocess=PRE, head="multilabel")
    kept = rl.load(rl.save(one_dead, tmp_path / "dead.safetensors"))
    assert kept.outputs == 1 and torch.allclose(logits(kept)[:, 0], logits(made)[:, 0], atol=1e-6)
    rules = (LabelRule(0.3, 1.5, 20), LabelRule(None, 2.0))
    written = rl.export(made.with_(rules=rules), tmp_path / "labels.onnx")
    read = rl.own_model(written.file)
    assert read.label_rules == rules and torch.allclose(logits(read), logits(made), atol=1e-5)
    with pytest.raises(ConfigError, match="have their own"):
        read.with_(threshold=0.2)
