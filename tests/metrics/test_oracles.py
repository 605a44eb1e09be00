"""Figures as other packages give them, typed in: statsmodels 0.15, torchmetrics 1.9, krippendorff 0.9, dcurves 1.1."""

import numpy as np
import pytest

from radiolucent import metrics
from radiolucent.readers import statistics

K = np.arange(80)  # Weyl sequences: the same numbers everywhere
SCORES = np.round((K * 0.6180339887) % 1, 3) * 0.98 + 0.01
TRUTH = ((K * 0.7548776662) % 1) < SCORES**1.3 + 0.05
SECOND = ((K * 0.5698402910) % 1) < 0.5 * TRUTH + 0.25
FIRST_READER = np.minimum((SCORES * 4).astype(int), 3)
SECOND_READER = np.minimum(((SCORES + 0.3 * ((K * 0.5698402910) % 1 - 0.5)).clip(0, 0.999) * 4).astype(int), 3)
THIRD_READER = np.minimum(FIRST_READER + ((K * 0.5) % 1 > 0) * (K % 3 == 0), 3)
READ = np.stack([FIRST_READER, SECOND_READER, THIRD_READER]).astype(float)
GAPS = np.stack([K % 7 == 0, np.zeros(80, bool), K % 5 == 0])


def test_as_torchmetrics() -> None:
    assert metrics.ece(TRUTH, SCORES, folds=2).value == pytest.approx(0.1101575, abs=1e-7)
    assert metrics.mcc(TRUTH, SCORES >= 0.5).value == pytest.approx(0.4751485, abs=1e-6)
    assert metrics.average_precision(TRUTH, SCORES).value == pytest.approx(0.8358741, abs=1e-6)
    assert metrics.auroc(TRUTH, SCORES).value == pytest.approx(0.8080050, abs=1e-6)


def test_as_statsmodels_logit_and_glm() -> None:
    """Logit on the log-odds with its Wald intervals; the intercept with the log-odds as offset."""
    found = metrics.calibration_line(TRUTH, SCORES, interval="wald")
    for e, expected in (
        (found.slope, (0.80118333, 0.39637431, 1.20599236)),
        (found.intercept, (0.06954458, -0.43796937, 0.57705852)),
        (found.large, (0.07513168, -0.45858655, 0.60884991)),
    ):
        assert (e.value, e.low, e.high) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("k", "low", "high"),
    [
        (0, 0.0, 0.1611251581),
        (3, 0.0523687459, 0.3604188647),
        (18, 0.6989663548, 0.9721335187),
        (20, 0.8388748420, 1.0),
    ],
)
def test_as_statsmodels_proportions(k: int, low: float, high: float) -> None:
    found = metrics.wilson(k, 20)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-8)


def test_as_statsmodels_tables_of_raters() -> None:
    right = (SCORES >= 0.5) == TRUTH
    assert metrics.clustered_mcnemar(right, SECOND == TRUTH)[1] == pytest.approx(0.4731296599)
    for weights, value in (("none", 0.7166666667), ("linear", 0.8291457286), ("quadratic", 0.9141414141)):
        found = statistics.cohen_kappa(FIRST_READER, SECOND_READER, weights=weights, folds=2)  # type: ignore[arg-type]
        assert found.value == pytest.approx(value, abs=1e-9)
    counts = np.stack([(READ == c).sum(0) for c in range(4)], 1)
    assert statistics.fleiss_kappa(counts, folds=2).value == pytest.approx(0.7221321725, abs=1e-9)


@pytest.mark.parametrize(
    ("scale", "value"), [("nominal", 0.7204813390), ("ordinal", 0.9037733800), ("interval", 0.9064579960)]
)
def test_as_krippendorff(scale: str, value: float) -> None:
    found = statistics.krippendorff_alpha(np.where(GAPS, np.nan, READ), scale, folds=2)  # type: ignore[arg-type]
    assert found.value == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("prevalence", "values"),
    [
        (None, [0.4555555556, 0.3666666667, 0.25, 0.1333333333]),
        (0.2, [0.1221874783, 0.0232228476, -0.0587867417, -0.0938920158]),
    ],
)
def test_as_dcurves(prevalence: float | None, values: list[float]) -> None:
    found = metrics.decision_curve(TRUTH, SCORES, [0.1, 0.25, 0.5, 0.7], prevalence=prevalence)
    np.testing.assert_allclose(found.model, values, atol=1e-9)


def test_as_irrcac() -> None:
    """Gwet's R package irrCAC, data cont3x3abstractors: κ .796, large-sample interval (.68, .913)."""
    table = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
    rows, columns = np.indices(table.shape)
    found = statistics.cohen_kappa(*(np.repeat(x.ravel(), table.ravel()) for x in (rows, columns)))
    assert found.value == pytest.approx(0.7964094, abs=1e-7)
    assert (found.low, found.high) == pytest.approx((0.68, 0.913), abs=0.045)  # ours is on the scale of z
