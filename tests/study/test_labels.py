"""Several labels a film, from the command line to the report; and what takes one class a film says so."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from radiolucent.data.phantom import FINDINGS, SeveralConfig, generate_several
from radiolucent.errors import ConfigError, DataError, ExplainError
from radiolucent.explainers import explain
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.images import read
from radiolucent.models import load, save
from radiolucent.study import StudyConfig, appraisal_labels, resume_report, run_study
from radiolucent.study.appraisal import Appraisal
from radiolucent.study.label_readings import readings_of_label
from radiolucent.types import Annotation, LabelRule, Region
from support.cli_calls import call


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("labels")
    several = SeveralConfig(patients=130, films=1, size=64, test=0.4, val=0.1)  # 13 for validation: cut anew
    generate_several(root / "films", several, workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RADIOLUCENT_CACHE", str(root / "cache"))
        config = StudyConfig(
            root / "films", root / "run", "small_cnn", pretrained=False, size=32, epochs=2, val=0.3, cases=1, folds=200,
            lime_samples=20, compare_films=1, annotations=root / "films" / "annotations.json",
        )  # fmt: skip
        patch.setattr("radiolucent.study.prepared.check", lambda *_, **__: [])  # tests of the data stand elsewhere
        run_study(config)
        yield root


def test_the_study_has_a_section_and_a_report_a_label(home: Path) -> None:
    page = (home / "run" / "report.html").read_text()
    summary = json.loads((home / "run" / "summary.json").read_text())
    assert summary["multilabel"] and summary["class_names"] == list(FINDINGS)
    for name in FINDINGS:
        assert f'id="label-{name}"' in page
        part = summary["labels"][name]
        assert part["performance"]["auroc"]["value"] is not None and part["report"] == f"labels/{name}/report.html"
        own = json.loads((home / "run" / "labels" / name / "summary.json").read_text())
        assert (
            own["class_names"] == [f"no {name}", name] and own["performance"]["auroc"] == part["performance"]["auroc"]
        )
        assert set(part["agreement"]) == {"gradcam", "lime"} and own["doctors"]["films"] > 0
    values = [summary["labels"][n]["performance"]["auroc"]["value"] for n in FINDINGS]
    assert summary["macro"]["auroc"]["value"] == pytest.approx(np.mean(values))
    assert "ncertain labels are left out" in page and "softmax" not in page
    model = load(home / "run")
    assert model.multilabel and len(model.rules) == 3 and len({r.temperature for r in model.rules}) == 3
    with (home / "run" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {r["label_effusion"] for r in rows} == {"", "0", "1"}
    for r in rows[:20]:
        assert (float(r["p_effusion"]) >= model.rules[1].threshold) == (r["called_effusion"] == "1")


def test_evaluate_predict_and_report_again_say_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADIOLUCENT_CACHE", str(home / "cache"))
    summary = json.loads((home / "run" / "summary.json").read_text())
    found = json.loads(call("evaluate", home / "run", home / "films", "--unseen", "--json").stdout)
    assert found["labels"]["effusion"]["auroc"] == summary["labels"]["effusion"]["performance"]["auroc"]
    films = sorted((home / "films" / "test").glob("*.png"))[:2]
    said = json.loads(call("predict", home / "run", *films, "--json").stdout)
    assert set(said["thresholds"]) == set(FINDINGS)
    for row in said["predictions"]:
        assert row["called"] == [n for n in FINDINGS if row["probability"][n] >= said["thresholds"][n]]
    assert "consolidation" in call("predict", home / "run", *films).stdout
    # NIH's form of the same labels, without one of them: not given, instead of 0.
    listed = ["path,label"] + [f"{f},{'effusion|cardiomegaly' if k else 'No Finding'}" for k, f in enumerate(films)]
    (home / "listed.csv").write_text("\n".join(listed))
    other = call("evaluate", home / "run", home / "listed.csv")
    assert "the data have no label consolidation: not given of any film" in other.output.replace("\n", " ")
    assert "too few" in other.output


def test_explain_gives_a_map_a_called_label_or_those_asked_for(home: Path) -> None:
    film = sorted((home / "films" / "test").glob("*.png"))[0]
    model = load(home / "run")
    always = save(model.with_(rules=tuple(LabelRule(t) for t in (0.0, None, 0.0))), home / "always")
    found = call("explain", always, film, "--out", home / "maps", "--method", "gradcam", "--no-trust", "--json")
    rows = json.loads(found.stdout)["explanations"]
    assert sorted(r["target"] for r in rows) == ["cardiomegaly", "consolidation"]
    never = save(model.with_(rules=(LabelRule(None),) * 3), home / "never")
    none = call("explain", never, film, "--out", home / "none", "--method", "gradcam", "--no-trust", "--json")
    assert none.exit_code == 0 and "no label reaches its threshold" in none.stdout
    one = call("explain", never, film, "--out", home / "one", "--method", "gradcam", "--target", "EFFUSION", "--json")
    assert [r["target"] for r in json.loads(one.stdout)["explanations"]] == ["effusion"]
    shared = explain(model, str(film), GradCAM(), target=list(FINDINGS))
    for k, e in enumerate(shared):
        view = explain(model.of_label(k), str(film), GradCAM(), target=FINDINGS[k])
        np.testing.assert_allclose(e.map, view.map, atol=1e-6)
    logits = model.logits(model.preprocess(read(film))[None])
    chance = explain(model, str(film), GradCAM(), target="effusion", score="probability").score
    assert chance == pytest.approx(float(model.probabilities(logits)[0, 1]), abs=1e-6)
    for options, message in (({}, "which of the labels"), ({"target": 0, "score": "margin"}, "do not exclude")):
        with pytest.raises(ConfigError, match=message):
            explain(model, str(film), GradCAM(), **options)


def test_maps_that_fail_are_told_of_labels_and_of_films_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_label(name: str, config: StudyConfig, *_: object) -> Appraisal:
        page = config.out / "labels" / name / "report.html"
        return Appraisal(None, None, (), page, (("lime", f"of 1 film: {name}"),))  # type: ignore[arg-type]

    def never(*_: object, **__: object) -> None:
        raise ExplainError("no feature maps")

    run = shutil.copytree(home / "run", home / "again")
    monkeypatch.setenv("RADIOLUCENT_CACHE", str(home / "cache"))
    monkeypatch.setattr("radiolucent.study.prepared.check", lambda *_, **__: [])
    monkeypatch.setattr(appraisal_labels, "_of_label", of_label)
    monkeypatch.setattr(appraisal_labels, "explain", never)
    model = load(run)
    save(model.with_(rules=tuple(dataclasses.replace(r, threshold=0.0) for r in model.rules)), run)
    resume_report(run)
    told = json.loads((run / "summary.json").read_text())["methods_left_out"]
    assert [one["method"] for one in told] == ["lime"] * 3 + ["gradcam"]
    assert told[-1]["reason"] == "of 1 film: no feature maps"


def test_a_box_belongs_to_the_label_of_its_name() -> None:
    box = Region.box(1, 1, 5, 5)
    said = [
        Annotation("a", (box,), "Pleural Effusion", "A"), Annotation("a", (box, box), "mass", "A"),
        Annotation("b", (), "no finding", "A", finding=False), Annotation("c", (box,), "nodule", "A"),
    ]  # fmt: skip
    found = {a.image_id: a for a in readings_of_label(said, "pleural_effusion")}
    assert len(found["a"].regions) == 1 and found["a"].finding
    assert not found["b"].finding and not found["c"].finding  # read, and this one not found
    assert readings_of_label(said, "hernia") == []  # nobody says anything of it


def test_compare_and_audit_label_by_label(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADIOLUCENT_CACHE", str(home / "cache"))
    readings = home / "films" / "annotations.json"
    words = ("compare", home / "run", home / "films", "--annotations", readings, "--unseen", "--method", "saliency")
    found = call(*words, "--json")
    each = json.loads(found.stdout)["labels"]
    assert set(each) == set(FINDINGS)
    areas = {n: each[n]["agreement"]["saliency"]["area"]["value"] for n in FINDINGS}
    assert areas["cardiomegaly"] > areas["effusion"]  # a heart is larger than fluid at the base
    with pytest.raises(DataError, match="no reading names"):
        model = load(home / "run")
        renamed = save(model.with_(class_names=("a", "b", "c")), home / "renamed")
        call("compare", renamed, home / "films", "--annotations", readings)
    words = ("audit", home / "run", home / "films", "--target", "effusion", "--tests", "marker", "--method", "")
    done = call(*words, "--films", "12", "--discover", "none", "--json")
    assert set(json.loads(done.stdout)["labels"]) == {"effusion"}
    assert (home / "run" / "audit" / "effusion" / "audit.html").is_file()


def test_what_takes_one_class_a_film_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADIOLUCENT_CACHE", str(home / "cache"))
    run, films = home / "run", home / "films"
    refused = [
        (("repair", run, films), "a repair is of two classes"),
        (("review", run, films, "--study", "x", "--folder", home / "r", "--no-browser"), "--target 'consolidation'"),
        (("data", "paste-marker", films, "--out", home / "p"), "paste-marker takes one class a film"),
        (("train", films, "--out", home / "t", "--head", "sigmoid"), "--head sigmoid is for two classes"),
        (("train", films, "--out", home / "t", "--positive", "effusion"), "--positive is for two classes"),
        (("train", films, "--out", home / "t", "--labels", "effusion"), "one label"),
        (("data", "check", films, "--run", run), "takes one class a film"),
        (("evaluate", run, films, "--classes", "effusion"), ""),
    ]
    for words, message in refused:
        try:
            result = call(*words)
        except (ConfigError, DataError) as error:
            assert message in str(error), words
        else:
            assert result.exit_code == 2, words
