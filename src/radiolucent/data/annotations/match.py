"""Images as files of readings name them, matched to the films of a data set."""

import dataclasses
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image

from radiolucent.data.annotations.names import KINDS, clean_name, parts_of, stem, without_upload
from radiolucent.data.records import NOTED, Dataset, LeftOut, Record
from radiolucent.errors import AnnotationError, ImageError
from radiolucent.images import read, region_mask
from radiolucent.types import Annotation

__all__ = ["Films", "film_shape", "fitting", "fitting_files", "match"]

BEYOND, SOME = 1.1, 0.1
"""Markings that end beyond this multiple of a film's side, on this share of a reader's films, are of larger copies."""
CORNER, MANY = 0.67, 10
"""Markings that all end before this share of the sides, on so many films or more, may be of smaller copies."""
_ORIENTATION = 0x0112  # EXIF
_MASK = re.compile(r"[_-](mask|seg|segmentation)$", re.IGNORECASE)


class Films:
    """The films of a data set by every name a file of readings may give them; without a data set, none."""

    def __init__(self, dataset: Dataset | None, remote: Collection[str] = ()) -> None:
        self._records = () if dataset is None else dataset.records
        self._remote = remote
        self._sizes: dict[str, tuple[int, int] | None] = {}
        self.otherwise: dict[str, str] = {}
        """Films by the names that were taken for theirs though they are written otherwise."""

    @cached_property
    def _path(self) -> dict[str, Path]:
        return {r.image_id: r.path for r in self._records}

    @cached_property
    def _files(self) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
        """(image id, path) of films by file name and by file name without suffix."""
        found: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
        for record in self._records:
            for parts in _paths(record):
                for key in {parts[-1], stem(parts[-1])}:
                    found[key].append((record.image_id, parts))
        return found

    @cached_property
    def _uids(self) -> dict[str, set[str]]:
        """SOP Instance UIDs of the films that are DICOM; their headers are read when first asked for."""
        names: dict[str, set[str]] = defaultdict(set)
        for record in self._records:
            if uid := _uid(record.path):
                names[uid].add(record.image_id)
        return names

    def find(self, name: str) -> set[str]:
        """Identifiers of the films of this name; none, one or several.

        Where no film has it as it is written, those that differ from it in case or in their Unicode form alone.
        """
        found = self._find(name)
        if not found and (given := tuple(_folded(part) for part in parts_of(name))):
            same = self._loosely.get(stem(without_upload(given[-1])), ())
            fits = [(i, _shared(given, parts, name in self._remote)) for i, parts in same]
            most = max((n for _, n in fits), default=0)
            found = {i for i, n in fits if n == most} if most else set()
            if found:
                self.otherwise[name] = min(found)
        return found

    def _find(self, name: str) -> set[str]:
        """Identifiers of the films of this name; none, one or several.

        A film has the name if one of the two is the end of the other, folder by folder: a folder that differs is
        another film, unless the name came from a server's address. Of several films, those that share most folders.
        The suffix counts only where a film has it. Where none has the name, it may be that of a mask (`a_mask.png`), or
        a path with underscores for slashes.
        """
        given = parts_of(name)
        if not given or name in self._path:
            return {name} & self._path.keys()
        last = given[-1]
        for file in dict.fromkeys((last, unquote(last), without_upload(last), stem(without_upload(last)))):
            loose = name in self._remote
            fits = [(i, _shared((*given[:-1], file), p, loose)) for i, p in self._candidates(file)]
            most = max((n for _, n in fits), default=0)
            if most:
                return {i for i, n in fits if n == most}
        if name.replace(".", "").isdigit():
            return self._uids.get(name, set())
        if joined := self._joined.get(stem(name)):
            return joined
        bare = _MASK.sub("", stem(name))
        return self._find(bare) if bare != stem(name) else set()

    @cached_property
    def _loosely(self) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
        """(image id, path) of films by file name without suffix, all without regard to case and Unicode form."""
        found: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
        for record in self._records:
            for parts in _paths(record):
                plain = tuple(map(_folded, parts))
                found[stem(plain[-1])].append((record.image_id, plain))
        return found

    @cached_property
    def _joined(self) -> dict[str, set[str]]:
        """Films by their folders and file name with underscores between, as CheXlocalize names those of CheXpert."""
        found: dict[str, set[str]] = defaultdict(set)
        for record in self._records:
            *folders, file = parts_of(record.image_id)
            for start in range(len(folders)):
                found["_".join([*folders[start:], stem(file)])].add(record.image_id)
        return found

    def _candidates(self, file: str) -> list[tuple[str, tuple[str, ...]]]:
        """Films of exactly this file name, else those that differ in the suffix alone."""
        same = [item for item in self._files.get(file, ()) if item[1][-1] == file]
        return same or self._files.get(stem(file), [])

    def elsewhere(self, name: str) -> list[str]:
        """Films that have the file name but lie in another folder."""
        given = parts_of(name)
        return sorted({i for i, _ in self._candidates(without_upload(given[-1]))}) if given else []

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that films lie in, below the data set's root."""
        return frozenset(part for r in self._records for part in parts_of(r.image_id)[:-1])

    def placed(self, name: str, folders: Sequence[str]) -> str:
        """The name with the last of these folders before it, where several films have it and one has it there.

        Else the one film whose folders end as these do but for those of a layout, such as `ds0/img` and `ds0/ann`.
        """
        if len(found := self.find(name)) > 1:
            for start in range(len(folders)):
                longer = "/".join([*folders[start:], name])
                if len(self.find(longer)) == 1:
                    return longer
            own = _places(folders)
            for start in range(len(own)):
                there = [i for i in found if _places(parts_of(i)[:-1])[start - len(own) :] == own[start:]]
                if len(there) == 1:
                    return there[0]
        return name

    def size_of(self, name: str) -> tuple[int, int] | None:
        """(H, W) of the one film of this name; None where there is not one, or it cannot be read."""
        found = self.find(name)
        if len(found) != 1:
            return None
        film = next(iter(found))
        if film not in self._sizes:
            self._sizes[film] = film_shape(self._path[film])
        return self._sizes[film]


