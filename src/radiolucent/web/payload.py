"""What the browser sends, checked piece by piece. Nothing that is refused is repeated in the answer."""

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from radiolucent.readers.store_values import Final, Mark, Reading
from radiolucent.web.refused import Refused

__all__ = [
    "MARKS",
    "POINTS",
    "TEXT",
    "encloses",
    "parse",
    "parse_final",
    "parse_reading",
    "parse_revision",
    "parse_token",
]

MARKS, POINTS, TEXT, DAY = 60, 400, 4000, 86_400.0
LEAST = 0.01  # source pixels squared: the page keeps hundredths of a pixel, and rounding leaves a line no exact zero
_READING = {"revision", "save", "finding", "label", "confidence", "statement", "marks", "seconds"}
_FINAL = {"revision", "save", "label", "confidence", "agree", "why", "seconds", "finish"}


def _bad(message: str) -> Refused:
    return Refused(422, "reading", message)


def parse(body: bytes, keys: set[str]) -> dict[str, Any]:
    """A JSON object with exactly these keys; not-a-number and infinity are no JSON."""

    def refuse(_: str) -> None:
        raise ValueError

    try:
        found = json.loads(body.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):  # also UnicodeDecodeError
        raise Refused(400, "json", "expected a JSON object.") from None
    if not isinstance(found, dict) or set(cast(dict[str, Any], found)) != keys:
        raise Refused(400, "json", f"expected a JSON object with {', '.join(sorted(keys))}.")
    return cast(dict[str, Any], found)


def parse_token(body: bytes) -> str:
    """A one-time token."""
    token = parse(body, {"token"})["token"]
    if not isinstance(token, str) or not re.fullmatch(r"[A-Za-z0-9_-]{20,60}", token):
        raise Refused(403, "token", "this is no token of this study; use the printed address.")
    return token


def parse_revision(body: bytes) -> int:
    """A revision alone."""
    return _whole(parse(body, {"revision"})["revision"], 0, 10**9, "revision")


def parse_reading(body: bytes, shape: tuple[int, int], labels: Sequence[str]) -> tuple[Reading, str]:
    """(reading, name of the save) for a film of `shape` (H, W)."""
    given = parse(body, _READING)
    marks = _marks(given["marks"], shape)
    finding = given["finding"]
    if finding not in (None, True, False) or isinstance(finding, int) is not isinstance(finding, bool):
        raise _bad("finding: expected true, false or null.")
    if marks and finding is not True:
        raise _bad("marks need finding = true.")
    reading = Reading(
        revision=_whole(given["revision"], 0, 10**9, "revision"),
        finding=finding,
        label=_choice(given["label"], labels, "label"),
        confidence=None if given["confidence"] is None else _whole(given["confidence"], 1, 5, "confidence"),
        statement=_text(given["statement"], "statement"),
        marks=marks,
        seconds=_number(given["seconds"], DAY, "seconds"),
    )
    return reading, _save(given["save"])


def parse_final(body: bytes, labels: Sequence[str]) -> tuple[Final, str]:
    """(answer after the reveal, name of the save)."""
    given = parse(body, _FINAL)
    if not isinstance(given["finish"], bool):
        raise _bad("finish: expected true or false.")
    final = Final(
        revision=_whole(given["revision"], 0, 10**9, "revision"),
        label=_choice(given["label"], labels, "label"),
        confidence=None if given["confidence"] is None else _whole(given["confidence"], 1, 5, "confidence"),
        agree=cast(Any, _choice(given["agree"], ("agree", "partly", "disagree"), "agree")),
        why=_text(given["why"], "why"),
        seconds=_number(given["seconds"], DAY, "seconds"),
        finished="now" if given["finish"] else None,
    )
    if final.finished and None in (final.label, final.confidence, final.agree):
        raise Refused(409, "incomplete", "a final answer needs diagnosis, confidence, and whether you agree.")
    return final, _save(given["save"])


def _whole(value: Any, low: int, high: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _bad(f"{name}: expected a whole number from {low} to {high}.")
    return value


def _number(value: Any, high: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise _bad(f"{name}: expected a finite number from 0 to {high:g}.")
    return float(value)


def _choice(value: Any, options: Sequence[str], name: str) -> str | None:
    if value is not None and (not isinstance(value, str) or value not in options):
        raise _bad(f"{name}: expected null or one of {', '.join(options)}.")
    return value


def _text(value: Any, name: str) -> str:
    """Text as typed: HTML stays text. Control characters and half surrogates are no text."""
    if not isinstance(value, str) or len(value) > TEXT:
        raise _bad(f"{name}: expected text of at most {TEXT} characters.")
    if re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", value):
        raise _bad(f"{name}: holds characters that are no text.")
    return value


def _save(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9-]{8,60}", value):
        raise _bad("save: expected 8 to 60 letters, digits and hyphens.")
    return value


def _marks(value: Any, shape: tuple[int, int]) -> tuple[Mark, ...]:
    if not isinstance(value, list) or len(cast(list[Any], value)) > MARKS:
        raise _bad(f"marks: expected a list of at most {MARKS}.")
    return tuple(_mark(item, shape) for item in cast(list[Any], value))


def _mark(item: Any, shape: tuple[int, int]) -> Mark:
    if not isinstance(item, dict) or set(cast(dict[str, Any], item)) != {"kind", "points"}:
        raise _bad("a mark has kind and points.")
    kind, points = cast(dict[str, Any], item)["kind"], cast(dict[str, Any], item)["points"]
    if kind not in ("box", "polygon") or not isinstance(points, list):
        raise _bad("a mark is a box or a polygon with a list of points.")
    count = len(cast(list[Any], points))
    if count != 2 if kind == "box" else not 3 <= count <= POINTS:
        raise _bad(f"a box has 2 points, a polygon 3 to {POINTS}.")
    corners = tuple(_point(p, shape) for p in cast(list[Any], points))
    if kind == "box" and not (corners[0][0] < corners[1][0] and corners[0][1] < corners[1][1]):
        raise _bad("a box goes from its top left to its bottom right corner.")
    mark = Mark(kind, corners)
    if not encloses(mark):
        raise _bad("a polygon encloses an area.")
    return mark


def encloses(mark: Mark) -> bool:
    """Whether a mark has an inside, by the shoelace formula: not where corners lie on a line, or where loops cancel."""
    turned = (*mark.points[1:], mark.points[0])
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(mark.points, turned, strict=True))
    return mark.kind == "box" or abs(twice) / 2 >= LEAST


def _point(point: Any, shape: tuple[int, int]) -> tuple[float, float]:
    if not isinstance(point, list) or len(cast(list[Any], point)) != 2:
        raise _bad("a point is [x, y].")
    for value, end in zip(cast(list[Any], point), (shape[1], shape[0]), strict=True):
        number = not isinstance(value, bool) and isinstance(value, int | float)
        if not number or not 0 <= value <= end:
            raise _bad("a point lies within the film, in source pixels.")
    x, y = cast(list[float], point)
    return float(x), float(y)
