"""Repair and recheck on phantoms whose guilt is known."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from radiolucent.audits.trial.planted import pool
from radiolucent.audits.trial.planted_films import planted_films
from radiolucent.cli import app
from radiolucent.data import Record, write_manifest
from radiolucent.errors import ConfigError, DataError
from radiolucent.models import build, load
from radiolucent.reports.repair_page import interval
from radiolucent.study import RepairConfig, StudyConfig, repair, train_only
from radiolucent.study.paired_differences import costs
from radiolucent.study.region_masks import Layers
from radiolucent.study.remedies import REMEDIES, best_of, named
from radiolucent.types import Predictions


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


def test_a_planted_marker_fails_and_markers_at_random_mend_it(home: Path) -> None:
    found = repair(_config(home))
    before, after = found.rows
    markers = {"marker.remove", "marker.paste", "marker.move"}
    assert before.verdict == "fail" and markers & set(before.failing)
    assert not markers & set(after.failing)
    lead = found.lead
    assert lead is not None
    left, was = after.tests[lead].estimate, before.tests[lead].estimate
    assert left is not None and was is not None and abs(left.value or 0) < 0.5 * abs(was.value or 0)
    change = after.costs["auroc"]
    assert change.value is not None and change.value > -0.01
    written = json.loads((home / "run" / "repair" / "repair.json").read_text())
    assert [r["method"] for r in written["rows"]] == ["as it is", "randomise"]
    stamp = (home / "run" / "repair" / "randomise" / "history.csv").stat().st_mtime_ns
    assert repair(_config(home)).rows[1].estimates == after.estimates  # nothing is trained twice
    assert (home / "run" / "repair" / "randomise" / "history.csv").stat().st_mtime_ns == stamp


def test_auto_keeps_what_has_the_highest_reasons_score_on_validation(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of markers at random, which the test before trained, what discovery found exchanged, and the last layer anew; the
    others only cost time here."""
    monkeypatch.setattr("radiolucent.study.repaired.AUTO", ("randomise", "discovered", "last-layer"))
    found = repair(_config(home, methods=("auto",)))
    tried = {name: row["reasons"]["value"] for name, row in found.chosen_by.items()}
    assert set(tried) == {"as it is", "randomise", "discovered", "last-layer"}
    assert tried["discovered"] > tried["as it is"] + 0.1
    kept = found.rows[1]
    assert kept.method == max(("randomise", "discovered", "last-layer"), key=lambda n: tried[n])
    assert json.loads((home / "run" / "repair" / "repair.json").read_text())["chosen_by"].keys() == tried.keys()
    before, last = (
        dict(load(p).network.named_parameters()) for p in (home / "run", home / "run" / "repair" / "last-layer")
    )
    changed = {name for name, value in before.items() if not bool((value == last[name]).all())}
    assert changed and all(name.startswith("head.") for name in changed)
    with pytest.raises(ConfigError, match="alone"):
        _config(home, methods=("auto", "crop"))
    with pytest.raises(ConfigError, match="reasons score"):
        best_of({"as it is": {"reasons": {"value": 1.0}}, "randomise": {"reasons": None, "auroc": None}})


def test_surroundings_are_exchanged_on_half_of_the_films_and_lungs_are_not(tmp_path: Path) -> None:
    rng, films = np.random.default_rng(0), pool(24, 64, 5)
    records = tuple(Record(tmp_path, str(i), int(films.labels[i]), str(i), "train") for i in range(24))
    cache = SimpleNamespace(pixels=films.pixels, records=records)
    prepared = SimpleNamespace(cache=cache, rows=lambda split: list(range(24)) if split == "train" else [])
    layers = Layers(films.lungs, np.ones(24, bool), np.zeros_like(films.lungs), np.zeros_like(films.lungs))
    taken: list[np.ndarray] = []
    plan = SimpleNamespace(prepared=prepared, on=taken.append)
    REMEDIES["surroundings"].apply(plan, layers, 1.0, int(rng.integers(9)))  # type: ignore[arg-type]
    changed = [(taken[0][i] != films.pixels[i]) & ~films.lungs[i] for i in range(24)]
    assert 6 <= sum(c.mean() > 0.2 for c in changed) <= 18
    with pytest.raises(DataError, match="--lungs"):
        blind = dataclasses.replace(layers, lungs_known=np.zeros(24, bool))
        REMEDIES["surroundings"].apply(plan, blind, 1.0, 0)  # type: ignore[arg-type]


