"""What all methods share that look at one layer."""

from dataclasses import dataclass

from radiolucent.explainers.base import Explainer

__all__ = ["AtLayer"]


@dataclass(frozen=True)
class AtLayer(Explainer):
    """A method that looks at one layer's feature maps.

    Attributes:
        layer: dotted name of the target layer; None: the last one with feature maps (in a vision transformer with a
            class token the last block's `norm1`).
    """

    layer: str | None = None

    @property
    def cuts(self) -> tuple[str | None, ...]:
        return (self.layer,)
