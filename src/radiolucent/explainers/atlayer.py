"""What all methods share that look at one layer."""

from collections.abc import Sequence
from dataclasses import dataclass

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Explainer
from radiolucent.passes.target_layer import Place, Reshape, Reshaped

__all__ = ["AtLayer"]


@dataclass(frozen=True)
class AtLayer(Explainer):
    """A method that looks at one layer's feature maps, or some at several layers'.

    Attributes:
        layer: dotted name of the target layer, with or without a wrapper's prefix; None: the last one that has places
            and that the logits are made of (see `radiolucent.passes.target_layer`). Methods that weigh feature maps
            take several names as well: each layer's map is divided by its largest magnitude, then they are averaged.
        reshape: makes feature maps (N, K, h, w) of the layer's output, where its layout is not found by itself.
    """

    layer: str | Sequence[str] | None = None
    reshape: Reshape | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        """What to ask a pass to be cut at, one for each layer.

        Raises:
            ConfigError: no layer in a list of layers.
        """
        names = (self.layer,) if self.layer is None or isinstance(self.layer, str) else tuple(self.layer)
        if not names:
            raise ConfigError("layer is an empty list; expected a layer's name, several, or None.")
        return names if self.reshape is None else tuple(Reshaped(name, self.reshape) for name in names)

    @property
    def place(self) -> Place:
        """The one layer.

        Raises:
            ConfigError: there are several.
        """
        first, *more = self.places
        if more:
            raise ConfigError(f"{self.name} looks at one layer; got {', '.join(map(str, self.layer or ()))}.")
        return first

    @property
    def cuts(self) -> tuple[Place, ...]:
        return self.places
