"""What a format of readings has to be: one value in one file, which everything else is made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Kind, Source
from radiolucent.data.records import Dataset
from radiolucent.types import Annotation

__all__ = ["Format", "Writer"]

Writer = Callable[[Sequence[Annotation], Path, "Dataset | None"], None]
"""Write readings to a path; the data set has the films, where the format needs them."""


@dataclass(frozen=True)
class Format:
    """One way to write readings down.

    Attributes:
        name: for `--format`. title: as the docs call it.
        kind: what the bytes of such a file are.
        holds: what is read, for the table in the docs. traps: what it takes care of.
        sniff: whether a file, judged by its path and its bytes, is in this format.
        read: put the file's readings into the gatherer.
        empty_means: what an image means that the file lists, or is about, and says nothing of: "no finding" where an
            empty entry is what a reader leaves behind, "not read" where it may as well not have been opened.
        units: "pixels", or "own" where the format says in what its coordinates are (percent, shares of the image).
        per_image: a file tells of one image, so that two files of one reader do not tell of the same.
        write: the other way; None where the format is only read. to: suffix of what it writes, "" for a folder.
    """

    name: str
    title: str
    kind: Kind
    holds: str
    traps: str
    sniff: Callable[[Source], bool]
    read: Callable[[Source, Gatherer], None]
    empty_means: Literal["no finding", "not read"] = "not read"
    units: Literal["pixels", "own"] = "pixels"
    per_image: bool = False
    write: Writer | None = None
    to: str = ".json"
