"""LRP rules by layer: the weighed layers of a pass, numbered as they are met."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F

from radiolucent.errors import ExplainError
from radiolucent.explainers.composites import Range, rule_of
from radiolucent.explainers.lrp_rules import Box, Handing, Weighed, hand_back
from radiolucent.models import Classifier

__all__ = ["Layers"]

DENSE = ("linear",)
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


@dataclass(eq=False)
class Layers:
    """The weighed layers of one pass, and the rule that each hands relevance back by.

    A batch norm straight behind one belongs to it.

    Attributes:
        composite, epsilon, gamma: as in `LRP`. image: the network's input (N, C, H, W). box: smallest and largest
            input. kinds: of the layers met, whether dense. arrived: zeros (N, H, W), whose gradient is the relevance
            that first layers gave the image itself. arrives: whether they gave it any.
    """

    composite: str | Sequence[Range]
    epsilon: float
    gamma: float
    image: torch.Tensor
    box: Box
    kinds: list[bool] = field(default_factory=list[bool])
    arrives: bool = False
    arrived: torch.Tensor = field(init=False)
    _latest: tuple[torch.Tensor, int, Weighed, int] | None = None
    _source: torch.Tensor | None = None
    _framed: tuple[torch.Tensor, int, torch.Tensor, Sequence[int]] | None = None

    def __post_init__(self) -> None:
        self.arrived = self.image.new_zeros(self.image[:, 0].shape, dtype=torch.float32).requires_grad_()

    @classmethod
    def of(
        cls, classifier: Classifier, image: torch.Tensor, composite: str | Sequence[Range], epsilon: float, gamma: float
    ) -> "Layers":
        ends = classifier.preprocess.normalise(torch.tensor([0.0, 1.0], dtype=torch.float32).view(2, 1, 1))
        box = ends.amin(0, keepdim=True), ends.amax(0, keepdim=True)
        return cls(composite, epsilon, gamma, image, box)

    def takes(self, function: Any, args: Any) -> bool:
        """Whether it is a weighed layer, zeros around what one takes, or the batch norm straight behind one."""
        if function is F.batch_norm:
            latest = self._latest
            return latest is not None and args[0] is latest[0] and args[0]._version == latest[1]
        return function is F.pad or str(getattr(function, "__name__", "")) in DENSE + CONVOLUTIONS

    def run(self, ones: torch.Tensor | None, function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if function is F.batch_norm:
            return self._normed(ones, *args, **kwargs)
        if function is F.pad:
            return self._pad(ones, *args, **kwargs)
        return self._weighed(ones, function, *args, **kwargs)

    def _weighed(
        self,
        ones: torch.Tensor | None,
        function: Callable[..., torch.Tensor],
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        name = str(getattr(function, "__name__", ""))
        with torch.no_grad():
            value = function(input, weight, bias, *args, **kwargs)
        axis = value.ndim - 1 if name in DENSE else 1
        offset = value.new_zeros(value.shape[axis]) if bias is None else bias.detach()

        frame: Sequence[int] = ()
        if self._framed is not None and input is self._framed[0] and input._version == self._framed[1]:
            _, _, input, frame = self._framed  # zeros around it are a part of the layer

        def linear(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            return function(F.pad(x, frame) if frame else x, weights, None, *args, **kwargs)

        self.kinds.append(name in DENSE)
        at = Weighed(
            _wide(input), _wide(value), linear, _wide(weight), _along(_wide(offset).to(value.device), value, axis)
        )
        out = self._handing(ones, input, value, at, len(self.kinds) - 1)
        groups = args[4] if len(args) > 4 else kwargs.get("groups", 1)
        if not (name.startswith("conv_t") and groups != 1):
            self._latest = out, out._version, at, 1 if name.startswith("conv_t") else 0
            self._source = input
        return out

    def _pad(
        self,
        ones: torch.Tensor | None,
        input: torch.Tensor,
        pad: Sequence[int],
        mode: str = "constant",
        value: Any = None,
    ) -> torch.Tensor:
        out = F.pad(input, list(pad), mode, value)
        if mode == "constant" and not value:
            self._framed = out, out._version, input, list(pad)
        elif mode == "constant" and ones is not None:
            frame = out.detach() - F.pad(input.detach(), list(pad))
            out = out + frame * (ones.repeat_interleave(len(out) // len(ones)).view(-1, *[1] * (out.ndim - 1)) - 1)
        return out

    def _normed(
        self,
        ones: torch.Tensor | None,
        input: torch.Tensor,
        running_mean: torch.Tensor,
        running_var: torch.Tensor,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        """The layer before with the norm folded in, in the layer's place."""
        assert self._latest is not None and self._source is not None
        _, _, at, axis = self._latest
        scale = (_wide(running_var) + eps).rsqrt() * (1.0 if weight is None else _wide(weight))
        offset = (0.0 if bias is None else _wide(bias)) - _wide(running_mean) * scale
        by_output = _along(scale, at.z, 1)
        value = at.z * by_output + _along(offset, at.z, 1)
        folded = Weighed(
            at.x,
            value,
            at.linear,
            at.weight * _along(scale, at.weight, axis),
            at.bias * by_output + _along(offset, at.z, 1),
        )
        self._latest = None
        return self._handing(ones, self._source, value.to(input.dtype), folded, len(self.kinds) - 1)

    def _handing(
        self, ones: torch.Tensor | None, x: torch.Tensor, value: torch.Tensor, at: Weighed, layer: int
    ) -> torch.Tensor:
        version = x._version

        def back(gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
            if x._version != version:
                raise ExplainError(
                    f"what layer {layer} was given is written over later; use LRP() without a composite."
                )
            rule = rule_of(self.composite, layer, len(self.kinds), self.kinds[layer])
            if rule in ("flat", "box"):
                self._check(rule, layer, x.detach())
            found = hand_back(rule, at, at.z * gradient.to(at.z), self.epsilon, self.gamma, self.box)
            given = None if found.constant is None else found.constant.sum(1).to(self.arrived)
            self.arrives = self.arrives or given is not None
            share = None
            if ones is not None and len(found.bias) % len(ones) == 0:
                rows = found.bias.sum(tuple(range(1, found.bias.ndim))) if found.bias.ndim > 1 else found.bias
                share = rows.reshape(len(ones), -1).sum(1).to(ones)
            return found.slope.to(x.dtype), share, given

        return cast(torch.Tensor, Handing.apply(x, ones, self.arrived, value, back))

    def _check(self, rule: str, layer: int, x: torch.Tensor) -> None:
        """Refuse "flat" and "box" for a layer whose input is not the image itself."""
        image = self.image.to(x)
        same = x.shape == image.shape and bool(torch.equal(x, image))
        if not same and (rule == "box" or not _place_by_place(image, x)):
            raise ExplainError(
                f"rule {rule!r} is for the layer that the image goes into; layer {layer} takes something else than the "
                f"image as it is given. Leave {rule!r} out of composite=."
            )


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.detach().to(torch.promote_types(x.dtype, torch.float32))


def _along(values: torch.Tensor, other: torch.Tensor, axis: int) -> torch.Tensor:
    """A vector such that it can be broadcast to another tensor's axis."""
    shape = [1] * other.ndim
    shape[axis] = -1
    return values.view(shape)


def _place_by_place(image: torch.Tensor, x: torch.Tensor) -> bool:
    """Whether x (N, C', H, W) is an affine function of the image's channels (N, C, H, W) at the same place."""
    if x.ndim != 4 or (len(x), *x.shape[2:]) != (len(image), *image.shape[2:]):
        return False
    rows, values = (t.movedim(1, -1).flatten(0, 2).double().cpu() for t in (image, x))
    design = torch.cat([rows, torch.ones(len(rows), 1, dtype=rows.dtype)], 1)
    fitted = design @ (torch.linalg.pinv(design) @ values)
    return bool((fitted - values).abs().max() <= 1e-4 * values.abs().max())
