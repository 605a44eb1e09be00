"""Label Studio JSON-MIN: one flat entry an annotation, the results under the names of the labelling tags."""

from typing import Any

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark, NoArea, Shape
from radiolucent.data.annotations.labelstudio import answers, image_name, images_of, place, reader_of
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_ABOUT = frozenset(("id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time", "agreement"))
_TYPED = ("text", "comment", "note", "statement", "report", "description", "remark")
_KINDS = ("rectangle", "polygon", "ellipse", "brush")


def _sniff(source: Source) -> bool:
    content = source.json
    return isinstance(content, list) and bool(content) and all(
        isinstance(t, dict) and "annotation_id" in t and "annotator" in t for t in content
    )  # fmt: skip


def _read(source: Source, g: Gatherer) -> None:
    for number, task in enumerate(source.json):
        with g.entry(f"task {task.get('id', number)}, annotation {task.get('annotation_id')}"):
            data = {k: v for k, v in task.items() if k not in _ABOUT and isinstance(v, str)}
            images = images_of(data)
            if len(images) > 1:
                raise AnnotationError(
                    f"{len(images)} images ({', '.join(images)}), and no mark says whose; export JSON"
                )
            ((key, addresses),) = images.items()
            image, reader = image_name(addresses[0], g), reader_of(task.get("annotator")) or g.options.reader
            with g.entry(f"task {task.get('id', number)} ({image})", image, reader):
                _reading(task, key, g, image, reader)


def _reading(task: dict[str, Any], key: str, g: Gatherer, image: str, reader: str) -> None:
    marks: list[Mark] = []
    classes: list[str] = []
    words: list[str] = []
    shape: Shape | None = None
    left = False
    for name, value in task.items():
        if name in _ABOUT or name == key:
            continue
        if isinstance(value, dict) and "choices" in value:
            classes += answers(g, name, list(value["choices"]))
        elif isinstance(value, int | float):
            g.pass_over(f"answer by a number, which is no label ({name})")
            left = True
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, list) and item:  # of a taxonomy, from its root
                    classes += answers(g, name, [str(item[-1])])
                elif isinstance(item, str):
                    _typed(item, name, g, classes, words)
                elif isinstance(item, dict) and "original_width" in item:
                    shape = image_shape(item["original_height"], item["original_width"])
                    kind, region = _place(item, shape)
                    if region is None:
                        left = True
                        with g.entry(image, image, reader):
                            raise NoArea(f"a {kind}", kind, ", ".join(_KINDS))
                    else:
                        marks.append(Mark(region, item.get(f"{kind}labels")))
                else:
                    raise AnnotationError(f"{name}: an answer that is not understood; export JSON")
        elif isinstance(value, str):
            _typed(value, name, g, classes, words)
    said: Any = {"reader": reader, "shape": shape, "statement": "; ".join(words)}
    g.reading(image, marks, classes, empty="not read" if left else None, **said)


def _typed(text: str, name: str, g: Gatherer, classes: list[str], words: list[str]) -> None:
    """A single choice and the text of a text area look alike: what was typed is told by the tag's name."""
    if any(w in name.lower() for w in _TYPED):
        words.append(text)
    else:
        classes += answers(g, name, [text])


def _place(item: dict[str, Any], shape: Shape | None) -> tuple[str, Region | None]:
    if item.get("image_rotation"):
        raise AnnotationError(f"the image was turned by {item['image_rotation']}°; mark it unturned")
    if shape is None:
        raise AnnotationError("a place on an image of unknown size (original_width, original_height)")
    kind = next((k for k in _KINDS if f"{k}labels" in item), None)
    if kind is None:
        held = {"rle": "brush", "points": "polygon", "radiusX": "ellipse", "width": "rectangle"}
        kind = next((k for name, k in held.items() if name in item), "keypoint")
    if "keypointlabels" in item or kind == "keypoint":
        return "keypoint", None
    return kind, place(kind, item, shape)


FORMAT = Format(
    "labelstudio-min",
    "Label Studio JSON-MIN",
    "json",
    "the same places, flat: one entry an annotation; `annotator` is the reader",
    "JSON-MIN does not tell a single choice from typed words: words are what a tag named text, comment, note, "
    "statement, report, description or remark holds",
    _sniff,
    _read,
    empty_means="no finding",
    units="own",
)
