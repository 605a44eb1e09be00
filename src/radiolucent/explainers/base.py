"""What a method has to be: only its mathematics."""

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch

from radiolucent.bounds import check_kinds
from radiolucent.explainers.promise import Promise
from radiolucent.models import Classifier
from radiolucent.passes.goal import Goal
from radiolucent.passes.target_layer import Place
from radiolucent.types import Radiograph

__all__ = ["Attribution", "Explainer", "Goal", "parameters_of"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a method returns where it has more to say than the maps.

    Attributes:
        maps: raw signed (N, H, W) at the size of the inputs.
        details: for each image, further results by name (arrays and numbers).
    """

    maps: torch.Tensor
    details: Sequence[Mapping[str, Any]] = field(default=())


@dataclass(frozen=True)
class Explainer(ABC):
    """A method and its parameters. Subclasses are frozen dataclasses that implement `attribute`, only mathematics.

    What figures, reports, tables and the command line say about a method stands in its class:

    Attributes:
        title: as people write it, e.g. "Grad-CAM"; the class's name unless given, also below a class that has one.
        signed: whether what speaks against the target means something too. A figure then colours a map from "against"
            to "for", otherwise from nothing to strongest.
        answers: the question the method answers. misleads: when not to believe it. cost: in forward passes of a film.
    """

    title: ClassVar[str] = ""
    signed: ClassVar[bool] = True
    answers: ClassVar[str] = ""
    misleads: ClassVar[str] = ""
    cost: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "title" not in cls.__dict__:
            cls.title = cls.__name__

    def __post_init__(self) -> None:
        """Look at the parameters that are numbers; a subclass with more to look at calls this first."""
        check_kinds(self)

    @abstractmethod
    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor | Attribution:
        """Raw signed maps (N, H, W) of inputs (N, C, H, W), positive where the image speaks for the goal.

        Args:
            goal: what is explained; `goal.of(logits)` is the score, `goal.over(classifier, inputs)` the forward pass
                that all methods share.
            generator: the only source of randomness; seeded anew for every method and batch. What is drawn must not
                depend on the number of images.
        """

    @property
    def name(self) -> str:
        """The method's name in files and reports."""
        return type(self).__name__.lower()

    @property
    def one_by_one(self) -> bool:
        """Whether images are handed over one at a time, as methods need that perturb one image many times."""
        return False

    def cheaper(self, images: int, side: int) -> "Explainer":
        """A copy that asks about at most `images` altered images a map, or as few as it can; itself if it already does.

        For runs that are repeated. Passes through the last layers only are not counted: they cost a fraction.

        Args:
            side: of the network's input.
        """
        return self

    def promise(self, details: Mapping[str, Any]) -> Promise | None:
        """What this method promises of every map, and how well a map's details say it is kept; None: no promise."""
        return None

    def with_samples(self, count: int) -> Self | None:
        """The method asking about `count` altered images a map, or as many of them as it can use; None: it draws none.

        Raises:
            ConfigError: it cannot do with so few.
        """
        return None

    @property
    def cuts(self) -> tuple[Place, ...]:
        """The layers `attribute` will ask the shared pass for (see `Pass.wanted`): then logits cost no pass more."""
        return ()


def parameters_of(method: Explainer) -> dict[str, Any]:
    """A method's parameters, JSON-ready."""
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(cast(Any, method)) if f.repr}
    if values.get("reshape", 0) is None:
        del values["reshape"]
    return {k: v if isinstance(v, str | int | float | bool | None) else _said(v) for k, v in values.items()}


def _said(value: Any) -> str:
    """A value in words that are the same in the next run: of a function its name, of numbers what they are."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        array = np.ascontiguousarray(torch.as_tensor(value).detach().cpu().float().numpy())
        return f"{tuple(array.shape)}, SHA-256 {hashlib.sha256(array.tobytes()).hexdigest()}"
    if isinstance(value, Radiograph):
        return f"film {value.image_id}, {_said(value.pixels)}"
    if callable(value) and not isinstance(value, type):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    return repr(value)
