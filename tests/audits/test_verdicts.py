"""From an estimate to a verdict, and how many cases would do."""

import math

import numpy as np

from radiolucent.audits.trial.headline import by_severity, verdict_of
from radiolucent.audits.trial.tests import TESTS
from radiolucent.audits.trial.verdicts import beyond, cases_needed, film_mean, needed_words, two_sided
from radiolucent.types import Estimate, Finding, Verdict


def estimate(value: float, low: float | None, high: float | None, n: int = 100) -> Estimate:
    return Estimate(value, low, high, 0.95, n, "test")


def test_verdicts_rest_on_the_whole_interval() -> None:
    assert beyond(estimate(0.5, 0.3, 0.7), 0.2) == "fail" and beyond(estimate(-0.5, -0.7, -0.3), 0.2) == "pass"
    assert two_sided(estimate(-0.5, -0.7, -0.3), 0.2) == "fail"
    assert beyond(estimate(0.3, 0.1, 0.5), 0.2) == two_sided(estimate(0.3, 0.1, 0.5), 0.2) == "inconclusive"
    assert beyond(estimate(0.5, 0.3, 0.7, n=9), 0.2) == "inconclusive"  # too few for an interval to be trusted


def test_cases_needed_measure_the_distance_that_the_verdict_measures() -> None:
    # One-sided: from −0.3 to 0.2 are 0.5; two-sided the nearer limit −0.2 counts, 0.1 away.
    wide = estimate(-0.3, -0.8, 0.2)
    power = ((1.959964 + 0.841621) / 1.959964) ** 2
    assert cases_needed(wide, 0.2) == math.ceil(100 * power)  # n f (half width / distance)²
    assert abs((cases_needed(wide, 0.2, signed=True) or 0) - 2500 * power) < 2
    on_it = estimate(0.2, 0.0, 0.4)
    assert cases_needed(on_it, 0.2) is None and "not settle" in needed_words(on_it, 0.2)
    near = estimate(0.205, 0.1, 0.31)  # 2.5 % beyond it: tens of thousands of patients
    assert "too near the threshold to settle" in needed_words(near, 0.2) and "About" not in needed_words(near, 0.2)
    assert "About" in needed_words(near, 0.2, at_hand=10_000)
    assert "Too few patients" in needed_words(estimate(0.3, None, None, n=3), 0.2)


def test_the_number_of_cases_gives_the_power_it_says() -> None:
    """An effect of 0.35, a threshold of 0.2: with as many patients as asked for, four of five studies fail."""
    rng = np.random.default_rng(0)
    small = rng.normal(0.35, 0.5, 4000)
    first = film_mean(small[:60] - small[:60].mean() + 0.35, np.arange(60).astype(str), level=0.95, seed=0)
    needed = cases_needed(first, 0.2)
    assert needed is not None
    who = np.arange(needed).astype(str)
    hits = sum(
        beyond(film_mean(rng.normal(0.35, 0.5, needed), who, level=0.95, seed=k), 0.2) == "fail" for k in range(150)
    )
    assert 0.68 < hits / 150 < 0.92


def test_an_interval_without_variance_is_not_a_point() -> None:
    found = film_mean(np.zeros(12), np.arange(12).astype(str), level=0.95, seed=0)
    assert found.low is not None and found.low < -0.2 and beyond(found, 0.2) == "inconclusive"
    many = film_mean(np.zeros(200), np.arange(200).astype(str), level=0.95, seed=0)
    assert beyond(many, 0.2) == "pass"


