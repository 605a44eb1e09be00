"""The review app as an ASGI application."""

import mimetypes
from importlib.resources import files
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from radiolucent.readers.store_values import SealError, StaleError, StateError
from radiolucent.web import organiser_routes, reading_routes, reveal_routes, statistics_routes
from radiolucent.web.dependencies import context_of
from radiolucent.web.guard import Guard
from radiolucent.web.refused import Refused
from radiolucent.web.study_context import StudyContext

__all__ = ["make_app"]


def make_app(context: StudyContext) -> Guard:
    """The app behind its guard. Where the study stands is all in `context`; the app itself keeps nothing."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.context = context
    pages = _pages()

    def page(request: Request) -> Response:
        found = pages.get(request.url.path)
        if found is None:
            raise Refused(404, "path", "no such page.")
        return Response(found[0], media_type=found[1])

    app.include_router(reading_routes.router)
    app.include_router(reveal_routes.router)
    app.include_router(statistics_routes.router)
    app.include_router(organiser_routes.router)
    app.add_api_route("/", page, methods=["GET"])
    app.add_api_route("/static/{name:path}", page, methods=["GET"])
    for kind in (Refused, StaleError, StateError, SealError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _answer)
    return Guard(app, lambda: context.port, context.log)


def _pages() -> dict[str, tuple[bytes, str]]:
    """Path → (content, type) of the page and its parts, read once: no path of a request ever meets the disk."""
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    found: dict[str, tuple[bytes, str]] = {}
    for item in (files("radiolucent.web") / "static").iterdir():
        suffix = f".{item.name.rsplit('.', 1)[-1]}"
        kind = kinds.get(suffix) or mimetypes.guess_type(item.name)[0] or "application/octet-stream"
        found[f"/static/{item.name}"] = (item.read_bytes(), f"{kind}; charset=utf-8")
    found["/"] = found.pop("/static/index.html")
    return found


async def _answer(request: Request, error: Exception) -> Response:
    """Every error as {error, message}, without what was sent."""
    if isinstance(error, Refused):
        status, code, message = error.status, error.code, error.message
    elif isinstance(error, StaleError):
        status, code, message = 409, "stale", "this case was saved from another tab since; load it again."
    elif isinstance(error, StateError):
        incomplete = str(error).startswith("incomplete")
        code = "incomplete" if incomplete else "phase"
        message = (
            "a reading is locked with a diagnosis, a confidence, and either marks or no finding."
            if incomplete
            else "this case is in another phase; load it again."
        )
        status = 409
    elif isinstance(error, SealError):
        status, code = 409, "seal"
        message = "a locked reading is not what was locked; the organiser must restore a copy of the study."
    elif isinstance(error, HTTPException):
        status, code, message = error.status_code, "http", "no such page, or not in this way."
    elif isinstance(error, RequestValidationError):
        status, code, message = 422, "query", "the request is not of the expected form."
    else:
        status, code, message = 500, "failure", "something failed here; nothing was saved."
        (await context_of(request)).failures.write(f"answering {request.method}", error, message=False)
    cast(dict[str, Any], request.scope["state"])["note"]["code"] = code
    return JSONResponse({"error": code, "message": message}, status)
