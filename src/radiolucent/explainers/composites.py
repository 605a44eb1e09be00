"""Which LRP rule which layer follows: composites by name, or by ranges of layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from radiolucent.errors import ConfigError

__all__ = ["COMPOSITES", "RULES", "Composite", "Range", "checked", "rule_of"]

Range = tuple[str, int, int | None]
"""A rule, and the layers that follow it: from the first number on, up to but without the second; both as in a slice."""

RULES = ("epsilon", "gamma", "z+", "alpha1-beta0", "alpha2-beta1", "flat", "box")


@dataclass(frozen=True)
class Composite:
    """Rules by kind of layer: for convolutions, for dense layers, and for the first layer of all."""

    convolutions: str
    dense: str = "epsilon"
    first: str | None = None


COMPOSITES: Mapping[str, Composite] = {
    "epsilon": Composite("epsilon"),
    "epsilon-plus": Composite("z+"),
    "epsilon-plus-flat": Composite("z+", first="flat"),
    "epsilon-gamma-box": Composite("gamma", first="box"),
    "epsilon-alpha2-beta1": Composite("alpha2-beta1"),
    "epsilon-alpha2-beta1-flat": Composite("alpha2-beta1", first="flat"),
}


def checked(composite: str | Sequence[Any]) -> str | tuple[Range, ...]:
    """The composite, as something that cannot change.

    Raises:
        ConfigError: no such composite, or a range that is none.
    """
    if isinstance(composite, str):
        if composite not in COMPOSITES:
            raise ConfigError(
                f"composite {composite!r}; expected {', '.join(COMPOSITES)}, or ranges of layers, e.g. "
                '[("flat", 0, 1), ("gamma", 1, None)].'
            )
        return composite
    for part in composite:
        given: Sequence[Any] = part if isinstance(part, tuple | list) else ()
        if len(given) != 3 or not isinstance(given[1], int) or not isinstance(given[2], int | None):
            raise ConfigError(f'composite part {part!r}; expected (rule, from, to), e.g. ("gamma", 1, None).')
        if part[0] not in RULES:
            raise ConfigError(f"rule {part[0]!r} in a composite; expected any of {', '.join(RULES)}.")
    return tuple((part[0], part[1], part[2]) for part in composite)


def rule_of(composite: str | Sequence[Range], layer: int, count: int, dense: bool) -> str:
    """The rule of a layer, of `count` in order of execution. Of ranges that overlap the first counts."""
    if isinstance(composite, str):
        by_kind = COMPOSITES[composite]
        if layer == 0 and by_kind.first is not None:
            return by_kind.first
        return by_kind.dense if dense else by_kind.convolutions
    return next((rule for rule, *ends in composite if layer in range(*slice(*ends).indices(count))), "epsilon")
