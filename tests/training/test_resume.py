"""Going on after an interruption."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from radiolucent.errors import CheckpointError, ConfigError
from radiolucent.training import TrainConfig, fit, loop
from radiolucent.training.state import StateFolder
from support.small_training import NoisyLoader, ToyLoader, classifier

CONFIG = TrainConfig(epochs=3, batch_size=8, lr=0.01, ema=0.9, precision="32")


def loaders() -> tuple[ToyLoader, ToyLoader]:
    return NoisyLoader(28), ToyLoader(12, seed=1, shuffle=False)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """Folder of trainings that were killed again and again, and how often."""
    folder = tmp_path_factory.mktemp("killed")
    script = Path(__file__).parents[1] / "support" / "killable.py"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.mark.parametrize(
    "scenario", ["strong, a state every step", "strong, a state every epoch", "classic, frozen features kept"]
)
def test_killed_at_random_moments_ends_with_the_same_bits(killed: tuple[Path, dict[str, int]], scenario: str) -> None:
    folder, kills = killed[0] / scenario, killed[1]
    assert kills[scenario] >= 2
    assert_same(weights(folder / "whole"), weights(folder / "broken"))
    whole, broken = (StateFolder(folder / name / "state").load() for name in ("whole", "broken"))
    assert whole is not None and broken is not None
    assert_same(dict(whole.tensors), dict(broken.tensors))
    for mine, theirs in zip(whole.meta["history"], broken.meta["history"], strict=True):
        for timing in ("seconds", "images_per_second"):
            del mine[timing], theirs[timing]
        assert mine == theirs
    assert not list((folder / "broken" / "state").glob("*features*"))


def test_a_signal_saves_between_two_steps(tmp_path: Path) -> None:
    """In a process of its own: where a signal is not taken, it ends that process and not the tests."""
    script = Path(__file__).parents[1] / "support" / "stoppable.py"
    command = [sys.executable, str(script), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    both = {"handler_back": True, "at": [1, 2], "resumed": True, "same_weights": True}
    assert json.loads(done.stdout) == {
        "SIGTERM": {"raised": "SystemExit(143)"} | both,
        "SIGINT": {"raised": "KeyboardInterrupt"} | both,
    }


def test_an_error_in_a_callback_leaves_a_state_to_go_on_from(tmp_path: Path) -> None:
    whole = fit(classifier(), *loaders(), CONFIG)

    def fail(result: object) -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fit(classifier(), *loaders(), CONFIG, out=tmp_path, on_epoch=fail)
    resumed = fit(classifier(), *loaders(), CONFIG, out=tmp_path)
    assert_same(whole.classifier.network.state_dict(), resumed.classifier.network.state_dict())


def test_finished_is_finished(tmp_path: Path) -> None:
    first = fit(classifier(), *loaders(), CONFIG, out=tmp_path)
    seen: list[object] = []
    again = fit(classifier(), *loaders(), CONFIG, out=tmp_path, on_epoch=seen.append)
    assert not seen and again.history == first.history and again.best_epoch == first.best_epoch
    assert "was finished already" in again.notes
    assert_same(first.classifier.network.state_dict(), again.classifier.network.state_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": CONFIG.with_(lr=0.02)}, r"config\.lr: 0\.01 there, 0\.02 here"),
        ({"config": CONFIG.with_(epochs=4)}, r"config\.epochs: 3 there, 4 here"),
        ({"train": NoisyLoader(36)}, "train: 4 batches.*there, 5 batches.*here"),
        ({"train": NoisyLoader(28, seed=5)}, "train: "),
        ({"val": ToyLoader(12, seed=2, shuffle=False)}, "val: "),
        ({"classifier": classifier(seed=1)}, "starting weights: "),
    ],
    ids=["lr", "epochs", "more images", "other images", "other validation", "other weights"],
)
def test_another_training_is_refused_and_says_what_differs(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    train, val = loaders()
    given = {"classifier": classifier(), "train": train, "val": val, "config": CONFIG}
    fit(**given, out=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=words):
        fit(**(given | change), out=tmp_path)  # type: ignore[arg-type]
    again = fit(**(given | change), out=tmp_path, resume=False)  # type: ignore[arg-type]
    assert len(again.history) == again.classifier.provenance["training"]["config"]["epochs"]


def test_a_loader_may_name_its_data(tmp_path: Path) -> None:
    train, val = loaders()
    train.fingerprint = "films 1"  # type: ignore[attr-defined]
    fit(classifier(), train, val, CONFIG, out=tmp_path)
    train.fingerprint = "films 2"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="train: films 1 there, films 2 here"):
        fit(classifier(), train, val, CONFIG, out=tmp_path)


def test_a_damaged_state_says_what_to_delete(tmp_path: Path) -> None:
    fit(classifier(), *loaders(), CONFIG.with_(epochs=1), out=tmp_path)
    file = tmp_path / "state" / "last.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last\.safetensors: damaged .*delete"):
        fit(classifier(), *loaders(), CONFIG.with_(epochs=1), out=tmp_path)


def test_only_the_best_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    fitted = fit(classifier(), *loaders(), CONFIG, out=tmp_path)
    names = sorted(file.name for file in (tmp_path / "state").iterdir())
    assert names == [f"best-{fitted.best_epoch:04d}.safetensors", "last.safetensors"]
    best = load_file(tmp_path / "state" / names[0])
    assert_same(best, fitted.classifier.network.state_dict())
    assert_same(best, weights(tmp_path))
