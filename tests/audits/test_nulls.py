"""A reduced run of `benchmarks/audit_nulls.py`: no verdict is wrong more often than promised where nothing is there."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "audit_nulls.py"
QUICK = {
    "interventions at their thresholds, any fails": 30,
    "discovery: classes bring along the threshold's worth": 200,
    "parts of the film: AUROC exactly 0.6, either fails": 60,
    "three groupings, no group differs, any fails": 8,
    "a group worse by exactly the threshold": 40,
    "slices of maps, none differs": 20,
    "stress that costs exactly the threshold": 60,
    "agreement: the same map on every film is clear": 4,
    "agreement: maps that know places but no film": 25,
    "stamp: a smooth random map passes faithfulness": 60,
    "stamp: unrelated smooth maps are called alike": 15,
    "stamp: seeds agree by exactly 0.7, passes or fails": 60,
    "maps dwell on a place by exactly its area": 40,
    "maps of half of the patients peak at one place": 200,
    "data: prevalence of splits dealt by patient": 60,
    "readers: as often right as the model (McNemar)": 150,
    "readers: two tests alike, split plot (U-statistics)": 60,
    "readers: worse by exactly the margin, called no worse": 60,
    "time to read: an aid that saves none": 60,
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FILE.parent))
    spec = importlib.util.spec_from_file_location("audit_nulls", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("row", QUICK)
def test_wrong_verdicts_are_as_rare_as_promised(bench: ModuleType, row: str) -> None:
    found = bench.rates(QUICK[row], names=(row,))
    assert not bench.broken(found), found


def test_a_run_goes_on_where_it_stopped(bench: ModuleType, tmp_path: Path) -> None:
    row, state = "discovery: classes bring along the threshold's worth", tmp_path / "state.json"
    bench.gone_on(state, 3, 0, [row])
    found = bench.gone_on(state, 8, 0, [row])
    assert found == bench.rates(8, names=(row,)) and "of 8: 0.000 (0.000 to 0.324)" in bench.table(found)
