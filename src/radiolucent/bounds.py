"""Which numbers a configuration takes, and what kind of value a call: one check, and one message, for all of them."""

import dataclasses
import math
import numbers
import os
from collections.abc import Mapping
from typing import Any, get_args

from radiolucent.errors import ConfigError

__all__ = ["PATH", "Bounds", "check_kinds", "check_numbers", "expect"]

PATH = (str, os.PathLike)


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The numbers from `low` to `high`.

    Attributes:
        low, high: the ends; infinity itself is never a number that is taken. low_in, high_in: whether they belong.
        whole: whole numbers alone. optional: None, too.
    """

    low: float = -math.inf
    high: float = math.inf
    low_in: bool = True
    high_in: bool = True
    whole: bool = False
    optional: bool = False

    def take(self, value: Any) -> bool:
        """Whether a value is such a number; True and False are none.

        >>> Bounds(1, 10, whole=True).take(3), Bounds(1, 10, whole=True).take(True), Bounds().take(float("nan"))
        (True, False, False)
        """
        if value is None:
            return self.optional
        kind = numbers.Integral if self.whole else numbers.Real
        return not isinstance(value, bool) and isinstance(value, kind) and self._holds(value)

    def _holds(self, value: Any) -> bool:
        inside = -math.inf < value < math.inf and self.low <= value <= self.high
        return inside and (self.low_in or value != self.low) and (self.high_in or value != self.high)

    def __str__(self) -> str:
        low = f"{'[' if self.low_in and self.low > -math.inf else '('}{_end(self.low)}"
        high = f"{_end(self.high)}{']' if self.high_in and self.high < math.inf else ')'}"
        return f"{'a whole number' if self.whole else 'a number'} in {low}, {high}{' or None' if self.optional else ''}"


def _end(value: float) -> str:
    return f"{'-' if value < 0 else ''}∞" if math.isinf(value) else str(value)


def expect(given: Any, kind: type | tuple[type, ...], what: str, expected: str) -> None:
    """Refuse a value of another kind, such as a path where a classifier belongs.

    Args:
        what: it stands for. expected: the call that makes one, or what else it may be.

    Raises:
        ConfigError: with both.

    >>> expect(3, PATH, "film", "a path")
    Traceback (most recent call last):
    radiolucent.errors.ConfigError: an int as film; expected a path.
    """
    if not isinstance(given, kind):
        name = type(given).__name__
        raise ConfigError(f"a{'n' if name[0] in 'aeioAEIO' else ''} {name} as {what}; expected {expected}.")


def check_numbers(config: object, bounds: Mapping[str, Bounds]) -> None:
    """Look at the fields of a configuration, by name.

    Raises:
        ConfigError: one of them is no number within its bounds; the message names the field and the bounds.
    """
    for name, within in bounds.items():
        value: Any = getattr(config, name)
        if not within.take(value):
            raise ConfigError(f"{name} {value!r}; expected {within}.")


def check_kinds(config: Any) -> None:
    """Look at the fields of a dataclass that are annotated as numbers: finite, and whole where an int is asked for.

    Raises:
        ConfigError: one of them is not; the message names the field.
    """
    for field in dataclasses.fields(config):
        kinds, value = {field.type, *get_args(field.type)}, getattr(config, field.name)
        if bool in kinds or not kinds & {int, float} or not isinstance(value, bool | numbers.Number):
            continue
        within = Bounds(whole=float not in kinds)
        if not within.take(value):
            raise ConfigError(f"{type(config).__name__}: {field.name} {value!r}; expected {within}.")
