"""Frozen layers computed once."""

import re
from pathlib import Path

import pytest
import torch

from radiolucent.models import build, freeze
from radiolucent.training import TrainConfig, fit, prefix
from radiolucent.training import run as run_module
from radiolucent.training.prefix import Features
from support.small_training import NoisyLoader, ToyLoader, classifier

CONFIG = TrainConfig(epochs=3, batch_size=8, lr=0.01, freeze="stage:1", precision="32", ema=0.9)
NEVER = CONFIG.with_(cache_prefix="never")
VAL = ToyLoader(12, seed=1, shuffle=False)


def run(config: TrainConfig, loader: object | None = None, **options: object):  # type: ignore[no-untyped-def]
    return fit(classifier(), loader or ToyLoader(32), VAL, config, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["memory", "file"])
def test_same_bits_as_without(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "file":
        monkeypatch.setattr(prefix, "IN_MEMORY", 0)
    kept, plain = run(CONFIG, out=tmp_path / "kept"), run(NEVER, out=tmp_path / "plain")
    for name, tensor in plain.classifier.network.state_dict().items():
        assert torch.equal(kept.classifier.network.state_dict()[name], tensor), name
    for mine, theirs in zip(kept.history, plain.history, strict=True):
        assert (mine.train_loss, mine.val_loss, mine.val_auroc) == (
            theirs.train_loss,
            theirs.val_loss,
            theirs.val_auroc,
        )
    assert "training images pass the frozen first layers once, not every epoch" in kept.notes
    assert "validation images pass the frozen first layers once, not every epoch" in kept.notes
    assert not any("frozen" in note for note in plain.notes)
    assert not list((tmp_path / "kept" / "state").glob(".features*"))


def test_a_smaller_last_batch_changes_no_more_than_rounding() -> None:
    kept, plain = run(CONFIG, ToyLoader(29)), run(NEVER, ToyLoader(29))
    for name, tensor in plain.classifier.network.state_dict().items():
        torch.testing.assert_close(kept.classifier.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [CONFIG, NEVER], ids=["kept", "every epoch"])
def test_frozen_layers_run_as_often_as_said(config: TrainConfig) -> None:
    start, seen = classifier(), []

    class Counting(torch.nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            if len(input) > 1:  # the cut's own check uses one image
                seen.append(len(input))
            return super().forward(input)

    start.network.stem.conv.__class__ = Counting  # type: ignore[union-attr]
    fit(start, ToyLoader(32), VAL, config)
    assert sum(seen) == (32 + 12) * (1 if config is CONFIG else 3)


class Anonymous:
    """Batches that say nothing of themselves but that they are always the same images."""

    augments = False

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(ToyLoader(32))

    def __len__(self) -> int:
        return 4


@pytest.mark.parametrize(
    ("loader", "changes", "words"),
    [
        (NoisyLoader(32), {}, "every epoch: they are augmented anew"),
        (Anonymous(), {}, "every epoch: the loader cannot say which"),
        (ToyLoader(32), {"cache_gb": 1e-6}, r"every epoch: they need 0\.0 GB, more than the 0\.0 GB allowed"),
    ],
    ids=["augments", "anonymous", "no room"],
)
def test_says_why_not(loader: object, changes: dict[str, object], words: str) -> None:
    notes = run(CONFIG.with_(**changes), loader).notes
    assert any(re.search(f"^training images pass the frozen first layers {words}", note) for note in notes), notes


def test_frozen_behind_what_learns_is_no_first_part(monkeypatch: pytest.MonkeyPatch) -> None:
    start = build("resnet18", pretrained=False, size=32)[0]

    def middle(network: torch.nn.Module, spec: str) -> None:
        freeze(network, spec)
        network.get_parameter("conv1.weight").requires_grad_(True)
        network.get_submodule("conv1")._frozen = False  # type: ignore[assignment]

    monkeypatch.setattr(run_module, "freeze", middle)
    rgb = ToyLoader(16)
    rgb.images = rgb.images.expand(-1, 3, -1, -1).contiguous()
    fitted = fit(start, rgb, rgb, CONFIG.with_(epochs=2))
    assert any("computed every epoch: the frozen layers are not a first part" in note for note in fitted.notes)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["last", "first"])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory", [0, 1e9], ids=["file", "memory"])
def test_features_come_back_as_they_were(
    layout: torch.memory_format, kind: torch.dtype, memory: float, tmp_path: Path
) -> None:
    batch = torch.randn(4, 3, 5, 6).to(kind).contiguous(memory_format=layout)
    room = Features(batch, 6, tmp_path, 1e9, memory)
    rows = torch.tensor([5, 0, 2, 1])
    room.put(rows, batch)
    back = room.get(rows.flip(0))
    assert torch.equal(back, batch.flip(0)) and back.is_contiguous(memory_format=layout)
    assert not list(tmp_path.iterdir())


def test_no_more_disk_than_half_of_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 1000})())
    with pytest.raises(MemoryError, match="GB free"):
        Features(torch.zeros(2, 100), 4, tmp_path, 1e9, memory=0)
