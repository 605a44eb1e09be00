"""Maps on regions: hits are earned, ties share, and nothing is never a hit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, f1_score, jaccard_score

from radiolucent.errors import ConfigError
from radiolucent.metrics import (
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

MEASURES = (pointing_game, energy_in_region, iou, dice, iou_at_area, dice_at_area, map_auprc)


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    values = random_map((40, 50), np.random.default_rng(3)) - 0.2
    region = np.zeros((40, 50), bool)
    region[5:20, 10:30] = True
    return values, region


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("kind", ["empty region", "constant", "zero", "nan", "inf", "nowhere positive"])
def test_what_points_nowhere_is_not_applicable(measure: object, kind: str, case: tuple[np.ndarray, np.ndarray]) -> None:
    values, region = case[0].copy(), case[1].copy()
    if kind == "empty region":
        region[:] = False
    elif kind in ("nan", "inf"):
        values[0, 0] = np.nan if kind == "nan" else np.inf
    elif kind == "nowhere positive":
        values -= values.max()
    else:
        values[:] = 1.0 if kind == "constant" else 0.0
    assert measure(values, region) is None  # type: ignore[operator]


@pytest.mark.parametrize("measure", MEASURES)
def test_shapes_and_types_must_fit(measure: object, case: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ConfigError, match="same"):
        measure(case[0], case[1][:-1])  # type: ignore[operator]
    with pytest.raises(ConfigError, match="expected bool"):
        measure(case[0], case[1].astype(float))  # type: ignore[operator]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_map_that_is_the_region_is_perfect(measure: object, case: tuple[np.ndarray, np.ndarray]) -> None:
    assert measure(case[1].astype(np.float32), case[1]) == pytest.approx(1.0)  # type: ignore[operator]


@pytest.mark.parametrize("measure", MEASURES)
def test_scale_flips_and_transposition_change_nothing(measure: object, case: tuple[np.ndarray, np.ndarray]) -> None:
    values, region = case
    expected = measure(values, region)  # type: ignore[operator]
    assert measure(3 * values, region) == pytest.approx(expected, rel=1e-5)  # type: ignore[operator]
    assert measure(values[:, ::-1], region[:, ::-1]) == pytest.approx(expected)  # type: ignore[operator]
    assert measure(values.T, region.T) == pytest.approx(expected)  # type: ignore[operator]


def test_tied_maxima_share_the_hit() -> None:
    values = np.array([[2.0, 2.0], [2.0, 0.0]])
    region = np.array([[True, False], [False, True]])
    assert pointing_game(values, region) == pytest.approx(1 / 3)
    rng = np.random.default_rng(0)
    broken = [pointing_game(values + 1e-9 * rng.random((2, 2)), region) for _ in range(3000)]
    assert np.mean([hit for hit in broken if hit is not None]) == pytest.approx(1 / 3, abs=0.03)


def test_against_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    values, region = case
    called = values >= 0.4 * values.max()
    assert iou(values, region, 0.4) == pytest.approx(jaccard_score(region.ravel(), called.ravel()))
    assert dice(values, region, 0.4) == pytest.approx(f1_score(region.ravel(), called.ravel()))
    assert map_auprc(values, region) == pytest.approx(average_precision_score(region.ravel(), values.ravel()))
    top = np.zeros(values.size, bool)
    top[np.argsort(values.ravel())[-region.sum() :]] = True
    assert iou_at_area(values, region) == pytest.approx(jaccard_score(region.ravel(), top))
    assert dice_at_area(values, region) == pytest.approx(f1_score(region.ravel(), top))


@given(hnp.arrays(np.int64, (4, 5), elements=st.integers(0, 2)), hnp.arrays(bool, (4, 5)), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_ties_at_the_cut_are_broken_at_random_on_average(values: np.ndarray, region: np.ndarray, seed: int) -> None:
    exact = iou_at_area(values.astype(float), region)
    if exact is None:
        return
    rng = np.random.default_rng(seed)
    broken = [values + 0.5 * rng.random(values.shape) for _ in range(1500)]
    ious = [iou_at_area(map_, region) for map_ in broken]
    assert np.mean([v for v in ious if v is not None]) == pytest.approx(exact, abs=0.06)
    dices = [dice_at_area(map_, region) for map_ in broken]
    assert np.mean([v for v in dices if v is not None]) == pytest.approx(
        dice_at_area(values.astype(float), region), abs=0.06
    )


def test_energy_counts_the_positive_part_only() -> None:
    assert energy_in_region(np.array([[-9.0, 1.0, 1.0]]), np.array([[True, True, False]])) == 0.5


def test_maps_that_have_not_looked_get_the_area_on_average(case: tuple[np.ndarray, np.ndarray]) -> None:
    _, region = case
    share = area_fraction(region)
    assert share == 300 / 2000
    assert random_baseline(energy_in_region, region, draws=200) == pytest.approx(share, rel=0.1)
    assert random_baseline(pointing_game, region, draws=600, seed=1) == pytest.approx(share, rel=0.35)
    assert (
        random_baseline(pointing_game, np.zeros((9, 9), bool)) is None and area_fraction(np.zeros((9, 9), bool)) is None
    )
    assert random_baseline(dice, region, seed=4) == random_baseline(dice, region, seed=4)


def test_a_random_map_is_smooth_positive_and_of_any_shape() -> None:
    values = random_map((33, 64), np.random.default_rng(0))
    assert values.shape == (33, 64) and values.dtype == np.float32 and values.min() >= 0 and values.max() < 1
    assert np.abs(np.diff(values, axis=0)).max() < 0.3
    with pytest.raises(ConfigError, match="cells"):
        random_map((8, 8), np.random.default_rng(0), cells=1)
    with pytest.raises(ConfigError, match="threshold"):
        iou(values, values > 0.5, 0.0)
