"""Repair and recheck on phantoms whose guilt is known."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from radiolucent.audits.trial.planted import Pool, pool
from radiolucent.audits.trial.planted_films import planted_films
from radiolucent.cli import app
from radiolucent.data import Dataset, PixelCache, Record, load_dataset, write_manifest
from radiolucent.errors import ConfigError, DataError
from radiolucent.models import Classifier, build, load
from radiolucent.reports.repair_page import interval, write_repair
from radiolucent.study import Repair, RepairConfig, StudyConfig, repair, repair_bench, train_only
from radiolucent.study.counterfactual import Counterfactual
from radiolucent.study.paired_differences import FIGURES, costs
from radiolucent.study.prepared import Prepared
from radiolucent.study.region_masks import Layers
from radiolucent.study.remedies import AUTO, REMEDIES, Plan, best_of, followed, named, validation_row
from radiolucent.study.repair_settings import same_settings, settings_of
from radiolucent.study.repaired import BEFORE, Repaired
from radiolucent.study.trained import Schooling
from radiolucent.types import Estimate, Finding, Predictions


@pytest.fixture(scope="module", autouse=True)
def no_data_checks() -> Iterator[None]:
    """Tests of the data stand elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("radiolucent.study.prepared.check", lambda *_, **__: [])
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on phantoms whose ill training films all carry a marker."""
    root = tmp_path_factory.mktemp("repair")
    planted_films(root / "films", films=(160, 100, 100), seed=5, drawn=pool(360, 64, 5))
    config = StudyConfig(
        data=root / "films" / "manifest.csv", out=root / "run", model="small_cnn", pretrained=False, size=64,
        epochs=12, cache=root / "cache",
    )  # fmt: skip
    train_only(config)
    return root


def _config(home: Path, **changes: object) -> RepairConfig:
    masks = home / "films" / "masks"
    given: dict[str, object] = {"lungs": masks / "lungs", "markers": masks / "markers", "methods": ("randomise",)}
    return RepairConfig(home / "run", home / "films" / "manifest.csv", **(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def randomised(home: Path) -> Repair:
    """That run, and the same trained again with markers at random, audited."""
    return repair(_config(home))


def test_a_planted_marker_fails_and_markers_at_random_mend_it(home: Path, randomised: Repair) -> None:
    before, after = randomised.rows
    markers = {"marker.remove", "marker.paste", "marker.move"}
    assert before.verdict == "fail" and markers & set(before.failing)
    assert not markers & set(after.failing)
    lead = randomised.lead
    assert lead is not None
    left, was = after.tests[lead].estimate, before.tests[lead].estimate
    assert left is not None and was is not None and abs(left.value or 0) < 0.5 * abs(was.value or 0)
    change = after.costs["auroc"]
    assert change.value is not None and change.value > -0.01
    written = json.loads((home / "run" / "repair" / "repair.json").read_text())
    assert [r["method"] for r in written["rows"]] == ["as it is", "randomise"]


def test_auto_keeps_what_follows_least_on_validation(home: Path, randomised: Repair) -> None:
    """Markers at random, which are not trained twice, surroundings exchanged, and what discovery finds after that."""
    history = home / "run" / "repair" / randomised.rows[1].method / "history.csv"
    stamp = history.stat().st_mtime_ns
    found = repair(_config(home, methods=("auto",), films=20))
    assert history.stat().st_mtime_ns == stamp
    assert set(found.chosen_by) == {"as it is", *AUTO}
    tried = {name: row for name, row in found.chosen_by.items() if "left_out" not in row}
    assert tried["surroundings"]["reasons"]["value"] > tried["as it is"]["reasons"]["value"] + 0.1
    assert "surroundings" in tried["as it is"]["follows"] and "surroundings" not in tried["surroundings"]["follows"]
    assert found.rows[1].method == best_of(found.chosen_by)
    written = json.loads((home / "run" / "repair" / "repair.json").read_text())
    assert written["chosen_by"].keys() == found.chosen_by.keys()
    with pytest.raises(ConfigError, match="alone"):
        _config(home, methods=("auto", "crop"))


def test_last_layer_keeps_all_other_weights(home: Path) -> None:
    repair(_config(home, methods=("last-layer",), films=20))
    before, last = (
        dict(load(p).network.named_parameters()) for p in (home / "run", home / "run" / "repair" / "last-layer")
    )
    changed = {name for name, value in before.items() if not bool((value == last[name]).all())}
    assert changed and all(name.startswith("head.") for name in changed)


def _plan(pixels: np.ndarray, labels: np.ndarray, **fields: object) -> Plan:
    """A plan for films (N, 64, 64), the first three quarters of which are trained on."""
    count = len(labels)
    records = tuple(
        Record(Path(str(i)), str(i), int(labels[i]), str(i), "train" if i < 0.75 * count else "val")
        for i in range(count)
    )
    start = build("small_cnn", size=64, widths=(8, 16), hidden=0, pretrained=False, seed=0)[0]
    cache = PixelCache(pixels, records, ((64, 64),) * count, start.preprocess)
    prepared = Prepared(Dataset(records, ("NORMAL", "PNEUMONIA")), (), cache)
    return dataclasses.replace(Plan(prepared, Schooling()), **fields)  # type: ignore[arg-type]


def _layers(films: Pool) -> Layers:
    nothing = np.zeros_like(films.lungs)
    return Layers(films.lungs, np.ones(len(films), bool), nothing, nothing)


def _epoch(plan: Plan, number: int) -> np.ndarray:
    cache, rows = plan.prepared.cache, np.array(plan.prepared.rows("train"))
    films = cache.pixels[rows]
    for redraw in plan.schooling.redraw:
        films = redraw.apply(films, rows, (0, number))
    return films


def test_surroundings_tell_nothing_of_the_class_and_change_every_epoch() -> None:
    """The lower right of ill films is white, of the others black: exchanged, it is as often either in both classes."""
    films = pool(80, 64, 5)
    pixels, ill = films.pixels.copy(), films.labels == 1
    pixels[:, 54:, 48:] = np.where(ill, 255, 0)[:, None, None]
    layers = _layers(films)
    plan = REMEDIES["surroundings"].apply(_plan(pixels, films.labels), layers, 1.0, 0)
    epochs = np.stack([_epoch(plan, k) for k in range(8)])
    assert (epochs[0] != epochs[1]).any() and (epochs[0] == _epoch(plan, 0)).all()
    white = np.median(epochs[:, :, 57:62, 52:60], (2, 3)) > 127
    assert 0.35 < white[:, ill[:60]].mean() < 0.65 and 0.35 < white[:, ~ill[:60]].mean() < 0.65
    # The lungs stay this patient's, in their own place or laid into the donor's.
    inside = np.stack([ndimage.binary_erosion(m, iterations=3) for m in films.lungs[:60]])
    same = [(e[inside] == pixels[:60][inside]).mean() for e in epochs]
    assert 0.5 < np.mean(same) < 0.9
    plan = plan.settled(0)  # validation films once, of one another
    changed = (plan.prepared.cache.pixels != pixels).any((1, 2))
    assert not changed[:60].any() and changed[60:].mean() > 0.6
    blind = dataclasses.replace(layers, lungs_known=np.zeros(80, bool))
    with pytest.raises(DataError, match="--lungs"):
        REMEDIES["surroundings"].apply(_plan(pixels, films.labels), blind, 1.0, 0)


def test_films_borrow_from_their_own_split_alone() -> None:
    """Validation films are white all over: no training film has anything of them."""
    films = pool(80, 64, 5)
    pixels = np.minimum(films.pixels, 200)
    pixels[60:] = 255
    plan = REMEDIES["surroundings"].apply(_plan(pixels, films.labels), _layers(films), 1.0, 0)
    assert max(_epoch(plan, k).max() for k in range(4)) < 255


def test_what_discovery_found_is_exchanged_and_what_lies_beside_the_lungs_only_once() -> None:
    films = pool(80, 64, 5)
    ill = films.labels == 1
    pixels = np.minimum(films.pixels, 200)
    pixels[ill, 56:61, 50:55] = 255
    alone = REMEDIES["discovered"].apply(
        _plan(pixels, films.labels, channels=("surroundings",)), _layers(films), 1.0, 3
    )
    spot = np.stack([_epoch(alone, k) for k in range(6)])[:, :, 57:60, 51:54].mean((2, 3)) > 240
    assert 0.35 < spot[:, ill[:60]].mean() < 0.65 and 0.35 < spot[:, ~ill[:60]].mean() < 0.65
    plan = _plan(pixels, films.labels, channels=("surroundings", "fine", "inside"))
    for name in ("surroundings", "discovered"):
        plan = REMEDIES[name].apply(plan, _layers(films), 1.0, 3)
    (one,) = plan.schooling.redraw
    assert isinstance(one, Counterfactual) and one.surroundings and set(one.channels) == {"inside"}
    with pytest.raises(DataError, match="found nothing"):
        REMEDIES["discovered"].apply(_plan(pixels, films.labels), _layers(films), 1.0, 3)


def test_a_channel_that_reaches_beyond_the_lungs_stays_half_and_half_with_surroundings() -> None:
    """Two channels that both show the donor's corner: with surroundings it is of either class as often, not oftener."""
    films = pool(80, 64, 5)
    pixels, ill = films.pixels.copy(), films.labels == 1
    pixels[:, 54:, 48:] = np.where(ill, 255, 0)[:, None, None]
    plan = REMEDIES["surroundings"].apply(_plan(pixels, films.labels), _layers(films), 1.0, 0)
    whole = {name: lambda recipient, donor: donor.grey / np.float32(255) for name in ("one", "two")}
    plan = plan.redrawn(dataclasses.replace(plan.schooling.redraw[0], channels=whole))  # type: ignore[type-var]
    white = np.median(np.stack([_epoch(plan, k) for k in range(8)])[:, :, 57:62, 52:60], (2, 3)) > 127
    assert 0.4 < white[:, ill[:60]].mean() < 0.6 and 0.4 < white[:, ~ill[:60]].mean() < 0.6


