"""The frozen first layers as a function of their own, so that their output need not be computed again."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from radiolucent.models.freeze import is_frozen, set_train_mode

__all__ = ["FrozenPrefix", "frozen_prefix", "why_no_prefix"]

TRACE_SIZE = 96
"""Side in pixels of the image a network is traced with, where it does not ask for one size."""


@dataclass(frozen=True, eq=False)
class FrozenPrefix:
    """A network cut in two: `rest(prefix(x))` equals `network(x)` to the bit, and nothing in `prefix` learns.

    Attributes:
        prefix: inputs (N, C, S, S) to features, without gradients. rest: features to what the network returns.
        modules: number of steps in the prefix. names: the modules that make it up, in order.
    """

    prefix: Callable[[torch.Tensor], torch.Tensor]
    rest: Callable[[torch.Tensor], torch.Tensor]
    modules: int
    names: tuple[str, ...] = ()


def frozen_prefix(network: nn.Module) -> FrozenPrefix | None:
    """Cut the network behind its frozen layers, where they come first and nothing else uses what they compute.

    One small image is traced through the network. The prefix is the longest chain of frozen (or weightless) modules
    that begins at the input, each taking exactly what the one before gave, and whose intermediate results no other
    operation touches: no shortcut leads past the cut. A module that is frozen in part is entered. The rest is the
    network's own forward with those modules handing on what they get, so it holds for any network of any library.
    The cut is checked: both ways give the same bits, and the prefix gives the same in training as in eval mode.

    None where there is no such chain; `why_no_prefix` says why.
    """
    found = _cut(network)
    return None if isinstance(found, str) else found


def why_no_prefix(network: nn.Module) -> str:
    """Why `frozen_prefix` gives None, in words; empty where it does not."""
    found = _cut(network)
    return found if isinstance(found, str) else ""


def _cut(network: nn.Module) -> FrozenPrefix | str:
    if not any(is_frozen(m) and list(m.parameters(False)) for m in network.modules()):
        return "nothing is frozen"
    try:
        image = _image(network)
        trace = _traced(network, image)
        steps = _chain(network, trace, image)
        if not any(True for step in steps for _ in step.parameters()):
            return "the frozen layers are not a first part of it, or a shortcut leads past them"
        names = {module: name for name, module in network.named_modules()}
        cut = FrozenPrefix(*_halves(network, steps), len(steps), tuple(names[s] for s in steps))
        return cut if _holds(network, cut, image) else "its first part does not give the same on its own"
    except Exception as error:  # a network may refuse the traced image in any way
        return f"it could not be traced ({type(error).__name__}: {error})"


def _image(network: nn.Module) -> torch.Tensor:
    """A small image that the network accepts, on its device."""
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    config: Any = getattr(network, "pretrained_cfg", None) or {}
    size = TRACE_SIZE
    if config.get("fixed_input_size"):
        size = getattr(getattr(network, "patch_embed", None), "img_size", config["input_size"][-2:])[-1]
    shape = (1, first.in_channels, size, size)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return image.to(first.weight.device, first.weight.dtype)


Key = tuple[int, int]
"""A tensor's identity and version: in-place operations make a new version."""


_VERSION: Any = torch.Tensor._version.__get__  # type: ignore[attr-defined]  # pyright: ignore


def _key(value: Any) -> Key | None:
    return (id(value), value._version) if isinstance(value, torch.Tensor) else None


@dataclass
class _Call:
    module: nn.Module
    given: Key | None
    gave: Key | None = None


@dataclass
class _Trace(TorchFunctionMode):
    """Which module took which tensor, and inside which modules each tensor was used."""

    calls: list[_Call] = field(default_factory=list[_Call])
    users: dict[Key, list[tuple[nn.Module, ...]]] = field(default_factory=dict[Key, list[tuple[nn.Module, ...]]])
    inside: list[_Call] = field(default_factory=list[_Call])
    alive: list[Any] = field(default_factory=list[Any])  # identities stay unique while their tensors live

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == _VERSION:  # our own question
            return func(*args)
        stack = tuple(call.module for call in self.inside)
        for value in tree_leaves((args, kwargs)):
            if (key := _key(value)) is not None:
                self.users.setdefault(key, []).append(stack)
                self.alive.append(value)
        return func(*args, **(kwargs or {}))

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hook before a module."""
        self.alive += args
        call = _Call(module, _key(args[0]) if len(args) == 1 and not kwargs else None)
        self.calls.append(call)
        self.inside.append(call)

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """Hook behind a module."""
        self.alive.append(output)
        self.inside.pop().gave = _key(output)


def _traced(network: nn.Module, image: torch.Tensor) -> _Trace:
    trace = _Trace()
    handles: list[Any] = []
    with _modes_kept(network), torch.no_grad():
        network.eval()
        try:
            for module in network.modules():
                handles.append(module.register_forward_pre_hook(trace.enter, with_kwargs=True))
                handles.append(module.register_forward_hook(trace.leave))
            with trace:
                network(image)
        finally:
            for handle in handles:
                handle.remove()
    return trace


def _chain(network: nn.Module, trace: _Trace, image: torch.Tensor) -> list[nn.Module]:
    once = {c.module for c in trace.calls if sum(other.module is c.module for other in trace.calls) == 1}
    key, steps = _key(image), list[nn.Module]()
    while key is not None:
        # outer modules begin before their inner ones, so the largest frozen one is found first
        users = trace.users.get(key, [])
        step = next(
            (
                call
                for call in trace.calls
                if call.given == key
                and call.module is not network
                and call.module in once
                and call.module not in steps
                and call.gave is not None
                and _settled(call.module)
                and all(call.module in stack for stack in users)
            ),
            None,
        )
        if step is None:
            break
        steps.append(step.module)
        key = step.gave
    return steps


def _settled(module: nn.Module) -> bool:
    """Whether nothing in a module learns: what has parameters or statistics is frozen."""
    states = (m for m in module.modules() if list(m.parameters(False)) or list(m.buffers(False)))
    return all(is_frozen(m) for m in states) and not any(p.requires_grad for p in module.parameters())


def _halves(network: nn.Module, steps: list[nn.Module]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def prefix(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            for step in steps:
                x = step(x)
        return x

    def rest(x: torch.Tensor) -> torch.Tensor:
        with _handing_on(steps):
            return network(x)

    return prefix, rest


@contextmanager
def _handing_on(modules: list[nn.Module]) -> Generator[None]:
    """Inside the block these modules give back what they get."""
    before = [(module, vars(module).get("forward")) for module in modules]
    try:
        for module in modules:
            module.forward = _same
        yield
    finally:
        for module, forward in before:
            if forward is None:
                del module.forward
            else:
                module.forward = forward


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


def _holds(network: nn.Module, cut: FrozenPrefix, image: torch.Tensor) -> bool:
    devices = [image.device] if image.is_cuda else []
    with _modes_kept(network), torch.no_grad(), torch.random.fork_rng(devices):
        network.eval()
        features = cut.prefix(image)
        whole, parts = network(image), cut.rest(features.clone())
        whole, parts = (x[0] if isinstance(x, tuple) else x for x in (whole, parts))
        set_train_mode(network)
        return torch.equal(whole, parts) and torch.equal(cut.prefix(image), features)


@contextmanager
def _modes_kept(network: nn.Module) -> Generator[None]:
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
