"""The statistics page as one file that needs no server."""

import base64
from importlib.resources import files
from pathlib import Path

from radiolucent.figures import agreement_plot, to_png
from radiolucent.files import write_text
from radiolucent.web.statistics import gather
from radiolucent.web.statistics_routes import leading, render_statistics
from radiolucent.web.study_context import StudyContext

__all__ = ["write_statistics"]


def write_statistics(context: StudyContext, path: Path) -> Path:
    """Write the statistics page with its styles and figure inside; give its path."""
    static = files("radiolucent.web") / "static"
    style = "\n".join((static / name).read_text(encoding="utf-8") for name in ("base.css", "pages.css"))
    found = gather(context)
    shown = leading(found)
    picture = "data:image/png;base64," + base64.b64encode(to_png(agreement_plot(shown))).decode() if shown else ""
    write_text(path, render_statistics(found, style=style, picture=picture))
    path.chmod(0o600)
    return path
