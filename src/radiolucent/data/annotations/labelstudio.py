"""Label Studio JSON export: places in percent of the image, brush masks in its own run lengths; in and out."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from radiolucent.data.annotations.brush import brush, write_brush
from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark, NoArea, Shape
from radiolucent.data.annotations.names import without_upload
from radiolucent.data.annotations.pictures import marked, of_base64
from radiolucent.data.annotations.shapes import ellipse, turned_box
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.words import about_picture, answered
from radiolucent.data.annotations.writing import needs_shape, no_zones, readings_of
from radiolucent.data.records import Dataset
from radiolucent.errors import AnnotationError
from radiolucent.files import write_json
from radiolucent.types import Annotation, Region

__all__ = ["FORMAT", "answers", "image_name", "images_of", "place", "reader_of"]

_PLACES = ("rectangle", "polygon", "ellipse", "brush", "bitmask")
_SAID = ("choices", "taxonomy", "textarea", "labels")
_NO_AREA = {"keypoint": "a keypoint", "vector": "a vector", "line": "a line", "polyline": "a polyline"}
_SAYS_NOTHING = ("relation", "pairwise", "datetime")
_NUMBERS = ("rating", "number")  # of something, which a number does not name
_IMAGE = re.compile(r"\.(jpe?g|png|bmp|tiff?|gif|webp|dcm|dicom)$", re.IGNORECASE)


def _sniff(source: Source) -> bool:
    content = source.json
    tasks = content if isinstance(content, list) else [content]
    return bool(tasks) and all(
        isinstance(t, dict) and isinstance(t.get("data"), dict) and ("annotations" in t or "completions" in t)
        for t in tasks
    )


def _read(source: Source, g: Gatherer) -> None:
    content = source.json
    for number, task in enumerate(content if isinstance(content, list) else [content]):
        where = f"task {task.get('id', number)}"
        with g.entry(where):
            images = images_of(task["data"])
            # "completions" is what versions before 1.0 called them; "predictions" are a machine's and never readings.
            for k, said in enumerate(task.get("annotations", task.get("completions", []))):
                reader = reader_of(said.get("completed_by")) or g.options.reader
                with g.entry(f"{where}, annotation {said.get('id', k)}"):
                    if not (said.get("was_cancelled") or said.get("skipped")):
                        _annotation(said, g, images, reader, f"{where}, annotation {said.get('id', k)}")


def images_of(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """The addresses of a task's images by their key; a list of images under one key has several.

    Raises:
        AnnotationError: none.
    """
    found: dict[str, list[str]] = {}
    for key, value in data.items():
        texts = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str) and v]
        if texts and (key == "image" or all(_IMAGE.search(_path_of(t)) for t in texts)):
            found[key] = texts
    if not found:
        raise AnnotationError(f"names no image among its data ({', '.join(data) or 'empty'})")
    return found


def _path_of(address: str) -> str:
    parts = urlsplit(address)
    return parse_qs(parts.query).get("d", [parts.path])[0]


def image_name(address: str, g: Gatherer) -> str:
    """The image's name: of a URL the path; of local storage the file; of an upload without its prefix."""
    parts = urlsplit(address.replace("\\", "/"))
    if "d" in (query := parse_qs(parts.query)):
        return unquote(query["d"][0])
    remote = parts.scheme in ("http", "https", "file", "s3", "gs", "azure-blob")
    path = unquote(parts.path) if remote or address.startswith("/data/") else address.replace("\\", "/")
    if "/data/upload/" in path or re.match(r"/?upload/\d+/", path):
        name = without_upload(path.rsplit("/", 1)[-1], known=True)
        g.alias(name, path)
        return name
    if parts.scheme in ("http", "https", "s3", "gs", "azure-blob"):
        g.from_server(path.lstrip("/"))
    return path.lstrip("/") if remote else path


def reader_of(who: Any) -> str | None:
    """Who completed an annotation: an e-mail address, a name or a number."""
    if isinstance(who, dict):
        who = next((who[k] for k in ("email", "username", "first_name", "id") if who.get(k)), None)
    return None if who is None else str(who)


