"""Several processes under torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow
SCRIPT = str(Path(__file__).parents[1] / "support" / "together.py")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the same trainings by one process and by two."""
    folders = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for folder, launcher in zip(folders, ([], torchrun), strict=True):
        command = [sys.executable, *launcher, SCRIPT, str(folder)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
    return folders


def weights(folder: Path, name: str, rank: int = 0) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"{name}.{rank}.pt", weights_only=True)  # type: ignore[no-any-return]


def told(folder: Path, name: str, rank: int = 0) -> dict[str, Any]:
    return json.loads((folder / f"{name}.{rank}.json").read_text())  # type: ignore[no-any-return]


def test_two_processes_take_the_steps_of_one(runs: tuple[Path, Path]) -> None:
    """The gradient is the mean over all examples though one process has one more of them, or the only one."""
    one, two = (weights(folder, "rows") for folder in runs)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(told(runs[0], "rows")["history"], told(runs[1], "rows")["history"], strict=True):
        for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_auroc", "lr"):
            assert theirs[key] == pytest.approx(mine[key], rel=1e-4), key


@pytest.mark.parametrize("name", ["rows", "shards", "frozen"])
def test_all_processes_end_with_the_same(runs: tuple[Path, Path], name: str) -> None:
    first, second = (weights(runs[1], name, rank) for rank in (0, 1))
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key]), key
    histories = [
        [(r["train_loss"], r["val_loss"], r["val_auroc"], r["best"]) for r in told(runs[1], name, rank)["history"]]
        for rank in (0, 1)
    ]
    assert histories[0] == histories[1]
    assert histories[0][-1][1] < histories[0][0][1] + 0.1


def test_one_process_writes(runs: tuple[Path, Path]) -> None:
    files = {file.name for file in (runs[1] / "shards").rglob("*") if file.is_file()}
    best = next(i + 1 for i, r in reversed(list(enumerate(told(runs[1], "shards")["history"]))) if r["best"])
    expected = {"config.json", "history.csv", "model.safetensors", "last.safetensors", f"best-{best:04d}.safetensors"}
    assert files == expected


def test_says_that_training_features_are_not_kept(runs: tuple[Path, Path]) -> None:
    notes = told(runs[1], "frozen")["notes"]
    assert any("each process sees others" in note for note in notes)
    assert any("validation images pass the frozen first layers once" in note for note in notes)
