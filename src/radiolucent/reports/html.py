"""Rendering: one HTML file without anything from outside, and `summary.json` beside it."""

import base64
import io
import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import PIL.Image
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from radiolucent.bounds import PATH, expect
from radiolucent.figures import method_name
from radiolucent.files import write_json, write_text
from radiolucent.reports import phrasing
from radiolucent.reports.report_data import Picture, Story
from radiolucent.reports.sections import sections
from radiolucent.reports.summary import summary
from radiolucent.shown import counted
from radiolucent.types import Estimate, with_minus

__all__ = ["environment", "write_report"]

LARGE = 150_000
"""Bytes of a PNG above which the page holds it as WebP."""


def _uri(picture: Picture) -> str:
    """The picture as it stands in the page: films as WebP, a fraction of their PNG, which stays beside the report."""
    image, kind = picture.image, picture.media_type
    if kind == "image/png" and len(image) > LARGE:
        small = io.BytesIO()
        PIL.Image.open(io.BytesIO(image)).convert("RGB").save(small, "WEBP", quality=85, method=4)
        image, kind = small.getvalue(), "image/webp"
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def _evidence(evidence: Any, file: str, limit: int = 2500) -> str:
    """Evidence as JSON with four digits; a long one is cut, and says which file holds the whole."""
    text = json.dumps(_short(dict(evidence)), indent=1, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[:limit] + f"\n… (whole in {file})"


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {k: _short(v) for k, v in cast(Mapping[Any, Any], value).items()}
    return [_short(v) for v in cast(Sequence[Any], value)] if isinstance(value, list | tuple) else value


def _sentence(text: str) -> Markup:
    """A finding's sentence as HTML: `commands` set as code, minus signs, and a blank before "% CI"."""
    parts = with_minus(text).replace("% CI", " % CI").replace("  % CI", " % CI").split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


def _interval(e: Estimate | None) -> str:
    """`phrasing.interval`; words in place of an interval may be broken into lines, figures may not."""
    text = phrasing.interval(e)
    return text if e is not None and e.low is not None else Markup('<span class="note">{}</span>').format(text)


def _isolated(value: Any) -> Any:
    """A name written from right to left, shut off from what stands beside it: else the numbers around it change places.

    By the Unicode isolates FSI and PDI, which are not seen. An address takes none: a template gives it through `e`.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return f"\u2068{value}\u2069" if any(unicodedata.bidirectional(c) in ("R", "AL") for c in value) else value


def environment() -> Environment:
    """The templates, escaped, with the filters and functions they use."""
    made = Environment(
        loader=PackageLoader("radiolucent.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_isolated,
    )
    filters: dict[str, Any] = {
        "uri": _uri,
        "interval": _interval,
        "percent": phrasing.percent,
        "plain": phrasing.plain,
        "plain_interval": phrasing.plain_interval,
        "share": phrasing.share,
        "method": method_name,
        "evidence": _evidence,
        "sentence": _sentence,
    }
    made.filters.update(filters)
    functions: dict[str, Any] = {"counted": counted}
    made.globals.update(functions)
    return made


def write_report(story: Story, folder: str | Path, *, name: str = "report.html") -> Path:
    """Write `report.html` and `summary.json` into `folder`, each whole or not at all; return the HTML's path.

    The HTML holds its styles and pictures itself: it can be mailed, archived and printed, and asks no server for
    anything (its content security policy forbids it). Whatever texts it is given, they are shown, never run.
    """
    expect(story, Story, "story", "that of a study: rl.study(rl.StudyConfig(data, out)) writes its report itself")
    expect(folder, PATH, "place to write to", "the path of a folder")
    templates = environment()
    page = templates.get_template("page.html.jinja").render(story=story, sections=sections(story, templates))
    out = Path(folder)
    write_text(out / name, page)
    write_json(out / "summary.json", summary(story))
    return out / name
