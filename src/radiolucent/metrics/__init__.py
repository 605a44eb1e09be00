"""Arrays in, Estimates out: discrimination, operating points, calibration, intervals, localisation."""

from radiolucent.metrics.calibration import brier, calibration_line, ece, fit_temperature
from radiolucent.metrics.curves import (
    DecisionCurve,
    Reliability,
    decision_curve,
    ppv_at_prevalence,
    pr_curve_points,
    reliability,
    roc_curve_points,
)
from radiolucent.metrics.evaluation import Evaluation, evaluate
from radiolucent.metrics.intervals import bootstrap_weights, cluster_bootstrap_mean, percentile_interval, wilson
from radiolucent.metrics.localisation import (
    area_fraction,
    dice,
    energy_in_region,
    iou,
    map_auprc,
    pointing_game,
    random_map,
)
from radiolucent.metrics.operating import (
    Threshold,
    accuracy,
    balanced_accuracy,
    choose_threshold,
    f1,
    mcc,
    npv,
    ppv,
    sensitivity,
    specificity,
)
from radiolucent.metrics.ranking import auroc, average_precision, delong_test

__all__ = [
    "DecisionCurve",
    "Evaluation",
    "Reliability",
    "Threshold",
    "accuracy",
    "area_fraction",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "bootstrap_weights",
    "brier",
    "calibration_line",
    "choose_threshold",
    "cluster_bootstrap_mean",
    "decision_curve",
    "delong_test",
    "dice",
    "ece",
    "energy_in_region",
    "evaluate",
    "f1",
    "fit_temperature",
    "iou",
    "map_auprc",
    "mcc",
    "npv",
    "percentile_interval",
    "pointing_game",
    "ppv",
    "ppv_at_prevalence",
    "pr_curve_points",
    "random_map",
    "reliability",
    "roc_curve_points",
    "sensitivity",
    "specificity",
    "wilson",
]
