"""Entries of any file gathered into one `Annotation` for each image, reader and label, with all that is wrong in it.

Here alone it is decided what counts as found and what as "nothing found"; the formats only hand over what they hold.
"""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from radiolucent.data.annotations.check import MOST_PIXELS, check, scaled
from radiolucent.data.annotations.names import clean_name
from radiolucent.data.annotations.words import (
    bears_no_mark,
    denies,
    fold,
    negated,
    says_nothing_found,
    sorted_out,
    unusual,
)
from radiolucent.data.records import NOTED, LeftOut
from radiolucent.errors import AnnotationError, MissingExtraError
from radiolucent.types import Annotation, Region

__all__ = ["Gatherer", "Labels", "Mark", "NoArea", "Options", "Shape", "Unmarked"]

Shape = tuple[int, int]
Unmarked = Literal["not read", "no finding"]
Labels = str | Sequence[str | None] | None
_MOST = 100 * MOST_PIXELS  # of all masks of one file together, a byte each
_EMPTY = ("nan", "null", "<na>", "nat", "undefined")  # what programs write for an empty cell
_WORDS = "words without a mark or a label are taken for: nothing found, such as"
_SHOWN = 20  # problems listed in an error


class Mark(NamedTuple):
    """One marked place with its labels and the words about it."""

    region: Region
    labels: Labels = None
    words: str = ""


_NO_AREA = frozenset(
    ("keypoint", "keypoints", "point", "points", "multipoint", "line", "lines", "linestrip", "polyline", "vector",
     "angle", "length", "location", "skeleton", "pose", "cuboid", "cuboid_3d", "extreme_points")
)  # fmt: skip


class NoArea(AnnotationError):
    """A keypoint, a line or the like, which marks no area. An unknown kind of shape is another error: it may mark one.

    Attributes:
        kind: what the format calls it. passable: whether it may be passed over.
    """

    def __init__(self, what: str, kind: str, expected: str) -> None:
        self.kind, self.passable = kind, kind.lower() in _NO_AREA
        super().__init__(
            f"{what} marks no area; expected {expected} (skip_shapes=True, --skip-shapes, passes over such shapes)"
            if self.passable
            else f"{what} is of a kind that is not read; expected {expected}"
        )


@dataclass(frozen=True)
class Options:
    """What a file may leave open, and what its reader asks for.

    Attributes:
        reader: name where the format has none.
        unmarked: what a listed image without any mark means; None: what the format says it means.
        size_of: (H, W) of an image by its name in the file, None where unknown.
        skip_shapes: pass over shapes that mark no area, and count them.
        labels: labels of the whole image that are readings, folded; others (such as "rotated") are passed over. None:
            all are.
        relative: pixel coordinates are shares of the image's size, from 0 to 1.
        remote: names that came from addresses on a server, whose folders are the server's own.
        place: a name with as many folders of the file of readings before it as tell its film from others.
    """

    reader: str = "reader"
    unmarked: Unmarked | None = None
    size_of: Callable[[str], Shape | None] = lambda name: None
    skip_shapes: bool = False
    labels: frozenset[str] | None = None
    relative: bool = False
    remote: set[str] = field(default_factory=set[str])
    place: Callable[[str], str] = lambda name: name


@dataclass
class _Draft:
    regions: list[Region] = field(default_factory=list[Region])
    words: list[str] = field(default_factory=list[str])
    diagnoses: dict[str, None] = field(default_factory=dict[str, None])
    finding: bool = False
    nothing: bool = False
    shape: Shape | None = None


