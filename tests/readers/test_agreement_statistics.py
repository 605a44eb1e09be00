"""κ and α against published worked examples and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from radiolucent.errors import AnnotationError, ConfigError
from radiolucent.readers.statistics import (
    cohen_kappa,
    diagnosis_table,
    finding_table,
    fleiss_kappa,
    krippendorff_alpha,
    zone_table,
)
from radiolucent.study.doctors import between_readers
from radiolucent.types import Annotation, Region

PAIR = ("NORMAL", "PNEUMONIA")
FEW = {"folds": 300}


def pairs(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two raters' codes with this cross table."""
    rows, columns = np.indices(table.shape)
    return np.repeat(rows.ravel(), table.ravel()), np.repeat(columns.ravel(), table.ravel())


# The example of SAS's PROC FREQ for agreement: κ .4842 (.2137 to .7547), linear weights .4701 (.1845 to .7558).
SAS = np.array([[0, 4, 1], [0, 8, 0], [0, 1, 5]])
# Fleiss, Cohen & Everitt 1969: 200 cases in three categories; κ .429.
FCE = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])


def test_cohen_published() -> None:
    plain, linear = cohen_kappa(*pairs(SAS), seed=1), cohen_kappa(*pairs(SAS), weights="linear", seed=1)
    assert plain.value == pytest.approx(0.4842, abs=5e-5) and linear.value == pytest.approx(0.4701, abs=5e-5)
    assert plain.n == 19 and plain.low is not None and plain.high is not None
    # SAS's own interval (.2137 to .7547) is the large-sample one: with 6 cases of an agreed other rating ours is wider.
    assert -0.1 < plain.low < 0.2137 and plain.high == pytest.approx(0.7547, abs=0.06) and "on 6 cases" in plain.note
    assert cohen_kappa(*pairs(FCE), **FEW).value == pytest.approx(0.429, abs=5e-4)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=4, max_size=40))
def test_cohen_against_scikit_learn(values: list[tuple[int, int]]) -> None:
    a, b = np.array(values).T
    if len(np.unique(np.concatenate([a, b]))) < 2:
        assert cohen_kappa(a, b, folds=100).value is None
        return
    for weights, name in (("none", None), ("linear", "linear"), ("quadratic", "quadratic")):
        found = cohen_kappa(a, b, weights=weights, categories=range(4), folds=100)
        expected = cohen_kappa_score(a, b, weights=name, labels=range(4))
        assert found.value == pytest.approx(expected, abs=1e-12)


def test_the_interval_covers_and_patients_widen_it() -> None:
    rng = np.random.default_rng(3)
    truth = 0.36  # two raters who both agree with the truth 80 % of the time on balanced cases: (.8·.8+.2·.2−.5)/.5
    covered = 0
    for seed in range(30):
        state = rng.integers(0, 2, 120)
        a, b = (np.where(rng.random(120) < 0.8, state, 1 - state) for _ in range(2))
        found = cohen_kappa(a, b, folds=200, seed=seed)
        assert found.low is not None and found.high is not None
        covered += found.low <= truth <= found.high
    assert 24 <= covered <= 30
    a, b = np.repeat(rng.integers(0, 2, 30), 4), np.repeat(rng.integers(0, 2, 30), 4)
    alone, grouped = cohen_kappa(a, b, **FEW), cohen_kappa(a, b, groups=[f"p{i // 4}" for i in range(120)], **FEW)
    assert grouped.n == 30 and alone.low is not None and grouped.low is not None and grouped.low < alone.low - 0.1


def test_unknown_categories_and_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 and 2 ratings"):
        cohen_kappa([1, 2, 3], [1, 2])
    with pytest.raises(ConfigError, match="ratings 3; expected any of 1, 2"):
        cohen_kappa([1, 2, 3], [1, 2, 2], categories=[1, 2])
    with pytest.raises(ConfigError, match="quadratic"):
        cohen_kappa([1, 2], [1, 2], weights="cubic")  # pyright: ignore[reportArgumentType]


