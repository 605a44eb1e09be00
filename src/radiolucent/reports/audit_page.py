"""The audit as one page: the verdict first, then findings by severity with pictures, then what was not tested."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.audits.trial.answers import changed_film
from radiolucent.audits.trial.attribution import as_film
from radiolucent.audits.trial.examine import Audit
from radiolucent.audits.trial.probes import PROBED
from radiolucent.audits.trial.shipped_selftest import shipped_self_test, since_then
from radiolucent.audits.trial.tests import TESTS, named_test
from radiolucent.figures import contact_sheet, to_png
from radiolucent.figures.audit import Change, changes_plot, mean_maps_plot
from radiolucent.files import sha256_file, write_json, write_text
from radiolucent.reports import phrasing
from radiolucent.reports.guidelines import write_guidelines
from radiolucent.reports.html import environment
from radiolucent.reports.report_data import Picture
from radiolucent.types import Finding

__all__ = ["audit_summary", "not_tested", "write_audit"]

SHOWN = 3
UNTRIED = (
    "Films from other hospitals, machines and ages than those given.",
    "Shortcuts that no test here changes: an audit finds what it looks for.",
    "Subgroups by age and sex, unless they stand among the groups above.",
    "Training again on films repaired of a shortcut (`radiolucent repair`).",
    "Whether the network's use helps or harms anyone.",
)
"""What no audit here tests; what a test would have told that was not made, it says itself (`Test.untried`)."""
Progress = Callable[[str, int, int], None]


def audit_summary(found: Audit) -> dict[str, Any]:
    """JSON-ready: `verdict`, `headline`, `auroc`, `reasons`, `films`, `masks`, `model`, `left_out`, `findings[]`,
    `not_tested[]`, `columns` (of the manifest, and on how many films each is filled in)."""
    return {
        "schema": 1,
        "use": "research only, not for diagnosis",
        "verdict": found.verdict,
        "headline": found.headline,
        "auroc": found.auroc.as_dict(),
        "reasons": reasons_of(found),
        "films": len(found.table),
        "patients": len(set(found.table.patients)),
        "masks": {"made_by": found.masks} | {n: found.table.masked_films(n) for n in ("lungs", "markers")},
        "left_out": [{"image": name, "reason": reason} for name, reason in found.table.left_out],
        "findings": [f.as_dict() for f in found.findings],
        "not_tested": not_tested(found.findings),
        "columns": _columns(found),
        "model": dict(found.model),
    }


def _columns(found: Audit) -> dict[str, int]:
    """On how many of the audited films each column of the manifest is filled in."""
    names = sorted({name for r in found.records for name in r.columns})
    return {name: sum(r.column(name) is not None for r in found.records) for name in names}


def reasons_of(found: Audit) -> dict[str, Any] | None:
    """The reasons score and its five figures, JSON-ready; None where there is none."""
    told = found.reasons
    if told is None or told.estimate is None:
        return None
    return {"verdict": told.verdict, "score": told.estimate.as_dict(), **told.evidence["figures"]}


def write_audit(
    found: Audit,
    folder: str | Path,
    *,
    model: str = "",
    data: str = "",
    seed: int = 0,
    self_test: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write `audit.html` and `audit.json`, each whole or not at all, and what `write_guidelines` writes beside them;
    return the page's path.

    Args:
        seed: the audit's, so that the pictures show the very changes that were judged. self_test: `selftest.json`'s
            content, which the page cites; what the package ships (`shipped_self_test`) unless given. run: the run's
            `summary.json`, for guidelines and model card. checkpoint: the model's file, whose SHA-256 they then state.
    """
    cited = self_test or shipped_self_test()
    pictured = [f for f in found.findings if f.evidence.get("most_moved")]
    reasons = [f for f in pictured if f.test.startswith("reasons.")]
    chosen = [f for f in pictured if f.verdict in ("fail", "inconclusive") or f in reasons] or pictured[:1]
    pictures: dict[str, list[Picture]] = {}
    for done, finding in enumerate(chosen, 1):
        pictures[finding.test] = [_pictures(found, finding, seed)]
        if progress:
            progress("pictures", done, len(chosen))
    for finding in found.findings:
        if finding.test.startswith(("slices", "subgroups")) and (sheet := _examples(found, finding)):
            pictures[finding.test] = [sheet]
    maps = {name: _mean_maps(name, found) for name, shown in found.maps.items() if shown.mean}
    created = phrasing.written()
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
            created=created,
            not_tested=not_tested(found.findings),
            parts=_parts(found.findings),
            pointed=any(f.test == "discovered.maps" and f.verdict != "not applicable" for f in found.findings),
            self_test=cited,
            since=since_then(cited or {}),
            units={f.test: t.unit for f in found.findings if (t := named_test(f.test))},
        )
    )
    out, summary = Path(folder), audit_summary(found)
    if checkpoint is not None:
        summary["model"]["file"] = {"name": checkpoint.name, "sha256": sha256_file(checkpoint)}
    write_text(out / "audit.html", page)
    write_json(out / "audit.json", summary)
    write_guidelines(summary, out, run=run, created=created)
    return out / "audit.html"


