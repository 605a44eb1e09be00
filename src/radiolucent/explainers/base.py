"""`explain()` and what a method has to be: only its mathematics."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, cast, overload

import torch

from radiolucent.errors import ConfigError, ExplainError
from radiolucent.models import Classifier
from radiolucent.types import Explanation, Radiograph

__all__ = ["Attribution", "Explainer", "Goal", "explain", "untouched"]

ScoreKind = Literal["logit", "probability", "margin"]


@dataclass(frozen=True, eq=False)
class Goal:
    """The number explained for each image: a class's logit, its probability, or its margin over the best other class.

    Attributes:
        targets: int64 (N,) class indices.
        kind: "logit", "probability" (calibrated) or "margin".
        classifier: for head and temperature.
    """

    targets: torch.Tensor
    kind: ScoreKind
    classifier: Classifier

    def of(self, logits: torch.Tensor) -> torch.Tensor:
        """Scores (N,) of logits (N, K); differentiable.

        A single logit z speaks for the positive class: the other class's logit is −z, and a margin is ±z as well.
        """
        rows = torch.arange(len(logits))
        clf = self.classifier
        if clf.head == "sigmoid":
            sign = torch.where(self.targets == clf.positive, 1.0, -1.0).to(logits)
            signed = sign * logits[:, 0]
            return (signed / clf.temperature).sigmoid() if self.kind == "probability" else signed
        chosen = logits[rows, self.targets]
        if self.kind == "logit":
            return chosen
        if self.kind == "probability":
            scaled = logits / clf.temperature
            return (scaled.softmax(1) if clf.head == "softmax" else scaled.sigmoid())[rows, self.targets]
        others = logits.scatter(1, self.targets[:, None], float("-inf"))
        return chosen - others.amax(1)

    def gradient(self, logits: torch.Tensor) -> torch.Tensor:
        """∂score/∂logits (N, K)."""
        with torch.enable_grad():
            leaf = logits.detach().clone().requires_grad_()
            return torch.autograd.grad(self.of(leaf).sum(), leaf)[0]

    def rows(self, index: slice) -> "Goal":
        """The goal of some of the images."""
        return dataclasses.replace(self, targets=self.targets[index])


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
    """A method and its parameters. Subclasses are frozen dataclasses that implement `attribute`, only mathematics."""

    @abstractmethod
    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor | Attribution:
        """Raw signed maps (N, H, W) of inputs (N, C, H, W), positive where the image speaks for the goal.

        Args:
            goal: what is explained; `goal.of(logits)` is the score.
            generator: the only source of randomness; seeded anew for every image batch of one.
        """

    @property
    def name(self) -> str:
        """The method's name in files and reports."""
        return type(self).__name__.lower()

    @property
    def one_by_one(self) -> bool:
        """Whether images are handed over singly (methods that perturb one image many times)."""
        return False


@contextmanager
def untouched(network: torch.nn.Module) -> Generator[None]:
    """Eval mode inside; afterwards mode, gradients, requires_grad, hooks and global random state as before."""
    modules = list(network.modules())
    modes = [m.training for m in modules]
    hook_names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    hooks = [{name: dict(getattr(m, name)) for name in hook_names} for m in modules]
    parameters = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    state = torch.random.get_rng_state()
    network.eval()
    try:
        yield
    finally:
        for module, mode, before in zip(modules, modes, hooks, strict=True):
            module.training = mode
            for name, kept in before.items():
                now = getattr(module, name)
                for key in [k for k in now if k not in kept]:
                    del now[key]
        for parameter, requires, grad in parameters:
            parameter.requires_grad_(requires)
            parameter.grad = grad
        torch.random.set_rng_state(state)


