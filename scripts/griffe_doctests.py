"""For `mkdocs build`: doctests at the end of a docstring become its "Examples" section."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^>>> .*(?:\n(?!\s*$).*|\n(?=\s*\n>>> ))*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Rewrites docstrings as they are loaded; the sources stay as they are."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Indent each doctest under a heading of its own."""
        if obj.docstring is not None and ">>> " in obj.docstring.value:
            obj.docstring.value = DOCTEST.sub(
                lambda found: "Examples:\n" + "\n".join(f"    {line}" for line in found[0].splitlines()),
                obj.docstring.value,
            )
