"""What the report says of doctors and model."""

import dataclasses
from types import SimpleNamespace
from typing import Any

from radiolucent.audits.agreement import Agreement, CaseAgreement, ReaderCalls
from radiolucent.reports.phrasing import between_name, calls_line, headline, verdict_on
from radiolucent.types import Estimate


def figure(value: float | None, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate(value, low, high, 0.95, 20, "test")


CALLS = ReaderCalls(
    "Dr A", 40, 30, 28, 2, 3, 7, 0.34, *(figure(0.9, 0.8, 1.0) for _ in range(4)), tuple(f"f{i}" for i in range(10))
)


def test_who_was_right() -> None:
    assert calls_line(CALLS) == (
        "Dr A and the model differed on 10 of 40 films: the doctor was right on 7, the model on 3 (p = 0.34). "
        "Both were wrong on 2."
    )
    sure = dataclasses.replace(CALLS, both_wrong=0, p=1e-9)
    assert "(p < 0.001). They were never both wrong." in calls_line(sure)
    same = dataclasses.replace(CALLS, model_right=0, reader_right=0, p=None)
    assert calls_line(same) == "Dr A and the model made the same call on all 40 films."


def test_a_map_below_its_floor_is_not_called_undecided() -> None:
    def verdict(low: float, high: float, p: float, hits: tuple[float, ...] = (1.0, 0.0)) -> str:
        names = {
            "hit_rate": figure(0.5), "other_hit_rate": figure(0.2), "reader_hit_rate": figure(0.9),
            "hit_minus_other": figure((low + high) / 2, low, high),
        }  # fmt: skip
        cases = tuple(CaseAgreement(str(i), str(i), {"hit_rate": hit}) for i, hit in enumerate(hits))
        return verdict_on(Agreement("gradcam", "consensus", ("A",), names, cases, {}, floor_p={"hit_rate": p}))

    assert "they point there more often (−20 points [−30 to −10])" in verdict(-0.3, -0.1, 1.0)
    assert "not clear of chance" in verdict(-0.1, 0.1, 0.4) and "a clear difference" in verdict(0.1, 0.3, 0.001)
    assert "comparisons the difference is not clear of chance" in verdict(0.1, 0.3, 0.04)  # the interval is of one
    assert "on 1 of 2 films" in verdict(0.1, 0.3, 0.001)
    tied = verdict(0.1, 0.3, 0.001, (0.23, 1.0))  # a film's share of tied maxima is no count of films
    assert "of 2 films," not in tied and "on one film several points are equally strong" in tied


def test_coefficients_have_names() -> None:
    assert between_name("krippendorff_alpha zone scores") == "Krippendorff's α, zone scores"


def test_one_false_alarm_is_no_plural() -> None:
    def told(alarms: int) -> str:
        counts = {"tp": 3, "fn": 1, "tn": 5, "fp": alarms}
        rates = {"sensitivity": figure(0.75, 0.3, 0.95), "specificity": figure(0.8, 0.4, 0.97)}
        test = SimpleNamespace(estimates=rates, confusion=counts, patients=9, n=9)
        story: Any = SimpleNamespace(test=test, class_names=("A", "B"), positive="B", leading=())
        return headline(story)[-1]

    assert "raises 1 false alarm: specificity" in told(1) and "raises 2 false alarms: specificity" in told(2)
