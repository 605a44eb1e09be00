"""Who may come in: one-time tokens, and the sessions they turn into. Only hashes of the secrets are kept."""

import hashlib
import secrets
from dataclasses import dataclass

from radiolucent.readers.store import Store
from radiolucent.readers.store_values import now

__all__ = ["Visitor", "enter", "leave", "new_token", "visitor"]


@dataclass(frozen=True)
class Visitor:
    """Who holds a session: a reader by number, or (`reader` None) the organiser."""

    reader: int | None


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


def enter(store: Store, token: str) -> tuple[str, Visitor] | None:
    """Turn an unused token into a session secret; None for a used or unknown one."""
    with store.change() as link:
        row = link.execute("SELECT reader FROM tokens WHERE hash = ? AND used IS NULL", (_hash(token),)).fetchone()
        if row is None:
            return None
        link.execute("UPDATE tokens SET used = ? WHERE hash = ?", (now(), _hash(token)))
        link.execute("DELETE FROM sessions WHERE reader IS ?", (row["reader"],))  # a new address ends the old one's
        session = secrets.token_urlsafe(32)
        link.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_hash(session), row["reader"], now()))
        return session, Visitor(row["reader"])


def visitor(store: Store, session: str) -> Visitor | None:
    """Whose session it is; None for an unknown one."""
    found = store.ask("SELECT reader FROM sessions WHERE hash = ?", _hash(session))
    return Visitor(found[0]["reader"]) if found else None


def leave(store: Store, session: str) -> None:
    """End a session."""
    with store.change() as link:
        link.execute("DELETE FROM sessions WHERE hash = ?", (_hash(session),))
