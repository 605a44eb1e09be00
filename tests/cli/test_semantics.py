"""What must not be guessed: the positive class, films of the training, what is too little, and who writes where."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from radiolucent.data import load_dataset
from radiolucent.data.trained_on import films_of_run, write_films
from radiolucent.errors import BusyError, ConfigError, DataError
from radiolucent.files import one_process
from radiolucent.models import build, films_path, load, wrap_function
from radiolucent.models.positive import AmbiguousPositive, positive_class
from radiolucent.study.prepared import splits_in
from support.cli_calls import TRAINING, call, status


@pytest.mark.parametrize(
    ("names", "positive"),
    [
        (("NORMAL", "PNEUMONIA"), 1), (("PNEUMONIA", "normal"), 0), (("effusion", "normal"), 0), (("0", "1"), 1),
        (("No_Finding", "edema"), 1), (("disease", "healthy"), 0), (("neg", "pos"), 1), (("COVID", "non-COVID"), 0),
        (("control", "TB"), 1), (("0.0", "1.0"), 1), (("0", "1", "2"), 2), (("neg.", "pos."), 1),
        (("NORMAL", "BACTERIAL", "VIRAL"), 2), (("a", "pneumonia", "normal"), 1),
    ],
)  # fmt: skip
def test_names_that_leave_no_doubt(names: tuple[str, ...], positive: int) -> None:
    assert positive_class(names) == positive


@pytest.mark.parametrize(
    "names", [("left", "right"), ("normal", "healthy"), ("bacteria", "virus"), ("2", "1"), ("gesund", "krank")]
)
def test_names_that_do_not_say_are_asked_about(names: tuple[str, str]) -> None:
    for make in (
        lambda: positive_class(names),
        lambda: build("small_cnn", class_names=names, size=32, widths=(4,)),
        lambda: wrap_function(lambda x: x.mean((1, 2, 3)), names, head="sigmoid"),
    ):
        with pytest.raises(AmbiguousPositive, match=f"--positive {names[0]}"):
            make()
    assert positive_class(names, f" {names[0].upper()}") == 0
    with pytest.raises(ConfigError, match=f"expected one of {names[0]}"):
        positive_class(names, "other")


def test_training_names_the_positive_class_everywhere(home: Path) -> None:
    assert load(home / "run").positive == 0
    assert "positive class: effusion" in (home / "said.txt").read_text()
    film = next((home / "films" / "normal").iterdir())
    assert "effusion from" in call("predict", home / "run", film).stdout
    assert json.loads(call("predict", home / "run", film, "--json").stdout)["positive"] == "effusion"


def test_ambiguous_classes_stop_before_anything_is_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "films" / "normal").rename(home / "films" / "other")
    try:
        assert status(monkeypatch, "train", home / "films", "--out", tmp_path / "run", *TRAINING) == 2
        assert "--positive effusion" in capfd.readouterr().err and not (tmp_path / "run").exists()
        asked = call("train", home / "films", "--out", tmp_path / "run", *TRAINING, "--positive", "OTHER", "--json")
        assert json.loads(asked.stdout)["positive"] == "other"
    finally:
        (home / "films" / "other").rename(home / "films" / "normal")


def test_classes_from_a_mapping_and_a_column(home: Path, tmp_path: Path) -> None:
    films = load_dataset(home / "films", classes="HEALTHY=normal,ILL=effusion")
    assert films.class_names == ("HEALTHY", "ILL") and films.records[0].label == 1
    alone = load_dataset(home / "films", classes="effusion,")
    assert alone.class_names == ("effusion",) and len(alone.left_out) == len(films) - len(alone)
    rows = "\n".join(f"{r.path},{'ap' if i % 2 else 'pa'}" for i, r in enumerate(films.records))
    (tmp_path / "m.csv").write_text(f"path,view\n{rows}\n")
    assert load_dataset(tmp_path / "m.csv", classes="view").class_names == ("ap", "pa")
    for classes, why in (("view2", "no film has such a column"), ("X=none,Y=ap", "is none of"), ("4", "4 classes")):
        with pytest.raises(DataError, match=why):
            load_dataset(home / "films", classes=classes)


def test_films_of_the_training_are_recognised_and_left_out(home: Path, tmp_path: Path) -> None:
    trained = json.loads(call("evaluate", home / "run", home / "films", "--json").stdout)["trained_on"]
    assert trained["splits"]["train"] > trained["splits"]["val"] > 0 and not trained["left_out"]
    loud = call("evaluate", home / "run", home / "films").stderr
    assert "no test of this model" in loud and "--unseen" in loud
    rest = json.loads(call("evaluate", home / "run", home / "films", "--unseen", "--json").stdout)
    assert rest["n"] == trained["of"] - trained["films"] and rest["trained_on"]["left_out"]
    for file in (home / "films").rglob("*.png"):  # the same pictures in other files
        (tmp_path / file.parent.name).mkdir(exist_ok=True)
        Image.open(file).save(tmp_path / file.parent.name / f"copy of {file.stem}.tif")
    copies = json.loads(call("evaluate", home / "run", tmp_path, "--json").stdout)["trained_on"]
    assert copies["films"] == trained["films"] and copies["by"] == {"the same picture": trained["films"]}


def test_an_exported_file_knows_the_films_but_names_no_patient(home: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "m.onnx", tmp_path / "run"
    shutil.copytree(home / "run", run)
    with (run / "split.csv").open(newline="") as stream:
        rows = [{**row, "patient_id": f"Smith {i}"} for i, row in enumerate(csv.DictReader(stream))]
    with (run / "split.csv").open("w", newline="") as stream:
        (writer := csv.DictWriter(stream, list(rows[0]))).writeheader()
        writer.writerows(rows)
    call("export", run, file)
    beside = tmp_path / "m.onnx.films.csv"
    told = beside.read_text()
    assert told.splitlines()[0] == "split,sha256,pixels_sha256,of"
    films = films_of_run(run)
    assert films is not None and films.patients and not films.unsure
    exported = films_of_run(file)
    assert exported is not None and (exported.files, exported.pixels) == (films.files, films.pixels)
    assert not exported.patients and "Smith" not in told
    for more in ((), ("--unseen",)):
        words = (home / "films", "--json", *more)
        own, again = call("evaluate", run, *words), call("evaluate", "--model", file, *words)
        assert json.loads(again.stdout)["trained_on"]["films"] == json.loads(own.stdout)["trained_on"]["films"] > 0
        assert "not known which patients" in again.stderr and "not known which patients" not in own.stderr
    for damaged, said in (
        (b"", "names no film"),
        (told.encode("utf-16"), "does not say which film"),
        (told[:-9].encode(), "cut short"),
        (told[: told.rindex("\n", 0, -1) + 1].encode(), "cut short"),  # at a line's end
    ):
        beside.write_bytes(damaged)
        with pytest.raises(DataError, match=said):
            films_of_run(file)
    beside.unlink()
    assert "not known which films" in call("evaluate", "--model", file, home / "films").stderr
    beside.write_text("another model's")
    call("export", run / "model.safetensors", file)
    assert beside.read_text() == told
    call("export", "box", file, "--films", home / "films")
    assert not beside.exists(), "what an earlier export left"


def test_a_split_that_is_cut_short_at_a_lines_end_is_refused(home: Path, tmp_path: Path) -> None:
    run = shutil.copytree(home / "run", tmp_path / "run")
    told = (run / "split.csv").read_text()
    (run / "split.csv").write_text(told[: told.rindex("\n", 0, -1) + 1])
    for read in (films_of_run, lambda r: splits_in(r / "split.csv"), lambda r: write_films(r, tmp_path / "m.onnx")):
        with pytest.raises(DataError, match="cut short"):
            read(run)
    assert not films_path(tmp_path / "m.onnx").exists()


def test_comparing_marks_films_of_the_training(home: Path) -> None:
    readings = ("--annotations", home / "phantom" / "annotations.json", "--json")
    found = json.loads(call("compare", home / "run", home / "phantom", *readings).stdout)
    assert found["trained_on"]["films"] > 0 and not found["trained_on"]["left_out"]


def test_too_little_is_said_before_training_with_what_would_do(home: Path) -> None:
    said = (home / "said.txt").read_text()
    assert said.index("warning: training has") < said.index("epoch 1:")
    for words in ("of class effusion", "50 patients", "raise --val", "threshold", "rests on 1 film of 1 patient"):
        assert words in said, words


@pytest.mark.parametrize(
    "wrong", [("--freeze", "9000"), ("--threshold-rule", "best"), ("--lr", "-1"), ("--weights", "none.pt")]
)
def test_a_start_that_fails_leaves_nothing(
    home: Path, tmp_path: Path, wrong: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", home / "films", "--out", tmp_path / "run", *TRAINING, *wrong]
    assert status(monkeypatch, *words) in (1, 2) and not (tmp_path / "run").exists()


def test_another_study_is_refused_and_fresh_named_which_forgets_only_when_all_is_well(
    home: Path, tmp_path: Path
) -> None:
    before = (home / "run" / "model.safetensors").read_bytes()
    words = ("train", home / "films", "--out", home / "run", *TRAINING, "--seed", 5)
    with pytest.raises(ConfigError, match="--fresh"):
        call(*words)
    with pytest.raises(ConfigError, match="threshold rule"):
        call(*words, "--fresh", "--threshold-rule", "none")
    assert (home / "run" / "model.safetensors").read_bytes() == before


def test_two_processes_never_write_one_folder(tmp_path: Path) -> None:
    code = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(tmp_path / ".lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="another process"), one_process(tmp_path):
            pass
        other.communicate("")
    with one_process(tmp_path), one_process(tmp_path):
        pass
