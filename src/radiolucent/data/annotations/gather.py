"""Entries of any file gathered into one `Annotation` for each image, reader and label, with all that is wrong in it."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from radiolucent.data.records import LeftOut
from radiolucent.errors import AnnotationError
from radiolucent.types import Annotation, Region

__all__ = ["Format", "Gatherer", "Options", "Rows", "Shape", "Unmarked", "says_nothing_found"]

Shape = tuple[int, int]
Unmarked = Literal["not read", "no finding"]
_NOTHING = frozenset(
    ("no finding", "no findings", "nofinding", "normal", "negative", "clear", "no abnormality", "no abnormalities")
)
_SHOWN = 20  # problems listed in an error


def says_nothing_found(label: str | None) -> bool:
    """Whether a label that stands without a place means that the film was read and nothing found.

    >>> says_nothing_found("No_finding"), says_nothing_found("PNEUMONIA"), says_nothing_found(None)
    (True, False, False)
    """
    return bool(label) and " ".join(str(label).lower().replace("_", " ").replace("-", " ").split()) in _NOTHING


@dataclass(frozen=True)
class Options:
    """What a file may leave open.

    Attributes:
        reader: name where the format has none.
        unmarked: what a listed image without any mark means, where the format cannot tell.
        size_of: (H, W) of an image by its name in the file, None where unknown; for coordinates in percent.
    """

    reader: str = "reader"
    unmarked: Unmarked = "not read"
    size_of: Callable[[str], Shape | None] = lambda name: None


@dataclass(frozen=True)
class Rows:
    """A CSV file: column names in lower case without blanks around them, (line number, cells), and lines that do not
    have as many cells as the heading."""

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    ragged: tuple[tuple[int, tuple[str, ...]], ...] = ()

    def has(self, *columns: str) -> bool:
        """Whether all these columns are there."""
        return set(columns) <= set(self.header)


@dataclass(frozen=True)
class Format:
    """One way to write readings down.

    Attributes:
        name: for `--format`. kind: what the file is: "json", "csv", "xml", "dicom", "pickle", "folder".
        matches: whether the parsed content is in this format.
        read: put the content's readings into the gatherer.
    """

    name: str
    kind: Literal["json", "csv", "xml", "dicom", "pickle", "folder"]
    matches: Callable[[Any], bool]
    read: Callable[[Any, "Gatherer"], None]


@dataclass
class _Draft:
    regions: list[Region] = field(default_factory=list[Region])
    words: list[str] = field(default_factory=list[str])
    finding: bool = False
    nothing: bool = False
    shape: Shape | None = None


class Gatherer:
    """Takes entries in any order; `finish` makes the annotations.

    A reading with a bad entry is left out whole: half of a marking would pass for all of it.
    """

    def __init__(self, file: Path, options: Options) -> None:
        self.file, self.options = file, options
        self._drafts: dict[tuple[str, str, str | None], _Draft] = {}
        self._problems: list[tuple[str, str]] = []
        self._bad: set[tuple[str, str | None]] = set()

    @contextmanager
    def entry(self, where: str, image: str | None = None, reader: str | None = None) -> Generator[None]:
        """Whatever goes wrong inside becomes a problem of this entry; its reading (image and reader) is left out.

        With an image alone, all its readings in this file are.
        """
        try:
            yield
        except AnnotationError as error:
            self.problem(where, str(error), image, reader)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            self.problem(where, f"malformed ({type(error).__name__}: {error})", image, reader)

    def problem(self, where: str, reason: str, image: str | None = None, reader: str | None = None) -> None:
        """Note what is wrong, and where."""
        self._problems.append((where, reason))
        if image is not None:
            self._bad.add((image, reader))

    def marked(
        self,
        image: str,
        regions: Sequence[Region],
        *,
        reader: str | None = None,
        label: str | None = None,
        statement: str = "",
        shape: Shape | None = None,
    ) -> None:
        """Something found, with its places (or none, where the place was not marked)."""
        for region in regions:
            _check(region, shape)
        draft = self._draft(image, reader, label, statement, shape)
        draft.finding = True
        draft.regions += regions

    def nothing(
        self,
        image: str,
        *,
        reader: str | None = None,
        label: str | None = None,
        statement: str = "",
        shape: Shape | None = None,
    ) -> None:
        """Read, nothing found."""
        self._draft(image, reader, label, statement, shape).nothing = True

    def unmarked(self, image: str, *, reader: str | None = None, shape: Shape | None = None) -> None:
        """Listed without any mark: no finding only where the caller says that this is what it means."""
        if self.options.unmarked == "no finding":
            self.nothing(image, reader=reader, shape=shape)

    def _draft(self, image: str, reader: str | None, label: str | None, words: str, shape: Shape | None) -> _Draft:
        draft = self._drafts.setdefault((image, reader or self.options.reader, label or None), _Draft())
        if shape is not None and draft.shape not in (None, shape):
            raise AnnotationError(f"image of {shape} (H, W) here, of {draft.shape} elsewhere in the file")
        draft.shape = draft.shape or shape
        if words and words not in draft.words:
            draft.words.append(words)
        return draft

    def finish(self, left_out: list[LeftOut] | None) -> list[Annotation]:
        """The annotations; problems go to `left_out` or, where that is None, are raised together."""
        found = {(image, reader) for (image, reader, _), d in self._drafts.items() if d.finding}
        for image, reader in dict.fromkeys((i, r) for (i, r, _), d in self._drafts.items() if d.nothing):
            if (image, reader) in found:
                self.problem(f"{image}, {reader}", "says both that nothing was found and what was", image, reader)
        if self._problems and left_out is None:
            listed = "\n  ".join(f"{where}: {reason}" for where, reason in self._problems[:_SHOWN])
            more = f"\n  and {len(self._problems) - _SHOWN} more" if len(self._problems) > _SHOWN else ""
            one = len(self._problems) == 1
            raise AnnotationError(f"{self.file}, {listed}" if one else f"{self.file}:\n  {listed}{more}")
        if left_out is not None:
            left_out += [LeftOut(self.file, f"{where}: {reason}") for where, reason in self._problems]
        return [
            Annotation(i, tuple(d.regions), label, r, "; ".join(d.words), d.finding, d.shape)
            for (i, r, label), d in self._drafts.items()
            if (i, r) not in self._bad and (i, None) not in self._bad
        ]


def _check(region: Region, shape: Shape | None) -> None:
    """Refuse a region that has no pixel on an image of known size."""
    if region.pixels is not None:
        if shape is not None and region.pixels.shape != shape:
            raise AnnotationError(f"mask of shape {region.pixels.shape}, image of shape {shape} (H, W)")
        if not region.pixels.any():
            raise AnnotationError("an empty mask; leave it out, or say that nothing was found")
    if region.points is not None and shape is not None:
        low, high = region.points.min(0), region.points.max(0)
        if np.any(high <= 0) or low[0] >= shape[1] or low[1] >= shape[0]:
            raise AnnotationError(
                f"a {region.kind} at x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g} lies outside the image "
                f"of {shape[1]} × {shape[0]} (width × height)"
            )
