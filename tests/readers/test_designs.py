"""Designs that are not fully crossed: U-statistics against iMRMC's own output, and its file."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radiolucent.errors import AnnotationError, ConfigError
from radiolucent.readers.statistics import read_imrmc, u_statistics

# The two-modality example of three readers and 150 + 150 cases that lies in DIDSR/iMRMC (CC0) with the output of iMRMC
# 4.0.0: Accudata/home/fakepilot2.csv and fakepilot2201901300952/statAnalysis.csv. Calls are 0 or 1, in runs of cases.
POSITIVE = np.arange(300) < 150


def published() -> np.ndarray:
    scores = np.zeros((2, 3, 300))
    scores[:, :, :150] = 1
    scores[0, 0, 150:171] = scores[0, 1, 150:204] = 1
    scores[0, 2, 138:150] = 0
    for reader, cleared in enumerate((18, 12, 18)):
        scores[1, reader, 150 : 300 - cleared] = 1
    return scores


def test_imrmcs_own_example_to_all_its_digits() -> None:
    found = u_statistics(POSITIVE, published(), tests=["A", "B"])
    assert found.averages["A"].value == pytest.approx(9.03333333e-1, abs=1e-9)
    assert found.averages["B"].value == pytest.approx(5.53333333e-1, abs=1e-9)
    assert found.variances["A"] == pytest.approx(1.86122297e-3, abs=1e-11)
    assert found.variances["B"] == pytest.approx(1.82252051e-4, abs=1e-12)
    assert found.differences["A", "B"].value == pytest.approx(0.35, abs=1e-9)
    assert found.variances["A", "B"] == pytest.approx(1.42393736e-3, abs=1e-11)
    # Column dfHillis.
    assert found.df["A"] == pytest.approx(2.11220765, abs=1e-8)
    assert found.df["B"] == pytest.approx(33.6310076, abs=1e-6)
    assert found.df["A", "B"] == pytest.approx(2.39952379, abs=1e-8)


def by_definition(positive: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Covariance of two averages: less the mean over pairs of readings that share nothing, above their averages."""

    def triples(scores: np.ndarray) -> list[tuple[int, int, int, float]]:
        ill, well = np.flatnonzero(positive), np.flatnonzero(~positive)
        return [
            (r, x, y, float(scores[r, x] > scores[r, y]) + 0.5 * float(scores[r, x] == scores[r, y]))
            for r, x, y in product(range(len(scores)), ill, well)
            if np.isfinite(scores[r, x] + scores[r, y])
        ]

    one, other = triples(a), triples(b)
    first, second = np.mean([s[3] for s in one]), np.mean([t[3] for t in other])
    apart = [
        (s[3] - first) * (t[3] - second)
        for s, t in product(one, other)
        if s[0] != t[0] and s[1] != t[1] and s[2] != t[2]
    ]
    return -float(np.mean(apart))


def test_missing_readings_need_no_complete_cases() -> None:
    rng = np.random.default_rng(3)
    positive = np.arange(11) % 2 == 0
    scores = np.round(rng.normal(size=(2, 3, 11)) + positive, 1)
    scores[0, 0, 2] = scores[0, 1, 3:6] = scores[1, 2, :4] = np.nan
    found = u_statistics(positive, scores, tests=["a", "b"], readers=["x", "y", "z"])
    for t, name in enumerate("ab"):
        assert found.variances[name] == pytest.approx(by_definition(positive, scores[t], scores[t]), abs=1e-12)
        read = np.isfinite(scores[t, 0])
        assert found.auroc[name, "x"] == pytest.approx(roc_auc_score(positive[read], scores[t, 0][read]))
    both = by_definition(positive, scores[0], scores[1])
    expected = found.variances["a"] + found.variances["b"] - 2 * both
    assert found.variances["a", "b"] == pytest.approx(expected, abs=1e-12)
    assert found.readings["a", "y"] == (5, 3) and found.readings["b", "z"] == (4, 3)


