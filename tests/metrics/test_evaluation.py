"""evaluate(): every figure of the interface, the same as one by one, whatever the head."""

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from radiolucent import metrics
from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics import Evaluation, evaluate
from radiolucent.types import Predictions

FIGURES = {
    "auroc", "average_precision", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "f1",
    "mcc", "brier", "ece", "calibration_slope", "calibration_intercept", "calibration_in_the_large",
}  # fmt: skip


def predictions(
    n: int = 150, *, classes: int = 2, seed: int = 0, per_patient: int = 2, **changes: object
) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.3 * np.eye(classes)[labels]
    settings: dict[str, object] = {
        "image_ids": tuple(f"i{i}" for i in range(n)),
        "patient_ids": tuple(f"p{i // per_patient}" for i in range(n)),
        "logits": logits.astype(np.float32),
        "labels": labels,
        "class_names": ("NORMAL", "BACTERIAL", "VIRAL")[:classes],
    }
    return Predictions(**(settings | changes))  # type: ignore[arg-type]


def same(one: Evaluation, other: Evaluation) -> bool:
    return one.as_dict() == other.as_dict()


@pytest.mark.parametrize("head", ["softmax", "three classes", "sigmoid", "multilabel"])
def test_films_are_ranked_by_their_logits_where_probabilities_end(head: str) -> None:
    """Two logits 37 apart make a probability of exactly 1: the films beyond are not tied for that."""
    plain = predictions(classes=3 if head == "three classes" else 2)
    z, truth = plain.logits[:, 1].copy(), plain.labels == 1
    far = np.stack([0 * z, z + 60], 1) if head == "softmax" else z[:, None] - 800
    if head == "three classes":
        far = plain.logits + np.array([0, 60, 0], np.float32)
    labels = truth.astype(int)[:, None] if head == "multilabel" else plain.labels
    names = {"three classes": plain.class_names, "multilabel": ("PNEUMONIA",)}.get(head, plain.class_names[:2])
    kind = "softmax" if head in ("softmax", "three classes") else head
    p = predictions(logits=far.astype(np.float32), labels=labels, class_names=names, head=kind)
    ranked = (p.of_label(0) if head == "multilabel" else p).margins
    assert len(np.unique(ranked)) > 140
    if head == "multilabel":
        found = metrics.evaluate_labels(p, folds=50)
        figures = {name: (found.labels["PNEUMONIA"].estimates[name], found.macro[name]) for name in RANKED}
    else:
        one = evaluate(p, folds=50)
        figures = {name: (one.estimates[name],) for name in RANKED}
        figures["auroc"] += (one.classes[names[1]]["auroc"],) if head == "three classes" else ()
    for name, oracle in RANKED.items():
        for e in figures[name]:
            assert e.value == pytest.approx(oracle(truth, ranked), abs=1e-9), name


RANKED = {"auroc": sk.roc_auc_score, "average_precision": sk.average_precision_score}


def test_all_figures_equal_those_computed_one_by_one() -> None:
    pred = predictions(threshold=0.4, temperature=1.7)
    found = evaluate(pred, folds=600, seed=5)
    assert set(found.estimates) == FIGURES
    truth, scores, called = pred.truth, pred.scores, pred.called
    options = {"groups": pred.patient_ids, "folds": 600, "seed": 5}
    line = metrics.calibration_line(truth, scores, groups=pred.patient_ids)
    alone = {
        "auroc": metrics.auroc(truth, scores, groups=pred.patient_ids),
        "average_precision": metrics.average_precision(truth, scores, **options),  # type: ignore[arg-type]
        "brier": metrics.brier(truth, scores, groups=pred.patient_ids),
        "ece": metrics.ece(truth, scores, **options),  # type: ignore[arg-type]
        "calibration_slope": line.slope,
        "calibration_intercept": line.intercept,
        "calibration_in_the_large": line.large,
    } | {
        name: getattr(metrics, name)(truth, called, **options)
        for name in ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "mcc")
    }
    for name, expected in alone.items():
        one = found.estimates[name]
        assert (one.value, one.low, one.high) == pytest.approx((expected.value, expected.low, expected.high)), name
        assert (one.n, one.method, one.level) == (expected.n, expected.method, expected.level), name
    delong = metrics.auroc(truth, scores, groups=pred.patient_ids)
    assert (found.delong.low, found.delong.high) == pytest.approx((delong.low, delong.high))
    assert found.wilson["ppv"] == metrics.ppv(truth, called, groups=pred.patient_ids) == found.estimates["ppv"]
    ill = len(set(np.array(pred.patient_ids)[truth]))
    assert found.patients_with == ill and found.patients_without == len(set(np.array(pred.patient_ids)[~truth]))


