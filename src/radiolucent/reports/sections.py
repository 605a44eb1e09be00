"""The sections of the report: each is one template that says everything about itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment
from markupsafe import Markup

from radiolucent.reports import phrasing
from radiolucent.reports.report_data import Picture, Story

__all__ = ["SECTIONS", "Section", "sections"]

SECTIONS = (
    "summary",
    "data",
    "training",
    "performance",
    "cases",
    "inside",
    "doctors",
    "methods",
    "versions",
    "further",
)
"""The report's sections in order. A new one is its template in `templates/sections/` and its line here.

A template sets `title`, sets `pictures` to the names of those it shows, and is left out where it prints nothing. It is
given the `story`, the sentences of `phrasing`, and `unplaced()`: the pictures that no section before it shows.
"""


@dataclass(frozen=True)
class Section:
    """A rendered section: its anchor, its heading and its HTML."""

    name: str
    title: str
    body: Markup


def sections(story: Story, templates: Environment) -> Sequence[Section]:
    """The story's sections in order, without empty ones."""
    placed: set[str] = set()

    def unplaced() -> list[Picture]:
        return [picture for name, picture in story.pictures.items() if name not in placed]

    found: list[Section] = []
    for name in SECTIONS:
        template = templates.get_template(f"sections/{name}.jinja")
        module = template.make_module({"story": story, "phrasing": phrasing, "unplaced": unplaced})
        placed |= set(getattr(module, "pictures", ()))
        body = Markup(str(module))
        if body.strip():
            found.append(Section(name, str(module.title), body))  # pyright: ignore[reportAttributeAccessIssue]
    return found
