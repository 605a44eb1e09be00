"""Who may judge a label: only models that have not seen the film, its patient or a near-duplicate; readers; copies."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from radiolucent.cli.entry import app
from radiolucent.data import check, load_dataset
from radiolucent.data.trained_on import IDENTITY, PIXELS
from radiolucent.errors import ConfigError, DataError
from radiolucent.files import sha256_file
from radiolucent.models import build, save
from radiolucent.study.label_check import (
    chances_in_table,
    chances_of_runs,
    chances_on_test,
    check_labels,
    readings_of,
    twins_of,
)
from radiolucent.types import Annotation, Finding, Predictions

COLUMNS = ("path", "label", "patient_id", "split")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Twelve patients with a film each, by class; film 11 is film 0 in another size, under the other label."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        pixels = rng.integers(0, 255, (12, 12), np.uint8)
        first = Image.fromarray(pixels).resize((48, 48)) if i < 11 else Image.open(tmp_path / "f0.png").resize((64, 64))
        first.save(tmp_path / f"f{i}.png")
        rows.append((f"f{i}.png", "ill" if i % 2 else "well", f"p{i}", "train" if i < 4 else "test"))
    table(tmp_path / "films.csv", COLUMNS, rows)
    return tmp_path / "films.csv"


def table(file: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return file


def run_that_learned(
    folder: Path, films: Path, names: list[str], *, classes: tuple[str, ...] = ("ill", "well")
) -> Path:
    """A network, untrained, with the `split.csv` of a run that learned from these films."""
    clf, _ = build("small_cnn", class_names=classes, pretrained=False, size=32, positive="ill")
    save(clf, folder / "model.safetensors")
    rows = [
        (str(films.parent / n), "", f"p{n[1:-4]}", "val" if k else "train", sha256_file(films.parent / n), n, "")
        for k, n in enumerate(names)
    ]
    table(folder / "split.csv", (*COLUMNS, "sha256", IDENTITY, PIXELS), rows)
    return folder


def quiet(stage: str, done: int, total: int) -> None:
    pass


def doubted(found: list[Finding]) -> Finding:
    return next(f for f in found if f.test == "labels.doubtful")


def test_a_run_judges_only_what_it_has_not_seen_in_any_guise(films: Path, tmp_path: Path) -> None:
    data = load_dataset(films)
    twins = twins_of(check(data))
    assert twins == [["f0.png", "f11.png"]]
    one = run_that_learned(tmp_path / "one", films, ["f0.png", "f1.png"])
    found = chances_of_runs(data, [one], twins, quiet)
    assert set(found.values) == {f"f{i}.png" for i in range(2, 11)}  # not f11, a resized copy of f0
    assert "judges 9 of 12 labelled films: 3 it was trained or chosen on" in found.notes[0]
    other = run_that_learned(tmp_path / "other", films, ["f5.png"])
    both = chances_of_runs(data, [one, other], twins, quiet)
    assert set(both.values) == {f"f{i}.png" for i in range(12)}  # between them, all
    alone = chances_of_runs(data, [other], twins, quiet)
    assert both.values["f0.png"] == alone.values["f0.png"] and "f5.png" not in alone.values
    # A film of a patient it learned from is no test of it either.
    moved = dataclasses.replace(
        data, records=tuple(dataclasses.replace(r, patient_id="p5" if r.image_id == "f7.png" else r.patient_id)
                            for r in data.records)
    )  # fmt: skip
    assert "f7.png" not in chances_of_runs(moved, [other], twins, quiet).values


def test_columns_follow_the_class_names_and_not_their_order(films: Path, tmp_path: Path) -> None:
    data, run = load_dataset(films), run_that_learned(tmp_path / "run", films, ["f1.png"])
    same = run_that_learned(tmp_path / "same", films, ["f1.png"], classes=("WELL", "Ill"))
    (p,), (q,) = ([chances_of_runs(data, [r], (), quiet).values["f4.png"]] for r in (run, same))
    assert data.class_names == ("ill", "well") and p == pytest.approx(q[::-1], abs=1e-6)


def test_a_run_that_does_not_say_is_refused(films: Path, tmp_path: Path) -> None:
    data, run = load_dataset(films), run_that_learned(tmp_path / "run", films, ["f1.png"])
    (run / "split.csv").unlink()
    with pytest.raises(ConfigError, match="no split"):
        chances_of_runs(data, [run], (), quiet)
    other = run_that_learned(tmp_path / "other", films, ["f1.png"], classes=("ill", "cat"))
    with pytest.raises(DataError, match="well are none of the model's"):
        chances_of_runs(data, [other], (), quiet)


def test_a_table_of_answers_is_taken_without_its_training_rows(films: Path, tmp_path: Path) -> None:
    data = load_dataset(films)
    rows = [("train", "f0.png", "0.9", "0.1"), ("test", "f4.png", "0.99", "0.01"), ("given", "f5.png", "0.6", "0.4")]
    given = table(tmp_path / "p.csv", ("split", "image", "p_ill", "p_well"), [*rows, ("test", "f11.png", "0.5", "0.5")])
    found = chances_in_table(data, given, [["f0.png", "f11.png"]])
    assert set(found.values) == {"f4.png", "f5.png"}  # f11 shows what f0 does, which was trained on
    assert any("the model was trained on" in n for n in found.notes)
    # f1 to f3 are in the data set's own training split and have no row: neither their copies nor their patients count.
    assert set(chances_in_table(data, given, [["f0.png", "f11.png"], ["f3.png", "f5.png"]]).values) == {"f4.png"}
    same = tuple(
        dataclasses.replace(r, patient_id="p0" if r.image_id == "f4.png" else r.patient_id) for r in data.records
    )
    assert set(chances_in_table(dataclasses.replace(data, records=same), given).values) == {"f5.png", "f11.png"}
    bare = table(tmp_path / "q.csv", ("image", "p_ill", "p_well"), [r[1:] for r in rows])
    assert "taken as out of fold" in chances_in_table(data, bare).notes[-1]
    for columns, row, why in (
        (("image", "p_ill"), ("f4.png", "1"), "no column p_well"),
        (("image", "p_ill", "p_well"), ("f4.png", "3.1", "-2.1"), "sum to 1"),
        (("image", "p_ill", "p_well"), ("f4.png", "high", "0"), "expected a probability"),
    ):
        with pytest.raises(DataError, match=why):
            chances_in_table(data, table(tmp_path / "bad.csv", columns, [row]))
    with pytest.raises(DataError, match="a second row of f4"):
        chances_in_table(data, table(tmp_path / "two.csv", ("image", "p_ill", "p_well"), [("f4.png", "1", "0")] * 2))


def test_a_study_judges_its_test_films_but_for_relatives_of_what_it_learned_from(films: Path) -> None:
    data = load_dataset(films)
    records = tuple(
        dataclasses.replace(r, patient_id="p1" if r.image_id == "f9.png" else r.patient_id) for r in data.records
    )
    own = tuple(r.image_id for r in records if r.split == "test")
    p = Predictions(own, own, np.zeros((8, 2), np.float32), np.zeros(8, np.int64), ("ill", "well"), 0)
    found = chances_on_test(p, dataclasses.replace(data, records=records), [["f0.png", "f11.png"]])
    assert set(own) - set(found.values) == {"f9.png", "f11.png"} and "2 test films" in found.notes[-1]


def test_readers_speak_through_diagnoses_or_findings(films: Path) -> None:
    data = load_dataset(films)

    def said(film: str, label: str | None, finding: bool, reader: str) -> Annotation:
        return Annotation(film, reader=reader, label=label, finding=finding)

    given = [said("f0.png", "ILL", True, "A"), said("f0.png", None, True, "B"), said("f1.png", "edema", True, "A")]
    votes, notes = readings_of(data, given)
    assert votes == {"f0.png": [0, 0]} and "1 readings say 'edema', which is no class here" in notes
    found = doubted(check_labels(data, check(data), readings=given))
    first = found.evidence["suspects"][0]
    assert (first["film"], first["label"], first["suggested"]) == ("f0.png", "well", "ill")
    assert first["confidence"] == pytest.approx(3 / 4) and found.verdict == "inconclusive"


def test_the_command_lists_them_first_things_first(films: Path, tmp_path: Path) -> None:
    p = table(
        tmp_path / "p.csv", ("image", "p_ill", "p_well"),
        [(f"f{i}.png", *(("0.9", "0.1") if (i % 2) != (i == 6) else ("0.1", "0.9"))) for i in range(11)],
    )  # fmt: skip
    done = CliRunner().invoke(app, ["data", "check", str(films), "--predictions", str(p), "--json"])
    found = next(f for f in json.loads(done.stdout)["findings"] if f["test"] == "labels.doubtful")
    names = [s["film"] for s in found["evidence"]["suspects"]]
    assert names[:2] == ["f11.png", "f6.png"]  # a copy's vote is whole, the model's 0.9
    shown = CliRunner().invoke(app, ["data", "check", str(films), "--predictions", str(p)]).stdout
    assert "doubtful labels" in shown and shown.index("f6.png", shown.index("doubtful labels")) > 0
    alone = next(f for f in check(load_dataset(films)) if f.test == "labels.doubtful")
    assert {s["film"] for s in alone.evidence["suspects"]} == {"f0.png", "f11.png"}


def test_evaluations_say_in_their_table_what_was_trained_on(films: Path, tmp_path: Path) -> None:
    run = run_that_learned(tmp_path / "run", films, ["f0.png", "f5.png"])
    CliRunner().invoke(app, ["evaluate", str(run), str(films), "--out", str(tmp_path / "out")])
    with (tmp_path / "out" / "predictions.csv").open() as stream:
        splits = {row["image"]: row["split"] for row in csv.DictReader(stream)}
    assert (splits["f0.png"], splits["f5.png"], splits["f4.png"]) == ("train", "val", "given")
    assert set(chances_in_table(load_dataset(films), tmp_path / "out" / "predictions.csv").values).isdisjoint(
        {"f0.png", "f5.png"}
    )


def test_no_witness_is_no_verdict(films: Path) -> None:
    data = load_dataset(films)
    few = dataclasses.replace(data, records=data.records[:5])
    found = doubted(check(few))
    assert found.verdict == "not applicable" and "--run" in found.advice
