"""The files of a job of explaining: what they are called, which maps are stamped, and which readings are theirs."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from radiolucent.data import Dataset, Record
from radiolucent.data.annotations.match import Films
from radiolucent.study.journal import Journal
from radiolucent.study.many_config import ManyConfig
from radiolucent.types import Annotation

__all__ = ["FLAT", "deep_name", "flat_names", "readings_of", "stamped_sample"]

TRUSTED = 20
"""Films up to which every one is stamped, and the size of the sample beyond."""

FLAT = 10
"""Films up to which files are called as the films are, in no folders of their own."""


def readings_of(
    readings: Sequence[Annotation], files: Sequence[Path]
) -> tuple[dict[str, list[Annotation]], list[tuple[Path, str]]]:
    """Readings by film, and (name, reason) of those that fit several films."""
    films = Films(Dataset(tuple(Record(file, file.as_posix()) for file in files), ()))
    found: dict[str, list[Annotation]] = {}
    unclear: dict[str, str] = {}
    names = {file.as_posix(): str(file) for file in files}
    for a in readings:
        ids = films.find(a.image_id)
        if len(ids) == 1:
            found.setdefault(names[next(iter(ids))], []).append(a)
        elif ids:
            unclear[a.image_id] = f"the reading fits {len(ids)} films ({', '.join(sorted(ids)[:3])}) and is not drawn"
        elif near := films.elsewhere(a.image_id):
            unclear[a.image_id] = f"the reading is not drawn: {near[0]} has its file name, but lies in another folder"
    return found, [(Path(name), reason) for name, reason in unclear.items()]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def stamped_sample(files: Sequence[Path], config: ManyConfig) -> set[str]:
    """Films to be stamped: by hash, so that a film's place in the sample does not depend on the order of work."""
    keys = [str(file) for file in files]
    if config.trust is None and len(keys) > TRUSTED:
        return set(sorted(keys, key=lambda key: _hash(f"{config.seed} {Path(key).name} {key}"))[:TRUSTED])
    return set(keys) if config.trust is not False else set()


def deep_name(image: str) -> str:
    """A path of its own for a film of a large job: a folder by its hash, and its name with the hash."""
    mark = _hash(image)
    return f"{mark[:2]}/{Path(image).stem[:60].lstrip('.')}-{mark[:8]}"


def flat_names(files: Sequence[Path], journal: Journal) -> dict[str, str]:
    """Names for the files of a small job: the films' own, except where two films share one, also with earlier jobs."""
    if len(files) > FLAT:
        return {}
    stems = {str(file): file.stem.lstrip(".")[:60] for file in files}
    others = {Path(r["map"]).name for r in journal.rows() if r["map"] and r["image"] not in stems}
    several = {stem for stem in stems.values() if list(stems.values()).count(stem) > 1}
    return {
        key: stem
        for key, stem in stems.items()
        if stem and stem not in several and not any(name.startswith(f"{stem}.") for name in others)
    }
