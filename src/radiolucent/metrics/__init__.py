"""Arrays in, Estimates out: discrimination, operating points, calibration, intervals, localisation.

Every figure carries its interval and its caveat. Where patients have several images, give their identifiers as
`groups`: intervals then come from patients, not images. What is not defined (one class, no case, a score that is not a
number) is an `Estimate` whose value is None and whose note says why; arrays that do not fit each other raise.
"""

from radiolucent.metrics.all import METRICS
from radiolucent.metrics.calibration import brier, ece
from radiolucent.metrics.curves import (
    DecisionCurve,
    Reliability,
    decision_curve,
    npv_at_prevalence,
    ppv_at_prevalence,
    pr_curve_points,
    predictive_values,
    reliability,
    roc_band,
    roc_curve_points,
)
from radiolucent.metrics.delong import delong_test
from radiolucent.metrics.evaluation import Evaluation, evaluate
from radiolucent.metrics.intervals import wilson
from radiolucent.metrics.label_errors import LabelSuspect, label_suspects
from radiolucent.metrics.labels import LabelsEvaluation, evaluate_labels
from radiolucent.metrics.localisation import (
    area_fraction,
    dice,
    dice_at_area,
    energy_in_region,
    iou,
    iou_at_area,
    map_auprc,
    pointing_game,
    random_baseline,
    random_map,
)
from radiolucent.metrics.metric import Metric
from radiolucent.metrics.operating import (
    accuracy,
    balanced_accuracy,
    f1,
    mcc,
    npv,
    ppv,
    sensitivity,
    specificity,
)
from radiolucent.metrics.paired import clustered_mcnemar
from radiolucent.metrics.ranking import auroc, average_precision
from radiolucent.metrics.recalibration import Calibration, calibration_line
from radiolucent.metrics.resample import bootstrap, bootstrap_weights, cluster_bootstrap_mean, cluster_means
from radiolucent.metrics.sizing import Size, patients_needed, size_auroc, size_proportion
from radiolucent.metrics.temperature import (
    LogitCalibration,
    calibrate_logits,
    fit_temperature,
    fit_temperature_and_bias,
)
from radiolucent.metrics.thresholds import Threshold, choose_threshold

__all__ = [
    "METRICS",
    "Calibration",
    "DecisionCurve",
    "Evaluation",
    "LabelSuspect",
    "LabelsEvaluation",
    "LogitCalibration",
    "Metric",
    "Reliability",
    "Size",
    "Threshold",
    "accuracy",
    "area_fraction",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "bootstrap",
    "bootstrap_weights",
    "brier",
    "calibrate_logits",
    "calibration_line",
    "choose_threshold",
    "cluster_bootstrap_mean",
    "cluster_means",
    "clustered_mcnemar",
    "decision_curve",
    "delong_test",
    "dice",
    "dice_at_area",
    "ece",
    "energy_in_region",
    "evaluate",
    "evaluate_labels",
    "f1",
    "fit_temperature",
    "fit_temperature_and_bias",
    "iou",
    "iou_at_area",
    "label_suspects",
    "map_auprc",
    "mcc",
    "npv",
    "npv_at_prevalence",
    "patients_needed",
    "pointing_game",
    "ppv",
    "ppv_at_prevalence",
    "pr_curve_points",
    "predictive_values",
    "random_baseline",
    "random_map",
    "reliability",
    "roc_band",
    "roc_curve_points",
    "sensitivity",
    "size_auroc",
    "size_proportion",
    "specificity",
    "wilson",
]
