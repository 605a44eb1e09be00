"""The audit as one page: the verdict first, then findings by severity with pictures, then what was not tested."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.audits.edits import EDITS
from radiolucent.audits.interventions import INTERVENTIONS
from radiolucent.audits.run import Audit
from radiolucent.audits.table import changed_film
from radiolucent.figures import to_png
from radiolucent.figures.audit import Change, changes_plot, mean_maps_plot
from radiolucent.files import write_json, write_text
from radiolucent.reports.html import environment
from radiolucent.reports.story import Picture
from radiolucent.types import Finding

__all__ = ["audit_summary", "write_audit"]

SHOWN = 3
NOT_TESTED = (
    "Films from other hospitals, machines and ages than those given.",
    "Shortcuts inside the lungs (tubes, drains, earlier treatment) and ones that no test here changes: an audit finds "
    "what it looks for.",
    "Subgroups by age and sex, unless they stand among the groups above.",
    "Training again: with shuffled labels, with other seeds, or on films repaired of the shortcut.",
    "Whether the network's use helps or harms anyone.",
)
Progress = Callable[[str, int, int], None]


def audit_summary(found: Audit) -> dict[str, Any]:
    """JSON-ready: `verdict`, `headline`, `films`, `masks`, `left_out`, `findings[]`."""
    return {
        "schema": 1,
        "verdict": found.verdict,
        "headline": found.headline,
        "films": len(found.table),
        "patients": len(set(found.table.patients)),
        "masks": {"made_by": found.masks} | {n: found.table.masked_films(n) for n in ("lungs", "markers")},
        "left_out": [{"image": name, "reason": reason} for name, reason in found.table.left_out],
        "findings": [f.as_dict() for f in found.findings],
    }


def write_audit(
    found: Audit,
    folder: str | Path,
    *,
    model: str = "",
    data: str = "",
    seed: int = 0,
    self_test: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write `audit.html` and `audit.json`, each whole or not at all; return the page's path.

    Args:
        seed: the audit's, so that the pictures show the very changes that were judged. self_test: `selftest.json`'s
            content, which the page then cites.
    """
    pictured = [f for f in found.findings if f.test in INTERVENTIONS and f.evidence.get("most_moved")]
    chosen = [f for f in pictured if f.verdict in ("fail", "inconclusive")] or pictured[:1]
    pictures: dict[str, Picture] = {}
    for done, finding in enumerate(chosen, 1):
        pictures[finding.test] = _pictures(found, finding, seed)
        if progress:
            progress("pictures", done, len(chosen))
    maps = {name: _mean_maps(name, found) for name, shown in found.maps.items() if shown.mean}
    page = (
        environment()
        .get_template("audit.html.jinja")
        .render(
            audit=found,
            patients=len(set(found.table.patients)),
            pictures=pictures,
            maps=maps,
            counts=_counts(found.findings),
            model=model,
            data=data,
            seed=seed,
            created=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            not_tested=[*NOT_TESTED, *_not_applicable(found.findings)],
            self_test=self_test,
        )
    )
    out = Path(folder)
    write_text(out / "audit.html", page)
    write_json(out / "audit.json", audit_summary(found))
    return out / "audit.html"


def _counts(findings: Sequence[Finding]) -> list[tuple[str, str, int]]:
    """(what it concerns, verdict, how many)."""
    names = {"model": "used by the model", "data": "available in the data", "map": "shown by maps"}
    return [
        (words, verdict, count)
        for concern, words in names.items()
        for verdict in ("fail", "inconclusive", "pass", "not applicable")
        if (count := sum(f.concerns == concern and f.verdict == verdict for f in findings))
    ]


def _not_applicable(findings: Sequence[Finding]) -> list[str]:
    return [f"{f.test}: {f.summary}" for f in findings if f.verdict == "not applicable"]


def _pictures(found: Audit, finding: Finding, seed: int) -> Picture:
    test = INTERVENTIONS[finding.test]
    by_id = {r.image_id: r for r in found.records}
    changes: list[Change] = []
    for name in finding.evidence["most_moved"][:SHOWN]:
        view = found.view(by_id[name])
        versions = [view.grey, *(changed_film(view, e, seed) for e in (test.edit, test.control) if e in EDITS)]
        kept = [v for v in versions if v is not None]
        chances = found.ask(np.stack([view.as_input(v) for v in kept])).tolist()
        changes.append(Change(name, [(v / 255).astype(np.float32) for v in kept], chances))
    titles = ["as it is", "changed", "control"][: max(len(c.pictures) for c in changes)]
    made = changes_plot(changes, titles, found.class_names[found.positive])
    caption = (
        f"The films that moved most: as they are, after {test.did}, and under the control ({test.control_did}). Below "
        "each, what the model says."
    )
    return Picture(to_png(made), f"Films before and after {test.did}", caption)


def _mean_maps(name: str, found: Audit) -> Picture:
    shown = found.maps[name]
    made = mean_maps_plot({found.class_names[c]: m / max(len(shown.peaks[c]), 1) for c, m in shown.mean.items()})
    return Picture(
        to_png(made),
        f"Mean {name} map of each class",
        f"Mean {name} map of all films called so ({shown.films} explained).",
    )
