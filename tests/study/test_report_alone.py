"""A report from a run's own files; and checkpoints that are not finished."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from radiolucent.data import Dataset, Record, write_manifest
from radiolucent.data.phantom import PhantomConfig, generate
from radiolucent.data.trained_on import IDENTITY
from radiolucent.errors import CheckpointError, ConfigError
from radiolucent.models import build, finished, load
from radiolucent.study import StudyConfig, resume_report, run_study
from radiolucent.study.prepared import TOLD, _as_trained
from radiolucent.training import EpochResult, read_history
from radiolucent.training.logs import write_history


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that began with weights of its own, kept in `weights.safetensors`."""
    root = tmp_path_factory.mktemp("alone")
    generate(root / "films", PhantomConfig(patients=40, films=1, size=64, seed=3), workers=1)
    start = build("small_cnn", size=48, widths=(4, 4, 4, 4), hidden=0, seed=5)[0]
    save_file({n: t.contiguous() for n, t in start.network.state_dict().items()}, root / "weights.safetensors")
    run_study(config(root))
    return root


def config(root: Path) -> StudyConfig:
    return StudyConfig(
        data=root / "films",
        out=root / "run",
        model="small_cnn",
        size=48,
        epochs=2,
        cases=2,
        lime_samples=40,
        folds=100,
        weights=root / "weights.safetensors",
        annotations=root / "films" / "annotations.json",
        compare_films=3,
        cache=root / "cache",
        title="Moved",
    )


def summary(run: Path) -> dict:
    found = json.loads((run / "summary.json").read_text())
    del found["created"]
    return found


@pytest.mark.slow
def test_a_moved_run_reports_the_same_without_its_weights(home: Path, tmp_path: Path, monkeypatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is built, downloaded or trained for a report")

    before, model = summary(home / "run"), (home / "run" / "model.safetensors").read_bytes()
    run = tmp_path / "elsewhere"
    shutil.copytree(home / "run", run)
    for name in ("report.html", "summary.json"):
        (run / name).unlink()
    shutil.rmtree(run / "state")
    (home / "weights.safetensors").rename(home / "gone")
    monkeypatch.setattr("radiolucent.study.run.build", never)
    monkeypatch.setattr(sys.modules["radiolucent.study.trained"], "fit", never)  # the package's `train` is the function
    try:
        resume_report(run)
    finally:
        (home / "gone").rename(home / "weights.safetensors")
    assert summary(run) == before
    assert (run / "model.safetensors").read_bytes() == model and (run / "report.html").is_file()
    page = (run / "report.html").read_text()
    assert "tensors loaded" in page  # what training began with is still told


def test_a_split_of_before_has_the_notes_of_its_training(tmp_path: Path) -> None:
    films = tuple(Record(tmp_path / f"{i}", str(i), i % 2, f"p{i}", "val" if i < 40 else "test") for i in range(80))
    write_manifest(
        Dataset(tuple(dataclasses.replace(r, split="train", extra={IDENTITY: r.image_id}) for r in films), ("A", "B")),
        tmp_path / "split.csv",
    )
    kept = Dataset(films, ("A", "B"), notes=("of the files", "the validation split of 40 films is kept"))
    bare = _as_trained(kept, ("of the files",), tmp_path)
    assert {r.split for r in bare.records} == {"train"}
    assert bare.notes[0] == "of the files" and len(bare.notes) == 2 and bare.notes[1].startswith("split as in training")
    (tmp_path / TOLD).write_text(json.dumps({"data_notes": ["of the files", "validation is cut off"]}))
    assert _as_trained(kept, ("of the files",), tmp_path).notes == (*bare.notes, "in training: validation is cut off")


@pytest.mark.slow
def test_films_that_came_later_do_not_change_the_split(home: Path, tmp_path: Path) -> None:
    films = shutil.copytree(home / "films", tmp_path / "films")
    (films / "manifest.csv").unlink(missing_ok=True)
    run = shutil.copytree(home / "run", tmp_path / "run")
    resume_report(run, data=films, annotations=films / "annotations.json", cases=0)
    before = (run / "predictions.csv").read_text()
    victim = next(p for p in sorted(films.rglob("*.png")) if "masks" not in p.parts)
    shutil.copy(victim, victim.with_name("later" + victim.name))
    resume_report(run, data=films, annotations=films / "annotations.json", cases=0)
    assert (run / "predictions.csv").read_text() == before
    assert "1 films came since and are left out" in (run / "report.html").read_text()


@pytest.mark.slow
def test_a_run_without_its_threshold_says_so(home: Path, tmp_path: Path) -> None:
    run = shutil.copytree(home / "run", tmp_path / "run")
    (run / "threshold.json").unlink()
    with pytest.raises(ConfigError, match=r"threshold\.json or training\.json is missing or damaged"):
        resume_report(run)


@pytest.mark.slow
def test_killed_before_calibration_the_checkpoint_says_so(home: Path, tmp_path: Path, monkeypatch) -> None:
    class Killed(BaseException):
        """As a kill between the last epoch and the choice of a threshold."""

    def killed(*_: object) -> None:
        raise Killed

    study = dataclasses.replace(config(home), out=tmp_path / "run", annotations=None, cases=0)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["radiolucent.study.trained"], "_calibrated", killed)
        with pytest.raises(Killed):
            run_study(study)
    run = tmp_path / "run"
    assert (run / "model.safetensors").is_file() and not finished(run)
    with pytest.raises(CheckpointError, match=r"not finished: epoch \d of 2 is the best so far.*goes on where it"):
        load(run)
    with pytest.raises(CheckpointError, match="not finished"):
        resume_report(run)
    assert load(run, unfinished=True).threshold == 0.5
    run_study(study)
    assert finished(run) and load(run).provenance["best_epoch"] >= 1
    assert load(run).hash == load(home / "run").hash  # as if it had never been killed


def test_history_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [EpochResult(1, 0.1 + 0.2, 0.5, 1 / 3, 0.5, None, 1e-3, 1.5, 20.0, True),
            EpochResult(2, 0.25, 0.5, 0.4, 0.5, 0.75, 1e-4, 1.5, 20.0, False)]  # fmt: skip
    write_history(tmp_path / "history.csv", rows)
    assert read_history(tmp_path / "history.csv") == tuple(rows)
    with pytest.raises(ConfigError, match="history"):
        read_history(tmp_path / "none.csv")