def _target(item: Mapping[str, Any], images: Mapping[str, list[str]], targets: set[str]) -> str:
    """The address of the image that a result belongs to, by its `to_name` and, in a list of images, `item_index`."""
    name = str(item.get("to_name", ""))
    if name in images:
        found = images[name]
    elif len(images) == 1 and len(targets) < 2:
        found = next(iter(images.values()))
    else:
        raise AnnotationError(
            f"to_name {name!r} is none of the task's images ({', '.join(images)}); name the image tags of the "
            "labelling configuration like the keys of the data"
        )
    if len(found) == 1:
        return found[0]
    index = item.get("item_index")
    if not isinstance(index, int) or not 0 <= index < len(found):
        raise AnnotationError(f"item_index {index!r} of {len(found)} images; expected 0 to {len(found) - 1}")
    return found[index]


def _annotation(said: dict[str, Any], g: Gatherer, images: dict[str, list[str]], reader: str, where: str) -> None:
    results = [r for r in said["result"] if str(r.get("type", "")) not in (*_SAYS_NOTHING, *_NUMBERS)]
    if numbers := [r for r in said["result"] if r.get("type") in _NUMBERS]:
        g.pass_over("answer by a number, which is no label", len(numbers))
    targets = {str(r["to_name"]) for r in results if r.get("to_name")}
    groups: dict[str, list[Any]] = {}
    for item in results:
        groups.setdefault(_target(item, images, targets), []).append(item)
    every = [address for addresses in images.values() for address in addresses]
    if not groups and len(every) == 1 and not numbers:
        groups[every[0]] = []  # submitted without a mark: read, nothing found
    for address, items in groups.items():
        image = image_name(address, g)
        with g.entry(where, image, reader):
            g.once(image, where, reader)
            _reading(items, g, image, reader, where)


def _reading(items: list[Any], g: Gatherer, image: str, reader: str, where: str) -> None:
    marks: list[Mark] = []
    words: list[str] = []
    classes: list[str] = []
    items, of_region = _by_region(items, g)
    shape: Shape | None = None
    left = False
    for item in items:
        value, kind = item.get("value", {}), str(item.get("type", ""))
        base = kind.removesuffix("labels")
        if kind in _SAID:
            labels, texts = _said(item, g)
            classes += labels
            words += texts
        elif base in _PLACES:
            shape = image_shape(item["original_height"], item["original_width"])
            if item.get("image_rotation"):
                raise AnnotationError(f"the image was turned by {item['image_rotation']}°; mark it unturned")
            if shape is None:
                raise AnnotationError("a place on an image of unknown size (original_width, original_height)")
            labels, text = of_region.get(str(item.get("id", "")), ([], ""))
            marks.append(Mark(place(base, value, shape), [*(value.get(kind) or []), *labels], text))
        else:
            left = True
            with g.entry(where, image, reader):
                what = _NO_AREA.get(base, kind or "an item without type")
                raise NoArea(what, base or "no type", ", ".join(_PLACES))
    said: Any = {"reader": reader, "statement": "; ".join(words), "shape": shape}
    g.reading(image, marks, classes, empty="not read" if left else None, **said)


def _said(item: Any, g: Gatherer) -> tuple[list[str], list[str]]:
    """(labels, words) of a result that is no place."""
    kind = str(item["type"])
    held = item["value"]["text" if kind == "textarea" else kind]
    given = [held] if isinstance(held, str) else [c if isinstance(c, str) else c[-1] for c in held]
    return ([], given) if kind == "textarea" else (answers(g, str(item.get("from_name", "")), given), [])


def _by_region(items: list[Any], g: Gatherer) -> tuple[list[Any], dict[str, tuple[list[str], str]]]:
    """Results of the whole image and places; and labels and words of single places, which share their place's id."""
    kinds = [str(item.get("type", "")) for item in items]
    marks = (i for i, k in zip(items, kinds, strict=True) if k.removesuffix("labels") in _PLACES)
    places = {str(i["id"]) for i in marks if "id" in i}
    own = [k in _SAID and str(i.get("id", "")) in places for i, k in zip(items, kinds, strict=True)]
    found: dict[str, tuple[list[str], str]] = {}
    for item in (i for i, mine in zip(items, own, strict=True) if mine):
        labels, texts = _said(item, g)
        before, text = found.get(str(item["id"]), ([], ""))
        found[str(item["id"])] = [*before, *labels], "; ".join(t for t in (text, *texts) if t)
    kept = [i for i, k, mine in zip(items, kinds, own, strict=True) if not mine and k != "labels"]
    return kept, found


