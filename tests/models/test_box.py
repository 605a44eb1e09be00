"""The model that comes with the package: that it is there, small, safe to load, calibrated, and says what it is for."""

import csv
import dataclasses
import hashlib
import json
import pickle
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from PIL import Image
from typer.testing import CliRunner

import radiolucent as rl
from radiolucent.cli import app
from radiolucent.data.phantom import draw
from radiolucent.errors import CheckpointError, ModelError
from radiolucent.files import sha256_file
from radiolucent.models import box_card, box_path, names_box

ROOT = Path(__file__).resolve().parents[2]
USE = "research only, not for diagnosis"
FINDER = "37ba4a5a5f13971fe844221dabf7e45dcdb7ba0fbcdfb021a659cd95bda2a001"
"""Of the weights of segmenter 613bd1288be8, which the box was trained with."""


def write_films(folder: Path, count: int = 4) -> Path:
    for i in range(count):
        place = folder / ("PNEUMONIA" if i % 2 else "NORMAL")
        place.mkdir(parents=True, exist_ok=True)
        film = draw(np.random.default_rng([9, i]), size=160, pneumonia=bool(i % 2), marker="R", site=i % 3)
        Image.fromarray(film.pixels).save(place / f"p{i}.png")
    return folder


def test_it_is_loaded_by_name_and_predicts_a_phantom() -> None:
    box = rl.load("box")
    assert box.class_names == ("NORMAL", "PNEUMONIA") and box.positive == 1 and box.provenance["use"] == USE
    film = rl.from_array(draw(np.random.default_rng(4), size=200, pneumonia=True, marker="R", site=0).pixels / 255)
    chance = box.probabilities(box.logits(box.preprocess(film)[None]))[0]
    assert float(chance.sum()) == pytest.approx(1) and 0 < float(chance[1]) < 1
    assert 0 < box.threshold < 1 and box.temperature != 1


def test_it_is_small_and_its_card_is_its_own() -> None:
    assert box_path().stat().st_size <= 8_000_000
    card = box_card()
    assert card["sha256"] == sha256_file(box_path()) and card["use"] == USE and "CC BY 4.0" in card["data"]["licence"]
    page = (ROOT / "docs" / "reference" / "cards" / "box.md").read_text(encoding="utf-8")
    assert re.findall(r"SHA-256 `([0-9a-f]{64})`", page) == [card["sha256"]]
    whole = card["cross_validation"]["auroc"]
    assert whole["low"] < whole["value"] < whole["high"] and whole["n"] > 2000
    assert f"{whole['value']:.3f}" in page and f"{card['no_lungs']['no_lungs.boxed.inpaint']['value']:.3f}" in page


def test_its_card_shows_no_answer_from_outside_the_lungs() -> None:
    card = box_card()
    limits = {"no_lungs": 0.6, "silhouette": 0.6, "border_only": 0.55}
    for masks in ("no_lungs", "no_lungs_drawn"):
        rows = {n: e["value"] for n, e in card[masks].items() if n.partition(".")[0] in limits}
        assert len(rows) == 19 and {n: v for n, v in rows.items() if v > limits[n.partition(".")[0]]} == {}
        assert card[masks]["original"]["value"] > 0.97


def test_its_card_shows_reasons_beside_those_of_the_version_before() -> None:
    card = box_card()
    ours, before = card["reasons"], card["before"]["reasons"]
    assert ours["seen"]["score"]["low"] > 0.703  # where version 1's interval ended
    assert ours["drawn"]["score"]["high"] > before["drawn"]["score"]["value"] > 0.5  # the same masks for both
    assert ours["drawn"]["score"]["low"] > 0.5
    assert ours["seen"].keys() == {"score", "paint", "remove", "sham", "lungs", "outside"}
    page = (ROOT / "docs" / "reference" / "cards" / "box.md").read_text(encoding="utf-8")
    assert f"{ours['seen']['score']['value']:.3f}" in page and "aims at what the" in page


def test_its_card_tells_the_folds_that_no_choice_looked_at() -> None:
    card = box_card()
    ours, before = (c["cross_validation_unseen"]["auroc"] for c in (card, card["before"]))
    assert ours["n"] == before["n"] < card["cross_validation"]["auroc"]["n"] and ours["low"] > before["value"]
    page = (ROOT / "docs" / "reference" / "cards" / "box.md").read_text(encoding="utf-8")
    assert f"{ours['value']:.3f} ({ours['low']:.3f}–{ours['high']:.3f})" in page and "were looked at" in page