# Fleiss 1971, table 1: six psychiatrists each on 30 patients, five diagnoses; κ .430.
FLEISS = (
    "444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444 224445 333335 "
    "111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444 133333 555555"
)


def test_fleiss_published() -> None:
    counts = np.array([[case.count(str(c)) for c in range(1, 6)] for case in FLEISS.split()])
    assert counts.sum(0).tolist() == [26, 26, 30, 55, 43]
    found = fleiss_kappa(counts, seed=1)
    assert found.value == pytest.approx(0.4302445, abs=1e-7) and found.n == 30
    assert found.low is not None and found.high is not None and 0.25 < found.low < 0.43 < found.high < 0.6
    assert fleiss_kappa(np.array([[3, 0], [3, 0]]), **FEW).value is None
    with pytest.raises(ConfigError, match="Krippendorff"):
        fleiss_kappa(np.array([[3, 0], [2, 0]]))


# Krippendorff 2011, example C: four observers, twelve units, some missing; α .743, .815, .849.
NONE = np.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
)


@pytest.mark.parametrize(("scale", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_published(scale: str, value: float) -> None:
    found = krippendorff_alpha(KRIPPENDORFF, scale, **FEW)  # pyright: ignore[reportArgumentType]
    assert found.value == pytest.approx(value, abs=5e-4) and found.n == 11  # one unit has a single rating
    shuffled = KRIPPENDORFF[[2, 0, 3, 1]][:, ::-1]
    again = krippendorff_alpha(shuffled, scale, **FEW)  # pyright: ignore[reportArgumentType]
    assert again.value == pytest.approx(found.value, abs=1e-12)


def test_alpha_ends() -> None:
    same = np.tile([0.0, 1, 2, 0, 1], (3, 1))
    assert krippendorff_alpha(same, "ordinal", **FEW).value == 1.0
    assert "same" not in krippendorff_alpha(same, "ordinal", **FEW).note
    assert krippendorff_alpha(np.zeros((3, 5)), **FEW).note == "all ratings are the same"
    assert krippendorff_alpha(np.array([[1, NONE], [NONE, 2]]), **FEW).note == "fewer than two units to compare"
    opposed = krippendorff_alpha(np.array([[0.0, 1] * 10, [1.0, 0] * 10]), **FEW)
    assert opposed.value is not None and opposed.value < -0.9  # worse than chance


def test_readings_become_tables() -> None:
    box = Region.box(1, 1, 2, 2)
    said = [
        Annotation("a", (box,), "x", "A"),
        Annotation("a", (), "NORMAL", "B", finding=False),
        Annotation("b", (), "NORMAL", "A", finding=False),
        Annotation("a", (box,), "y", "A"),
    ]
    table = finding_table(said)
    assert table.readers == ("A", "B") and table.films == ("a", "b")
    np.testing.assert_array_equal(table.values, [[1, 0], [0, np.nan]])  # B never read b
    scar = [Annotation("a", (box,), "NORMAL", "A"), Annotation("b", (), "ILL", "A", finding=False)]
    np.testing.assert_array_equal(finding_table(scar, ("NORMAL", "ILL"), "ILL").values, [[0, 1]])
    zones = tuple(Region.zone(z, s) for z, s in zip("ABCDEF", (0, 1, 2, 3, 0, 1), strict=True))
    scored = [Annotation("a", zones, reader="S"), Annotation("a", (), reader="J", finding=False)]
    found = zone_table(scored)
    assert found.units[:2] == ("a A", "a B") and found.values.shape == (2, 6)
    np.testing.assert_array_equal(found.values, [[0] * 6, [0, 1, 2, 3, 0, 1]])
    with pytest.raises(AnnotationError, match="no zone scores"):
        zone_table(said)


def called(reader: str, labels: str, marked: str) -> list[Annotation]:
    """One letter a film: the diagnosis (n, p; - none given), and x where something was marked."""
    names = {"n": "NORMAL", "p": "PNEUMONIA", "-": None}
    places = {"x": (Region.box(1, 1, 5, 5),), ".": ()}
    return [
        Annotation(f"f{i}", places[m], names[word], reader, finding=m == "x")
        for i, (word, m) in enumerate(zip(labels, marked, strict=True))
    ]


def test_diagnoses_are_compared_and_findings_beside_them() -> None:
    """Both mark the same films, old scars too; they differ in what they call three of them."""
    said = [*called("A", "ppppnnnn", "xxxxxx.."), *called("B", "pnpnnpnn", "xxxxxx..")]
    found = between_readers(said, {}, PAIR, "PNEUMONIA", folds=100, seed=0)
    # diagnoses: 5 of 8 the same; by chance (4 · 3 + 4 · 5) / 64 = 1/2
    assert found["cohen_kappa A – B"].value == pytest.approx(0.25)
    assert found["cohen_kappa A – B, finding"].value == 1 and found["krippendorff_alpha finding"].value == 1
    assert (found["krippendorff_alpha"].value or 1) < 0.5
    unnamed = [*called("A", "--------", "xxxx...."), *called("B", "--------", "xxxx....")]
    without = between_readers(unnamed, {}, folds=100, seed=0)
    assert set(without) == {"cohen_kappa A – B, finding", "gwet_ac1 finding", "krippendorff_alpha finding"}


def test_a_diagnosis_is_the_same_however_it_is_spelt() -> None:
    """Readers who agree on every film agree, in capitals or not, and whatever they call a film without finding."""
    words = {"p": ("PNEUMONIA", "pneumonia", "Pneumonia "), "n": ("NORMAL", "normal", "No finding")}
    said = [
        Annotation(f"f{i}", (), words[letter][k], reader, finding=letter == "p")
        for k, reader in enumerate("ABC")
        for i, letter in enumerate("ppppnnnnnn")
    ]
    for classes in (PAIR, ()):
        found = between_readers(said, {}, classes, "PNEUMONIA" if classes else "", folds=100, seed=0)
        assert {round(e.value or 0, 9) for e in found.values()} == {1.0}, classes
    three = ("NORMAL", "PNEUMONIA", "TB")
    other = [Annotation("f", (Region.box(1, 1, 5, 5),), word, word) for word in ("TB", "tb")]
    assert [a.call(three, "PNEUMONIA") for a in other] == [False, False]
    clear = [Annotation("f", (), word, word, finding=False) for word in ("NORMAL", "no findings")]
    table, names = diagnosis_table([*other, *clear], three, "PNEUMONIA") or (None, ())
    assert names == ("NORMAL", "TB") and table is not None and sorted(table.values.ravel()) == [0, 0, 1, 1]


def test_a_finding_stands_for_a_diagnosis_only_where_it_says_one() -> None:
    said = [*called("A", "p--", "xx."), *called("B", "ppn", "xx.")]
    table, names = diagnosis_table(said, PAIR, "PNEUMONIA") or (None, ())
    assert table is not None and names == PAIR and table.values.tolist() == [[1, 1, 0], [1, 1, 0]]
    table, names = diagnosis_table(said) or (None, ())  # no model: what A found on the second film is not said
    assert table is not None and names == ("PNEUMONIA", "no finding")
    assert np.isnan(table.values[0, 1]) and table.values[0, 2] == 1 and table.values[1].tolist() == [0, 0, 1]
    both = [Annotation("f", (), label, "A") for label in ("scar", "PNEUMONIA")]
    assert (diagnosis_table(both, PAIR, "PNEUMONIA") or (None, ()))[1] == ("PNEUMONIA",)
    assert (diagnosis_table(both) or (None, ()))[1] == ("PNEUMONIA + scar",)
    assert diagnosis_table([Annotation("f", reader="A")]) is None
