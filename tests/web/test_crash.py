"""A server that is killed while saving loses nothing it acknowledged."""

import json
import os
import signal
import subprocess
import sys
import threading
from http.client import HTTPException
from itertools import count
from pathlib import Path

import pytest

from radiolucent.readers.store import Store
from radiolucent.readers.store_access import new_token
from radiolucent.web.open_study import StudyPlan, open_study
from support.study_server import ILL, Client, draw_films, make_run, make_study

pytestmark = pytest.mark.timeout(1800)  # a server of its own starts slowly where the machine is busy
SERVER = """
import sys
from pathlib import Path
from support.study_server import make_study
from radiolucent.web.serve import run
context = make_study(Path(sys.argv[1]))
run(context, 0, lambda at: print(at, flush=True))
"""


def child_environment() -> dict[str, str]:
    """That of this process, with the tests' own modules to be found."""
    found = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [found])])}


AFTER = 61  # acknowledged saves before the signal is under way


def test_kill_9_during_saves_loses_nothing_acknowledged(tmp_path: Path) -> None:
    context = make_study(tmp_path)
    token = new_token(context.store, context.store.reader("Dr A"))
    case = context.store.cases()[0].id
    context.close()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=child_environment()
    )
    assert server.stdout
    acknowledged, sent = 0, 0
    try:
        context.port = int(server.stdout.readline().rsplit(":", 1)[1])
        client = Client(context)
        client.use(token)
        with pytest.raises((OSError, HTTPException, json.JSONDecodeError)):  # the connection breaks, sooner or later
            for number in count():
                if number == AFTER:  # in the midst of the saves that follow, however fast they are
                    threading.Timer(0.02, server.send_signal, (signal.SIGKILL,)).start()
                sent = number + 1
                status, told = client.save(case, ILL | {"statement": f"save {sent}"}, number)
                assert status == 200
                acknowledged = told["revision"]
        assert acknowledged >= AFTER
        assert server.wait(timeout=300) == -signal.SIGKILL
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
    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    plan = StudyPlan(
        make_run(tmp_path / "run0"),
        draw_films(tmp_path / "films"),
        tmp_path / "study",
        "Trial",
        lime_samples=30,
        seed=4,
    )
    with pytest.raises(KeyboardInterrupt):
        open_study(plan, stop)
    first = make_study(tmp_path)
    ids = {c.image_id: c.id for c in first.store.cases()}
    first.close()
    again = make_study(tmp_path)
    assert len(ids) == 5 and {c.image_id: c.id for c in again.store.cases()} == ids
    again.close()
