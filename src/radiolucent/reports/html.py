"""Rendering: one HTML file without anything from outside, and `summary.json` beside it."""

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from radiolucent.files import write_json, write_text
from radiolucent.reports.story import Picture, Story
from radiolucent.reports.summary import summary
from radiolucent.reports.words import figure_rows, headline, warnings
from radiolucent.types import Estimate

__all__ = ["write_report"]


def _uri(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.png).decode()


def _interval(e: Estimate | None) -> str:
    if e is None or e.value is None:
        return "not applicable" + (f": {e.note}" if e is not None and e.note else "")
    if e.low is None or e.high is None:
        return f"{e.value:.3f}"
    return f"{e.value:.3f} ({e.low:.3f} – {e.high:.3f})"


def write_report(story: Story, folder: str | Path, *, name: str = "report.html") -> Path:
    """Write `report.html` and `summary.json` into `folder`, each whole or not at all; return the HTML's path.

    The HTML holds its styles and pictures itself: it can be mailed, archived and printed, and asks no server for
    anything.
    """
    environment = Environment(
        loader=PackageLoader("radiolucent.reports"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["uri"] = _uri
    environment.filters["interval"] = _interval
    out = Path(folder)
    page = environment.get_template("report.html.jinja").render(
        story=story, headline=headline(story), warnings=warnings(story), figures=figure_rows(story)
    )
    write_text(out / name, page)
    write_json(out / "summary.json", summary(story))
    return out / name