def answers(g: Gatherer, question: str, given: Sequence[str]) -> list[str]:
    """Chosen options as labels: yes and no by the question's name; answers about the picture are passed over."""
    if about_picture(question):
        g.pass_over(f"answer about the picture ({question})")
        return []
    return [label for value in given if (label := answered(question, value))]


def place(kind: str, value: Mapping[str, Any], shape: Shape) -> Region:
    """A region from percent: x and widths of the image's width, y and heights of its height."""
    sy, sx = shape[0] / 100, shape[1] / 100
    if kind == "brush":
        if value.get("format") != "rle":
            raise AnnotationError(f"brush of format {value.get('format')!r}; expected rle")
        return Region.mask(brush(value["rle"], shape))
    if kind == "bitmask":
        mask = marked(of_base64(str(value.get("imageDataURL") or "")))
        if mask.shape != shape:
            raise AnnotationError(f"bitmask of {mask.shape}, image of {shape} (H, W)")
        return Region.mask(mask)
    if kind == "polygon":
        return Region.polygon([(x * sx, y * sy) for x, y in value["points"]])
    x, y, turn = value["x"] * sx, value["y"] * sy, float(value.get("rotation") or 0)
    if kind == "ellipse":
        return ellipse(x, y, value["radiusX"] * sx, value["radiusY"] * sy, turn)
    return turned_box(x, y, value["width"] * sx, value["height"] * sy, turn)


def _write(annotations: Sequence[Annotation], path: Path, dataset: Dataset | None) -> None:
    """One task an image, one annotation a reader; a label without a place becomes a choice."""
    tasks: dict[str, dict[str, Any]] = {}
    for (image, reader), said in readings_of(annotations).items():
        no_zones(said, "labelstudio")
        task = tasks.setdefault(image, {"id": len(tasks) + 1, "data": {"image": image}, "annotations": []})
        results: list[dict[str, Any]] = []
        for a in said:
            for region in a.regions:
                results.append(_result(region, a.label, needs_shape(a, dataset, "labelstudio"), len(results)))
        whole = [a.label for a in said if not a.regions and a.label] or [
            "No finding" for a in said if not a.finding and any(b.statement for b in said)
        ]
        if any(a.finding and not a.regions and not a.label for a in said):
            raise AnnotationError(f"{image}: {reader} found something without place or label; write COCO.")
        diagnoses = list(dict.fromkeys([*whole, *(d for a in said for d in a.diagnoses)]))
        head = {"from_name": "", "to_name": "image"}
        if diagnoses:
            results.append(head | {"from_name": "diagnosis", "type": "choices", "value": {"choices": diagnoses}})
        for text in dict.fromkeys(a.statement for a in said if a.statement):
            results.append(head | {"from_name": "statement", "type": "textarea", "value": {"text": [text]}})
        task["annotations"].append(
            {"id": f"{task['id']}-{len(task['annotations']) + 1}", "completed_by": {"email": reader}, "result": results}
        )
    write_json(path, list(tasks.values()))


def _result(region: Region, label: str | None, shape: Shape, number: int) -> dict[str, Any]:
    height, width = shape
    item: dict[str, Any] = {"id": f"r{number}", "from_name": "label", "to_name": "image", "image_rotation": 0}
    item |= {"original_width": width, "original_height": height}
    if region.pixels is not None:
        kind, value = "brush", {"format": "rle", "rle": write_brush(region.pixels)}
    else:
        assert region.points is not None
        share = (region.points * [100 / width, 100 / height]).tolist()
        if region.kind == "polygon":
            kind, value = "polygon", {"points": share, "closed": True}
        else:
            (x0, y0), (x1, y1) = share
            kind, value = "rectangle", {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0}
    if label is None:
        return item | {"type": kind, "value": value}
    return item | {"type": f"{kind}labels", "value": value | {f"{kind}labels": [label]}}


FORMAT = Format(
    "labelstudio",
    "Label Studio JSON",
    "json",
    "rectangles, ellipses, polygons, brush masks, bit masks, choices, text; `completed_by` is the reader",
    "percent of each axis; rectangles turn about their corner; choices beside marks are kept as `diagnoses`, "
    "those of one region are its own; a yes or no takes the name of its question; `to_name` and `item_index` say which "
    "image; a skipped task was not read; images turned in the tool are refused; predictions are no readings",
    _sniff,
    _read,
    empty_means="no finding",
    units="own",
    write=_write,
)