def _places(folders: Sequence[str]) -> list[str]:
    """Folders without those that are called by what lies in them."""
    return [folder for folder in folders if folder.lower() not in KINDS]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def film_shape(path: Path) -> tuple[int, int] | None:
    """(H, W) of a film as `read` gives it, from the header where that says it; None where it cannot be read."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "BMP")) as picture:
            turned = picture.getexif().get(_ORIENTATION, 1) > 4
            return (picture.width, picture.height) if turned else (picture.height, picture.width)
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError):
        pass  # another format, or damaged, which `read` tells
    try:
        return read(path).shape
    except ImageError:
        return None


def _paths(record: Record) -> Iterable[tuple[str, ...]]:
    """A film's path below the root and, where it is another, the file's own."""
    named, own = parts_of(record.image_id), parts_of(record.path.as_posix())
    if named:
        yield named
    if own[-len(named) :] != named:
        yield own


def _shared(name: tuple[str, ...], film: tuple[str, ...], loose: bool = False) -> int:
    """How many parts two paths share from the end, the file's suffix apart; 0 where they contradict and not `loose`."""
    same = [a == b for a, b in zip(name[-2::-1], film[-2::-1], strict=False)]
    if not all(same) and not loose:
        return 0
    return 1 + (same.index(False) if False in same else len(same))


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
        AnnotationError: an image matches no film, or several, or two images match one, and `left_out` is None.
    """
    wrong: dict[str, str] = {}
    placed: dict[str, str] = {}
    names: dict[str, list[str]] = defaultdict(list)
    for a in annotations:
        ids = films.find(a.image_id)
        if len(ids) != 1:
            what = "no film" if not ids else f"{len(ids)} films ({', '.join(sorted(ids)[:3])})"
            other = films.elsewhere(a.image_id) if not ids else []
            near = f" ({', '.join(other[:3])} has its file name, but lies in another folder)" if other else ""
            wrong[a.image_id] = f"{a.image_id} matches {what} of the data set{near}; give the path below its root."
            continue
        placed[a.image_id] = next(iter(ids))
        names[placed[a.image_id]].append(a.image_id)
    for film, used in names.items():
        own = [name for name in used if name not in films.otherwise]
        for name in used if own else ():
            if name not in own:
                wrong[name] = f"{name} matches no film of the data set; {film}, written otherwise, has its own reading."
        if clash := _clash(own or used):
            for name in clash:
                wrong[name] = (
                    f"{' and '.join(clash)} both match the film {film}; expected one image a film: give paths below "
                    "the data set's root."
                )
    found = [dataclasses.replace(a, image_id=placed[a.image_id]) for a in annotations if a.image_id not in wrong]
    reasons = list(dict.fromkeys(wrong.values()))
    if left_out is not None:
        left_out += [LeftOut(file, reason) for reason in reasons]
        if otherwise := {name: film for name, film in films.otherwise.items() if name not in wrong}:
            name, film = next(iter(otherwise.items()))
            what = f"{len(otherwise)} names differ from their films' in case or Unicode form ({name}: {film})"
            left_out.append(LeftOut(file, f"{NOTED}{what}"))
    elif wrong:
        more = f"\n  and {len(reasons) - 10} more" if len(reasons) > 10 else ""
        raise AnnotationError(f"{file}: " + "\n  ".join(reasons[:10]) + more)
    return found


def fitting(
    annotations: Sequence[Annotation], shapes: Mapping[str, tuple[int, int]], file: Path, left_out: list[LeftOut]
) -> list[Annotation]:
    """The annotations without readings that do not fit their film's pixels; those go to `left_out`.

    Readings that do not say the size of what was marked are held against their films, reader by reader: where many
    reach beyond them, none of that reader's is taken; where all lie in the top left part, that is noted.

    Args:
        shapes: (H, W) of films by image_id; readings of others stay.
    """
    wrong: dict[tuple[str, str], str] = {}
    scaled = _on_larger_copies(annotations, shapes, file, left_out)
    annotations = [
        a
        for a in annotations
        if a.reader not in scaled or a.image_shape is not None or all(r.points is None for r in a.regions)
    ]
    for a in annotations:
        shape = shapes.get(a.image_id)
        if shape is None or not a.regions:
            continue
        try:
            region_mask(a, shape)
        except AnnotationError as error:
            wrong[a.image_id, a.reader] = str(error)
    left_out += [LeftOut(file, reason) for reason in wrong.values()]
    return [a for a in annotations if (a.image_id, a.reader) not in wrong]


def fitting_files(
    annotations: Sequence[Annotation], dataset: Dataset, file: Path, left_out: list[LeftOut]
) -> list[Annotation]:
    """`fitting`, the films' sizes from their files."""
    read_ones = {a.image_id for a in annotations if a.regions}
    shapes = {r.image_id: film_shape(r.path) for r in dataset.records if r.image_id in read_ones}
    return fitting(annotations, {name: s for name, s in shapes.items() if s is not None}, file, left_out)


