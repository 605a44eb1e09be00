"""A film on which the shipped model takes nothing for lung: whatever shows a call says that there is none."""

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

import radiolucent as rl
from radiolucent.cli import app
from radiolucent.data.phantom import draw
from radiolucent.data.trained_on import films_of_run
from radiolucent.errors import ModelError
from radiolucent.study.case import make_case
from radiolucent.study.handover import hand_over


def test_a_forced_answer_is_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((200, 200), 90, np.uint8)).save(tmp_path / "flat.png")
    forced = CliRunner().invoke(app, ["predict", "box", "flat.png", "--force", "--json"])
    (told,) = json.loads(forced.stdout)["predictions"]
    assert forced.exit_code == 0 and told["called"] == "no call" and "texture of a lung" in told["no_call"]
    assert told["probability"] is None
    plain = CliRunner().invoke(app, ["predict", "box", "flat.png", "--force"])
    line = next(line for line in plain.stdout.splitlines() if line.startswith("flat.png"))
    assert "no call" in line and "82" not in line and "any such film: no call" in plain.stderr


@pytest.mark.parametrize("count", [1, 12])  # a few, and so many that another engine computes the features
def test_maps_of_such_a_film_say_that_there_is_no_call(count: int, tmp_path: Path) -> None:
    box = rl.load("box")
    for i in range(count):
        Image.fromarray(np.full((200, 200), 90, np.uint8)).save(tmp_path / f"flat{i}.png")
    words = ["explain", "box", str(tmp_path), "--force", "--method", "gradcam", "--no-trust", "--json"]
    words += ["--out", str(tmp_path / "out")] + ([] if count == 1 else ["--no-panels"])
    told = CliRunner().invoke(app, words)
    rows = list(csv.DictReader((tmp_path / "out" / "explanations.csv").read_text().splitlines()))
    assert len(rows) == len(json.loads(told.stdout)["explanations"]) == count
    for row in (*rows, *json.loads(told.stdout)["explanations"]):
        assert row["called"] == "no call" and not row["probability"] and "texture of a lung" in row["note"]
        assert row["target"] in box.class_names  # which the map is of
    for tool in ("fiftyone", "labelstudio"):
        assert hand_over(tmp_path / "out", tmp_path / tool, tool) == count
    assert "confidence" not in (tmp_path / "fiftyone" / "samples.json").read_text()
    assert "score" not in json.loads((tmp_path / "labelstudio" / "tasks.json").read_text())[0]["predictions"][0]


def test_a_case_without_a_call_is_neither_right_nor_wrong() -> None:
    box, film = rl.load("box"), rl.from_array(np.full((200, 200), 0.4, np.float32))
    case = make_case(box, film, box.logits(box.preprocess(film)[None]), "NORMAL")
    assert case.headline.startswith("no call: nothing on it") and case.right is None and case.chance == ""
    assert case.verdict == "no call, whatever the label" and case.called == "no call"


def test_an_exported_file_says_which_logits_are_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((200, 200), 90, np.uint8)).save(tmp_path / "flat.png")
    (tmp_path / "films").mkdir()
    for i in range(3):
        film = draw(np.random.default_rng([9, i]), size=160, pneumonia=bool(i % 2), marker="R", site=i)
        Image.fromarray(film.pixels).save(tmp_path / "films" / f"{i}.png")
    with pytest.raises(ModelError, match="--films FOLDER"):
        CliRunner().invoke(app, ["export", "box", "box.onnx"], catch_exceptions=False)
    for name in ("box.onnx", "box.xml"):
        told = CliRunner().invoke(app, ["export", "box", name, "--films", "films"], catch_exceptions=False)
        assert told.exit_code == 0 and "are no call: those of every film" in told.stderr
        assert "are no call" in json.loads((tmp_path / f"{name}.json").read_text())["note"]
        learned = films_of_run(name)
        assert learned is not None and learned.collection, "it learned from what the box did"
        found = CliRunner().invoke(app, ["predict", "--model", name, "flat.png", "films", "--force", "--json"])
        rows = json.loads(found.stdout)["predictions"]
        assert [r["called"] == "no call" for r in rows] == [True, False, False, False]
    (prop,) = onnx.load(str(tmp_path / "box.onnx")).metadata_props
    assert prop.key == "radiolucent_note" and "are no call" in prop.value
    cut = rl.own_model("box.onnx", ("", "PNEUMONIA"), head="multilabel")
    flat = cut.preprocess(rl.read("flat.png"))[None]
    answer = cut.logits(flat)
    assert answer.shape == (1, 1) and cut.no_call(answer).all() and len(cut.without_lung or ()) == 1
    rl.save(cut, "labels.safetensors")
    told = CliRunner().invoke(app, ["predict", "labels.safetensors", "flat.png", "--force", "--json"])
    (row,) = json.loads(told.stdout)["predictions"]
    assert row["called"] == "no call" and row["probability"] is None
    one = cut.of_label("PNEUMONIA")
    assert one.no_call(one.logits(flat)).all()
    described = json.loads((tmp_path / "box.onnx.json").read_text())
    (tmp_path / "box.xml.json").write_text(json.dumps(described | {"without_lung": [1.0]}))
    with pytest.raises(ModelError, match="without_lung has 1 logits"):
        rl.own_model("box.xml")
    again = rl.own_model("box.onnx")
    rl.save(again, "kept.safetensors")
    assert rl.load("kept.safetensors").without_lung == rl.load("box").without_lung == again.without_lung
