"""A torch network as a model of OpenVINO's."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch.jit._trace import TracerWarning

from radiolucent.errors import ModelError
from radiolucent.extras import require
from radiolucent.models.reads_values import LOOKS, reads_values

__all__ = ["to_openvino"]


def to_openvino(network: torch.nn.Module, examples: Sequence[torch.Tensor], *, strict: bool = False) -> Any:
    """A torch network, in eval mode, as an `openvino.Model` for any number of images.

    Args:
        examples: inputs (N, …) to trace it with.
        strict: refuse a network in which Python looks at shapes on the way, too.

    Raises:
        ModelError: it cannot be converted, or Python looks at values on the way, which tracing cannot follow.
        MissingExtraError: OpenVINO is not installed.
    """
    # The front end directly, not openvino.convert_model: that one sends usage statistics over the network.
    front: Any = require("openvino.frontend", extra="openvino")
    traced: Any = require("openvino.frontend.pytorch.ts_decoder", extra="openvino")
    modes = [(m, m.training) for m in network.modules() if hasattr(m, "training")]
    try:
        network.eval()
        if reads_values(network, *(e[:1].clone() for e in examples)):
            raise ModelError(LOOKS)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            if strict:
                warnings.simplefilter("error", TracerWarning)
            # torch's own check of the trace costs as much again as all the rest; callers check on other images.
            given = tuple(e.contiguous() for e in examples)
            known = _as_function(network, given) or network
            decoder = traced.TorchScriptPythonDecoder(known, example_input=given, trace_kwargs={"check_trace": False})
        pytorch = front.FrontEndManager().load_by_framework("pytorch")
        model = pytorch.convert(pytorch.load(decoder))
        model.reshape({i: [-1, *example.shape[1:]] for i, example in enumerate(examples)})
        return model
    except ModelError:
        raise
    except Exception as error:  # conversion fails in many ways
        raise ModelError(f"OpenVINO cannot convert this network ({type(error).__name__}: {error}).") from error
    finally:
        for module, mode in modes:
            module.training = mode


def _as_function(network: torch.nn.Module, examples: tuple[torch.Tensor, ...]) -> Any:
    """The network traced as a function, its weights constants: in a third of the time that its modules take.

    None where that fails, as it does with what is scripted already and what OpenVINO patches (`divmod`).
    """
    learning = [p for p in network.parameters() if p.requires_grad]

    def function(*inputs: torch.Tensor) -> Any:
        return network(*inputs)

    try:
        for p in learning:
            p.requires_grad_(False)  # no constant may ask for a gradient
        return torch.jit.trace(function, examples, check_trace=False, strict=False)
    except Exception:  # tracing fails in many ways
        return None
    finally:
        for p in learning:
            p.requires_grad_(True)
