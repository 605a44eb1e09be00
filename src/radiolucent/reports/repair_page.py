"""Repair and recheck as one page: what each repair cost, and what is left of the shortcut."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radiolucent.audits.trial import named_test
from radiolucent.figures import to_png
from radiolucent.figures.repair_costs import repair_plot
from radiolucent.files import write_bytes, write_text
from radiolucent.reports.html import environment
from radiolucent.reports.report_data import Picture

__all__ = ["interval", "write_repair"]


def interval(estimate: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    """An estimate as `0.912 (0.880 to 0.940)`; signed: with its sign."""
    if estimate is None or estimate["value"] is None:
        return "not applicable"
    sign = "+" if signed else ""
    value, low, high = (
        "" if estimate[k] is None else f"{estimate[k]:{sign}.3f}".replace("-", "−") for k in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})" if low else value


def write_repair(found: Mapping[str, Any], folder: str | Path) -> Path:
    """Write `repair.html` and `repair.png` from `repair.json`'s content; return the page's path."""
    out = Path(folder)
    image = to_png(repair_plot(found))
    caption = (
        "Left: AUROC after less before on the same test films. Right: the test on shortcuts that the model failed "
        "most before, in multiples of its threshold; beyond 1 it fails."
        if found["lead"]
        else "AUROC after less before on the same test films. The model failed no test on shortcuts before."
    )
    tests = [name for name in found["rows"][0]["tests"] if any(_told(r["tests"].get(name)) for r in found["rows"])]
    page = environment().get_template("repair.html.jinja").render(
        found=found,
        picture=Picture(image, "Cost of each repair and what is left of the shortcut", caption),
        interval=interval,
        tests=[(name, _question(name), _threshold(found, name)) for name in tests],
        level=found["rows"][0]["auroc"]["level"],
        cleared=sum(found["lead"] not in r["failing"] for r in found["rows"][1:]),
    )  # fmt: skip
    write_bytes(out / "repair.png", image)
    write_text(out / "repair.html", page)
    return out / "repair.html"


def _told(test: Mapping[str, Any] | None) -> bool:
    return test is not None and test["verdict"] != "not applicable"


def _threshold(found: Mapping[str, Any], name: str) -> str:
    """What a test's figures are held against; "" where it is not the same for every model: then each cell tells it."""
    held = (t for r in found["rows"] if (t := r["tests"].get(name)) and _told(t))
    known = {"" if t["threshold"] is None else f"{t['threshold']:g}" for t in held}
    return known.pop() if len(known) == 1 else ""


def _question(name: str) -> str:
    test = named_test(name)
    return name if test is None else test.question
