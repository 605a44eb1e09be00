"""A study's diagnoses and confidence: published examples taken through the whole way, and what does not apply."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radiolucent.readers.statistics import Opinion, graded, panel
from radiolucent.readers.statistics.panel import BLINDED, GRADED_ALPHA, SEEN
from support.vandyke import ratings, truth

STEPS = {1: ("well", 5), 2: ("well", 1), 3: ("ill", 1), 4: ("ill", 3), 5: ("ill", 5)}
NAMES = ("well", "ill")


def van_dyke() -> list[Opinion]:
    """Van Dyke's readers: the second technique blinded, the first as if after the model, which is the fourth reader."""
    first, second = ratings()
    model, facts = first[3].astype(float).tolist(), [bool(t) for t in truth()]
    return [
        Opinion(f"Dr {j}", f"f{n}", f"p{n}", facts[n], *STEPS[int(second[j, n])], STEPS[int(first[j, n])], model[n])
        for j in range(5)
        for n in range(114)
    ]


def test_grades_keep_the_order() -> None:
    said = [graded(*STEPS[step], "ill") for step in (1, 2, 3, 4, 5)]
    assert said == sorted(set(said)) == [-5.0, -1.0, 1.0, 3.0, 5.0]


def test_van_dyke_through_diagnosis_and_confidence() -> None:
    found = panel(van_dyke(), "ill", NAMES, folds=200)
    change = found.change
    assert (change.films, len(change.readers), change.reason) == (114, 5, "")
    published = {SEEN: (0.8970, 0.8252, 0.9689), BLINDED: (0.9408, 0.8941, 0.9875)}
    technique = ratings()
    for when, ends in published.items():
        e = change.average[when]
        assert [round(v or 0, 4) for v in (e.value, e.low, e.high)] == list(ends), when
    assert change.gap and change.gap.n == 114 and change.p == pytest.approx(0.05167, abs=5e-6)
    assert abs(change.gap.value or 0) == pytest.approx(0.9408 - 0.8970, abs=1e-4)
    ends = sorted(abs(end) for end in (change.gap.low or 0, change.gap.high or 0))
    assert ends == pytest.approx([0.0003589, 0.0879595], abs=5e-8)
    against = found.against
    by = {(who, when): e for who, when, e in against.aurocs}
    assert by["model", "its probability"].value == pytest.approx(roc_auc_score(truth(), technique[0, 3]))
    assert all(e.low is not None and e.high is not None for e in by.values()) and len(by) == 6
    readers = np.mean([roc_auc_score(truth(), row) for row in technique[1]])
    assert against.gap and against.gap.value == pytest.approx(readers - (by["model", "its probability"].value or 0))
    assert against.average[BLINDED].value == pytest.approx(readers)


def readings(table: list[list[int | None]], names: str) -> list[Opinion]:
    """Rows of one reader each; None where not read."""
    return [
        Opinion(f"Dr {j}", f"f{n}", f"p{n}", None, names[code], 3)
        for j, row in enumerate(table)
        for n, code in enumerate(row)
        if code is not None
    ]


def test_coefficients_published() -> None:
    sas = np.array([[0, 4, 1], [0, 8, 0], [0, 1, 5]])  # PROC FREQ's example: kappa .4842
    first, second = (np.repeat(i.ravel(), sas.ravel()).tolist() for i in np.indices(sas.shape))
    found = panel(readings([first, second], "abc"), "a", "abc", folds=200).between
    assert set(found) == {"krippendorff_alpha", "gwet_ac1", "cohen_kappa Dr 0 – Dr 1", GRADED_ALPHA}
    assert found["cohen_kappa Dr 0 – Dr 1"].value == pytest.approx(0.4842, abs=5e-5)
    none = None  # Krippendorff's own example of four observers with missing values: nominal alpha .743
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, none, none, none],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, none, 3],
        [none, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, none],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, none],
    ]
    some = panel(readings(table, " abcde"), "a", " abcde", folds=200).between
    assert some["krippendorff_alpha"].value == pytest.approx(0.743, abs=5e-4)
    assert some["fleiss_kappa"].n == 8  # films that all four read
    assert len([k for k in some if k.startswith("cohen")]) == 6


def test_confidence_makes_the_score() -> None:
    """Two readers with the same diagnoses: the one who is surer where right has the greater AUROC, known by hand."""
    facts = [True, True, False, False]
    labels = ["ill", "well", "ill", "well"]
    sure, unsure = (
        [5, 1, 1, 5],
        [1, 5, 5, 1],
    )  # ill: 5, −1 against 1, −5: 3 of 4 pairs; ill: 1, −5 against 5, −1: 1 of 4
    said = [
        Opinion(name, f"f{n}", f"p{n}", facts[n], labels[n], marks[n], None, 0.1 * n)
        for name, marks in (("Dr A", sure), ("Dr B", unsure))
        for n in range(4)
    ]
    found = panel(said, "ill", NAMES, folds=100)
    assert [e.value for _, _, e in found.against.aurocs] == [0.75, 0.25, 0.0]
    assert found.against.gap and found.against.gap.value == 0.5
    assert found.between["krippendorff_alpha"].value == 1.0
    assert (found.between[GRADED_ALPHA].value or 1) < 1
    assert "0 readers" in found.change.reason


def test_not_applicable_says_why() -> None:
    whole = van_dyke()
    alone = panel([o for o in whole if o.reader == "Dr 0"], "ill", NAMES, folds=100)
    assert alone.between == {} and "1 reader;" in alone.against.reason and alone.against.gap is None
    well = panel([o for o in whole if not o.truth], "ill", NAMES, folds=100)
    assert "of 0 patients with" in well.against.reason and well.change.gap is None and well.between
    waiting = panel([dataclasses.replace(o, model=None) for o in whole], "ill", NAMES, folds=100)
    assert "still missing" in waiting.against.reason and waiting.change.gap is not None
    unknown = panel([dataclasses.replace(o, truth=None) for o in whole], "ill", NAMES, folds=100)
    assert unknown.against.gap is None and "labelled" in unknown.against.reason
    assert panel([], "ill", NAMES).between == {}


def test_whoever_read_little_does_not_shrink_the_comparison() -> None:
    whole = van_dyke()
    few = {f"f{n}" for n in range(40)}
    found = panel([o for o in whole if o.reader != "Dr 4" or o.film in few], "ill", NAMES, folds=100)
    assert found.against.readers == ("Dr 0", "Dr 1", "Dr 2", "Dr 3") and found.against.films == 114
