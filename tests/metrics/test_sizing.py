"""Study sizes: what they promise comes out in simulation (whole studies: `benchmarks/sizing.py`)."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from radiolucent.cli import app
from radiolucent.errors import ConfigError
from radiolucent.metrics import auroc, patients_needed, size_auroc, size_proportion, wilson
from radiolucent.metrics.proportions import clustered_ends
from radiolucent.metrics.sizing import auroc_variance
from radiolucent.readers.statistics import Pilot, cases_for, mrmc, mrmc_power
from radiolucent.types import Estimate


def test_an_aurocs_variance_is_that_of_simulated_ones() -> None:
    rng, d = np.random.default_rng(0), np.sqrt(2) * stats.norm.ppf(0.85)
    x, y = rng.normal(d, size=(4000, 30)), rng.normal(size=(4000, 60))
    areas = (x[:, :, None] > y[:, None]).mean((1, 2))
    assert areas.var() == pytest.approx(auroc_variance(0.85, 30, 60), rel=0.06)


@pytest.mark.parametrize(("area", "bound", "prevalence"), [(0.9, 0.82, 0.3), (0.95, 0.9, 0.1)])
def test_an_auroc_clears_its_bound_as_often_as_promised(area: float, bound: float, prevalence: float) -> None:
    found = size_auroc(area, bound=bound, prevalence=prevalence, power=0.8)
    assert found.power is not None and found.power >= 0.8 and found.patients == found.positives + found.negatives
    rng, d = np.random.default_rng(1), np.sqrt(2) * stats.norm.ppf(area)
    truth = np.arange(found.patients) < found.positives
    lows = [auroc(truth, rng.normal(size=len(truth)) + d * truth).low or 0 for _ in range(900)]
    assert np.mean(np.array(lows) > bound) == pytest.approx(found.power, abs=0.045)  # 3 points, and chance


@pytest.mark.parametrize(("area", "half_width"), [(0.99, 0.03), (0.999, 0.005)])
def test_an_interval_near_one_is_as_wide_as_promised(area: float, half_width: float) -> None:
    found = size_auroc(area, half_width=half_width, prevalence=0.3)
    rng, d = np.random.default_rng(1), np.sqrt(2) * stats.norm.ppf(area)
    truth, made = np.arange(found.patients) < found.positives, list[float]()
    for _ in range(600):
        e = auroc(truth, rng.normal(size=len(truth)) + d * truth)
        made.append(((e.high or 0) - (e.low or 0)) / 2)
    assert np.mean(made) == pytest.approx(half_width, rel=0.12)


def test_a_sensitivity_clears_its_bound_as_often_as_promised() -> None:
    found = size_proportion(0.92, bound=0.85, prevalence=0.2, power=0.9)
    rng = np.random.default_rng(2)
    lows = [wilson(int(k), found.positives).low or 0 for k in rng.binomial(found.positives, 0.92, 4000)]
    assert np.mean(np.array(lows) > 0.85) == pytest.approx(found.power, abs=0.03)
    more = size_proportion(0.92, bound=0.85, prevalence=0.2, power=0.9, films=3, rho=0.5)
    assert more.films == 3 * more.patients and found.patients * 0.55 < more.patients < found.patients


def test_films_that_share_patients_promise_what_their_interval_gives() -> None:
    """Outcomes of a patient are alike or not, another model than the beta-binomial that the size was found with."""
    found = size_proportion(0.9, bound=0.8, prevalence=0.2, films=3, rho=0.5)
    rng, n, runs = np.random.default_rng(5), found.positives, 1500
    alike = rng.random((runs, n, 3)) < np.sqrt(0.5)
    right = np.where(alike, rng.random((runs, n, 1)) < 0.9, rng.random((runs, n, 3)) < 0.9)
    low = clustered_ends(right.sum(2), np.full(n, 3), 0.95)[0]
    assert np.mean(low > 0.8) == pytest.approx(found.power, abs=0.045)  # 3 points, and chance
    wide = size_proportion(0.9, half_width=0.05, films=3, rho=0.5)
    assert wide.half_width == pytest.approx(0.05, abs=0.001)
    assert 100 < wide.patients < size_proportion(0.9, half_width=0.05).patients


def test_a_width_is_what_was_asked_for() -> None:
    for found in (size_auroc(0.9, half_width=0.03), size_proportion(0.9, half_width=0.03)):
        assert 0.0295 < found.half_width <= 0.03 and found.power is None and "0.03" in found.words
    width = wilson(round(0.9 * found.patients), found.patients)
    assert ((width.high or 0) - (width.low or 0)) / 2 == pytest.approx(0.03, abs=5e-4)


def test_patients_needed_settle_a_verdict_four_times_in_five() -> None:
    rng, settled = np.random.default_rng(3), 0
    pilot = Estimate(0.3, 0.3 - 0.196, 0.3 + 0.196, 0.95, 100, "t")  # a deviation of 1 a patient
    needed = patients_needed(pilot, 0.2)
    assert needed is not None and needed == pytest.approx(100 * 0.196**2 / 0.1**2 * 2.043, abs=2)
    for _ in range(1500):
        x = rng.normal(0.3, size=needed)
        settled += x.mean() - 1.96 * x.std(ddof=1) / np.sqrt(needed) > 0.2
    assert settled / 1500 == pytest.approx(0.8, abs=0.03)
    half = patients_needed(pilot, 0.2, power=0.5)
    assert half is not None and half < needed / 2
    assert patients_needed(Estimate(0.2, 0.1, 0.3, 0.95, 100, "t"), 0.2) is None
    assert patients_needed(Estimate(-0.3, -0.496, -0.104, 0.95, 100, "t"), 0.2, signed=True) == needed
    assert patients_needed(Estimate(0.3, None, None, 0.95, 1, "t"), 0.2) is None


def test_a_pilots_components_come_back() -> None:
    """E MS(T·R) of Obuchowski and Rockette's model is σ²_TR + σ²_ε (1 − r1 − r2 + r3)."""
    pilot = Pilot(0.0005, 0.002, 0.4, 0.3, 0.25, 100)
    e = pilot.error
    named = {"var": e, "cov1": 0.4 * e, "cov2": 0.3 * e, "cov3": 0.25 * e}
    found = Pilot.of(named | {"ms_test_reader": pilot.test_reader + e * (1 - 0.4 - 0.3 + 0.25)}, 100)
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(pilot))


