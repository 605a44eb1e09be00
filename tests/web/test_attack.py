"""Somebody who wants in, wants to know, or wants to stop the others: order, files, connections, sessions, names."""

import contextlib
import csv
import io
import json
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from radiolucent.readers.store_access import new_token
from radiolucent.readers.store_export import export
from radiolucent.web import guard
from radiolucent.web.connections import FairProtocol
from radiolucent.web.standalone import write_statistics
from radiolucent.web.study_context import StudyContext
from support.study_server import ANSWER, FULL, ILL, Client, make_study, served, write_dicom

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "a\"b'c",
    "\u202egnp.exe",
    "{{ 7 * 7 }}",
    "../../etc/passwd",
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    with served(make_study(tmp_path_factory.mktemp("attack"), count=4)) as made:
        yield made


def test_files_are_closed_to_other_accounts(tmp_path: Path) -> None:
    """After everything that writes was done, also in a folder that an earlier version left open."""
    (tmp_path / "study" / "reveal").mkdir(parents=True)
    (tmp_path / "study" / "reveal" / "old.json").write_text("{}")
    for path in (tmp_path / "study", tmp_path / "study" / "reveal", tmp_path / "study" / "reveal" / "old.json"):
        path.chmod(0o777)
    with served(make_study(tmp_path, count=2, stamps=True)) as context:
        reader = Client(context).enter("Dr A")
        for case in reader.cases():
            reader.ask("GET", f"/api/cases/{case}/film/0")
            reader.lock(case)
            assert reader.wait(f"/api/cases/{case}/maps/gradcam/trust")[0] == 200
        assert reader.ask("GET", "/nowhere")[0] == 404
        context.failures.line(test=True)
        export(context.store, tmp_path / "study" / "out", context.class_names)
        write_statistics(context, tmp_path / "study" / "out" / "statistics.html")
        found = [tmp_path / "study", *(tmp_path / "study").rglob("*")]
        kinds = {p.suffix for p in found}
        assert {".db", ".log", ".npz", ".json", ".gz", ".csv", ".html", ".db-wal"} <= kinds
        open_ones = [p for p in found if stat.S_IMODE(p.stat().st_mode) & 0o077 and p.name != "out"]
        assert open_ones == []


def test_headers_that_never_end_keep_nobody_out(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FairProtocol, "HEADER_SECONDS", 1.0)
    reader = Client(context).enter("Dr Patient")
    slow: list[socket.socket] = []
    try:
        for number in range(FairProtocol.OF_ONE + 40):
            link = socket.create_connection(("127.0.0.1", context.port), timeout=20)
            link.sendall(b"GET / HTTP/1.1\r\nHost: x" if number % 2 else b"")
            slow.append(link)
            if number % 20 == 0:
                start = time.monotonic()
                reader.cases()
                assert time.monotonic() - start < 5
        reader.cases()
        end = time.monotonic() + 20  # and in the end all of them are closed
        left = list(slow)
        while left and time.monotonic() < end:
            for link in left[:]:
                link.settimeout(0.01)
                try:
                    if link.recv(1000) == b"":
                        left.remove(link)
                except TimeoutError:
                    continue
                except OSError:
                    left.remove(link)
        assert not left
    finally:
        for link in slow:
            link.close()


def test_who_does_not_take_an_answer_is_dropped(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FairProtocol, "TAKE_SECONDS", 0.5)
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect(("127.0.0.1", context.port))
        many = f"GET /static/tools.js HTTP/1.1\r\nHost: 127.0.0.1:{context.port}\r\n\r\n".encode() * 800
        link.settimeout(20)
        with pytest.raises(OSError):
            for _ in range(400):
                link.sendall(many)
                time.sleep(0.02)