def test_where_the_weights_of_others_came_from_lies_beside_them() -> None:
    notice = box_path().with_name("box.NOTICE.txt").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "reference" / "cards" / "box.md").read_text(encoding="utf-8")
    assert "END OF TERMS AND CONDITIONS" in notice and "EfficientNet-Lite0" in notice
    assert (
        "EfficientNet-Lite0" in page
        and "Apache License 2.0" in page
        and "Apache" in rl.load("box").provenance["begun_from"]
    )


def test_a_film_without_the_texture_of_lungs_gets_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("radiolucent.segment.out_of_place.out_of_place", lambda film: ())
    Image.fromarray(np.full((200, 200), 90, np.uint8)).save(tmp_path / "flat.png")
    found = CliRunner().invoke(app, ["predict", "box", "flat.png", "--json"])
    assert "texture of a lung" in found.output and found.exit_code != 0
    assert CliRunner().invoke(app, ["predict", "box", "flat.png", "--force", "--json"]).exit_code == 0


def labelled(folder: Path) -> Path:
    """Phantoms, and among the normal ones a film without lungs."""
    Image.fromarray(np.full((200, 200), 90, np.uint8)).save(write_films(folder) / "NORMAL" / "flat.png")
    return folder


def test_predictions_tell_the_answer_of_any_film_without_lung(tmp_path: Path) -> None:
    films = sorted(labelled(tmp_path).rglob("*.png"))
    found = rl.predict(rl.load("box"), films)
    expected = [f.name == "flat.png" for f in films]
    assert found.no_call.tolist() == expected == [row["no_call"] for row in found.rows()]
    assert "1 without lung (no call)" in repr(found) and found.called[expected].all()  # of the threshold: a call
    other = dataclasses.replace(found, without_lung=None)
    assert not other.no_call.any() and "no_call" not in other.rows()[0] and "no call" not in repr(other)


def test_an_evaluation_says_on_how_many_films_there_is_no_lung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["evaluate", "box", str(labelled(tmp_path / "data")), "--out", "ev", "--json"])
    assert found.exit_code == 0, found.output
    told = json.loads((tmp_path / "ev" / "evaluation.json").read_text())
    assert any("on 1 of 5 films nothing has the texture of a lung" in note for note in told["notes"])
    rows = list(csv.DictReader((tmp_path / "ev" / "predictions.csv").read_text().splitlines()))
    assert {r["image"]: r["no_call"] for r in rows if r["no_call"] == "1"} == {"NORMAL/flat.png": "1"} and len(
        rows
    ) == 5


def test_an_answer_that_was_forced_says_that_it_is_any_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labelled(tmp_path)
    films = ["NORMAL/flat.png", "NORMAL/p0.png"]
    shown = CliRunner().invoke(app, ["predict", "box", *films, "--force"]).output
    assert "flat.png: nothing on it has the texture of a lung" in shown and "p0.png: nothing" not in shown
    told = json.loads(CliRunner().invoke(app, ["predict", "box", *films, "--force", "--json"]).stdout)
    assert ["no_call" in row for row in told["predictions"]] == [True, False]


@pytest.mark.parametrize("name", ["box.onnx", "box.xml"])
def test_it_is_exported_and_compared_on_films_that_it_answers(name: str, tmp_path: Path) -> None:
    box = rl.load("box")
    with pytest.raises(ModelError, match="says the same"):  # on noise it gives all one answer
        rl.export(box, tmp_path / name)
    films = [rl.read(f) for f in sorted(write_films(tmp_path / "films").rglob("*.png"))]
    found = rl.export(box, tmp_path / name, films=films)
    assert found.moves > 0.1 and found.difference < 1e-3 and (tmp_path / name).is_file()


def test_another_models_card_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radiolucent.models.box.sha256_file", lambda _: "0" * 64)
    with pytest.raises(CheckpointError, match="another model's card"):
        box_card()


def test_its_finder_is_the_segmenter_that_its_card_names() -> None:
    finder = rl.load("box").network.finder.state_dict()
    weights = b"".join(finder[n].half().contiguous().numpy().tobytes() for n in sorted(finder))
    assert hashlib.sha256(weights).hexdigest() == FINDER


