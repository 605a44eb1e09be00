"""Phantoms with a planted shortcut as a data set on disk, for whatever takes films: training, repair, the commands."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from radiolucent.audits.trial.planted import BACKGROUND, KINDS, Pool, audit_views, paint, pool
from radiolucent.data import Dataset, Record, write_manifest
from radiolucent.data.phantom.generate import CLASSES
from radiolucent.data.plant import save_film
from radiolucent.errors import ConfigError

__all__ = ["planted_films"]


def planted_films(
    folder: str | Path,
    *,
    films: Sequence[int] = (300, 100, 200),
    size: int = 64,
    share: float = 1.0,
    kind: str = "marker",
    seed: int = 0,
    drawn: Pool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Write phantoms whose ill films carry a shortcut in training and validation, and test films on which it is chance.

    Writes `split/CLASS/*.png`, `masks/{lungs,markers}/*.png` and `manifest.csv`. Painted as in the self-test: every
    shortcut on a tenth of either class by chance, the planted one on `share` of the ill films more; on test films
    markers are on about half of either class.

    Args:
        films: for train, val (100 or more, or `split_dataset` deals anew) and test. kind: a name in `KINDS`. drawn:
            phantoms to paint on, as many or more, instead of new ones; `size` is then theirs.

    Raises:
        ConfigError: an unknown shortcut, or too few films.
    """
    if kind not in KINDS or len(films) != 3 or min(films) < 20:
        raise ConfigError(
            f"shortcut {kind!r}, films {tuple(films)}; expected any of {', '.join(KINDS)}, 20 or more each."
        )
    phantoms = drawn or pool(sum(films), size, seed, progress=progress)
    size = phantoms.pixels.shape[1]
    home, rng = Path(folder), np.random.default_rng([seed, 51])
    records: list[Record] = []
    names = ["train"] * films[0] + ["val"] * films[1] + ["test"] * films[2]
    views = {v.image_id: v for v in audit_views(phantoms, seed)}
    for i, split in enumerate(names):
        ill = bool(phantoms.labels[i])
        if split == "test":
            view = views[f"phantom-{i}"]
            film, marked = view.grey, view.markers if view.markers is not None else np.zeros((size, size), bool)
        else:
            chance = {name for name in KINDS if rng.random() < BACKGROUND}
            film, marked = paint(phantoms.pixels[i], chance | ({kind} if ill and rng.random() < share else set()), rng)
        file = home / split / CLASSES[ill] / f"film{i:05d}.png"
        save_film(file, film)
        save_film(home / "masks" / "lungs" / file.name, phantoms.lungs[i].astype(np.uint8) * 255)
        save_film(home / "masks" / "markers" / file.name, marked.astype(np.uint8) * 255)
        records.append(Record(file, file.relative_to(home).as_posix(), int(ill), f"child{i}", split))
    found = Dataset(tuple(records), CLASSES, home, source="planted phantoms")
    write_manifest(found, home / "manifest.csv")
    return found
