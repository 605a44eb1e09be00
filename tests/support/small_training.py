"""Small networks and loaders for the tests of training; also used by the processes that those tests start."""

from collections.abc import Iterator

import numpy as np
import torch

from radiolucent.models import Classifier, build

SIZE = 32


def classifier(seed: int = 0, **arguments: object) -> Classifier:
    """A small CNN with batch norm and dropout for 32-pixel images."""
    options = {"widths": (4, 8), "hidden": 8, "dropout": 0.3} | arguments
    return build("small_cnn", pretrained=False, size=SIZE, seed=seed, **options)[0]  # type: ignore[arg-type]


def images(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with a brighter spot in class 1; every third image is of class 1."""
    noise = torch.randn(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    labels = (torch.arange(count) % 3 == 0).long()
    noise[labels == 1, :, 8:16, 8:16] += 1.5
    return noise, labels


class ToyLoader:
    """Shuffled batches by (seed, epoch), with what caching by example needs."""

    augments = False

    def __init__(self, count: int, batch_size: int = 8, seed: int = 0, shuffle: bool = True) -> None:
        self.images, self.labels = images(count, seed)
        self.indices = np.arange(count)
        self.batch_size, self.seed, self.shuffle, self.epoch = batch_size, seed, shuffle, 0

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def order(self) -> np.ndarray:
        rng = np.random.default_rng([self.seed, self.epoch])
        return rng.permutation(self.indices) if self.shuffle else self.indices

    def batch(self, positions: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[positions], self.labels[positions]

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = self.order()
        for start in range(0, len(order), self.batch_size):
            yield self.batch(order[start : start + self.batch_size])


class NoisyLoader(ToyLoader):
    """Images that differ from epoch to epoch, by torch's own generator: the hardest to resume."""

    augments = True

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for inputs, labels in super().__iter__():
            yield inputs + 0.1 * torch.randn(inputs.shape), labels
