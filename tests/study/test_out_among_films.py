"""Results are never written over films, nor into the folder that films are read from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from radiolucent.cli.entry import app
from radiolucent.data import load_dataset, split_dataset
from radiolucent.data.plant import plant_markers
from radiolucent.errors import ConfigError
from radiolucent.explainers import GradCAM
from radiolucent.models import build
from radiolucent.segment import write_lungs
from radiolucent.study import ManyConfig, StudyConfig, explain_many, run_study, train_only


def explained(given: Path, out: Path) -> None:
    model = build("small_cnn", size=64, widths=(4, 4, 4, 4), hidden=0, seed=1)[0]
    explain_many(model, [given], out, ManyConfig((GradCAM(),)))


def looked_inside(*words: Path | str) -> None:
    CliRunner().invoke(app, ["features", "box", *map(str, words)], catch_exceptions=False)


WRITERS: dict[str, Callable[[Path], object]] = {
    "explain a film beside itself": lambda root: explained(root / "ILL" / "0.png", root / "ILL"),
    "explain a folder into itself": lambda root: explained(root, root),
    "features beside a film": lambda root: looked_inside(root / "ILL" / "0.png", "--out", root / "ILL"),
    "concepts": lambda root: looked_inside("--concepts", "3", "--data", root, "--out", root),
    "lungs": lambda root: write_lungs(load_dataset(root).records, root),
    "lungs through a link": lambda root: write_lungs(load_dataset(root).records, root.parent / "link"),
    "plant": lambda root: plant_markers(split_dataset(load_dataset(root), val=0.3, test=0.3), root, target="ILL"),
    "train": lambda root: train_only(StudyConfig(data=root, out=root)),
    "study": lambda root: run_study(StudyConfig(data=root, out=root)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_films_stay_as_they_are(tmp_path: Path, name: str) -> None:
    root = tmp_path / "films"
    for label in ("NORMAL", "ILL"):
        (root / label).mkdir(parents=True)
        for i in range(4):
            pixels = np.random.default_rng([i, len(label)]).integers(0, 255, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{i}.png")
    (tmp_path / "link").symlink_to(root)
    before = {file: file.read_bytes() for file in root.rglob("*.png")}
    with pytest.raises(ConfigError, match="films lie there"):
        WRITERS[name](root)
    assert {file: file.read_bytes() for file in root.rglob("*.png")} == before
