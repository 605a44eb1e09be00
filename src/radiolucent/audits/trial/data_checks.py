"""What the data set offers to whoever learns from it, film by film: the checks of `radiolucent.data.check`."""

from collections.abc import Sequence

from radiolucent.audits.trial.base import Case, Test
from radiolucent.data import check
from radiolucent.data.relabel import relabel
from radiolucent.types import Finding

__all__ = ["TESTS"]


def _checked(case: Case) -> Sequence[Finding]:
    if not case.data_checks or case.films is None:
        return ()
    every = case.films if case.whole is None else relabel(case.whole, case.classifier.class_names)
    return case.once("data", lambda: check(every, progress=case.stage("checking the data")))


def _of_metadata(case: Case) -> list[Finding]:
    return [f for f in _checked(case) if f.test.startswith("shortcut.")]


def _of_films(case: Case) -> list[Finding]:
    return [f for f in _checked(case) if not f.test.startswith("shortcut.")]


TESTS = (
    Test(
        "shortcut",
        "Does something that is not the picture (file size, format, exposure, ...) predict the label?",
        "data",
        "labelled films of both classes",
        _of_metadata,
        ("shortcut.*",),
    ),
    Test(
        "data",
        "Are films unreadable, double, of patients on both sides of a split, or splits unlike?",
        "data",
        "",
        _of_films,
        (
            "files.unreadable", "duplicates.exact", "duplicates.near", "patients.straddle", "prevalence.shift",
            "split.validation_size", "labels.doubtful",
        ),
        unit="films",
    ),
)  # fmt: skip
