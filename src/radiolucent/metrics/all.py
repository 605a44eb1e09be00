"""All figures of an evaluation, in reading order."""

from collections.abc import Callable

from radiolucent.metrics.calibration import brier, ece
from radiolucent.metrics.metric import Cases, Metric, Resampling
from radiolucent.metrics.multiclass import class_accuracy, macro_auroc
from radiolucent.metrics.operating import at_threshold
from radiolucent.metrics.ranking import auroc, average_precision
from radiolucent.metrics.recalibration import calibration_line
from radiolucent.types import Estimate

__all__ = ["METRICS"]


def _at_threshold(name: str) -> Callable[[Cases, Resampling], Estimate]:
    def estimate(cases: Cases, how: Resampling) -> Estimate:
        options = {"level": how.level, "folds": how.folds, "seed": how.seed}
        return at_threshold(name, cases.truth, cases.called, groups=cases.patients, **options)  # pyright: ignore

    return estimate


def _of_ranks(function: Callable[..., Estimate]) -> Callable[[Cases, Resampling], Estimate]:
    def estimate(cases: Cases, how: Resampling) -> Estimate:
        options = {"level": how.level, "folds": how.folds, "seed": how.seed}
        return function(cases.truth, cases.margins, groups=cases.patients, **options)

    return estimate


def _ece(cases: Cases, how: Resampling) -> Estimate:
    options = {"level": how.level, "folds": how.folds, "seed": how.seed}
    return ece(cases.truth, cases.scores, groups=cases.patients, **options)  # pyright: ignore[reportArgumentType]


def _brier(cases: Cases, how: Resampling) -> Estimate:
    return brier(cases.truth, cases.scores, groups=cases.patients, level=how.level)


def _of_line(part: str) -> Callable[[Cases, Resampling], Estimate]:
    def estimate(cases: Cases, how: Resampling) -> Estimate:
        return getattr(calibration_line(cases.truth, cases.scores, groups=cases.patients, level=how.level), part)

    return estimate


METRICS: tuple[Metric, ...] = (
    Metric(
        "auroc",
        "AUROC",
        "how often a random film with it scores above a random one without; 0.5 is a coin, 1 perfect",
        "high",
        _of_ranks(auroc),
    ),
    Metric(
        "sensitivity",
        "Sensitivity (recall)",
        "share of films with it that are called",
        "high",
        _at_threshold("sensitivity"),
    ),
    Metric(
        "specificity", "Specificity", "share of films without it that are cleared", "high", _at_threshold("specificity")
    ),
    Metric("ppv", "PPV (precision)", "share of calls that are right, at this prevalence", "high", _at_threshold("ppv")),
    Metric("npv", "NPV", "share of clearances that are right, at this prevalence", "high", _at_threshold("npv")),
    Metric("accuracy", "Accuracy", "share of films called right", "high", _at_threshold("accuracy")),
    Metric(
        "balanced_accuracy",
        "Balanced accuracy",
        "mean of sensitivity and specificity",
        "high",
        _at_threshold("balanced_accuracy"),
    ),
    Metric(
        "average_precision",
        "Average precision",
        "PPV averaged over all sensitivities, at this prevalence",
        "high",
        _of_ranks(average_precision),
    ),
    Metric("f1", "F1", "harmonic mean of PPV and sensitivity", "high", _at_threshold("f1")),
    Metric("mcc", "MCC", "correlation of call and label, −1 to 1", "high", _at_threshold("mcc")),
    Metric("macro_auroc", "Macro AUROC", "mean one-against-rest AUROC of all classes", "high", macro_auroc),
    Metric(
        "class_accuracy",
        "Accuracy over all classes",
        "share of films whose most probable class is right",
        "high",
        class_accuracy,
    ),
    Metric("brier", "Brier score", "mean squared error of the probabilities; 0 is best", "low", _brier),
    Metric("ece", "ECE", "mean gap between probability and observed share; 0 is best", "low", _ece),
    Metric(
        "calibration_slope",
        "Calibration slope",
        "1 is calibrated; below 1: probabilities too extreme",
        1.0,
        _of_line("slope"),
    ),
    Metric(
        "calibration_intercept",
        "Calibration intercept",
        "fitted with the slope; 0 is calibrated",
        0.0,
        _of_line("intercept"),
    ),
    Metric(
        "calibration_in_the_large",
        "Calibration in the large",
        "the intercept at slope 1; below 0: probabilities too high on the whole",
        0.0,
        _of_line("large"),
    ),
)
