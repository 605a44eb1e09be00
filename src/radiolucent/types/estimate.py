"""Figures with their intervals, and verdicts that rest on them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from radiolucent.shown import Shown
from radiolucent.types.nothing import nothing

__all__ = ["Concern", "Estimate", "Finding", "Verdict", "with_minus"]


Verdict = Literal["pass", "fail", "inconclusive", "not applicable"]
Concern = Literal["data", "model", "map"]


def with_minus(text: str) -> str:
    """The sentence with minus signs in place of the hyphens before its numbers.

    >>> with_minus("a follow-up moves it by -0.35 SD (-1.25 to +0.55)")
    'a follow-up moves it by −0.35 SD (−1.25 to +0.55)'
    """
    return re.sub(r"(?<![\w.-])-(?=\d)", "−", text)


def _number(value: float) -> str:
    """Three places, with a minus sign, and none before zero.

    >>> _number(-0.0001), _number(-1.25)
    ('0.000', '−1.250')
    """
    text = f"{value:.3f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


@dataclass(frozen=True)
class Estimate(Shown):
    """A number with its interval.

    Attributes:
        value: the point estimate; None where it is not defined (and `note` says why).
        low, high: ends of the interval; None where there is none.
        level: coverage of the interval, e.g. 0.95.
        n: number of independent units it rests on (patients where clustered, else images).
        method: how the interval was got, e.g. "wilson", "delong", "patient bootstrap (10000)".
        note: a caveat, or why it is not defined.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    method: str
    note: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"not applicable ({self.note})"
        if self.low is None or self.high is None:
            return f"{_number(self.value)} (n = {self.n})"
        low, high = _number(self.low), _number(self.high)
        between = " to " if "−" in low + high else "–"
        return f"{_number(self.value)} ({100 * self.level:.3g} % CI {low}{between}{high}, n = {self.n})"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row: value, low, high, level, n, method."""
        return [self.as_dict()]

    def as_dict(self) -> dict[str, Any]:
        """The form of `summary.json`: value, low, high, level, n, method and, where there is one, note."""
        fields = {k: getattr(self, k) for k in ("value", "low", "high", "level", "n", "method")}
        return fields | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class Finding(Shown):
    """The outcome of one test of data or model.

    Attributes:
        test: short stable name, e.g. "duplicates.exact".
        question: what was asked, in words.
        verdict: "pass", "fail", "inconclusive" or "not applicable".
        summary: the answer in one or two sentences, with minus signs.
        estimate: the figure it rests on, if any.
        threshold: what the figure was held against, if anything.
        evidence: names, tables and numbers a reader can check; JSON-ready.
        source: where the test and threshold come from, or "ours".
        advice: what to do about it.
        concerns: "data": something is *available* to whoever learns from these films; "model": the network *uses* it
            (only this fails a model); "map": what an explanation shows, which illustrates and proves nothing.
        control: the same figure where nothing should happen (a random patch, a silhouette, the area), if there is one.
        severity: how far the figure lies beyond its threshold, in thresholds; 0 where nothing failed. For sorting.
    """

    test: str
    question: str
    verdict: Verdict
    summary: str
    estimate: Estimate | None = None
    threshold: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=nothing)
    source: str = "ours"
    advice: str = ""
    concerns: Concern = "data"
    control: Estimate | None = None
    severity: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", with_minus(self.summary))

    def __repr__(self) -> str:
        return f"Finding({self.test}: {self.verdict}; {self.summary[:200]})"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row: test, verdict, value, low, high, threshold, summary."""
        e = self.estimate
        figures = {k: getattr(e, k) if e else None for k in ("value", "low", "high")}
        return [{"test": self.test, "verdict": self.verdict, **figures, "threshold": self.threshold,
                 "summary": self.summary}]  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, with the estimate in the form of `summary.json`."""
        names = (
            "test", "question", "verdict", "summary", "threshold", "source", "advice", "concerns", "severity",
        )  # fmt: skip
        return {k: getattr(self, k) for k in names} | {
            "estimate": self.estimate.as_dict() if self.estimate else None,
            "control": self.control.as_dict() if self.control else None,
            "evidence": dict(self.evidence),
        }
