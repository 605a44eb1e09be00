"""The benchmark at a small scale, in processor time and queries: they do not depend on what else the machine does."""

import importlib.util
import sys
from pathlib import Path

import pytest

from radiolucent.readers.store import Store
from radiolucent.readers.store_values import Case

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
