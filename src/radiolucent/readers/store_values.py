"""The values of a reading study, and why the store refuses one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from radiolucent.errors import RadiolucentError

__all__ = [
    "UNASSESSED",
    "Case",
    "Final",
    "Mark",
    "Reading",
    "Role",
    "Row",
    "SealError",
    "StaleError",
    "StateError",
    "StoreError",
    "now",
]

Agree = Literal["agree", "partly", "disagree"]
State = Literal["new", "draft", "locked", "finished"]
Role = Literal["reader", "adjudicator"]
UNASSESSED = "cannot be assessed"  # an answer in place of a diagnosis; migration 003 knows it too


class StoreError(RadiolucentError):
    """A study's database cannot be used, or does not hold what is asked for."""


class StaleError(StoreError):
    """Somebody else (another tab of the same reader) saved since this version was read."""


class StateError(StoreError):
    """The reading is in another phase: locked, not locked yet, incomplete or finished."""


class SealError(StoreError):
    """A locked reading is not what was locked."""


def now() -> str:
    """The time in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Case:
    """One film under an identifier that says nothing of it.

    Attributes:
        id: opaque. image_id, path, patient_id, label: as in the data set. shape: (H, W) in source pixels.
        sha256: of the file as it was when the study was made.
    """

    id: str
    image_id: str
    path: str
    patient_id: str | None
    label: str | None
    shape: tuple[int, int]
    sha256: str


@dataclass(frozen=True)
class Mark:
    """A marked place in source pixels: a box by two corners (top left, bottom right), or a polygon.

    `type`: of the finding, from the study's vocabulary. `confidence`: 1 (a guess) to 5 (certain). None: not said.
    """

    kind: Literal["box", "polygon"]
    points: tuple[tuple[float, float], ...]
    type: str | None = None
    confidence: int | None = None


@dataclass(frozen=True)
class Reading:
    """One reader's blinded reading of one case.

    Attributes:
        revision: grows with every save; 0 before the first.
        finding: True, False ("no finding"), or None while not said.
        label: the reader's class. confidence: 1 (a guess) to 5 (certain). statement: their words.
        seconds: of attention so far. locked: when, or None.
        removed: marks that the last save which took any away took away, so that they can be brought back.
    """

    revision: int = 0
    finding: bool | None = None
    label: str | None = None
    confidence: int | None = None
    statement: str = ""
    marks: tuple[Mark, ...] = ()
    seconds: float = 0.0
    locked: str | None = None
    saved: str | None = None
    removed: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Final:
    """What the reader says after the model was revealed; `finished` is when they closed the case, or None."""

    revision: int = 0
    label: str | None = None
    confidence: int | None = None
    agree: Agree | None = None
    why: str = ""
    seconds: float = 0.0
    finished: str | None = None
    saved: str | None = None


@dataclass(frozen=True)
class Row:
    """A line of a reader's worklist."""

    case: str
    state: State
    label: str | None
    flagged: bool = False
