"""The floor that knows places: a map that is the same on every film is never clear of it."""

import numpy as np

from radiolucent.audits.agreement.estimates import mean_estimates
from radiolucent.audits.agreement.floors import Placed, clear_of_others, floor_figures


def films(how: str, count: int = 40, seed: int = 0) -> list[Placed]:
    """Markings near one place; maps that are the same on every film, that point at the marking, or anywhere near."""
    rng, made = np.random.default_rng(seed), []
    grid = np.indices((20, 20)).astype(float)
    for k in range(count):
        middle = np.array([12.0, 6.0]) + rng.normal(0, 3, 2)
        region = np.hypot(*(grid - middle[:, None, None])) < 3.5
        at = {"same": np.array([12.0, 6.0]), "seen": middle, "near": np.array([12.0, 6.0]) + rng.normal(0, 3, 2)}[how]
        values = np.exp(-np.hypot(*(grid - at[:, None, None])) / 3).astype(np.float32)
        made.append(Placed(f"p{k // 2}", values, region))
    return made


def test_only_a_map_that_saw_its_film_is_clear() -> None:
    p = {how: clear_of_others(films(how), deals=2000)["hit_rate"] for how in ("same", "seen", "near")}
    assert p["same"] == 1.0 and p["seen"] is not None and p["seen"] < 0.002 and (p["near"] or 0) > 0.05
    assert clear_of_others(films("seen", 2), deals=2000)["hit_rate"] is None  # one patient
    assert clear_of_others(films("seen"), deals=200)["hit_rate"] == 1 / 2001  # none of 200 does as well


def test_the_floor_is_what_other_patients_maps_get() -> None:
    some = films("same")
    for film, figures in zip(some, floor_figures(some), strict=True):
        own = float(film.region.flat[int(film.values.argmax())])
        assert figures["other_hit_rate"] == own  # the same map
        assert figures["marking_hit_rate"] is not None
    assert floor_figures(films("same", 2)) == [{}, {}]


def test_small_p_is_as_rare_as_it_says() -> None:
    low = sum(
        (clear_of_others(films("near", 24, seed), deals=400, seed=seed)["hit_rate"] or 1) <= 0.1 for seed in range(100)
    )
    assert low <= 20  # ten expected; more than 20 by chance once in a thousand


def test_a_difference_of_whole_numbers_is_no_share() -> None:
    """Wilson's interval of 1 in 10 lies above 0, so that such a difference would seem to be one."""
    values = [[float(k == 0)] * 3 for k in range(10)]
    share, difference, rank = mean_estimates(values, None, names=("hit_rate", "hit_minus_reader", "zone_correlation"))
    assert share.low is not None and share.low > 0 and share.method == "wilson"
    for e in (difference, rank):
        assert e.value == share.value and e.low is not None and e.low < 0