def test_groups_are_balanced() -> None:
    """A quarter of the ill films is negative: balanced, half of them are."""
    films = pool(80, 64, 5)
    pixels, ill = films.pixels.copy(), films.labels == 1
    few = np.flatnonzero(ill)[:10]
    pixels[few] = 255 - pixels[few]
    start = build("small_cnn", size=64, widths=(8, 16), hidden=0, pretrained=False, seed=0)[0]
    made = REMEDIES["balance"].apply(_plan(pixels, films.labels, before=start), _layers(films), 1.0, 3)
    balanced = made.prepared.cache.pixels
    same = [sum(bool((balanced[i] == pixels[k]).all()) for k in few) > 0 for i in np.flatnonzero(ill[:60])]
    assert 0.4 <= np.mean(same) <= 0.6
    with pytest.raises(DataError, match="no feature maps"):
        REMEDIES["balance"].apply(_plan(pixels, films.labels), _layers(films), 1.0, 3)


def test_what_is_followed_least_is_kept() -> None:
    def row(score: float, *follows: str) -> dict[str, object]:
        return {"reasons": {"value": score}, "follows": list(follows)}

    tried = {"as it is": row(0.1), "randomise": row(0.9, "surroundings"), "surroundings": row(0.5)}
    assert best_of(tried) == "surroundings"
    assert best_of(tried | {"as it is": row(0.6)}) == "randomise"
    assert best_of(tried | {"surroundings+discovered": row(0.6)}) == "surroundings+discovered"
    with pytest.raises(ConfigError, match="reasons score"):
        best_of({"as it is": row(1.0), "randomise": {"reasons": None, "follows": []}})


