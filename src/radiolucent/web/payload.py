"""What the browser sends, checked by pydantic models. Nothing that is refused is repeated in the answer."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, ValidationInfo, model_validator

from radiolucent.readers.store_notes import Note
from radiolucent.readers.store_values import UNASSESSED, Final, Mark, Reading, Role
from radiolucent.web.refused import Refused

__all__ = [
    "MARKS",
    "POINTS",
    "TEXT",
    "encloses",
    "parse",
    "parse_final",
    "parse_link",
    "parse_note",
    "parse_reading",
    "parse_revision",
    "parse_token",
]

MARKS, POINTS, TEXT, DAY = 60, 400, 4000, 86_400.0
LEAST = 0.01  # source pixels squared: the page keeps hundredths of a pixel, and rounding leaves a line no exact zero

# What a field takes is said once, in its description: the answer repeats the description, never the value.
Revision = Annotated[int, Field(ge=0, le=10**9, description="a whole number from 0 to 1000000000")]
Seconds = Annotated[float, Field(ge=0, le=DAY, allow_inf_nan=False, description=f"a number from 0 to {DAY:g}")]
Confidence = Annotated[int | None, Field(ge=1, le=5, description="null or a whole number from 1 to 5")]
Label = Annotated[str | None, Field(max_length=200, description="null or one of the study's diagnoses")]
SaveName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9-]{8,60}$"), Field(description="8 to 60 letters, digits and hyphens")
]
# Text as typed: HTML stays text. Control characters are no text, and half surrogates are no JSON.
Text = Annotated[
    str,
    StringConstraints(max_length=TEXT, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$"),
    Field(description=f"text of at most {TEXT} characters without control characters"),
]
Coordinate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Sent(BaseModel):
    """A JSON object with exactly the fields of its class, each of exactly its type."""

    model_config = ConfigDict(strict=True, extra="forbid")


class _Token(_Sent):
    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{20,60}$"), Field(description="a token")]


class _Revision(_Sent):
    revision: Revision


class _Link(_Sent):
    name: Annotated[
        str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,80}$"), Field(description="a name of 1 to 80 characters")
    ]
    role: Annotated[Literal["reader", "adjudicator"], Field(description="reader or adjudicator")]


class _Note(_Sent):
    flagged: Annotated[bool, Field(description="true or false")]
    comment: Text


class _Mark(_Sent):
    kind: Literal["box", "polygon"]
    points: Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=2, max_length=POINTS)]
    type: Annotated[str | None, Field(max_length=200)] = None
    confidence: Confidence = None

    @model_validator(mode="after")
    def _shaped(self, info: ValidationInfo) -> Self:
        context = info.context or {}
        height, width = context["shape"]
        if self.type is not None and self.type not in context["vocabulary"]:
            raise ValueError("not in the vocabulary")
        if any(x > width or y > height for x, y in self.points):
            raise ValueError("outside the film")
        if self.kind == "box":
            if len(self.points) != 2 or not all(low < high for low, high in zip(*self.points, strict=True)):
                raise ValueError("not from top left to bottom right")
        elif len(self.points) < 3 or not encloses(self.mark()):
            raise ValueError("encloses nothing")
        return self

    def mark(self) -> Mark:
        return Mark(self.kind, tuple(self.points), self.type, self.confidence)


class _Reading(_Sent):
    revision: Revision
    save: SaveName
    finding: Annotated[bool | None, Field(description="true, false or null; marks need true")]
    label: Label
    confidence: Confidence
    statement: Text
    marks: Annotated[
        list[_Mark],
        Field(
            max_length=MARKS,
            description=f"at most {MARKS} marks within the film, in source pixels: boxes by their top left and bottom "
            f"right corner, polygons that enclose an area by 3 to {POINTS} points; types from the study's vocabulary",
        ),
    ]
    seconds: Seconds


class _Final(_Sent):
    revision: Revision
    save: SaveName
    label: Label
    confidence: Confidence
    agree: Annotated[
        Literal["agree", "partly", "disagree"] | None, Field(description="null, agree, partly or disagree")
    ]
    why: Text
    seconds: Seconds
    finish: Annotated[bool, Field(description="true or false")]


Model = TypeVar("Model", bound=_Sent)


def parse(body: bytes, model: type[Model], context: dict[str, Any] | None = None) -> Model:
    """A request's body as `model`.

    Raises:
        Refused: 400 where it is no JSON object with exactly the model's fields, 422 where a field's value is wrong; the
            message names the field and what it takes.
    """
    try:
        return model.model_validate_json(body, context=context)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    fields = model.model_fields
    place = str(first["loc"][0]) if first["loc"] else ""
    form = first["type"] in ("json_invalid", "model_type") or (
        len(first["loc"]) < 2 and first["type"] in ("missing", "extra_forbidden")
    )
    if form or place not in fields:
        raise Refused(400, "json", f"expected a JSON object with {', '.join(sorted(fields))}.")
    raise _bad(place, fields[place].description or "another value")


def _bad(name: str, expected: str) -> Refused:
    return Refused(422, "reading", f"{name}: expected {expected}.")


def parse_token(body: bytes) -> str:
    """A one-time token."""
    try:
        return parse(body, _Token).token
    except Refused as refused:
        if refused.status == 400:
            raise
        raise Refused(403, "token", "this is no token of this study; use the printed address.") from None


def parse_revision(body: bytes) -> int:
    """A revision alone."""
    return parse(body, _Revision).revision


def parse_link(body: bytes) -> tuple[str, Role]:
    """(name, role) of somebody who is to have a link."""
    given = parse(body, _Link)
    return given.name.strip(), given.role


def parse_note(body: bytes) -> Note:
    """A flag and a comment."""
    given = parse(body, _Note)
    return Note(given.flagged, given.comment)


def parse_reading(
    body: bytes, shape: tuple[int, int], labels: Sequence[str], vocabulary: Sequence[str] = ()
) -> tuple[Reading, str]:
    """(reading, name of the save) for a film of `shape` (H, W)."""
    given = parse(body, _Reading, {"shape": shape, "vocabulary": vocabulary})
    label = _one_of(given.label, labels)
    if given.marks and given.finding is not True:
        raise _bad("finding", "true where there are marks")
    if label == UNASSESSED and given.finding is not None:
        raise _bad("finding", f"null where the film {UNASSESSED}")
    reading = Reading(
        revision=given.revision,
        finding=given.finding,
        label=label,
        confidence=given.confidence,
        statement=given.statement,
        marks=tuple(m.mark() for m in given.marks),
        seconds=given.seconds,
    )
    return reading, given.save


def parse_final(body: bytes, labels: Sequence[str]) -> tuple[Final, str]:
    """(answer after the reveal, name of the save)."""
    given = parse(body, _Final)
    final = Final(
        revision=given.revision,
        label=_one_of(given.label, labels),
        confidence=given.confidence,
        agree=given.agree,
        why=given.why,
        seconds=given.seconds,
        finished="now" if given.finish else None,
    )
    sure = final.confidence is not None or final.label == UNASSESSED
    if final.finished and (final.label is None or final.agree is None or not sure):
        raise Refused(409, "incomplete", "a final answer needs diagnosis, confidence, and whether you agree.")
    return final, given.save


def _one_of(label: str | None, labels: Sequence[str]) -> str | None:
    if label is not None and label not in (*labels, UNASSESSED):
        raise _bad("label", f"null or one of {', '.join((*labels, UNASSESSED))}")
    return label


def encloses(mark: Mark) -> bool:
    """Whether a mark has an inside, by the shoelace formula: not where corners lie on a line, or where loops cancel."""
    turned = (*mark.points[1:], mark.points[0])
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(mark.points, turned, strict=True))
    return mark.kind == "box" or abs(twice) / 2 >= LEAST