@pytest.mark.parametrize(
    ("pilot", "readers", "cases", "effect", "margin"),
    [
        (Pilot(0.0005, 0.002, 0.4, 0.3, 0.25, 100), 5, 400, 0.05, 0.0),
        (Pilot(0.0001, 0.003, 0.5, 0.45, 0.3, 80), 8, 200, 0.06, 0.0),
        (Pilot(0.0, 0.002, 0.3, 0.2, 0.2, 100), 4, 150, 0.05, 0.0),
        (Pilot(0.0003, 0.002, 0.4, 0.3, 0.25, 100), 6, 250, 0.0, 0.05),
        (Pilot(0.0005, 0.002, 0.4, 0.3, 0.25, 100), 5, 100, 1e-9, 0.0),  # the level
    ],
)
def test_a_reading_study_shows_what_it_was_sized_for(
    pilot: Pilot, readers: int, cases: int, effect: float, margin: float
) -> None:
    """20,000 studies drawn from the model itself, with its covariances: chance is half a point."""
    rng, runs = np.random.default_rng(4), 20_000
    error = pilot.error * pilot.cases / cases
    same_test, same_reader = np.eye(2), np.eye(readers)
    corr = [
        np.kron(1 - same_test, same_reader) * pilot.same_reader,
        np.kron(same_test, 1 - same_reader) * pilot.same_test,
        np.kron(1 - same_test, 1 - same_reader) * pilot.neither,
        np.eye(2 * readers),
    ]
    areas = rng.multivariate_normal(np.zeros(2 * readers), error * sum(corr), runs).reshape(runs, 2, readers)
    areas += pilot.test_reader**0.5 * rng.normal(size=areas.shape) + 0.1 * rng.normal(size=(runs, 1, readers))
    areas[:, 0] += effect
    gaps = areas[:, 0] - areas[:, 1]
    spread = gaps.var(1, ddof=1) / 2
    total = spread + readers * error * max(pilot.same_test - pilot.neither, 0)
    df = (readers - 1) * (total / spread) ** 2
    t = (gaps.mean(1) + margin) / np.sqrt(2 * total / readers)
    shown = (t if margin else np.abs(t)) > stats.t.ppf(0.975, df)
    said = mrmc_power(pilot, effect, readers=readers, cases=cases, margin=margin)
    assert np.mean(shown) == pytest.approx(said, abs=0.015)


