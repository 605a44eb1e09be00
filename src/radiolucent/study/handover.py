"""Maps and doctors' marks for other tools' eyes: FiftyOne and Label Studio, in the files that they import."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.bounds import PATH, expect
from radiolucent.data import FORMATS, Dataset, LeftOut, Record
from radiolucent.data.annotations.brush import write_brush
from radiolucent.data.annotations.match import Films
from radiolucent.errors import ConfigError, ImageError
from radiolucent.explainers import load_explanation
from radiolucent.files import atomic_path, write_json, write_text
from radiolucent.images import read
from radiolucent.images.preprocess import map_to_source
from radiolucent.types import Annotation, Explanation, Radiograph

__all__ = ["TOOLS", "hand_over"]

SHARE = 0.5
"""Share of a map's largest value from which a place is part of the region handed to Label Studio."""

LOCAL = "/data/local-files/?d="
"""How Label Studio addresses files below its local document root."""


class _Film(NamedTuple):
    """One film: its name in the new folder, its pixels, the rows of the table that speak of it, its maps, its marks."""

    name: str
    film: Radiograph
    rows: Sequence[Mapping[str, str]]
    maps: Mapping[str, Explanation]
    marks: Sequence[Annotation]


def hand_over(
    explanations: str | Path,
    out: str | Path,
    tool: str,
    *,
    annotations: Sequence[Annotation] = (),
    left_out: list[LeftOut] | None = None,
) -> int:
    """Write films, maps and marks so that FiftyOne or Label Studio imports them; how many films.

    "fiftyone": a folder that `fiftyone.Dataset.from_dir(out, fiftyone.types.LegacyFiftyOneDataset)` reads: each method
    a heat map (what speaks for the target, its largest value white), the call with its calibrated probability, each
    reader's marks. "labelstudio": `tasks.json` with marks as annotations and maps as predictions (the region where a
    map reaches half of its largest value), `config.xml`, and `images/`.

    Args:
        explanations: a folder that `explain_many` or `radiolucent explain` wrote. out: a new or empty folder.
        annotations: doctors' marks, matched to the films by their names.
        left_out: films that cannot be read, with the reason.

    Raises:
        ConfigError: no such tool, no explanations there, or a folder that is not empty.
    """
    if tool not in list(TOOLS):
        raise ConfigError(f"tool {tool!r}; expected {' or '.join(TOOLS)}.")
    for place, what in ((explanations, "folder of explanations"), (out, "place to write to")):
        expect(place, PATH, what, "the path of a folder")
    folder, target = Path(explanations), Path(out)
    if not (folder / "explanations.csv").is_file():
        raise ConfigError(f"{folder}: no explanations.csv there; give a folder that `radiolucent explain` wrote.")
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{target}: not empty; choose another --out.")
    films = _films(folder, annotations, [] if left_out is None else left_out)
    if not films:
        raise ConfigError(f"{folder}: none of its films can be read any more; are they where they were?")
    try:
        TOOLS[tool](films, target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)  # nothing half-written
        raise
    return len(films)


def _films(folder: Path, annotations: Sequence[Annotation], left: list[LeftOut]) -> list[_Film]:
    with (folder / "explanations.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["map"] and not row["error"]]
    images = list(dict.fromkeys(row["image"] for row in rows))
    known = Films(Dataset(tuple(Record(Path(i), Path(i).as_posix()) for i in images), ()))
    marks: dict[str, list[Annotation]] = {}
    for a in annotations:
        for image in known.find(a.image_id) if len(known.find(a.image_id)) == 1 else ():
            marks.setdefault(image, []).append(a)
    found: list[_Film] = []
    for number, image in enumerate(images):
        try:
            film = read(image)
        except ImageError as error:
            left.append(LeftOut(Path(image), str(error).removeprefix(f"{image}: ")))
            continue
        own = [row for row in rows if row["image"] == image]
        several = len({row["target"] for row in own}) > 1
        maps = {
            f"{row['method']}_{row['target']}" if several else row["method"]: load_explanation(folder / row["map"])
            for row in own
        }
        name = f"{number:04d}-{Path(image).stem[:60]}"
        found.append(_Film(name, film, own, maps, marks.get(Path(image).as_posix(), ())))
    return found


def _save(pixels: NDArray[np.floating[Any]], file: Path) -> None:
    """Values in [0, 1] as 8-bit grey."""
    with atomic_path(file) as temporary:
        Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)).save(temporary, format="PNG")


def _on_film(e: Explanation) -> NDArray[np.float32]:
    """What speaks for the target, (H, W) in the film's pixels, its largest value 1; zeros where nothing does."""
    shown = np.clip(map_to_source(e.map, e.geometry), 0, None)
    top = float(shown.max())
    return shown / top if top > 0 else shown


