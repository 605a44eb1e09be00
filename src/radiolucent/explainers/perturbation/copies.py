"""Asking a network about many altered copies of one image: composed in batches, in bounded memory."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.perturbation.superpixels import fill_for
from radiolucent.models import Classifier
from radiolucent.models.parallel_batches import workers_of
from radiolucent.passes.copy_memory import bytes_per_image
from radiolucent.passes.engines import Engine, EngineKind
from radiolucent.passes.session import Session, or_torch

__all__ = ["Asker", "Fill", "Perturbation", "blend", "filled", "grey_of", "hide_pieces", "scores_of", "side_by_side"]

LARGEST_BATCH = 32
"""Images: a larger batch is no faster on a CPU, because it does not fit into the caches."""

SMALL_BATCH = 8
"""Images, in OpenVINO: as fast per image as larger batches, and the last of several side by side ends sooner."""

FIRST_CHECK = 256
"""Samples after which an early stop is first considered; then each time they have doubled."""

Fill = float | str | None
"""What a hidden place shows: a grey in [0, 1], "grey" (0.5), "mean" (of the film), "blur"; None: its piece's mean."""


@dataclass(frozen=True, eq=False)
class Asker:
    """A forward pass for altered copies of one image, and how many of them fit into memory.

    Attributes:
        logits: inputs (n, C, S, S) to logits (n, K). name: of the engine. batch: copies a pass.
        workers: passes side by side. session: that computes them.
    """

    logits: Callable[[torch.Tensor], torch.Tensor]
    name: str
    batch: int
    workers: int = 1
    session: Session = field(default_factory=Session)

    def parts(self, count: int, start: int = 0) -> list[slice]:
        """Batches of the samples start … count − 1: as many for each worker, larger by one sample before smaller."""
        samples = count - start
        passes = min(-(-samples // (self.batch * self.workers)) * self.workers, samples)
        each, more = divmod(samples, max(passes, 1))  # sizes change once: each change costs OpenVINO a little
        edges = accumulate((each + (i < more) for i in range(passes)), initial=start)
        return [slice(a, b) for a, b in pairwise(edges)]

    def ask(
        self,
        count: int,
        compose: Callable[[slice], torch.Tensor],
        stop: Callable[[torch.Tensor], bool] | None = None,
    ) -> torch.Tensor:
        """Logits (m, K) of the first m ≤ `count` samples, m = `count` without `stop`.

        Args:
            compose: the altered copies (n, C, S, S) of a batch of samples; draws nothing, changes nothing.
            stop: asked with all logits so far after 256, 512, 1024, … samples, whatever the batch; True ends it.
        """
        found: list[torch.Tensor] = []
        done, check = 0, FIRST_CHECK if stop else count
        while done < count:
            until = min(check, count)
            parts = self.parts(until, done)
            found += self.session.side_by_side(lambda part: self.logits(compose(part)), parts, self.workers)
            done, check = until, 2 * check
            if stop and done < count and stop(torch.cat(found)):
                break
        return torch.cat(found)


@dataclass(frozen=True, kw_only=True)
class Perturbation(Explainer):
    """A method that alters one image many times and asks the network about each copy; it needs no layers or gradients.

    Attributes:
        engine: what computes the passes: "torch", "openvino", or "auto" (see `Session.engine`).
        batch_size: altered copies at a time, in one pass or in several side by side; None: as many as `max_memory_mb`
            holds, 32 at most, and in OpenVINO 8 for each of torch's threads.
        max_memory_mb: what composed copies and feature maps may take, beside the network itself.
    """

    engine: EngineKind = "auto"
    batch_size: int | None = None
    max_memory_mb: float = 512.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.batch_size is not None and self.batch_size < 1) or self.max_memory_mb <= 0:
            raise ConfigError(
                f"batch_size {self.batch_size}, max_memory_mb {self.max_memory_mb}; expected positive numbers."
            )

    @abstractmethod
    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Raw map (H, W) of one image (1, C, H, W), and details."""

    @property
    def one_by_one(self) -> bool:
        return True

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        seed = int(generator.initial_seed())
        if len(inputs) == 1:  # with the shared pass
            found = [self.one(classifier, inputs, goal, seed)]
        else:
            one = [slice(i, i + 1) for i in range(len(inputs))]
            found = [self.one(classifier, inputs[i], goal.rows(i), seed) for i in one]
        return Attribution(torch.stack([m for m, _ in found]), [d for _, d in found])

    def asker(self, goal: Goal, image: torch.Tensor, count: int, *, reserved: int = 0) -> Asker:
        """The forward pass for `count` altered copies of an image, beside `reserved` bytes that the method keeps."""
        classifier, session = goal.classifier, goal.session
        chosen = or_torch(session.engine(classifier, image, count, self.engine), classifier)
        sides, most = side_by_side(classifier, chosen, session)
        batch, sides = self.passes_of(classifier, image, sides, most, reserved)
        return Asker(chosen.logits, chosen.name, batch, sides, session)

    def batch_of(self, classifier: Classifier, image: torch.Tensor) -> int:
        """Altered copies a pass, where passes go one after the other."""
        return self.passes_of(classifier, image, 1)[0]

    def passes_of(
        self, classifier: Classifier, image: torch.Tensor, sides: int, most: int = LARGEST_BATCH, reserved: int = 0
    ) -> tuple[int, int]:
        """Altered copies a pass, and passes side by side.

        Args:
            sides: passes that could go side by side. most: copies in all of them, if the memory holds so many.
        """
        if self.batch_size is not None:
            at_once = self.batch_size
        else:
            fits = int((self.max_memory_mb * 2**20 - reserved) // bytes_per_image(classifier, image))
            at_once = min(max(fits, 1), most)
        sides = min(sides, at_once)
        return at_once // sides, sides


def side_by_side(classifier: Classifier, engine: Engine, session: Session) -> tuple[int, int]:
    """(passes that may go side by side, copies in all of them that are quickest)."""
    quick = engine.name == "openvino"
    sides = session.workers if quick or (engine.name == "torch" and workers_of(classifier) > 1) else 1
    return sides, min(SMALL_BATCH * sides, LARGEST_BATCH) if quick else LARGEST_BATCH


def grey_of(classifier: Classifier, image: torch.Tensor) -> NDArray[np.float32]:
    """The film (H, W) in [0, 1] behind an input (1, C, H, W)."""
    return classifier.preprocess.denormalise(image)[0].clamp(0, 1).cpu().numpy().astype(np.float32)


def filled(
    classifier: Classifier, image: torch.Tensor, fill: Fill, segments: NDArray[np.int32] | None = None
) -> torch.Tensor:
    """The input (1, C, H, W) with everything hidden."""
    grey = grey_of(classifier, image)
    pieces = np.zeros(grey.shape, np.int32) if segments is None else segments
    hidden = fill_for(grey, pieces, float(grey.mean()) if fill == "mean" else fill)
    return classifier.preprocess.normalise(torch.from_numpy(hidden)[None]).to(image.device)


def blend(image: torch.Tensor, fill: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Copies (n, C, H, W): the image where a mask (n, H, W) is 1, the fill where it is 0, between them in between."""
    planes = fill.contiguous(), (image - fill).contiguous()  # as masks are, or each pixel's channels go one by one
    return torch.addcmul(*planes, masks[:, None].to(image.device))


def hide_pieces(
    image: torch.Tensor, fill: torch.Tensor, segments: NDArray[np.int32], shown: NDArray[np.bool_]
) -> Callable[[slice], torch.Tensor]:
    """How to compose copies from superpixels (H, W), shown where a row of `shown` (n, d) says so."""
    rows = torch.from_numpy(shown.astype(np.float32))
    place = torch.from_numpy(segments.ravel().astype(np.int64))

    def compose(part: slice) -> torch.Tensor:
        return blend(image, fill, rows[part].index_select(1, place).view(-1, *segments.shape))

    return compose


def scores_of(goal: Goal, logits: torch.Tensor, target: int | None = None) -> NDArray[np.float64]:
    """Scores (n,) of many logits (n, K) by the goal of one image, or of another class."""
    return goal.repeated(len(logits), target).of(logits).double().numpy()
