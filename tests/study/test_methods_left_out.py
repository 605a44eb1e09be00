"""A method that a network refuses is left out and told of; the others go on."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import radiolucent as rl
from radiolucent.cli import app
from radiolucent.data import load_dataset
from radiolucent.data.phantom import PhantomConfig, generate
from radiolucent.errors import ExplainError
from radiolucent.explainers import METHODS, NoMap
from radiolucent.models import BOX, load
from radiolucent.study.doctors import _maps
from radiolucent.study.maps import methods_without
from radiolucent.study.progress import quiet


class Flat(nn.Module):
    """Without feature maps, so that Grad-CAM has no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(32 * 32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(x.flatten(1))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("refused") / "phantom"
    generate(root, PhantomConfig(patients=30, films=1, size=64, seed=3), workers=1)
    return root


def call(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_explain_lists_what_it_leaves_out(phantom: Path) -> None:
    box, files = load(BOX), sorted(phantom.rglob("*.png"))[:2]
    with pytest.raises(ExplainError, match="DeepLift has no rule"):
        rl.explain(box, files, ["gradcam", "deeplift", "cam"])
    left: list[NoMap] = []
    maps = rl.explain(box, files, ["gradcam", "deeplift", "cam"], left_out=left)
    assert [[e.method for e in some] for some in maps] == [["gradcam", "cam"]] * 2
    assert [(one.image_id, one.method) for one in left] == [(e.image_id, "deeplift") for e, _ in maps]
    with pytest.raises(ExplainError, match="DeepLift has no rule"):  # nothing at all
        rl.explain(box, files, ["deeplift"], left_out=[])


def test_each_method_keeps_its_own_reason_where_none_gives_a_map(phantom: Path) -> None:
    box, records = load(BOX), load_dataset(phantom).split("test").records[:1]
    prepared, ids, none = SimpleNamespace(dataset=SimpleNamespace(records=records)), [records[0].image_id], []
    methods = [METHODS["deeplift"](), METHODS["lrp"]()]
    assert _maps(prepared, box, ids, methods, 0, quiet, "explaining", none) == [[], []]
    told = dict(methods_without(none))
    assert len(none) == len(told) == 2 and told["deeplift"].startswith("of 1 film: DeepLift has no rule")
    assert "deeplift" not in told["lrp"].casefold()


def test_on_the_command_line(phantom: Path, tmp_path: Path) -> None:
    film = sorted((phantom / "test" / "PNEUMONIA").glob("*.png"))[0]
    words = ("explain", "box", film, "--force", "--no-trust", "--no-panels", "--method", "gradcam,deeplift", "--out")
    status, out, said = call(*words, tmp_path / "json", "--json")
    found = json.loads(out)
    assert status == 3 and [r["method"] for r in found["explanations"]] == ["gradcam"] and not found["left_out"]
    (none,) = found["methods_left_out"]
    assert none["method"] == "deeplift" and "has no rule" in none["reason"]
    status, out, said = call(*words, tmp_path / "plain")
    assert status == 3 and "no map by deeplift: DeepLift has no rule" in said
    assert out.count(film.name) == 1 and "no map by" in call(*words, tmp_path / "plain", "--quiet")[2]
    refused = ("explain", "box", film, "--force", "--no-trust", "--method", "deeplift,lrp", "--out", tmp_path / "none")
    result = CliRunner().invoke(app, [str(w) for w in refused])
    assert isinstance(result.exception, ExplainError) and re.search(r"deeplift: .* lrp: ", str(result.exception))
    assert not result.stdout, "an answer before the error"


def test_comparing_with_doctors(phantom: Path) -> None:
    words = ("compare", "box", phantom / "test", "--annotations", phantom / "annotations.json", "--method")
    status, out, _ = call(*words, "deeplift,gradcam", "--json")
    found = json.loads(out)
    assert status == 3 and list(found["agreement"]) == ["gradcam"]
    assert [one["method"] for one in found["methods_left_out"]] == ["deeplift"]
    with pytest.raises(ExplainError, match="DeepLift has no rule"):
        call(*words, "deeplift")


@pytest.mark.slow
def test_a_study_of_a_network_that_grad_cam_refuses(phantom: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RADIOLUCENT_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    status, _, said = call(
        "study", phantom, "--out", run, "--model", f"{__name__}:Flat", "--size", 32, "--epochs", 1,
        "--lime-samples", 20, "--cases", 2, "--annotations", phantom / "annotations.json",
    )  # fmt: skip
    assert status == 3 and "no map by gradcam" in said and (run / "report.html").is_file()
    found = json.loads((run / "summary.json").read_text())
    assert "lime" in found["agreement"] and "gradcam" not in found["agreement"]
    assert {one["method"] for one in found["methods_left_out"]} == {"gradcam"}
    assert list(found["trust"]) == ["lime"] and "No map by gradcam" in (run / "report.html").read_text()
