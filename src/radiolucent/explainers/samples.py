"""One number of samples for whatever methods draw them."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Explainer
from radiolucent.explainers.sobol import Sobol

__all__ = ["with_samples"]

FIELDS = ("num_samples", "num_masks", "samples", "steps")
"""What methods call the images that they ask the network about for one map."""


def with_samples(methods: Sequence[Explainer], count: int) -> tuple[list[Explainer], list[str]]:
    """Methods that ask the network about `count` images a map, and the names of those that draw none.

    Sobol gets the largest design that keeps within `count`: N · (d + 2) images for d cells, N a power of two.

    Raises:
        ConfigError: no method draws samples, or one cannot do with so few; the message names them.
    """
    made = [_with(method, count) for method in methods]
    without = [method.name for method, one in zip(methods, made, strict=True) if one is None]
    if len(without) == len(methods):
        raise ConfigError(
            f"{count} samples for {', '.join(without)}, which draws none; leave the number out, or choose a method "
            "that samples: lime, kernelshap, rise, sobol, smoothgrad, gradientshap or integratedgradients."
        )
    return [one or method for method, one in zip(methods, made, strict=True)], without


def _with(method: Explainer, count: int) -> Explainer | None:
    """The method with so many samples; None where it draws none."""
    if isinstance(method, Sobol):
        each = method.cells**2 + 2
        if count < 4 * each:
            raise ConfigError(
                f"{count} samples for sobol; with {method.cells} × {method.cells} cells at least {4 * each}."
            )
        return dataclasses.replace(method, designs=1 << ((count // each).bit_length() - 1))
    given: Any = method
    own = next((f.name for f in dataclasses.fields(given) if f.name in FIELDS), None)
    return None if own is None else cast(Explainer, dataclasses.replace(given, **{own: count}))