def test_a_pass_names_what_stays_open_above_its_threshold_and_what_was_not_tried() -> None:
    def finding(test: str, verdict: Verdict, value: float, threshold: float) -> Finding:
        return Finding(test, "?", verdict, "", estimate(value, value - 1, value + 1), threshold, concerns="model")

    passed, opened = finding("border.black", "pass", 0.0, 0.5), finding("discovered.inside", "inconclusive", 0.61, 0.3)
    unclear = [opened, finding("discovered.tone", "inconclusive", -0.9, 0.2)]
    verdict, words = verdict_of([passed, *unclear])
    assert verdict == "inconclusive" and words.startswith("OPEN: more kinds stay open than are cleared. Of 3 kinds")
    verdict, words = verdict_of([passed, *unclear, finding("exposure.bright", "pass", 0.0, 0.5)])
    assert verdict == "pass" and words.startswith("PASS: of 4 kinds")
    assert "It proves no innocence; artefacts inside the lungs are hardly covered." in words
    above, rest = words.split("; also open: ")
    assert "fine structure inside the lungs (+0.61, threshold 0.3)" in above and "grey levels" in rest.split(";")[0]
    marker = finding("marker.paste", "inconclusive", 0.4, 0.2)
    more = [finding(name, "pass", 0.0, 0.5) for name in ("exposure.bright", "corners.grey", "resolution.low")]
    assert verdict_of([passed, marker, *more])[1].startswith(
        "OPEN: more films would have to tell about the side marker"
    )
    untried = words.split("Not tried: ")[1]
    assert "the side marker" in untried and " without a name" in untried


def test_an_effect_that_is_sure_but_cannot_be_told_from_a_finding_is_no_pass() -> None:
    def finding(test: str, verdict: Verdict, value: float, half: float, **evidence: object) -> Finding:
        e = estimate(value, value - half, value + half)
        return Finding(test, "?", verdict, "", e, 0.3, evidence, concerns="model")

    cleared = [finding(name, "pass", 0.0, 0.2) for name in ("border.black", "exposure.bright", "corners.fill")]
    sure = finding("discovered.inside", "inconclusive", 0.95, 0.5, no_verdict=["it cannot be told"])
    verdict, words = verdict_of([*cleared, sure])
    assert verdict == "inconclusive"
    assert words.startswith(
        "OPEN: whether the decision follows fine structure inside the lungs (+0.95, threshold 0.3) could not be told. "
        "Of 4"
    )
    assert verdict_of([*cleared, finding("discovered.inside", "inconclusive", 0.4, 0.5)])[0] == "pass"
    assert verdict_of([*cleared, finding("discovered.inside", "inconclusive", 0.2, 0.15)])[0] == "pass"
    verdict, words = verdict_of([*cleared, finding("discovered.inside", "inconclusive", 0.4, 0.3)])
    assert verdict == "inconclusive"
    assert words.startswith(
        "OPEN: more films would have to tell about fine structure inside the lungs (+0.40, threshold 0.3). Of 4"
    )
    assert words.count("fine structure inside the lungs") == 1
    without = finding("regions.no_lungs", "inconclusive", 0.62, 0.4)
    told = (
        "OPEN: more films would have to tell whether the model tells the classes apart without seeing the lungs "
        "(+0.62, threshold 0.3). Of"
    )
    assert verdict_of([*cleared, without])[1].startswith(told)
    opposite = finding("border.black", "inconclusive", 0.9, 0.2, no_verdict=["the two classes move opposite ways"])
    marker = finding("marker.paste", "inconclusive", 0.4, 0.2)
    words = verdict_of([*cleared[1:], opposite, marker])[1]
    assert "would have to tell about the side marker (+0.40, threshold 0.3); whether the decision follows" in words
    assert words.count("the film's border") == 1


def test_a_foreign_change_alone_leaves_no_audit_open() -> None:
    def finding(test: str, verdict: Verdict, value: float, **evidence: object) -> Finding:
        return Finding(test, "?", verdict, "", estimate(value, 0.1, 2 * value), 0.5, evidence, concerns="model")

    cleared = [finding(name, "pass", 0.2) for name in ("exposure.bright", "corners.fill")]
    told: dict[str, object] = {"no_verdict": ["such films move any network"]}
    foreign = finding("border.black", "inconclusive", 0.9, **told, familiar={"beyond": 1.0, "foreign": True})
    verdict, words = verdict_of([*cleared, foreign])
    assert verdict == "pass" and "as the change is foreign to these films: the film's border" in words
    assert "figure above the threshold" not in words
    met = finding("border.black", "inconclusive", 0.9, **told, familiar={"beyond": 0.1, "foreign": False})
    assert verdict_of([*cleared, met])[0] == "inconclusive"


