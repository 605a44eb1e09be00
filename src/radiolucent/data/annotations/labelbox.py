"""Labelbox's export (NDJSON, a line a data row): boxes, polygons, classifications; the labeler is the reader."""

from collections.abc import Sequence
from typing import Any

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark, NoArea, Shape
from radiolucent.data.annotations.source import Source, entries
from radiolucent.data.annotations.words import about_picture, answered
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_EXPECTED = "bounding_box or polygon"


def _sniff(source: Source) -> bool:
    found = entries(source)
    return bool(found) and (
        all("data_row" in e and isinstance(e.get("projects"), dict) for e in found) or _is_old(found)
    )


def _is_old(found: Sequence[Any]) -> bool:
    """Whether it is the export that Labelbox gave until 2023."""
    return all("Label" in e and "External ID" in e for e in found)


def _read(source: Source, g: Gatherer) -> None:
    if _is_old(entries(source)):
        raise AnnotationError("is Labelbox's old JSON (version 1); export the project again as NDJSON (export v2)")
    for number, entry in enumerate(entries(source), start=1):
        with g.entry(f"row {number}"):
            row, about = entry["data_row"], entry.get("media_attributes") or {}
            image = str(row.get("external_id") or row.get("global_key") or "")
            if not image:
                image = str(row["row_data"]).partition("?")[0].rpartition("/")[2]
            shape = image_shape(about.get("height"), about.get("width"))
            labels = [label for project in entry["projects"].values() for label in project.get("labels") or ()]
            for label in labels:
                who = str((label.get("label_details") or {}).get("created_by") or "") or g.options.reader
                where = f"row {number}, label {label.get('id')}"
                with g.entry(where, image, who):
                    if (label.get("performance_details") or {}).get("skipped"):
                        g.pass_over("skipped label")
                        continue
                    g.once(image, where, who)
                    _label(label["annotations"], g, image, who, where, shape)
            if not labels:
                g.whole(image, shape=shape, empty="not read")


def _label(held: Any, g: Gatherer, image: str, who: str, where: str, shape: Shape | None) -> None:
    if held.get("frames"):
        raise AnnotationError("marks frames of a video; expected an image: export the frames as single images")
    marks: list[Mark] = []
    objects = held.get("objects") or ()
    for number, item in enumerate(objects):
        with g.entry(f"{where}, object {number} ({item.get('name')})", image, who):
            own, words = _classes(item.get("classifications") or (), g)
            marks.append(Mark(_region(item), [item.get("name"), *own], "; ".join(words)))
    labels, words = _classes(held.get("classifications") or (), g)
    left = bool(objects) and not marks
    said: Any = {"reader": who, "statement": "; ".join(words), "shape": shape}
    g.reading(image, marks, labels, empty="not read" if left else None, **said)


def _classes(items: Any, g: Gatherer) -> tuple[list[str], list[str]]:
    """(labels, words) of classifications: a radio's answer, a checklist's, or a text, and of those below them."""
    labels: list[str] = []
    words: list[str] = []
    for item in items:
        name = str(item.get("name") or "")
        if item.get("text_answer"):
            words.append(str(item["text_answer"]["content"]))
            continue
        answers = [item["radio_answer"]] if item.get("radio_answer") else item.get("checklist_answers") or ()
        if about_picture(name):
            g.pass_over(f"question about the picture ({name})", len(answers))
            continue
        for answer in answers:
            within = _classes(answer.get("classifications") or (), g)
            if label := answered(name, str(answer["name"])):
                labels.append(label)
            labels += within[0]
            words += within[1]
    return labels, words


def _region(item: Any) -> Region:
    if box := item.get("bounding_box"):
        return Region.box(float(box["left"]), float(box["top"]), float(box["width"]), float(box["height"]))
    if polygon := item.get("polygon"):
        return Region.polygon([(float(p["x"]), float(p["y"])) for p in polygon])
    if item.get("mask") or item.get("composite_mask"):
        raise AnnotationError(
            "a mask that lies on Labelbox's server; download it, and give a folder of masks named like the films"
        )
    kind = next((k for k in ("point", "line") if item.get(k)), str(item.get("annotation_kind") or "object"))
    raise NoArea(f"a {kind}", kind, _EXPECTED)


FORMAT = Format(
    "labelbox",
    "Labelbox NDJSON",
    "json",
    "a line a data row: boxes, polygons, classifications; `created_by` is the reader",
    "`external_id` is the film's name, else `global_key`; radio answers yes and no take the name of their question; "
    "masks lie on Labelbox's server and are refused; a label without anything is a film read without finding",
    _sniff,
    _read,
    empty_means="no finding",
    units="pixels",
)
