"""A network that answers with not-a-number: no command and no call takes that for an answer."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError, ExplainError, ModelError
from radiolucent.explainers import NoMap
from radiolucent.models import Classifier, build, save
from radiolucent.types import Head
from support.cli_calls import call


class Fails(nn.Module):
    """Answers films that begin with a bright pixel with not-a-number."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, :1, 0, 0] > 1.9, torch.nan, self.inner(x))


def model(head: Head = "softmax") -> Classifier:
    clf, _ = build("small_cnn", class_names=["well", "ill"], positive="ill", pretrained=False, size=32, head=head)
    return clf


def film(bright: bool, seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 200, (32, 32)).astype(np.uint8)
    pixels[:2, :2] = 255 if bright else 0
    return pixels


FILMS = [film(True, 0), film(False, 1), film(False, 2)]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three films, of which a loaded run answers the first with not-a-number."""
    for i, pixels in enumerate(FILMS):
        Image.fromarray(pixels).save(tmp_path / f"f{i}.png")
    return tmp_path


def of(path: Path, head: Head, monkeypatch: pytest.MonkeyPatch) -> Path:
    save(model(head), path / "run")

    def failing(*_: object, **__: object) -> Classifier:
        clf = model(head)
        return Classifier(Fails(clf.network).eval(), clf.class_names, clf.preprocess, 1, head, threshold=0.01)

    monkeypatch.setattr("radiolucent.models.load", failing)
    return path / "run"


@pytest.mark.parametrize("head", ["softmax", "multilabel"])
def test_that_film_is_left_out(head: Head, shown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = of(shown, head, monkeypatch)
    films = [shown / f"f{i}.png" for i in range(3)]
    told = call("predict", run, *films, "--json")
    found = json.loads(told.stdout)
    assert told.exit_code == 3 and [Path(p["image"]).name for p in found["predictions"]] == ["f1.png", "f2.png"]
    assert Path(found["left_out"][0]["file"]).name == "f0.png" and "not-a-number" in found["left_out"][0]["reason"]
    words = ["--method", "saliency", "--no-trust", "--no-panels", "--out", shown / "out"]
    said = call("explain", run, *films, *words)
    assert said.exit_code == 3 and "nan" not in said.stdout and "not-a-number" in said.output


def test_calls_and_probabilities_are_refused() -> None:
    clf = model()
    for ask in (clf.probabilities, clf.called, model("multilabel").calls):
        with pytest.raises(ModelError, match="not-a-number"):
            ask(torch.tensor([[0.0, torch.nan]]))


def test_maps_keep_the_order_of_the_films() -> None:
    clf = model()
    clf = Classifier(Fails(clf.network).eval(), clf.class_names, clf.preprocess, 1, "softmax")
    failed: list[NoMap] = []
    films = [rl.from_array(f, image_id=f"image {i}") for i, f in enumerate(FILMS)]
    found = rl.explain(clf, films, rl.Saliency(), left_out=failed)
    assert [e is None or e.image_id for e in found] == [True, "image 1", "image 2"]
    assert [f.image_id for f in failed] == ["image 0"] and "not-a-number" in failed[0].reason
    with pytest.raises(ExplainError, match="image 0: the network answers with not-a-number"):
        rl.explain(clf, films, rl.Saliency())
    with pytest.raises(ExplainError, match="not-a-number"):
        rl.explain(clf, films[:2], rl.LIME(50), target="ill")
    with pytest.raises(ConfigError, match=r"left_out \(\); expected a list"):
        rl.explain(clf, films, rl.Saliency(), left_out=())  # type: ignore[call-overload]