def _fiftyone(films: Sequence[_Film], out: Path) -> None:
    samples: list[dict[str, Any]] = []
    for name, film, rows, maps, marks in films:
        _save(film.pixels, out / "data" / f"{name}.png")
        height, width = film.pixels.shape
        calls = [
            {"_cls": "Classification", "label": label, **({} if chance is None else {"confidence": chance})}
            for label, chance in _calls(rows).items()
        ]
        called = calls[0] if len(calls) == 1 else {"_cls": "Classifications", "classifications": calls}
        sample: dict[str, Any] = {"filepath": f"data/{name}.png", "tags": [], "called": called}
        sample["source"] = rows[0]["image"]
        for field, e in maps.items():
            place = f"fields/{field}/{name}.png"
            _save(_on_film(e), out / place)
            sample[field] = {"_cls": "Heatmap", "map_path": place, "range": [0, 255], "tags": [e.target_name]}
        for a in marks:
            key = "marks_" + "".join(c if c.isalnum() else "_" for c in a.reader)
            lines = sample.setdefault(key, {"_cls": "Polylines", "polylines": []})
            lines["polylines"] += [
                {
                    "_cls": "Polyline",
                    "label": a.label or "finding",
                    "points": [(ring / [width, height]).tolist() for ring in _rings(r)],
                    "closed": True,
                    "filled": True,
                }
                for r in a.regions
            ]
        samples.append(sample)
    write_json(out / "samples.json", {"samples": samples})


def _calls(rows: Sequence[Mapping[str, str]]) -> dict[str, float | None]:
    """Calibrated probability by what was called: one class, or of several labels each of those explained.

    None where nothing on the film was taken for lung, and so nothing called.
    """
    return {row["called"]: _chance(row) for row in rows}


def _chance(row: Mapping[str, str]) -> float | None:
    return float(row["probability"]) if row["probability"] else None


def _rings(region: Any) -> list[NDArray[np.float64]]:
    """Outlines (K, 2) of a region, in source pixels."""
    from skimage.measure import find_contours

    if region.pixels is not None:
        padded = np.pad(region.pixels.astype(np.float32), 1)
        return [ring[:, ::-1] - 0.5 for ring in find_contours(padded, 0.5)]  # pixel centres lie at one half
    if region.points is None:
        return []
    if region.kind == "box":
        (x0, y0), (x1, y1) = region.points
        return [np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)]
    return [np.asarray(region.points, np.float64)]


CONFIG = """<View>
  <Image name="image" value="$image" zoom="true"/>
{controls}
  <Choices name="diagnosis" toName="image" choice="multiple">{choices}</Choices>
  <TextArea name="statement" toName="image"/>
</View>
"""
CONTROLS = {"rectanglelabels": "RectangleLabels", "polygonlabels": "PolygonLabels", "brushlabels": "BrushLabels"}


def _labelstudio(films: Sequence[_Film], out: Path) -> None:
    tasks: list[dict[str, Any]] = []
    labels: set[str] = set()
    choices: set[str] = set()
    for number, (name, film, rows, maps, marks) in enumerate(films, 1):
        _save(film.pixels, out / "images" / f"{name}.png")
        said = _annotations(marks, film, out)
        for annotation in said:
            for item in annotation["result"]:
                if item["type"] in CONTROLS:
                    item["from_name"] = item["type"]
                    labels |= set(item["value"][item["type"]])
                elif item["type"] == "choices":
                    choices |= set(item["value"]["choices"])
        chances = {row["target"]: _chance(row) for row in rows}
        predictions = [_prediction(field, e, chances[e.target_name]) for field, e in maps.items()]
        labels |= {e.target_name for e in maps.values()}
        data = {"image": f"{LOCAL}images/{name}.png", "source": rows[0]["image"], "called": ", ".join(_calls(rows))}
        tasks.append({"id": number, "data": data, "annotations": said, "predictions": predictions})
    write_json(out / "tasks.json", tasks)
    inner = "".join(f'<Label value="{_plain(v)}"/>' for v in sorted(labels))
    controls = "\n".join(f'  <{tag} name="{name}" toName="image">{inner}</{tag}>' for name, tag in CONTROLS.items())
    chosen = "".join(f'<Choice value="{_plain(v)}"/>' for v in sorted(choices | {"No finding"}))
    write_text(out / "config.xml", CONFIG.format(controls=controls, choices=chosen))


def _plain(text: str) -> str:
    from xml.sax.saxutils import escape

    return escape(text, {'"': "&quot;"})


def _annotations(marks: Sequence[Annotation], film: Radiograph, out: Path) -> list[dict[str, Any]]:
    """The readings of one film as Label Studio's annotations, by the format's own writer."""
    import dataclasses
    import json

    write = FORMATS["labelstudio"].write
    assert write is not None
    if not marks:
        return []
    shape = film.pixels.shape
    own = [dataclasses.replace(a, image_id="film", image_shape=a.image_shape or shape) for a in marks]
    file = out / ".marks.json"
    try:
        write(own, file, None)
        return json.loads(file.read_text(encoding="utf-8"))[0]["annotations"]
    finally:
        file.unlink(missing_ok=True)


def _prediction(field: str, e: Explanation, probability: float | None) -> dict[str, Any]:
    """A map as a brush mask where it reaches half of its largest value; no result where it is nowhere positive."""
    shown = _on_film(e)
    height, width = shown.shape
    result: list[dict[str, Any]] = []
    if shown.max() > 0:
        value = {"format": "rle", "rle": write_brush(shown >= SHARE), "brushlabels": [e.target_name]}
        place = {"original_width": width, "original_height": height, "image_rotation": 0}
        name = {"id": field, "from_name": "brushlabels", "to_name": "image", "type": "brushlabels"}
        result.append(name | place | {"value": value})
    said = {"model_version": f"{field} of {e.model_hash[:12]}", "result": result}
    return said if probability is None else said | {"score": probability}


TOOLS = {"fiftyone": _fiftyone, "labelstudio": _labelstudio}
"""Every tool that films, maps and marks are written for."""
