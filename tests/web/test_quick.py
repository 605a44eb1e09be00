"""The benchmark at a small scale, with generous bounds: it finds what is slow by its nature, not by the machine."""

import importlib.util
from pathlib import Path

import numpy as np

from radiolucent.readers.store import Store
from radiolucent.readers.store_values import Case

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "review.py"


def test_readers_at_once_do_not_wait_for_long() -> None:
    spec = importlib.util.spec_from_file_location("review_benchmark", FILE)
    assert spec and spec.loader
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    found, before, after = benchmark.measure(60, 2, (500, 700), 3)
    assert {"worklist", "case open (data and film)", "save (on disk)", "lock", "agreement live"} <= set(found)
    for what in ("worklist", "case open (data and film)", "save (on disk)"):
        assert np.median(found[what]) < 1.0, (what, found[what])
    assert after - before < 300  # MiB


def test_a_worklist_of_a_thousand_takes_two_queries(tmp_path: Path) -> None:
    """However many cases: the number of questions to the database does not grow with them."""
    store = Store(tmp_path / "study.db")
    store.add_cases(Case(f"{i:012x}", f"{i}", "x", None, None, (10, 10), "") for i in range(1000))
    asked: list[str] = []
    store._link.set_trace_callback(asked.append)
    assert len(store.worklist(1)) == 1000
    assert len(asked) <= 4
    store.close()