def test_other_films_can_be_learnt_from_its_weights() -> None:
    box = rl.load("box")
    arguments = box.architecture["arguments"]
    made, report = rl.build("in_lungs", class_names=("A", "B"), positive="B", weights=box_path(), **arguments)
    assert not report.missing and not report.mismatched
    assert all(torch.equal(t, box.network.state_dict()[n]) for n, t in made.network.state_dict().items())


def test_loading_it_executes_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("unpickled")

    for where, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(where, name, refuse)
    rl.load("box")
    start = box_path().read_bytes()[:9]  # safetensors: the header's length, then JSON
    assert int.from_bytes(start[:8], "little") < 100_000 and start[8:] == b"{"


def test_a_run_named_box_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "box").mkdir()
    assert names_box("box") and not names_box("./box/") and not names_box(tmp_path / "box")
    mine, _ = rl.build("small_cnn", class_names=("A", "B"), positive="B", size=32, widths=(4,))
    rl.save(mine, tmp_path / "box")
    assert not names_box("box") and rl.load("box").class_names == ("A", "B")


def test_wheel_and_sdist_carry_it(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    named = {f"radiolucent/models/box.{end}" for end in ("safetensors", "json", "NOTICE.txt")}
    with zipfile.ZipFile(wheel) as inside:
        assert named <= set(inside.namelist())
        assert inside.read("radiolucent/models/box.safetensors") == box_path().read_bytes()
    source = next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with tarfile.open(source) as inside:
        names = {name.split("/", 1)[-1] for name in inside.getnames()}
    assert {f"src/{name}" for name in named} | {"scripts/train_box.py"} <= names


def test_commands_take_it_and_say_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    films = write_films(tmp_path / "films")
    one = str(films / "PNEUMONIA" / "p1.png")
    for given in (["explain", one, "--method", "gradcam", "--force"], ["predict", one, "--force"]):
        found = CliRunner().invoke(app, given)
        assert found.exit_code == 0, found.output
        assert "answered by the model that comes with radiolucent" in found.output and USE in found.output
    assert len(list(tmp_path.glob("explanations/*.png"))) == 1
    for given in (["evaluate", "box", str(films)], ["predict", "box", one], ["explain", "box", one, "--method", "cam"]):
        out = [] if given[0] != "explain" else ["--out", str(tmp_path / "again"), "--no-panels", "--no-trust"]
        out += [] if given[0] == "evaluate" else ["--force"]
        found = CliRunner().invoke(app, [*given, *out, "--json"])
        assert found.exit_code == 0 and json.loads(found.stdout)["use"] == USE


def test_the_audit_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    films = write_films(tmp_path / "films", 6)
    found = CliRunner().invoke(app, ["audit", "box", str(films), "--tests", "border,regions.border", "--json"])
    said = json.loads(found.stdout)
    assert found.exit_code == {"pass": 0, "inconclusive": 1, "fail": 4}[said["verdict"]], found.output
    assert said["use"] == USE and said["films"] == 6
    assert "Not for diagnosis" in (tmp_path / "box-audit" / "audit.html").read_text(encoding="utf-8")


def test_what_is_no_run_and_no_image_is_named(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["predict", "box"])
    assert found.exit_code == 2 and "give images or folders" in found.output
    (tmp_path / "config.json").write_text("{}")
    found = CliRunner().invoke(app, ["explain", str(tmp_path)])
    assert found.exit_code == 2 and "without a finished model" in found.output
    found = CliRunner().invoke(app, ["evaluate", "nowhere", str(tmp_path)])
    assert found.exit_code == 2 and "does not exist" in found.output


@pytest.mark.realdata
def test_it_tells_real_films_apart_and_not_without_their_lungs(realdata: Path) -> None:
    from radiolucent.audits.trial.examine import examine
    from radiolucent.audits.trial.maskers import seen_lungs
    from radiolucent.data import load_dataset, split_dataset

    held = split_dataset(load_dataset(realdata / "chest_xray"), val=0.1, test=0.1, seed=0).split("test").records[::9]
    found = examine(rl.load("box"), held, lungs=seen_lungs, tests=("regions.",), methods=(), data_checks=False)
    table = found.table
    whole = rl.evaluate(rl.predict(rl.load("box"), held)).estimates["auroc"].value or 0
    assert whole > 0.96 and len(table) == len(held)
    verdicts = {f.test: f.verdict for f in found.findings}
    assert verdicts["regions.no_lungs"] != "fail" and verdicts["regions.border_only"] != "fail"
