"""The whole job through the command line, as a user would type it."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from radiolucent.cli import app
from radiolucent.data import read_annotations
from radiolucent.data.phantom import PhantomConfig, generate

RUN = CliRunner()


def call(*words: object) -> tuple[int, str]:
    result = RUN.invoke(app, [str(w) for w in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom, and a study of it with two damaged films and two bad entries among the readings."""
    root = tmp_path_factory.mktemp("study")
    generate(root / "phantom", PhantomConfig(patients=60, films=2, size=96, seed=3), workers=1)
    victims = sorted((root / "phantom" / "train" / "NORMAL").glob("*.png"))[:2]
    victims[0].write_bytes(b"")
    victims[1].write_bytes(victims[1].read_bytes()[:200])
    said = json.loads((root / "phantom" / "annotations.json").read_text())
    image = said["annotations"][0]["image_id"]
    far = {"id": "far", "image_id": image, "reader": "Dr X", "category_id": 1, "bbox": [9e3, 9e3, 9, 9]}
    said["annotations"] += [{"id": "bad", "image_id": "none"}, far]
    (root / "odd.json").write_text(json.dumps(said))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RADIOLUCENT_CACHE", str(root / "cache"))
        status, out = call(
            "study", root / "phantom", "--out", root / "run", "--model", "small_cnn", "--no-pretrained", "--epochs", 2,
            "--size", 64, "--annotations", root / "odd.json", "--cases", 4, "--lime-samples", 60,
            "--title", "A <b>study</b>", "--json",
        )  # fmt: skip
    assert status == 3  # done, but two films were left out
    (root / "answer.json").write_text(out)
    return root


@pytest.fixture(autouse=True)
def cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADIOLUCENT_CACHE", str(home / "cache"))


