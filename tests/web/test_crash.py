"""A server that is killed while saving loses nothing it acknowledged."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from radiolucent.readers.store import Store
from radiolucent.readers.store_access import new_token
from web.desk_support import ILL, Client, make_desk

SERVER = """
import sys
from pathlib import Path
from web.desk_support import make_desk
from radiolucent.web.serve import run
desk = make_desk(Path(sys.argv[1]))
run(desk, 0, lambda at: print(at, flush=True))
"""


def child_environment() -> dict[str, str]:
    """That of this process, with the tests' own modules to be found."""
    found = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [found])])}


@pytest.mark.parametrize("after", [20, 61])
def test_kill_9_during_a_hundred_saves_loses_nothing_acknowledged(tmp_path: Path, after: int) -> None:
    desk = make_desk(tmp_path)
    token = new_token(desk.store, desk.store.reader("Dr A"))
    case = desk.store.cases()[0].id
    desk.close()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=child_environment()
    )
    assert server.stdout
    try:
        desk.port = int(server.stdout.readline().rsplit(":", 1)[1])
        client = Client(desk)
        client.cookie = client.ask("POST", "/api/session", {"token": token})[1]["set-cookie"].split(";")[0]
        acknowledged, sent = 0, 0
        killer = threading.Timer(60, server.kill)
        try:
            for number in range(100):
                if number == after:  # in the midst of the saves that follow
                    killer = threading.Timer(0.02, lambda: server.send_signal(signal.SIGKILL))
                    killer.start()
                sent = number + 1
                status, told = client.save(case, ILL | {"statement": f"save {number + 1}"}, number)
                assert status == 200
                acknowledged = told["revision"]
        except (OSError, json.JSONDecodeError, ValueError):
            pass
        except Exception as error:  # http.client has kinds of its own for a connection that breaks
            assert "http.client" in type(error).__module__
        assert after <= acknowledged < 100
        server.wait(timeout=20)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    store = Store(tmp_path / "study" / "study.db")
    assert store.ask("PRAGMA integrity_check")[0][0] == "ok"
    kept = store.reading(case, 1)
    assert acknowledged <= kept.revision <= sent
    assert kept.statement == f"save {kept.revision}" and len(kept.marks) == 1
    store.close()


def test_an_interrupted_start_goes_on(tmp_path: Path) -> None:
    first = make_desk(tmp_path)
    ids = {c.image_id: c.id for c in first.store.cases()}
    first.close()
    began = time.perf_counter()
    again = make_desk(tmp_path)
    assert {c.image_id: c.id for c in again.store.cases()} == ids and time.perf_counter() - began < 60
    again.close()
