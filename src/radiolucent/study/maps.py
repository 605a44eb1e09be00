"""Maps of many films by several methods: every film read once, every batch through the network once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radiolucent.data import Record
from radiolucent.explainers import Explainer, explain
from radiolucent.images import read_or_note
from radiolucent.models import Classifier
from radiolucent.passes.session import Session
from radiolucent.study.progress import Progress, quiet
from radiolucent.types import Explanation

__all__ = ["maps_of"]

TOGETHER = 16  # films read and explained at a time


def maps_of(
    classifier: Classifier,
    records: Sequence[Record],
    methods: Sequence[Explainer],
    *,
    target: str,
    seed: int,
    left_out: list[tuple[Path, str]],
    say: Progress = quiet,
    what: str = "explaining",
) -> list[list[Explanation]]:
    """For each method its maps, one a readable film, in the order of `records`; the others go to `left_out`."""
    found: list[list[Explanation]] = [[] for _ in methods]
    session = Session(films=len(records))
    for start in range(0, len(records), TOGETHER):
        some = records[start : start + TOGETHER]
        read = [read_or_note(r.path, left_out, image_id=r.image_id, patient_id=r.patient_id) for r in some]
        films = [film for film in read if film is not None]
        options: dict[str, Any] = {"target": target, "seed": seed, "batch_size": TOGETHER, "session": session}
        for each in explain(classifier, films, methods, **options):
            for maps, one in zip(found, each, strict=True):
                maps.append(one)
        say(what, min(start + TOGETHER, len(records)), len(records))
    return found