@pytest.mark.slow
def test_the_run_folder_is_complete(home: Path) -> None:
    run = home / "run"
    for name in ("model.safetensors", "config.json", "split.csv", "history.csv", "predictions.csv", "report.html",
                 "summary.json", "study.json", "figures/roc.png", "figures/learning.png"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    maps = sorted(p.name for p in (run / "explanations").glob("*.npz"))
    assert maps and len([m for m in maps if m.endswith(".lime.npz")]) * 2 == len(maps)


@pytest.mark.slow
def test_summary_has_stable_keys_and_finite_figures(home: Path) -> None:
    summary = json.loads((home / "run" / "summary.json").read_text())
    assert json.loads((home / "answer.json").read_text()) == summary
    for key in ("auroc", "sensitivity", "specificity", "brier", "calibration_slope"):
        assert set(summary["performance"][key]) >= {"value", "low", "high", "level", "n", "method"}
    assert summary["agreement"]["gradcam"]["hit_rate"]["n"] > 0
    assert summary["agreement"]["gradcam"]["not_applicable"]["no finding marked"] > 0
    assert {f["test"] for f in summary["findings"]} >= {"files.unreadable", "duplicates.exact", "patients.straddle"}
    assert len(summary["data"]["left_out"]) >= 2 and summary["hashes"]["model"]
    reasons = [item["reason"] for item in summary["data"]["left_out"] if item["file"].endswith("odd.json")]
    assert any("annotation bad: speaks of image id none" in r for r in reasons) and any("far" in r for r in reasons)
    for method in ("gradcam", "lime"):  # every case is stamped
        stamps = summary["trust"][method]
        assert stamps["films"] == sum(stamps["verdicts"].values()) > 0 and stamps["randomisation"]
    assert "NaN" not in (home / "run" / "summary.json").read_text()


@pytest.mark.slow
def test_the_report_holds_doctors_and_model(home: Path) -> None:
    found = json.loads((home / "run" / "summary.json").read_text())
    doctors, gradcam = found["doctors"], found["agreement"]["gradcam"]
    assert doctors["readers"] == ["reader A", "reader B", "reader C"] and doctors["films"] > 10
    for calls in doctors["calls"].values():
        both = calls["both_right"] + calls["both_wrong"] + calls["model_right"] + calls["reader_right"]
        assert both == calls["films"] and calls["sensitivity"]["value"] > 0.5  # these readers are good
    assert doctors["between"]["krippendorff_alpha"]["value"] > 0.4
    pairs = [k for k in doctors["between"] if k.startswith("cohen") and not k.endswith(" finding")]
    assert len(pairs) == 3 and doctors["statements"]["side"]["n"] > 0
    assert set(gradcam["readers"]) == {"staple", "union", "reader A", "reader B", "reader C"}
    assert set(gradcam["strata"]) >= {"decision", "size"} and 0.2 <= gradcam["tuned_threshold"] <= 0.7
    assert 0.2 <= found["agreement"]["lime"]["tuned_threshold"] <= 0.7
    assert 0 < found["agreement"]["lime"]["iou_tuned"]["value"] < 1
    of_finding = [k for k in doctors["between"] if k.endswith(" finding")]
    assert len(of_finding) == 6  # three pairs, Fleiss, Krippendorff, Gwet
    assert gradcam["reader_iou"]["value"] > gradcam["random_iou_at_area"]["value"]
    page = (home / "run" / "report.html").read_text()
    for words in (
        "Doctors and model",
        "Who was right when they differed",
        "Doctors among themselves",
        "What they wrote",
    ):
        assert words in page, words


@pytest.mark.slow
def test_the_report_is_one_file_that_asks_nobody(home: Path) -> None:
    page = (home / "run" / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page) and "url(" not in page and "<script" not in page
    assert "A &lt;b&gt;study&lt;/b&gt;" in page and "<b>study</b>" not in page
    assert page.index('id="summary"') < page.index('id="data"') < page.index('id="performance"')
    assert page.index('id="cases"') < page.index("Trust stamps of the maps") < page.index('id="inside"')
    assert page.count("<img") == page.count('alt="') and "Research use only" in page
    assert "is empty (0 bytes)" in page


@pytest.mark.slow
def test_the_same_command_goes_on_and_another_is_refused(home: Path) -> None:
    before = (home / "run" / "model.safetensors").read_bytes()
    common = ["--model", "small_cnn", "--no-pretrained", "--size", 64, "--cases", 0, "--lime-samples", 60]
    status, _ = call("study", home / "phantom", "--out", home / "run", "--epochs", 2, *common)
    assert status == 3 and (home / "run" / "model.safetensors").read_bytes() == before
    from radiolucent.errors import ConfigError

    with pytest.raises(ConfigError, match="epochs was 2, is 3"):
        call("study", home / "phantom", "--out", home / "run", "--epochs", 3, *common)


@pytest.mark.slow
def test_evaluate_compare_and_report_again(home: Path) -> None:
    status, out = call("evaluate", home / "run", home / "phantom" / "test", "--out", home / "seen", "--json")
    found = json.loads(out)
    assert status == 0 and found["auroc"]["value"] is not None and (home / "seen" / "predictions.csv").is_file()
    odd = (home / "phantom" / "readings.csv").read_text() + "nowhere.png,1,2,-3,4\n"
    (home / "odd.csv").write_text(odd)
    status, out = call("compare", home / "run", home / "phantom", "--annotations", home / "odd.csv", "--json")
    compared = json.loads(out)["agreement"]["gradcam"]
    assert compared["hit_minus_area"]["low"] is not None and status == 3
    assert any(f"line {odd.count(chr(10))}: " in item["reason"] for item in json.loads(out)["left_out"])
    status, _ = call("report", home / "run", "--cases", 1, "--title", "Again")
    assert status == 3 and "Again" in (home / "run" / "report.html").read_text()


@pytest.mark.slow
def test_explain_and_predict_any_image_and_list_the_bad(home: Path, tmp_path: Path) -> None:
    import pydicom  # noqa: F401

    from support.films import write_dicom

    rng = np.random.default_rng(0)
    deep = (rng.random((120, 100)) * 4095).astype(np.uint16)
    write_dicom(tmp_path / "film.dcm", deep)
    Image.fromarray((deep * 16).astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(rng.integers(0, 255, (60, 50, 3), np.uint8)).convert("CMYK").save(tmp_path / "cmyk.jpg")
    shutil.copy(tmp_path / "deep.png", tmp_path / "misnamed.jpg")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes((tmp_path / "deep.png").read_bytes()[:300])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "notes.txt").write_text("x")
    status, out = call("explain", home / "run", tmp_path, "--samples", 40, "--out", tmp_path / "out", "--json")
    found = json.loads(out)
    assert status == 3
    assert {Path(r["image"]).name for r in found["explanations"]} == {
        "film.dcm",
        "deep.png",
        "cmyk.jpg",
        "misnamed.jpg",
    }
    reasons = {Path(r["file"]).name: r["reason"] for r in found["left_out"]}
    assert set(reasons) == {"empty.png", "cut.png", "text.png", "notes.txt"} and "empty" in reasons["empty.png"]
    assert all(Path(r["panel"]).stat().st_size > 10_000 for r in found["explanations"])
    status, out = call("predict", home / "run", tmp_path / "film.dcm")
    assert status == 0 and re.search(r"film\.dcm\W+(NORMAL|PNEUMONIA)\W+(over )?[\d.]+ %\W+PNEUMONIA from", out), out


@pytest.mark.slow
def test_data_commands(home: Path, tmp_path: Path) -> None:
    status, out = call("data", "check", home / "phantom", "--json")
    assert status == 4 and json.loads(out)["findings"][0]["verdict"] == "fail"  # the two damaged films
    status, _ = call("data", "phantom", "--out", tmp_path / "p", "--patients", 8, "--size", 64)
    assert status == 0 and (tmp_path / "p" / "manifest.csv").is_file()
    assert call("data", "split", tmp_path / "p", "--out", tmp_path / "s.csv", "--val", "0.3", "--test", "0.3")[0] == 0


def test_the_command_line_explains_itself() -> None:
    status, out = call("--help")
    assert status == 0
    for name in ("demo", "study", "train", "evaluate", "predict", "explain", "compare", "report", "data"):
        assert name in out


def test_import_is_light() -> None:
    import subprocess
    import sys

    code = (
        "import sys, radiolucent; print([m for m in ('torch', 'matplotlib', 'pydicom', 'sklearn') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.slow
def test_compare_takes_several_methods_readers_thresholds_and_groups(home: Path) -> None:
    common = ["compare", home / "run", home / "phantom", "--annotations", home / "phantom" / "annotations.json"]
    status, out = call(
        *common, "--reader", "without reader B", "--thresholds", "0.4", "--by", "decision,etiology", "--json"
    )
    found = json.loads(out)["agreement"]["gradcam"]
    assert status in (0, 3) and found["reader_names"] == ["reader A", "reader C"] and "iou_40" in found
    assert set(found["strata"]) >= {"decision", "size"} and "iou_30" not in found
    assert 0.2 <= found["tuned_threshold"] <= 0.7 and 0 <= found["iou_tuned"]["value"] <= 1
    with (home / "run" / "split.csv").open() as stream:
        held = {Path(row["path"]).stem for row in csv.DictReader(stream) if row["split"] == "val"}
    readings = read_annotations(home / "phantom" / "annotations.json")
    chose = held & {Path(a.image_id).stem for a in readings if a.finding}
    every = len({a.image_id for a in readings}) - 2  # two are damaged
    assert chose and sum(found["not_applicable"].values()) + found["films"] == every - len(chose)
    from radiolucent.errors import RadiolucentError

    for options, why in (
        (("--by", "age"), "told apart by"),
        (("--method", "gradcam,none"), "method none"),
        (("--thresholds", "half"), "shares with commas"),
        (("--format", "mine"), "expected one of coco"),
    ):
        with pytest.raises(RadiolucentError, match=why):
            call(*common, *options)
