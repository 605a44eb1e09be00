"""What the self-test measured when the package was made: the figures that every audit report cites."""

import json
from importlib.resources import files
from typing import Any

__all__ = ["shipped_self_test"]

NAME = "selftest.json"


def shipped_self_test() -> dict[str, Any] | None:
    """The shipped `selftest.json` (see `SelfTestResult.as_dict`; without single models); None where none is shipped."""
    file = files("radiolucent.audits.trial") / NAME
    return json.loads(file.read_text("utf-8")) if file.is_file() else None
