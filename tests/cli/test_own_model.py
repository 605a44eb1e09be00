"""`--model` in the place of a run, and `export`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import radiolucent as rl
from radiolucent.errors import ConfigError, ModelError
from support.cli_calls import call

SOURCE = """
import torch, radiolucent as rl
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

def classifier():
    return rl.wrap(make(), ("NORMAL", "PNEUMONIA"), preprocess=rl.Preprocess(32, "squash", 1, (0.5,), (0.25,)))
"""
GIVEN = ("--class-names", "NORMAL,PNEUMONIA", "--model-options", "size=32,mean=0.5,std=0.25,threshold=0.4")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "their_networks.py").write_text(SOURCE, encoding="utf-8")
    draw = np.random.default_rng(0)
    for name in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "data" / "test" / name).mkdir(parents=True)
        for i in range(3):
            film = Image.fromarray((draw.random((40, 36)) * 255).astype(np.uint8))
            film.save(tmp_path / "data" / "test" / name / f"{name}{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_model_takes_the_place_of_a_run(folder: Path) -> None:
    film = "data/test/NORMAL/NORMAL0.png"
    told: list[Any] = [
        json.loads(call("predict", *words, "--json").stdout)
        for words in (
            ("--model", "their_networks:make", *GIVEN, film),
            (film, "--model=their_networks:make", *GIVEN),
            ("their_networks:classifier", film),
        )
    ]
    assert told[0]["predictions"] == told[1]["predictions"] and told[0]["threshold"] == 0.4
    chances = [each["predictions"][0]["probability"] for each in told]
    assert chances[0] == chances[2] and told[2]["threshold"] == 0.5
    named = ("--model", "their_networks:classifier")
    answered = call("evaluate", *named, "data", "--json")
    scored = json.loads(answered.stdout)
    assert "not known which films this model was trained on" in answered.stderr
    assert scored["trained_on"] is None and "auroc" in json.dumps(scored)
    drawn = call("explain", "--method", "gradcam", "--no-trust", "--no-panels", film, *named, "--json", "-o", "maps")
    assert len(json.loads(drawn.stdout)["explanations"]) == 1
    assert call("features", *named, film, "--ascent", "0", "-o", "inside").exit_code == 0
    assert any((folder / "inside").iterdir())
    read = ("--study", "pilot", "--limit", "1", "--no-browser", "--export", "readings")
    assert call("review", *named, "data", *read).exit_code == 0 and (folder / "readings" / "readings.csv").is_file()


def test_what_goes_wrong_with_it_is_wrong_usage() -> None:
    film = "data/test/NORMAL/NORMAL0.png"
    assert "goes with --model" in call("predict", "--weights", "w.pth", film).output
    assert call("predict", film, "--model").exit_code == 2
    for options in ("size=big", "colour=red", "size", "mean=a", "channels=2", "mean=0.1/0.2"):
        with pytest.raises(ConfigError, match="--model-options"):
            call("predict", "--model", "their_networks:make", *GIVEN[:2], "--model-options", options, film)
    Path("model.onnx").write_bytes(b"")
    assert "--model" in call("predict", "model.onnx", film).output


def test_a_file_of_options_names_the_model() -> None:
    film = "data/test/NORMAL/NORMAL0.png"
    Path("mine.toml").write_text(
        'model = "their_networks:make"\nclass-names = ["NORMAL", "PNEUMONIA"]\n'
        "model_options = {size = 32, mean = [0.5], std = 0.25, threshold = 0.4}\n",
        encoding="utf-8",
    )
    typed = call("predict", "--model", "their_networks:make", *GIVEN, film, "--json").stdout
    assert call("predict", film, "--config", "mine.toml", "--json").stdout == typed
    first = ("--model-options", "size=32,mean=0.5,std=0.25,threshold=0.3")
    assert json.loads(call("predict", "--config=mine.toml", *first, film, "--json").stdout)["threshold"] == 0.3


def test_runs_and_weights_are_told_from_models() -> None:
    film = "data/test/NORMAL/NORMAL0.png"
    assert call("predict", "--model", "box", film, "--json").stdout == call("predict", film, "--json").stdout
    with pytest.raises(ConfigError, match="leave --weights out"):
        call("predict", "--model", "box", "--weights", "w.pth", film)
    with pytest.raises(ModelError, match=r"--weights w\.pth"):
        call("predict", "--model", "w.pth", film)
    for command in (("repair", "data"), ("report",)):
        refused = call(*command, "--model", "their_networks:classifier")
        assert refused.exit_code == 2 and "radiolucent audit --model" in " ".join(refused.output.split())


def test_a_network_of_ones_own_is_trained_and_taken_for_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADIOLUCENT_CACHE", str(folder / "cache"))
    for name in ("NORMAL", "PNEUMONIA"):  # the test films again, as patients to learn from
        for split in ("train", "val"):
            (folder / "data" / split / name).mkdir(parents=True)
            for i in range(3):
                noise = np.random.default_rng([i, len(name), len(split)]).random((40, 36))
                Image.fromarray((noise * 255).astype(np.uint8)).save(folder / "data" / split / name / f"{i}.png")
    short = ("--size", "32", "--epochs", "1", "--freeze", "1 layers", "--out", "run")
    trained = call("train", "data", "--model", "their_networks:make", *short)
    assert trained.exit_code == 0, trained.output
    assert rl.load("run").architecture["source"] == "their_networks:make"  # its module is imported by now
    assert call("evaluate", "run", "data").exit_code == 0
    for source, words in (("model.onnx", "cannot be trained"), ("their_networks:classifier", "leave --size 32 out")):
        with pytest.raises((ConfigError, ModelError), match=words):
            call("train", "data", "--model", source, *short[:-1], "other")


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_export_says_how_far_the_file_is_off(to: str, folder: Path) -> None:
    pytest.importorskip(to)
    words = ("export", "--model", "their_networks:classifier", "--to", to, "out")
    told = json.loads(call(*words, "--films", "data", "--json").stdout)
    file = Path(told["file"])
    assert file.is_file() and told["images"] == 6 and told["on"] == "films"
    assert told["difference"] <= told["tolerance"] and told["moves"] > 0
    assert "within" in call(*words).output and "8 images of noise" in " ".join(call(*words).output.split())
    if to == "onnx":
        pytest.importorskip("onnxruntime")
        film = rl.read("data/test/NORMAL/NORMAL0.png")
        made = rl.load("their_networks:classifier")
        answers = json.loads(call("predict", "--model", str(file), "data/test/NORMAL/NORMAL0.png", "--json").stdout)
        expected = made.probabilities(made.logits(made.preprocess(film)[None]))[0, 1]
        assert answers["predictions"][0]["probability"]["PNEUMONIA"] == pytest.approx(float(expected), abs=1e-4)
