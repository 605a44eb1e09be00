"""Other rules for the way back through a network, without touching the network.

Methods such as ε-LRP, DeepLift and guided backpropagation are a backward pass in which some functions pass something
else than their derivative on. Here the functions themselves are intercepted (`TorchFunctionMode`), not modules: batch
norms, in-place activations, activations used twice, functional calls, concatenations and skip connections are all
seen, and nothing has to be put back.
"""

import sys
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from radiolucent.errors import ExplainError
from radiolucent.passes.batch_norm import right

__all__ = ["Activation", "Rules", "graph_nodes", "nodes_behind", "on_graph", "rules_told"]

AFFINE = frozenset(
    "add iadd radd sub isub rsub neg sum mean cat concat concatenate stack flatten view reshape unflatten permute "
    "transpose movedim swapaxes ravel squeeze unsqueeze expand repeat contiguous clone to type type_as float double "
    "half bfloat16 cpu cuda requires_grad get getitem chunk split split_with_sizes tensor_split unbind narrow select "
    "index_select unfold tile pad roll flip dropout dropout2d avg_pool1d avg_pool2d adaptive_avg_pool2d interpolate "
    "alias identity reshape_as view_as expand_as pixel_shuffle pixel_unshuffle conv1d conv2d conv3d conv_transpose1d "
    "conv_transpose2d conv_transpose3d linear batch_norm copy avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool3d".split()
)
"""Functions (by name, without underscores at the ends) that are affine in what depends on the image, if only their
first argument does: their derivative is their rule. `WEIGHED` are bilinear where their weights depend on it too."""

WEIGHED = frozenset("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear batch_norm".split())

WINNER = frozenset(
    "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
    "max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool1d_with_indices "
    "adaptive_max_pool2d_with_indices adaptive_max_pool3d_with_indices amax max".split()
)
"""Functions of one tensor that pass the largest value on, and their derivative everything to its place."""

LARGER = frozenset("max maximum fmax".split())
SMALLER = frozenset("min minimum fmin".split())
"""Functions of two tensors: max(a, b) = b + relu(a − b), min(a, b) = a − relu(a − b)."""

UNRULED = (
    "CopySlices",
    *(
        f"{name}Backward"
        for name in "AsStrided Clone Slice Select View ReshapeAlias UnsafeView Alias Unsqueeze Squeeze Transpose "
        "Permute Expand T Split Unbind Narrow Diagonal Unfold".split()
    ),
)
"""Steps, by the beginning of their names, that torch puts on the graph itself where a view is written into."""

