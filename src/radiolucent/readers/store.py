"""The store of a reading study: SQLite, every acknowledged save on disk, nothing locked ever changes."""

import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from radiolucent.readers.store_open import connect
from radiolucent.readers.store_values import (
    Case,
    Final,
    Mark,
    Reading,
    Role,
    Row,
    SealError,
    StaleError,
    StateError,
    StoreError,
    now,
)

__all__ = ["Store"]

_FREE_SECONDS = 5.0  # clocks of browser and server may differ by this much


class Store:
    """One study's database. Safe to share between threads: each write is a transaction on one connection behind a lock;
    questions go to another connection, so that they do not wait until a save is on disk.

    Raises, from any method that writes:
        StaleError: another tab saved first. StateError: the reading is in another phase. StoreError: unknown case.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._guard = threading.RLock()
        self._link = connect(self.path)
        self._asking = threading.Lock()
        self._reads = connect(self.path)
        self._link.row_factory = self._reads.row_factory = sqlite3.Row
        self._writer = 0  # the thread in a transaction, which must see what it wrote

    def close(self) -> None:
        """Close the connections; the write-ahead log is folded into the database."""
        with self._guard, self._asking:
            self._reads.close()
            self._link.close()

    @contextmanager
    def change(self) -> Generator[sqlite3.Connection]:
        """A write transaction: on disk when the block ends, nothing of it if it raises."""
        with self._guard:
            self._link.execute("BEGIN IMMEDIATE")
            self._writer = threading.get_ident()
            try:
                yield self._link
                self._link.execute("COMMIT")
            except BaseException as error:
                if self._link.in_transaction:
                    self._link.execute("ROLLBACK")
                if isinstance(error, sqlite3.IntegrityError) and str(error).startswith(("locked", "incomplete")):
                    raise StateError(str(error)) from error
                raise
            finally:
                self._writer = 0

    def ask(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Rows of a query: as last saved or, within `change`, as written so far."""
        if self._writer == threading.get_ident():
            return self._link.execute(sql, values).fetchall()
        with self._asking:
            return self._reads.execute(sql, values).fetchall()

    # The study, its films and its readers

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Record facts of the study (JSON values) that are not there yet; those that are stay."""
        with self.change() as link:
            for key, value in facts.items():
                sql = "INSERT INTO study SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM study WHERE key = ?1)"
                link.execute(sql, (key, json.dumps(value)))

    def fact(self, key: str, default: Any = None) -> Any:
        """A fact of the study."""
        found = self.ask("SELECT value FROM study WHERE key = ?", key)
        return json.loads(found[0][0]) if found else default

    def add_cases(self, cases: Iterable[Case]) -> None:
        """Add films; those whose image_id is there already stay as they are."""
        known = {row[0] for row in self.ask("SELECT image_id FROM cases")}
        with self.change() as link:
            for c in cases:
                if c.image_id not in known:
                    values = (c.id, c.image_id, c.path, c.patient_id, c.label, *c.shape, c.sha256)
                    link.execute("INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def case(self, case: str) -> Case:
        """A film by its opaque identifier."""
        found = self.ask("SELECT * FROM cases WHERE id = ?", case)
        if not found:
            raise StoreError("no such case in this study.")
        return _case(found[0])

    def cases(self) -> list[Case]:
        """All films, by image_id."""
        return [_case(row) for row in self.ask("SELECT * FROM cases ORDER BY image_id")]

    def reader(self, name: str, role: Role = "reader") -> int:
        """The number of a reader (or adjudicator), who is added where new.

        Raises:
            StoreError: somebody of this name has the other role.
        """
        with self.change() as link:
            found = link.execute("SELECT id, role FROM readers WHERE name = ?", (name,)).fetchone()
            if found and found["role"] != role:
                raise StoreError(f"{name} is {found['role']} of this study; give another name.")
            if found:
                return int(found["id"])
            done = link.execute("INSERT INTO readers (name, created, role) VALUES (?, ?, ?)", (name, now(), role))
            return int(done.lastrowid or 0)

    def readers(self, role: Role = "reader") -> dict[int, str]:
        """Names by number, of those with a role."""
        return {row[0]: row[1] for row in self.ask("SELECT id, name FROM readers WHERE role = ? ORDER BY id", role)}

    def role(self, reader: int) -> Role:
        """What a reader does in the study."""
        return self.ask("SELECT role FROM readers WHERE id = ?", reader)[0]["role"]

    def order(self, reader: int) -> list[str]:
        """Identifiers of all cases in this reader's own order, which nobody can tell without the study's secret."""
        secret = self.fact("secret")
        if secret is None:  # of random bits: a seed that others know would tell which case is which film
            self.describe({"secret": secrets.token_hex(32)})
            secret = self.fact("secret")

        def place(case: str) -> bytes:
            return hmac.digest(bytes.fromhex(secret), f"{reader}|{case}".encode(), "sha256")

        return sorted((row[0] for row in self.ask("SELECT id FROM cases")), key=place)

    def worklist(self, reader: int) -> list[Row]:
        """Every case in the reader's order, with its state, the reader's latest class, and their flag."""
        sql = """SELECT r.case_id, r.state, r.label, f.finished, f.label AS after FROM readings r
                 LEFT JOIN finals f ON f.reading = r.id WHERE r.reader = ?"""
        seen = {row["case_id"]: row for row in self.ask(sql, reader)}
        flags = {row[0] for row in self.ask("SELECT case_id FROM notes WHERE reader = ? AND flagged", reader)}
        rows: list[Row] = []
        for case in self.order(reader):
            row, flagged = seen.get(case), case in flags
            if row is None:
                rows.append(Row(case, "new", None, flagged))
            else:
                state = "finished" if row["finished"] else row["state"]
                rows.append(Row(case, state, row["after"] or row["label"], flagged))
        return rows

    def progress(self) -> tuple[int, int]:
        """(how many locks and finished answers there are, number of the last): changes whenever one is added."""
        row = self.ask("SELECT count(*), coalesce(max(id), 0) FROM events WHERE what IN ('locked', 'finished')")[0]
        return int(row[0]), int(row[1])

    def log(self, what: str, reader: int | None = None, case: str | None = None, detail: str = "") -> None:
        """Add a line to the study's log."""
        with self.change() as link:
            _log(link, what, reader, case, detail)

    # The blinded reading

    def reading(self, case: str, reader: int) -> Reading:
        """The reading as it stands; revision 0 where none was saved."""
        found = self.ask("SELECT * FROM readings WHERE case_id = ? AND reader = ?", case, reader)
        return self._reading(found[0]) if found else Reading()

    def _reading(self, row: sqlite3.Row) -> Reading:
        return Reading(
            row["revision"],
            None if row["finding"] is None else bool(row["finding"]),
            row["label"],
            row["confidence"],
            row["statement"],
            self._marks(row["id"]),
            row["seconds"],
            row["locked"],
            row["saved"],
            tuple(_mark(*m) for m in json.loads(row["removed"] or "[]")),
        )

    def _marks(self, reading: int) -> tuple[Mark, ...]:
        sql = "SELECT kind, points, type, confidence FROM regions WHERE reading = ? ORDER BY place"
        return tuple(_mark(m[0], json.loads(m[1]), m[2], m[3]) for m in self.ask(sql, reading))

    def save(self, case: str, reader: int, given: Reading, save: str) -> Reading:
        """Save a draft based on revision `given.revision`, durably; give it with its new revision.

        Args:
            given: what to save; its `seconds` are those of attention since the last save, added up.
            save: the caller's name for this save. The same save sent twice (its answer was lost) is one.
        """
        self.case(case)
        with self.change() as link:
            row = link.execute("SELECT * FROM readings WHERE case_id = ? AND reader = ?", (case, reader)).fetchone()
            if row is not None and row["state"] == "locked":
                raise StateError("this reading is locked.")
            if row is not None and row["save"] == save and row["revision"] == given.revision + 1:
                return self._reading(row)
            if (row["revision"] if row is not None else 0) != given.revision:
                raise StaleError("this reading was saved from elsewhere since.")
            at = now()
            values = (given.finding, given.label, given.confidence, given.statement)
            if row is None:
                sql = """INSERT INTO readings (case_id, reader, revision, save, state, finding, label, confidence,
                         statement, seconds, opened, saved) VALUES (?, ?, 1, ?, 'draft', ?, ?, ?, ?, 0, ?, ?)"""
                number = int(link.execute(sql, (case, reader, save, *values, at, at)).lastrowid or 0)
                _log(link, "opened", reader, case)
            else:
                number = int(row["id"])
                spent = min(given.seconds, _between(row["saved"], at) + _FREE_SECONDS)
                sql = """UPDATE readings SET revision = revision + 1, save = ?, finding = ?, label = ?, confidence = ?,
                         statement = ?, seconds = seconds + ?, saved = ? WHERE id = ?"""
                link.execute(sql, (save, *values, spent, at, number))
            old = self._marks(number)
            if gone := [m for m in old if m not in given.marks] if len(given.marks) < len(old) else []:
                kept = json.dumps([[m.kind, m.points, m.type, m.confidence] for m in gone])
                link.execute("UPDATE readings SET removed = ? WHERE id = ?", (kept, number))
            link.execute("DELETE FROM regions WHERE reading = ?", (number,))
            for place, mark in enumerate(given.marks):
                sql = "INSERT INTO regions (reading, place, kind, points, type, confidence) VALUES (?, ?, ?, ?, ?, ?)"
                link.execute(sql, (number, place, mark.kind, json.dumps(mark.points), mark.type, mark.confidence))
            return self._reading(link.execute("SELECT * FROM readings WHERE id = ?", (number,)).fetchone())

    def lock(self, case: str, reader: int, revision: int) -> Reading:
        """Lock the reading at `revision`, for good; locking it again is no error.

        Raises:
            StateError: nothing saved, or incomplete: a reading needs a class, a confidence, and either marks or "no
                finding".
        """
        with self.change() as link:
            row = link.execute("SELECT * FROM readings WHERE case_id = ? AND reader = ?", (case, reader)).fetchone()
            if row is None:
                raise StateError("incomplete: nothing was saved for this case.")
            if row["revision"] != revision:
                raise StaleError("this reading was saved from elsewhere since.")
            if row["state"] == "draft":
                at, sealed = now(), seal(case, reader, self._reading(row))
                sql = "UPDATE readings SET state = 'locked', locked = ?, seal = ? WHERE id = ?"
                link.execute(sql, (at, sealed, row["id"]))
                _log(link, "locked", reader, case, sealed)
            return self._reading(link.execute("SELECT * FROM readings WHERE id = ?", (row["id"],)).fetchone())

    # After the reveal

    def final(self, case: str, reader: int) -> Final:
        """The answer after the reveal as it stands."""
        sql = "SELECT f.* FROM finals f JOIN readings r ON r.id = f.reading WHERE r.case_id = ? AND r.reader = ?"
        found = self.ask(sql, case, reader)
        return _final(found[0]) if found else Final()

    def save_final(self, case: str, reader: int, given: Final, save: str) -> Final:
        """Save the answer after the reveal, as `save` does; with `given.finished` set, close the case for good."""
        with self.change() as link:
            sql = "SELECT id, locked FROM readings WHERE case_id = ? AND reader = ? AND state = 'locked'"
            reading = link.execute(sql, (case, reader)).fetchone()
            if reading is None:
                raise StateError("this reading is not locked yet.")
            row = link.execute("SELECT * FROM finals WHERE reading = ?", (reading["id"],)).fetchone()
            if row is not None and row["save"] == save and row["revision"] == given.revision + 1:
                return _final(row)
            if row is not None and row["finished"]:
                raise StateError("this case is finished.")
            if (row["revision"] if row is not None else 0) != given.revision:
                raise StaleError("this answer was saved from elsewhere since.")
            at = now()
            spent = min(given.seconds, _between(row["saved"] if row else reading["locked"], at) + _FREE_SECONDS)
            if row is None:
                sql = "INSERT INTO finals (reading, revision, save, saved) VALUES (?, 1, ?, ?)"
                link.execute(sql, (reading["id"], save, at))
            sql = """UPDATE finals SET revision = ?, save = ?, label = ?, confidence = ?, agree = ?, why = ?,
                     seconds = seconds + ?, saved = ?, finished = ? WHERE reading = ?"""
            done = at if given.finished else None
            values = (given.label, given.confidence, given.agree, given.why, spent, at, done, reading["id"])
            link.execute(sql, (given.revision + 1, save, *values))
            if done:
                _log(link, "finished", reader, case)
            return _final(link.execute("SELECT * FROM finals WHERE reading = ?", (reading["id"],)).fetchone())

    def locked(self, role: Role = "reader") -> list[tuple[Case, str, Reading, Final]]:
        """(case, reader's name, reading, final) of every locked reading of those with a role, all seals checked.

        Raises:
            SealError: a reading is not what was locked, or is gone.
        """
        sealed = {(e["case_id"], e["reader"]) for e in self.ask("SELECT * FROM events WHERE what = 'locked'")}
        names, films = self.readers(role), {c.id: c for c in self.cases()}
        found: list[tuple[Case, str, Reading, Final]] = []
        sql = """SELECT g.*, r.name FROM readings g JOIN readers r ON r.id = g.reader WHERE g.state = 'locked'
                 ORDER BY g.reader, g.case_id"""
        for row in self.ask(sql):
            reading = self._reading(row)
            if seal(row["case_id"], row["reader"], reading) != row["seal"]:
                raise SealError(
                    f"{self.path}: the reading of {films[row['case_id']].image_id} by {row['name']} is not "
                    "what was locked; somebody changed the database. Restore a copy."
                )
            if row["reader"] in names:
                final = self.final(row["case_id"], row["reader"])
                found.append((films[row["case_id"]], row["name"], reading, final))
            sealed.discard((row["case_id"], row["reader"]))
        if sealed:
            raise SealError(f"{self.path}: {len(sealed)} locked readings are gone from the database. Restore a copy.")
        return found


