"""Beside the readings: flags, comments to the organiser, and what an adjudicator is shown of the readers' readings."""

import hashlib
from dataclasses import dataclass

from radiolucent.readers.store import Store
from radiolucent.readers.store_values import Mark, Reading, now

__all__ = ["Note", "Opinion", "comments", "note", "opinions", "save_note", "to_settle"]


@dataclass(frozen=True)
class Note:
    """A reader's flag and comment on a case."""

    flagged: bool = False
    comment: str = ""


@dataclass(frozen=True)
class Opinion:
    """One locked reading as the adjudicator sees it: `name` says nothing of who read."""

    name: str
    label: str | None
    confidence: int | None
    statement: str
    marks: tuple[Mark, ...]


def note(store: Store, case: str, reader: int) -> Note:
    """The reader's note on a case."""
    found = store.ask("SELECT flagged, comment FROM notes WHERE case_id = ? AND reader = ?", case, reader)
    return Note(bool(found[0]["flagged"]), found[0]["comment"]) if found else Note()


def save_note(store: Store, case: str, reader: int, given: Note) -> None:
    """Keep a note, also on a locked case: it is no part of the reading."""
    with store.change() as link:
        values = (case, reader, given.flagged, given.comment, now())
        link.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?)", values)


def comments(store: Store) -> list[tuple[str, str, Note]]:
    """(image_id, reader's name, note) of every note that says something, the newest first."""
    sql = """SELECT c.image_id, r.name, n.flagged, n.comment FROM notes n JOIN cases c ON c.id = n.case_id
             JOIN readers r ON r.id = n.reader WHERE n.flagged OR n.comment <> '' ORDER BY n.saved DESC"""
    return [(r["image_id"], r["name"], Note(bool(r["flagged"]), r["comment"])) for r in store.ask(sql)]


def to_settle(store: Store) -> set[str]:
    """Cases that at least two readers have locked."""
    sql = """SELECT case_id FROM readings g JOIN readers r ON r.id = g.reader
             WHERE g.state = 'locked' AND r.role = 'reader' GROUP BY case_id HAVING count(*) >= 2"""
    return {row["case_id"] for row in store.ask(sql)}


def opinions(store: Store, case: str) -> list[Opinion]:
    """The locked readings of a case, as "Reader A", "Reader B" in an order that differs from case to case."""
    secret = store.fact("secret", "")
    rows = store.ask(
        "SELECT g.reader FROM readings g JOIN readers r ON r.id = g.reader "
        "WHERE g.case_id = ? AND g.state = 'locked' AND r.role = 'reader'",
        case,
    )
    order = sorted(
        (int(row["reader"]) for row in rows), key=lambda r: hashlib.sha256(f"{secret}|{case}|{r}".encode()).digest()
    )
    return [_opinion(f"Reader {chr(65 + i % 26)}", store.reading(case, reader)) for i, reader in enumerate(order)]


def _opinion(name: str, reading: Reading) -> Opinion:
    return Opinion(name, reading.label, reading.confidence, reading.statement, reading.marks)
