"""The gate before the app: whose page may ask, how much, and what every answer forbids the browser."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from radiolucent.web.refused import RefusalLog, Refused

__all__ = ["BODY_LIMIT", "HEADERS", "Guard"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_LIMIT = 1024 * 1024  # the longest reading that is taken (60 marks of 400 points) fits
BODY_SECONDS = 20.0
# Of a body that is too long so much is still taken and dropped before the answer: a client that is cut off while it
# writes sees a broken pipe in place of the 413.
DROP_LIMIT, DROP_SECONDS = 4 * BODY_LIMIT, 2.0
SAFE = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
# When a film was decoded or read last may be another reader's doing.
DROPPED = ("last-modified", "etag")


class Guard:
    """ASGI middleware: Host and Origin checks, a body limit that chunked bodies do not pass, headers, the log.

    Args:
        app: what is guarded. port: gives the port the server listens on, once it does.
        log: of refusals; every answer of status 400 or more is one.
    """

    def __init__(self, app: Any, port: Callable[[], int], log: RefusalLog) -> None:
        self.app, self.port, self.log = app, port, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            return
        note: dict[str, Any] = {"code": "refused", "reader": None}
        scope.setdefault("state", {})["note"] = note

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                drop = (*HEADERS, *DROPPED)
                given = [(k, v) for k, v in message.get("headers", []) if k.decode().lower() not in drop]
                message["headers"] = given + [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                if message["status"] >= 400:
                    self.log.write(message["status"], note["code"], scope["method"], scope["path"], note["reader"])
            await send(message)

        try:
            self._check(scope)
            body = await self._body(scope, receive, note)
        except Refused as refused:
            note["code"] = refused.code
            if note.pop("more", False):
                await _drop(receive)
            await _refuse(answer, refused)
            return
        await self.app(scope, _replay(body, receive), answer)

    def _check(self, scope: Scope) -> None:
        """Refuse what another site's page, or another name for this machine, could send."""
        headers = [(k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in scope["headers"]]
        hosts = [v for k, v in headers if k == "host"]
        allowed = {f"{name}:{self.port()}" for name in ("127.0.0.1", "localhost")}
        if len(hosts) != 1 or hosts[0] not in allowed:
            raise Refused(421, "host", "this server answers only under its own address; use the printed one.")
        origins = [v for k, v in headers if k == "origin"]
        if scope["method"] not in SAFE and not origins:
            raise Refused(403, "origin", "a change needs the Origin header of this server's own page.")
        if any(o != f"http://{hosts[0]}" for o in origins):
            raise Refused(403, "origin", "this server answers its own page only.")
        site = next((v for k, v in headers if k == "sec-fetch-site"), "none")
        if site not in ("none", "same-origin") and scope["path"] != "/":
            raise Refused(403, "origin", "this server answers its own page only.")

    async def _body(self, scope: Scope, receive: Receive, note: dict[str, Any]) -> bytes:
        """The whole body, read up to the limit whatever the headers promise; `note["more"]`: more would come."""
        lengths = [v for k, v in scope["headers"] if k.lower() == b"content-length"]
        if any(not v.isdigit() or int(v[:12]) > BODY_LIMIT for v in lengths):
            note["more"] = True
            raise Refused(413, "body", f"at most {BODY_LIMIT} bytes are taken.")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Refused(400, "body", "the request ended early.")
                    part = message.get("body", b"")
                    size += len(part)
                    if size > BODY_LIMIT:
                        note["more"] = bool(message.get("more_body", False))
                        raise Refused(413, "body", f"at most {BODY_LIMIT} bytes are taken.")
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408, "body", "the request took too long to arrive.") from None


async def _drop(receive: Receive) -> None:
    """Take the rest of a refused body, up to `DROP_LIMIT` bytes and `DROP_SECONDS`, and keep none of it."""
    size, more = 0, True
    try:
        async with asyncio.timeout(DROP_SECONDS):
            while more and size <= DROP_LIMIT:
                message = await receive()
                size += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        return


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def once() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


async def _refuse(send: Send, refused: Refused) -> None:
    content = json.dumps({"error": refused.code, "message": refused.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send(
        {"type": "http.response.start", "status": refused.status, "headers": [*headers, (b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": content})
