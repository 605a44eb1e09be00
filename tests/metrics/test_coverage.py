"""Do the intervals hold the truth as often as they say? The simulation of `benchmarks/coverage.py`, in short."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

from radiolucent.metrics import choose_threshold, wilson
from radiolucent.types import Estimate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_bench", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("films", [1, 8])
def test_every_interval_holds_what_it_says(coverage: ModuleType, films: int) -> None:
    """Fails for an interval that takes films as independent, or leaves out a factor of Student's t."""
    design = coverage.Design(40, films, 0.4)
    rows = list(coverage.simulate(design, runs=100, folds=60))
    assert len(rows) == 24 and not [row for row in rows if row.none > 0.1]
    assert not [row for row in rows if coverage.broken(row)]


def halved(function: Callable[..., Estimate]) -> Callable[..., Estimate]:
    """A jackknife that leaves out a factor of 2."""
    return lambda value, gaps, **options: function(value, gaps / 2, **options)


# By figure: the function that is broken, and how: films taken as independent, or a deviation too small.
BROKEN: dict[str, tuple[str, Callable[[Callable[..., Any]], Callable[..., Any]]]] = {
    "auroc": ("metrics.ranking.delong_auroc", lambda f: lambda p, s, groups, **o: f(p, s, None, **o)),
    "delong_test": ("metrics.delong.scaled_interval", lambda f: lambda v, d, **o: f(v, d / 2, **o)),
    "specificity": ("metrics.operating.proportion", lambda f: lambda n, t, c, level, index: f(n, t, c, level)),
    "f1": ("metrics.operating.clustered_wilson", lambda f: lambda s, index, level: f(s, np.arange(len(s)), level)),
    "mcc": ("metrics.operating.jackknife_interval", halved),
    "brier": ("metrics.calibration.jackknife_interval", halved),
    "average_precision": ("metrics.ranking.jackknife_interval", halved),
    "calibration_slope": ("metrics.recalibration.jackknife_interval", halved),
    "fleiss_kappa": ("metrics.resample.scaled_interval", lambda f: lambda v, d, **o: f(v, d / 2, **o)),
    "mean": ("metrics.resample.over_folds", lambda f: lambda s, groups, n, **o: f(s, None, n, **o)),
}


@pytest.mark.parametrize("figure", BROKEN)
def test_the_short_run_sees_a_broken_method(coverage: ModuleType, monkeypatch: pytest.MonkeyPatch, figure: str) -> None:
    place, broken = BROKEN[figure]
    module, _, name = f"radiolucent.{place}".rpartition(".")
    monkeypatch.setattr(f"{module}.{name}", broken(getattr(importlib.import_module(module), name)))
    (row,) = coverage.simulate(coverage.Design(40, 8, 0.4), runs=100, folds=60, only={figure})
    assert coverage.broken(row), row


@pytest.mark.parametrize("p", [0.05, 0.5, 0.97])
def test_wilson_covers(p: float) -> None:
    def holds(estimate: Estimate) -> bool:
        assert estimate.low is not None and estimate.high is not None
        return estimate.low <= p <= estimate.high

    k = np.arange(101)
    assert 0.92 < float(stats.binom.pmf(k, 100, p) @ [holds(wilson(int(i), 100)) for i in k]) < 0.985


def test_a_threshold_is_optimistic_where_it_was_chosen() -> None:
    rng = np.random.default_rng(4)
    gaps = []
    for _ in range(200):
        truth = np.arange(80) % 2 == 0
        first, second = (rng.normal(size=80) + truth for _ in range(2))
        found = choose_threshold(truth, first)
        here = (found.sensitivity.value or 0) + (found.specificity.value or 0)
        called = second >= found.value
        gaps.append(here - called[truth].mean() - (~called[~truth]).mean())
    assert np.mean(gaps) > 0.03
