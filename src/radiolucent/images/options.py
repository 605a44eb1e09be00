"""What a user decides about reading, where a file leaves a choice."""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from radiolucent.errors import ConfigError
from radiolucent.images.budget import MAX_PIXELS

__all__ = ["ReadOptions", "read_with", "reading"]


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    Attributes:
        frame: frame or page to read, from 1; None: the only one.
        window: of DICOM: "" the first that the file declares, "2" its second window, "2048/4096" centre and width,
            "lut" or "lut:2" a VOI LUT, "full" none.
        range: stored values that become black and white, instead of what the file declares, e.g. (0, 4095) for 12-bit
            data in a 16-bit file. Of DICOM: values after the modality transformation.
        max_pixels: the most pixels that are read.
    """

    frame: int | None = None
    window: str = ""
    range: tuple[float, float] | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.frame is not None and self.frame < 1:
            raise ConfigError(f"frame {self.frame}; expected 1 or more: frames are counted from 1.")
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels {self.max_pixels}; expected a positive number.")
        if self.range is not None and not -math.inf < self.range[0] < self.range[1] < math.inf:
            raise ConfigError(f"range {self.range}; expected two finite values, the lower first.")
        if self.window and self.range is not None:
            raise ConfigError("a window and a range; expected one of them.")
        kind, what = self.wanted()
        if kind in ("window", "lut") and int(what[0]) < 1:
            raise ConfigError(f"window {self.window!r}; expected 1 or more: windows are counted from 1.")
        if kind == "values" and not (math.isfinite(what[0]) and 0 < what[1] < math.inf):
            raise ConfigError(f"window {self.window!r}; expected a finite centre and a positive, finite width.")

    def wanted(self) -> tuple[str, tuple[float, ...]]:
        """What `window` asks for: ("", ()), ("full", ()), ("window", (n,)), ("lut", (n,)), ("values", (c, w)).

        >>> ReadOptions(window="2048/4096").wanted()
        ('values', (2048.0, 4096.0))
        """
        text = self.window.strip().lower()
        try:
            if text in ("", "full"):
                return text, ()
            if text.startswith("lut"):
                return "lut", (int(text[3:].lstrip(":") or 1),)
            if "/" in text:
                centre, width = text.split("/")
                return "values", (float(centre), float(width))
            return "window", (int(text),)
        except ValueError:
            raise ConfigError(
                f"window {self.window!r}; expected a number, CENTRE/WIDTH, lut, lut:NUMBER or full."
            ) from None

    def as_dict(self) -> dict[str, Any]:
        """What of it is not the default, JSON-ready; `ReadOptions.from_dict` is the inverse.

        >>> ReadOptions(frame=2, range=(0, 4095)).as_dict()
        {'frame': 2, 'range': [0, 4095]}
        """
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in given.items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "ReadOptions":
        """The inverse of `as_dict`."""
        given = dict(values)
        if given.get("range") is not None:
            given["range"] = tuple(given["range"])
        return ReadOptions(**given)

    def pixels_key(self) -> str:
        """What of it changes pixels, in words; "" where nothing does.

        >>> ReadOptions(range=(0, 4095)).pixels_key()
        'range 0,4095'
        """
        span = f"{self.range[0]:g},{self.range[1]:g}" if self.range else ""
        parts = (("frame", self.frame), ("window", self.window), ("range", span))
        return ", ".join(f"{name} {value}" for name, value in parts if value)


_current = ReadOptions()


def reading() -> ReadOptions:
    """The options in force, for every thread of this process."""
    return _current


@contextmanager
def read_with(options: ReadOptions) -> Generator[None]:
    """Options for every file that is read within the block, in any thread.

    >>> with read_with(ReadOptions(frame=2)):
    ...     reading().frame
    2
    """
    global _current
    before, _current = _current, options
    try:
        yield
    finally:
        _current = before
