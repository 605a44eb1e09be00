"""Train in as many processes as torchrun started, or in one. Usage: together.py FOLDER."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from radiolucent.models import Classifier
from radiolucent.training import TrainConfig, fit, world


def main() -> None:
    """Three trainings: a batch cut in rows; shards of unequal length; frozen features on validation."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.small_training import ToyLoader, classifier

    class Sharded(ToyLoader):
        """Every other image for the second process, and the last batch for the first alone."""

        world_size = 2

        def order(self) -> np.ndarray:
            rank, size = world()
            mine = super().order()[rank::size]
            return mine if rank == 0 else mine[:-9]

        def __len__(self) -> int:
            return -(-len(self.order()) // self.batch_size)

    folder, (rank, size) = Path(sys.argv[1]), world()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(900, 2))
    val = ToyLoader(13, seed=1, shuffle=False)
    config = TrainConfig(
        epochs=3, batch_size=9, lr=0.01, class_weights="balanced", label_smoothing=0.1, ema=0.5, grad_clip=1.0, l2=1e-3
    )
    config = config.with_(precision="32")
    rows: Classifier = dataclasses.replace(classifier(), network=plain)
    runs = {
        "rows": (rows, ToyLoader(28, batch_size=9), config),  # last batch: a single image
        "shards": (classifier(), Sharded(50, batch_size=8) if size > 1 else ToyLoader(41), config),
        "frozen": (classifier(), ToyLoader(32), config.with_(freeze="stage:1")),
    }
    runs["shards"][1].class_counts = [20, 20]  # type: ignore[union-attr]
    for name, (start, train, how) in runs.items():
        fitted = fit(start, train, val, how, out=folder / name)
        torch.save(fitted.classifier.network.state_dict(), folder / f"{name}.{rank}.pt")
        (folder / f"{name}.{rank}.json").write_text(
            json.dumps({"history": [r.to_dict() for r in fitted.history], "notes": fitted.notes})
        )


if __name__ == "__main__":
    main()