def test_a_cookie_alone_opens_nothing(context: StudyContext) -> None:
    """Browsers send cookies to every port of this machine: another account's server sees them."""
    reader, organiser = Client(context).enter("Dr Robbed"), Client(context).enter(None)
    case = reader.cases()[0]
    reader.lock(case)
    ticket = reader.json("GET", "/api/study")["ticket"]
    paths = ["/api/study", "/api/worklist", f"/api/cases/{case}", f"/api/cases/{case}/film/0"]
    paths += [f"/api/cases/{case}/prediction", "/statistics", "/export/readings.csv", "/api/organiser"]
    for whole in (reader, organiser):
        thief = Client(context, whole.cookie)
        assert {thief.ask("GET", p)[0] for p in paths} == {401}
        assert thief.json("GET", "/api/session") == {"role": None}
        assert thief.ask("DELETE", "/api/session")[0] == 401 and whole.json("GET", "/api/session")["role"]
        thief.key = "guess" * 9
        assert {thief.ask("GET", p)[0] for p in paths} == {409}
    key_alone = Client(context, key=reader.key)
    assert {key_alone.ask("GET", p)[0] for p in paths} == {401}
    of_address = Client(context, reader.cookie)  # a ticket stands in the browser's history
    assert {of_address.ask("GET", f"{p}?ticket={ticket}")[0] for p in paths[:5]} == {401}
    of_address.key = ticket
    assert {of_address.ask("GET", p)[0] for p in paths[:5]} == {409}
    mixed = Client(context, organiser.cookie, reader.key)
    assert {mixed.ask("GET", p)[0] for p in paths} == {409}


def test_a_link_opens_one_session_however_many_come_at_once(context: StudyContext) -> None:
    token = new_token(context.store, context.store.reader("Dr Raced"))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: Client(context).ask("POST", "/api/session", {"token": token}), range(12)))
    assert sorted(a[0] for a in answers) == [200] + [403] * 11
    for wrong in (token, "A" * 32, "'; --", "x" * 999):
        assert Client(context).ask("POST", "/api/session", {"token": wrong})[0] == 403


def test_a_session_that_was_planted_is_not_taken_over(context: StudyContext) -> None:
    """Whoever plants a cookie in a reader's browser holds nothing once the reader has signed in."""
    planted = f"{context.cookie}={'planted-' * 6}"
    reader = Client(context, planted)
    reader.use(new_token(context.store, context.store.reader("Dr Fixed")))
    assert planted not in reader.cookie and reader.cases()
    for cookie in (planted, f"{planted}; {planted}"):
        assert Client(context, cookie, reader.key).ask("GET", "/api/worklist")[0] == 401
    # Of two cookies of one name only one counts, and it does not give the other's rights.
    other = Client(context).enter("Dr Other")
    both = Client(context, f"{other.cookie}; {reader.cookie}", reader.key)
    assert both.ask("GET", "/api/session")[0] in (200, 401, 409)
    assert Client(context, f"{reader.cookie}; {planted}", other.key).ask("GET", "/api/worklist")[0] in (401, 409)


