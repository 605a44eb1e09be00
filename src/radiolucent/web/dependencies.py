"""What every route needs to know of a request: the study, who asks, which case, and that it is locked."""

import asyncio
import hmac
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from radiolucent.readers.store_access import Visitor, page_hash, ticket, visitor
from radiolucent.readers.store_notes import to_settle
from radiolucent.readers.store_values import Case, Reading, StoreError
from radiolucent.web.refused import Refused
from radiolucent.web.study_context import StudyContext

__all__ = [
    "Adjudicates",
    "Body",
    "Guest",
    "Organiser",
    "Reader",
    "Study",
    "TheCase",
    "Unlocked",
    "context_of",
    "session_of",
    "someone",
]


async def context_of(request: Request) -> StudyContext:  # async: what waits for nothing needs no thread
    """The study."""
    return cast(StudyContext, request.app.state.context)


Study = Annotated[StudyContext, Depends(context_of)]


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise Refused(415, "json", "expected content type application/json.")
    return await asyncio.wait_for(request.body(), 5)


Body = Annotated[bytes, Depends(_body)]


def session_of(request: Request, context: StudyContext) -> Visitor | None:
    """Whose session the cookie names, if the page (by its key) or the address (by its ticket) belongs to it.

    The cookie alone opens nothing: browsers send it to every port of this machine, to another account's server too.

    Raises:
        Refused: 409 where the page is another session's: somebody else has entered in this browser since.
    """
    found = visitor(context.store, request.cookies.get(context.cookie, ""))
    key = request.headers.get("x-reader")
    page = request.url.path.startswith(("/statistics", "/export/"))  # what a browser opens by its address alone
    given = ticket(key) if key is not None else request.query_params.get("ticket") if page else None
    if found is None or given is None:
        return None
    if not hmac.compare_digest(page_hash(given), found.key):
        raise Refused(409, "stale", "another reader entered in this browser since; open your own address again.")
    return found


def someone(request: Request, context: Study) -> Visitor:
    """Whose session it is.

    Raises:
        Refused: 401 without one.
    """
    found = session_of(request, context)
    if found is None:
        raise Refused(401, "session", "open the study with the address you were given.")
    cast(dict[str, Any], request.scope["state"])["note"]["reader"] = found.reader
    return found


Guest = Annotated[Visitor, Depends(someone)]


def _organiser(found: Guest) -> None:
    if found.reader is not None:
        raise Refused(403, "role", "this is the organiser's page.")


Organiser = Annotated[None, Depends(_organiser)]


def _reader(found: Guest) -> int:
    if found.reader is None:
        raise Refused(403, "role", "the organiser does not read; use a reader's address.")
    return found.reader


Reader = Annotated[int, Depends(_reader)]


def _adjudicates(reader: Reader, context: Study) -> bool:
    return context.store.role(reader) == "adjudicator"


Adjudicates = Annotated[bool, Depends(_adjudicates)]


def _case(case: str, context: Study, adjudicates: Adjudicates) -> Case:
    try:
        found = context.store.case(case)
    except StoreError:
        raise Refused(404, "case", "no such case in this study.") from None
    if adjudicates and case not in to_settle(context.store):
        raise Refused(403, "blinded", "a case is settled once two readers have locked it.")
    return found


TheCase = Annotated[Case, Depends(_case)]


def _unlocked(case: TheCase, reader: Reader, context: Study, adjudicates: Adjudicates) -> Reading:
    """The blinding: nothing behind this is served before the reader's own lock, and to an adjudicator never."""
    if adjudicates:
        raise Refused(403, "blinded", "who settles the readings does not see the model.")
    reading = context.store.reading(case.id, reader)
    if reading.locked is None:
        raise Refused(403, "blinded", "the model is shown once this reading is locked.")
    return reading


Unlocked = Annotated[Reading, Depends(_unlocked)]