_PRODUCTS = frozenset("mul imul rmul multiply matmul rmatmul".split())
_QUOTIENTS = frozenset("div idiv truediv itruediv divide true_divide".split())
_POINTWISE: dict[str, Callable[..., torch.Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "celu": F.celu,
    "prelu": F.prelu,
    "threshold": F.threshold,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "tanhshrink": F.tanhshrink,
    "clamp": torch.clamp,
    "clip": torch.clamp,
    "clamp_min": torch.clamp_min,
    "clamp_max": torch.clamp_max,
    "abs": torch.abs,
}


@dataclass(frozen=True, eq=False)
class Activation:
    """One call of a function that works on each number alone.

    Attributes:
        name: "relu", "gelu", ... z: what goes in, on the graph. value: what comes out, off the graph.
        function: z to value. alike: whether it is the same at every place. in_place: whether z itself has to become
            the value.
    """

    name: str
    z: torch.Tensor
    value: torch.Tensor
    function: Callable[[torch.Tensor], torch.Tensor]
    alike: bool = False
    in_place: bool = False

    @property
    def gates(self) -> bool:
        """Whether it gives something where nothing goes in: a gate rather than an activation."""
        return bool(self.function(torch.zeros_like(self.z[:1]).detach()).any())

    def derivative(self, z: torch.Tensor | None = None) -> torch.Tensor:
        """σ'(z); of some numbers of z where it is the same everywhere."""
        with torch.enable_grad():
            leaf = (self.z if z is None else z).detach().requires_grad_()
            out = self.function(leaf)
            return torch.autograd.grad(out, leaf, torch.ones_like(out[:1]).expand_as(out))[0]

    def passing(self, factor: torch.Tensor) -> torch.Tensor:
        """The value, whose gradient by z is said to be `factor`."""
        return cast(torch.Tensor, _Passing.apply(self.z, self.value, factor, self.in_place))


class _Passing(torch.autograd.Function):
    """The value as given; backward the gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, value: torch.Tensor, factor: torch.Tensor, in_place: bool) -> torch.Tensor:
        ctx.save_for_backward(factor)
        out = z.copy_(value) if in_place else value
        ctx.mark_dirty(out)  # or a value returned as it was given is a view, which nothing may be written into
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (factor,) = ctx.saved_tensors
        return grads[0] * factor, None, None, None


class Rules(TorchFunctionMode):
    """Inside `with`, activations and pooling follow this object's rules; whatever has no rule raises.

    Attributes:
        method: its name, for messages. seen: activations that were met, by name.
        ordinary: every function runs as it is, and of the rules only `behind` is called, after activations.
        instead: what to do where a function has no rule, in words.
    """

    ordinary = False
    instead = "Use IntegratedGradients()."

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.seen: list[str] = []
        self._nodes: set[Any] = set()  # of the graph, behind calls that were met

    def activate(self, at: Activation) -> torch.Tensor:
        """What an activation gives: its value, with the rule as its gradient by z; unless overridden its derivative."""
        return at.function(at.z)

    def behind(self, name: str, value: torch.Tensor) -> None:
        """Called with what an `ordinary` activation gave, on the graph."""

    def pool(self, call: Callable[[], Any], function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What max pooling gives; unless overridden all goes to the largest value's place."""
        return call()

    def affine(self, call: Callable[[], Any], function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What an affine function gives; unless overridden itself."""
        return call()

    def beside(self, name: str, constants: Sequence[torch.Tensor]) -> None:
        """Called with what a function takes beside what has a gradient: weights, but also masks made by comparing."""

    def other(self, name: str) -> None:
        """Called where a function has no rule; unless overridden that is an error.

        Raises:
            ExplainError: always.
        """
        raise ExplainError(
            f"{self.method} has no rule for {name!r}, which this network uses: it is meant for networks of "
            f"convolutions, batch norms, activations, pooling, sums and concatenations. {self.instead}"
        )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not torch.is_grad_enabled():
            return func(*args, **kwargs)  # weights and constants being made: no rule is needed
        if self.ordinary:
            return self._as_it_is(func, args, kwargs)
        return self.shown(partial(self._ruled, func, args, kwargs), (args, kwargs))

    def shown(self, call: Callable[[], Any], given: Any) -> Any:
        """What a call gives; the steps that it puts on the graph behind what it was given count as seen."""
        before = set(graph_nodes(given))
        out = call()
        self._nodes.update(nodes_behind(graph_nodes(out), before, self._nodes))
        return out

    def looked_through(self, logits: torch.Tensor) -> None:
        """Called with what the network gave.

        Raises:
            ExplainError: steps on its graph that no call showed: a scripted or custom function, or one of vmap.
        """
        met, self._nodes = self._nodes, set()  # which would keep the graph
        for node in nodes_behind(graph_nodes(logits)):
            if node not in met and not node.name().startswith(UNRULED):
                self.unseen(node)

    def unseen(self, node: Any) -> None:
        """Called for each step of the graph that no call showed; unless overridden that is an error."""
        raise ExplainError(
            f"{self.method} needs a rule for every function, and a step of this network ({node.name()}) cannot be "
            "seen: it is scripted, of vmap, checkpointed, or a function with a backward of its own. Write it with "
            "torch's functions, or use IntegratedGradients()."
        )

    def _as_it_is(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._check_gradients(func)
        name = _name_of(func)
        if name in _POINTWISE:
            given = [*args, *kwargs.values()]
            if any(map(on_graph, given)) and not any(map(on_graph, given[1:])):
                out, told = func(*args, **kwargs), "relu" if _clamps_at_zero(name, args, kwargs) else name
                self.seen.append(told)
                self.behind(told, out)
                return out
        return right(func)(*args, **kwargs)

    def _check_gradients(self, func: Any) -> None:
        if func in (torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward):
            raise ExplainError(
                f"{self.method} changes gradients, and this network takes gradients itself on its way: it would answer "
                "something else. Use IntegratedGradients()."
            )

    def _ruled(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._check_gradients(func)
        name = _name_of(func)
        call = partial(right(func), *args, **kwargs)
        given = [*args, *kwargs.values()]
        if not any(map(on_graph, given)):
            return call()
        self.beside(name, [t for t in _tensors(given) if not t.requires_grad])
        both = [a for a in given[:2] if isinstance(a, torch.Tensor)]
        if name in LARGER | SMALLER and len(both) == 2:
            return self._of_two(name, *both)
        if name in _POINTWISE and not any(map(on_graph, given[1:])):
            return self._activation(func, name, args, kwargs)
        if name in WINNER and len(given) > 1:
            return self.pool(call, func, args, kwargs)
        if name in AFFINE and not (name in WEIGHED and _bilinear(name, args, kwargs)):
            return self.affine(call, func, args, kwargs)
        out = call()
        if on_graph(out) and not _scales(name, given):
            self.other(name)
        return out

    def _of_two(self, name: str, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        def summed(function: Callable[..., torch.Tensor], *given: torch.Tensor) -> torch.Tensor:
            return (
                self.affine(partial(function, *given), function, given, {})
                if any(map(on_graph, given))
                else function(*given)
            )

        rise = self._activation(F.relu, "relu", (summed(torch.sub, a, b),), {})
        return summed(torch.add, b, rise) if name in LARGER else summed(torch.sub, a, rise)

    def _activation(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        z = args[0] if args else kwargs["input"]
        if z.is_complex():
            self.other(f"{name} of complex numbers")
        self.seen.append(name)
        plain = {k: v for k, v in kwargs.items() if k not in ("inplace", "input")}
        rest = tuple(a for a in args[1:] if not isinstance(a, bool))

        def function(x: torch.Tensor) -> torch.Tensor:
            return _POINTWISE[name](x, *rest, **plain)

        into = (
            kwargs.get("inplace")
            or str(getattr(func, "__name__", "")).endswith("_")
            or any(a is True for a in args[1:])
        )
        in_place = bool(into) and not (z.is_leaf and z.requires_grad)
        alike = not any(isinstance(each, torch.Tensor) for each in (*rest, *plain.values()))
        out = self.activate(Activation(name, z, function(z.detach()), function, alike, in_place))
        return z.copy_(out) if in_place and out is not z else out


@contextmanager
def rules_told(rules: Rules, plainly: Callable[[], Any]) -> Generator[None]:
    """The rules in force; what has been compiled inside runs as it was written.

    Args:
        plainly: asks the network without them.

    Raises:
        ExplainError: the network fails under the rules, and not without.
    """
    dynamo = sys.modules.get("torch._dynamo")  # not loaded, nothing was compiled by it
    eager = nullcontext() if dynamo is None else torch.compiler.set_stance("force_eager")
    again = torch.autograd.graph.disable_saved_tensors_hooks("a checkpoint runs its functions again without the rules")
    try:
        with eager, nullcontext() if rules.ordinary else again, rules:
            yield
    except (ExplainError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # another's code fails in any way
        plainly()  # which raises what is the network's own
        raise ExplainError(
            f"{rules.method} looks at every function that this network calls, which fails here "
            f"({type(error).__name__}: {str(error)[:120]}). Use IntegratedGradients()."
        ) from error


@cache
def _name_of(func: Any) -> str:
    return str(getattr(func, "__name__", func)).strip("_")


def _clamps_at_zero(name: str, args: Any, kwargs: Any) -> bool:
    """Whether a clamp is a ReLU by another name, clipped or not."""
    low = kwargs.get("min_val" if name == "hardtanh" else "min", args[1] if len(args) > 1 else None)
    return name in ("clamp", "clip", "clamp_min", "hardtanh") and isinstance(low, int | float) and low == 0


def _scales(name: str, given: Sequence[Any]) -> bool:
    """Whether a product or quotient is by something that does not depend on the input."""
    if name in _PRODUCTS:
        return sum(map(on_graph, given)) < 2
    return name in _QUOTIENTS and not any(map(on_graph, given[1:]))


def _bilinear(name: str, args: Any, kwargs: Any) -> bool:
    """Whether a weighed sum's weights depend on the image, or a norm's statistics."""
    if any(map(on_graph, args[1:])) or any(on_graph(v) for k, v in kwargs.items() if k != "input"):
        return True
    if name != "batch_norm":
        return False
    mean = args[1] if len(args) > 1 else kwargs.get("running_mean")
    return mean is None or bool(args[5] if len(args) > 5 else kwargs.get("training", False))


def graph_nodes(value: Any) -> list[Any]:
    """The steps of the graph that made the tensors in a value."""
    return [t.grad_fn for t in _tensors(value) if t.grad_fn is not None]


def _tensors(value: Any) -> list[torch.Tensor]:
    """The tensors in a value, as `tree_leaves` finds them; quicker where it is made of tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        return [value]
    if value is None or isinstance(value, int | float | str):
        return []
    if type(value) in (tuple, list):
        return [t for each in value for t in _tensors(each)]
    if type(value) is dict:
        return [t for each in cast(dict[Any, Any], value).values() for t in _tensors(each)]
    return [t for t in tree_leaves(value) if isinstance(t, torch.Tensor)]


def nodes_behind(start: Sequence[Any], *known: Collection[Any]) -> list[Any]:
    """These steps and all before them, as far as they are not among the known; not the leaves."""
    waiting, found = list(start), dict[Any, None]()
    while waiting:
        node = waiting.pop()
        if node is None or node in found or any(node in those for those in known):
            continue
        if node.name().endswith("AccumulateGrad"):
            continue
        found[node] = None
        waiting += [before for before, _ in node.next_functions]
    return list(found)


def on_graph(value: Any) -> bool:
    """Whether a tensor, or one among several, depends on the image."""
    if isinstance(value, torch.Tensor):
        return value.requires_grad
    return isinstance(value, tuple | list) and any(on_graph(each) for each in cast(tuple[Any, ...], value))
