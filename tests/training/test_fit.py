"""The loop."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from radiolucent.errors import ConfigError, DataError
from radiolucent.models import build, keras_layers, load
from radiolucent.training import EpochResult, TrainConfig, fit, strong, tensorboard, validation
from support.small_training import ToyLoader, classifier, images

CONFIG = TrainConfig(epochs=4, batch_size=8, lr=0.01, precision="32")


def loaders() -> tuple[ToyLoader, ToyLoader]:
    return ToyLoader(32), ToyLoader(24, seed=1, shuffle=False)


def scripted(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Make the validation losses what the test needs."""
    coming = iter(losses)
    real = validation.validate
    monkeypatch.setattr(
        "radiolucent.training.loop.validate", lambda run: dataclasses.replace(real(run), loss=next(coming))
    )


def test_learns_and_writes_a_run(tmp_path: Path) -> None:
    seen: list[EpochResult] = []
    steps: list[tuple[int, int]] = []
    config = CONFIG.with_(epochs=8, ema=0.8)
    fitted = fit(
        classifier(dropout=0.0), ToyLoader(80), loaders()[1], config, out=tmp_path, on_epoch=seen.append,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert fitted.history[-1].val_auroc == pytest.approx(1.0, abs=0.1)
    assert tuple(seen) == fitted.history and len(seen) == 8
    assert steps == [(k + 1, 80) for k in range(80)]
    assert TrainConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == config
    written = load(tmp_path)
    assert written.provenance["training"]["best_epoch"] == fitted.best_epoch
    inputs = ToyLoader(8).images
    torch.testing.assert_close(written.logits(inputs), fitted.classifier.logits(inputs))
    assert not fitted.classifier.network.training


def test_history_csv_has_a_row_an_epoch(tmp_path: Path) -> None:
    fitted = fit(classifier(), *loaders(), CONFIG, out=tmp_path)
    with (tmp_path / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_auroc", "lr", "seconds",
        "images_per_second", "best",
    ]  # fmt: skip
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert [float(row["val_loss"]) for row in rows] == [result.val_loss for result in fitted.history]


def test_the_epoch_with_the_lowest_validation_loss_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, [0.5, 0.3, 0.4, 0.3])
    config = CONFIG.with_(schedule="constant", warmup_epochs=0)
    fitted = fit(classifier(), *loaders(), config, out=tmp_path)
    assert fitted.best_epoch == 2 and [r.best for r in fitted.history] == [True, True, False, False]
    scripted(monkeypatch, [0.5, 0.3])
    two = fit(classifier(), *loaders(), config.with_(epochs=2))
    for name, tensor in two.classifier.network.state_dict().items():
        assert torch.equal(fitted.classifier.network.state_dict()[name], tensor)
        assert torch.equal(load(tmp_path).network.state_dict()[name], tensor)


def test_stops_early(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.6, 0.5, 0.1])
    fitted = fit(classifier(), *loaders(), CONFIG.with_(epochs=9, early_stop=2))
    assert len(fitted.history) == 4 and fitted.best_epoch == 2
    assert "stopped after epoch 4: no lower validation loss since epoch 2" in fitted.notes


def test_plateau_lowers_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.5, 0.6, 0.6, 0.1])
    config = CONFIG.with_(schedule="plateau", plateau_patience=2, plateau_factor=0.5, warmup_epochs=0, lr_decay=0.01)
    rates = [result.lr for result in fit(classifier(), *loaders(), config).history]
    last_steps = [3, 7, 11, 15]
    scales = [1, 1, 1, 0.5]
    assert rates == pytest.approx([0.01 * s / (1 + 0.01 * t) for s, t in zip(scales, last_steps, strict=True)])


def test_validation_loss_is_that_of_the_classifier() -> None:
    fitted = fit(classifier(), *loaders(), strong(epochs=2, batch_size=8, ema=0.5))
    val = loaders()[1]
    logits = fitted.classifier.logits(val.images)
    loss = torch.nn.functional.cross_entropy(logits, val.labels).item()
    assert loss == pytest.approx(fitted.history[fitted.best_epoch - 1].val_loss, rel=1e-5)
    accuracy = (logits.argmax(1) == val.labels).float().mean().item()
    assert accuracy == pytest.approx(fitted.history[fitted.best_epoch - 1].val_accuracy)


def test_everything_is_left_as_it_was(tmp_path: Path) -> None:
    start = classifier()
    before = {name: tensor.clone() for name, tensor in start.network.state_dict().items()}
    torch.manual_seed(3)
    generator = torch.get_rng_state()
    fit(start, *loaders(), CONFIG.with_(freeze="stage:1"))
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(before[n], t) for n, t in start.network.state_dict().items())
    assert all(p.requires_grad for p in start.network.parameters()) and not start.network.training
    assert not list(tmp_path.iterdir())


def test_frozen_layers_do_not_change() -> None:
    start = classifier()
    fitted = fit(start, *loaders(), CONFIG.with_(freeze="stage:1", ema=0.5))
    for name, tensor in fitted.classifier.network.state_dict().items():
        frozen = name.startswith(("stem.", "blocks.0."))
        assert torch.equal(tensor, start.network.state_dict()[name]) == frozen, name


