"""How films and readings are read is asked for in one way by every command, and travels with the model."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from radiolucent.cli import app
from radiolucent.errors import ConfigError
from radiolucent.images import ReadOptions, reading
from radiolucent.models import provenance
from radiolucent.study import StudyConfig
from support.cli_calls import TRAINING, call

FILMS = {"--frame", "--window", "--range", "--max-pixels"}
READINGS = {"--format", "--unmarked", "--skip-shapes", "--nothing-found", "--coordinates"}
NONE_READ = {"demo", "size", "report", "formats", "phantom", "kaggle", "medmnist", "split"}


def commands() -> dict[str, set[str]]:
    """The long options of every command."""
    top = typer.main.get_command(app)
    found: dict[str, set[str]] = {}
    for name, command in [*top.commands.items(), *top.commands["data"].commands.items()]:  # pyright: ignore
        if name != "data":
            found[name] = {opt for p in command.params for opt in p.opts}
    return found


def test_every_command_that_reads_has_the_options_of_reading() -> None:
    for name, has in commands().items():
        assert (has >= FILMS) == (name not in NONE_READ), name
        marks = "--annotations" in has or name == "annotations"
        assert (has >= READINGS) == marks, name
        assert not marks or has & {"--labels", "--reading-labels"}, (
            name
        )  # the second where films have labels of their own


def deep(path: Path, level: int) -> None:
    """12-bit values in a 16-bit file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(level).integers(level, level + 900, (48, 40)).astype(np.uint16)
    Image.fromarray(grey).save(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose films were read by --range."""
    root = tmp_path_factory.mktemp("range")
    for i in range(12):
        for name, level in (("normal", 200), ("effusion", 2600)):
            deep(root / "films" / name / f"{name}{i}.png", level + 7 * i)
    call("train", root / "films", "--out", root / "run", *TRAINING, "--range", "0,4095", "--val", "0.2")
    return root / "run"


def test_a_model_is_asked_about_films_as_it_learned_them(run: Path) -> None:
    assert (provenance(run) or {})["reading"] == {"range": [0, 4095]}
    film = run.parent / "films" / "effusion" / "effusion0.png"
    plain, same = call("predict", run, film, "--json"), call("predict", run, film, "--range", "0,4095", "--json")
    assert "read as those the model was trained on: range 0,4095" in " ".join(plain.stderr.split())
    found = json.loads(plain.stdout)["predictions"]
    assert found == json.loads(same.stdout)["predictions"] and not found[0].get("notes")
    other = call("predict", run, film, "--range", "0,65535")
    assert "warning: the model was trained on films read by range 0,4095" in " ".join(other.stderr.split())
    assert reading() == ReadOptions()


def test_a_run_goes_on_only_as_its_films_were_read(run: Path) -> None:
    with pytest.raises(ConfigError, match="holds another study"):
        call("train", run.parent / "films", "--out", run, *TRAINING, "--val", "0.2")


def test_a_study_keeps_how_it_reads() -> None:
    made = StudyConfig(
        Path("d"), Path("o"), film_options=ReadOptions(frame=2), annotation_options={"coordinates": "relative"}
    )
    kept = json.loads(json.dumps(made.to_dict()))
    assert StudyConfig.from_dict(kept) == made
    with made.reads():
        assert reading().frame == 2
    assert reading().frame is None
