"""The organiser's page: who reads, how far they are, what they say, and the links that let them in."""

from typing import Any

from fastapi import APIRouter, BackgroundTasks

from radiolucent.errors import ConfigError
from radiolucent.readers.store_access import access, new_token, revoke
from radiolucent.readers.store_notes import comments, to_settle
from radiolucent.readers.store_values import StoreError
from radiolucent.web.dependencies import Body, Organiser, Study
from radiolucent.web.payload import parse_link
from radiolucent.web.reader_names import check_readers
from radiolucent.web.refused import Refused
from radiolucent.web.study_context import StudyContext

__all__ = ["router"]

router = APIRouter(prefix="/api/organiser")


@router.get("")
def overview(_: Organiser, context: Study) -> dict[str, Any]:
    """Everybody with their progress, link and session, and what they wrote to the organiser."""
    store = context.store
    standing = access(store)
    people: list[dict[str, Any]] = []
    for role in ("reader", "adjudicator"):
        for number, name in store.readers(role).items():
            states = [row.state for row in store.worklist(number)]
            total = len(to_settle(store)) if role == "adjudicator" else len(states)
            done = {"locked": states.count("locked") + states.count("finished"), "finished": states.count("finished")}
            if role == "adjudicator":
                done["finished"] = done["locked"]
            found = {"id": number, "name": name, "role": role, "total": total, **done}
            people.append(found | {"link": standing[number].link, "seen": standing[number].seen})
    said = [
        {"film": film, "reader": who, "flagged": n.flagged, "comment": n.comment} for film, who, n in comments(store)
    ]
    return {"people": people, "comments": said}


@router.post("/links")
def issue(_: Organiser, body: Body, context: Study, later: BackgroundTasks) -> dict[str, str]:
    """A new one-time link for a reader or adjudicator, who is added where new; their unused ones are withdrawn."""
    name, role = parse_link(body)
    known = _same_name(context, name)
    try:
        check_readers([name])
        number = context.store.reader(known or name, role)
    except (ConfigError, StoreError):
        raise Refused(422, "name", "this name has a meaning in the statistics, or is taken in another role.") from None
    context.store.log("link issued", number)
    later.add_task(lambda: context.films.ahead(context.next_cases()))
    return {"name": known or name, "token": new_token(context.store, number)}


def _same_name(context: StudyContext, name: str) -> str | None:
    """The name as it stands in the study, where somebody has it but for upper and lower case."""
    everyone = [*context.store.readers().values(), *context.store.readers("adjudicator").values()]
    return next((n for n in everyone if n.strip().lower() == name.lower()), None)


@router.delete("/links/{reader}")
def withdraw(_: Organiser, reader: int, context: Study) -> dict[str, str]:
    """Withdraw a reader's link and end their session; what they read stays."""
    if reader not in context.store.readers() and reader not in context.store.readers("adjudicator"):
        raise Refused(404, "reader", "nobody of that number is in this study.")
    revoke(context.store, reader)
    context.store.log("access revoked", reader)
    return {}