def test_same_seed_same_weights_other_seed_other_weights() -> None:
    weights = [
        fit(classifier(), *loaders(), CONFIG.with_(epochs=1, seed=seed)).classifier.network.head[1].weight  # type: ignore[index]
        for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_torchs_own_loader_will_do() -> None:
    torch.manual_seed(0)
    data = DataLoader(TensorDataset(*images(20)), batch_size=8, shuffle=True)
    losses = [fit(classifier(), data, data, CONFIG.with_(epochs=2)).history[-1].train_loss for _ in range(2)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("head", ["sigmoid", "multilabel"])
def test_other_heads(head: str) -> None:
    start = build("small_cnn", pretrained=False, size=32, head=head, widths=(4, 8), dropout=0.0)[0]  # type: ignore[arg-type]
    train, val = loaders()
    if head == "multilabel":
        for loader in (train, val):
            loader.labels = torch.stack([loader.labels, 1 - loader.labels], 1)
    fitted = fit(start, train, val, CONFIG.with_(epochs=6, schedule="constant"))
    assert fitted.history[-1].train_loss < fitted.history[0].train_loss
    assert fitted.history[0].val_auroc is not None


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_first_step_is_torchs(optimizer: str) -> None:
    """One step without warm-up against torch's optimizer by hand."""
    config = TrainConfig(
        epochs=1, batch_size=32, optimizer=optimizer, lr=0.01, schedule="constant", warmup_epochs=0, weight_decay=0.1,
        head_lr=0.5, precision="32",
    )  # fmt: skip
    start = classifier(dropout=0.0, l2=0.0)
    train, val = ToyLoader(32, batch_size=32, shuffle=False), ToyLoader(8)
    fitted = fit(start, train, val, config)
    network = classifier(dropout=0.0, l2=0.0).network.train()
    torch.nn.functional.cross_entropy(network(train.images), train.labels).backward()
    head = list(network.head[-1].parameters())  # type: ignore[index]
    for name, parameter in network.named_parameters():
        lr = 0.005 if any(parameter is p for p in head) else 0.01
        decay = 0.1 if parameter.ndim > 1 and optimizer != "adam" else 0.0
        made = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer]
        extra = {"momentum": 0.9, "nesterov": True} if optimizer == "sgd" else {}
        made([parameter], lr=lr, weight_decay=decay, **extra).step()  # type: ignore[arg-type]
        ours = dict(fitted.classifier.network.named_parameters())[name]
        torch.testing.assert_close(ours, parameter, rtol=1e-4, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_penalties_shrink_weights() -> None:
    def norm(config: TrainConfig, l2: float) -> float:
        network = fit(classifier(l2=l2), *loaders(), config).classifier.network
        return float(network.head[1].weight.detach().norm())  # type: ignore[index, operator]

    assert norm(CONFIG, 1.0) < 0.95 * norm(CONFIG, 0.0)
    assert norm(CONFIG.with_(l2=1.0), 0.0) < 0.95 * norm(CONFIG, 0.0)


def test_a_diverging_loss_says_so_and_what_to_do(tmp_path: Path) -> None:
    config = CONFIG.with_(lr=1e30, schedule="constant", warmup_epochs=0, optimizer="sgd")
    with pytest.raises(ConfigError, match=r"epoch 1, step \d: .*not finite.* a lower lr \(now 1e\+30\), grad_clip=1"):
        fit(classifier(), *loaders(), config, out=tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_images_that_are_not_finite_are_told_from_divergence() -> None:
    train, val = loaders()
    train.images[:, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="images with values that are not finite"):
        fit(classifier(), train, val, CONFIG)


@pytest.mark.parametrize("which", ["training", "validation"])
def test_empty_loaders_are_refused(which: str) -> None:
    train, val = loaders()
    (train if which == "training" else val).indices = np.arange(0)
    with pytest.raises(DataError, match=f"the {which} loader is empty"):
        fit(classifier(), train, val, CONFIG)


def test_a_lone_film_before_a_norm_over_films_says_what_to_do() -> None:
    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.dense = torch.nn.BatchNorm1d(1), torch.nn.Linear(1, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.dense(self.norm(x.mean((2, 3))))

    clf = classifier().with_(network=Pooled())
    with pytest.raises(ConfigError, match=r"one film alone.*--batch-size: 2 or more.*remainder of 1"):
        fit(clf, ToyLoader(9), ToyLoader(6, shuffle=False), TrainConfig(epochs=1))


def test_nothing_left_to_learn_is_refused() -> None:
    start = classifier()
    layers = len(keras_layers(start.network))
    with pytest.raises(ConfigError, match="nothing to learn"):
        fit(start, *loaders(), CONFIG.with_(freeze=f"{layers} layers"))


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fitted = fit(classifier(), *loaders(), CONFIG, on_epoch=tensorboard(tmp_path))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [e.step for e in events.Scalars("val/loss")] == [1, 2, 3, 4]
    assert events.Scalars("val/loss")[2].value == pytest.approx(fitted.history[2].val_loss)
