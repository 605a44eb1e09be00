"""CheXlocalize's pickles, read without running code. `cxr_dims` is (width, height), unlike the JSON's `img_size`."""

from typing import Any

import numpy as np

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    content = source.pickled
    entries = content if isinstance(content, list) else [content]
    return bool(entries) and all(isinstance(e, dict) and "cxr_dims" in e and "map" in e for e in entries)


def _read(source: Source, g: Gatherer) -> None:
    """`{"map": 0/1 (H, W), "cxr_dims": (width, height), "task": finding}`, the image's name being the file's."""
    content = source.pickled
    entries = content if isinstance(content, list) else [content]
    if len({id(entry) for entry in entries}) < len(entries):
        raise AnnotationError("the pickle holds one entry several times; expected each once")
    for number, entry in enumerate(entries):
        with g.entry(f"entry {number}"):
            image = _word(entry.get("img_id") or entry.get("name") or g.file.stem)
            _entry(entry, image, number, g)


def _entry(entry: Any, image: str, number: int, g: Gatherer) -> None:
    with g.entry(f"entry {number}", image):
        width, height = (int(v) for v in np.ravel(entry["cxr_dims"]))
        values = np.squeeze(np.asarray(entry["map"]))
        if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
            raise AnnotationError("a heat map, not a marking; threshold it to 0 and 1 first")
        if values.shape != (height, width):
            raise AnnotationError(f"map of {values.shape}; cxr_dims (width, height) say {height} × {width}")
        label = _word(entry["task"]) if entry.get("task") else None
        if values.any():
            g.mark(image, [Region.mask(values)], label, shape=(height, width))
        else:
            g.state(image, label, finding=False, shape=(height, width))


def _word(value: Any) -> str:
    """A name; anything else could take for ever to be written out."""
    if not isinstance(value, str | int | np.str_):
        raise AnnotationError(f"a name of type {type(value).__name__}; expected a text")
    return str(value)


FORMAT = Format(
    "chexlocalize-pickle",
    "CheXlocalize pickle",
    "pickle",
    '`{"map": 0/1, "cxr_dims", "task"}`',
    "`cxr_dims` is (width, height); read without running code: lists, dicts, texts, numbers, NumPy arrays; anything "
    "else (a torch tensor) is refused; heat maps are no markings",
    _sniff,
    _read,
)
