"""What one job of explaining shares: which shortcuts are taken, and what has been worked out about its networks.

The only place that reaches `radiolucent.passes.fast`, and it imports that only where a shortcut is taken.
"""

import dataclasses
import importlib.util
import os
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import nn

from radiolucent.errors import ConfigError, ModelError
from radiolucent.models import Classifier, black_box
from radiolucent.models.caches import caches_untouched
from radiolucent.models.difference import relative_difference, share_of_moves
from radiolucent.models.opaque import opaque
from radiolucent.models.per_network import changes_counted, forget, remember, remembered, remembers, weights_of
from radiolucent.models.settings import settings_of
from radiolucent.passes.engines import Engine, EngineKind, Patched, Patches

__all__ = ["SHORTCUTS", "Session", "or_torch"]

S = TypeVar("S")
T = TypeVar("T")

SHORTCUTS = (
    "openvino",
    "openvino_kernels",
    "openvino_features",
    "incremental",
    "parallel_batches",
    "traced_head",
)
"""The mechanisms of `radiolucent.passes.fast`. Without any of them plain torch gives the same maps, up to rounding."""


ENGINE_APART = 1e-3
"""Largest difference of a kept engine's logit from torch's, as a share of how far the logits move between images."""

FEATURES_APART = 1e-4
"""The same for kept features, as a share of the logits' largest magnitude (at least 1)."""


def _wanted() -> bool:
    return os.environ.get("RADIOLUCENT_FAST", "1").strip().lower() not in ("0", "false", "no", "off")


