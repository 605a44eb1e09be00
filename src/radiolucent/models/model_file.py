"""ONNX, OpenVINO and exported files, run as they are: they answer, and cannot be looked into."""

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import MissingExtraError, ModelError
from radiolucent.extras import require
from radiolucent.images import Preprocess
from radiolucent.models.picked import picked
from radiolucent.models.wrap import BlackBox, Layout, Output
from radiolucent.types import Head

__all__ = ["SUFFIXES", "FileModel", "Runner", "content_of", "onnx_runner"]

KINDS = {".onnx": "an ONNX file", ".xml": "an OpenVINO file", ".pt2": "an exported program (torch.export)"}
SUFFIXES = frozenset(KINDS)

Array = NDArray[Any]

LENGTH = 8
"""Bytes that say how long the .xml of an OpenVINO file is."""


class Runner:
    """A model's answers, and what it takes.

    Attributes:
        ask: arrays (N, …) to numbers (N, K). shape: of its input, None where any size goes.
        levels: the largest grey level, for a model that takes whole numbers; None for one that takes any.
    """

    def __init__(self, ask: Callable[[Array], Array], shape: tuple[int | None, ...], dtype: Any = np.float32) -> None:
        self.shape, self._ask, self._dtype = shape, ask, dtype
        self.levels = int(np.iinfo(dtype).max) if np.issubdtype(dtype, np.unsignedinteger) else None

    def __call__(self, images: Array) -> Array:
        """The answers to any number of images, in batches as large as the model takes."""
        count = self.shape[0] if self.shape else None
        given = (images if self.levels is None else np.rint(images).clip(0, self.levels)).astype(self._dtype)
        if count is None or count == len(given):
            return self._ask(given)
        found: list[Array] = []
        for start in range(0, len(given), count):
            part = given[start : start + count]
            filled = np.concatenate([part, np.repeat(part[-1:], count - len(part), 0)])
            found.append(self._ask(filled)[: len(part)])
        return np.concatenate(found)


class FileModel(BlackBox):
    """A model file in the place of a network. Its weights are the file's bytes, and it has no layers or gradients.

    Args:
        file: the bytes, uint8 (`content_of`). suffix: ".onnx", ".xml" or ".pt2".
        layout: as `wrap`; found by the channels unless given. keep: outputs that mean anything; None: all.
        pick: which of several results, by name or index; "logits" unless given.
    """

    file: torch.Tensor

    def __init__(
        self,
        file: torch.Tensor,
        suffix: str,
        output: Output,
        layout: Layout | None,
        head: Head,
        keep: Sequence[int] | None = None,
        pick: str | int | None = None,
    ) -> None:
        self.suffix, self._run = suffix, _runner(file, suffix, pick)
        only = None if keep is None else tuple(keep)
        super().__init__(self.answers, output, layout or _layout(self._run.shape), head, only)
        self.kind = KINDS[suffix]
        self.register_buffer("file", file)

    def answers(self, images: NDArray[np.float32]) -> Array:
        """Numbers (N, K) of images, as the file lays them out."""
        return self._run(images)

    def preprocess(self, name: str) -> Preprocess:
        """Grey levels in [0, 1], or in whole numbers as many as the file takes, at the size that it takes."""
        shape = self._run.shape
        axes = shape[2:] + shape[1:2] if self.layout == "NCHW" else shape[1:]
        if len(shape) != 4 or None in axes:
            raise ModelError(
                f"{name}: takes inputs {_said(shape)}, so its size has to be said: preprocess=, or --model-options "
                "size=224,channels=3,mean=0.485/0.456/0.406,std=0.229/0.224/0.225."
            )
        height, width, channels = (int(a or 0) for a in axes)
        scale = 1 / (self._run.levels or 1)
        return Preprocess(height, "squash", channels, (0.0,) * channels, (scale,) * channels, width=width)

    def check_range(self, preprocess: Preprocess) -> None:
        """See that a file of whole numbers is given them.

        Raises:
            ModelError: black is not 0, or white not the largest of them.
        """
        levels = self._run.levels
        if levels is None:
            return
        black, white = (preprocess.normalise(torch.full((1, *preprocess.shape), grey)) for grey in (0.0, 1.0))
        if max(float(black.abs().max()), float((white - levels).abs().max())) > 1e-3 * levels:
            raise ModelError(
                f"the model takes whole numbers from 0 to {levels}, and films are given to it from "
                f"{float(black.min()):g} to {float(white.max()):g}: say mean=0 and std=1/{levels}, or leave preprocess "
                "out."
            )

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a running model file cannot be copied; load it again.")


def content_of(file: Path) -> torch.Tensor:
    """A model file's bytes, uint8; of OpenVINO's two files: how long the .xml is (eight bytes), the .xml, the .bin.

    Raises:
        ModelError: an OpenVINO file without the .bin that holds its weights.
    """
    content = file.read_bytes()
    if file.suffix.lower() == ".xml":
        weights = file.with_suffix(".bin")
        if not weights.is_file():
            raise ModelError(f"{file}: its weights, {weights.name}, are not beside it; put both files in one folder.")
        content = len(content).to_bytes(LENGTH, "little") + content + weights.read_bytes()
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def onnx_runner(content: bytes, pick: str | int | None = None) -> Runner:
    """An ONNX model run by ONNX Runtime, or by OpenVINO where that is installed.

    Args:
        pick: which of several results, by name or index; "logits" unless given.

    Raises:
        MissingExtraError: neither is. ModelError: no ONNX model, one of several inputs, or no such result.
    """
    try:
        return _onnxruntime(content, pick)
    except ImportError:
        pass
    try:
        return _openvino(content, b"", pick)
    except ImportError as error:
        raise MissingExtraError(
            "an ONNX file is run by onnxruntime or openvino, and neither is installed: pip install radiolucent[onnx]."
        ) from error