@overload
def explain(
    classifier: Classifier,
    images: Radiograph,
    method: Explainer | None = ...,
    *,
    target: str | int | None = ...,
    score: ScoreKind = ...,
    seed: int = ...,
    batch_size: int = ...,
) -> Explanation: ...
@overload
def explain(
    classifier: Classifier,
    images: Sequence[Radiograph],
    method: Explainer | None = ...,
    *,
    target: str | int | None = ...,
    score: ScoreKind = ...,
    seed: int = ...,
    batch_size: int = ...,
) -> list[Explanation]: ...
def explain(
    classifier: Classifier,
    images: Radiograph | Sequence[Radiograph],
    method: Explainer | None = None,
    *,
    target: str | int | None = None,
    score: ScoreKind = "logit",
    seed: int = 0,
    batch_size: int = 16,
) -> Explanation | list[Explanation]:
    """Explain a classifier's decision on one film, or on each of several.

    The network leaves as it came: mode, gradients, hooks and random state, also when the method fails. An image's map
    does not depend on what else is in the batch.

    Args:
        method: e.g. `GradCAM()`, `LIME(num_samples=1000)`, or an `Explainer` of your own. Grad-CAM unless given.
        target: class name or index; None explains the class each film is given.
        score: explain the "logit" (default), the "probability" or the "margin". The probability of a saturated
            classifier hardly moves, and its explanation says little.
        seed: of the method's randomness; the same seed gives the same map.
        batch_size: films a batch.

    Returns one `Explanation`, or a list in the order of `images`. Maps are in the model's frame;
    `radiolucent.images.map_to_source` brings them to source pixels.

    Raises:
        ConfigError: an unknown target or score. ExplainError: the method does not apply, or gave something unusable.
    """
    films = [images] if isinstance(images, Radiograph) else list(images)
    chosen = method if method is not None else _default()
    if score not in ("logit", "probability", "margin"):
        raise ConfigError(f"score {score!r}; expected logit, probability or margin.")
    step = 1 if chosen.one_by_one else batch_size
    found: list[Explanation] = []
    with untouched(classifier.network):
        for start in range(0, len(films), step):
            found += _batch(classifier, films[start : start + step], chosen, target, score, seed)
    return found[0] if isinstance(images, Radiograph) else found


def _default() -> Explainer:
    from radiolucent.explainers.gradcam import GradCAM

    return GradCAM()


def _batch(
    classifier: Classifier,
    films: Sequence[Radiograph],
    method: Explainer,
    target: str | int | None,
    score: ScoreKind,
    seed: int,
) -> list[Explanation]:
    inputs = torch.stack([classifier.preprocess(film) for film in films]).to(classifier.device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    logits = classifier.logits(inputs)
    if target is None:
        targets = classifier.probabilities(logits).argmax(1)
    else:
        targets = torch.full((len(films),), classifier.index_of(target))
    goal = Goal(targets, score, classifier)
    result = method.attribute(classifier, inputs, goal, torch.Generator().manual_seed(seed))
    given = result if isinstance(result, Attribution) else Attribution(result)
    maps = _checked(given.maps, inputs, method)
    scores = goal.of(logits)
    details = given.details or [{} for _ in films]
    return [
        Explanation(
            map=maps[i].numpy(),
            image_id=film.image_id,
            target=int(targets[i]),
            target_name=classifier.class_names[int(targets[i])],
            score=float(scores[i]),
            score_kind=score,
            method=method.name,
            parameters=_parameters(method),
            seed=seed,
            model_hash=classifier.hash,
            geometry=classifier.preprocess.geometry(film.shape),
            details=details[i],
        )
        for i, film in enumerate(films)
    ]


def _checked(maps: torch.Tensor, inputs: torch.Tensor, method: Explainer) -> torch.Tensor:
    expected = (inputs.shape[0], *inputs.shape[2:])
    if tuple(maps.shape) != expected:
        raise ExplainError(f"{method.name} gave maps of shape {tuple(maps.shape)}; expected {expected}.")
    if not torch.isfinite(maps).all():
        raise ExplainError(f"{method.name} gave a map with not-a-number or infinity; check the network's weights.")
    return maps.detach().float().cpu()


def _parameters(method: Explainer) -> dict[str, Any]:
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(cast(Any, method))}
    return {k: v if isinstance(v, str | int | float | bool | None) else repr(v) for k, v in values.items()}
