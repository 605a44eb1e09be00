"""The learning rate at every step, as formulas."""

import math
from dataclasses import dataclass

from radiolucent.training.config import TrainConfig

__all__ = ["Plateau", "learning_rate"]


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int, plateau: float = 1.0) -> float:
    """The learning rate at a step (counted from 0 over all epochs).

    lr(t) = lr · warm(t) · shape(t) · plateau / (1 + lr_decay · t), where warm rises linearly from 1/w to 1 over the w
    steps of the warm-up and shape, for the cosine, falls from 1 to `final_lr` over the rest.

    The decay is that of `keras.optimizers.Optimizer(decay=...)`, by iteration; the plateau scales the base it divides,
    as Keras' ReduceLROnPlateau does.

    >>> config = TrainConfig(lr=0.001, lr_decay=0.0001, schedule="constant", warmup_epochs=0)
    >>> learning_rate(config, 0, 10), round(learning_rate(config, 10_000, 10), 9)
    (0.001, 0.0005)
    """
    warm = round(config.warmup_epochs * steps_per_epoch)
    rate = config.lr * plateau / (1.0 + config.lr_decay * step)
    if step < warm:
        return rate * (step + 1) / warm
    if config.schedule == "cosine":
        done = (step - warm) / max(1, config.epochs * steps_per_epoch - warm)
        return rate * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
    return rate


@dataclass
class Plateau:
    """Keras' ReduceLROnPlateau: after `patience` epochs without a fall below best − min_delta, multiply by `factor`.

    Attributes:
        scale: what the learning rate is multiplied by now. best: lowest loss so far. wait: epochs since.

    >>> plateau = Plateau()
    >>> config = TrainConfig(schedule="plateau", plateau_patience=2, plateau_factor=0.1)
    >>> [plateau.after(loss, config) for loss in (1.0, 0.5, 0.5, 0.6, 0.7)]
    [1.0, 1.0, 1.0, 0.1, 0.1]
    """

    scale: float = 1.0
    best: float = math.inf
    wait: int = 0

    def after(self, loss: float, config: TrainConfig) -> float:
        """Take one epoch's validation loss and return the scale of the next."""
        if config.schedule != "plateau":
            return self.scale
        if loss < self.best - config.plateau_min_delta:
            self.best, self.wait = loss, 0
            return self.scale
        self.wait += 1
        if self.wait >= config.plateau_patience:
            self.scale, self.wait = self.scale * config.plateau_factor, 0
        return self.scale