def test_all_that_is_followed_is_counted() -> None:
    """Of two candidates that both follow more than can be exchanged, the one that follows less."""

    def finding(name: str, value: float) -> Finding:
        return Finding(f"discovered.{name}", "?", "fail", "", Estimate(value, 0.0, 1.0, 0.95, 20, "m"), 0.2)

    many = [finding(n, 0.9 - 0.1 * k) for k, n in enumerate(("border", "maps", "concept.1", "tone", "fine", "lines"))]
    assert followed([*many, finding("pose", 0.1)]) == ("border", "surroundings", "tone", "fine", "lines")
    rows = {
        name: validation_row(many[:n]) | {"reasons": {"value": 0.5 + 0.01 * n}}
        for name, n in zip(AUTO, (6, 5, 6), strict=True)
    }
    assert best_of(rows) == AUTO[1]


def _thresholds_that_differ(found: dict[str, Any], out: Path) -> None:
    """Each cell then tells its own, and the column is empty."""
    told = json.loads(json.dumps(found))
    name, test = next((n, t) for n, t in told["rows"][0]["tests"].items() if t["threshold"] and t["estimate"])
    told["rows"][1]["tests"][name] = test | {"threshold": 0.625}
    line = write_repair(told, out).read_text().partition(f">{name}</code></th>")[2].partition("</tr>")[0]
    assert line.startswith('<td class="n"></td>')
    assert f"threshold {test['threshold']:g}<" in line and "threshold 0.625<" in line


