"""What every route needs to know of a request: the study, who asks, which case, and that it is locked."""

import asyncio
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from radiolucent.readers.store_access import Visitor, visitor
from radiolucent.readers.store_values import Case, Reading, StoreError
from radiolucent.web.refused import Refused
from radiolucent.web.study_context import StudyContext

__all__ = ["Body", "Guest", "Reader", "Study", "TheCase", "Unlocked", "context_of", "someone"]


async def context_of(request: Request) -> StudyContext:  # async: what waits for nothing needs no thread
    """The study."""
    return cast(StudyContext, request.app.state.context)


Study = Annotated[StudyContext, Depends(context_of)]


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise Refused(415, "json", "expected content type application/json.")
    return await asyncio.wait_for(request.body(), 5)


Body = Annotated[bytes, Depends(_body)]


def someone(request: Request, context: Study) -> Visitor:
    """Whose session the cookie opens.

    Raises:
        Refused: 401 without one.
    """
    found = visitor(context.store, request.cookies.get(context.cookie, ""))
    if found is None:
        raise Refused(401, "session", "open the study with the printed address.")
    cast(dict[str, Any], request.scope["state"])["note"]["reader"] = found.reader
    return found


Guest = Annotated[Visitor, Depends(someone)]


def _reader(request: Request, found: Guest, context: Study) -> int:
    """The reader, who must be the one whose page asks: the cookie may have become another's since it was opened."""
    if found.reader is None:
        raise Refused(403, "role", "the organiser does not read; use a reader's address.")
    if request.headers.get("x-reader") not in (None, context.key(found.reader)):
        raise Refused(409, "stale", "another reader entered in this browser since; open your own address again.")
    return found.reader


Reader = Annotated[int, Depends(_reader)]


def _case(case: str, context: Study, _: Reader) -> Case:
    try:
        return context.store.case(case)
    except StoreError:
        raise Refused(404, "case", "no such case in this study.") from None


TheCase = Annotated[Case, Depends(_case)]


def _unlocked(case: TheCase, reader: Reader, context: Study) -> Reading:
    """The blinding: nothing behind this is served before the reader's own lock."""
    reading = context.store.reading(case.id, reader)
    if reading.locked is None:
        raise Refused(403, "blinded", "the model is shown once this reading is locked.")
    return reading


Unlocked = Annotated[Reading, Depends(_unlocked)]
