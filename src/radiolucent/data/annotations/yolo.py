"""YOLO text files, one an image: a class number and shares of the image's size; names in a classes file. In and out."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, NoArea, Shape
from radiolucent.data.annotations.match import film_shape
from radiolucent.data.annotations.shapes import bounds
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.writing import in_reach, needs_shape, no_zones, placed_only, readings_of
from radiolucent.data.records import Dataset
from radiolucent.errors import AnnotationError
from radiolucent.files import write_text
from radiolucent.types import Annotation, Region

__all__ = ["FORMAT"]

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_LINE = re.compile(rf"^\d+(?:[ \t]+{_NUMBER}){{4,}}$")
_NAMES = ("classes.txt", "obj.names", "_darknet.labels", "data.yaml", "data.yml", "dataset.yaml")
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm")
_SLACK = 1e-3
_LISTED = re.compile(r"""'([^']*)'|"([^"]*)"|([^,\s'"][^,]*)""")
_UNNAMED = "finding"


def _lines(text: str) -> list[tuple[int, str]]:
    return [(n, line.strip()) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _sniff(source: Source) -> bool:
    """Lines of numbers in a .txt file; an empty one counts where a classes file or such lines lie beside it."""
    if source.path.suffix.lower() != ".txt" or source.path.name.lower() in _NAMES:
        return False
    lines = _lines(source.text)
    if lines:
        return all(_LINE.match(line) for _, line in lines)
    return _classes_file(source) is not None or any(_looks(f) for f in sorted(source.path.parent.glob("*.txt"))[:50])


def _looks(file: Path) -> bool:
    with file.open("rb") as stream:
        first = stream.read(400).splitlines()[:1]
    return bool(first) and bool(_LINE.match(first[0].decode("ascii", "replace").strip()))


def _classes_file(source: Source) -> Path | None:
    """The nearest classes file, from the label file's folder up to one above the folder that was asked for."""
    for folder in _above(source):
        for name in _NAMES:
            if (folder / name).is_file():
                return folder / name
    return None


def _above(source: Source) -> Iterator[Path]:
    here = source.path.absolute().parent
    last = source.root.absolute().parent
    for folder in (here, *here.parents):
        yield folder
        if folder == last:
            return


def _classes(file: Path | None) -> dict[int, str]:
    """Names by number: a line each, or `names:` of a YAML file, as a list or numbered.

    Raises:
        AnnotationError: a YAML file whose names are written in another way.
    """
    if file is None:
        return {}
    text = Source.open(file).text
    if file.suffix not in (".yaml", ".yml"):
        return dict(enumerate(line.strip() for line in text.rstrip().splitlines()))
    names = re.search(r"^names\s*:[ \t]*(\[[^\]]*\]|(?:\n[ \t]*(?:-|\d+\s*:)[^\n]*)+)", text, re.MULTILINE)
    if names is None:
        raise AnnotationError(
            f"{file} holds no list 'names:' that is understood; write them to classes.txt, one a line"
        )
    body = names[1].strip()
    if body.startswith("["):
        parts = [quoted or double or bare for quoted, double, bare in _LISTED.findall(body[1:-1])]
        return dict(enumerate(part.strip() for part in parts))
    found: dict[int, str] = {}
    for line in body.splitlines():
        number, _, name = line.strip().partition(":") if not line.strip().startswith("-") else ("", "", "")
        found[int(number) if number else len(found)] = _bare(name if number else line.strip()[1:])
    return found


def _bare(text: str) -> str:
    return text.split(" #")[0].strip().strip("'\"")


def _read(source: Source, g: Gatherer) -> None:
    file = _classes_file(source)
    names = _classes(file)
    keypoints = file is not None and file.suffix in (".yaml", ".yml") and "kpt_shape" in Source.open(file).text
    image = _image(source)
    shape = g.options.size_of(image) or _beside(source)
    lines = _lines(source.text)
    for number, line in lines:
        with g.entry(f"line {number}", image):
            if not _LINE.match(line):
                raise AnnotationError(f"{line[:60]!r}; expected a class number and four or more numbers")
            cells = line.split()
            label = names.get(int(cells[0]))
            if names and label is None:
                raise AnnotationError(f"class {cells[0]}, which {file} does not name ({len(names)} classes)")
            if not names:
                g.note(f"no {_NAMES[0]} beside it: classes are named by their numbers")
            g.mark(image, [_region([float(c) for c in cells[1:]], shape, keypoints)], label or cells[0], shape=shape)
    if not lines:
        g.whole(image, shape=shape)


def _region(values: list[float], shape: Shape | None, keypoints: bool) -> Region:
    if shape is None:
        raise AnnotationError("shares of an image of unknown size; give the data set with the films (--data)")
    if keypoints and len(values) > 4:
        raise NoArea("a pose (kpt_shape)", "pose", "boxes or polygons")
    if len(values) == 5:
        raise AnnotationError("a fifth number is a detector's confidence; predictions are no readings")
    if len(values) % 2 or min(values) < -_SLACK or max(values) > 1 + _SLACK:
        raise AnnotationError(f"{len(values)} numbers up to {max(values):g}; expected pairs of shares from 0 to 1")
    points = np.asarray(values).reshape(-1, 2) * [shape[1], shape[0]]
    if len(values) == 4:
        (x, y), (width, height) = points.tolist()
        return Region.box(x - width / 2, y - height / 2, width, height)
    return Region.polygon(points)


def _image(source: Source) -> str:
    """The image that a label file is named after: with the folders below `labels`, where there are any."""
    parts = source.path.with_suffix("").parts
    folders = [i for i, part in enumerate(parts[:-1]) if part.lower() == "labels"]
    return "/".join(parts[folders[-1] + 1 :]) if folders else parts[-1]


def _beside(source: Source) -> Shape | None:
    """(H, W) of the image that lies beside the label file, or in `images` where the label lies in `labels`."""
    base = source.path.with_suffix("")
    parts = list(base.parts)
    folders = [i for i, part in enumerate(parts[:-1]) if part.lower() == "labels"]
    places = [base]
    if folders:
        parts[folders[-1]] = "images"
        places.append(Path(*parts))
    for place in places:
        for suffix in _IMAGES:
            if (file := place.with_name(place.name + suffix)).is_file():
                return film_shape(file)
    return None


def _write(annotations: Sequence[Annotation], path: Path, dataset: Dataset | None) -> None:
    """`classes.txt`, and a folder a reader with `labels/`, a file an image; masks as their boxes."""
    names = list(dict.fromkeys(a.label or _UNNAMED for a in annotations if a.regions))
    for (image, reader), said in readings_of(annotations).items():
        no_zones(said, "yolo")
        placed_only(said, "yolo")
        lines: list[str] = []
        for a in said:
            for region in a.regions:
                height, width = needs_shape(a, dataset, "yolo")
                if region.kind == "polygon" and region.points is not None:
                    values = (region.points / [width, height]).ravel().tolist()
                else:
                    x, y, w, h = bounds(region)
                    values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
                if min(values) < 0 or max(values) > 1:
                    raise AnnotationError(f"{image}: a mark of {reader} leaves the image; YOLO knows only 0 to 1.")
                lines.append(f"{names.index(a.label or _UNNAMED)} {' '.join(f'{v:.10g}' for v in values)}\n")
        write_text(in_reach(path, reader, image, ".txt", "labels"), "".join(lines))
    write_text(path / _NAMES[0], "".join(f"{name}\n" for name in names))


FORMAT = Format(
    "yolo",
    "YOLO text",
    "csv",
    "one file an image, lines `class cx cy width height` or a polygon; names from `classes.txt`, `obj.names` or "
    "`data.yaml` beside or above it",
    "no heading; shares of the image's size, which comes from the data set or the image beside it; the box is told by "
    "its centre; an empty file is an image read without finding; a sixth number is a detector's confidence and refused",
    _sniff,
    _read,
    empty_means="no finding",
    per_image=True,
    units="own",
    write=_write,
    to="",
)
