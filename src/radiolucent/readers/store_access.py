"""Who may come in: one-time tokens, and the sessions they turn into. Only hashes of the secrets are kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from radiolucent.readers.store import Store
from radiolucent.readers.store_values import now

__all__ = ["SESSION_DAYS", "Access", "Entered", "Visitor", "access", "enter", "leave", "new_token", "revoke", "visitor"]

SESSION_DAYS = 30
_SEEN = timedelta(minutes=5)  # a visit is noted at most this often: each note is a write


@dataclass(frozen=True)
class Visitor:
    """Who holds a session: a reader by number, or (`reader` None) the organiser. `key`: hash of the session's key."""

    reader: int | None
    key: str


@dataclass(frozen=True)
class Entered:
    """A new session: `secret` for the cookie, `key` for the page. Each alone opens nothing."""

    secret: str
    key: str
    reader: int | None


@dataclass(frozen=True)
class Access:
    """How somebody (None: the organiser) stands: an unused link, and when their session was used last."""

    reader: int | None
    link: bool
    seen: str | None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token(store: Store, reader: int | None) -> str:
    """A token that opens one session, for a reader or (None) the organiser; their unused ones are withdrawn.

    Its use ends their older sessions.
    """
    token = secrets.token_urlsafe(24)
    with store.change() as link:
        link.execute("DELETE FROM tokens WHERE used IS NULL AND reader IS ?", (reader,))
        link.execute("INSERT INTO tokens VALUES (?, ?, ?, NULL)", (_hash(token), reader, now()))
    return token


def enter(store: Store, token: str) -> Entered | None:
    """Turn an unused token into a session; None for a used or unknown one."""
    with store.change() as link:
        row = link.execute("SELECT reader FROM tokens WHERE hash = ? AND used IS NULL", (_hash(token),)).fetchone()
        if row is None:
            return None
        link.execute("UPDATE tokens SET used = ? WHERE hash = ?", (now(), _hash(token)))
        link.execute("DELETE FROM sessions WHERE reader IS ?", (row["reader"],))  # a new link ends the old one's
        made = Entered(secrets.token_urlsafe(32), secrets.token_urlsafe(32), row["reader"])
        values = (_hash(made.secret), made.reader, now(), page_hash(ticket(made.key)), now())
        link.execute("INSERT INTO sessions (hash, reader, created, key, seen) VALUES (?, ?, ?, ?, ?)", values)
        return made


def ticket(key: str) -> str:
    """What a page puts into the address of the statistics and exports, which browsers open without its key."""
    return _hash(key)


def page_hash(given: str) -> str:
    """What is stored of a ticket."""
    return _hash(given)


def visitor(store: Store, session: str) -> Visitor | None:
    """Whose session a cookie names; None for an unknown one, or one of more than `SESSION_DAYS` ago."""
    found = store.ask("SELECT reader, created, key, seen FROM sessions WHERE hash = ?", _hash(session))
    if not found:
        return None
    row, at = found[0], datetime.now(UTC)
    if at - datetime.fromisoformat(row["created"]) > timedelta(days=SESSION_DAYS):
        return None
    if at - datetime.fromisoformat(row["seen"]) > _SEEN:
        with store.change() as link:
            link.execute("UPDATE sessions SET seen = ? WHERE hash = ?", (now(), _hash(session)))
    return Visitor(row["reader"], row["key"])


def leave(store: Store, session: str) -> None:
    """End a session."""
    with store.change() as link:
        link.execute("DELETE FROM sessions WHERE hash = ?", (_hash(session),))


def revoke(store: Store, reader: int) -> None:
    """Withdraw a reader's unused link and end their sessions; what they read stays."""
    with store.change() as link:
        link.execute("DELETE FROM tokens WHERE used IS NULL AND reader IS ?", (reader,))
        link.execute("DELETE FROM sessions WHERE reader IS ?", (reader,))


def access(store: Store) -> dict[int | None, Access]:
    """Links and sessions by reader."""
    links = {row["reader"] for row in store.ask("SELECT reader FROM tokens WHERE used IS NULL")}
    seen = {
        row["reader"]: row["seen"]
        for row in store.ask("SELECT reader, max(seen) AS seen FROM sessions GROUP BY reader")
    }
    everyone: list[int | None] = [*store.readers(), *store.readers("adjudicator"), None]
    return {who: Access(who, who in links, seen.get(who)) for who in everyone}