@dataclass(eq=False)
class Session:
    """One job of explaining. `explain` makes one for each call; a job of many calls gives all of them the same.

    Within a session weights may change only in ways that torch counts (an optimiser, `copy_`, `mul_`). After a change
    that it does not count (`parameter.data.mul_`, a write through numpy) make a new session.

    Attributes:
        films: how many films the job explains in all; from `worth_features` on, some preparation pays off.
        fast: whether any shortcut is taken; unless given, the environment variable RADIOLUCENT_FAST does not say
            "0", "false", "no" or "off".
        without: names of `SHORTCUTS` that are not taken.
        worth_converting: altered copies of films for which converting a network to OpenVINO pays off.
        worth_features: films for which converting the layers before the target layer pays off.
        worth_tracing: passes for which tracing a network's operations pays off.
        incremental_below: share of a whole pass's multiplications below which incremental passes are quicker.
        most_workers: batches computed side by side at most; never more than torch has threads.

    Raises:
        ConfigError: an unknown shortcut.
    """

    films: int = 0
    fast: bool = field(default_factory=_wanted)
    without: Collection[str] = ()
    worth_converting: int = 300
    worth_features: int = 600
    worth_tracing: int = 100
    incremental_below: float = 0.65
    most_workers: int = 8
    _weights: WeakKeyDictionary[nn.Module, tuple[Any, int]] = field(
        default_factory=WeakKeyDictionary[nn.Module, tuple[Any, int]], init=False, repr=False
    )
    _compared: WeakSet[nn.Module] = field(default_factory=WeakSet[nn.Module], init=False, repr=False)

    def __post_init__(self) -> None:
        self.without = (self.without,) if isinstance(self.without, str) else tuple(self.without)
        if unknown := sorted(set(self.without) - set(SHORTCUTS)):
            raise ConfigError(f"shortcut {', '.join(unknown)}; expected any of {', '.join(SHORTCUTS)}.")

    def takes(self, shortcut: str) -> bool:
        """Whether this session takes a shortcut."""
        return self.fast and shortcut not in self.without

    def weights_of(self, network: nn.Module) -> int:
        """`per_network.weights_of`, computed again only after torch has counted a change."""
        counted = changes_counted(network)
        known = self._weights.get(network)
        if known is None or counted is None or known[0] != counted:
            self._weights[network] = known = counted, weights_of(network)
        return known[1]

    def state_of(self, network: nn.Module) -> tuple[int, Hashable]:
        """What changes with the network's weights, and with what it holds beside them (`settings_of`)."""
        return self.weights_of(network), settings_of(network)

    @property
    def workers(self) -> int:
        """Batches that are computed side by side: one for each of torch's threads, `most_workers` at most."""
        if not self.takes("parallel_batches"):
            return 1
        from radiolucent.models.parallel_batches import threads

        return max(1, min(threads(), self.most_workers))

    def side_by_side(self, work: Callable[[S], T], parts: Sequence[S], count: int) -> list[T]:
        """What `work` gives for each part, in order and without gradients; `count` parts at a time at most.

        Args:
            work: draws no random numbers and changes nothing.
        """
        if self.takes("parallel_batches"):
            from radiolucent.models.parallel_batches import side_by_side

            return side_by_side(work, parts, count)
        with torch.no_grad():
            return [work(part) for part in parts]

    def engine(self, classifier: Classifier, example: torch.Tensor, images: int, kind: EngineKind = "auto") -> Engine:
        """The forward pass to use for many images.

        OpenVINO's is made once for a network and its weights, and compared with torch's on images made from `example`;
        where its logits differ, "auto" takes torch and "openvino" raises.

        Args:
            example: inputs (N, C, S, S), as will come. images: how many will come.
            kind: "auto": OpenVINO where it is installed, the network is on the CPU, and `images` are worth converting
                it.

        Raises:
            ConfigError: no such kind, or OpenVINO is asked for where the session takes no such shortcut.
            MissingExtraError: OpenVINO is asked for and not installed. ModelError: it cannot run this network as torch
                does.
        """
        if kind not in ("auto", "torch", "openvino"):
            raise ConfigError(f"engine {kind!r}; expected auto, torch or openvino.")
        if black_box(classifier.network) is not None:
            return Engine("function", classifier.logits, "a function runs as it is")
        self._check_openvino(kind)
        plain, network = Engine("torch", classifier.logits), classifier.network
        if kind == "torch" or (kind == "auto" and not self._may_convert(classifier)):
            return plain
        few = kind == "auto" and images < self.worth_converting
        if few and not remembers(network, "engine"):
            return plain
        kernels, workers = self.takes("openvino_kernels"), self.workers
        valid = (tuple(example.shape[1:]), torch_threads(), workers, kernels, self.state_of(network))
        kept = remembered(network, "engine", valid)
        if isinstance(kept, Engine) and not _answers_as(kept, classifier, example[:1]):
            forget(network, "engine")  # something has changed that no key holds
            kept = None
        if few and kept is None:
            return plain

        def made() -> Engine | str:
            from radiolucent.passes.fast.engine import convert

            try:
                return convert(classifier, example, workers=workers, kernels=kernels)
            except ModelError as error:  # kept too, so that it is not tried again for every image
                return str(error)

        found = remember(network, "engine", valid, made)
        if isinstance(found, Engine):
            return found
        if kind == "openvino":
            raise ModelError(found)
        return Engine("torch", classifier.logits, found)

    def features(
        self, classifier: Classifier, inputs: torch.Tensor, layer: str, pooled: Callable[[], bool]
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Logits (N, K) and a layer's output of inputs (N, C, H, W) from OpenVINO, float32 and without a graph.

        None where the job has too few films, where OpenVINO does not give what torch gives, or where it fails.

        Args:
            pooled: whether only pooling and a dense layer follow the layer; asked before anything is converted.
        """
        if not self.takes("openvino_features") or self.films < self.worth_features or not self._may_convert(classifier):
            return None
        network = classifier.network
        if network.training or classifier.dtype != torch.float32:
            return None
        state, kernels, workers = self.state_of(network), self.takes("openvino_kernels"), self.workers

        def make() -> Any:
            from radiolucent.passes.fast.openvino_features import features_of

            if not pooled() or weights_of(network) != state[0]:  # a network that changes as it runs has none
                return None
            return features_of(network, inputs[:1], layer, workers=workers, kernels=kernels)

        valid = (layer, tuple(inputs.shape[1:]), torch_threads(), workers, kernels, state)
        run = remember(network, "features", valid, make)
        found = None if run is None else run(inputs)
        if found is not None and network not in self._compared:  # what was kept may be another job's
            if relative_difference(found[0][:1], classifier.logits(inputs[:1])) > FEATURES_APART:
                forget(network, "features")
                return None
            self._compared.add(network)
        return found

    def traced(
        self,
        network: nn.Module,
        valid: tuple[Any, ...],
        function: Callable[..., torch.Tensor],
        examples: Sequence[torch.Tensor],
        expected: torch.Tensor,
        tolerance: float,
    ) -> Callable[..., torch.Tensor] | None:
        """The operations of `function` that its result needs; None where tracing fails or gives something else.

        Args:
            valid: what the function depends on besides the network's weights. examples: its arguments.
            expected: the first row of its result, float32.
        """
        if not self.takes("traced_head"):
            return None

        def make() -> Any:
            from radiolucent.passes.fast.trace import operations

            try:
                with caches_untouched(network):
                    found = operations(function, *examples)
                with torch.inference_mode():
                    again = found(*examples)[:1].float().cpu()
            except Exception:  # tracing fails in many ways
                return None
            return found if relative_difference(again, expected, floor=1e-6) <= tolerance else None

        key = (*valid, self.state_of(network))
        kept = remembered(network, "head", key)
        if kept is not None:
            with torch.inference_mode():
                again = kept(*examples)[:1].float().cpu()
            if relative_difference(again, expected, floor=1e-6) > tolerance:
                forget(network, "head")  # something has changed that no key holds
        return remember(network, "head", key, make)

    def patched(
        self,
        classifier: Classifier,
        patches: Patches,
        *,
        batch: int,
        workers: int,
        kind: EngineKind = "auto",
        always: bool = False,
    ) -> Patched | str:
        """The network's answers to patched copies of an image, computing only what the patches reach; or why not.

        Args:
            batch: copies a pass. workers: passes side by side.
            always: also where whole passes would be quicker.
        """
        count = len(patches.y)
        if not self.takes("incremental"):
            return "shortcuts are off"
        if not always and count < self.worth_tracing and not remembers(classifier.network, "traced"):
            return "few windows"
        self._check_openvino(kind)
        if kind == "openvino":
            return "OpenVINO is asked for, which makes whole passes"
        if "quantised" in (opaque(classifier.network) or ""):
            return "a quantised network is asked about whole images"
        from radiolucent.passes.fast.patched import patched

        return patched(
            classifier,
            patches,
            state=self.state_of(classifier.network),
            batch=batch,
            workers=workers,
            below=1e9 if always else self.incremental_below,
            side_by_side=self.side_by_side,
        )

    def _check_openvino(self, kind: EngineKind) -> None:
        if kind == "openvino" and not self.takes("openvino"):
            raise ConfigError(
                "engine 'openvino', but this session takes no such shortcut; choose engine='auto' or 'torch', or take "
                "away RADIOLUCENT_FAST=0, fast=False or without=."
            )

    def _may_convert(self, classifier: Classifier) -> bool:
        installed = importlib.util.find_spec("openvino") is not None
        return self.takes("openvino") and classifier.device.type == "cpu" and installed


def _answers_as(engine: Engine, classifier: Classifier, image: torch.Tensor) -> bool:
    """Whether a kept engine still gives what the network gives for an image (1, C, H, W)."""
    try:
        found = engine.logits(image)
    except (ModelError, RuntimeError):  # OpenVINO's
        return False
    return share_of_moves(found, classifier.logits(image), engine.moves) <= ENGINE_APART


def or_torch(engine: Engine, classifier: Classifier) -> Engine:
    """The engine, whose place torch takes for a batch of which it gives another number of answers, or fails."""

    def logits(inputs: torch.Tensor) -> torch.Tensor:
        try:
            return engine.logits(inputs)
        except (ModelError, RuntimeError):
            return classifier.logits(inputs)

    return dataclasses.replace(engine, logits=logits)


def torch_threads() -> int:
    """torch's number of threads, also while batches are computed side by side."""
    from radiolucent.models.parallel_batches import threads

    return threads()
