"""Maps of many films by several methods: every film read once, every batch through the network once."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from radiolucent.data import Record
from radiolucent.errors import ExplainError
from radiolucent.explainers import Explainer, NoMap, explain
from radiolucent.explainers.explain import reasons_of
from radiolucent.images import read_or_note
from radiolucent.models import Classifier
from radiolucent.passes.session import Session
from radiolucent.study.progress import Progress, quiet
from radiolucent.types import Explanation

__all__ = ["maps_of", "methods_without"]

TOGETHER = 16  # films read and explained at a time


def maps_of(
    classifier: Classifier,
    records: Sequence[Record],
    methods: Sequence[Explainer],
    *,
    target: str,
    seed: int,
    left_out: list[tuple[Path, str]],
    no_map: list[NoMap],
    say: Progress = quiet,
    what: str = "explaining",
) -> list[list[Explanation]]:
    """For each method its maps, one a readable film, in the order of `records`; the others go to `left_out`.

    Args:
        no_map: gets the films of which a method gives no map, also where an error is raised.

    Raises:
        ExplainError: no method gave a map of any film.
    """
    found: dict[str, list[Explanation]] = {m.name: [] for m in methods}
    failed: list[NoMap] = []
    session = Session(films=len(records))
    for start in range(0, len(records), TOGETHER):
        some = records[start : start + TOGETHER]
        read = [read_or_note(r.path, left_out, image_id=r.image_id, patient_id=r.patient_id) for r in some]
        films = [film for film in read if film is not None]
        options: dict[str, Any] = {"target": target, "seed": seed, "batch_size": TOGETHER, "session": session}
        none = {e.method for e in failed if not found[e.method]}
        for group in ([m for m in methods if m.name not in none], [m for m in methods if m.name in none]):
            with suppress(ExplainError):  # nothing at all: `failed` says why
                for each in explain(classifier, films, group, left_out=failed, **options) if group and films else ():
                    for one in each:
                        found[one.method].append(one)
        say(what, min(start + TOGETHER, len(records)), len(records))
    no_map += failed
    if failed and not any(found.values()):
        raise ExplainError(reasons_of(failed))
    return list(found.values())


def methods_without(no_map: Sequence[NoMap]) -> tuple[tuple[str, str], ...]:
    """(method, of how many films it gave no map, and why), each reason once."""
    films: dict[tuple[str, str], set[str]] = {}
    for one in no_map:
        films.setdefault((one.method, one.reason), set()).add(one.image_id)
    return tuple(
        (name, f"of {len(some)} film{'s' * (len(some) > 1)}: {reason}") for (name, reason), some in films.items()
    )
