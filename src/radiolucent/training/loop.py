"""`fit`: the training loop, top to bottom."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from radiolucent.bounds import expect
from radiolucent.models import Classifier, keep_freed_memory
from radiolucent.models.classifier import check_classifier
from radiolucent.training.config import TrainConfig
from radiolucent.training.fused_ops import quickened
from radiolucent.training.logs import EpochResult, write_history
from radiolucent.training.run import Run, reproducible
from radiolucent.training.setup import prepare
from radiolucent.training.signals import Interruption
from radiolucent.training.steps import train_step
from radiolucent.training.validation import validate

__all__ = ["Fitted", "fit"]

Batches = Iterable[tuple[torch.Tensor, ...]]
SAVE_SECONDS = 120.0
"""Within an epoch the state is saved this often."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What training gives.

    Attributes:
        classifier: with the weights of the best epoch, in eval mode.
        history: one result an epoch.
        best_epoch: the epoch with the lowest validation loss, from 1.
        notes: what was decided on the way (precision, caching, early stop, resume), in sentences.
    """

    classifier: Classifier
    history: tuple[EpochResult, ...]
    best_epoch: int
    notes: tuple[str, ...]


def fit(
    classifier: Classifier,
    train: Batches,
    val: Batches,
    config: TrainConfig,
    *,
    out: Path | str | None = None,
    resume: bool = True,
    finish: bool = True,
    on_epoch: Callable[[EpochResult], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train a copy of a classifier and return it with the weights of its best epoch.

    Killed at any moment and called again with the same arguments, it goes on and ends with the same weights, bit for
    bit, on the same machine. Under `torchrun` the processes train together; the first one writes.

    Args:
        classifier: where to start; left as it is.
        train, val: iterables of (inputs float (B, C, S, S), labels (B,)), with a length, that give the same batches for
            the same epoch; to train with `right_reasons` or `relevance`, (inputs, labels, bool (B, S, S)); to train
            with `group_rate`, each example's group, int64 (B,), comes last, in validation too. Used where they have
            them: `set_epoch(e)`, `augments`, `class_counts`, `group_counts`, `fingerprint`, `world_size`, and
            `order()`, `batch()`, `indices`, `batch_size` for keeping a frozen prefix's outputs.
        config: how.
        out: folder for `model.safetensors`, `config.json`, `history.csv` and `state/`; None: nothing is written.
        resume: go on from `out/state` where there is one; False: start again.
        finish: whether the best weights are the finished model; False leaves `model.safetensors` marked unfinished, for
            a caller who calibrates and then writes it.
        on_epoch: called after every epoch (in the first process).
        progress: called with (steps done, steps in all).

    Raises:
        ConfigError: the saved state is of another training (the message lists what differs), or the loss diverged.
        DataError: empty loaders, images that are not finite.
    """
    check_classifier(classifier)
    expect(config, TrainConfig, "training's configuration", "rl.TrainConfig(epochs=…)")
    folder = Path(out) if out is not None else None
    keep_freed_memory()
    with reproducible(), Interruption(active=folder is not None) as interruption:
        run = prepare(classifier, train, val, config, folder, resume)
        with quickened(run.network, active=run.on_plain_cpu):
            while run.epoch < config.epochs and not run.stopped_early:
                started = time.perf_counter()
                speed = train_epoch(run, interruption, progress)
                result = close_epoch(run, started, speed)
                if on_epoch is not None and run.processes.leads:
                    on_epoch(result)
                if run.processes.largest([interruption.wanted])[0]:
                    interruption.carry_out(run.epoch, run.steps)
        run.load_best()
        if finish:
            run.write_classifier()
    return Fitted(run.finished_classifier(), tuple(run.history), run.best_epoch, tuple(run.notes))


def train_epoch(run: Run, interruption: Interruption, progress: Callable[[int, int], None] | None) -> float:
    """One pass over the training images, from wherever the state says; returns images a second."""
    saved = started = time.perf_counter()
    images = run.sums.totals(run.processes)[3]
    for batch, counts in run.train_batches():
        train_step(run, batch, counts)
        run.step += 1
        if progress is not None:
            progress(run.epoch * run.steps + run.step, run.config.epochs * run.steps)
        if run.step % run.processes.every == 0 and run.step < run.steps:
            run.check_finite(batch[0])
            stop, due = run.processes.largest([interruption.wanted, time.perf_counter() - saved > SAVE_SECONDS])
            if stop or due:
                run.save()
                saved = time.perf_counter()
            if stop:
                interruption.carry_out(run.epoch + 1, run.step)
    run.check_finite(None)
    return (run.sums.totals(run.processes)[3] - images) / max(time.perf_counter() - started, 1e-9)


def close_epoch(run: Run, started: float, speed: float) -> EpochResult:
    """Validate, remember the best, adapt the rate, write everything down."""
    with run.averaged():
        scores = validate(run)
        best = scores.loss < run.best_loss
        if best:
            run.keep_best(scores.loss)
    loss, weight, right, count = run.sums.totals(run.processes)
    result = EpochResult(
        epoch=run.epoch + 1,
        train_loss=loss / weight,
        train_accuracy=right / count,
        val_loss=scores.loss,
        val_accuracy=scores.accuracy,
        val_auroc=scores.auroc,
        lr=run.rate(),
        seconds=time.perf_counter() - started,
        images_per_second=speed,
        best=best,
    )
    run.history.append(result)
    run.plateau.after(scores.loss, run.config)
    run.next_epoch()
    run.save()
    if run.folder is not None and run.processes.leads:
        write_history(run.folder / "history.csv", run.history)
    return result
