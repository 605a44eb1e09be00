"""What is refused: foreign pages, stolen tokens, bodies too large, numbers that are none, places outside the film."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radiolucent.readers.store_access import new_token
from radiolucent.readers.store_values import SealError
from radiolucent.web.guard import BODY_LIMIT, HEADERS
from radiolucent.web.payload import MARKS, POINTS, TEXT
from radiolucent.web.study_context import StudyContext
from support.study_server import FULL, ILL, Client, make_study, served


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    with served(make_study(tmp_path_factory.mktemp("guard"))) as made:
        yield made


@pytest.fixture
def reader(context: StudyContext, request: pytest.FixtureRequest) -> Client:
    return Client(context).enter(request.node.name[:60])


def refusals(context: StudyContext) -> list[dict[str, Any]]:
    return [json.loads(line) for line in context.log.path.read_text().splitlines()]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:80"},
        {
            "Host": "evil.example",
            "Origin": "http://evil.example",
        },  # its own page under another name
        {"Host": "evil.example", "Origin": "-"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "-"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_hosts_and_origins_are_refused(context: StudyContext, reader: Client, headers: dict[str, str]) -> None:
    case = reader.cases()[0]
    body = FULL | {"revision": 0, "save": "a" * 9}
    before = len(refusals(context))
    status, answered, content = reader.ask("PUT", f"/api/cases/{case}/reading", body, headers)
    assert status == (421 if "Host" in headers else 403) and b"evil" not in content
    assert {k: answered[k] for k in HEADERS} == HEADERS
    assert context.store.reading(case, len(context.store.readers())).revision == 0
    assert refusals(context)[before]["code"] == ("host" if "Host" in headers else "origin")
    if headers != {"Origin": "-"}:
        assert reader.ask("GET", "/api/worklist", None, headers)[0] == status


def test_reading_needs_no_origin_and_the_page_may_be_linked_to(reader: Client) -> None:
    assert reader.ask("GET", "/api/worklist", None, {"Origin": "-"})[0] == 200
    assert reader.ask("GET", "/", None, {"Origin": "-", "Sec-Fetch-Site": "cross-site"})[0] == 200


def test_without_a_session_nothing_is_told(context: StudyContext) -> None:
    nobody = Client(context)
    case = context.store.cases()[0].id
    for path in ("/api/study", "/api/worklist", f"/api/cases/{case}", f"/api/cases/{case}/film", "/statistics"):
        for cookie in ("", f"{context.cookie}=", f"{context.cookie}=guess", "other=1"):
            nobody.cookie = cookie
            assert nobody.ask("GET", path)[0] == 401
    assert nobody.json("GET", "/api/session") == {"role": None}


def test_a_token_works_once_and_the_cookie_is_closed_to_scripts(context: StudyContext) -> None:
    token = new_token(context.store, context.store.reader("Dr Once"))
    one = Client(context)
    status, headers, _ = one.ask("POST", "/api/session", {"token": token})
    cookie = headers["set-cookie"].lower()
    assert status == 200 and "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    for stolen in (token, token[:-1] + "x", "x" * 32, "", None, 5, ["x"], "x" * 5000):
        status, headers, content = one.ask("POST", "/api/session", {"token": stolen})
        assert status == 403 and "set-cookie" not in headers and token.encode() not in content
    logged = context.log.path.read_text()
    assert '"code": "token"' in logged and token not in logged


def test_a_failure_is_noted_without_what_was_sent(
    context: StudyContext, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any) -> Any:
        raise RuntimeError(f"cannot save {given}")

    case = reader.cases()[0]
    monkeypatch.setattr(context.store, "save", broken)
    status, told = reader.save(case, FULL | {"statement": "secret words"}, 0)
    assert status == 500 and told["error"] == "failure"
    context.failures.line(filler="x" * 1000)
    logged = context.failures.path.read_text()
    noted = json.loads(logged.splitlines()[0])
    assert (noted["error"], noted["what"], noted["message"]) == ("RuntimeError", "answering PUT", "")
    assert noted["place"].startswith("test_guard.py:") and "secret words" not in logged and reader.cookie not in logged
    for _ in range(3500):
        context.failures.line(filler="x" * 1000)
    kept = sorted(context.failures.path.parent.glob("failed.log*"))
    assert len(kept) == 3 and all(file.stat().st_size <= 1_000_000 for file in kept)


def test_signing_out_ends_the_session(reader: Client) -> None:
    assert reader.ask("DELETE", "/api/session")[0] == 200
    assert reader.ask("GET", "/api/worklist")[0] == 401


def test_two_cookies_are_two_readers(context: StudyContext) -> None:
    one, two = Client(context).enter("Dr One"), Client(context).enter("Dr Two")
    case = one.cases()[0]
    one.save(case, ILL, 0)
    assert two.json("GET", f"/api/cases/{case}")["reading"]["revision"] == 0
    assert two.save(case, FULL, 0)[0] == 200
    assert one.json("GET", f"/api/cases/{case}")["reading"]["label"] == "PNEUMONIA"


def test_bodies_are_limited_also_in_chunks(context: StudyContext, reader: Client) -> None:
    path = f"/api/cases/{reader.cases()[0]}/reading"
    large = b'{"statement": "' + b"x" * BODY_LIMIT + b'"}'
    for raw in (large, large + b"x" * 2 * BODY_LIMIT):  # answered, not cut off while it is sent
        assert reader.ask("PUT", path, raw=raw)[0] == 413
    before = len(refusals(context))
    with socket.create_connection(("127.0.0.1", context.port), timeout=20) as link:
        head = f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{context.port}\r\nOrigin: http://127.0.0.1:{context.port}\r\n"
        link.sendall(f"{head}Cookie: {reader.cookie}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        sent = 0
        try:
            while sent < 50 * BODY_LIMIT:  # never ends by itself
                link.sendall(b"8000\r\n" + b"y" * 0x8000 + b"\r\n")
                sent += 0x8000
        except OSError:
            pass
        answer = b""
        try:
            answer = link.recv(200)
        except OSError:
            pass
    assert sent < 20 * BODY_LIMIT and (not answer or b" 413 " in answer)
    assert [r["status"] for r in refusals(context)[before:]] == [413]
    with socket.create_connection(
        ("127.0.0.1", context.port), timeout=20
    ) as link:  # over the limit with its last bytes
        link.sendall(f"{head}Cookie: {reader.cookie}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        link.sendall(f"{BODY_LIMIT + 1:x}\r\n".encode() + b"y" * (BODY_LIMIT + 1) + b"\r\n0\r\n\r\n")
        assert b" 413 " in link.recv(200)
    status, _, content = reader.ask("PUT", path, raw=b"{}", headers={"Content-Type": "text/plain"})
    assert status == 415 and b"application/json" in content


def test_the_longest_reading_that_is_taken_fits(reader: Client) -> None:
    ring = [
        [round(99.12 + 99.01 * np.cos(a), 13), round(75.1 + 74.1 * np.sin(a), 13)] for a in np.linspace(0, 6, POINTS)
    ]
    given = ILL | {"marks": [{"kind": "polygon", "points": ring}] * MARKS, "statement": "x" * TEXT}
    assert reader.save(reader.cases()[0], given, 0)[0] == 200


def test_a_page_never_writes_as_another_reader(context: StudyContext) -> None:
    one, two = Client(context).enter("Dr Before"), Client(context).enter("Dr After")
    case, own = one.cases()[0], one.key
    one.cookie = two.cookie  # another reader entered in another tab: the browser's cookie is theirs now
    body = ILL | {"revision": 0, "save": "a" * 9}
    for method, path, sent in (("PUT", "reading", body), ("POST", "lock", {"revision": 0})):
        status, _, content = one.ask(method, f"/api/cases/{case}/{path}", sent)
        assert status == 409 and json.loads(content)["error"] == "stale"
    assert own != two.key and two.json("GET", f"/api/cases/{case}")["reading"]["revision"] == 0
    assert two.ask("PUT", f"/api/cases/{case}/reading", body)[0] == 200


def test_a_broken_seal_is_told_as_such(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise SealError("secret-name is not what was locked")

    monkeypatch.setattr(context.store, "locked", broken)
    status, _, content = Client(context).enter(None).ask("GET", "/export/readings.csv")
    assert status == 409 and json.loads(content)["error"] == "seal" and b"secret-name" not in content


BAD: list[tuple[str, Any]] = [
    ("marks", [{"kind": "box", "points": [[-1, 0], [5, 5]]}]),
    ("marks", [{"kind": "box", "points": [[0, 0], [200.01, 5]]}]),
    ("marks", [{"kind": "box", "points": [[0, 0], [5, 150.5]]}]),
    ("marks", [{"kind": "box", "points": [[5, 5], [5, 9]]}]),
    ("marks", [{"kind": "box", "points": [[9, 9], [5, 5]]}]),
    ("marks", [{"kind": "box", "points": [[0, 0], [5, 5], [6, 6]]}]),
    ("marks", [{"kind": "box", "points": [[0, "0"], [5, 5]]}]),
    ("marks", [{"kind": "box", "points": [[0, True], [5, 5]]}]),
    ("marks", [{"kind": "box", "points": [[0, 0, 0], [5, 5, 5]]}]),
    ("marks", [{"kind": "box", "points": [[0, 1e400], [5, 5]]}]),
    ("marks", [{"kind": "box", "points": [[0, 10**400], [5, 5]]}]),
    ("marks", [{"kind": "polygon", "points": [[0, 0], [5, 5], [9, 9]]}]),
    ("marks", [{"kind": "polygon", "points": [[0.1, 0.1], [0.7, 0.7], [0.3, 0.3]]}]),
    ("marks", [{"kind": "polygon", "points": [[0, 0], [9, 9], [9, 0], [0, 9]]}]),
    ("marks", [{"kind": "circle", "points": [[0, 0], [5, 5]]}]),
    ("marks", [{"kind": "polygon", "points": [[0, 0], [5, 5]]}]),
    ("marks", [{"kind": "polygon", "points": [[i % 199, i % 149] for i in range(10_000)]}]),
    ("marks", [{"kind": "polygon", "points": [[0, 0], [5, 5], [0, 5]], "extra": 1}]),
    ("marks", [{"kind": "box", "points": [[0, 0], [5, 5]]}] * 100),
    ("marks", {"0": 1}),
    ("finding", 1),
    ("finding", "yes"),
    ("label", "<script>alert(1)</script>"),
    ("label", ["NORMAL"]),
    ("confidence", 0),
    ("confidence", 6),
    ("confidence", 2.5),
    ("confidence", True),
    ("statement", "x" * 4001),
    ("statement", "bell \x07"),
    ("statement", 7),
    ("seconds", -1),
    ("seconds", 1e9),
    ("revision", -1),
    ("revision", "0"),
    ("save", "../../etc/passwd"),
    ("save", ""),
    ("reader", "Dr Other"),
    ("marks", [{"kind": "box", "points": [[0, 0], [5, 5]], "type": "not in the list"}]),
    ("marks", [{"kind": "box", "points": [[0, 0], [5, 5]], "confidence": 6}]),
    ("label", "cannot be assessed"),  # with a finding
]


@pytest.mark.parametrize(("key", "value"), BAD, ids=lambda v: str(v)[:24])
def test_readings_of_the_wrong_form_are_refused_and_not_repeated(context: StudyContext, key: str, value: Any) -> None:
    reader = Client(context).enter("Dr Wrong")
    case = reader.cases()[0]
    body = ILL | {"revision": 0, "save": "abcdefghi", key: value}
    raw = json.dumps(body).replace("Infinity", "1e400").encode()
    status, _, content = reader.ask("PUT", f"/api/cases/{case}/reading", raw=raw)
    told = json.loads(content)
    assert status in (400, 413, 422) and set(told) == {"error", "message"}
    assert not any(bad in told["message"] for bad in ("script", "passwd", "200.01", "Dr Other", "circle"))
    assert reader.json("GET", f"/api/cases/{case}")["reading"]["revision"] == 0
    assert refusals(context)[-1]["status"] == status and refusals(context)[-1]["reader"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"revision": NaN}',
        json.dumps(ILL | {"revision": 0, "save": "abcdefghi"}).encode().replace(b"20.25", b"NaN"),
        json.dumps(ILL | {"revision": 0, "save": "abcdefghi"}).encode().replace(b"20.25", b"-Infinity"),
        json.dumps(ILL | {"revision": 0, "save": "abcdefghi"}).encode().replace(b"20.25", b"9" * 5000),
        json.dumps(ILL | {"revision": 0, "save": "abcdefghi"}).encode().replace(b'"clear"', b'"\\ud800"'),
    ],
    ids=lambda b: str(b[:16]),
)
def test_what_is_no_reading_is_refused(context: StudyContext, raw: bytes) -> None:
    reader = Client(context).enter("Dr Raw")
    case = reader.cases()[0]
    status, _, content = reader.ask("PUT", f"/api/cases/{case}/reading", raw=raw)
    assert status in (400, 422) and b"NaN" not in content and b"9999" not in content
    assert reader.json("GET", f"/api/cases/{case}")["reading"]["revision"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/pyproject.toml",
        "/static//etc/passwd",
        "/static/",
        "/static/index.html",
        "/api/cases/..%2f..%2fstudy.db",
        "/api/cases/%00",
        "/api/cases/' OR 1=1 --",
        "/api/cases/000000000000",
        "/docs",
        "/openapi.json",
        "//evil.example/",
        "/study.db",
        "/static/..%252f..%252fapp.py",
        "/static/..%5c..%5capp.py",
        "/static/%c0%ae%c0%ae/app.py",
        "/static/main.js%00.png",
        "/static/....//app.py",
        "/api/cases/..;/organiser",
        "/api/cases/000000000000/../../organiser",
        "/api/cases/%EF%BC%8E%EF%BC%8E%EF%BC%8Fstudy.db",
        "/api/cases/" + "a" * 5000,
    ],
)
def test_paths_lead_nowhere_else(context: StudyContext, reader: Client, path: str) -> None:
    before = len(refusals(context))
    status, headers, content = reader.ask("GET", path.replace(" ", "%20"))
    assert status in (400, 404, 405) and b"passwd" not in content and b"evil" not in content and b"OR 1" not in content
    assert headers["content-security-policy"] == HEADERS["content-security-policy"]
    assert len(refusals(context)) == before + 1


def test_html_in_a_statement_stays_text(context: StudyContext) -> None:
    reader = Client(context).enter("Dr <script>alert(1)</script>")
    case = reader.cases()[0]
    words = "<script>alert('x')</script> & \"quotes\" \u202e \U0001fac1"
    assert reader.save(case, ILL | {"statement": words}, 0)[0] == 200
    status, headers, body = reader.ask("GET", f"/api/cases/{case}")
    assert status == 200 and headers["content-type"] == "application/json"
    assert json.loads(body)["reading"]["statement"] == words


def test_every_answer_forbids_what_is_not_ours(context: StudyContext, reader: Client) -> None:
    for path in ("/", "/static/main.js", "/api/worklist", "/nowhere"):
        headers = reader.ask("GET", path)[1]
        assert {k: headers[k] for k in HEADERS} == HEADERS and "server" not in headers
    assert "unsafe" not in HEADERS["content-security-policy"] and "http" not in HEADERS["content-security-policy"]


def test_the_page_is_ours_alone() -> None:
    import radiolucent.web

    folder = Path(radiolucent.web.__file__).parent
    for file in (*folder.glob("static/*"), *folder.glob("templates/*")):
        text = file.read_text()
        outside = text.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in outside and "https:" not in outside and "//cdn" not in outside, file.name
        assert "innerHTML" not in text and "eval(" not in text and " style=" not in text and "onclick=" not in text
        if file.suffix == ".js":
            assert len(text.splitlines()) <= 400
