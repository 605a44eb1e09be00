"""The store: what is acknowledged stays, what is locked is firm, whoever asks."""

import dataclasses
import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from radiolucent.data import read_annotations
from radiolucent.readers.store import Store
from radiolucent.readers.store_access import Access, access, enter, leave, new_token, page_hash, revoke, ticket, visitor
from radiolucent.readers.store_export import annotations, export, readings_csv
from radiolucent.readers.store_notes import Note, comments, note, opinions, save_note, to_settle
from radiolucent.readers.store_open import migrations
from radiolucent.readers.store_values import (
    UNASSESSED,
    Case,
    Final,
    Mark,
    Reading,
    SealError,
    StaleError,
    StateError,
    StoreError,
)

BOX = Mark("box", ((10.25, 20.5), (60.0, 80.75)))
SHAPE = Mark("polygon", ((1.0, 1.0), (30.5, 2.0), (15.0, 40.0)))
ILL = Reading(finding=True, label="PNEUMONIA", confidence=4, statement="consolidation", marks=(BOX, SHAPE))
WELL = Reading(finding=False, label="NORMAL", confidence=5)


def film(number: int) -> Case:
    return Case(
        f"case{number:08d}", f"test/{number}.png", f"/films/{number}.png", f"p{number}", "NORMAL", (90, 100), "0"
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "study.db")
    made.describe({"name": "trial", "seed": 3})
    made.add_cases(film(n) for n in range(12))
    return made


def locked(store: Store, reader: int, number: int, given: Reading = ILL) -> str:
    case = film(number).id
    store.save(case, reader, given, "a")
    store.lock(case, reader, 1)
    return case


