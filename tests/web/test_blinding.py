"""The server keeps the model's side from whoever has not locked, and one reader's side from another."""

import gzip
import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from radiolucent.web.study_context import StudyContext
from support.study_server import ANSWER, FULL, ILL, SHAPE, Client, make_study, served


@pytest.fixture
def context(tmp_path: Path) -> Iterator[StudyContext]:
    with served(make_study(tmp_path)) as made:
        yield made


def test_model_routes_are_shut_until_the_asking_reader_locks(context: StudyContext) -> None:
    one, two = Client(context).enter("Dr A"), Client(context).enter("Dr B")
    case = one.cases()[0]
    paths = [f"/api/cases/{case}/{p}" for p in ("prediction", "maps/gradcam", "maps/gradcam/agreement?threshold=0.5")]
    context.reveal.ahead(context.store.cases(), lambda *_: None)  # also where everything is computed already
    for state in ("new", "draft"):
        if state == "draft":
            one.save(case, ILL, 0)
        assert [one.ask("GET", p)[0] for p in paths] == [403, 403, 403]
        assert one.ask("PUT", f"/api/cases/{case}/final", ANSWER | {"revision": 0, "save": "x" * 9})[0] == 403
    one.json("POST", f"/api/cases/{case}/lock", {"revision": 1})
    assert [one.wait(p)[0] for p in paths] == [200, 200, 200]
    assert [two.ask("GET", p)[0] for p in paths] == [403, 403, 403]  # the other reader's lock opens nothing
    assert two.json("GET", f"/api/cases/{case}")["reading"]["revision"] == 0
    assert {row["state"] for row in two.json("GET", "/api/worklist")} == {"new"}
    assert one.ask("GET", "/statistics")[0] == two.ask("GET", "/export/readings.csv")[0] == 403


def test_before_the_lock_answers_do_not_depend_on_the_model(tmp_path: Path) -> None:
    """The same steps in two studies with different networks: every answer is the same, byte for byte."""
    films: dict[int, list[tuple[str, int, dict[str, str], bytes]]] = {}
    for seed in (0, 1):
        context = make_study(tmp_path, seed=seed, name=f"study{seed}")
        with context.store.change() as link:  # the same opaque names and cookie for both
            link.execute("DROP TRIGGER cases_update")
            link.execute(
                "UPDATE cases SET id = printf('%012x', (SELECT count(*) FROM cases c WHERE c.path < cases.path))"
            )
            link.execute("UPDATE study SET value = '\"k\"' WHERE key = 'key'")
            link.execute("UPDATE study SET value = '\"00\"' WHERE key = 'secret'")
        with served(context):
            context.reveal.ahead(context.store.cases(), lambda *_: None)
            reader = Client(context).enter("Dr A")
            for path in ("/", "/static/main.js", "/static/compare.js", "/api/study", "/statistics", "/api/organiser"):
                reader.ask("GET", path)
            for case in reader.cases():
                for path in (
                    "",
                    "/film",
                    "/film/0",
                    "/opinions",
                    "/maps/gradcam/trust",
                    "/prediction",
                    "/maps/gradcam",
                    "/maps/lime",
                    "/maps/lime/agreement?threshold=.4",
                ):
                    reader.ask("GET", f"/api/cases/{case}{path}")
                reader.save(case, FULL, 0, "a" * 9)
                reader.ask("GET", f"/api/cases/{case}")
            reader.ask("GET", "/export/readings.coco.json")
            films[seed] = reader.seen
            said = [context.reveal.prediction(c) for c in context.store.cases()]
            for value in (str(s["probability"]) for s in said if s):
                assert not any(value.encode() in body for _, _, _, body in reader.seen)
    a, b = films[0], films[1]
    assert len(a) == len(b) > 30
    for (ask, status, headers, body), other in zip(a, b, strict=True):
        assert (ask, status, _untimed(headers), _plain(body)) == (
            other[0],
            other[1],
            _untimed(other[2]),
            _plain(other[3]),
        )


def _plain(body: bytes) -> bytes:
    """Without times and without what a session draws for itself."""
    return re.sub(rb'"(20\d\d-|ticket":|key":)[^"]*"?[^"]*"', b'"T"', body)


def _untimed(headers: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k not in ("date", "set-cookie")}


def test_names_in_answers_say_nothing_of_the_film(context: StudyContext) -> None:
    reader = Client(context).enter("Dr A")
    for case in reader.cases():
        assert re.fullmatch("[0-9a-f]{12}", case)
        reader.ask("GET", f"/api/cases/{case}")
        reader.ask("GET", f"/api/cases/{case}/film")
    for _, _, headers, body in reader.seen:
        told = body + json.dumps(headers).encode()
        assert b"secret-name" not in told and b".png" not in told


