"""Whether what doctors wrote, what they marked, and where the map looks are the same places."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from radiolucent import metrics
from radiolucent.audits.agreement.estimates import mean_estimates
from radiolucent.audits.agreement.markings import Mask, by_reader, to_model
from radiolucent.audits.agreement.statement_parser import Said, parse_statement
from radiolucent.audits.agreement.zones import ZONES, zone_masks
from radiolucent.types import Annotation, Estimate, Explanation

__all__ = ["STATEMENT_FIGURES", "StatementAgreement", "statement_agreement"]

STATEMENT_FIGURES: Mapping[str, str] = {
    "finding": "words and marking agree on whether there is anything",
    "side": "words and marking name the same sides",
    "zone": "overlap (Jaccard) of the zones that the words name and that the marking touches",
    "map_hit": "the map's strongest point lies in the zones that the words name",
    "map_area": "share of the film those zones cover: the hit rate and energy of a map that says nothing",
    "map_hit_minus_area": "hit rate minus area, on the same statements",
    "map_energy": "share of the map's positive part that lies in those zones",
}
_TOUCHED = 0.2  # least share of the marked pixels for a side or zone to count as marked


@dataclass(frozen=True)
class StatementAgreement:
    """Statements against markings and maps.

    Attributes:
        estimates: by name in `STATEMENT_FIGURES`, with patient-bootstrap intervals.
        statements: how many had words. understood: how many of them the vocabulary could place or judge.
        not_understood: the others' texts, each once, at most twenty.
    """

    estimates: Mapping[str, Estimate]
    statements: int
    understood: int
    not_understood: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "statements": self.statements,
            "understood": self.understood,
            "not_understood": list(self.not_understood),
            **{name: e.as_dict() for name, e in self.estimates.items()},
        }


def statement_agreement(
    annotations: Sequence[Annotation],
    explanations: Sequence[Explanation] = (),
    *,
    patients: Mapping[str, str] | None = None,
    lungs: Mapping[str, Mask] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> StatementAgreement:
    """Read every statement (`words.parse_statement`) and hold it against its reader's marking and the film's map.

    Args:
        annotations: readings; those without words are passed over; a film's size comes from its map or `image_shape`.
        explanations: of one method, at most one a film; without one the map figures are not applicable.
        lungs: lung masks (H, W) by image_id, which place the zones; a coarse grid of the film otherwise.

    A reading that names no place, or marks none, is not applicable to the figures of places.
    """
    maps = {e.image_id: e for e in explanations}
    grouped: dict[tuple[str, str], list[Annotation]] = defaultdict(list)
    for a in annotations:
        grouped[a.image_id, a.reader].append(a)
    rows: list[dict[str, float | None]] = []
    groups: list[str] = []
    lost: dict[str, None] = {}
    spoken = 0
    for (image, _), readings in grouped.items():
        text = ". ".join(dict.fromkeys(a.statement for a in readings if a.statement.strip()))
        if not text:
            continue
        spoken += 1
        said = parse_statement(text)
        if said.finding is None:
            lost[text] = None
            continue
        rows.append(_row(said, readings, maps.get(image), (lungs or {}).get(image)))
        groups.append((patients or {}).get(image, image))
    values = [[row.get(name) for name in STATEMENT_FIGURES] for row in rows]
    found = mean_estimates(values, groups, names=tuple(STATEMENT_FIGURES), level=level, folds=folds, seed=seed)
    empty = [Estimate(None, None, None, level, 0, "patient bootstrap", "no statement applies")] * len(STATEMENT_FIGURES)
    estimates = dict(zip(STATEMENT_FIGURES, found or empty, strict=True))
    return StatementAgreement(estimates, spoken, len(rows), tuple(lost)[:20])


def _row(said: Said, readings: Sequence[Annotation], e: Explanation | None, lungs: Mask | None) -> dict[str, Any]:
    row: dict[str, Any] = {"finding": float(said.finding is any(a.finding for a in readings))}
    shape = e.geometry.source_shape if e else next((a.image_shape for a in readings if a.image_shape), None)
    if shape is None or not said.zones:
        return row
    zones = zone_masks(shape, lungs)
    marked = next(iter(by_reader(readings, shape).values()), None)
    if marked is not None and marked.any():
        touched = _touched(marked, zones)
        row["zone"] = len(touched & said.zones) / len(touched | said.zones)
        if said.sides:
            row["side"] = float(_sides(marked, shape, lungs) == said.sides)
    if e is not None:
        named = np.logical_or.reduce([zones[z] for z in said.zones])
        view = to_model(named, e.geometry)
        film = to_model(np.ones(shape, bool), e.geometry)
        row["map_hit"] = metrics.pointing_game(e.map, view)
        row["map_energy"] = metrics.energy_in_region(e.map, view)
        row["map_area"] = float(view.sum() / (film | view).sum())
        if row["map_hit"] is not None:
            row["map_hit_minus_area"] = row["map_hit"] - row["map_area"]
    return row


def _touched(marked: Mask, zones: Mapping[str, Mask]) -> frozenset[str]:
    """Zones that hold at least a fifth of the marked pixels; of a marking spread thinner, the one that holds most."""
    held = {z: float((marked & zones[z]).sum() / marked.sum()) for z in ZONES}
    some = frozenset(z for z, share in held.items() if share >= _TOUCHED)
    return some or frozenset([max(held, key=lambda z: held[z])])


def _sides(marked: Mask, shape: tuple[int, int], lungs: Mask | None) -> frozenset[str]:
    """Sides of the patient that hold at least a fifth of the marked pixels; the image's left is the patient's right."""
    middle = shape[1] / 2
    if lungs is not None and lungs.any():
        columns = np.flatnonzero(lungs.any(0))
        middle = (columns[0] + columns[-1] + 1) / 2
    right = float(marked[:, np.arange(shape[1]) + 0.5 < middle].sum() / marked.sum())
    return frozenset(s for s, share in (("right", right), ("left", 1 - right)) if share >= _TOUCHED)
