"""Training: configuration as data, two recipes, one loop that can be killed and goes on to the same result."""

from radiolucent.training.config import TrainConfig
from radiolucent.training.distributed import world
from radiolucent.training.logs import EpochResult, read_history, tensorboard, write_history
from radiolucent.training.loop import Fitted, fit
from radiolucent.training.reasons import natural_range
from radiolucent.training.recipes import classic, strong
from radiolucent.training.schedule import Plateau, learning_rate
from radiolucent.training.trackers import TRACKERS, tracked, trackers_named

__all__ = [
    "TRACKERS",
    "EpochResult",
    "Fitted",
    "Plateau",
    "TrainConfig",
    "classic",
    "fit",
    "learning_rate",
    "natural_range",
    "read_history",
    "strong",
    "tensorboard",
    "tracked",
    "trackers_named",
    "world",
    "write_history",
]