def test_a_film_arrives_as_its_levels(context: StudyContext) -> None:
    reader = Client(context).enter("Dr A")
    case, following, later, last = reader.cases()[:4]
    about = reader.json("GET", f"/api/cases/{case}/film")
    status, headers, body = reader.ask("GET", f"/api/cases/{case}/film/0")
    end = time.monotonic() + 300
    while not (context.films.folder / f"{later}.json").is_file():  # decoded while the reader looks at the first
        assert time.monotonic() < end
        time.sleep(0.02)
    assert (context.films.folder / f"{following}.json").is_file()
    assert not (context.films.folder / f"{last}.json").exists()
    film = context.films.radiograph(context.store.case(case))
    assert status == 200 and (about["bits"], about["slope"], about["intercept"]) == (8, 1, 0)
    assert headers["content-encoding"] == "gzip"
    assert not {"last-modified", "etag"} & set(headers)  # they tell when another reader opened it
    differences = np.frombuffer(gzip.decompress(body), "<u2").reshape(SHAPE)
    assert np.array_equal(np.cumsum(differences, axis=1, dtype=np.uint16), np.rint(film.pixels * 255))
    assert reader.ask("GET", f"/api/cases/{case}/film/1")[0] == 404  # so small a film is not halved


def test_the_second_phase(context: StudyContext) -> None:
    reader = Client(context).enter("Dr A")
    case = reader.cases()[0]
    reader.lock(case)
    said = json.loads(reader.wait(f"/api/cases/{case}/prediction")[2])
    assert (
        said["target"] == "PNEUMONIA" and said["methods"] == ["gradcam", "lime"] and said["called"] in said["headline"]
    )
    status, headers, body = reader.wait(f"/api/cases/{case}/maps/gradcam")
    place, stored = json.loads(headers["x-map"]), context.reveal.explanation(context.store.case(case), "gradcam")
    assert status == 200 and stored and not isinstance(stored, str)
    levels = np.frombuffer(body, "<i2").reshape(place["height"], place["width"])
    assert np.allclose(levels / 32767 * np.abs(stored.map).max(), stored.map, atol=np.abs(stored.map).max() / 32767)
    assert place["place"] == [0, 0, SHAPE[1], SHAPE[0]] and place["peak"] == levels.max()
    found = json.loads(reader.wait(f"/api/cases/{case}/maps/gradcam/agreement?threshold=0.5")[2])
    assert found["reason"] or 0 < found["area"] < 1
    assert reader.ask("GET", f"/api/cases/{case}/maps/none")[0] == 404
    for wrong in ("nan", "0", "2", "x", "", "0.5" * 9):
        assert reader.ask("GET", f"/api/cases/{case}/maps/gradcam/agreement?threshold={wrong}")[0] == 422
    assert reader.save(case, FULL, 1)[0] == 409
    half = ANSWER | {"agree": None, "finish": True, "revision": 0, "save": "s" * 9}
    assert reader.ask("PUT", f"/api/cases/{case}/final", half)[0] == 409
    done = reader.json("PUT", f"/api/cases/{case}/final", ANSWER | {"revision": 0, "save": "t" * 9, "finish": True})
    assert done["finished"]
    again = reader.ask("PUT", f"/api/cases/{case}/final", ANSWER | {"revision": 1, "save": "u" * 9})
    assert again[0] == 409 and json.loads(again[2])["error"] == "phase"


def test_statistics_open_for_who_has_finished_and_for_the_organiser(context: StudyContext) -> None:
    reader, other, organiser = (
        Client(context).enter("Dr A"),
        Client(context).enter("Dr <b>B"),
        Client(context).enter(None),
    )
    assert b"No reading has been locked" in organiser.ask("GET", "/statistics")[2]
    for one in (reader, other):
        for i, case in enumerate(one.cases()):
            one.lock(case, ILL if i % 2 else FULL)
            one.json("PUT", f"/api/cases/{case}/final", ANSWER | {"revision": 0, "save": "t" * 9, "finish": True})
            one.wait(f"/api/cases/{case}/maps/lime")
    for one in (reader, organiser):
        status, _, body = one.ask("GET", "/statistics")
        assert status == 200 and b"Dr A" in body and b"Dr &lt;b&gt;B" in body and b"<b>B" not in body
        assert b"Who was right" in body
    own = reader.ask("GET", "/export/readings.csv")[2].decode().splitlines()
    every = organiser.ask("GET", "/export/readings.csv")[2].decode().splitlines()
    assert len(own) == 6 and len(every) == 11 and not any("<b>B" in line for line in own)
    coco = json.loads(organiser.ask("GET", "/export/readings.coco.json")[2])
    assert len(coco["readings"]) == 10 and coco["annotations"][0]["bbox"] == [20.25, 30.5, 69.75, 70.25]
    assert organiser.ask("GET", "/api/worklist")[0] == 403


def test_two_tabs_the_stale_one_is_told(context: StudyContext) -> None:
    reader = Client(context).enter("Dr A")
    case = reader.cases()[0]
    assert reader.save(case, ILL, 0)[0] == 200
    status, told = reader.save(case, FULL, 0)
    assert status == 409 and told["error"] == "stale"
    name = secrets.token_hex(8)
    assert reader.save(case, FULL, 1, name)[1]["revision"] == reader.save(case, FULL, 1, name)[1]["revision"] == 2
    assert reader.ask("POST", f"/api/cases/{case}/lock", {"revision": 1})[0] == 409
