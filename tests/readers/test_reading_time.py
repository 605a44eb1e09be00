"""Time to read, and which readings are missing: by hand, by simulation, and told where figures rest on fewer films."""

import numpy as np
import pytest
from scipy import stats

from radiolucent.errors import ConfigError
from radiolucent.readers.statistics import Opinion, Table, completeness, panel, reading_times

NAN = float("nan")


def test_a_film_a_patient_is_students_paired_t() -> None:
    rng = np.random.default_rng(0)
    seconds = rng.gamma(4, 10, size=(2, 3, 60))
    found = reading_times(seconds, tests=("alone", "with"), readers=["A", "B", "C"])
    for j, name in enumerate("ABC"):
        gap = seconds[1, j] - seconds[0, j]
        e = found.differences[name]
        assert e.value == pytest.approx(gap.mean()) and e.n == 60
        assert (e.high or 0) - gap.mean() == pytest.approx(stats.sem(gap) * 2, rel=0.03)
        assert {t.median for t in found.times if t.reader == name} == {float(np.median(s[j])) for s in seconds}
    assert found.average is not None and found.average.value == pytest.approx((seconds[1] - seconds[0]).mean())


def test_only_films_read_both_ways_are_compared_and_no_reading_costs_another_its_film() -> None:
    seconds = np.array([[[10, 20, NAN, 40], [5, 5, 5, 5]], [[20, NAN, 1, 60], [6, 7, 8, 9]]], float)
    found = reading_times(seconds, readers=["A", "B"], groups=["p", "p", "q", "r"])
    assert (found.differences["A"].value, found.differences["A"].n) == (15.0, 2)
    assert (found.differences["B"].value, found.differences["B"].n) == (2.5, 3)
    assert [(t.reader, t.test, t.films) for t in found.times[:2]] == [("A", "unaided", 3), ("A", "aided", 3)]
    assert found.average is not None and found.average.value == pytest.approx(8.75)
    assert found.as_dict()["readers"]["A"]["unaided"]["median"] == 20.0


def test_readers_and_patients_random_keep_their_level() -> None:
    """No difference; readers differ in how they take to the aid, and a patient's films go alike; 20 % missing."""
    rng, wrong = np.random.default_rng(1), []
    patients = np.repeat(np.arange(30), 2)
    for _ in range(300):
        slow = np.exp(0.4 * rng.normal(size=30))[patients]
        seconds = 30 * slow * rng.gamma(4, 0.25, size=(2, 5, 60))
        seconds[1] += 3 * rng.normal(size=(5, 1)) + 4 * rng.normal(size=30)[patients]
        seconds = np.maximum(seconds, 0)
        seconds[rng.random(seconds.shape) < 0.2] = NAN
        p = reading_times(seconds, groups=patients).p
        wrong.append(p is not None and p < 0.05)
    assert np.mean(wrong) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (np.zeros((3, 2, 4)), "2 tests"),
        (-np.ones((2, 2, 4)), "times from 0"),
        (np.full((2, 2, 4), np.inf), "finite times"),
    ],
)
def test_times_that_cannot_be_are_refused(seconds: np.ndarray, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        reading_times(seconds)


def test_what_cannot_be_told_has_no_interval() -> None:
    one = reading_times(np.array([[[3.0, 4.0]], [[5.0, 6.0]]]), groups=["p", "p"])
    assert one.differences["reader 1"].low is None and one.average is None and one.p is None
    same = reading_times(np.full((2, 2, 5), 7.0))
    assert same.average is not None and same.average.low is None and same.p is None
    nothing = reading_times(np.full((2, 1, 3), NAN))
    assert nothing.differences["reader 1"].value is None and nothing.times[0].median is None


def test_missing_readings_are_counted_by_reader() -> None:
    values = np.array([[1, 0, NAN, 1, NAN], [1, NAN, 0, 1, NAN], [0, 0, 1, 1, NAN]])
    films = tuple("abcde")
    found = completeness(Table(("A", "B", "C"), films, films, values))
    assert (found.films, found.by_all, found.missing) == (4, 2, 2)  # nobody read e
    assert found.as_dict()["readers"]["B"] == {"read": 3, "missing": 1}
    assert "2 of 12 readings are missing (A 1, B 1)" in found.words and "2 of 4 films" in found.words
    assert completeness(Table(("A",), films[:1], films[:1], values[:1, :1])).words == ""
    assert completeness(Table(("A", "B", "C"), films, films, values), ["a", "b"]).films == 2


def test_a_panel_says_which_films_and_readers_its_comparison_leaves_out() -> None:
    def read(reader: str, films: range) -> list[Opinion]:
        return [Opinion(reader, f"f{i}", f"p{i}", i % 2 == 0, "ill" if i % 3 else "well", 3, model=0.5) for i in films]

    found = panel(
        [*read("A", range(12)), *read("B", range(2, 12)), *read("C", range(3))], "ill", ("ill", "well"), folds=50
    )
    assert (found.against.films, found.against.left, found.against.passed_over) == (10, 2, ("C",))
    assert found.completeness is not None and found.completeness.read == {"A": 12, "B": 10, "C": 3}
    assert found.change.films == 0 and "finished films" in found.change.reason
