"""A data set's passes in OpenVINO give the maps that torch gives, or are not used."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import radiolucent as rl
from radiolucent.audits.trust.repeatability import seed_repeatability
from radiolucent.errors import ModelError
from radiolucent.explainers import CAM, Explainer, GradCAM, explain, load_explanation
from radiolucent.explainers.base import Attribution, Goal
from radiolucent.models import Classifier, build
from radiolucent.models.per_network import remembers
from radiolucent.passes.fast import openvino_features
from radiolucent.passes.forward import Pass
from radiolucent.passes.session import Session
from radiolucent.study import ManyConfig, explain_many
from radiolucent.types import Explanation, Radiograph
from support.explainer_cases import FAST, wrap

FAMILY = ("cam", "gradcam", "gradcamplusplus", "hirescam", "layercam", "xgradcam", "eigencam", "ablationcam")


def pooled() -> Classifier:
    return build("small_cnn", size=64, hidden=0, seed=3)[0]


def some(count: int = 5, side: int = 64) -> list[Radiograph]:
    rng = np.random.default_rng(1)
    return [rl.from_array(rng.random((side, side)).astype(np.float32) ** (1 + i)) for i in range(count)]


def many() -> Session:
    """A job of as many films as make converting the network worth it."""
    return Session(films=600)


def both_ways(
    clf: Classifier, methods: Sequence[Explainer], films: Sequence[Radiograph], **asked: object
) -> tuple[list[list[Explanation]], list[list[Explanation]]]:
    """Maps for few films, and the same films' as part of a data set."""
    options: dict[str, object] = {"target": 1, **asked}
    plain = explain(clf, films, methods, **options)  # type: ignore[call-overload]
    return plain, explain(clf, films, methods, session=many(), **options)  # type: ignore[call-overload]


def same(plain: list[list[Explanation]], quick: list[list[Explanation]], within: float = 1e-4) -> None:
    for one, other in zip((e for row in plain for e in row), (e for row in quick for e in row), strict=True):
        assert np.abs(one.map).max() > 0
        assert np.abs(one.map - other.map).max() <= within * np.abs(one.map).max(), one.method
        assert one.score == pytest.approx(other.score, rel=within, abs=within) and one.target == other.target
        assert one.logits == pytest.approx(other.logits, rel=within, abs=within)


def engines(rows: list[list[Explanation]]) -> set[str]:
    return {e.details["engine"] for row in rows for e in row if "engine" in e.details}


@pytest.mark.parametrize("asked", [{}, {"score": "probability"}, {"contrast": 0}], ids=str)
def test_the_same_maps_of_a_whole_family(asked: dict[str, object]) -> None:
    plain, quick = both_ways(pooled(), [FAST[name] for name in FAMILY], some(), **asked)
    assert (engines(plain), engines(quick)) == ({"torch"}, {"openvino"})
    same(plain, quick)


def test_only_for_many() -> None:
    clf = pooled()
    assert engines([explain(clf, some(), GradCAM(), session=Session(films=599))]) == {"torch"}
    assert engines([explain(clf, some(1), GradCAM(), session=many())]) == {"openvino"}  # one of many
    assert engines([explain(clf, some(5), GradCAM(), session=Session(worth_features=5))]) == {"openvino"}
    assert engines([explain(clf, some(), GradCAM(), session=Session(600, without=["openvino_features"]))]) == {"torch"}
    assert engines([explain(clf, some(), GradCAM())]) == {"torch"}


def test_new_weights_are_asked() -> None:
    clf = pooled()
    before, _ = both_ways(clf, [GradCAM()], some())
    with torch.no_grad():
        for parameter in clf.network.parameters():
            parameter.data.mul_(1.2)
    plain, quick = both_ways(clf, [GradCAM()], some())
    assert engines(quick) == {"openvino"}
    same(plain, quick)
    assert np.abs(before[0][0].map - plain[0][0].map).max() > 1e-2 * np.abs(before[0][0].map).max()


