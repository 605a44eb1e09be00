"""Every test of an audit, in the order in which they are made and, of equal gravity, told."""

import re
from collections.abc import Iterator, Sequence
from importlib import import_module

from radiolucent.audits.trial.base import Test
from radiolucent.errors import ConfigError

__all__ = ["TESTS", "chosen_tests", "deciding", "markdown_table", "named_test"]

FILES: tuple[str, ...] = (
    "interventions",
    "discovered",
    "candidates",
    "reasons",
    "masked",
    "stress",
    "calibrated",
    "subgroups",
    "map_slices",
    "probes",
    "attribution",
    "randomised_maps",
    "retrained",
    "data_checks",
    "leaked",
)
TESTS: tuple[Test, ...] = tuple(test for name in FILES for test in import_module(f"{__package__}.{name}").TESTS)
"""A new test is its file, which holds a tuple `TESTS`, and its line in `FILES`: the command, the report, the summary
and the docs know it by that."""


def chosen_tests(starts: Sequence[str], methods: Sequence[str]) -> tuple[Test, ...]:
    """The tests whose findings can have a name that begins with one of these; all where none is given.

    Raises:
        ConfigError: a beginning that no finding's name has.
    """
    if not starts:
        return TESTS
    for start in starts:
        if not any(t.can_bear(start, methods) for t in TESTS):
            missing = any(t.can_bear(start) for t in TESTS)
            raise ConfigError(
                f"tests {start}: of a method that is not among those asked for ({', '.join(methods) or 'none'}); "
                "add it to the methods."
                if missing
                else f"tests {start}: no finding's name begins so; expected the beginning of any of "
                f"{', '.join(dict.fromkeys(name for t in TESTS for name in t.names))}."
            )
    return tuple(t for t in TESTS if any(t.can_bear(start, methods) for start in starts))


def named_test(finding: str) -> Test | None:
    """The test that made a finding of this name, if any did."""
    return next((t for t in TESTS if t.name == finding), None) or next(
        (t for t in TESTS if any(_pattern(name).fullmatch(finding) for name in t.names)), None
    )


def deciding(finding: str) -> bool:
    """Whether the verdict on the model rests on a finding of this name."""
    test = named_test(finding)
    return test is not None and bool(test.decides)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(re.escape("<method>"), r"[^.]+").replace(r"\*", ".+"))


def _rows() -> Iterator[str]:
    concerns = {"model": "the model", "data": "the data", "map": "maps"}
    for t in TESTS:
        names = ", ".join(f"`{name}`" for name in t.names)
        decides = {"intervention": "fails and clears", "part": "fails", "": ""}[t.decides]
        yield f"| {names} | {t.question} | {concerns[t.concern]} | {decides} | {t.needs} |"


def markdown_table() -> str:
    """Every test as a Markdown table, for the docs."""
    head = "| finding | question | concerns | the model's verdict | needs |\n|---|---|---|---|---|"
    return "\n".join([head, *_rows()]) + "\n"
