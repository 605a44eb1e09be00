"""How to train, as data."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from radiolucent.bounds import Bounds, check_numbers
from radiolucent.errors import ConfigError

__all__ = ["TrainConfig"]


@dataclass(frozen=True)
class TrainConfig:
    """Everything about training that changes its result. The recipes in `radiolucent.training` fill it in.

    Attributes:
        epochs: passes over the training images, at least 1.
        batch_size: images a step in each process; whoever makes the loader reads it here.
        optimizer: "adamw", "adam" (`weight_decay` is not used) or "sgd" (Nesterov momentum 0.9).
        lr: learning rate at its highest.
        lr_decay: Keras' time decay d: the rate at step t (over all epochs, from 0) is divided by 1 + d·t.
        weight_decay: decoupled, on weights with two or more dimensions (no biases, no batch norms).
        eps: Adam's ε.
        head_lr: the last layer's learning rate as a multiple of the others'.
        schedule: "constant", "cosine" (down to `final_lr` · lr) or "plateau" (Keras' ReduceLROnPlateau on the
            validation loss).
        warmup_epochs: linear rise from 0 before that, in epochs; fractions are fine.
        final_lr: where the cosine ends, as a fraction of `lr`.
        plateau_factor, plateau_patience, plateau_min_delta: multiply the rate by `factor` after `patience` epochs
            without the validation loss falling by more than `min_delta` below its best.
        label_smoothing: s: the target is 1 − s + s/K for the true class and s/K for the others.
        class_weights: "none" or "balanced": w_c = N / (K · N_c).
        ema: decay d of the exponential moving average of the weights, which is then what is validated and returned;
            None: off. Warms up: min(d, (1 + t) / (10 + t)) at step t.
        freeze: layers that do not learn (see `radiolucent.models.freeze`).
        early_stop: stop after so many epochs without a lower validation loss; None: never.
        precision: "32", "bf16" (mixed) or "auto": the faster, measured on this device.
        grad_clip: largest L2 norm of the gradient; None: off.
        l2: λ of λ·Σw² over convolution and dense weights, added to the loss (what Keras' regularisers do).
        right_reasons: λ of the right-for-the-right-reasons loss (see `training.reasons`), whose batches say where the
            answer must not come from; 0: off.
        relevance: λ of the loss on relevance outside relative to inside (see `training.reasons`), with such batches;
            0: off. relevance_low, relevance_high: its C1 and C2.
        group_rate: η of group DRO (see `training.groups`), whose batches end with each example's group; the best epoch
            is then that of the lowest loss of validation's worst group; 0: off. group_adjustment: its C.
        cache_prefix: "auto": the output of the frozen first layers is computed once and kept, where that gives the same
            result; "never".
        cache_gb: most space for that, on disk.
        seed: seed of everything random here: dropout, and the order in loaders that draw from torch's generator.
    """

    epochs: int = 10
    batch_size: int = 32
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3
    lr_decay: float = 0.0
    weight_decay: float = 0.05
    eps: float = 1e-8
    head_lr: float = 1.0
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    warmup_epochs: float = 0.5
    final_lr: float = 0.01
    plateau_factor: float = 0.1
    plateau_patience: int = 10
    plateau_min_delta: float = 1e-4
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    ema: float | None = None
    freeze: str = "0"
    early_stop: int | None = None
    precision: Literal["auto", "32", "bf16"] = "auto"
    grad_clip: float | None = None
    l2: float = 0.0
    right_reasons: float = 0.0
    relevance: float = 0.0
    relevance_low: float = 1.0
    relevance_high: float = 25.0
    group_rate: float = 0.0
    group_adjustment: float = 0.0
    cache_prefix: Literal["auto", "never"] = "auto"
    cache_gb: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choices(self)
        check_numbers(self, _BOUNDS)
        if self.relevance_high < self.relevance_low or (self.right_reasons and self.relevance):
            raise ConfigError(
                f"right_reasons {self.right_reasons}, relevance {self.relevance} between {self.relevance_low} and "
                f"{self.relevance_high}; expected one of the two penalties, and the lower bound first."
            )

    @property
    def penalised(self) -> bool:
        """Whether the gradient by the inputs is part of the loss."""
        return self.right_reasons > 0 or self.relevance > 0

    def with_(self, **changes: Any) -> "TrainConfig":
        """A copy with some fields changed.

        >>> TrainConfig().with_(epochs=3).epochs
        3
        """
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`.

        Raises:
            ConfigError: an unknown field, or a value out of range.
        """
        known = {field.name for field in dataclasses.fields(TrainConfig)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(
                f"training configuration: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}."
            )
        return TrainConfig(**values)


_POSITIVE = Bounds(0, low_in=False)
_NOT_NEGATIVE = Bounds(0)
_COUNT = Bounds(1, whole=True)
_BOUNDS = {
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "lr": _POSITIVE,
    "lr_decay": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "eps": _POSITIVE,
    "head_lr": _POSITIVE,
    "warmup_epochs": _NOT_NEGATIVE,
    "final_lr": Bounds(0, 1),
    "plateau_factor": Bounds(0, 1, low_in=False, high_in=False),
    "plateau_patience": _COUNT,
    "plateau_min_delta": _NOT_NEGATIVE,
    "label_smoothing": Bounds(0, 1, high_in=False),
    "ema": Bounds(0, 1, high_in=False, optional=True),
    "early_stop": Bounds(1, whole=True, optional=True),
    "grad_clip": Bounds(0, low_in=False, optional=True),
    "l2": _NOT_NEGATIVE,
    "right_reasons": _NOT_NEGATIVE,
    "relevance": _NOT_NEGATIVE,
    "relevance_low": _POSITIVE,
    "relevance_high": _POSITIVE,
    "group_rate": _NOT_NEGATIVE,
    "group_adjustment": _NOT_NEGATIVE,
    "cache_gb": _NOT_NEGATIVE,
    "seed": Bounds(0, whole=True),
}


def _check_choices(config: TrainConfig) -> None:
    for name, hint in get_type_hints(TrainConfig).items():
        choices = get_args(hint)
        value = getattr(config, name)
        if choices and all(isinstance(c, str) for c in choices) and value not in choices:
            raise ConfigError(f"{name} {value!r}; expected one of {', '.join(map(repr, choices))}.")
