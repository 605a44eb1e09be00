"""Fast forward passes for methods that ask a network hundreds of times: torch, or OpenVINO on a CPU."""

import importlib.util
import queue
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.jit._trace import TracerWarning
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from radiolucent.errors import ConfigError, ModelError
from radiolucent.extras import require
from radiolucent.models.classifier import Classifier
from radiolucent.models.per_network import remember, remembered, remembers, structure_of, weights_of
from radiolucent.models.wrap import BlackBox
from radiolucent.passes.fast.openvino_kernels import compile_model
from radiolucent.passes.fast.parallel_batches import threads, workers

__all__ = ["TOLERANCE", "Engine", "EngineKind", "apart", "bytes_per_image", "compiled", "engine", "with_openvino"]

EngineKind = Literal["auto", "torch", "openvino"]

TOLERANCE = 1e-3
"""Largest |difference| of a logit from torch's, as a share of the logits' largest magnitude (at least 1)."""

WORTH_CONVERTING = 300
"""Images to come below which making an OpenVINO network takes longer than it saves."""


@dataclass(frozen=True, eq=False)
class Engine:
    """A network's forward pass.

    Attributes:
        name: "torch", "openvino", or "function" for a wrapped function.
        logits: inputs (N, C, S, S) to logits (N, K), float32 on the CPU, no gradients.
        why: why it was chosen.
    """

    name: str
    logits: Callable[[torch.Tensor], torch.Tensor]
    why: str = ""


def engine(classifier: Classifier, example: torch.Tensor, images: int, kind: EngineKind = "auto") -> Engine:
    """The forward pass to use for many images.

    OpenVINO computes in float32 here as well, with batch norms folded and layers fused. It is made once for a network
    and its weights, and held against torch on an image made from `example`; where its logits differ by more than
    `TOLERANCE`, "auto" takes torch and "openvino" raises.

    Args:
        example: inputs (N, C, S, S), as will come. images: how many will come.
        kind: "auto": OpenVINO where it is installed, the network is on the CPU, and `images` make up for converting it.

    Raises:
        ConfigError: no such kind. MissingExtraError: OpenVINO is asked for and not installed. ModelError: it is asked
            for and cannot run this network as torch does.
    """
    if kind not in ("auto", "torch", "openvino"):
        raise ConfigError(f"engine {kind!r}; expected auto, torch or openvino.")
    if isinstance(classifier.network, BlackBox):
        return Engine("function", classifier.logits, "a function runs as it is")
    plain = Engine("torch", classifier.logits)
    if kind == "torch":
        return plain
    network, few = classifier.network, kind == "auto" and images < WORTH_CONVERTING
    if kind == "auto":
        if classifier.device.type != "cpu" or importlib.util.find_spec("openvino") is None:
            return plain
        if few and not remembers(network, "engine"):
            return plain
    valid = (tuple(example.shape[1:]), threads(), weights_of(network))
    if few and remembered(network, "engine", valid) is None:
        return plain
    found = remember(network, "engine", valid, lambda: _tried(classifier, example))
    if isinstance(found, Engine):
        return found
    if kind == "openvino":
        raise ModelError(found)
    return Engine("torch", classifier.logits, found)


def _tried(classifier: Classifier, example: torch.Tensor) -> Engine | str:
    """OpenVINO's engine, or why there is none: that is kept too, so that it is not tried again image after image."""
    try:
        return _convert(classifier, example)
    except ModelError as error:
        return str(error)


def with_openvino(classifier: Classifier, images: int, kind: EngineKind) -> bool:
    """Whether part of a network is worth computing in OpenVINO for so many images, by the rule of `engine`."""
    if kind != "auto":
        return kind == "openvino"
    installed = importlib.util.find_spec("openvino") is not None
    return classifier.device.type == "cpu" and installed and images >= WORTH_CONVERTING // 2


class _Compiled:
    """An OpenVINO network that any number of threads may ask at once."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, arrays: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._network.create_infer_request()
        try:
            return list(request.infer(list(arrays), share_inputs=True).to_tuple())
        finally:
            self._idle.put(request)


def compiled(network: torch.nn.Module, examples: Sequence[torch.Tensor], *, strict: bool = False) -> _Compiled:
    """OpenVINO's network of a torch network, float32, for any number of images; as many batches at a time as `workers`.

    Args:
        examples: inputs (N, …) to trace it with.
        strict: not if Python looks at values on the way, which tracing cannot follow (some only check shapes).

    Returns:
        What takes a list of arrays and gives the outputs. Not compared with torch: the caller does.

    Raises:
        ModelError: it cannot be converted. MissingExtraError: OpenVINO is not installed.
    """
    # The front end directly, not openvino.convert_model: that one sends usage statistics over the network.
    front: Any = require("openvino.frontend", extra="openvino")
    traced: Any = require("openvino.frontend.pytorch.ts_decoder", extra="openvino")
    modes = [(m, m.training) for m in network.modules() if hasattr(m, "training")]
    try:
        network.eval()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            if strict:
                warnings.simplefilter("error", TracerWarning)
            decoder = traced.TorchScriptPythonDecoder(network, example_input=tuple(e.contiguous() for e in examples))
        pytorch = front.FrontEndManager().load_by_framework("pytorch")
        model = pytorch.convert(pytorch.load(decoder))
        model.reshape({i: [-1, *example.shape[1:]] for i, example in enumerate(examples)})
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads(),
            "NUM_STREAMS": workers(),
        }
        return _Compiled(compile_model(model, settings))
    except Exception as error:  # conversion fails in many ways
        raise ModelError(f"OpenVINO cannot convert this network ({type(error).__name__}: {error}).") from error
    finally:
        for module, mode in modes:
            module.training = mode


def _convert(classifier: Classifier, example: torch.Tensor) -> Engine:
    network = compiled(classifier.network, [example])

    def logits(inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(network([inputs.contiguous().numpy()])[0])

    # Not the image it was traced with: a network that leaves torch on its way is traced into a constant. And its
    # negative: one that asks whether a film is inverted.
    off = [apart(logits(other), classifier.logits(other)) for other in (example.flip(-1) * 0.7, -example)]
    if not all(share <= TOLERANCE for share in off):
        told = ", ".join(f"{share:.1e}" for share in off)
        raise ModelError(f"OpenVINO's logits differ from torch's by {told} of their size; expected ≤ {TOLERANCE}.")
    return Engine("openvino", logits, f"logits within {max(off):.0e} of torch's")


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest |difference| of two tensors of one shape, as a share of the expected one's largest (at least 1)."""
    return float((found - expected).abs().max() / max(1.0, float(expected.abs().max())))


class _Largest(TorchDispatchMode):
    """Bytes of the largest step of a pass: what it reads and writes, weights included."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        held = {t.data_ptr(): t.numel() * t.element_size() for t in tree_leaves((args, out)) if _is_map(t)}
        self.size = max(self.size, sum(held.values()))
        return out


def _is_map(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter)


def bytes_per_image(classifier: Classifier, example: torch.Tensor) -> int:
    """About what one more image in a batch takes: twice the largest step of a pass, and the image thrice.

    Twice, because shortcuts keep maps alive and convolutions need room of their own. Measured once for an input shape.
    """
    shape, network = tuple(example.shape[1:]), classifier.network

    def measure() -> int:
        with _Largest() as largest:
            classifier.logits(example[:1])
        return 2 * largest.size + 3 * example[:1].numel() * example.element_size()

    return remember(network, ("bytes", shape), structure_of(network), measure)
