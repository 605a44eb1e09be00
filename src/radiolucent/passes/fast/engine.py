"""A network converted to OpenVINO."""

import queue
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ModelError
from radiolucent.models.classifier import Classifier
from radiolucent.models.difference import difference_of_moves
from radiolucent.models.parallel_batches import threads
from radiolucent.models.to_openvino import to_openvino
from radiolucent.passes.engines import Engine
from radiolucent.passes.fast.openvino_kernels import compile_model

__all__ = ["MOVES_APART", "TOLERANCE", "Compiled", "compiled", "convert"]

TOLERANCE = 1e-3
"""Largest difference of a logit from torch's, as a share of how far the logits move between images."""

MOVES_APART = 1e-3
"""The same where whatever else is computed of a network (features, patched passes) is compared with torch's."""


class Compiled:
    """An OpenVINO network that any number of threads may ask at once.

    Attributes:
        network: OpenVINO's compiled model.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, arrays: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self.network.create_infer_request()
        try:
            return list(request.infer(list(arrays), share_inputs=True).to_tuple())
        finally:
            self._idle.put(request)


def compiled(
    network: torch.nn.Module,
    examples: Sequence[torch.Tensor],
    *,
    workers: int = 1,
    kernels: bool = True,
    strict: bool = False,
) -> Compiled:
    """A torch network converted to OpenVINO, in float32, for any number of images.

    Args:
        examples: inputs (N, …) to trace it with.
        workers: batches that will be computed side by side.
        kernels: whether to choose convolution kernels (see `radiolucent.passes.fast.openvino_kernels`).
        strict: refuse a network in which Python looks at shapes on the way, too.

    Returns:
        A function of a list of arrays that gives the list of outputs. The caller compares them with torch's.

    Raises:
        ModelError: it cannot be converted. MissingExtraError: OpenVINO is not installed.
    """
    model = to_openvino(network, examples, strict=strict)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads(),
        "NUM_STREAMS": workers,
    }
    try:
        return Compiled(compile_model(model, settings, choose=kernels))
    except Exception as error:  # OpenVINO's, of many kinds
        raise ModelError(f"OpenVINO cannot run this network ({type(error).__name__}: {error}).") from error


def convert(classifier: Classifier, example: torch.Tensor, *, workers: int, kernels: bool) -> Engine:
    """A classifier's forward pass in OpenVINO, in float32, with batch norms folded and layers fused.

    Raises:
        ModelError: OpenVINO cannot convert the network, or its logits differ from torch's by more than `TOLERANCE`,
            or in number.
    """
    network = compiled(classifier.network, [example], workers=workers, kernels=kernels)

    def logits(inputs: torch.Tensor) -> torch.Tensor:
        found = torch.from_numpy(network([inputs.contiguous().numpy()])[0])
        if len(found) != len(inputs):  # a loop over the batch is traced for as many images as there were
            raise ModelError(f"OpenVINO gives {len(found)} answers for {len(inputs)} images.")
        return found

    # Not the image it was traced with: a network that leaves torch on its way is traced into a constant. And its
    # negative: some networks ask whether a film is inverted. Different images in one batch: some ask each by itself.
    one = example[:1]
    several = torch.cat([one.flip(-1) * 0.7, -one, one.flip(-2)])
    try:
        found = [logits(several), torch.cat([logits(x) for x in several.split(1)])]
    except RuntimeError as error:  # OpenVINO's
        raise ModelError(f"OpenVINO cannot run this network for several images ({str(error)[:120]}).") from error
    expected = [classifier.logits(several), torch.cat([classifier.logits(x) for x in several.split(1)])]
    pairs = list(zip(found, expected, strict=True))
    off = [difference_of_moves(a, b) if a.shape == b.shape else float("inf") for a, b in pairs]
    if not all(share <= TOLERANCE for share in off):
        told = ", ".join(f"{share:.1e}" for share in off)
        raise ModelError(
            f"OpenVINO's logits differ from torch's by {told} of what they move between images; expected ≤ {TOLERANCE}."
        )
    moves = float((expected[0].amax(0) - expected[0].amin(0)).max())
    return Engine("openvino", logits, f"logits within {max(off):.0e} of torch's", moves)
