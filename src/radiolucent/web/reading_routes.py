"""Routes of the blinded phase. Nothing here knows what the model says."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask

from radiolucent.errors import ImageError
from radiolucent.readers.store_access import SESSION_DAYS, enter, leave, ticket
from radiolucent.readers.store_dates import related
from radiolucent.readers.store_notes import note, opinions, save_note, to_settle
from radiolucent.readers.store_values import Case, Final, Mark, Reading
from radiolucent.web.dependencies import Adjudicates, Body, Guest, Reader, Study, TheCase, session_of
from radiolucent.web.films import Film
from radiolucent.web.payload import MARKS, POINTS, TEXT, parse_note, parse_reading, parse_revision, parse_token
from radiolucent.web.refused import Refused
from radiolucent.web.study_context import StudyContext

__all__ = ["final_dict", "reading_dict", "router"]

router = APIRouter(prefix="/api")


class _Film(FileResponse):
    """A film goes in pieces of a MiB: each costs a thread's turn, and memory stays bounded all the same."""

    chunk_size = 1024 * 1024


def _mark_dict(mark: Mark) -> dict[str, Any]:
    points = [list(p) for p in mark.points]
    return {"kind": mark.kind, "points": points, "type": mark.type, "confidence": mark.confidence}


def reading_dict(reading: Reading) -> dict[str, Any]:
    """JSON of a blinded reading."""
    names = ("revision", "finding", "label", "confidence", "statement", "locked", "saved")
    marks = {name: [_mark_dict(m) for m in getattr(reading, name)] for name in ("marks", "removed")}
    return {name: getattr(reading, name) for name in names} | marks


def final_dict(final: Final) -> dict[str, Any]:
    """JSON of an answer after the reveal."""
    names = ("revision", "label", "confidence", "agree", "why", "finished", "saved")
    return {name: getattr(final, name) for name in names}


@router.post("/session")
def open_session(body: Body, context: Study) -> Response:
    """Trade a one-time token for a session."""
    entered = enter(context.store, parse_token(body))
    if entered is None:
        raise Refused(403, "token", "this address was used already or withdrawn; ask for a new one.")
    answer = JSONResponse({"role": _role(context, entered.reader), "key": entered.key})
    age = SESSION_DAYS * 86_400  # also after the browser was closed
    answer.set_cookie(context.cookie, entered.secret, httponly=True, samesite="strict", path="/", max_age=age)
    return answer


def _role(context: StudyContext, reader: int | None) -> str:
    return "organiser" if reader is None else context.store.role(reader)


@router.get("/session")
def who(request: Request, context: Study) -> dict[str, str | None]:
    """The role of whoever asks; null without a session."""
    found = session_of(request, context)
    return {"role": None if found is None else _role(context, found.reader)}


@router.delete("/session")
def end_session(request: Request, context: Study, _: Guest) -> Response:
    """Sign out."""
    leave(context.store, request.cookies.get(context.cookie, ""))
    answer = JSONResponse({})
    answer.delete_cookie(context.cookie, path="/", httponly=True, samesite="strict")
    return answer


@router.get("/study")
def study(request: Request, context: Study, who: Guest) -> dict[str, Any]:
    """What the page needs to know of the study and of who reads."""
    role = _role(context, who.reader)
    everyone = context.store.readers() | context.store.readers("adjudicator")
    return {
        "study": context.name,
        "reader": "" if who.reader is None else everyone[who.reader],
        "ticket": ticket(request.headers.get("x-reader", "")),
        "role": role,
        "labels": list(context.class_names),
        "positive": context.positive,
        "vocabulary": list(context.vocabulary),
        "limits": {"marks": MARKS, "points": POINTS, "text": TEXT},
    }


@router.get("/worklist")
def worklist(context: Study, reader: Reader, adjudicates: Adjudicates) -> list[dict[str, Any]]:
    """All cases in this reader's own order; for an adjudicator those that two readers have locked."""
    rows = context.store.worklist(reader)
    if adjudicates:
        ready = to_settle(context.store)
        rows = [replace(r, state="finished" if r.state == "locked" else r.state) for r in rows if r.case in ready]
    return [{"case": r.case, "state": r.state, "label": r.label, "flagged": r.flagged} for r in rows]


