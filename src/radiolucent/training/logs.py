"""What an epoch gave, and where it is written."""

import csv
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radiolucent.errors import ConfigError
from radiolucent.extras import require
from radiolucent.files import write_text
from radiolucent.tables import csv_text

__all__ = ["EpochResult", "read_history", "tensorboard", "write_history"]


@dataclass(frozen=True)
class EpochResult:
    """One epoch's figures: a row of `history.csv`.

    Attributes:
        epoch: from 1.
        train_loss: mean loss over the epoch's steps, with weights and smoothing, without penalties.
        train_accuracy: fraction called right while learning.
        val_loss: mean cross entropy in nats on validation, without weights or smoothing; with group DRO its worst
            group's.
        val_accuracy: fraction called right at the likelier class.
        val_auroc: area under the ROC curve of the positive class; None where validation holds one class, or labels are
            many.
        lr: learning rate at the epoch's last step.
        seconds: wall-clock time of the epoch, validation included.
        images_per_second: training images, validation not included.
        best: whether the validation loss is the lowest so far.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_auroc: float | None
    lr: float
    seconds: float
    images_per_second: float
    best: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self)


def write_history(path: Path, history: Sequence[EpochResult]) -> None:
    """Write one row an epoch as CSV, atomically."""
    columns = [field.name for field in dataclasses.fields(EpochResult)]
    write_text(path, csv_text(columns, (result.to_dict() for result in history)))


def read_history(path: Path) -> tuple[EpochResult, ...]:
    """The inverse of `write_history`.

    Raises:
        ConfigError: missing or damaged.
    """
    try:
        with path.open(newline="") as stream:
            return tuple(_result(row) for row in csv.DictReader(stream))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as a training's history ({error}); copy the run again.") from error


def _result(row: Mapping[str, str]) -> EpochResult:
    plain = {k: float(v) for k, v in row.items() if k not in ("epoch", "best", "val_auroc")}
    auroc = float(row["val_auroc"]) if row["val_auroc"] else None
    return EpochResult(epoch=int(row["epoch"]), best=row["best"] == "True", val_auroc=auroc, **plain)


def tensorboard(folder: Path) -> Callable[[EpochResult], None]:
    """A function for `fit(on_epoch=...)` that writes every figure for TensorBoard into `folder`.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    require("tensorboard", extra="tensorboard")
    writer = require("torch.utils.tensorboard", extra="tensorboard").SummaryWriter(str(folder))

    def write(result: EpochResult) -> None:
        for name, value in result.to_dict().items():
            if name not in ("epoch", "best") and value is not None:
                writer.add_scalar(
                    name.replace("_", "/", 1) if name[:3] in ("tra", "val") else name, value, result.epoch
                )
        writer.flush()

    return write