def test_the_strength_of_a_penalty_is_chosen_on_validation(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(REMEDIES["relevance"], penalties=(1.0, 0.01, 0.02))
    monkeypatch.setitem(REMEDIES, "relevance", short)  # type: ignore[arg-type]
    scores, asked = {"as it is": 0.1, "relevance, λ = 0.01": 0.3, "relevance, λ = 0.02": 0.4}, list[str]()

    def looked(bench: object, classifier: Classifier, name: str) -> SimpleNamespace:
        asked.append(name)
        score = Finding("reasons.score", "?", "fail", "", Estimate(scores[name], 0.0, 1.0, 0.95, 20, "m"), 0.5)
        return SimpleNamespace(findings=[score], auroc=Estimate(0.9, 0.8, 1.0, 0.95, 20, "m"))

    monkeypatch.setattr(repair_bench, "_on_validation", looked)
    found = repair(_config(home, methods=("relevance",), penalty="auto", epochs=1, films=20, out=tmp_path))
    assert asked == list(scores)
    assert [name for name, row in found.chosen_by.items() if row.get("kept")] == ["relevance, λ = 0.02"]
    assert "λ = 0.02; relevance inside is kept between" in found.rows[1].does
    recipes = [load(tmp_path / p).provenance["recipe"] for p in ("relevance", "penalties/relevance-0.01")]
    assert [r["relevance"] for r in recipes] == [0.02, 0.01] and recipes[1]["lr"] == pytest.approx(recipes[0]["lr"] / 5)
    assert "λ = 0.02 (kept)" in write_repair(found.as_dict(), tmp_path).read_text()
    _thresholds_that_differ(found.as_dict(), tmp_path)
    with pytest.raises(ConfigError, match=r"other settings \(.*training\.relevance: 0\.02 there, 0\.5 here"):
        repair(_config(home, methods=("relevance",), penalty=0.5, epochs=1, films=20, out=tmp_path))
    wrong = CliRunner().invoke(app, ["repair", str(home / "run"), str(home / "films"), "--penalty", "much"])
    assert wrong.exit_code == 2 and "a number or auto" in wrong.output
    with pytest.raises(ConfigError, match="have none; name one"):
        _config(home, methods=("crop",), penalty="auto")
    for methods in (("crop",), ("auto",), ("surroundings", "groups")):
        with pytest.raises(ConfigError, match=r"penalty 3.0, and methods .* have none"):
            _config(home, methods=methods, penalty=3.0)
    for together in ("crop+relevance", "discovered+reasons", "discovered+relevance"):
        with pytest.raises(ConfigError, match=re.escape(together)):
            _config(home, methods=(together,))
    with pytest.raises(ConfigError, match=r"penalty -1\.0; expected a number above 0"):
        _config(home, methods=("reasons",), penalty=-1.0)


def test_a_model_made_with_other_settings_is_not_taken(tmp_path: Path) -> None:
    films = pool(80, 64, 5)
    layers, start = _layers(films), build("small_cnn", size=64, widths=(8, 16), hidden=0, pretrained=False, seed=0)[0]

    def settings(channels: tuple[str, ...], seen: Layers = layers) -> dict[str, object]:
        plan = REMEDIES["discovered"].apply(_plan(films.pixels, films.labels, channels=channels), seen, 1.0, 3)
        return settings_of(plan, seen, start)

    same_settings(tmp_path / "new", settings(("surroundings",)))
    (tmp_path / "new" / "state").mkdir()
    same_settings(tmp_path / "new", settings(("surroundings",)))
    with pytest.raises(ConfigError, match=r"other settings \(channels: .*'inside'.*delete that folder"):
        same_settings(tmp_path / "new", settings(("surroundings", "inside")))
    others = dataclasses.replace(layers, lungs=~layers.lungs)
    with pytest.raises(ConfigError, match="masks: "):
        same_settings(tmp_path / "new", settings(("surroundings",), others))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "model.safetensors").touch()
    with pytest.raises(ConfigError, match="as of an older version"):
        same_settings(tmp_path / "old", settings(("surroundings",)))


