"""Routes of the second phase: 403 until the asking reader has locked the case. `Unlocked` is that check."""

import json
import math
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from radiolucent.figures import method_name
from radiolucent.types import Explanation
from radiolucent.web.dependencies import Body, Reader, Study, TheCase, Unlocked
from radiolucent.web.live import live_agreement, map_header, map_levels
from radiolucent.web.payload import parse_final
from radiolucent.web.reading_routes import final_dict
from radiolucent.web.refused import Refused
from radiolucent.web.study_context import StudyContext

__all__ = ["router"]

router = APIRouter(prefix="/api/cases/{case}")
_WAIT = {"retry-after": "1"}


@router.get("/prediction")
def prediction(_: Unlocked, case: TheCase, context: Study, reader: Reader) -> Response:
    """What the model says, and which maps there are; 202 while it is being computed."""
    context.reveal.request(case)
    found = context.reveal.prediction(case)
    if found is None:
        return JSONResponse({"waiting": True}, 202, headers=_WAIT)
    if context.store.final(case.id, reader).revision == 0:
        context.store.log("revealed", reader, case.id)
    names = {m: method_name(m) for m in context.reveal.methods}
    return JSONResponse(found | {"methods": list(context.reveal.methods), "names": names})


def _map(context: StudyContext, case: Any, method: str) -> Explanation | None:
    if method not in context.reveal.methods:
        raise Refused(404, "method", "no such map in this study.")
    context.reveal.request(case)
    found = context.reveal.explanation(case, method)
    if isinstance(found, str):
        raise Refused(410, "method", "this map does not apply to this network or film.")
    return found


@router.get("/maps/{method}")
def one_map(_: Unlocked, case: TheCase, method: str, context: Study) -> Response:
    """A raw map as int16 levels; how to lay it on the film stands in the header `x-map`."""
    found = _map(context, case, method)
    if found is None:
        return JSONResponse({"waiting": True}, 202, headers=_WAIT)
    content, header = map_levels(found), json.dumps(map_header(found), ensure_ascii=True)
    return Response(content, media_type="application/octet-stream", headers={"x-map": header})


@router.get("/maps/{method}/trust")
def trust(_: Unlocked, case: TheCase, method: str, context: Study) -> Response:
    """A map's trust stamp as a line; 202 while it is made."""
    if _map(context, case, method) is None or (found := context.reveal.trust(case, method)) is None:
        return JSONResponse({"waiting": True}, 202, headers=_WAIT)
    return JSONResponse(found)


@router.get("/maps/{method}/agreement")
def agreement(
    reading: Unlocked, case: TheCase, method: str, context: Study, threshold: Annotated[str, Query(max_length=8)]
) -> Response:
    """The reader's own marks against a map at a threshold."""
    try:
        share = float(threshold)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise Refused(422, "threshold", "threshold: expected a share above 0 and at most 1.")
    found = _map(context, case, method)
    if found is None:
        return JSONResponse({"waiting": True}, 202, headers=_WAIT)
    return JSONResponse(live_agreement(case, reading, found, share))


@router.put("/final")
def save_final(_: Unlocked, case: TheCase, body: Body, context: Study, reader: Reader) -> dict[str, Any]:
    """Save the answer after the reveal; with finish, close the case."""
    given, name = parse_final(body, context.class_names)
    return final_dict(context.store.save_final(case.id, reader, given, name))