def not_tested(findings: Sequence[Finding]) -> list[str]:
    """What this audit says nothing of: what no audit here tests, and what it could not test on these films."""
    made = {t.name for f in findings if f.verdict != "not applicable" and (t := named_test(f.test))}
    open_ = [t.untried for t in TESTS if t.untried and t.name not in made]
    return [*UNTRIED, *open_, *_not_applicable(findings)]


def _parts(findings: Sequence[Finding]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(part and fill, what a probe reads there, what the model reads there), from the probes' evidence."""
    rows: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for f in findings:
        told = {name: e for name, e in f.evidence.items() if isinstance(e, Mapping)}
        rows |= {name: (e["probe"], e["model"]) for name, e in told.items() if "probe" in e and "model" in e}
    order = [name for name in PROBED if name in rows]
    return [(name.replace(".", ", ").replace("_", " "), *rows[name]) for name in order]


def _counts(findings: Sequence[Finding]) -> list[tuple[str, str, int]]:
    """(what it concerns, verdict, how many)."""
    names = {"model": "what the model uses", "data": "what the data offer", "map": "what maps show"}
    return [
        (words, verdict, count)
        for concern, words in names.items()
        for verdict in ("fail", "inconclusive", "pass", "not applicable")
        if (count := sum(f.concerns == concern and f.verdict == verdict for f in findings))
    ]


def _not_applicable(findings: Sequence[Finding]) -> list[str]:
    return [f"{f.test}: {f.summary}" for f in findings if f.verdict == "not applicable"]


def _pictures(found: Audit, finding: Finding, seed: int) -> Picture:
    change = finding.evidence["change"]
    by_id = {r.image_id: r for r in found.records}
    changes: list[Change] = []
    for name in finding.evidence["most_moved"][:SHOWN]:
        view = found.view(by_id[name])
        names = [change[k] for k in ("edit", "control") if change[k] in found.edits]
        versions = [view.grey, *(changed_film(view, e, found.edits, seed) for e in names)]
        kept = [v for v in versions if v is not None]
        chances = found.ask(np.stack([view.as_input(v) for v in kept])).tolist()
        changes.append(Change(name, [(v / 255).astype(np.float32) for v in kept], chances))
    titles = ["as it is", "changed", "control"][: max(len(c.pictures) for c in changes)]
    made = changes_plot(changes, titles, found.class_names[found.positive])
    caption = (
        f"The films that moved most: as they are, after {change['did']}, and under the control "
        f"({change['control_did']}). Below each, what the model says."
    )
    return Picture(to_png(made), f"Films before and after {change['did']}", caption)


def _examples(found: Audit, finding: Finding) -> Picture | None:
    """Films of the three groups with the most errors: those called wrongly first."""
    by_id = {r.image_id: r for r in found.records}
    told = [(name, row) for name, row in finding.evidence.items() if isinstance(row, Mapping) and row.get("examples")]
    rates = [-float(row["error_rate"]["value"] or 0.0) for _, row in told]
    worst = [told[int(k)] for k in np.argsort(rates, kind="stable")[:3]]
    if not worst:
        return None
    rows = [
        (f"{name}: {row['error_rate']['value']:.0%} wrong", [as_film(found.view(by_id[i])) for i in row["examples"]])
        for name, row in worst
    ]
    caption = "Films of the groups with the highest error rates, those called wrongly first."
    return Picture(to_png(contact_sheet(rows)), f"Example films: {finding.question}", caption)


def _mean_maps(name: str, found: Audit) -> Picture:
    shown = found.maps[name]
    made = mean_maps_plot({found.class_names[c]: m / max(len(shown.peaks[c]), 1) for c, m in shown.mean.items()})
    return Picture(
        to_png(made),
        f"Mean {name} map of each class",
        f"Mean {name} map of all films called so ({shown.films} explained).",
    )
