"""Opening a study's database: durable settings and numbered migrations."""

import os
import re
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from radiolucent.readers.private import private_folder
from radiolucent.readers.store_values import StoreError

__all__ = ["connect", "migrate", "migrations"]


def connect(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode that flushes every commit to disk (`synchronous = FULL`).

    Raises:
        StoreError: the file is no database, or the disk does not carry a write-ahead log.
    """
    private_folder(path.parent)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its log files the database's rights
    path.chmod(0o600)
    link = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        mode = link.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(f"{path}: journal mode {mode}, expected wal; put the study on a local disk.")
        for setting in ("synchronous = FULL", "foreign_keys = ON", "recursive_triggers = ON", "trusted_schema = OFF"):
            link.execute(f"PRAGMA {setting}")
        migrate(link, path)
    except sqlite3.DatabaseError as error:
        link.close()
        raise StoreError(f"{path}: is no study database ({error}); choose another study or restore a copy.") from error
    except StoreError:
        link.close()
        raise
    return link


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) of every migration, in order; numbers run from 1 without gaps."""
    folder = files("radiolucent.readers") / "migrations"
    names = sorted(item.name for item in folder.iterdir() if re.fullmatch(r"\d{3}_\w+\.sql", item.name))
    return [(int(name[:3]), (folder / name).read_text(encoding="utf-8")) for name in names]


def migrate(link: sqlite3.Connection, path: Path) -> None:
    """Bring a database to the newest version, one migration a transaction; the version is `user_version`."""
    steps = migrations()
    newest = steps[-1][0]
    with closing(link.cursor()) as cursor:
        version = int(cursor.execute("PRAGMA user_version").fetchone()[0])
        if version > newest:
            raise StoreError(
                f"{path}: version {version} of the study; this program knows {newest}: update radiolucent."
            )
        for number, sql in steps:
            if number > version:
                try:
                    cursor.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")
                except sqlite3.Error:
                    if link.in_transaction:
                        link.rollback()
                    raise