class Head(nn.Module):
    """Pooling, something, and one dense layer; it writes into its input."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.act, self.between, self.fc = nn.Conv2d(1, 4, 3), nn.ReLU(), between, nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.between(self.act(self.conv(x.sub_(0.5))).mean((2, 3))))


def test_a_network_that_writes_into_its_input() -> None:
    clf, films = wrap(Head(nn.Identity())), some()
    plain, quick = both_ways(clf, [GradCAM(), CAM()], films)
    assert engines(quick) == {"openvino"}
    same(plain, quick)
    x = torch.stack([clf.preprocess(film) for film in films])
    kept = x.clone()
    assert Pass(clf, x, session=many()).cut().engine == "openvino" and torch.equal(x, kept)


class Looks(Head):
    """A network whose way depends on what it is given, as Python sees it."""

    def __init__(self, at: Callable[[torch.Tensor], object]) -> None:
        super().__init__(nn.Identity())
        self.at = at

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.cat([1 - each if self.at(each) else each.clone() for each in x.split(1)]))


@pytest.mark.parametrize("at", [lambda x: x[0, 0, 0, 0] > 0.5, lambda x: x.mean() > 0.3], ids=["guard", "mean"])
def test_a_network_whose_way_depends_on_the_films_is_left_to_torch(at: Callable[[torch.Tensor], object]) -> None:
    clf, films = wrap(Looks(at)), some()
    plain, quick = both_ways(clf, [GradCAM()], films, batch_size=1)
    assert engines(quick) == {"torch"}
    same(plain, quick)


def test_a_network_that_changes_as_it_runs_is_not_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counts(Head):
        def __init__(self) -> None:
            super().__init__(nn.Identity())
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x)

    monkeypatch.setattr(openvino_features, "compiled", lambda *_, **__: pytest.fail("converted"))
    plain, quick = both_ways(wrap(Counts()), [GradCAM()], some(), batch_size=2)
    assert engines(quick) == {"torch"}
    same(plain, quick)


def test_a_failing_pass_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    clf, real, fails = pooled(), openvino_features.compiled, list[bool]()

    def convert(*given: Any, **options: Any) -> Any:
        network = real(*given, **options)

        def ask(arrays: Any) -> Any:
            if fails:
                raise RuntimeError("no memory")
            return network(arrays)

        return ask

    monkeypatch.setattr(openvino_features, "compiled", convert)
    plain, quick = both_ways(clf, [GradCAM()], some())
    assert engines(quick) == {"openvino"}
    fails.append(True)
    again = explain(clf, some(), [GradCAM()], target=1, session=many())
    assert engines(again) == {"torch"}
    same(plain, again)


@dataclasses.dataclass(frozen=True)
class Slightly(GradCAM):
    """Another map with every seed, by less than two engines may differ."""

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        found = super().attribute(classifier, inputs, goal, generator)
        return Attribution(found.maps * (1 + 5e-4 * torch.rand(1, generator=generator)), found.details)


def test_a_map_of_one_engine_is_the_same_in_the_other() -> None:
    clf, film = pooled(), some(1)[0]
    job = many()
    beside, alone = (explain(clf, film, m, session=job)[0] for m in ([GradCAM(), FAST["saliency"]], [GradCAM()]))
    assert (beside.details["engine"], alone.details["engine"]) == ("torch", "openvino")
    found = [seed_repeatability(clf, film, e, GradCAM(), session=job) for e in (beside, alone)]
    assert [f.evidence["deterministic"] for f in found] == [True, True]
    noisy = Slightly()
    assert not seed_repeatability(clf, film, explain(clf, film, noisy), noisy).evidence["deterministic"]
    for off, same_map in ((5e-4, True), (5e-3, False)):  # engines may differ by more on other networks
        nearly = dataclasses.replace(alone, map=alone.map * np.float32(1 + off))
        assert seed_repeatability(clf, film, nearly, GradCAM()).evidence["deterministic"] == same_map


def test_another_head_is_left_to_torch_and_nothing_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_features, "compiled", lambda *_, **__: pytest.fail("converted"))
    plain, quick = both_ways(wrap(Head(nn.Tanh())), [GradCAM()], some())
    assert engines(quick) == {"torch"}
    same(plain, quick)


def test_a_head_that_is_pooling_and_a_dense_layer_for_some_films_only() -> None:
    clf, films = wrap(Head(nn.Hardtanh(-9.0, 9.0))), some(8)
    with torch.no_grad():
        clf.network.conv.weight.mul_(3.0)
        means = [clf.network.act(clf.network.conv(clf.preprocess(f)[None] - 0.5)).mean((2, 3)) for f in films]
    most = sorted((float(mean.max()), i) for i, mean in enumerate(means))
    pair = [films[most[0][1]], films[most[-1][1]]]
    clf.network.between.max_val = (most[0][0] + most[-1][0]) / 2  # clips the second film's
    plain = [[explain(clf, film, GradCAM(), target=1)] for film in pair]
    quick = [[explain(clf, film, GradCAM(), target=1, session=many())] for film in pair]
    assert [row[0].details["engine"] for row in quick] == ["openvino", "torch"]
    same(plain, quick)


@pytest.mark.parametrize("lies", [False, True], ids=["fails", "comes out otherwise"])
def test_what_openvino_does_not_do_is_left_to_torch(lies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clf = pooled()
    bias = [m for m in clf.network.modules() if isinstance(m, nn.Linear)][-1].bias.detach().numpy()
    with torch.no_grad():
        shape = Pass(clf, clf.preprocess(some(1)[0])[None]).cut().value.shape[1:]

    def convert(*_: object, **__: object) -> object:
        if not lies:
            raise ModelError("no")
        return lambda arrays: [np.tile(bias, (len(arrays[0]), 1)), np.zeros((len(arrays[0]), *shape), np.float32)]

    monkeypatch.setattr(openvino_features, "compiled", convert)
    plain, quick = both_ways(clf, [GradCAM()], some())
    assert engines(quick) == {"torch"} and remembers(clf.network, "features")
    same(plain, quick)


def test_a_folder_and_a_run_that_goes_on(tmp_path: Path) -> None:
    job = Session(worth_features=6, worth_converting=6)
    (tmp_path / "films").mkdir()
    for i, film in enumerate(some(6)):
        Image.fromarray(np.rint(film.pixels * 255).astype(np.uint8)).save(tmp_path / "films" / f"{i}.png")
    clf, config = pooled(), ManyConfig((GradCAM(),), batch_size=2)
    found = explain_many(clf, [tmp_path / "films"], tmp_path / "out", config, session=job)
    maps = sorted((tmp_path / "out" / "maps").rglob("*.npz"))
    kept = {file: load_explanation(file) for file in maps}
    assert engines([list(kept.values())]) == {"openvino"} and found.new == 6
    assert all(e.trust and e.trust["verdict"] for e in kept.values())
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6
    lines = (tmp_path / "out" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "out" / "journal.jsonl").write_bytes(b"".join(lines[:4]))  # as if it had died there
    assert explain_many(clf, [tmp_path / "films"], tmp_path / "out", config, session=job).new == 2
    assert all(np.array_equal(load_explanation(file).map, e.map) for file, e in kept.items())