def test_other_pages_change_and_learn_nothing(context: StudyContext) -> None:
    reader = Client(context).enter("Dr Lured")
    case = reader.cases()[0]
    here = f"http://127.0.0.1:{context.port}"
    body = json.dumps(FULL | {"revision": 0, "save": "lured-save"}).encode()
    lures: list[dict[str, str]] = [
        {"Origin": "null"},
        {"Origin": "-"},
        {"Origin": "-", "Content-Type": "text/plain"},
        {"Origin": f"{here}.evil.example"},
        {"Origin": f"{here}/"},
        {"Origin": here.replace("http:", "https:")},
        {"Origin": f"http://localhost:{context.port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": f"evil.example:{context.port}"},
        {"Origin": here, "Sec-Fetch-Site": "cross-site", "X-HTTP-Method-Override": "GET"},
        {"Origin": "-", "Referer": f"{here}/", "Content-Type": "application/x-www-form-urlencoded"},
    ]
    for lure in lures:
        assert reader.ask("PUT", f"/api/cases/{case}/reading", headers=lure, raw=body)[0] in (403, 421), lure
        assert reader.ask("POST", f"/api/cases/{case}/lock", headers=lure, raw=b'{"revision": 0}')[0] in (403, 421), (
            lure
        )
        assert reader.ask("DELETE", "/api/session", headers=lure)[0] in (403, 421), lure
    for path in ("/api/worklist", "/statistics", f"/api/cases/{case}/film/0"):
        assert reader.ask("GET", path, headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert reader.json("GET", f"/api/cases/{case}")["reading"]["revision"] == 0


@pytest.mark.parametrize(
    "sent",
    [
        "GET /api/worklist HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "GET /api/worklist HTTP/1.1\r\nHost: {host}\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
        "POST /api/session HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/organiser HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "POST /api/session HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Length: 5\r\n"
        "Content-Length: 50\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX: " + "a" * 3_000_000 + "\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["websocket", "h2c", "smuggled", "two lengths", "two hosts", "proxied", "connect", "long", "tls", "http2"],
)
def test_requests_of_another_kind_get_nothing_and_keep_nobody_out(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(FairProtocol, "HEADER_SECONDS", 1.0)
    reader = Client(context).enter("Dr Undisturbed")
    with socket.create_connection(("127.0.0.1", context.port), timeout=20) as link:
        with contextlib.suppress(ConnectionError):  # put down before all of it was sent
            link.sendall(sent.replace("{host}", f"127.0.0.1:{context.port}").encode("latin-1"))
        assert reader.cases()
        got = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            link.settimeout(2)
            while part := link.recv(65536):
                got += part
    statuses = [int(line.split()[1]) for line in got.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert all(status >= 400 for status in statuses), got[:300]
    assert b'"people"' not in got and b'"state"' not in got


def test_a_body_that_never_comes_is_given_up(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 1.0)
    host = f"127.0.0.1:{context.port}"
    reader = Client(context).enter("Dr Waiting")
    halves: list[socket.socket] = []
    try:
        for number in range(40):
            link = socket.create_connection(("127.0.0.1", context.port), timeout=20)
            head = f"POST /api/session HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
            more = "Content-Length: 900\r\n\r\n{" if number % 2 else "Transfer-Encoding: chunked\r\n\r\n5\r\n{"
            link.sendall((head + more).encode())
            halves.append(link)
        start = time.monotonic()
        assert reader.cases() and time.monotonic() - start < 5
        assert all(link.recv(1000).split()[1] == b"408" for link in halves[:6])
    finally:
        for link in halves:
            link.close()


def test_hostile_films_and_patients_stay_text_in_every_page_and_export(tmp_path: Path) -> None:
    grey = np.add.outer(np.arange(120), np.arange(160)) * 10
    names = ("<script>alert(1)<_script>", "=1+1", "a\nb", "\u202egnp", "-2+3", "x\x1b[2J", "&lt;b&gt;")
    for number, name in enumerate(names):
        place = tmp_path / "films" / "test" / ("NORMAL", "PNEUMONIA")[number % 2] / f"{name}.dcm"
        told = {"SpecificCharacterSet": "ISO_IR 192", "PatientID": f"=cmd|{number}", "PatientName": f"<b>{number}</b>"}
        write_dicom(place, grey + number, **told)
    with served(make_study(tmp_path)) as context:
        reader = Client(context).enter("Dr A")
        assert len(reader.cases()) == len(names)
        for case in reader.cases():
            reader.lock(case)
            reader.wait(f"/api/cases/{case}/prediction")
        sent = b"".join(content for _, _, _, content in reader.seen)
        assert b"script" not in sent and b"cmd|" not in sent and b"gnp" not in sent  # a reader is told no name at all
        organiser = Client(context).enter(None)
        page = organiser.ask("GET", "/statistics")[2].decode()
        page += write_statistics(context, tmp_path / "s.html").read_text()
        assert "<script>alert" not in page and "<b>" not in page
        for path in export(context.store, tmp_path / "out", context.class_names):
            if path.suffix == ".csv":
                cells = [cell for row in csv.reader(io.StringIO(path.read_text())) for cell in row]
                assert not any(cell[:1] in ("=", "+", "@", "\t", "\r") or "\x1b" in cell for cell in cells), path


def test_the_organiser_lets_readers_in_and_out_while_the_server_runs(context: StudyContext) -> None:
    organiser, reader = Client(context).enter(None), Client(context)
    made = organiser.json("POST", "/api/organiser/links", {"name": "Dr New", "role": "reader"})
    reader.use(made["token"])
    assert reader.json("GET", "/api/study")["reader"] == "Dr New"
    person = next(p for p in organiser.json("GET", "/api/organiser")["people"] if p["name"] == "Dr New")
    assert person["seen"] and not person["link"] and person["total"] == 4
    same = organiser.json("POST", "/api/organiser/links", {"name": " dr new", "role": "reader"})
    assert same["name"] == "Dr New"
    assert organiser.ask("DELETE", f"/api/organiser/links/{person['id']}")[0] == 200
    assert reader.ask("GET", "/api/worklist")[0] == 401
    assert Client(context).ask("POST", "/api/session", {"token": same["token"]})[0] == 403  # withdrawn with it
    other = Client(context).enter("Dr Other")
    for method, path, body in (
        ("GET", "/api/organiser", None),
        ("POST", "/api/organiser/links", {"name": "x", "role": "reader"}),
        ("DELETE", f"/api/organiser/links/{person['id']}", None),
        ("GET", "/export/consensus.coco.json", None),
    ):
        assert other.ask(method, path, body)[0] == 403
    for bad in ("model", "Consensus", "", "x" * 81, "a\x00b", 7):
        assert organiser.ask("POST", "/api/organiser/links", {"name": bad, "role": "reader"})[0] in (400, 422)
    assert organiser.ask("POST", "/api/organiser/links", {"name": "Dr New", "role": "adjudicator"})[0] == 422
    assert organiser.ask("DELETE", "/api/organiser/links/999")[0] == 404


def test_who_settles_sees_letters_and_no_model(context: StudyContext) -> None:
    one, two = Client(context).enter("Dr Settle One"), Client(context).enter("Dr Settle Two")
    judge = Client(context).enter("Dr Judge", "adjudicator")
    case, other = one.cases()[:2]
    one.lock(case)
    ready = set(judge.cases())
    two.lock(case, FULL)
    assert set(judge.cases()) == ready | {case}
    assert judge.ask("GET", f"/api/cases/{other}")[0] == (200 if other in ready else 403)
    said = judge.json("GET", f"/api/cases/{case}/opinions")
    assert len(said) >= 2 and said[0]["name"] == "Reader A"
    assert one.ask("GET", f"/api/cases/{case}/opinions")[0] == 403
    judge.lock(case, ILL)
    told = b"".join(body for *_, body in judge.seen)
    assert b"Settle One" not in told and b"Settle Two" not in told
    for path in (f"/api/cases/{case}/prediction", f"/api/cases/{case}/maps/gradcam", "/statistics"):
        assert judge.ask("GET", path)[0] == 403
    assert next(r["state"] for r in judge.json("GET", "/api/worklist") if r["case"] == case) == "finished"
    organiser = Client(context).enter(None)
    consensus = json.loads(organiser.ask("GET", "/export/consensus.coco.json")[2])
    assert [r["reader"] for r in consensus["readings"]] == ["adjudicated"]
    assert b"adjudicator settled 1 film" in organiser.ask("GET", "/statistics")[2]


def test_hostile_names_stay_text_in_every_page_and_export(tmp_path: Path) -> None:
    with served(make_study(tmp_path, count=1)) as context:
        for name in HOSTILE:
            reader = Client(context).enter(name)
            case = reader.cases()[0]
            reader.lock(case, ILL | {"statement": name})
            reader.json("PUT", f"/api/cases/{case}/note", {"flagged": True, "comment": name})
            given = ANSWER | {"why": name, "revision": 0, "save": "t" * 9, "finish": True}
            reader.json("PUT", f"/api/cases/{case}/final", given)
        organiser = Client(context).enter(None)
        page = (
            organiser.ask("GET", "/statistics")[2].decode() + write_statistics(context, tmp_path / "s.html").read_text()
        )
        assert "<img src=x" not in page and "{{ 7 * 7 }}" in page
        rows = list(csv.reader(io.StringIO(organiser.ask("GET", "/export/readings.csv")[2].decode())))
        assert len(rows) == len(HOSTILE) + 1
        assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for row in rows for cell in row)
        coco = json.loads(organiser.ask("GET", "/export/readings.coco.json")[2])
        assert {r["reader"] for r in coco["readings"]} == set(HOSTILE)
        told = organiser.json("GET", "/api/organiser")
        assert {c["comment"] for c in told["comments"]} == set(HOSTILE)
        logged = context.log.path.read_text() if context.log.path.exists() else ""
        assert "onerror" not in logged


def test_nobody_can_tell_films_from_case_numbers(tmp_path: Path) -> None:
    """Two studies of the same films, seed and readers: the order of one tells nothing of the other's."""
    orders: list[list[str]] = []
    for name in ("one", "two"):
        context = make_study(tmp_path, count=12, shape=(20, 20), name=name)
        orders.append([context.store.case(c).image_id for c in context.store.order(1)])
        ids = [c.id for c in context.store.cases()]
        assert ids != sorted(ids)  # opaque: not in the order of the names
        context.close()
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_only_loopback_listens(context: StudyContext) -> None:
    table = Path("/proc/net/tcp")
    for line in table.read_text().splitlines()[1:] if table.exists() else ():
        address, port = line.split()[1].split(":")
        if int(port, 16) == context.port and line.split()[3] == "0A":
            assert address == "0100007F"
    token = new_token(context.store, context.store.reader("Dr Twice"))
    Client(context).use(token)
    assert Client(context).ask("POST", "/api/session", {"token": token})[0] == 403