def _on_larger_copies(
    annotations: Sequence[Annotation], shapes: Mapping[str, tuple[int, int]], file: Path, left_out: list[LeftOut]
) -> set[str]:
    """Readers whose markings are of larger copies of the films, which is told, as is what looks like smaller ones."""
    reach: dict[str, dict[str, float]] = defaultdict(dict)
    for a in annotations:
        ends = [r.points.max(axis=0) for r in a.regions if r.points is not None]
        if ends and a.image_shape is None and a.image_id in shapes:
            high, wide = shapes[a.image_id]
            x, y = np.max(ends, axis=0)
            before = reach[a.reader].get(a.image_id, 0.0)  # a reader may have a reading a label
            reach[a.reader][a.image_id] = max(before, x / wide, y / high)
    found: set[str] = set()
    for reader, films in reach.items():
        beyond = [film for film, share in films.items() if share > BEYOND]
        if len(beyond) >= max(2, SOME * len(films)):
            found.add(reader)
            what = (
                f"{reader}'s markings reach beyond the film on {len(beyond)} of {len(films)} films (e.g. {beyond[0]}): "
                "they are of larger copies, and none is used; bring them to the films' own pixels"
            )
        elif len(films) >= MANY and (most := max(films.values())) < CORNER:
            what = (
                f"{NOTED}{reader}'s markings on {len(films)} films all lie in the films' top left {100 * most:.0f} %; "
                "if they are of smaller copies, bring them to the films' own pixels"
            )
        else:
            continue
        left_out.append(LeftOut(file, what))
    return found


def _clash(used: Sequence[str]) -> list[str]:
    """The names of one film that cannot be the same image: other folders, suffixes or uploads."""
    names = list(dict.fromkeys(used))
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if not _same(first, second):
                return [first, second]
    return []


def _same(first: str, second: str) -> bool:
    a, b = parts_of(clean_name(first)), parts_of(clean_name(second))
    return bool(_shared(a, b)) and (a[-1] == b[-1] or stem(a[-1]) == b[-1] or a[-1] == stem(b[-1]))
