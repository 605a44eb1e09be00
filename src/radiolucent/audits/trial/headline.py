"""From all findings to one verdict on the model, and its sentence."""

from collections.abc import Sequence

from radiolucent.audits.trial.interventions import INTERVENTIONS
from radiolucent.audits.trial.tests import TESTS, named_test
from radiolucent.types import Finding, Verdict, with_minus

__all__ = ["by_severity", "verdict_of"]

_ORDER = {"fail": 0, "inconclusive": 1, "pass": 2, "not applicable": 3}
_CONCERNS = {"model": 0, "data": 1, "map": 2}
_KINDS = ("intervention", "part", "")
UNNAMED = "unnamed: "
NAMED = 3
"""Kinds that are named of a longer list."""


def _decides(finding: Finding) -> str:
    test = named_test(finding.test)
    return "" if test is None else test.decides


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Failed findings first: on the model, then the data, then maps.

    Of those on the model, interventions come first, then parts of the film, then its weaknesses; of each the gravest.
    Of the open ones those come first whose figure lies above the threshold.
    """

    def key(finding: Finding) -> tuple[float, ...]:
        kind, above = _KINDS.index(_decides(finding)), -_excess(finding)
        return _ORDER[finding.verdict], _CONCERNS[finding.concerns], above, kind, -finding.severity

    return sorted(findings, key=key)


def verdict_of(findings: Sequence[Finding]) -> tuple[Verdict, str]:
    """The model's verdict and its headline.

    Only the *use* of something beside the lungs fails it: an intervention or a test on parts of the film. What the data
    offer and maps show does not, nor do weaknesses (stress, groups, calibration), which the headline counts, nor a
    low reasons score; but its first sentence names a reasons score that fails or stays open. It passes only where at
    least as many kinds of shortcut are cleared as stay open, no kind that has a name stays open with a figure above its
    threshold, and none without a name with such a figure and the whole interval above 0. A change that is foreign to
    the films moves any network: its figure counts for nothing here.
    """
    own = [f for f in by_severity(findings) if f.concerns == "model" and not f.test.startswith("reasons.")]
    trial = [f for f in own if _decides(f) and f.verdict != "not applicable"]
    failed = [f for f in trial if f.verdict == "fail"]
    weak = sum(f.verdict == "fail" for f in own) - len(failed)
    weaknesses = f" Of robustness, groups and calibration {weak} {'test fails' if weak == 1 else 'tests fail'}."
    after = weaknesses if weak else ""
    score = _reasons(findings)
    and_, but = (f", and {score}", f", but {score}") if score else ("", "")
    if failed:
        parts = sum(f.verdict == "fail" and f.test.startswith("reasons.") for f in findings)
        beside = f" (and {parts} of the reasons score)" if parts else ""
        more = f"; {len(failed)} tests on shortcuts fail in all{beside}{_next(failed)}" if len(failed) > 1 else ""
        return "fail", f"FAIL: {_says(failed[0])}{more}{and_}.{after}"
    passed = [f for f in trial if f.verdict == "pass" and _decides(f) == "intervention"]
    if not passed:
        return "inconclusive", f"OPEN{and_}: {_nothing_cleared(own, trial)}{after}"
    unclear = [f for f in trial if f.verdict == "inconclusive"]
    open_ = _kinds(unclear)
    if len(open_) > len([k for k in _kinds(passed) if k not in open_]):
        words = f"more kinds stay open than are cleared. {_cleared(trial, passed, short=True)}"
        return "inconclusive", f"OPEN{and_}: {words}{_cut_outs(trial)}{after}"
    above = [f for f in unclear if (_sure_and_above(f) if _unnamed(f) else _above(f))]
    if above:
        words = f"{_left_open(above)}. {_cleared(trial, passed, above, short=True)}"
        return "inconclusive", f"OPEN{and_}: {words}{_cut_outs(trial)}{after}"
    words = f"{_cleared(trial, passed)}{_cut_outs(trial)}"
    return "pass", f"PASS{but}: {words} It proves no innocence; artefacts inside the lungs are hardly covered.{after}"


def _reasons(findings: Sequence[Finding]) -> str:
    """What a reasons score that fails or stays open says; "" where it passes or was not made."""
    found = next((f for f in findings if f.test == "reasons.score"), None)
    if found is None or found.verdict not in ("fail", "inconclusive"):
        return ""
    e, limit = found.estimate, f"limit {found.threshold:g}" if found.threshold is not None else ""
    figure = "" if e is None or e.value is None else f"{e.value:.2f}"
    ends = "" if e is None or e.low is None or e.high is None else f"{e.low:.2f} to {e.high:.2f}"
    told = ", ".join(part for part in (figure, ends, limit) if part)
    says = "fails" if found.verdict == "fail" else "stays open"
    return f"the reasons score {says}{f' ({told})' if told else ''}"


def _says(finding: Finding) -> str:
    test = named_test(finding.test)
    return str(finding.evidence.get("says") or (test.says if test else finding.test))


def _kinds(findings: Sequence[Finding]) -> list[str]:
    """The kinds of shortcut that these findings tried, each once."""
    tests = [named_test(f.test) for f in findings]
    return list(dict.fromkeys(t.kind for t in tests if t is not None and t.kind))


def _nothing_cleared(own: Sequence[Finding], trial: Sequence[Finding]) -> str:
    open_ = [f for f in trial if f.verdict == "inconclusive"]
    if not trial:
        words = "no test for shortcuts was made that could clear the model or fail it"
        left = sum(bool(_decides(f)) for f in own)
        return f"{words}{f' ({left} did not apply to these films)' if left else ''}."
    if not open_:
        return "none of the tests made can clear the model; an intervention can."
    return f"no intervention could clear the model; {len(open_)} {'is' if len(open_) == 1 else 'are'} inconclusive."


def _cleared(
    trial: Sequence[Finding], passed: Sequence[Finding], told: Sequence[Finding] = (), *, short: bool = False
) -> str:
    """What was tried: what stays open first, then what it is clear of, then what was not tried.

    Args:
        told: what the headline has named already. short: of many open kinds without a name, tell their number alone.
    """
    unclear = [f for f in trial if f.verdict == "inconclusive"]
    named = _kinds(told)
    above = [f for f in unclear if _above(f) and _kinds([f]) and _kinds([f])[0] not in named]
    foreign = [k for k in _kinds([f for f in unclear if _foreign(f)]) if k not in (*named, *_kinds(above))]
    rest = [k for k in _kinds(unclear) if k not in (*named, *_kinds(above), *foreign)]
    clear = [k for k in _kinds(passed) if k not in _kinds(unclear)]
    words = f"{'Of' if short else 'of'} {len(_kinds(trial))} kinds of shortcut that were tried, none fails"
    if above:
        words += f"; open, with a figure above the threshold: {', '.join(_with_figures(above))}"
    words += f"; open, as the change is foreign to these films: {_counted(foreign)}" if foreign else ""
    if rest:
        also = "also open" if named or above or foreign else "open"
        words += f"; {also}: {_counted(rest) if short else _foremost(rest, unclear)}"
    words += f"; clear of {len(clear)}: {_counted(clear)}" if clear else ""
    return f"{words}.{_untried(trial)}"


def _left_open(above: Sequence[Finding]) -> str:
    """What keeps the model from a pass: what more films would tell, and what no number of them would."""
    untold = [f for f in above if f.evidence.get("no_verdict") and _kinds([f])]
    more = [f for f in above if _kinds([f]) and _kinds([f])[0] not in _kinds(untold)]
    about = [f"about {', '.join(_with_figures(more))}"] if more else []
    parts = [f"{_says(f)} ({_figure(f)})" for f in above if not _kinds([f])]
    about += [f"whether {' and '.join(parts)}"] if parts else []
    told = [f"more films would have to tell {' and '.join(about)}"] if about else []
    if untold:
        told.append(f"whether the decision follows {' or '.join(_with_figures(untold))} could not be told")
    return "; ".join(told)


def _with_figures(above: Sequence[Finding]) -> list[str]:
    """The kinds of these findings, each once, with the figure of the gravest."""
    first = {_kinds([f])[0]: _figure(f) for f in reversed(above)}
    return [f"{_plain(kind)} ({first[kind]})" for kind in _kinds(above)]


def _next(failed: Sequence[Finding]) -> str:
    """Up to two kinds that fail beside the first."""
    others = [_plain(k) for k in _kinds(failed) if k not in _kinds(failed[:1])][:2]
    return f", next {' and '.join(others)}" if others else ""


def _foremost(kinds: Sequence[str], open_: Sequence[Finding]) -> str:
    """Up to three of these kinds by name, those first whose figures lie nearest their thresholds; of more their number
    as well: the table of tests lists all."""
    nearest = sorted((f for f in open_ if _kinds([f])), key=lambda f: -_nearness(f))
    first = ", ".join([_plain(k) for k in _kinds(nearest) if k in kinds][:NAMED])
    return first if len(kinds) <= NAMED else f"{len(kinds)}, of which nearest to their thresholds {first}"


def _nearness(finding: Finding) -> float:
    """How far on the way to its threshold, or beyond, the figure is: 1 on it."""
    e, limit, test = finding.estimate, finding.threshold, INTERVENTIONS.get(finding.test)
    if e is None or e.value is None or not limit:
        return 0.0
    if test is not None and test.wanted:
        return 2 - e.value / limit
    return (abs(e.value) if test is not None and test.signed else e.value) / limit


def _unnamed(finding: Finding) -> bool:
    kinds = _kinds([finding])
    return bool(kinds) and all(k.startswith(UNNAMED) for k in kinds)


def _plain(kind: str) -> str:
    return kind.removeprefix(UNNAMED)


def _counted(kinds: Sequence[str]) -> str:
    """Kinds by name; of more than three that have none, their number: the table of tests lists them."""
    named = [k for k in kinds if not k.startswith(UNNAMED)]
    unnamed = [_plain(k) for k in kinds if k.startswith(UNNAMED)]
    return ", ".join([*named, *(unnamed if len(unnamed) <= NAMED else [f"{len(unnamed)} without a name"])])


def _above(finding: Finding) -> bool:
    """Whether the figure itself lies beyond the threshold, though its interval does not, and the films may show it."""
    return _excess(finding) > 0


def _excess(finding: Finding) -> float:
    """How many times its threshold the figure of an open finding on a shortcut is, where it lies above it, else 0."""
    e, limit, test = finding.estimate, finding.threshold, INTERVENTIONS.get(finding.test)
    if e is None or e.value is None or not limit or (test is not None and test.wanted):
        return 0.0
    if finding.verdict != "inconclusive" or not _decides(finding) or _foreign(finding):
        return 0.0
    value = abs(e.value) if test is not None and test.signed else e.value
    return value / limit if value > limit else 0.0


def _foreign(finding: Finding) -> bool:
    """Whether the change shows what the films do not, as far as that was asked (`familiar`)."""
    return bool(finding.evidence.get("familiar", {}).get("foreign"))


def _sure_and_above(finding: Finding) -> bool:
    """Whether the figure lies beyond the threshold and its whole interval above 0: an effect for sure, which may
    matter."""
    e = finding.estimate
    return _above(finding) and e is not None and e.low is not None and e.low > 0


def _figure(finding: Finding) -> str:
    e = finding.estimate
    return with_minus(f"{(e.value if e else None) or 0.0:+.2f}") + f", threshold {finding.threshold:g}"


def _untried(trial: Sequence[Finding]) -> str:
    """Kinds of shortcut that this package knows to try and that were not tried on these films."""
    done = _kinds(trial)
    left = [k for k in dict.fromkeys(t.kind for t in TESTS if t.decides and t.kind) if k not in done]
    return f" Not tried: {_counted(left)}." if left else ""


def _cut_outs(trial: Sequence[Finding]) -> str:
    """The range over all ways to take the lungs out, where that was tried."""
    found = next((f.evidence["cut_outs"] for f in trial if "cut_outs" in f.evidence), None)
    if found is None:
        return ""
    return (
        f" With the lungs taken out in {found['ways']} ways it reached AUROC {found['lowest']:.2f} to "
        f"{found['highest']:.2f}, where {found['limit']:g} is the limit."
    )