class Gatherer:
    """Takes entries in any order; `finish` makes the annotations.

    A reading with a bad entry is left out whole: half of a marking would pass for all of it.

    Attributes:
        file: what is read. options: see there. empty: what an image without any mark means.
    """

    def __init__(
        self, file: Path, options: Options, empty: Unmarked = "not read", units: Literal["pixels", "own"] = "pixels"
    ) -> None:
        self.file, self.options, self.empty = file, options, options.unmarked or empty
        self._pixels = units == "pixels"
        self._held = 0
        self._drafts: dict[tuple[str, str, str | None], _Draft] = {}
        self._problems: list[tuple[str, str]] = []
        self._bad: set[tuple[str, str | None]] = set()
        self._told: dict[tuple[str, str | None], str] = {}
        self._raw: dict[str, set[str]] = {}
        self._notes: dict[str, None] = {}
        self._passed: Counter[str] = Counter()

    @contextmanager
    def entry(self, where: str, image: str | None = None, reader: str | None = None) -> Generator[None]:
        """Whatever goes wrong inside becomes a problem of this entry; its reading (image and reader) is left out.

        With an image alone, all its readings in this file are.
        """
        try:
            yield
        except NoArea as error:
            if self.options.skip_shapes and error.passable:
                self._passed[f"shape that marks no area ({error.kind})"] += 1
            else:
                self.problem(where, str(error), image, reader)
        except AnnotationError as error:
            self.problem(where, str(error), image, reader)
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a damaged file makes a library or an index raise
            self.problem(where, f"malformed ({type(error).__name__}: {str(error)[:200]})", image, reader)

    def problem(self, where: str, reason: str, image: str | None = None, reader: str | None = None) -> None:
        """Note what is wrong, and where."""
        self._problems.append((where, reason))
        if image is not None:
            self._bad.add((self._key(image), None if reader is None else reader.strip()))

    def note(self, what: str) -> None:
        """Say what was assumed, or passed over without loss."""
        self._notes[what] = None

    def pass_over(self, what: str, count: int = 1) -> None:
        """Count things that are no readings."""
        self._passed[what] += count

    def from_server(self, image: str) -> None:
        """Note that a name is part of an address: its folders choose between films, but exclude none."""
        self.options.remote.add(clean_name(image))

    def alias(self, image: str, raw: str) -> None:
        """Note what the file called an image before its name was cleaned: two must not become one."""
        self._raw.setdefault(self._key(image), set()).add(raw)

    def once(self, image: str, where: str, reader: str | None = None) -> None:
        """Note the entry that holds all that is said of an image or, with a reader, in a reading; a second raises."""
        first = self._told.setdefault((self._key(image), reader), where)
        if first != where:
            what = f"has a reading by {reader}" if reader else "stands"
            raise AnnotationError(f"{image} {what} in {first} already; keep one, or give each a name of its own")

    def mark(
        self,
        image: str | None,
        regions: Sequence[Region],
        labels: Labels = None,
        *,
        diagnoses: Sequence[str] = (),
        reader: str | None = None,
        statement: str = "",
        shape: Shape | None = None,
    ) -> None:
        """Places that were marked, under each of their labels.

        Args:
            diagnoses: what the reader called the whole image in the same reading.
        """
        name = self._named(image)
        placed = [self._placed(region, name, shape) for region in regions]
        if not placed:
            raise AnnotationError("no place; expected a box, polygon, ellipse or mask")
        given = _listed(labels)
        if wrong := next((x for x in given if bears_no_mark(x)), None):
            raise AnnotationError(f"says {wrong!r} of a place that it marks; expected what was found, or no place")
        for label in given or [None]:
            draft = self._draft(name, reader, label, statement, shape)
            draft.finding = True
            draft.regions += placed
            draft.diagnoses |= dict.fromkeys(d for d in diagnoses if d != label)

    def whole(
        self,
        image: str | None,
        labels: Labels = None,
        *,
        reader: str | None = None,
        statement: str = "",
        shape: Shape | None = None,
        empty: Unmarked | None = None,
    ) -> None:
        """What was said of the whole image: nothing found, a finding without a place, or, without a label, nothing.

        Args:
            empty: what it means to say nothing; by default what the format or the caller says.
        """
        name = self._named(image)
        given, without = self._sorted(labels)
        denied = _denied(given)
        for label in without:
            self._draft(name, reader, label, statement, shape).nothing = True
        for label in given:
            draft = self._draft(name, reader, label, statement, shape)
            draft.nothing, draft.finding = draft.nothing or denied, draft.finding or not denied
        if without and not given:
            return
        if not given and (empty or self.empty) == "no finding":
            self._draft(name, reader, None, statement, shape).nothing = True
            if statement and not says_nothing_found(statement) and not any(n.startswith(_WORDS) for n in self._notes):
                self.note(f"{_WORDS} {statement[:60]!r}; --unmarked 'not read' leaves such readings out")
        elif not given and statement:
            self._passed["text without a label or a place"] += 1

    def state(
        self,
        image: str | None,
        label: str | None = None,
        *,
        finding: bool,
        reader: str | None = None,
        statement: str = "",
        shape: Shape | None = None,
    ) -> None:
        """Whether there was a finding, where the format says so in a field of its own; without a place."""
        if finding and denies(label):
            raise AnnotationError(f"says both that nothing was found ({label}) and that something was")
        draft = self._draft(self._named(image), reader, next(iter(_listed(label)), None), statement, shape)
        draft.nothing, draft.finding = draft.nothing or not finding, draft.finding or finding

    def reading(
        self,
        image: str | None,
        marks: Sequence[Mark],
        diagnoses: Labels = None,
        *,
        reader: str | None = None,
        statement: str = "",
        shape: Shape | None = None,
        empty: Unmarked | None = None,
    ) -> None:
        """Marks and diagnoses that a reader gave in one act; both are kept.

        Marks without a label bear the diagnoses. A film called normal may have marks: of an old scar, say.
        """
        if not marks:
            self.whole(image, diagnoses, reader=reader, statement=statement, shape=shape, empty=empty)
            return
        called, without = self._sorted(diagnoses)
        normal = _denied(called)
        if wrong := next((x for x in called if denies(x)), None):
            raise AnnotationError(f"says both that nothing was found ({wrong}) and what was (marks: {len(marks)})")
        for label in without:
            self._draft(self._named(image), reader, label, statement, shape).nothing = True
        used: set[str] = set()
        for region, labels, words in marks:
            own = _listed(labels) or ([] if normal else called)
            used |= set(own)
            said = words or statement
            self.mark(image, [region], own, diagnoses=called, reader=reader, statement=said, shape=shape)
        for label in called:
            if label not in used:
                draft = self._draft(self._named(image), reader, label, statement, shape)
                draft.nothing, draft.finding = normal, not normal

    def _sorted(self, labels: Labels) -> tuple[list[str], list[str]]:
        """Labels of a whole image: (those that say what it shows, or that nothing, what the others deny)."""
        listed = _listed(labels)
        for label in filter(unusual, listed):
            if says_nothing_found(label):
                self.note(f"{label!r} taken for: nothing found")
            elif (what := negated(label)) is not None:
                self.note(f"{label!r} taken for: no {what}")
        shown, denied = sorted_out(listed)
        return self._chosen(shown), self._chosen(denied)

    def _chosen(self, labels: list[str]) -> list[str]:
        wanted = self.options.labels
        if wanted is None:
            return labels
        for other in (x for x in labels if fold(x) not in wanted):
            self._passed[f"label of a whole image that was not asked for ({other})"] += 1
        return [x for x in labels if fold(x) in wanted]

    def _key(self, image: object) -> str:
        return self.options.place(clean_name(str(image)))

    def _named(self, image: str | None) -> str:
        name = "" if image is None else self._key(image)
        if name.lower() in ("", "null", "none", "nan", "undefined"):
            raise AnnotationError("names no image")
        return name

    def _placed(self, region: Region, image: str, shape: Shape | None) -> Region:
        if self._pixels:
            size = (shape or self.options.size_of(image)) if self.options.relative else None
            region = scaled(region, size, relative=self.options.relative)
        check(region, shape)
        self._held += 0 if region.pixels is None else region.pixels.size
        if self._held > _MOST:
            raise AnnotationError(f"the masks of this file have more than {_MOST:,} pixels together; split the file")
        return region

    def _draft(self, image: str, reader: str | None, label: str | None, words: str, shape: Shape | None) -> _Draft:
        who = (reader or "").strip() or self.options.reader
        draft = self._drafts.setdefault((image, who, label), _Draft())
        if shape is not None and draft.shape not in (None, shape):
            raise AnnotationError(f"image of {shape} (H, W) here, of {draft.shape} elsewhere in the file")
        draft.shape = draft.shape or shape
        if words and words not in draft.words:
            draft.words.append(words)
        return draft

    def _contradictions(self) -> None:
        """Name readings that say both that nothing was found and what was, and names that two images had."""
        found: dict[tuple[str, str], list[tuple[str | None, _Draft]]] = {}
        for (image, reader, label), draft in self._drafts.items():
            if draft.finding:
                found.setdefault((image, reader), []).append((label, draft))
        for (image, reader, label), draft in self._drafts.items():
            # "No effusion" denies an effusion alone; "no finding", and no word at all, deny everything.
            alone = label is not None and not says_nothing_found(label)
            others = [x for x, d in found.get((image, reader), ()) if x == label or not (alone or label in d.diagnoses)]
            if draft.nothing and others:
                what = ", ".join(sorted({x or "a mark without label" for x in others}))
                denied = f" ({label})" if label else ""
                reason = f"says both that nothing was found{denied} and what was ({what})"
                self.problem(f"{image}, {reader}", reason, image, reader)
        for image, names in self._raw.items():
            if len(names) > 1:
                self.problem(image, f"is the name of {len(names)} images: {', '.join(sorted(names)[:3])}", image)

    def finish(self, left_out: list[LeftOut] | None) -> list[Annotation]:
        """The annotations; problems go to `left_out` or, where that is None, are raised together."""
        self._contradictions()
        if self._problems and left_out is None:
            said = [f"{where}: {reason}" if where else reason for where, reason in self._problems]
            listed = "\n  ".join(said[:_SHOWN])
            more = f"\n  and {len(self._problems) - _SHOWN} more" if len(self._problems) > _SHOWN else ""
            one = len(self._problems) == 1
            comma = "," if self._problems[0][0] else ":"
            raise AnnotationError(f"{self.file}{comma} {listed}" if one else f"{self.file}:\n  {listed}{more}")
        if left_out is not None:
            left_out += [LeftOut(self.file, f"{where}: {why}" if where else why) for where, why in self._problems]
            left_out += [LeftOut(self.file, f"{NOTED}{what}") for what in self._notes]
            left_out += [LeftOut(self.file, f"{NOTED}passed over {n} × {what}") for what, n in self._passed.items()]
        return [
            Annotation(i, tuple(d.regions), label, r, "; ".join(d.words), d.finding, d.shape, tuple(d.diagnoses))
            for (i, r, label), d in self._drafts.items()
            if (i, r) not in self._bad and (i, None) not in self._bad
        ]


def _denied(labels: Sequence[str]) -> bool:
    """Whether labels of one image say that nothing was found; False for none.

    Raises:
        AnnotationError: some do and some do not.
    """
    denied = [x for x in labels if says_nothing_found(x)]
    if denied and len(denied) < len(labels):
        raise AnnotationError(f"says both that nothing was found and what was ({', '.join(labels)})")
    return bool(denied)


def _listed(labels: Labels) -> list[str]:
    """Labels without blanks around them, empty ones and doubles."""
    given = [labels] if labels is None or isinstance(labels, str) else list(labels)
    return list(
        dict.fromkeys(text for x in given if x is not None and (text := _text(x)) and text.lower() not in _EMPTY)
    )


def _text(label: object) -> str:
    if not isinstance(label, str | int | float):
        raise AnnotationError(f"a label of type {type(label).__name__}; expected a text")
    return str(label).strip()