def test_values_equal_scikit_learn() -> None:
    pred = predictions()
    found = {name: estimate.value for name, estimate in evaluate(pred, folds=20).estimates.items()}
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(pred.truth, pred.scores))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(pred.truth, pred.scores))
    assert found["f1"] == pytest.approx(sk.f1_score(pred.truth, pred.called))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(pred.truth, pred.scores))
    tn, fp, fn, tp = sk.confusion_matrix(pred.truth, pred.called).ravel().tolist()
    evaluation = evaluate(pred, folds=20)
    assert evaluation.confusion == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    assert evaluation.matrix == ((tn, fp), (fn, tp)) and evaluation.n == 150 and evaluation.patients == 75


def test_two_class_matrix_follows_the_threshold() -> None:
    pred = predictions(threshold=0.8)
    found = evaluate(pred, folds=20)
    assert found.matrix[1][1] == found.confusion["tp"] and found.matrix[0][1] == found.confusion["fp"]
    other = evaluate(predictions(threshold=0.8, positive=0), folds=20)
    assert other.matrix[0][0] == other.confusion["tp"] and other.positive == "NORMAL"


@pytest.mark.parametrize("folds", [1000, 1001, 1])
def test_seed_fixes_all_and_order_changes_nothing(folds: int) -> None:
    pred = predictions(60)
    found = evaluate(pred, folds=folds)
    assert same(found, evaluate(pred, folds=folds))
    if folds > 2:
        assert not same(found, evaluate(pred, folds=folds, seed=1))
    order = np.random.default_rng(0).permutation(60)
    shuffled = Predictions(
        tuple(pred.image_ids[i] for i in order),
        tuple(pred.patient_ids[i] for i in order),
        pred.logits[order],
        pred.labels[order],
        pred.class_names,
    )
    for name, estimate in evaluate(shuffled, folds=folds).estimates.items():
        assert estimate.low == pytest.approx(found.estimates[name].low), name


def test_a_single_logit_says_the_same_as_two() -> None:
    two = predictions()
    margin = (two.logits[:, 1] - two.logits[:, 0])[:, None]
    one, other = evaluate(two, folds=100), evaluate(predictions(logits=margin, head="sigmoid"), folds=100)
    for name in FIGURES:
        assert one.estimates[name].value == pytest.approx(other.estimates[name].value, rel=1e-5), name
    assert one.matrix == other.matrix


def test_three_classes() -> None:
    pred = predictions(classes=3, positive=1)
    found = evaluate(pred, folds=300)
    assert set(found.estimates) == FIGURES | {"macro_auroc", "class_accuracy"}
    assert found.estimates["macro_auroc"].value == pytest.approx(
        sk.roc_auc_score(pred.labels, pred.probabilities, multi_class="ovr", average="macro")
    )
    called = pred.probabilities.argmax(1)
    assert found.estimates["class_accuracy"].value == pytest.approx(sk.accuracy_score(pred.labels, called))
    assert np.array_equal(found.matrix, sk.confusion_matrix(pred.labels, called))
    assert list(found.classes) == ["NORMAL", "BACTERIAL", "VIRAL"]
    assert any("against the rest, from a probability of" in n and "most probable class" in n for n in found.notes)
    recalls = sk.recall_score(pred.labels, called, average=None)
    for c, (name, figures) in enumerate(found.classes.items()):
        assert figures["sensitivity"].value == pytest.approx(recalls[c]), name
        assert figures["auroc"].value == pytest.approx(sk.roc_auc_score(pred.labels == c, pred.probabilities[:, c]))
        assert figures["ppv"].low is not None
    assert found.classes["BACTERIAL"]["auroc"] == found.estimates["auroc"]


def test_a_class_without_cases_leaves_the_rest() -> None:
    labels = np.arange(90) % 2
    found = evaluate(predictions(90, classes=3, labels=labels), folds=50)
    assert found.estimates["macro_auroc"].value is None and found.estimates["macro_auroc"].note
    assert found.classes["VIRAL"]["auroc"].value is None and found.classes["NORMAL"]["auroc"].value is not None


