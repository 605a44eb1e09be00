"""Which convolution kernels OpenVINO takes, where those that it takes by itself are the slower ones."""

import tempfile
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from radiolucent.extras import require

__all__ = ["with_kernels"]

POINTWISE = 0.75
"""Share of a network's multiply-adds in 1 × 1 convolutions from which blocked kernels are the quicker ones on AVX2.

Measured on one thread of an AMD EPYC (Zen 3), OpenVINO 2026.4: with 79 to 95 % of them there (MobileNet v1 to v3,
EfficientNet-B0, RegNetY, Xception) passes take 1/1.12 to 1/1.33 of the time; with 52 % (ResNet-50, DenseNet-121) from 2 %
less to 11 % more; with fewer (ResNet-18, ConvNeXt) up to 76 % more.
"""

BLOCKED = "cpu:jit_avx2_1x1,cpu:jit_avx2_dw,cpu:jit_avx2"


def with_kernels(model: Any) -> Any:
    """An OpenVINO model that asks for oneDNN's blocked kernels where they are quicker; else the model itself.

    On processors with AVX2 and without AVX-512, OpenVINO takes oneDNN's batched matrix products (`brgconv`) on channels
    last for every convolution. The older kernels (`jit_avx2`) on channels in blocks of eight are quicker at 1 × 1
    convolutions and slower at large ones, so networks made of the former ask for them. What is asked for is a preference
    (`PrimitivesPriority`, with which OpenVINO's own tests choose kernels): where it is not known nothing changes.

    Args:
        model: an `openvino.Model` with whole, fixed maps; its batch may be free. It is not changed.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX2" or _pointwise(model) < POINTWISE:
        return model
    ov: Any = require("openvino", extra="openvino")
    # The preference can be read from a written model only: from Python, OpenVINO takes it for plain text and ignores it.
    with tempfile.TemporaryDirectory(prefix="radiolucent-") as folder:
        layers, weights = Path(folder, "model.xml"), Path(folder, "model.bin")
        ov.serialize(model, str(layers), str(weights))
        tree = ElementTree.fromstring(layers.read_bytes())
        for layer in tree.iter("layer"):
            data = layer.find("data")
            if layer.get("type") in ("Convolution", "GroupConvolution") and data is not None:
                data.set("PrimitivesPriority", BLOCKED)
        return ov.Core().read_model(ElementTree.tostring(tree), weights.read_bytes())


def _pointwise(model: Any) -> float:
    """Share of the convolutions' multiply-adds that 1 × 1 ones do; 0 where there are none, or maps of any size."""
    small = every = 0
    for op in model.get_ops():
        kind = op.get_type_name()
        if kind not in ("Convolution", "GroupConvolution"):
            continue
        maps, weights = op.output(0).get_partial_shape(), op.input(1).get_partial_shape()
        sizes = [maps[i] for i in range(2, len(maps))]
        if weights.is_dynamic or any(size.is_dynamic for size in sizes):
            return 0.0
        shape = list(weights.to_shape())
        work = prod(shape) * prod(size.get_length() for size in sizes)
        every += work
        if kind == "Convolution" and prod(shape[2:]) == 1:
            small += work
    return small / every if every else 0.0