def test_what_discovery_found_is_exchanged_between_classes_and_groups_are_balanced(tmp_path: Path) -> None:
    """Every ill film has a white spot below the lungs: exchanged, half of either class has it. A quarter of the ill
    ones is negative: balanced, half of them are."""
    films = pool(80, 64, 5)
    ill = films.labels == 1
    pixels = np.minimum(films.pixels, 200)
    pixels[ill, 56:61, 50:55] = 255
    records = tuple(Record(tmp_path, str(i), int(films.labels[i]), str(i), "train") for i in range(80))
    rows = SimpleNamespace(rows=lambda split: list(range(80)) if split == "train" else [])
    layers = Layers(films.lungs, np.ones(80, bool), np.zeros_like(films.lungs), np.zeros_like(films.lungs))

    def applied(name: str, pixels: np.ndarray, **fields: object) -> np.ndarray:
        taken: list[np.ndarray] = []
        cache = SimpleNamespace(pixels=pixels, records=records)
        prepared = SimpleNamespace(cache=cache, rows=rows.rows)
        plan = SimpleNamespace(prepared=prepared, on=taken.append, **({"channels": (), "before": None} | fields))
        REMEDIES[name].apply(plan, layers, 1.0, 3)  # type: ignore[arg-type]
        return taken[0]

    spot = applied("discovered", pixels, channels=("surroundings",))[:, 57:60, 51:54].mean((1, 2)) > 240
    assert 0.3 < spot[ill].mean() < 0.7 and 0.3 < spot[~ill].mean() < 0.7
    with pytest.raises(DataError, match="found nothing"):
        applied("discovered", pixels)
    few = np.flatnonzero(ill)[:10]
    pixels[few] = 255 - pixels[few]
    start = build("small_cnn", size=64, widths=(8, 16), hidden=0, pretrained=False, seed=0)[0]
    balanced = applied("balance", pixels, before=start)
    same = [sum(bool((balanced[i] == pixels[k]).all()) for k in few) > 0 for i in np.flatnonzero(ill)]
    assert 0.4 <= np.mean(same) <= 0.6
    with pytest.raises(DataError, match="no feature maps"):
        applied("balance", pixels)


def test_the_command_crops_and_the_crop_travels(home: Path, tmp_path: Path) -> None:
    arguments = [
        "repair", str(home / "run"), str(home / "films" / "manifest.csv"), "--remedy", "crop", "--fine-tune",
        "--epochs", "1", "--films", "30", "--out", str(tmp_path), "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (0, 4), result.output
    assert (tmp_path / "repair.html").read_text().count("crop to lungs") >= 3
    assert (tmp_path / "repair.png").stat().st_size > 5000
    window = load(tmp_path / "crop").preprocess.window
    assert window is not None and window.to_dict()["kind"] == "lungs"


def test_films_in_other_splits_and_unknown_methods_are_refused(home: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from radiolucent.data import load_dataset

    data = load_dataset(home / "films" / "manifest.csv")
    turned = {"train": "test", "test": "train", "val": "val"}
    write_manifest(
        replace(data, records=tuple(replace(r, split=turned[r.split or ""]) for r in data.records)), tmp_path / "m.csv"
    )
    with pytest.raises(ConfigError, match="in another split than"):
        repair(replace(_config(home), data=tmp_path / "m.csv", out=tmp_path / "out"))
    with pytest.raises(ConfigError, match="expected any of crop, inpaint, randomise, reasons"):
        _config(home, methods=("prayer",))
    with pytest.raises(ConfigError, match="alone"):
        _config(home, methods=("balance+reasons",))
    with pytest.raises(ConfigError, match="twice"):
        _config(home, methods=("crop+crop",))
    with pytest.raises(ConfigError, match="no study"):
        repair(replace(_config(home), run=tmp_path))
    with pytest.raises(ConfigError, match="one of the two"):
        named("inpaint+randomise")
    assert [r.title for r in named("reasons+crop")] == ["crop to lungs", "right reasons"]


def _predictions(scores: np.ndarray, truth: np.ndarray) -> Predictions:
    logits = np.stack([-scores / 2, scores / 2], 1).astype(np.float32)
    names = tuple(f"f{i}" for i in range(len(truth)))
    return Predictions(
        names, tuple(f"p{i // 2}" for i in range(len(truth))), logits, truth, ("a", "b"), 1, "softmax", 1.0, 0.5
    )


def test_costs_are_paired_differences() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2
    before = _predictions(rng.normal(size=200) + 3.0 * (truth - 0.5), truth)
    same = costs(before, before, folds=200)
    assert all(e.value == 0.0 for e in same.values())
    worse = _predictions(rng.normal(size=200) + 1.0 * (truth - 0.5), truth)
    loss = costs(worse, before, folds=500)["auroc"]
    assert loss.value is not None and loss.high is not None and loss.high < 0 and loss.n == 100
    assert interval(loss.as_dict(), signed=True).startswith("-0.")
    called = (worse.called & (truth == 1)).sum() / 100 - (before.called & (truth == 1)).sum() / 100
    assert costs(worse, before, folds=200)["sensitivity"].value == pytest.approx(called)
