"""DeepLift, with the Rescale rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ExplainError
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.baselines import Baseline, check_baseline, completeness, reference, same_for_all
from radiolucent.explainers.joining import summed
from radiolucent.explainers.promise import Promise, adds_up
from radiolucent.models import Classifier
from radiolucent.models.takes import fitting
from radiolucent.passes.backward_rules import Activation, Rules
from radiolucent.passes.forward import INPUT, run
from radiolucent.passes.hooks import frozen
from radiolucent.passes.places import first_of, with_first

__all__ = ["DeepLift"]


@dataclass(frozen=True)
class DeepLift(Explainer):
    """What each pixel's difference from a reference adds to the score's difference. Source: Shrikumar 2017
    (arXiv 1704.02685), Rescale rule, eq. 3 and section 3.5.1.

    Each activation hands back its slope between reference and film, Δσ/Δz, instead of its derivative; max pooling as
    captum: the rise to the film's largest value, the fall to the reference's. The map adds up to score(film) −
    score(reference), up to rounding; the details report the error.

    Attributes:
        baseline: the reference (see `radiolucent.explainers.baselines`).
    """

    title: ClassVar[str] = "DeepLift"
    answers: ClassVar[str] = "share of the difference from a reference, in one pass by activation slopes"
    misleads: ClassVar[str] = "as integrated gradients; no attention, no gates"
    cost: ClassVar[str] = "3 + b"

    baseline: Baseline = "black"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_baseline(self.baseline)

    def promise(self, details: Mapping[str, Any]) -> Promise | None:
        return adds_up(details)

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        start = reference(self.baseline, classifier, inputs)
        if same_for_all(self.baseline):
            start = start[:1]  # the same for every film
        notes = _Notes([], [])
        fitting(classifier.network, start[:1].to(classifier.device, classifier.dtype))  # found out before rules are
        leaf = start.detach().clone().requires_grad_()  # what hangs on it depends on the image, and nothing else does
        with torch.enable_grad(), frozen(classifier.network), _Record(notes):
            before = run(classifier, leaf)
        before = before.detach()
        cut = goal.over(classifier, inputs).under(_Rescale(notes)).cut(INPUT)
        logits, before = cut.logits.detach(), before.expand(len(inputs), -1)
        change = logits - before
        slope = goal.gradient(logits)
        # The score itself is the last function on the way, with a slope of its own.
        linear, actual = (slope * change).sum(1), goal.of(logits) - goal.of(before)
        factor = torch.where(linear.abs() > 1e-7 * change.abs().amax(1), actual / linear, 1)
        maps = summed((inputs - start) * cut.gradient((factor[:, None] * slope * cut.logits).sum(1)))
        return Attribution(maps, completeness(maps, goal, logits, before))


@dataclass(frozen=True, eq=False)
class _Note:
    """What went into a function, and what came out, for the reference."""

    z: torch.Tensor
    value: torch.Tensor


class _Notes(NamedTuple):
    """Of the reference: its activations and poolings, and what functions took beside them, both in order."""

    values: list[_Note]
    beside: list[Sequence[torch.Tensor]]


class _Record(Rules):
    def __init__(self, notes: _Notes) -> None:
        super().__init__("DeepLift")
        self.notes, self.constants = notes

    def beside(self, name: str, constants: Sequence[torch.Tensor]) -> None:
        self.constants.append(constants)

    def shown(self, call: Callable[[], Any], given: Any) -> Any:
        return call()  # nothing is passed back here; the film's own pass looks at every step

    def activate(self, at: Activation) -> torch.Tensor:
        self.notes.append(_Note(at.z.detach().clone(), at.value.clone()))  # what follows may write in place
        return at.passing(at.value.new_ones(()).expand_as(at.value))

    def pool(self, call: Callable[[], Any], function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        z = _detached(args[0])
        out = call()
        value = first_of(out)
        assert value is not None
        self.notes.append(_Note(z, value.detach().clone()))
        return out


class _Rescale(Rules):
    def __init__(self, notes: _Notes) -> None:
        super().__init__("DeepLift")
        self.notes, self.constants = iter(notes.values), iter(notes.beside)

    def beside(self, name: str, constants: Sequence[torch.Tensor]) -> None:
        for film, start in zip(constants, next(self.constants, ()), strict=False):
            if _differ(film, start):
                raise ExplainError(
                    f"DeepLift has no rule for {name!r} with something that depends on the image and has no "
                    "gradient (a mask by comparison, an index, a detached tensor). Use IntegratedGradients()."
                )

    def _next(self, name: str) -> "_Note":
        note = next(self.notes, None)
        if note is None:
            raise ExplainError(
                f"DeepLift met {name!r} on the film and not on the reference: the network takes another way for each, "
                "and there is nothing to compare. Use IntegratedGradients()."
            )
        return note

    def activate(self, at: Activation) -> torch.Tensor:
        return at.passing(_slope(at, self._next(at.name)))

    def pool(self, call: Callable[[], Any], function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        note = self._next("max pooling")

        def again(x: torch.Tensor) -> torch.Tensor:
            out = function(x, *args[1:], **kwargs)
            return out if isinstance(out, torch.Tensor) else out[0]

        values = cast(torch.Tensor, _Pool.apply(args[0], note.z, note.value, again))
        with torch.no_grad():
            given = call()
        return with_first(given, values)


BLOCK = 32_768
"""Numbers that fit into a processor's cache together with what is computed of them."""