@router.get("/cases/{case}")
def open_case(case: TheCase, context: Study, reader: Reader) -> dict[str, Any]:
    """A film's size, this reader's own reading of it and note on it, and the patient's other films."""
    reading = context.store.reading(case.id, reader)
    final = final_dict(context.store.final(case.id, reader)) if reading.locked else None
    height, width = case.shape
    said, others = note(context.store, case.id, reader), related(context.store, case)
    return {
        "case": case.id,
        "height": height,
        "width": width,
        "reading": reading_dict(reading),
        "final": final,
        "note": {"flagged": said.flagged, "comment": said.comment},
        "related": [name for name, _ in others],
        "apart": [days for _, days in others],
    }


@router.put("/cases/{case}/note")
def write_note(case: TheCase, body: Body, context: Study, reader: Reader) -> dict[str, Any]:
    """Flag a case for later, and tell the organiser something about it; open after the lock too."""
    save_note(context.store, case.id, reader, parse_note(body))
    return {}


@router.get("/cases/{case}/opinions")
def read_opinions(case: TheCase, context: Study, adjudicates: Adjudicates) -> list[dict[str, Any]]:
    """What the readers said, for the adjudicator, under letters in place of names."""
    if not adjudicates:
        raise Refused(403, "blinded", "what other readers said is not shown.")
    return [
        {"name": o.name, "label": o.label, "confidence": o.confidence, "statement": o.statement}
        | {"marks": [_mark_dict(m) for m in o.marks]}
        for o in opinions(context.store, case.id)
    ]


def _decoded(context: StudyContext, case: Case) -> Film:
    try:
        return context.films.film(case)
    except ImageError as error:
        context.failures.write("decoding the film", error, case=case.id)
        raise Refused(410, "film", "this film cannot be read any more; tell the organiser.") from None


@router.get("/cases/{case}/film")
def film(case: TheCase, context: Study, reader: Reader) -> Response:
    """How the film's levels are to be shown, and how many sizes there are; then the reader's next films are decoded."""
    found = _decoded(context, case)
    about = {k: v for k, v in found.about.items() if k != "bytes"}
    height, width = case.shape
    return JSONResponse(
        about | {"width": width, "height": height, "sizes": len(found.files)},
        background=BackgroundTask(_ahead, context, case.id, reader),
    )


@router.get("/cases/{case}/film/{size}")
def levels(case: TheCase, size: int, context: Study) -> Response:
    """The film's levels, halved `size` times: row by row as differences to the left neighbour, uint16, gzip."""
    found = _decoded(context, case)
    if not 0 <= size < len(found.files):
        raise Refused(404, "path", "no such size of this film.")
    headers = {"content-encoding": "gzip"}
    return _Film(found.files[size], media_type="application/octet-stream", headers=headers)


def _ahead(context: StudyContext, case: str, reader: int) -> None:
    order = context.store.order(reader)
    context.films.ahead(context.store.case(name) for name in order[order.index(case) + 1 :][:2])


@router.put("/cases/{case}/reading")
def save(case: TheCase, body: Body, context: Study, reader: Reader) -> dict[str, Any]:
    """Save a draft; answered once it is on disk."""
    given, name = parse_reading(body, case.shape, context.class_names, context.vocabulary)
    saved = context.store.save(case.id, reader, given, name)
    return {"revision": saved.revision, "saved": saved.saved}


@router.post("/cases/{case}/lock")
def lock(case: TheCase, body: Body, context: Study, reader: Reader, adjudicates: Adjudicates) -> dict[str, Any]:
    """Lock the reading for good, and have the model's side computed, which an adjudicator does not see."""
    locked = context.store.lock(case.id, reader, parse_revision(body))
    if not adjudicates:
        context.reveal.request(case)
    return {"reading": reading_dict(locked), "final": final_dict(context.store.final(case.id, reader))}
