"""Location-aware figures of merit: published values, definitions, and the analysis that AUROCs get."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radiolucent.errors import ConfigError
from radiolucent.metrics.localisation import random_map
from radiolucent.readers.statistics import FilmMarks, figure_of_merit, film_marks, located_mrmc, mrmc, peaks

NO = -np.inf
# Chakraborty, RJafrocFrocBook, "Meanings of FROC figures of merit": four films without and four with lesions, as
# printed there; AFROC 0.7708333, wAFROC 0.7875 (the third film's lesions weigh 0.6 and 0.4).
BOOK = [
    FilmMarks((), ()),
    FilmMarks((), (0.4874291,)),
    FilmMarks((), (0.7383247, 0.5757814)),
    FilmMarks((), (-0.3053884,)),
    FilmMarks((0.8523430,), (1.5117812,)),
    FilmMarks((-0.2146999,), ()),
    FilmMarks((1.5884892, NO), (), (0.6, 0.4)),
    FilmMarks((2.9438362, 1.98381), (), (0.6, 0.4)),
]


def test_the_books_figures() -> None:
    assert figure_of_merit(BOOK, "AFROC") == pytest.approx(0.7708333, abs=5e-8)
    assert figure_of_merit(BOOK, "wAFROC") == pytest.approx(0.7875, abs=1e-12)


def trapezoid(films: list[FilmMarks], weighted: bool) -> float:
    """Area under the (w)AFROC curve, drawn point by point and closed by a line to (1, 1)."""
    alarms = np.array([f.alarm for f in films if not f.lesions])
    claims = [(r, (1 / len(f.lesions)) if weighted else 1.0) for f in films for r in f.lesions]
    total = sum(w for _, w in claims)
    cuts = sorted({x for x in [*alarms, *[r for r, _ in claims]] if np.isfinite(x)}, reverse=True)
    x = [0.0, *[(alarms >= c).mean() for c in cuts], 1.0]
    y = [0.0, *[sum(w for r, w in claims if r >= c) / total for c in cuts], 1.0]
    return float(np.trapezoid(y, x))


def drawn(seed: int, films: int = 24) -> list[FilmMarks]:
    rng = np.random.default_rng(seed)
    made: list[FilmMarks] = []
    for k in range(films):
        marks = tuple(np.round(rng.normal(size=rng.poisson(0.8)), 1).tolist())
        hits = [float(np.round(rng.normal(1.5), 1)) if rng.random() < 0.8 else NO for _ in range(1 + k % 3)]
        made.append(FilmMarks(tuple(hits) if k % 2 else (), marks))
    return made


@pytest.mark.parametrize("seed", range(6))
def test_figures_are_areas_under_their_curves(seed: int) -> None:
    films = drawn(seed)
    assert figure_of_merit(films, "AFROC") == pytest.approx(trapezoid(films, False), abs=1e-12)
    assert figure_of_merit(films, "wAFROC") == pytest.approx(trapezoid(films, True), abs=1e-12)
    rated = [max(f.highest, -99.0) for f in films]
    assert figure_of_merit(films, "HrAuc") == pytest.approx(roc_auc_score([bool(f.lesions) for f in films], rated))
    assert figure_of_merit(films, "wAFROC1") <= 1 and figure_of_merit(films, "AFROC1") > 0
    assert figure_of_merit(films, "LROC") <= figure_of_merit(films, "HrAuc")


def test_lroc_counts_a_film_only_where_its_surest_mark_hits() -> None:
    films = [FilmMarks((), (1.0,)), FilmMarks((3.0,), (2.0,)), FilmMarks((3.0,), (4.0,))]
    assert figure_of_merit(films, "LROC") == 0.5 and figure_of_merit(films, "HrAuc") == 1.0


@pytest.mark.parametrize("figure", ["wAFROC", "AFROC", "wAFROC1", "LROC"])
def test_the_jackknife_is_the_figure_without_each_patient(figure: str) -> None:
    readings = [[drawn(10 * t + r) for r in range(3)] for t in range(2)]
    patients = [f"p{k // 2}" for k in range(24)]
    found = located_mrmc(readings, figure, groups=patients)  # type: ignore[arg-type]
    values, left = [], []
    for films in (films for test in readings for films in test):
        values.append(figure_of_merit(films, figure))  # type: ignore[arg-type]
        left.append(
            [
                figure_of_merit([f for f, p in zip(films, patients, strict=True) if p != out], figure)  # type: ignore[arg-type]
                for out in sorted(set(patients))
            ]
        )
    assert [found.auroc[f"test {t + 1}", f"reader {r + 1}"] for t in range(2) for r in range(3)] == pytest.approx(
        values
    )
    apart = np.array(left) - np.mean(left, axis=1, keepdims=True)
    covariance = 11 / 12 * apart @ apart.T
    assert found.components["var"] == pytest.approx(np.diag(covariance).mean())
    assert found.components["cov1"] == pytest.approx(np.mean([covariance[r, 3 + r] for r in range(3)]))
    both = located_mrmc(readings, figure, groups=patients, model="dbm")  # type: ignore[arg-type]
    assert found.f is not None and both.f is not None and both.f[3] == pytest.approx(found.f[3], abs=1e-9)


def test_without_places_it_is_the_analysis_of_aurocs() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(30) % 2 == 0
    scores = rng.normal(size=(2, 3, 30)) + truth
    marks = [
        [[FilmMarks((s,), ()) if t else FilmMarks((), (s,)) for s, t in zip(row, truth, strict=True)] for row in test]
        for test in scores.tolist()
    ]
    one, other = mrmc(truth, scores), located_mrmc(marks)
    key = ("test 1", "test 2")
    assert other.differences[key].low == pytest.approx(one.differences[key].low, abs=1e-12)
    assert other.p[key] == pytest.approx(one.p[key]) and other.method.startswith("wAFROC: ")


def test_a_maps_peaks_are_marks() -> None:
    values = np.zeros((64, 64))
    values[10:13, 20:23], values[11, 21], values[50, 50] = 0.5, 3.0, 2.0
    points, sure = peaks(values, most=2)
    assert sure.tolist() == [3.0, 2.0] and np.floor(points).tolist() == [[21, 11], [50, 50]]
    lesion, other = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    lesion[8:16, 16:24], other[30:34, 30:34] = True, True
    assert film_marks(points, sure, [lesion, other]) == FilmMarks((3.0, NO), (2.0,))
    assert film_marks(points, sure, []) == FilmMarks((), (3.0, 2.0))
    assert film_marks(np.array([[99.0, 1.0]]), [1.0], [lesion]) == FilmMarks((NO,), (1.0,))
    assert len(peaks(-np.ones((8, 8)))[1]) == 0
    assert len(peaks(random_map((64, 64), np.random.default_rng(0)), most=3, apart=8)[1]) <= 3


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="summing to 1"):
        FilmMarks((1.0, 2.0), (), (0.5, 0.6))
    with pytest.raises(ConfigError, match="not a number"):
        FilmMarks((np.nan,))
    with pytest.raises(ConfigError, match="with and without a lesion"):
        figure_of_merit([FilmMarks((1.0,), ())] * 2)
    with pytest.raises(ConfigError, match="expected one of wAFROC"):
        figure_of_merit(BOOK, "ROC")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not the same lesions"):
        located_mrmc([[BOOK, [*BOOK[:-1], FilmMarks((1.0,))]]])
    with pytest.raises(ConfigError, match="same two readers"):
        located_mrmc([[BOOK]])