def test_settings_are_durable(store: Store) -> None:
    assert store.ask("PRAGMA journal_mode")[0][0] == "wal"
    assert store.ask("PRAGMA synchronous")[0][0] == 2  # FULL
    assert store.ask("PRAGMA user_version")[0][0] == migrations()[-1][0]
    assert [n for n, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_reading_comes_back_as_saved_also_after_reopening(store: Store) -> None:
    reader = store.reader("Dr A")
    saved = store.save(film(0).id, reader, ILL, "a")
    store.close()
    again = Store(store.path)
    assert again.reading(film(0).id, reader) == saved
    assert (saved.revision, saved.marks, saved.statement) == (1, (BOX, SHAPE), "consolidation")


def test_a_stale_save_is_refused_and_a_repeated_one_is_one(store: Store) -> None:
    reader, case = store.reader("Dr A"), film(0).id
    first = store.save(case, reader, ILL, "a")
    assert store.save(case, reader, ILL, "a") == first
    with pytest.raises(StaleError):
        store.save(case, reader, WELL, "b")
    assert store.save(case, reader, Reading(revision=1, statement="more"), "c").revision == 2
    with pytest.raises(StaleError):
        store.lock(case, reader, 1)


def test_a_stale_answer_after_the_reveal_is_refused_and_a_repeated_one_is_one(store: Store) -> None:
    reader, case = store.reader("Dr A"), film(0).id
    locked(store, reader, 0)
    first = store.save_final(case, reader, Final(label="NORMAL"), "a")
    assert store.save_final(case, reader, Final(label="NORMAL"), "a") == first
    with pytest.raises(StaleError):
        store.save_final(case, reader, Final(label="PNEUMONIA"), "b")
    assert store.save_final(case, reader, Final(revision=1, label="NORMAL", confidence=2), "c").revision == 2


def test_every_reader_has_their_own_order_and_readings(store: Store) -> None:
    a, b = store.reader("Dr A"), store.reader("Dr B")
    assert store.reader("Dr A") == a
    assert store.order(a) == store.order(a) != store.order(b)
    assert sorted(store.order(a)) == sorted(store.order(b))
    locked(store, a, 0)
    assert [r.state for r in store.worklist(a)].count("locked") == 1
    assert {r.state for r in store.worklist(b)} == {"new"}
    assert store.reading(film(0).id, b) == Reading()


def test_the_order_comes_from_a_secret_that_stays(store: Store, tmp_path: Path) -> None:
    """Neither seed nor identifiers tell which case is which film; a study keeps its order when it is opened again."""
    other = Store(tmp_path / "other.db")
    other.describe({"seed": 3})
    other.add_cases(film(n) for n in range(12))
    assert store.order(1) != other.order(1)
    assert len(store.fact("secret")) == 64 and store.fact("secret") != other.fact("secret")
    before = store.order(1)
    store.close()
    assert Store(store.path).order(1) == before


@pytest.mark.parametrize(
    "given",
    [
        Reading(label="NORMAL", confidence=3),
        Reading(finding=True, label="PNEUMONIA", confidence=3),
        Reading(finding=False, label="NORMAL", confidence=3, marks=(BOX,)),
        Reading(finding=False, confidence=3),
        Reading(finding=False, label="NORMAL"),
    ],
)
def test_an_incomplete_reading_cannot_be_locked(store: Store, given: Reading) -> None:
    reader = store.reader("Dr A")
    store.save(film(0).id, reader, given, "a")
    with pytest.raises(StateError, match="incomplete"):
        store.lock(film(0).id, reader, 1)
    assert store.reading(film(0).id, reader).locked is None


def test_phases_follow_each_other(store: Store) -> None:
    reader, case = store.reader("Dr A"), film(0).id
    with pytest.raises(StateError):
        store.lock(case, reader, 0)
    with pytest.raises(StateError):
        store.save_final(case, reader, Final(label="NORMAL"), "x")
    locked(store, reader, 0)
    assert store.lock(case, reader, 1).locked
    with pytest.raises(StateError):
        store.save(case, reader, Reading(revision=1), "b")
    store.save_final(case, reader, Final(label="NORMAL", confidence=2), "x")
    with pytest.raises(StateError):  # complete answers only
        store.save_final(case, reader, Final(revision=1, label="NORMAL", finished="yes"), "y")
    done = Final(revision=1, label="NORMAL", confidence=2, agree="agree", why="clear lungs", finished="yes")
    assert store.save_final(case, reader, done, "y").finished
    with pytest.raises(StateError):
        store.save_final(case, reader, Final(revision=2), "z")
    with pytest.raises(StoreError):
        store.save("case99999999", reader, ILL, "a")


ATTACKS = [
    "UPDATE readings SET label = 'NORMAL'",
    "UPDATE readings SET state = 'draft'",
    "UPDATE OR REPLACE readings SET id = 1 WHERE id = 2",
    "UPDATE OR REPLACE readings SET case_id = 'case00000000', reader = 1 WHERE id = 2",
    "DELETE FROM readings",
    "INSERT OR REPLACE INTO readings (id, case_id, reader, revision, save, state, opened, saved) "
    "VALUES (1, 'case00000005', 1, 1, '', 'draft', '', '')",
    "INSERT OR REPLACE INTO readings (case_id, reader, revision, save, state, opened, saved) "
    "VALUES ('case00000000', 1, 1, '', 'draft', '', '')",
    "INSERT INTO readings (case_id, reader, revision, save, state, opened, saved) "
    "VALUES ('case00000007', 1, 1, '', 'locked', '', '')",
    "REPLACE INTO readings SELECT id, case_id, reader, 9, save, 'draft', 0, label, 1, '', 0, opened, saved, NULL, "
    "NULL, NULL FROM readings WHERE id = 1",
    "UPDATE regions SET points = '[[0,0],[1,1]]' WHERE reading = 1",
    "UPDATE regions SET reading = 1, place = 9 WHERE reading = 2",
    "UPDATE regions SET type = 'nodule' WHERE reading = 1",
    "UPDATE readings SET removed = '[]' WHERE id = 1",
    "UPDATE readings SET confidence = NULL, state = 'locked', locked = '', seal = '' WHERE id = 2",
    "UPDATE readings SET label = 'cannot be assessed', state = 'locked', locked = '', seal = '' WHERE id = 2",
    "UPDATE readers SET role = 'adjudicator'",
    "UPDATE OR REPLACE regions SET id = 1 WHERE reading = 2",
    "DELETE FROM regions",
    "INSERT INTO regions (reading, place, kind, points) VALUES (1, 9, 'box', '[[0,0],[1,1]]')",
    "INSERT OR REPLACE INTO regions (id, reading, place, kind, points) VALUES (1, 2, 9, 'box', '[[0,0],[1,1]]')",
    "INSERT OR REPLACE INTO regions (reading, place, kind, points) VALUES (1, 0, 'box', '[[0,0],[1,1]]')",
    "UPDATE finals SET label = 'PNEUMONIA'",
    "DELETE FROM finals",
    "INSERT OR REPLACE INTO finals (reading, revision, save, saved) VALUES (1, 1, '', '')",
    "INSERT INTO finals (reading, revision, save, saved) VALUES (2, 1, '', '')",
    "DELETE FROM cases",
    "UPDATE cases SET label = 'PNEUMONIA' WHERE id = 'case00000000'",
    "UPDATE cases SET patient_id = NULL WHERE id = 'case00000000'",
    "UPDATE study SET value = '7' WHERE key = 'seed'",
    "DELETE FROM study",
    "INSERT OR REPLACE INTO study VALUES ('seed', '7')",
    "UPDATE cases SET image_id = 'other.png' WHERE id = 'case00000000'",
    "INSERT OR REPLACE INTO cases VALUES ('case00000000', 'x', 'x', NULL, NULL, 1, 1, '')",
    "DELETE FROM readers",
    "UPDATE readers SET name = 'Dr X'",
    "INSERT OR REPLACE INTO readers VALUES (1, 'Dr X', '', 'reader')",
    "DELETE FROM events",
    "UPDATE events SET what = ''",
    "INSERT OR REPLACE INTO events (id, at, what) VALUES (1, '', '')",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_locked_readings_resist_direct_sql(store: Store, attack: str) -> None:
    """A plain connection, as any program would open it: no foreign keys, no recursive triggers."""
    reader, case = store.reader("Dr A"), film(0).id
    locked(store, reader, 0)
    store.save_final(case, reader, Final(label="NORMAL", confidence=2, agree="partly", finished="yes"), "x")
    store.save(film(1).id, reader, ILL, "a")  # a draft beside it
    store.close()
    other = sqlite3.connect(store.path, isolation_level=None)
    tables = ("readings", "regions", "finals", "cases", "readers", "events", "study")
    before = [other.execute(f"SELECT * FROM {t}").fetchall() for t in tables]
    with pytest.raises(sqlite3.IntegrityError, match=r"locked|incomplete"):
        other.execute(attack)
    assert [other.execute(f"SELECT * FROM {t}").fetchall() for t in tables] == before
    other.close()


def test_a_draft_yields_to_direct_sql_so_that_the_attacks_prove_something(store: Store) -> None:
    store.save(film(1).id, store.reader("Dr A"), ILL, "a")
    with store.change() as link:
        assert link.execute("UPDATE readings SET label = 'NORMAL'").rowcount == 1
        assert link.execute("DELETE FROM regions").rowcount == 2
        assert link.execute("DELETE FROM readings").rowcount == 1


def test_a_broken_seal_is_found(store: Store) -> None:
    locked(store, store.reader("Dr A"), 0)
    assert len(store.locked()) == 1
    with store.change() as link:  # whoever can drop triggers can change rows, but not unseen
        link.execute("DROP TRIGGER regions_update")
        link.execute("UPDATE regions SET points = '[[1, 1], [2, 2]]' WHERE place = 0")
    with pytest.raises(SealError, match="Dr A"):
        store.locked()


def test_a_draft_that_was_locked_by_hand_is_found(store: Store) -> None:
    store.save(film(0).id, store.reader("Dr A"), WELL, "a")
    with store.change() as link:
        link.execute("UPDATE readings SET state = 'locked', locked = '', seal = 'forged'")
    with pytest.raises(SealError, match="Dr A"):
        store.locked()


def test_a_locked_reading_that_is_gone_is_missed(store: Store) -> None:
    reader = store.reader("Dr A")
    locked(store, reader, 0)
    locked(store, reader, 1)
    with store.change() as link:
        for trigger in ("regions_delete", "readings_delete"):
            link.execute(f"DROP TRIGGER {trigger}")
        link.execute("DELETE FROM regions WHERE reading = 1")
        link.execute("DELETE FROM readings WHERE id = 1")
    with pytest.raises(SealError, match="1 locked readings are gone"):
        store.locked()


def test_facts_that_are_there_stay_also_after_a_lock(store: Store) -> None:
    locked(store, store.reader("Dr A"), 0)
    store.describe({"seed": 4, "limit": 7})
    assert store.fact("seed") == 3 and store.fact("limit") == 7


def test_a_newer_or_foreign_file_is_refused(tmp_path: Path) -> None:
    newer = Store(tmp_path / "newer.db")
    with newer.change() as link:
        link.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="update radiolucent"):
        Store(newer.path)
    (tmp_path / "text.db").write_text("no database" * 200)
    with pytest.raises(StoreError, match="no study database"):
        Store(tmp_path / "text.db")


def test_attention_is_added_up_but_never_more_than_went_by(store: Store) -> None:
    reader, case = store.reader("Dr A"), film(0).id
    store.save(case, reader, ILL, "a")
    store.save(case, reader, Reading(revision=1, seconds=2.5), "b")
    assert store.save(case, reader, Reading(revision=2, seconds=9e9), "c").seconds < 2.5 + 6


def test_tokens_open_once_and_only_hashes_are_kept(store: Store) -> None:
    reader = store.reader("Dr A")
    withdrawn, token, organiser = new_token(store, reader), new_token(store, reader), new_token(store, None)
    assert enter(store, withdrawn) is None
    entered = enter(store, token)
    assert entered and entered.reader == reader
    assert enter(store, token) is None and enter(store, "") is None
    found = visitor(store, entered.secret)
    assert found and found.reader == reader and found.key == page_hash(ticket(entered.key))
    assert visitor(store, token) is None and visitor(store, entered.key) is None
    other = enter(store, organiser)
    assert other and other.reader is None
    again = enter(store, new_token(store, reader))  # a new link ends what the old one opened
    assert again and visitor(store, again.secret) and visitor(store, entered.secret) is None
    assert visitor(store, other.secret) and access(store)[reader].seen and not access(store)[reader].link
    new_token(store, reader)
    assert access(store)[reader].link
    revoke(store, reader)
    assert visitor(store, again.secret) is None and access(store)[reader] == Access(reader, False, None)
    assert visitor(store, other.secret)
    leave(store, other.secret)
    assert visitor(store, other.secret) is None
    secrets = (token, organiser, entered.secret, other.secret, entered.key, other.key, ticket(other.key))
    store.close()
    held = b"".join(f.read_bytes() for f in store.path.parent.iterdir())
    assert not any(s.encode() in held for s in secrets)


def test_a_session_ends_by_itself(store: Store) -> None:
    entered = enter(store, new_token(store, store.reader("Dr A")))
    assert entered and visitor(store, entered.secret)
    with store.change() as link:
        link.execute("UPDATE sessions SET created = '2020-01-01T00:00:00.000+00:00'")
    assert visitor(store, entered.secret) is None


def test_what_a_save_took_away_can_be_brought_back(store: Store) -> None:
    reader, case = store.reader("Dr A"), film(0).id
    store.save(case, reader, ILL, "a")
    store.save(case, reader, dataclasses.replace(WELL, revision=1), "b")
    found = store.reading(case, reader)
    assert found.marks == () and found.removed == (BOX, SHAPE)
    kept = store.save(case, reader, dataclasses.replace(ILL, revision=2, marks=(SHAPE, BOX)), "c")
    assert kept.removed == (BOX, SHAPE)  # nothing was taken away since


def test_a_film_that_cannot_be_assessed_says_neither_finding_nor_none(store: Store, tmp_path: Path) -> None:
    reader, case = store.reader("Dr A"), film(0).id
    locked(store, reader, 0, Reading(label=UNASSESSED, statement="rotated"))
    locked(store, reader, 1, WELL)
    assert [a.image_id for a in annotations(store)] == ["test/1.png"]
    row = readings_csv(store).splitlines()[1]
    assert f",Dr A,,{UNASSESSED},,rotated," in row
    store.save_final(case, reader, Final(label=UNASSESSED, agree="disagree"), "x")
    assert store.save_final(case, reader, Final(1, UNASSESSED, None, "disagree", finished="y"), "y").finished
    mixed = (Reading(finding=False, label=UNASSESSED), Reading(finding=True, label=UNASSESSED, marks=(BOX,)))
    for number, given in enumerate(mixed, 2):
        store.save(film(number).id, reader, given, "a")
        with pytest.raises(StateError, match="incomplete"):
            store.lock(film(number).id, reader, 1)


def test_what_is_settled_is_an_annotation_source(store: Store, tmp_path: Path) -> None:
    a, b, judge = store.reader("Dr A"), store.reader("Dr B"), store.reader("Dr Z", "adjudicator")
    locked(store, a, 0)
    assert to_settle(store) == set()
    case = locked(store, b, 0, WELL)
    assert to_settle(store) == {case}
    said = opinions(store, case)
    assert {o.name for o in said} == {"Reader A", "Reader B"} and {o.label for o in said} == {"NORMAL", "PNEUMONIA"}
    typed = dataclasses.replace(BOX, type="nodule", confidence=2)
    locked(store, judge, 0, dataclasses.replace(ILL, marks=(typed,)))
    assert store.readers() == {a: "Dr A", b: "Dr B"} and len(store.locked()) == 2  # readers alone
    assert [m.type for m in store.locked("adjudicator")[0][2].marks] == ["nodule"]
    files = export(store, tmp_path / "out", ["NORMAL", "PNEUMONIA"])
    back = read_annotations(files[2])
    assert [(x.reader, x.image_id, len(x.regions)) for x in back] == [("adjudicated", "test/0.png", 1)]
    assert {x.reader for x in read_annotations(files[1])} == {"Dr A", "Dr B"}
    with pytest.raises(StoreError, match="adjudicator"):
        store.reader("Dr Z")


def test_notes_stay_open_after_the_lock(store: Store) -> None:
    reader = store.reader("Dr A")
    case = locked(store, reader, 0)
    save_note(store, case, reader, Note(True, "is this the right film?"))
    assert note(store, case, reader).comment and [r.case for r in store.worklist(reader) if r.flagged] == [case]
    assert comments(store) == [("test/0.png", "Dr A", Note(True, "is this the right film?"))]


def test_an_older_study_opens_with_its_locks_intact(tmp_path: Path) -> None:
    """A database as the first two migrations left it, with a locked reading sealed then."""
    path = tmp_path / "study.db"
    link = sqlite3.connect(path)
    for number, sql in migrations()[:2]:
        link.executescript(f"BEGIN;{sql};PRAGMA user_version = {number};COMMIT;")
    link.execute("INSERT INTO readers VALUES (1, 'Dr A', '')")
    link.execute("INSERT INTO cases VALUES ('case00000000', 'a', 'a', NULL, NULL, 90, 100, '')")
    said = [1, "PNEUMONIA", 4, "", 0.0]
    points = [[1.0, 1.0], [2.0, 2.0]]
    content = ["case00000000", 1, 1, True, *said[1:], [["box", points]]]
    old = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    link.execute(
        "INSERT INTO readings (id, case_id, reader, revision, save, state, finding, label, confidence, opened, saved) "
        "VALUES (1, 'case00000000', 1, 1, 'x', 'draft', 1, 'PNEUMONIA', 4, '', '')"
    )
    link.execute("INSERT INTO regions (reading, place, kind, points) VALUES (1, 0, 'box', ?)", (json.dumps(points),))
    link.execute("UPDATE readings SET state = 'locked', locked = 'then', seal = ? WHERE id = 1", (old,))
    link.commit()
    link.close()
    path.chmod(0o644)
    store = Store(path)
    assert len(store.locked()) == 1 and path.stat().st_mode & 0o777 == 0o600
    store.close()


def test_exports_hold_locked_readings_in_source_pixels(store: Store, tmp_path: Path) -> None:
    a, b = store.reader("Dr A"), store.reader("Dr B")
    locked(store, a, 0)
    locked(store, b, 1, WELL)
    store.save(film(2).id, a, ILL, "a")  # a draft is nobody's business
    store.save_final(film(0).id, a, Final(label="NORMAL", confidence=1, agree="agree", why="=1+1", finished="yes"), "x")
    files = export(store, tmp_path / "out", ["NORMAL", "PNEUMONIA"])
    coco = json.loads(files[1].read_text())
    assert coco["images"][0] == {"id": 1, "file_name": "test/0.png", "height": 90, "width": 100}
    back = {x.reader: x for x in read_annotations(files[1])}
    assert back["Dr A"].regions[0].points.tolist() == [list(p) for p in BOX.points]
    assert back["Dr A"].regions[1].points.tolist() == [list(p) for p in SHAPE.points]
    assert back["Dr B"].finding is False and back["Dr B"].regions == ()
    rows = readings_csv(store).splitlines()
    assert rows[0].startswith("\ufeffcase,"), "without the mark Excel takes letters such as ü for two others"
    assert len(rows) == 3 and ",'=1+1," in rows[1] and rows[1].endswith(",1")
    assert len(annotations(store, "Dr B")) == 1