def _which(names: Sequence[str], pick: str | int | None) -> int:
    """The position of the result that is meant.

    >>> _which(["features", "logits"], None), _which(["label", "probabilities"], "probabilities"), _which(["y"], None)
    (1, 1, 0)
    """
    wanted = 0 if pick is None and len(names) == 1 else "logits" if pick is None else pick
    if wanted in names:
        return names.index(str(wanted))
    if isinstance(wanted, int) and -len(names) <= wanted < len(names):
        return wanted % len(names)
    raise ModelError(
        f"the model gives {', '.join(names)}{'' if pick is None else f', and no {pick!r}'}; which are its logits or "
        f"probabilities? Say pick={names[-1]!r}, or --model-options pick={names[-1]}."
    )


def _whole_numbers(kind: str) -> ModelError:
    """Inputs that no altered image goes into as it is."""
    return ModelError(
        f"the model takes {kind}; expected floating-point images, or uint8. Write it without its conversion from whole "
        "numbers, or wrap a function that rounds: rl.wrap_function(lambda x: ask(np.rint(x * 255).astype('i4')), …)."
    )


def _onnxruntime(content: bytes, pick: str | int | None) -> Runner:
    import onnxruntime

    try:
        session: Any = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes, which it does not name
        if "model_path must not be empty" in str(error) or "External data" in str(error):
            raise ModelError(
                "the ONNX model keeps its weights in another file; put all into one: "
                "onnx.save(onnx.load(FILE), NEW_FILE, save_as_external_data=False)."
            ) from error
        raise ModelError(f"no ONNX model that can be run ({str(error)[:200]}).") from error
    given = session.get_inputs()
    if len(given) != 1:
        raise ModelError(f"the ONNX model takes {', '.join(i.name for i in given)}; expected one input, the images.")
    types: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
    types |= {"tensor(uint8)": np.uint8, "tensor(uint16)": np.uint16}
    if given[0].type not in types:
        raise _whole_numbers(given[0].type)
    shape = tuple(d if isinstance(d, int) and d > 0 else None for d in given[0].shape)
    results = [o.name for o in session.get_outputs()]
    wanted = [results[_which(results, pick)]]
    return Runner(lambda x: session.run(wanted, {given[0].name: x})[0], shape, types[given[0].type])


def _openvino(content: bytes, weights: bytes, pick: str | int | None) -> Runner:
    import openvino

    try:
        model: Any = openvino.Core().read_model(content, weights) if weights else openvino.Core().read_model(content)
        compiled: Any = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise ModelError(f"no model that OpenVINO can run ({str(error)[:200]}).") from error
    if len(model.inputs) != 1:
        raise ModelError(f"the model takes {len(model.inputs)} inputs; expected one, the images.")
    kind = model.inputs[0].get_element_type()
    dtype = {"u8": np.uint8, "u16": np.uint16, "f16": np.float16, "f64": np.float64}.get(kind.get_type_name())
    if dtype is None and not kind.is_real():
        raise _whole_numbers(kind.get_type_name())
    sizes = model.inputs[0].get_partial_shape()
    shape = tuple(int(d.get_length()) if d.is_static else None for d in sizes)
    results = [o.get_any_name() if o.get_names() else f"result {i}" for i, o in enumerate(model.outputs)]
    at = _which(results, pick)
    return Runner(lambda x: np.array(compiled([x])[at]), shape, dtype or np.float32)


def _exported(content: bytes, pick: str | int | None) -> Runner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about the buffer that it reads
        try:
            program = torch.export.load(io.BytesIO(content))
        except Exception as error:  # damaged files raise many kinds
            raise ModelError(f"no exported program ({str(error)[:200]}); write it with torch.export.save.") from error
    names: Any = program.graph_signature.user_inputs
    nodes: dict[str, Any] = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    if len(names) != 1:
        raise ModelError(f"the exported program takes {len(names)} inputs; expected one, the images.")
    value: Any = nodes[str(next(iter(names)))].meta["val"]
    whole = value.dtype == torch.uint8
    if not value.dtype.is_floating_point and not whole:
        raise _whole_numbers(str(value.dtype))
    shape = tuple(d if isinstance(d, int) else None for d in value.shape)
    module = program.module()

    def ask(x: Array) -> Array:
        with torch.no_grad():
            out = picked(module(torch.from_numpy(x).to(value.dtype)), pick)
        return out.float().cpu().numpy()

    return Runner(ask, shape, np.uint8 if whole else np.float32)


def _runner(file: torch.Tensor, suffix: str, pick: str | int | None) -> Runner:
    content = file.cpu().numpy().tobytes()
    if suffix == ".xml":
        require("openvino", extra="openvino")
        end = LENGTH + int.from_bytes(content[:LENGTH], "little")
        return _openvino(content[LENGTH:end], content[end:], pick)
    return onnx_runner(content, pick) if suffix == ".onnx" else _exported(content, pick)


def _layout(shape: tuple[int | None, ...]) -> Layout:
    last = len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)
    return "NHWC" if last else "NCHW"


def _said(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if d is None else str(d) for d in shape)})"