def test_what_cannot_be_sized_is_refused() -> None:
    with pytest.raises(ConfigError, match="either the half width"):
        size_auroc(0.9)
    with pytest.raises(ConfigError, match=r"bound 0\.95"):
        size_proportion(0.9, bound=0.95)
    with pytest.raises(ConfigError, match="both classes"):
        size_auroc(0.9, half_width=0.05, prevalence=1.0)
    with pytest.raises(ConfigError, match="of two tests"):
        Pilot.of({"var": 0.1}, 10)
    pilot = Pilot(0.01, 0.002, 0.4, 0.3, 0.3, 100)
    assert cases_for(pilot, 0.02, readers=3) is None  # readers differ too much: more of them, not more cases


def test_the_command_says_it_in_a_sentence(tmp_path: Path) -> None:
    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["size", *words])
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    found = json.loads(said("--auroc", "0.9", "--above", "0.82", "--prevalence", "0.3", "--json"))
    assert found["patients"] == size_auroc(0.9, bound=0.82, prevalence=0.3).patients and found["power"] >= 0.8
    assert "an interval of ± 0.05" in said("--specificity", "0.9", "--half-width", "0.05")
    pilot = tmp_path / "pilot.json"
    pilot.write_text(json.dumps(dataclasses.asdict(Pilot(0.0005, 0.002, 0.4, 0.3, 0.25, 100))))
    assert "6 readers and 1,057 cases give a chance of 80%" in said(
        "--effect", "0.05", "--readers", "6", "--components", str(pilot)
    )
    file = tmp_path / "pilot.imrmc"
    rng, truth = np.random.default_rng(0), np.arange(40) % 2
    scores = rng.normal(size=(2, 4, 40)) + (1 + np.array([0.0, 0.5])[:, None, None]) * truth
    rows = [f"-1,c{k},0,{t}" for k, t in enumerate(truth)]
    rows += [f"r{j},c{k},t{i},{scores[i, j, k]:.5f}" for i in range(2) for j in range(4) for k in range(40)]
    file.write_text("\n".join(["BEGIN DATA:", *rows]) + "\n")
    told = json.loads(said("--effect", "0.1", "--readers", "8", "--pilot", str(file), "--json"))
    assert told["pilot"] == pytest.approx(
        dataclasses.asdict(Pilot.of(mrmc(truth, np.round(scores, 5)).components, 40)), abs=1e-12
    )
    assert told["cases"] == cases_for(Pilot(**told["pilot"]), 0.1, readers=8)
    file.write_text("\n".join(["BEGIN DATA:", *rows[:-1]]) + "\n")
    with pytest.raises(ConfigError, match="1 readings of r3 under t1 are missing"):
        CliRunner().invoke(app, ["size", "--effect", "0.1", "--pilot", str(file)], catch_exceptions=False)
    for wrong in ((), ("--auroc", "0.9", "--effect", "0.1"), ("--effect", "0.1")):
        with pytest.raises(ConfigError):
            CliRunner().invoke(app, ["size", *wrong], catch_exceptions=False)
    for name, prevalence, lacking in (("specificity", "1", "without"), ("sensitivity", "0", "with")):
        words = ["size", f"--{name}", "0.9", "--half-width", "0.05", "--prevalence", prevalence]
        with pytest.raises(ConfigError, match=f"prevalence {prevalence}: .* no {name} where no patient is {lacking} "):
            CliRunner().invoke(app, words, catch_exceptions=False)