NEAR = 100
"""So many rounding errors apart two numbers are as good as equal: their difference says nothing of a slope."""


def _differ(film: torch.Tensor, start: torch.Tensor) -> bool:
    """Whether something of a batch of films is not what it was for the reference, for one or each of them."""
    if film is start or film.shape[1:] != start.shape[1:] or film.ndim != start.ndim or not film.ndim:
        return False
    if len(start) == 0 or len(film) % len(start) or torch.equal(film, torch.arange(len(film)).to(film)):
        return False  # of another number of films, or only numbered
    return not torch.equal(film, start if len(film) == len(start) else torch.cat([start] * (len(film) // len(start))))


def _slope(at: Activation, note: _Note) -> torch.Tensor:
    """Δσ/Δz between reference and film; where they agree, the derivative.

    On a CPU block by block: whole maps would go through the memory a dozen times.
    """
    z = at.z.detach()
    order = _order(z) if at.alike and z.device.type == "cpu" else None
    if order is None:
        change = z - note.z
        slope = (at.value - note.value).div_(change)
        return torch.where(_apart(change, z, note.z) <= 0, at.derivative(), slope)
    slope = torch.empty_like(z)
    films, values, slopes = (t.permute(*order).flatten(1) for t in (z, at.value, slope))
    start, value = (t.permute(*order).flatten(1).expand_as(films) for t in (note.z, note.value))
    width, near = films.shape[1], list[NDArray[np.intp]]()
    rows = max(1, BLOCK // max(width, 1))
    for row in range(0, len(films), rows):
        for column in range(0, width, BLOCK):
            part = slice(row, row + rows), slice(column, column + BLOCK)
            change = films[part] - start[part]
            torch.sub(values[part], value[part], out=slopes[part]).div_(change)
            apart = _apart(change, films[part], start[part])
            if not bool(apart.min() > 0):
                # numpy's is many times quicker than torch's; of several rows the block is as wide as they are
                near.append(row * width + column + np.flatnonzero(apart.float().numpy() <= 0))
    if near:
        where = torch.from_numpy(np.concatenate(near))
        slopes.view(-1)[where] = at.derivative(films.reshape(-1)[where])
    return slope


def _order(z: torch.Tensor) -> Sequence[int] | None:
    """The axes of a tensor (N, …) in the order in which its numbers lie in memory; None where they lie apart."""
    order = sorted(range(z.ndim), key=lambda axis: (-z.stride(axis), axis))
    dense = z.ndim > 1 and order[0] == 0 and z.permute(*order).is_contiguous()
    return order if dense else None


def _apart(change: torch.Tensor, z: torch.Tensor, z0: torch.Tensor) -> torch.Tensor:
    """How much further apart z and z0 are than rounding may bring them: 0 or less where they are as good as equal."""
    rounding = torch.maximum(z.abs(), z0.abs()).mul_(NEAR * torch.finfo(z.dtype).eps)
    return change.abs().sub_(rounding)


def _detached(value: Any) -> torch.Tensor:
    return cast(torch.Tensor, value).detach().clone()


class _Pool(torch.autograd.Function):
    """Max pooling whose output's difference goes to two places.

    With o and o0 the largest values of film and reference: max(o, o0) − o0 to where o is, o − max(o, o0) to where
    o0 is.
    """

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, z0: torch.Tensor, value0: torch.Tensor, again: Any) -> torch.Tensor:
        ctx.save_for_backward(z.clone(), z0.expand_as(z), value0)  # what follows or came before may write in place
        ctx.again = again
        return again(z)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        z, z0, value0 = ctx.saved_tensors

        def back(x: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                return torch.autograd.grad(ctx.again(leaf), leaf, given)[0]

        value = ctx.again(z)
        top = torch.maximum(value, value0)
        shares = back(z, grads[0] * (top - value0)) + back(z0, grads[0] * (value - top))
        change = z - z0
        near = _apart(change, z, z0) <= 0
        return torch.where(near, back(z, grads[0]), shares / torch.where(near, 1, change)), None, None, None
