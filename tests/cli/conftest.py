"""One small training for all tests of the command line."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from radiolucent.data.phantom import PhantomConfig, generate
from support.cli_calls import TRAINING, call


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`films/effusion` and `films/normal`, their `run`, and the phantom they came from with its readings."""
    root = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RADIOLUCENT_CACHE", str(root / "cache"))
        generate(root / "phantom", PhantomConfig(patients=24, films=1, size=64, seed=3), workers=1)
        for here, there in (("PNEUMONIA", "effusion"), ("NORMAL", "normal")):
            (root / "films" / there).mkdir(parents=True)
            for file in (root / "phantom").rglob(f"{here}/*.png"):
                os.link(file, root / "films" / there / file.name)
        result = call("train", root / "films", "--out", root / "run", *TRAINING)
        (root / "said.txt").write_text(result.output)
        yield root
