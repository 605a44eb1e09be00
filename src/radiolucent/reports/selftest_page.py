"""The self-test as one page: a table and a curve."""

from pathlib import Path

from radiolucent.audits.trial.selftest import METHODS, SelfTestResult
from radiolucent.figures import to_png
from radiolucent.figures.audit import detection_plot
from radiolucent.files import write_bytes, write_text
from radiolucent.reports.html import environment
from radiolucent.reports.report_data import Picture

__all__ = ["write_self_test"]

FINDERS = {"audit": "this audit"} | {name: f"{method.title} alone" for name, method in METHODS.items()}


def write_self_test(found: SelfTestResult, folder: str | Path) -> Path:
    """Write `selftest.html` and `selftest.png`; return the page's path."""
    out = Path(folder)
    image = to_png(detection_plot(found.rates, FINDERS))
    picture = Picture(
        image, "Share of models in which each finder reports the planted shortcut, by how often it was planted"
    )
    rates = found.rates
    rows = [
        (kind, share, [rates.get((finder, kind, share)) for finder in FINDERS])
        for kind in found.config.kinds
        for share in found.config.shares
    ]
    seconds = [float(m["seconds"]) for m in found.models]
    page = environment().get_template("selftest.html.jinja").render(
        found=found,
        picture=picture,
        rows=rows,
        finders=FINDERS,
        marked=found.marked().as_dict(),
        any_alarm=found.any_alarm().as_dict(),
        innocent=found.innocent_alarm().as_dict(),
        use=found.use(),
        unmet=found.unmet_alarm().as_dict(),
        false_marker=found.false_marker().as_dict(),
        minutes=sum(seconds) / 60,
        aurocs=[float(m["auroc"]) for m in found.models if m["share"] == 0],
    )  # fmt: skip
    write_bytes(out / "selftest.png", image)
    write_text(out / "selftest.html", page)
    return out / "selftest.html"
