"""What a repair costs: paired differences of two models on the same films."""

from collections.abc import Mapping

import numpy as np

from radiolucent.errors import ConfigError
from radiolucent.metrics import cluster_bootstrap_mean, delong_test
from radiolucent.types import Estimate, Predictions

__all__ = ["FIGURES", "Costs", "costs"]

FIGURES = ("auroc", "sensitivity", "specificity")
Costs = Mapping[str, Estimate]
"""By name of the figure: after less before."""


def costs(after: Predictions, before: Predictions, *, level: float = 0.95, folds: int = 2000, seed: int = 0) -> Costs:
    """AUROC, sensitivity and specificity of one model less another's, each at its own threshold.

    Intervals are those of the difference on the same films, by patient: `delong_test` for AUROC, else a bootstrap that
    draws patients with all their films.

    Raises:
        ConfigError: the films differ.
    """
    if after.image_ids != before.image_ids:
        raise ConfigError("predictions of different films; a paired difference needs the same ones in the same order.")
    known = before.labels >= 0
    truth, patients = before.truth[known], np.array(before.patient_ids)[known]
    hits = [p.called[known] == truth for p in (after, before)]
    gained = hits[0].astype(float) - hits[1]

    def proportion(where: np.ndarray) -> Estimate:
        return cluster_bootstrap_mean(
            gained[where], patients[where], level=level, folds=folds, seed=seed, scale="difference"
        )

    auroc = delong_test(truth, after.margins[known], before.margins[known], groups=patients, level=level)[0]
    return {"auroc": auroc, "sensitivity": proportion(truth), "specificity": proportion(~truth)}
