"""Seconds for 10,000 patient-bootstrap folds of 624 cases, against a plain loop over scikit-learn's metrics.

    python benchmarks/bootstrap.py [--folds 10000] [--cases 624] [--loop-folds 200] [--repeats 5]

Both compute the same figures, checked against each other; the loop is timed on fewer folds and extrapolated. `evaluate`
resamples only where that holds what it says; elsewhere it has closed forms. Times are the best of the repeats, which a
busy machine disturbs least.
"""

import argparse
import os
import platform
import resource
import time
from collections.abc import Callable

import numpy as np
import sklearn
from scipy import special
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from radiolucent.metrics import bootstrap_weights, evaluate
from radiolucent.types import Predictions


def cases(n: int, seed: int = 0) -> Predictions:
    """Two films a patient, 62 % positive, AUROC about .97: like the children's test set."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.625).astype(np.int64)
    margin = rng.normal(size=n) * 1.5 + 4 * (labels - 0.5)
    return Predictions(
        image_ids=tuple(f"image {i}" for i in range(n)),
        patient_ids=tuple(f"patient {i // 2}" for i in range(n)),
        logits=np.stack([-margin / 2, margin / 2], axis=1).astype(np.float32),
        labels=labels,
        class_names=("NORMAL", "PNEUMONIA"),
    )


def one_fold(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, line: bool) -> dict[str, float]:
    """The figures of one fold by scikit-learn, with the fold as sample weights."""
    called = scores >= 0.5
    share = {"sample_weight": weights}
    found = {
        "auroc": sk.roc_auc_score(truth, scores, **share),
        "average_precision": sk.average_precision_score(truth, scores, **share),
        "accuracy": sk.accuracy_score(truth, called, **share),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, called, **share),
        "sensitivity": sk.recall_score(truth, called, **share),
        "specificity": sk.recall_score(~truth, ~called, **share),
        "ppv": sk.precision_score(truth, called, **share),
        "npv": sk.precision_score(~truth, ~called, **share),
        "f1": sk.f1_score(truth, called, **share),
        "mcc": sk.matthews_corrcoef(truth, called, **share),
        "brier": sk.brier_score_loss(truth, scores, **share),
    }
    if line:
        model = LogisticRegression(C=np.inf).fit(special.logit(scores)[:, None], truth, sample_weight=weights)
        found["calibration_slope"] = float(model.coef_[0, 0])
    return {name: float(value) for name, value in found.items()}


def seconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best wall and processor time."""
    found: list[tuple[float, float]] = []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(wall for wall, _ in found), min(processor for _, processor in found)


def check(pred: Predictions) -> float:
    """Largest difference between the figures of the two, on all cases."""
    ours = evaluate(pred, folds=10).estimates
    theirs = one_fold(pred.truth, pred.scores, np.ones(len(pred)), line=False)
    return max(abs(value - (ours[name].value or 0)) for name, value in theirs.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, default=10_000)
    parser.add_argument("--cases", type=int, default=624)
    parser.add_argument("--loop-folds", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    pred = cases(given.cases)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    evaluate(pred, folds=100)
    wall, processor = seconds(lambda: evaluate(pred, folds=given.folds), given.repeats)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    truth, scores = pred.truth, pred.scores
    drawn = np.concatenate(list(bootstrap_weights(pred.patient_ids, len(truth), folds=given.loop_folds, seed=0)))
    scale = given.folds / given.loop_folds
    print(f"{given.folds} folds of {given.cases} cases; best of {given.repeats}; {os.cpu_count()} cores, ", end="")
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scikit-learn {sklearn.__version__}\n")
    print("| what | figures | wall s | processor s | ratio |\n|---|---|---|---|---|")
    print(f"| radiolucent evaluate() | 15 | {wall:.2f} | {processor:.2f} | 1 |")
    for line, figures in ((False, 11), (True, 12)):
        slow, busy = seconds(lambda line=line: [one_fold(truth, scores, w, line=line) for w in drawn], 1)
        what = f"scikit-learn loop{' and calibration slope' if line else ''} (from {given.loop_folds} folds)"
        print(f"| {what} | {figures} | {slow * scale:.1f} | {busy * scale:.1f} | {slow * scale / wall:.0f} |")
    print(f"\nmemory above the start: {memory:.0f} MiB")
    print(f"largest difference of figures between the two: {check(pred):.1e}")


if __name__ == "__main__":
    main()
