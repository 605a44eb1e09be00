"""Prefilled CLAIM 2024, TRIPOD+AI and STARD-AI tables, and a model card, from what a run and its audit know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radiolucent.files import write_json, write_text
from radiolucent.reports.guideline_facts import Fact, facts
from radiolucent.reports.guideline_items import GUIDELINES, Guideline, Item
from radiolucent.reports.html import environment

__all__ = ["Row", "filled", "write_guidelines"]

ANSWERED, PARTLY, HUMAN = "answered here", "in part", "a human must write"
NOTE = (
    "Items are abridged by us and numbered as in the sources; fill in the published forms for submission. What stands "
    "under “answered here” is copied from this run's files; what it means for a study, its authors must judge."
)
CARD: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("Model", ("category", "architecture", "output", "preprocess", "availability"), ""),
    ("Intended use", ("use",), "for whom, on which patients, in which place of care; what it must not be used for"),
    ("Factors", ("sites", "subgroups", "slices", "demographics"), "groups of people and machines that matter"),
    ("Metrics", ("metrics", "threshold", "uncertainty"), "why these"),
    ("Training data", ("source", "partitions", "labels", "imbalance"), "consent, licence, how labels were made"),
    ("Training", ("training", "initial", "selection"), ""),
    ("Evaluation data", ("disjoint", "checks", "shift", "metadata"), "how far they stand for the patients meant"),
    ("Results", ("performance", "reasons", "confusion", "calibration"), ""),
    ("Shortcuts and robustness", ("verdict", "interventions", "stress", "maps"), "what follows for use"),
    ("Caveats", ("limits",), "ethical considerations; what is known beyond this run"),
)
"""Section, facts, what a human must write. After Mitchell 2019, Model Cards for Model Reporting."""


@dataclass(frozen=True)
class Row:
    """One line of a table: item, status, facts (text and where), and what remains for a human."""

    number: str
    asks: str
    status: str
    said: tuple[Fact, ...]
    human: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        told = [{"text": f.text, "where": f.where} for f in self.said]
        return {"item": self.number, "asks": self.asks, "status": self.status, "answers": told, "human": self.human}


def filled(guideline: Guideline, known: Mapping[str, Fact]) -> tuple[Row, ...]:
    """A guideline's items with what is known.

    An item is "answered here" where a fact answers it and nothing remains, "in part" where something remains, and else
    "a human must write".
    """
    return tuple(_row(item, known) for item in guideline.items)


def _row(item: Item, known: Mapping[str, Fact]) -> Row:
    said = tuple(known[name] for name in item.facts if name in known)
    status = HUMAN if not said else PARTLY if item.human else ANSWERED
    human = item.human or ("" if said else "not known to this run: write it")
    return Row(item.number, item.asks, status, said, human)


def _section(name: str, said: list[Fact], human: str) -> tuple[str, list[Fact], str]:
    return name, said, human or ("" if said else "not known to this run: write it")


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many items have each status."""
    return {status: sum(r.status == status for r in rows) for status in (ANSWERED, PARTLY, HUMAN)}


def write_guidelines(
    audit: Mapping[str, Any], folder: str | Path, *, run: Mapping[str, Any] | None = None, created: str = ""
) -> tuple[Path, Path]:
    """Write `guidelines.html`, `guidelines.json`, `model-card.html` and `model-card.json`; return both pages.

    Args:
        audit: of `audit_summary`. run: the run's `summary.json`; where it tells of another model than the audit it is
            not used, and the pages say so.
    """
    own = run if run is not None and run.get("hashes", {}).get("model") == audit["model"]["hash"] else None
    missing = (
        "" if own else "The training of this model is not known here"
        + (": summary.json beside it tells of another model." if run is not None else " (no summary.json beside it).")
    )  # fmt: skip
    known, out = facts(audit, own), Path(folder)
    tables = {key: (g, filled(g, known)) for key, g in GUIDELINES.items()}
    common: dict[str, Any] = {"audit": audit, "missing": missing, "created": created, "note": NOTE}
    page = environment().get_template("guidelines.html.jinja")
    told = [(key, g, rows, counts(rows)) for key, (g, rows) in tables.items()]
    write_text(out / "guidelines.html", page.render(tables=told, **common))
    write_json(
        out / "guidelines.json",
        {"note": NOTE, "missing": missing}
        | {
            key: {"name": g.name, "source": g.citation, "counts": counts(rows), "items": [r.as_dict() for r in rows]}
            for key, (g, rows) in tables.items()
        },
    )
    card = [_section(name, [known[f] for f in names if f in known], human) for name, names, human in CARD]
    write_text(out / "model-card.html", environment().get_template("card.html.jinja").render(card=card, **common))
    write_json(
        out / "model-card.json",
        {"missing": missing, "model": audit["model"]}
        | {"sections": [{"name": n, "facts": [f.text for f in said], "human": h} for n, said, h in card]},
    )
    return out / "guidelines.html", out / "model-card.html"