def test_images_without_a_label_are_left_out_and_counted() -> None:
    pred = predictions()
    labels = pred.labels.copy()
    labels[::5] = -1
    found = evaluate(predictions(labels=labels), folds=50)
    assert found.left_out == 30 and found.n == 120 and any("30 images" in note for note in found.notes)
    kept = labels >= 0
    assert found.estimates["auroc"].value == pytest.approx(sk.roc_auc_score(pred.truth[kept], pred.scores[kept]))


def test_one_class_only_still_gives_what_is_defined() -> None:
    found = evaluate(predictions(labels=np.ones(150, int)), folds=50)
    assert found.estimates["sensitivity"].value is not None and found.prevalence == 1.0
    for name in ("auroc", "specificity", "balanced_accuracy", "calibration_slope"):
        assert found.estimates[name].value is None and found.estimates[name].note, name
    assert found.delong.value is None and found.wilson["specificity"].value is None


def test_perfect_predictions_do_not_claim_certainty() -> None:
    labels = np.arange(60) % 2
    logits = np.stack([-3.0 * labels, 3.0 * labels - 1], axis=1).astype(np.float32)
    found = evaluate(predictions(60, labels=labels, logits=logits, per_patient=1), folds=100)
    for name in ("auroc", "accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "mcc", "balanced_accuracy"):
        estimate = found.estimates[name]
        assert estimate.value == 1.0 and estimate.low is not None and 0.7 < estimate.low < 1.0, name
        assert "exact" in estimate.note or "wilson" in estimate.method, name
    assert 0.7 < (found.estimates["average_precision"].low or 0) < 1
    assert "separation" in found.estimates["calibration_slope"].note
    assert found.delong.low == found.estimates["auroc"].low == pytest.approx(0.025 ** (1 / 30))
    paired = evaluate(predictions(60, labels=labels, logits=logits, per_patient=6), folds=100)  # 10 patients, 5 pairs
    assert paired.delong.low == paired.estimates["auroc"].low == pytest.approx(0.025 ** (1 / 5))


def test_analytic_intervals_and_their_caveat() -> None:
    pred = predictions()
    found = evaluate(pred, interval="analytic")
    assert found.estimates["auroc"] == found.delong and found.estimates["ppv"] == found.wilson["ppv"]
    assert found.estimates["brier"].low is not None and "jackknife" in found.estimates["calibration_slope"].method
    assert found.estimates["ece"].low is None and "bootstrap" in found.estimates["ece"].note
    assert found.estimates["mcc"].low is not None and "jackknife" in found.estimates["mcc"].method
    assert evaluate(predictions(labels=np.zeros(150, int)), interval="analytic").estimates["f1"].value is not None


def test_the_record_is_json_with_stable_names() -> None:
    record = json.loads(json.dumps(evaluate(predictions(classes=3), folds=20).as_dict(), allow_nan=False))
    assert set(record["auroc"]) >= {"value", "low", "high", "level", "n", "method"}
    assert {"n", "patients", "threshold", "confusion", "matrix", "wilson", "auroc_delong", "classes"} <= set(record)
    json.dumps(evaluate(predictions(labels=np.ones(150, int)), folds=20).as_dict(), allow_nan=False)


def test_unusable_predictions_are_refused_by_name() -> None:
    logits = predictions().logits.copy()
    logits[7] = np.nan
    with pytest.raises(DataError, match=r"i7: logits are not finite \(1 of 150 images\)"):
        evaluate(predictions(logits=logits))
    with pytest.raises(DataError, match="no image has a label"):
        evaluate(predictions(labels=np.full(150, -1)))
    with pytest.raises(DataError, match="no image has a label"):
        evaluate(predictions(0))
    with pytest.raises(DataError, match="label 4 with 2 classes"):
        evaluate(predictions(labels=np.full(150, 4)))
    with pytest.raises(ConfigError, match="analytic"):
        evaluate(predictions(), interval="wilson")  # type: ignore[arg-type]


def test_ten_thousand_folds_of_624_cases_are_cheap() -> None:
    """The bound is 2 s on 2 quiet cores; processor time is what a busy machine does not distort much."""
    import time

    pred = predictions(624)
    evaluate(pred, folds=200)
    start = time.process_time()
    evaluate(pred)
    assert time.process_time() - start < 2.5
