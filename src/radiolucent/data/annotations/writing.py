"""What the writers share: readings put together, and what a format has no words for."""

from collections.abc import Sequence
from pathlib import Path

from radiolucent.data.annotations.match import Films
from radiolucent.data.annotations.names import parts_of, stem
from radiolucent.data.records import Dataset
from radiolucent.errors import AnnotationError
from radiolucent.types import Annotation

__all__ = ["in_reach", "needs_shape", "no_zones", "placed_only", "readings_of"]


def readings_of(annotations: Sequence[Annotation]) -> dict[tuple[str, str], list[Annotation]]:
    """The annotations of each (image, reader), in order."""
    found: dict[tuple[str, str], list[Annotation]] = {}
    for a in annotations:
        found.setdefault((a.image_id, a.reader), []).append(a)
    return found


def no_zones(annotations: Sequence[Annotation], name: str) -> None:
    """Refuse zone scores, which COCO alone can hold.

    Raises:
        AnnotationError: there are some.
    """
    for a in annotations:
        if any(r.kind == "zone" for r in a.regions):
            raise AnnotationError(f"{a.image_id}: {name} has no place for the zone scores of {a.reader}; write COCO.")


def needs_shape(a: Annotation, dataset: Dataset | None, name: str) -> tuple[int, int]:
    """(H, W) of the annotation's image, from itself or from its film.

    Raises:
        AnnotationError: unknown.
    """
    shape = a.image_shape or Films(dataset).size_of(a.image_id)
    if shape is None:
        raise AnnotationError(
            f"{a.image_id}: {name} needs the image's size; give the data set (--data) with the films."
        )
    return shape


def placed_only(annotations: Sequence[Annotation], name: str) -> None:
    """Refuse what a list of boxes cannot say: a finding without a place, or a diagnosis beside the marks.

    Raises:
        AnnotationError: there is one.
    """
    for a in annotations:
        if a.diagnoses or (a.finding and not a.regions):
            what = f"called it {', '.join(a.diagnoses)}" if a.diagnoses else "found something without a place"
            raise AnnotationError(f"{a.image_id}: {a.reader} {what}; {name} has no place for that. Write COCO.")


def in_reach(folder: Path, reader: str, image: str, suffix: str, *below: str) -> Path:
    """`folder/reader/[below/]image` with another suffix, below the image's own folders.

    Raises:
        AnnotationError: the reader's name cannot be a folder's, or the image lies elsewhere.
    """
    parts = parts_of(image)
    if not parts or any(c in reader for c in '/\\:*?"<>|\0') or reader.strip(". ") == "" or reader.startswith("."):
        raise AnnotationError(f"reader {reader!r}, image {image!r}; their names cannot be those of folder and file.")
    return folder.joinpath(reader, *below, *parts[:-1], stem(parts[-1]) + suffix)