def test_the_command_crops_and_the_crop_travels(home: Path, tmp_path: Path) -> None:
    """Lungs found by the network; no film has a marker, so that one of the two methods cannot be used; readings are of
    copies of another size."""
    first = load_dataset(home / "films" / "manifest.csv").records[0]
    image = {"id": 1, "file_name": first.image_id, "width": 32, "height": 32}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 9, 9]}
    coco = {"images": [image], "categories": [{"id": 1, "name": "PNEUMONIA"}], "annotations": [box]}
    (tmp_path / "read.json").write_text(json.dumps(coco))
    (tmp_path / "none").mkdir()
    Image.new("L", (64, 64)).save(tmp_path / "none" / f"{first.path.stem}.png")
    arguments = [
        "repair", str(home / "run"), str(home / "films" / "manifest.csv"), "--remedy", "inpaint,crop", "--fine-tune",
        "--epochs", "1", "--films", "30", "--out", str(tmp_path), "--json", "--markers", str(tmp_path / "none"),
        "--annotations", str(tmp_path / "read.json"),
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (3, 4), result.output
    page, told = (tmp_path / "repair.html").read_text(), json.loads((tmp_path / "repair.json").read_text())
    assert "marked an image of 32 × 32 pixels" in str(told["left_out"]) and "32 × 32" in result.stderr
    assert [item["method"] for item in told["methods_left_out"]] == ["inpaint"]
    assert "no model by inpaint" in result.stderr and "inpaint</strong> was left out" in page
    assert page.count("crop to lungs") >= 3
    for name, test in told["rows"][0]["tests"].items():  # what each figure is held against
        if test["verdict"] != "not applicable" and test["threshold"] is not None:
            beside = page.partition(f">{name}</code></th>")[2]
            assert beside.startswith(f'<td class="n">{test["threshold"]:g}</td>')
    assert (tmp_path / "repair.png").stat().st_size > 5000
    window = load(tmp_path / "crop").preprocess.window
    assert window is not None and window.to_dict()["kind"] == "lungs"


def test_films_in_other_splits_and_unknown_methods_are_refused(home: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    data = load_dataset(home / "films" / "manifest.csv")
    turned = {"train": "test", "test": "train", "val": "val"}
    write_manifest(
        replace(data, records=tuple(replace(r, split=turned[r.split or ""]) for r in data.records)), tmp_path / "m.csv"
    )
    with pytest.raises(ConfigError, match="in another split than"):
        repair(replace(_config(home), data=tmp_path / "m.csv", out=tmp_path / "out"))
    with pytest.raises(ConfigError, match="expected any of crop, inpaint, randomise, reasons, relevance"):
        _config(home, methods=("prayer",))
    with pytest.raises(ConfigError, match="alone"):
        _config(home, methods=("balance+reasons",))
    with pytest.raises(ConfigError, match="twice"):
        _config(home, methods=("crop+crop",))
    with pytest.raises(ConfigError, match="no study"):
        repair(replace(_config(home), run=tmp_path))
    with pytest.raises(ConfigError, match="one of the two"):
        named("inpaint+randomise")
    with pytest.raises(ConfigError, match="masks would not follow"):
        named("reasons+surroundings")
    assert [r.title for r in named("reasons+crop")] == ["crop to lungs", "right reasons"]


def _predictions(scores: np.ndarray, truth: np.ndarray) -> Predictions:
    logits = np.stack([-scores / 2, scores / 2], 1).astype(np.float32)
    names = tuple(f"f{i}" for i in range(len(truth)))
    return Predictions(
        names, tuple(f"p{i // 2}" for i in range(len(truth))), logits, truth, ("a", "b"), 1, "softmax", 1.0, 0.5
    )


def test_a_model_that_knows_nothing_is_not_mended(tmp_path: Path) -> None:
    def row(method: str, low: float) -> Repaired:
        figures = {name: Estimate(low + 0.1, low, low + 0.2, 0.95, 40, "delong") for name in FIGURES}
        costs = {} if method == BEFORE else figures
        return Repaired(method, method, "", "pass", "", figures, costs, {}, "", {"training": 1.0, "audit": 1.0})

    rows = (row(BEFORE, 0.7), row("crop", 0.7), row("randomise", 0.5))
    found = Repair(RepairConfig(tmp_path, tmp_path), rows, 40, 40, "")
    assert [r.method for r in found.mended] == ["crop"] and found.as_dict()["unskilled"] == ["randomise"]
    page = write_repair(found.as_dict(), tmp_path).read_text()
    assert "1 passes" in page and "1 model left without a failure cannot be told from chance" in page


def test_costs_are_paired_differences() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2
    before = _predictions(rng.normal(size=200) + 3.0 * (truth - 0.5), truth)
    same = costs(before, before, folds=200)
    assert all(e.value == 0.0 for e in same.values())
    worse = _predictions(rng.normal(size=200) + 1.0 * (truth - 0.5), truth)
    loss = costs(worse, before, folds=500)["auroc"]
    assert loss.value is not None and loss.high is not None and loss.high < 0 and loss.n == 100
    assert interval(loss.as_dict(), signed=True).startswith("−0.")
    called = (worse.called & (truth == 1)).sum() / 100 - (before.called & (truth == 1)).sum() / 100
    assert costs(worse, before, folds=200)["sensitivity"].value == pytest.approx(called)
