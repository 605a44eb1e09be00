"""What the self-test measured when the package was made: the figures that every audit report cites."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from radiolucent.audits.trial.tests import TESTS

__all__ = ["shipped_self_test", "since_then"]

NAME = "selftest.json"


def shipped_self_test() -> dict[str, Any] | None:
    """The shipped `selftest.json` (see `SelfTestResult.as_dict`; without single models); None where none is shipped."""
    file = files("radiolucent.audits.trial") / NAME
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def since_then(told: Mapping[str, Any]) -> Sequence[str]:
    """The tests that can clear a model and that the audit has won since a self-test was made (its `tests`)."""
    return [t.name for t in TESTS if t.decides == "intervention" and t.name not in told.get("tests", ())]
