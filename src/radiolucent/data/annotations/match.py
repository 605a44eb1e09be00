"""Images as files of readings name them, matched to the films of a data set."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from radiolucent.data.records import Dataset, LeftOut
from radiolucent.errors import AnnotationError, ImageError
from radiolucent.images import read
from radiolucent.types import Annotation

__all__ = ["Films", "match"]


class Films:
    """The films of a data set by every name a file of readings may give them; without a data set, none."""

    def __init__(self, dataset: Dataset | None) -> None:
        self._records = () if dataset is None else dataset.records
        self._path = {r.image_id: r.path for r in self._records}

    @cached_property
    def _names(self) -> dict[str, set[str]]:
        names: dict[str, set[str]] = defaultdict(set)
        for record in self._records:
            parts = record.image_id.split("/")
            for key in (record.image_id, str(record.path), parts[-1], parts[-1].rsplit(".", 1)[0]):
                names[key].add(record.image_id)
        return names

    @cached_property
    def _uids(self) -> dict[str, set[str]]:
        """SOP Instance UIDs of the films that are DICOM; their headers are read when first asked for."""
        names: dict[str, set[str]] = defaultdict(set)
        for record in self._records:
            if uid := _uid(record.path):
                names[uid].add(record.image_id)
        return names

    def find(self, name: str) -> set[str]:
        """Identifiers of the films of this name; none, one or several."""
        last = name.rsplit("/", 1)[-1]
        for key in (name, last, last.rsplit(".", 1)[0]):
            if found := self._names.get(key):
                return found
        return self._uids.get(name, set()) if name.replace(".", "").isdigit() else set()

    def size_of(self, name: str) -> tuple[int, int] | None:
        """(H, W) of the one film of this name; None where there is not one, or it cannot be read."""
        found = self.find(name)
        if len(found) != 1:
            return None
        try:
            return read(self._path[next(iter(found))]).shape
        except ImageError:
            return None


def _uid(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                return None
        from pydicom import dcmread

        return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
    except Exception:  # a damaged film is reported by who reads it; here it just has no UID
        return None


def match(
    annotations: Sequence[Annotation], films: Films, file: Path, left_out: list[LeftOut] | None
) -> list[Annotation]:
    """The annotations under the data set's `image_id`.

    Raises:
        AnnotationError: an image matches no film, or several, and `left_out` is None.
    """
    found: list[Annotation] = []
    wrong: dict[str, str] = {}
    for a in annotations:
        ids = films.find(a.image_id)
        if len(ids) == 1:
            found.append(dataclasses.replace(a, image_id=next(iter(ids))))
        else:
            what = "no film" if not ids else f"{len(ids)} films ({', '.join(sorted(ids)[:3])})"
            wrong[a.image_id] = f"{a.image_id} matches {what} of the data set; give the path below its root."
    if left_out is not None:
        left_out += [LeftOut(file, reason) for reason in wrong.values()]
    elif wrong:
        more = f"\n  and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise AnnotationError(f"{file}: " + "\n  ".join(list(wrong.values())[:10]) + more)
    return found
