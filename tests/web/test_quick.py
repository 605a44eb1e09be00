"""The benchmark at a small scale, in processor time and queries: they do not depend on what else the machine does."""

import contextlib
import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from radiolucent.readers.store import Store
from radiolucent.readers.store_values import Case
from radiolucent.web import films, serve
from support.study_server import make_study

pytestmark = pytest.mark.timeout(1800)  # a server of its own starts slowly where the machine is busy
FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "review.py"


def test_readers_at_once_cost_little() -> None:
    spec = importlib.util.spec_from_file_location("review_benchmark", FILE)
    assert spec and spec.loader
    benchmark = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = benchmark  # dataclasses look their module up
    spec.loader.exec_module(benchmark)
    found = benchmark.measure(60, 2, (500, 700), 3)
    assert {"worklist", "case open", "save (on disk)", "lock", "agreement live"} <= set(found.seconds)
    assert len(found.seconds["save (on disk)"]) == 30 and len(found.seconds["case open"]) == 6
    assert found.cpu < 3.0  # seconds; tenths of one where nothing is done twice
    assert found.after - found.before < 300  # MiB


def test_films_are_decoded_once_and_two_at_once_and_first_ones_before_readers_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "at_once", lambda: 2)
    context = make_study(tmp_path, count=4)
    reader, cases = context.store.reader("Dr A"), context.store.cases()
    together, decoded, real = threading.Barrier(2, timeout=20), list[str](), films.modality_values

    def slow(path: Path) -> Any:
        decoded.append(path.name)
        together.wait()  # breaks unless another film is in decoding
        return real(path)

    monkeypatch.setattr(films, "modality_values", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(context.films.film, [cases[0], cases[1], cases[0], cases[1]]))
    assert len(decoded) == 2
    monkeypatch.setattr(films, "modality_values", real)
    order = context.store.order(reader)
    assert [c.id for c in context.next_cases()] == order[:1]
    told: list[int] = []

    def ready(address: str) -> None:
        told.append(len(list((tmp_path / "study" / "films").glob(f"{order[0]}.json"))))
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        serve.run(context, 0, ready)
    assert told == [1]
    context.close()


def test_a_worklist_of_a_thousand_takes_two_queries(tmp_path: Path) -> None:
    """However many cases: the number of questions to the database does not grow with them."""
    store = Store(tmp_path / "study.db")
    store.add_cases(Case(f"{i:012x}", f"{i}", "x", None, None, (10, 10), "") for i in range(1000))
    store.order(1)  # draws the study's secret
    asked: list[str] = []
    store._reads.set_trace_callback(asked.append)
    assert len(store.worklist(1)) == 1000
    assert 0 < len(asked) <= 4
    store.close()
