"""evaluate_labels(): each label as if alone, unknown ones left out, and means with an interval over patients."""

import json

import numpy as np
import pytest
import sklearn.metrics as sk

from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics import evaluate, evaluate_labels
from radiolucent.types import LabelRule, Predictions

NAMES = ("effusion", "mass", "hernia")


def predictions(labels: np.ndarray, rules: tuple[LabelRule, ...] = (), patients: int = 0) -> Predictions:
    rng = np.random.default_rng(1)
    logits = (rng.normal(size=labels.shape) + np.where(labels > 0, 1.2, 0)).astype(np.float32)
    ids = tuple(f"f{i}" for i in range(len(labels)))
    who = tuple(f"p{i % (patients or len(labels))}" for i in range(len(labels)))
    return Predictions(ids, who, logits, labels.astype(np.int64), NAMES, 0, "multilabel", rules=rules)


def labels(n: int = 160) -> np.ndarray:
    rng = np.random.default_rng(0)
    found = (rng.random((n, 3)) < (0.4, 0.3, 0.02)).astype(int)
    found[:12, 0], found[6:20, 1] = -1, -1
    return found


def test_a_label_is_evaluated_as_if_it_were_alone() -> None:
    p = predictions(labels(), (LabelRule(0.3, 2.0, 80), LabelRule(0.6), LabelRule(0.5)), patients=120)
    found = evaluate_labels(p, folds=60)
    known = p.labels[:, 0] >= 0
    one = Predictions(
        tuple(np.array(p.image_ids)[known]), tuple(np.array(p.patient_ids)[known]), p.logits[known, :1],
        p.labels[known, 0], ("no effusion", "effusion"), 1, "sigmoid", 2.0, 0.3, calibrated_on=80,
    )  # fmt: skip
    alone = evaluate(one, folds=60)
    assert found.labels["effusion"].estimates == alone.estimates
    assert found.labels["effusion"].n == 148 and found.labels["effusion"].threshold == 0.3
    assert set(found.too_few) == {"hernia"} and "too few" in found.too_few["hernia"]
    assert "no figures of hernia: too few patients; the means are of the other labels" in found.notes
    assert "hernia" not in found.labels and found.n == 160 and any("uncertain" in note for note in found.notes)
    json.dumps(found.as_dict(), allow_nan=False)
    none = evaluate_labels(predictions(labels()[:12]), folds=60)  # no label has enough, so no mean is of others
    assert not none.labels and any(note.endswith("too few patients") for note in none.notes)


def test_the_mean_is_of_the_labels_that_have_enough_and_its_interval_holds_it() -> None:
    p = predictions(labels(), patients=90)
    found = evaluate_labels(p, folds=300)
    each = []
    for k in (0, 1):
        known = p.labels[:, k] >= 0
        each.append(sk.roc_auc_score(p.labels[known, k], p.logits[known, k]))
    mean = found.macro["auroc"]
    assert mean.value == pytest.approx(np.mean(each)) and mean.n == 90
    assert mean.low is not None and mean.high is not None and mean.low < mean.value < mean.high
    assert mean.high - mean.low < max(e.high - e.low for e in (o.estimates["auroc"] for o in found.labels.values()))
    sens = [found.labels[n].estimates["sensitivity"].value for n in ("effusion", "mass")]
    assert found.macro["sensitivity"].value == pytest.approx(np.mean(sens))
    bare = evaluate_labels(p, interval="analytic").macro["auroc"]
    assert bare.value == pytest.approx(mean.value) and bare.low is None


def test_a_label_without_a_threshold_is_never_called() -> None:
    p = predictions(labels(), (LabelRule(None), LabelRule(0.4), LabelRule(0.4)))
    assert not p.calls[:, 0].any() and p.calls[:, 1].any()
    found = evaluate_labels(p, folds=60)
    assert found.without_threshold == ("effusion",)
    assert found.labels["effusion"].estimates["sensitivity"].value is None
    assert found.labels["effusion"].estimates["auroc"].value is not None
    assert found.macro["sensitivity"].value is None and "effusion" in found.macro["sensitivity"].note


def test_what_has_a_meaning_for_one_class_alone_is_refused() -> None:
    p = predictions(labels())
    for use in (lambda: p.scores, lambda: p.truth, lambda: p.called, lambda: evaluate(p)):
        with pytest.raises(ConfigError, match="evaluate_labels"):
            use()
    with pytest.raises(ConfigError, match="expected one of effusion"):
        p.of_label("nodule")
    with pytest.raises(ConfigError, match=r"evaluate\(\)"):
        evaluate_labels(p.of_label("effusion"))
    with pytest.raises(DataError, match="no film has a known label"):
        evaluate_labels(predictions(np.full((20, 3), -1)))
    with pytest.raises(ConfigError, match="one a label"):
        predictions(labels(), (LabelRule(0.3),))
    assert p.rows()[0]["effusion"] is None and p.rows()[30]["mass"] in (0, 1)
    assert "called:" in repr(p)
