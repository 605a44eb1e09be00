"""How training went."""

from collections.abc import Sequence
from typing import Protocol

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from radiolucent.figures.style import BLUE, GREEN, GREY, ORANGE, figure, styled, tidy

__all__ = ["learning_curves"]


class Epoch(Protocol):
    """What a learning curve shows of an epoch."""

    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def val_loss(self) -> float: ...
    @property
    def train_accuracy(self) -> float: ...
    @property
    def val_accuracy(self) -> float: ...
    @property
    def lr(self) -> float: ...


@styled
def learning_curves(history: Sequence[Epoch], best_epoch: int) -> Figure:
    """Loss, accuracy and learning rate by epoch, with the epoch that was kept."""
    made, axes = figure(10, 2.9, 1, 3)
    epochs = [h.epoch for h in history]
    for ax, name, words in ((axes[0, 0], "loss", "Loss"), (axes[0, 1], "accuracy", "Accuracy")):
        for part, colour, mark, label in (("train", BLUE, "o", "training"), ("val", ORANGE, "s", "validation")):
            values = [getattr(h, f"{part}_{name}") for h in history]
            ax.plot(epochs, values, color=colour, marker=mark, ms=3.5, lw=1.6, label=label)
        tidy(ax, words, "epoch")
    axes[0, 2].plot(epochs, [h.lr for h in history], "o-", color=GREY, ms=3.5, lw=1.6)
    axes[0, 2].yaxis.set_major_formatter("{x:.1e}")
    tidy(axes[0, 2], "Learning rate at the epoch's end", "epoch")
    for ax in axes[0]:
        ax.axvline(best_epoch, color=GREEN, lw=1.2, ls="--", label=f"kept: epoch {best_epoch}")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].legend()
    return made
