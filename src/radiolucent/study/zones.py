"""Lungs of films that are compared, where our segmenter trusts itself, and how maps spread over their zones."""

from collections.abc import Mapping, Sequence
from typing import Any

from radiolucent.audits.agreement import ZoneEnergy, zone_energy
from radiolucent.data import Record
from radiolucent.errors import ImageError
from radiolucent.images import read
from radiolucent.segment import lungs
from radiolucent.study.progress import Progress, quiet
from radiolucent.types import Explanation

__all__ = ["zones_of"]


def zones_of(
    by_method: Sequence[Sequence[Explanation]],
    records: Sequence[Record],
    *,
    patients: Mapping[str, str],
    folds: int,
    seed: int,
    say: Progress = quiet,
) -> tuple[ZoneEnergy, ...]:
    """Energy by lung zone of every method's maps; films whose lungs the segmenter does not trust are listed."""
    masks: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    mirrored: list[str] = []
    explained = {e.image_id for maps in by_method for e in maps}
    some = [r for r in records if r.image_id in explained]
    for done, record in enumerate(some, 1):
        try:
            film = read(record.path, image_id=record.image_id)
        except (ImageError, OSError) as error:
            reasons[record.image_id] = str(error)
            continue
        found = lungs(film)
        masks[record.image_id] = found.pixels if found.trusted else None
        if not found.trusted:
            reasons[record.image_id] = f"the segmenter does not trust its lungs: {'; '.join(found.reasons)}"
        if film.metadata.get("mirrored"):
            mirrored.append(record.image_id)
        say("finding lungs", done, len(some))
    options: dict[str, Any] = {"reasons": reasons, "mirrored": mirrored, "patients": patients}
    return tuple(zone_energy(maps, masks, folds=folds, seed=seed, **options) for maps in by_method)