def seal(case: str, reader: int, reading: Reading) -> str:
    """SHA-256 over everything a lock makes firm."""
    marks = [[m.kind, m.points, *([m.type, m.confidence] if m.type or m.confidence else [])] for m in reading.marks]
    said = [reading.finding, reading.label, reading.confidence, reading.statement, reading.seconds]
    return hashlib.sha256(json.dumps([case, reader, reading.revision, *said, marks]).encode()).hexdigest()


def _mark(kind: Any, points: Any, type: str | None = None, confidence: int | None = None) -> Mark:
    return Mark(kind, tuple((float(x), float(y)) for x, y in points), type, confidence)


def _case(row: sqlite3.Row) -> Case:
    shape = (row["height"], row["width"])
    return Case(row["id"], row["image_id"], row["path"], row["patient_id"], row["label"], shape, row["sha256"])


def _final(row: sqlite3.Row) -> Final:
    values = (row["revision"], row["label"], row["confidence"], row["agree"], row["why"])
    return Final(*values, row["seconds"], row["finished"], row["saved"])


def _between(start: str, end: str) -> float:
    """Seconds from one time to another, never negative."""
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def _log(link: sqlite3.Connection, what: str, reader: int | None, case: str | None, detail: str = "") -> None:
    sql = "INSERT INTO events (at, reader, case_id, what, detail) VALUES (?, ?, ?, ?, ?)"
    link.execute(sql, (now(), reader, case, what, detail))