def test_a_pass_names_three_of_many_open_kinds_those_nearest_to_their_thresholds() -> None:
    def finding(test: str, verdict: Verdict, value: float, threshold: float) -> Finding:
        return Finding(test, "?", verdict, "", estimate(value, value - 1, value + 1), threshold, concerns="model")

    passed = ("border.black", "exposure.bright", "corners.fill", "marker.paste", "size.outside")
    opened = {"lines": 0.02, "tone": 0.19, "shading": -0.4, "border": 0.1, "texture": 0.15}
    found = [finding(name, "pass", 0.0, 0.5) for name in passed]
    found += [finding(f"discovered.{name}", "inconclusive", value, 0.2) for name, value in opened.items()]
    verdict, words = verdict_of(found)
    told = (
        "; open: 5, of which nearest to their thresholds the spread of the film's grey levels outside the lungs, the "
        "film's fine texture, something at the film's border; clear of 5: "
    )
    assert verdict == "pass" and told in words, words
    few = verdict_of(found[:-2])[1]
    assert "; open: the spread of the film's grey levels" in few and "nearest" not in few
    assert not any("," in t.kind for t in TESTS if t.kind), "kinds are listed with commas"


def test_findings_have_minus_signs() -> None:
    found = Finding("discovered.tone", "?", "pass", "A follow-up moves it by -0.35 SD (99.5% CI -1.25 to +0.55).")
    assert found.summary == "A follow-up moves it by −0.35 SD (99.5% CI −1.25 to +0.55)."
    crop = Finding(
        "size.outside", "?", "inconclusive", "", estimate(-0.6, -0.9, -0.3), 0.5, concerns="model",
    )  # fmt: skip
    cleared = [Finding(n, "?", "pass", "", concerns="model") for n in ("border.black", "corners.fill")]
    assert "(−0.60, threshold 0.5)" in verdict_of([crop, *cleared])[1]


def test_open_findings_above_their_threshold_come_first() -> None:
    def finding(test: str, value: float) -> Finding:
        return Finding(test, "?", "inconclusive", "", estimate(value, -1, 2), 0.2, {}, concerns="model")

    given = [finding("marker.paste", 0.1), finding("discovered.tone", 0.3), finding("discovered.lines", 0.9)]
    assert [f.test for f in by_severity(given)] == ["discovered.lines", "discovered.tone", "marker.paste"]


def test_a_failure_names_the_next_kinds_that_fail() -> None:
    def failed(test: str, severity: float) -> Finding:
        e = estimate(0.9, 0.8, 1.0)
        return Finding(test, "?", "fail", "", e, 0.2, {}, concerns="model", severity=severity)

    several = [failed("discovered.surroundings", 5), failed("discovered.lines", 4), failed("discovered.tone", 3)]
    words = verdict_of(several)[1]
    assert (
        "something outside the lungs; 3 tests on shortcuts fail in all, next fine structure outside the lungs and"
        in words
    )
    score = [failed("reasons.score", 1), failed("reasons.paint", 1)]
    assert "3 tests on shortcuts fail in all (and 2 of the reasons score), next" in verdict_of([*several, *score])[1]
    assert "next" not in verdict_of([failed("marker.paste", 3), failed("marker.move", 2)])[1]  # one kind


def test_the_first_sentence_names_a_reasons_score_that_does_not_pass() -> None:
    def finding(test: str, verdict: Verdict, value: float, threshold: float) -> Finding:
        return Finding(test, "?", verdict, "", estimate(value, value - 0.1, value + 0.1), threshold, concerns="model")

    cleared, used = finding("border.black", "pass", 0.0, 0.5), finding("marker.paste", "fail", 0.8, 0.2)
    low, unclear = finding("reasons.score", "fail", 0.2, 0.5), finding("reasons.score", "inconclusive", 0.5, 0.5)
    verdict, words = verdict_of([cleared, low])
    told = "the reasons score fails (0.20, 0.10 to 0.30, limit 0.5)"
    assert verdict == "pass" and words.startswith(f"PASS, but {told}: of 1 kinds")
    assert verdict_of([cleared, unclear])[1].startswith("PASS, but the reasons score stays open (0.50, 0.40 to 0.60")
    assert verdict_of([used, low])[1].startswith(f"FAIL: the decision follows the side marker, and {told}.")
    assert verdict_of([low])[1].startswith(f"OPEN, and {told}: no test for shortcuts")
    assert "reasons" not in verdict_of([cleared, finding("reasons.score", "pass", 0.9, 0.5)])[1]
