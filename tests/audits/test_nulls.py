"""A reduced run of `benchmarks/audit_nulls.py`: no verdict is wrong more often than promised where nothing is there."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "audit_nulls.py"
QUICK = {
    "interventions at their thresholds, any fails": 30,
    "three groupings, no group differs, any fails": 8,
    "agreement: the same map on every film is clear": 4,
    "agreement: maps that know places but no film": 25,
    "discovery: classes bring along the same": 200,
    "stamp: a smooth random map passes faithfulness": 60,
    "stamp: unrelated smooth maps are called alike": 20,
    "data: prevalence of splits dealt by patient": 80,
    "readers: as often right as the model": 150,
}


@pytest.mark.parametrize("row", QUICK)
def test_wrong_verdicts_are_as_rare_as_promised(row: str) -> None:
    spec = importlib.util.spec_from_file_location("audit_nulls", FILE)
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    found = bench.rates(QUICK[row], names=(row,))
    assert not bench.broken(found), found