def test_a_few_missing_readings_cost_little() -> None:
    """Weighing readers a little differently here than there is no variance: the interval stays, and as wide."""
    rng = np.random.default_rng(1)
    positive = np.arange(40) % 2 == 0
    widths = []
    for _ in range(60):
        scores = rng.normal(size=40) + (1.2 + 0.3 * rng.normal(size=(2, 4, 1))) * positive + rng.normal(size=(2, 4, 40))
        ends = []
        for missing in (False, True):
            scores[0, 0, :2] = np.nan if missing else scores[0, 0, :2]
            gap = u_statistics(positive, scores).differences["test 1", "test 2"]
            ends.append(np.nan if gap.low is None or gap.high is None else gap.high - gap.low)
        widths.append(ends)
    full, less = np.array(widths).T
    assert np.isfinite(less).sum() >= np.isfinite(full).sum() - 1
    assert 0.9 < np.nanmedian(less / full) < 1.2 and np.nanmax(less / full) < 3


def test_a_split_plot_study_keeps_its_level() -> None:
    """Each pair of readers reads its own cases under both tests, which are alike."""
    rng, wrong = np.random.default_rng(0), 0
    positive = np.tile(np.arange(40) % 2 == 0, 3)
    for _ in range(150):
        scores = np.full((2, 6, 120), np.nan)
        case, skill = rng.normal(size=120), 0.3 * rng.normal(size=(6, 1))
        for block in range(3):
            own, readers = slice(40 * block, 40 * block + 40), slice(2 * block, 2 * block + 2)
            noise = rng.normal(size=(2, 2, 40)) + 0.2 * rng.normal(size=(2, 2, 1)) * positive[own]
            scores[:, readers, own] = case[own] + (1.2 + skill[readers]) * positive[own] + noise
        p = u_statistics(positive, scores).p["test 1", "test 2"]
        wrong += p is not None and p < 0.05
    assert wrong / 150 < 0.1


def test_what_cannot_be_told_is_not_told() -> None:
    with pytest.raises(ConfigError, match="two readers"):
        u_statistics(np.array([1, 1, 0, 0]), np.zeros((1, 1, 4)))
    with pytest.raises(ConfigError, match="expected \\(tests, readers, cases\\)"):
        u_statistics(np.array([1, 0]), np.zeros((2, 4)))
    perfect = u_statistics(np.array([1, 1, 1, 0, 0, 0]), np.array([[[1, 1, 1, 0, 0, 0.0]] * 2] * 2))
    gap = perfect.differences["test 1", "test 2"]
    assert gap.low is None and perfect.p["test 1", "test 2"] is None and "no interval" in gap.note


IMRMC = """Simulated binary data
NR: 2
BEGIN DATA:
-1 , case1 , modality should not , 0
-1,case2,matter_for_truth,0
-1,3,0,1
-1,4,0,1
 reader 1 ,case1, modality 1 ,1.000000
 reader1 ,case2, modality1 ,0
reader1,3,modality1,2.5
reader1,4,modality1,1
2,case1,modality1,0
2,3,modality1,1
2,4,modality1,1

2,case1,2,0
2,case2,2,0
2,3,2,1
2,4,2,1
"""


def test_an_imrmc_file_is_read_as_imrmc_reads_it(tmp_path: Path) -> None:
    """Laid out as 000_iMRMC/inputFiles/forDebugging/test-missing-data.imrmc: blanks in names do not count."""
    file = tmp_path / "input.imrmc"
    file.write_text(IMRMC)
    found = read_imrmc(file)
    assert (found.readers, found.tests) == (("reader1", "2"), ("modality1", "2"))
    assert found.truth.tolist() == [False, False, True, True] and found.scores[0, 0].tolist() == [1, 0, 2.5, 1]
    assert np.isnan(found.scores[0, 1, 1]) and np.isnan(found.scores[1, 0]).all()
    assert found.missing == (("2", "modality1", 1),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("BEGIN DATA:", "DATA"), "no line BEGIN DATA"),
        (("2,case1,2,0", "2,case1,2,high"), "line 16: '2,case1,2,high'; expected reader,case,modality,score"),
        (("2,case1,2,0", "2,case1,2"), "line 16"),
        (("2,case1,2,0", "2,case9,2,0"), "case case9 has readings but no row"),
        (("2,case2,2,0", "2,case1,2,1"), "line 17: a second reading of case case1 by 2 under 2"),
        (("-1,4,0,1", "-1,4,0,2"), "line 7: truth 2"),
        (("-1,4,0,1", "-1,3,0,0"), "line 7: truth 0 of case 3"),
        (("2,case1,2,0", "2,case1,2,nan"), "line 16: score nan"),
    ],
)
def test_a_damaged_file_names_the_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    file = tmp_path / "input.imrmc"
    file.write_text(IMRMC.replace(*change))
    with pytest.raises(AnnotationError, match=message):
        read_imrmc(file)
