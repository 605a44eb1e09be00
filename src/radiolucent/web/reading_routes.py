"""Routes of the blinded phase. Nothing here knows what the model says."""

import contextlib
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask

from radiolucent.errors import ImageError
from radiolucent.readers.store_access import enter, leave, visitor
from radiolucent.readers.store_values import Final, Reading
from radiolucent.web.dependencies import Body, Guest, Reader, Study, TheCase
from radiolucent.web.payload import MARKS, POINTS, TEXT, parse_reading, parse_revision, parse_token
from radiolucent.web.refused import Refused
from radiolucent.web.study_context import StudyContext

__all__ = ["final_dict", "reading_dict", "router"]

router = APIRouter(prefix="/api")


class _Film(FileResponse):
    """A film goes in pieces of a MiB: each costs a thread's turn, and memory stays bounded all the same."""

    chunk_size = 1024 * 1024


def reading_dict(reading: Reading) -> dict[str, Any]:
    """JSON of a blinded reading."""
    names = ("revision", "finding", "label", "confidence", "statement", "locked", "saved")
    marks = [{"kind": m.kind, "points": [list(p) for p in m.points]} for m in reading.marks]
    return {name: getattr(reading, name) for name in names} | {"marks": marks}


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
    secret, who = entered
    answer = JSONResponse({"role": "organiser" if who.reader is None else "reader"})
    answer.set_cookie(context.cookie, secret, httponly=True, samesite="strict", path="/")
    return answer


@router.get("/session")
def who(request: Request, context: Study) -> dict[str, str | None]:
    """The role of whoever asks; null without a session."""
    found = visitor(context.store, request.cookies.get(context.cookie, ""))
    return {"role": None if found is None else "organiser" if found.reader is None else "reader"}


@router.delete("/session")
def end_session(request: Request, context: Study, _: Guest) -> Response:
    """Sign out."""
    leave(context.store, request.cookies.get(context.cookie, ""))
    answer = JSONResponse({})
    answer.delete_cookie(context.cookie, path="/", httponly=True, samesite="strict")
    return answer


@router.get("/study")
def study(context: Study, who: Guest) -> dict[str, Any]:
    """What the page needs to know of the study and of who reads."""
    name = "" if who.reader is None else context.store.readers()[who.reader]
    return {
        "study": context.name,
        "reader": name,
        "key": context.key(who.reader),
        "role": "organiser" if who.reader is None else "reader",
        "labels": list(context.class_names),
        "positive": context.positive,
        "limits": {"marks": MARKS, "points": POINTS, "text": TEXT},
    }


@router.get("/worklist")
def worklist(context: Study, reader: Reader) -> list[dict[str, Any]]:
    """All cases in this reader's own order."""
    return [{"case": r.case, "state": r.state, "label": r.label} for r in context.store.worklist(reader)]


@router.get("/cases/{case}")
def open_case(case: TheCase, context: Study, reader: Reader) -> dict[str, Any]:
    """A film's size, and this reader's own reading of it."""
    reading = context.store.reading(case.id, reader)
    final = final_dict(context.store.final(case.id, reader)) if reading.locked else None
    height, width = case.shape
    return {"case": case.id, "height": height, "width": width, "reading": reading_dict(reading), "final": final}


@router.get("/cases/{case}/film")
def film(case: TheCase, context: Study, reader: Reader) -> Response:
    """Raw grey levels, streamed; the reader's next film is decoded while they look at this one."""
    try:
        found = context.films.film(case)
    except ImageError as error:
        context.failures.write("decoding the film", error, case=case.id)
        raise Refused(410, "film", "this film cannot be read any more; tell the organiser.") from None
    headers = {"x-bits": str(found.bits), "x-width": str(case.shape[1]), "x-height": str(case.shape[0])}
    then = BackgroundTask(_ahead, context, case.id, reader)
    return _Film(found.path, media_type="application/octet-stream", headers=headers, background=then)


def _ahead(context: StudyContext, case: str, reader: int) -> None:
    order = context.store.order(reader)
    following = order[order.index(case) + 1 :][:1]
    with contextlib.suppress(ImageError):  # told to whoever opens it
        for name in following:
            context.films.film(context.store.case(name))


@router.put("/cases/{case}/reading")
def save(case: TheCase, body: Body, context: Study, reader: Reader) -> dict[str, Any]:
    """Save a draft; answered once it is on disk."""
    given, name = parse_reading(body, case.shape, context.class_names)
    saved = context.store.save(case.id, reader, given, name)
    return {"revision": saved.revision, "saved": saved.saved}


@router.post("/cases/{case}/lock")
def lock(case: TheCase, body: Body, context: Study, reader: Reader) -> dict[str, Any]:
    """Lock the reading for good, and have the model's side computed."""
    locked = context.store.lock(case.id, reader, parse_revision(body))
    context.reveal.request(case)
    return {"reading": reading_dict(locked), "final": final_dict(context.store.final(case.id, reader))}
