"""Amazon SageMaker Ground Truth's manifest: a line an image, boxes or classes under the name of each labelling job."""

from collections.abc import Iterator
from typing import Any

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.labelstudio import image_name
from radiolucent.data.annotations.source import Source, entries
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_BOXES, _CLASS = "groundtruth/object-detection", "groundtruth/image-classification"


def _sniff(source: Source) -> bool:
    found = entries(source)
    return bool(found) and all("source-ref" in e for e in found)


def _read(source: Source, g: Gatherer) -> None:
    for number, entry in enumerate(entries(source), start=1):
        with g.entry(f"entry {number}"):
            image = image_name(str(entry["source-ref"]), g)
            jobs = list(_jobs(entry))
            if not jobs:
                g.pass_over("image without a label")
            boxes = [name for name, _, about in jobs if about.get("type") == _BOXES]
            if len(boxes) > 1:
                g.problem(f"entry {number}", f"boxes of several jobs ({', '.join(boxes)}): keep the last", image)
            for name, value, about in jobs:
                with g.entry(f"entry {number} ({image}), {name}", image):
                    _job(image, name, value, about, g)


def _jobs(entry: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(name, what was labelled, what is said about it) of each job."""
    for name, about in entry.items():
        job = name.removesuffix("-metadata")
        if job == name or not isinstance(about, dict):
            continue
        if job not in entry and f"{job}-ref" not in entry:
            raise AnnotationError(f"{name}, but no {job}")
        yield job, entry.get(job), about


def _job(image: str, name: str, value: Any, about: dict[str, Any], g: Gatherer) -> None:
    if str(about.get("human-annotated", "yes")).lower() != "yes":
        raise AnnotationError("was not annotated by a person (human-annotated); predictions are no readings")
    kind, names = str(about.get("type", "")), about.get("class-map") or {}
    if kind == _BOXES:
        size = (value.get("image_size") or [{}])[0]
        shape = image_shape(size.get("height"), size.get("width"))
        for mark in value["annotations"]:
            x, y, width, height = (float(mark[k]) for k in ("left", "top", "width", "height"))
            label = names.get(str(mark["class_id"]), str(mark["class_id"]))
            g.mark(image, [Region.box(x, y, width, height)], label, shape=shape)
        if not value["annotations"]:
            g.whole(image, shape=shape)
    elif kind == _CLASS:
        g.whole(image, str(about["class-name"]), empty="not read")
    elif kind == f"{_CLASS}-multilabel":
        g.whole(image, [names.get(str(v), str(v)) for v in value], empty="not read")
    else:
        raise AnnotationError(f"{name} is of type {kind or '(none)'}; expected {_BOXES} or {_CLASS}")


FORMAT = Format(
    "groundtruth",
    "SageMaker Ground Truth manifest",
    "json",
    "JSON Lines: boxes and classes of images, under the name of each labelling job",
    "classes by the job's `class-map`; what no person annotated is refused, and so are masks in files of "
    "their own, and boxes of several jobs (one corrects the other)",
    _sniff,
    _read,
    empty_means="no finding",
)
