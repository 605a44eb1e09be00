"""The rows of the table of explanations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.data.records import NOTED
from radiolucent.figures import Case
from radiolucent.study.journal import COLUMNS, Journal
from radiolucent.types import NO_CALL, NO_LUNG, Explanation, absent

__all__ = ["NO_LABEL", "explained_row", "row_of", "told_of"]

NO_LABEL = f"{NOTED}no label reaches its threshold on this film, so none is explained; --target LABEL explains one"

REASONS = 3
"""Reasons told of a method that gave no map of any film: each film may have its own."""


def row_of(image: str, **values: Any) -> dict[str, Any]:
    """A row of the table with these values, the rest empty."""
    return {**dict.fromkeys(COLUMNS), "image": image, **values}


def explained_row(e: Explanation, case: Case, file: str, panel: str | None) -> dict[str, Any]:
    """A map's row; of a model of several labels call and probability are of the map's label, with it or without.

    Where the network takes nothing on the film for lung there is no call and no probability, and a note says so.
    """
    called, probability = _called(case, e.target_name)
    row, column = np.unravel_index(int(e.map.argmax()), e.map.shape)
    x, y = e.geometry.to_source(np.array([[column + 0.5, row + 0.5]]))[0]
    height, width = e.geometry.source_shape
    return row_of(
        e.image_id,
        method=e.method,
        target=e.target_name,
        score_kind=e.score_kind,
        contrast=e.contrast,
        score=e.score,
        called=called,
        probability=probability,
        peak_x=float(np.clip(x, 0, width)),
        peak_y=float(np.clip(y, 0, height)),
        trust=e.trust.get("verdict"),
        trust_reasons="; ".join(e.trust.get("reasons", ())) or e.details.get("broken_promise"),
        map=file,
        panel=panel,
        note="; ".join([*([f"{NO_CALL}: {NO_LUNG}"] if case.no_call else ()), *case.film.notes]) or None,
    )


def _called(case: Case, label: str) -> tuple[str, float | None]:
    if case.no_call:
        return NO_CALL, None
    own = next((c for c in case.labels if c.name == label), None)
    if own is None:
        return case.called, case.probability
    return (label, own.probability) if own.called else (absent(label), 1 - own.probability)


def told_of(
    journal: Journal, keys: Sequence[str]
) -> tuple[list[tuple[Path, str]], set[str], tuple[tuple[str, str], ...]]:
    """(file, reason) of maps there are none of, the films explained, and the methods that gave no map of any.

    Of each such method up to 3 different reasons, one a pair.
    """
    wanted, explained, worked = set(keys), set[str](), set[str]()
    failed: list[tuple[str, str | None, str]] = []
    for row in journal.rows(keys):
        if row["image"] not in wanted:
            break  # of an earlier call on other files
        if not row["error"] or row["error"] == NO_LABEL:
            explained.add(row["image"])
        if row["error"]:
            failed.append((row["image"], row["method"], row["error"]))
        else:
            worked.add(row["method"])
    never: dict[str, dict[str, None]] = {}
    for _, m, e in failed:
        if m and m not in worked:
            never.setdefault(m, {})[e.removeprefix(f"{m}: ")] = None
    left = [(Path(i), e) for i, m, e in failed if m not in never or i not in explained]
    return left, explained, tuple((m, reason) for m, some in never.items() for reason in _few(list(some)))


def _few(reasons: list[str]) -> list[str]:
    """
    >>> _few(["a", "b", "c", "d", "e"])
    ['a', 'b', 'c', 'and 2 more reasons, in explanations.csv']
    """
    more = len(reasons) - REASONS
    told = f"and {more} more reason{'s' * (more > 1)}, in explanations.csv"
    return [*reasons[:REASONS], *([told] if more > 0 else [])]
