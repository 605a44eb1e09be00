"""Faster convolution kernels for OpenVINO, on processors with AVX2 and without AVX-512."""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from radiolucent.extras import require

__all__ = ["compile_model", "in_blocks", "kernels_of", "pointwise_share"]

POINTWISE = 0.75
"""Share of a network's multiply-adds in 1 × 1 convolutions from which blocked kernels are asked for.

Measured on one thread of an AMD EPYC (Zen 3) with OpenVINO 2026.4: with 79 to 95 % (MobileNet v1 to v3,
EfficientNet-B0, RegNetY, Xception) passes are 1.12 to 1.33 times as fast; with 52 % (ResNet-50, DenseNet-121) from 2 %
faster to 11 % slower; with less (ResNet-18, ConvNeXt) up to 76 % slower.
"""

BLOCKED = "jit_avx2"
PLANAR = 4
"""Channels from which a convolution wants its input in blocks; below it takes whole planes."""

CONVOLUTIONS = ("Convolution", "GroupConvolution")
GIVEN = ("Parameter", "Reshape", "Transpose")


def compile_model(model: Any, settings: Mapping[str, Any], *, choose: bool = True) -> Any:
    """An OpenVINO model compiled for the CPU, with oneDNN's blocked kernels where they are quicker.

    On processors with AVX2 and without AVX-512, OpenVINO computes every convolution as batched matrix products
    (`brgconv`) on channels last. oneDNN's older kernels (`jit_avx2`), on channels in blocks of eight, are quicker at
    1 × 1 convolutions and slower at large ones: networks made of the former (`POINTWISE`) ask for them. That is a
    preference (`PrimitivesPriority`, with which OpenVINO's own tests choose kernels). A network in which OpenVINO does
    not follow it everywhere is compiled without it.

    Args:
        model: an `openvino.Model`; its batch may be free. settings: of the device.
        choose: whether to ask for blocked kernels at all.
    """
    core = require("openvino", extra="openvino").Core()
    # A preference must not make anything fail: whatever goes wrong, the model is compiled without it.
    with suppress(Exception):
        if choose and torch.backends.cpu.get_cpu_capability() == "AVX2" and pointwise_share(model) >= POINTWISE:
            network = core.compile_model(in_blocks(core, model), "CPU", settings)
            ran = kernels_of(network)
            if ran and all(kernel.startswith(BLOCKED) for kernel in ran):
                return network
    return core.compile_model(model, "CPU", settings)


def kernels_of(network: Any) -> list[str]:
    """The kernels of a compiled network's convolutions, such as "jit_avx2_1x1_f32", in order."""
    infos = [op.get_rt_info() for op in network.get_runtime_model().get_ordered_ops()]
    return [_text(i["primitiveType"]) for i in infos if "Convolution" in _text(i["layerType"])]


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))


def in_blocks(core: Any, model: Any) -> Any:
    """The same model with a preference for blocked kernels at its convolutions."""
    ov: Any = require("openvino", extra="openvino")
    # The preference is read from a written model only: set from Python it is taken for plain text and ignored.
    with tempfile.TemporaryDirectory(prefix="radiolucent-") as folder:
        layers, weights = Path(folder, "model.xml"), Path(folder, "model.bin")
        ov.serialize(model, str(layers), str(weights))
        tree = ElementTree.fromstring(layers.read_bytes())
        for layer in tree.iter("layer"):
            data = layer.find("data")
            if layer.get("type") in CONVOLUTIONS and data is not None:
                data.set("PrimitivesPriority", f"cpu:{BLOCKED}_1x1,cpu:{BLOCKED}_dw,cpu:{BLOCKED}")
        asked = core.read_model(ElementTree.tostring(tree), weights.read_bytes())
    # A convolution takes the layout of what comes before it, so maps that are given, not computed, go through a pooling
    # of one pixel: it changes nothing and gives blocks.
    operations: Any = require("openvino.opset8", extra="openvino")
    for op in asked.get_ordered_ops():
        if op.get_type_name() in CONVOLUTIONS:
            given = op.input(0).get_source_output()
            channels = given.get_partial_shape()[1]
            if given.get_node().get_type_name() in GIVEN and channels.is_static and channels.get_length() >= PLANAR:
                pooled = operations.max_pool(given, [1, 1], [1, 1], [0, 0], [0, 0], [1, 1])
                op.input(0).replace_source_output(pooled.output(0))
    asked.validate_nodes_and_infer_types()
    return asked


def pointwise_share(model: Any) -> float:
    """Share of the convolutions' multiply-adds that 1 × 1 ones do; 0 if any is not of maps (N, C, H, W) of one size."""
    small = every = 0
    for op in model.get_ops():
        kind = op.get_type_name()
        if kind not in CONVOLUTIONS:
            continue
        maps, weights = op.output(0).get_partial_shape(), op.input(1).get_partial_shape()
        sizes = [maps[i] for i in range(2, len(maps))]
        if len(maps) != 4 or weights.is_dynamic or any(size.is_dynamic for size in sizes):
            return 0.0
        shape = list(weights.to_shape())
        work = prod(shape) * prod(size.get_length() for size in sizes)
        every += work
        if kind == "Convolution" and prod(shape[2:]) == 1:
            small += work
    return small / every if every else 0.0
