"""Files of annotation tools: COCO, Label Studio, LabelMe, CVAT, W3C, Darwin."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from radiolucent.data import Dataset, LeftOut, Record, read_annotations, write_coco, write_csv, write_w3c
from radiolucent.errors import AnnotationError
from radiolucent.images import region_mask
from radiolucent.types import Annotation, Region
from support.formats import AWAY, HEIGHT, WIDTH, blot, write, write_brush

SIZE = (HEIGHT, WIDTH)


def one(path: Path, **options: Any) -> Annotation:
    (found,) = read_annotations(path, **options)
    return found


def points(a: Annotation) -> Any:
    assert a.regions[0].points is not None
    return a.regions[0].points.tolist()


# COCO


def coco(*annotations: Any, **more: Any) -> Any:
    image = {"id": 7, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}
    return {"images": [image], "categories": [{"id": 3, "name": "opacity"}], "annotations": list(annotations), **more}


def test_coco_masks_run_down_the_columns(tmp_path: Path) -> None:
    flat = blot().ravel(order="F")
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]])).tolist()
    packed = rle.encode(np.asfortranarray(blot().astype(np.uint8)))["counts"].decode()
    for counts in (runs, packed):
        mask = {"size": [HEIGHT, WIDTH], "counts": counts}
        file = write(tmp_path / "a.json", coco({"id": 1, "image_id": 7, "category_id": 3, "segmentation": mask}))
        found = one(file)
        assert found.label == "opacity" and found.image_shape == SIZE
        np.testing.assert_array_equal(found.regions[0].pixels, blot())


@pytest.mark.parametrize(
    ("counts", "size"),
    [([1, 2, 3], SIZE), ("PPPPPPPPPP0", SIZE), ("0" * 9, SIZE), ("~~", SIZE), ([0, HEIGHT * WIDTH], (WIDTH, HEIGHT))],
)
def test_coco_masks_that_do_not_fill_their_image_are_refused(tmp_path: Path, counts: Any, size: Any) -> None:
    mask = {"size": list(size), "counts": counts}
    file = write(tmp_path / "a.json", coco({"id": 12, "image_id": 7, "category_id": 3, "segmentation": mask}))
    with pytest.raises(AnnotationError, match=r"a\.json, annotation 12"):
        read_annotations(file)


def test_coco_several_readers_labels_and_what_was_not_read(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH} for i in (1, 2, 3)]
    box = {"category_id": 1, "image_id": 1, "bbox": [1, 2, 3, 4]}
    content = {
        "images": images,
        "categories": [{"id": 1, "name": "opacity"}, {"id": 2, "name": "effusion"}],
        "annotations": [
            {"id": 1, **box, "reader": "A"},
            {"id": 2, **box, "reader": "A", "category_id": 2},
            {"id": 3, **box, "reader": "B"},
            {"id": 4, **box, "reader": "B", "segmentation": [[10, 10, 20, 10, 10, 20], [50, 5, 60, 5, 50, 9]]},
        ],
        "readings": [{"image_id": 2, "reader": "A", "finding": False, "statement": "clear"}],
    }
    file = write(tmp_path / "a.json", content)
    found = {(a.image_id, a.reader, a.label): a for a in read_annotations(file)}
    assert set(found) == {("1.png", "A", "opacity"), ("1.png", "A", "effusion"), ("1.png", "B", "opacity"),
                          ("2.png", "A", None)}  # fmt: skip
    assert not found["2.png", "A", None].finding and found["2.png", "A", None].statement == "clear"
    assert [r.kind for r in found["1.png", "B", "opacity"].regions] == ["box", "polygon", "polygon"]
    read = {a.image_id: a.finding for a in read_annotations(file, unmarked="no finding")}
    assert read == {"1.png": True, "2.png": False, "3.png": False}


def everything() -> list[Annotation]:
    triangle = Region.polygon([(3.25, 4.5), (30.125, 5), (4, 20.75)])
    return [
        Annotation("a.png", (Region.box(1.5, 2.25, 3, 4), triangle), "opacity", "A", "right, lower", True, SIZE),
        Annotation("a.png", (), "NORMAL", "B", "clear", False, SIZE),
        Annotation("b/c.png", (Region.mask(blot()),), None, "B", "", True, SIZE),
        Annotation("b/c.png", (), "opacity", "C", "somewhere", True, SIZE),
    ]


def assert_same(found: list[Annotation], expected: list[Annotation]) -> None:
    def key(a: Annotation) -> Any:
        return a.image_id, a.reader, a.label, a.statement, a.finding, a.image_shape

    assert sorted(map(key, found), key=str) == sorted(map(key, expected), key=str)
    for a in found:
        (other,) = [b for b in expected if key(b) == key(a)]
        np.testing.assert_array_equal(region_mask(a, SIZE), region_mask(other, SIZE))


@pytest.mark.parametrize("writer", [write_coco, write_w3c])
def test_what_is_written_comes_back(tmp_path: Path, writer: Any) -> None:
    writer(everything(), tmp_path / "out.json")
    back = read_annotations(tmp_path / "out.json")
    assert_same(back, everything())
    writer(back, tmp_path / "again.json")
    assert_same(read_annotations(tmp_path / "again.json"), everything())


def test_boxes_come_back_from_csv_and_what_it_cannot_say_is_refused(tmp_path: Path) -> None:
    said = everything()[:2]
    write_csv(said, tmp_path / "a.csv")
    back = read_annotations(tmp_path / "a.csv")
    assert [(a.reader, a.finding, len(a.regions)) for a in back] == [("A", True, 2), ("B", False, 0)]
    np.testing.assert_allclose(back[0].regions[1].points, [[3.25, 4.5], [30.125, 20.75]])
    zones = Annotation("a.png", (Region.zone("A", 2),), reader="S")
    unnamed = Annotation("b/c.png", (), None, "C", "somewhere", True, SIZE)
    for cannot, why in ((unnamed, "would say that nothing"), (zones, "zone scores")):
        with pytest.raises(AnnotationError, match=why):
            write_csv([cannot], tmp_path / "b.csv")
    with pytest.raises(AnnotationError, match="no selector"):
        write_w3c([zones], tmp_path / "b.json")
    write_coco([zones], tmp_path / "c.json")
    assert [(r.name, r.score) for r in one(tmp_path / "c.json").regions] == [("A", 2.0)]


# Label Studio


def studio(*results: Any, who: Any = 5, **more: Any) -> Any:
    head = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    annotation = {"id": 1, "completed_by": who, "result": [{**head, **r} for r in results], **more}
    return [{"id": 9, "data": {"image": "/data/upload/3/0a1b2c3d-film.png"}, "annotations": [annotation]}]


def test_label_studio_speaks_in_percent_of_each_axis(tmp_path: Path) -> None:
    box = {"type": "rectanglelabels", "value": {"x": 10, "y": 20, "width": 30, "height": 50, "rotation": 0,
                                                "rectanglelabels": ["opacity"]}}  # fmt: skip
    words = {"type": "textarea", "value": {"text": ["left", "basal"]}}
    found = one(write(tmp_path / "a.json", studio(box, words, who={"email": "a@b.c"})))
    assert (found.image_id, found.reader, found.label, found.statement) == (
        "film.png",
        "a@b.c",
        "opacity",
        "left; basal",
    )
    assert points(found) == [[10, 12], [40, 42]] and found.image_shape == SIZE


def test_label_studio_turns_about_the_corner_and_knows_ellipses(tmp_path: Path) -> None:
    box = {"type": "rectangle", "value": {"x": 50, "y": 50, "width": 20, "height": 10, "rotation": 90}}
    found = one(write(tmp_path / "a.json", studio(box)))
    np.testing.assert_allclose(points(found), [[50, 30], [50, 50], [44, 50], [44, 30]], atol=1e-9)
    oval = {"type": "ellipselabels", "value": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "ellipselabels": ["o"]}}
    found = one(write(tmp_path / "b.json", studio(oval)))
    assert region_mask(found, SIZE).sum() == pytest.approx(np.pi * 10 * 6, rel=0.02)


@pytest.mark.parametrize("runs", [True, False])
def test_label_studio_brush(tmp_path: Path, runs: bool) -> None:
    brush = {"type": "brushlabels", "value": {"format": "rle", "rle": write_brush(blot(), runs=runs),
                                              "brushlabels": ["opacity"]}}  # fmt: skip
    found = one(write(tmp_path / "a.json", studio(brush)))
    np.testing.assert_array_equal(found.regions[0].pixels, blot())
    brush["value"]["rle"] = brush["value"]["rle"][:-9]
    with pytest.raises(AnnotationError, match="end too early"):
        read_annotations(write(tmp_path / "b.json", studio(brush)))


def test_label_studio_empty_is_no_finding_skipped_is_not_read(tmp_path: Path) -> None:
    assert one(write(tmp_path / "a.json", studio())).finding is False
    assert read_annotations(write(tmp_path / "b.json", studio(was_cancelled=True))) == []
    tasks = studio()
    tasks[0]["annotations"] = []
    tasks[0]["predictions"] = [{"result": [{"type": "rectangle"}]}]
    assert read_annotations(write(tmp_path / "c.json", tasks)) == []
    choice = {"type": "choices", "value": {"choices": ["No finding"]}}
    assert one(write(tmp_path / "d.json", studio(choice))).finding is False
    turned = {"type": "rectangle", "image_rotation": 90, "value": {"x": 1, "y": 1, "width": 1, "height": 1}}
    with pytest.raises(AnnotationError, match="task 9, annotation 1: the image was turned"):
        read_annotations(write(tmp_path / "e.json", studio(turned)))


# LabelMe


def labelme(*shapes: Any) -> Any:
    return {"version": "5.4", "flags": {}, "shapes": list(shapes), "imagePath": "..\\films\\a.png", "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip


def test_labelme_shapes(tmp_path: Path) -> None:
    crop = blot()[5:20, 70:90]
    stream = io.BytesIO()
    Image.fromarray(crop).convert("L").point(lambda v: min(v, 1)).save(stream, "PNG")
    mask = {"label": "m", "shape_type": "mask", "points": [[70, 5], [89, 19]],
            "mask": base64.b64encode(stream.getvalue()).decode()}  # fmt: skip
    file = write(
        tmp_path / "a.json",
        labelme(
            {"label": "r", "shape_type": "rectangle", "points": [[30, 40], [10, 20]], "description": "dense"},
            {"label": "p", "shape_type": "polygon", "points": [[1, 1], [9, 1], [1, 9]]},
            {"label": "c", "shape_type": "circle", "points": [[50, 30], [53, 34]]},
            mask,
        ),
    )
    found = {a.label: a for a in read_annotations(file, reader="Dr X")}
    assert {a.image_id for a in found.values()} == {"films/a.png"} and found["r"].reader == "Dr X"
    assert points(found["r"]) == [[10, 20], [30, 40]] and found["r"].statement == "dense"
    assert region_mask(found["c"], SIZE).sum() == pytest.approx(np.pi * 25, rel=0.05)
    expected = blot()
    expected[40, 3] = False
    np.testing.assert_array_equal(found["m"].regions[0].pixels, expected)


def test_labelme_saved_without_shapes_is_no_finding_and_a_folder_names_readers(tmp_path: Path) -> None:
    write(tmp_path / "Dr A" / "a.json", labelme())
    write(tmp_path / "Dr B" / "a.json", labelme({"label": "p", "shape_type": None, "points": [[1, 1], [9, 1], [1, 9]]}))
    found = {a.reader: a.finding for a in read_annotations(tmp_path)}
    assert found == {"Dr A": False, "Dr B": True}
    write(tmp_path / "Dr B" / "b.json", labelme({"label": "q", "shape_type": "line", "points": [[1, 1], [9, 1]]}))
    with pytest.raises(AnnotationError, match=r"b\.json, shape 0 \(q\): a line marks no area"):
        read_annotations(tmp_path)


# CVAT


def cvat(inside: str, before: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>{before}<annotations><version>1.1</version><meta><job><assignee>'
        f'<username>dr_a</username></assignee></job></meta><image id="0" name="s/a.png" width="{WIDTH}" '
        f'height="{HEIGHT}">{inside}</image><image id="1" name="s/b.png" width="9" height="9"></image></annotations>'
    )


def test_cvat_shapes(tmp_path: Path) -> None:
    crop = blot()[5:20, 70:90].ravel()
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(crop)) + 1, [crop.size]])).tolist()
    text = ", ".join(map(str, [0, *runs]))
    inside = (
        '<box label="b" xtl="10" ytl="20" xbr="30" ybr="50" occluded="0"><attribute name="reader">dr_b</attribute>'
        "</box>"
        '<box label="t" xtl="40" ytl="20" xbr="60" ybr="30" rotation="90"/>'
        '<polygon label="p" points="1.00,1.00;9.00,1.00;1.00,9.00"/>'
        f'<mask label="m" rle="{text}" left="70" top="5" width="20" height="15"/>'
    )
    found = {a.label: a for a in read_annotations(write(tmp_path / "a.xml", cvat(inside)))}
    assert points(found["b"]) == [[10, 20], [30, 50]] and found["b"].reader == "dr_b" and found["p"].reader == "dr_a"
    np.testing.assert_allclose(points(found["t"]), [[55, 15], [55, 35], [45, 35], [45, 15]])  # about the centre
    expected = blot()
    expected[40, 3] = False
    np.testing.assert_array_equal(found["m"].regions[0].pixels, expected)


def test_cvat_tags_say_no_finding_and_an_empty_image_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "a.xml", cvat('<tag label="No finding" source="manual"></tag>'))
    assert [(a.image_id, a.finding) for a in read_annotations(file)] == [("s/a.png", False)]
    assert len(read_annotations(file, unmarked="no finding")) == 2
    with pytest.raises(AnnotationError, match=r"a\.png, polyline 0 \(l\): a polyline marks no area"):
        read_annotations(write(tmp_path / "b.xml", cvat('<polyline label="l" points="1,1;2,2"/>')))
    with pytest.raises(AnnotationError, match="belongs to a video"):
        read_annotations(write(tmp_path / "c.xml", '<annotations><track id="0"></track></annotations>'))


@pytest.mark.parametrize("bad", [AWAY, '<!DOCTYPE a [<!ENTITY x "boom"><!ENTITY y "&x;&x;&x;">]>', "<!DOCTYPE a>"])
def test_xml_never_declares_entities(tmp_path: Path, bad: str) -> None:
    file = write(tmp_path / "a.xml", cvat("<tag label='&x;'/>" if "ENTITY" in bad else "", bad))
    with pytest.raises(AnnotationError, match="document type"):
        read_annotations(file)
    with pytest.raises(AnnotationError, match=r"well-formed XML \(mismatched tag: line 1"):
        read_annotations(write(tmp_path / "b.xml", "<annotations><image></annotations>"))


# W3C


def w3c(selector: Any, **more: Any) -> Any:
    target = {"source": "https://x.org/films/a%20b.png?v=2", "selector": selector}
    body = {"type": "TextualBody", "purpose": "tagging", "value": "opacity"}
    return {"@context": "http://www.w3.org/ns/anno.jsonld", "id": "#1", "type": "Annotation", "body": body,
            "target": target, "creator": {"name": "Dr A"}, **more}  # fmt: skip


@pytest.mark.parametrize(
    ("svg", "area"),
    [
        ("<polygon points='10,10 20,10 20,30'/>", 100),
        ("<g><rect x='5' y='6' width='4' height='10'/></g>", 40),
        ("<circle cx='40' cy='30' r='10'/>", 314),
        ("<path d='M 10 10 h10v20 L10,30Z m 30 0 l 4 0 0 5 -4 0 z'/>", 220),
        ("<path d='M10,10 20 10 20 30 10 30z'/>", 200),
    ],
)
def test_w3c_svg(tmp_path: Path, svg: str, area: int) -> None:
    selector = {"type": "SvgSelector", "value": f"<svg xmlns='http://www.w3.org/2000/svg'>{svg}</svg>"}
    found = one(write(tmp_path / "a.json", [w3c(selector)]))
    assert (found.image_id, found.label, found.reader) == ("films/a b.png", "opacity", "Dr A")
    assert region_mask(found, SIZE).sum() == pytest.approx(area, rel=0.08)


RING = "M10 10 h20 v20 h-20z M15 15 %s"


@pytest.mark.parametrize(
    ("path", "rule", "area"),
    [
        ("h10 v10 h-10z", " fill-rule='evenodd'", 300),  # a hole, whichever way it is gone around
        ("v10 h10 v-10z", " fill-rule='evenodd'", 300),
        ("v10 h10 v-10z", "", 300),  # nonzero: a hole where it is gone around the other way
        ("h10 v10 h-10z", "", 400),  # and none where it is not
        ("h10 v10 h-10z", " style='fill:none; fill-rule: evenodd'", 300),
    ],
)
def test_w3c_svg_holes(tmp_path: Path, path: str, rule: str, area: int) -> None:
    selector = {"type": "SvgSelector", "value": f"<svg><path{rule} d='{RING % path}'/></svg>"}
    sized = {"target": {"source": {"id": "a.png", "width": WIDTH, "height": HEIGHT}, "selector": selector}}
    found = region_mask(one(write(tmp_path / "a.json", w3c(None) | sized)), SIZE)
    assert found.sum() == area and found[12, 12] and found[20, 20] == (area == 400)
    with pytest.raises(AnnotationError, match="unknown size"):
        read_annotations(write(tmp_path / "b.json", w3c(selector)))


def test_w3c_names_with_signs_of_addresses_come_back(tmp_path: Path) -> None:
    names = ["a#1.png", "50%.png", "what?.png", "x/é %23.png", "a b.png"]
    said = [Annotation(n, (Region.box(1, 2, 3, 4),), reader="A") for n in names]
    write_w3c(said, tmp_path / "a.json")
    assert sorted(a.image_id for a in read_annotations(tmp_path / "a.json")) == sorted(names)
    sources = [item["target"]["source"]["id"] for item in json.loads((tmp_path / "a.json").read_text())["items"]]
    assert not any("#" in s or "?" in s for s in sources)


def test_w3c_refuses_what_it_would_have_to_guess(tmp_path: Path) -> None:
    for value, why in (
        ("<svg><path d='M1 1 C 2 2 3 3 4 4'/></svg>", "straight lines"),
        ("<svg><g transform='scale(2)'><rect width='1' height='1'/></g></svg>", "transform"),
        (AWAY.replace("annotations", "svg") + "<svg>&x;</svg>", "document type"),
    ):
        with pytest.raises(AnnotationError, match=why):
            read_annotations(write(tmp_path / "a.json", w3c({"type": "SvgSelector", "value": value})))


def test_w3c_fragments_in_pixels_and_percent(tmp_path: Path) -> None:
    def fragment(text: str) -> Any:
        return {"type": "FragmentSelector", "value": text}

    for text in ("xywh=10,12,30,30", "xywh=pixel:10,12,30,30"):
        assert points(one(write(tmp_path / "a.json", w3c(fragment(text))))) == [[10, 12], [40, 42]]
    plain = w3c(None) | {"target": "a b.png#xywh=10,12,30,30"}
    assert points(one(write(tmp_path / "b.json", plain))) == [[10, 12], [40, 42]]
    percent = write(tmp_path / "c.json", w3c(fragment("xywh=percent:10,20,30,50")))
    with pytest.raises(AnnotationError, match="unknown size"):
        read_annotations(percent)
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "a b.png")
    films = Dataset((Record(tmp_path / "a b.png", "x/a b.png"),), ())
    found = one(percent, dataset=films)
    assert found.image_id == "x/a b.png" and points(found) == [[10, 12], [40, 42]]


# Darwin


def darwin(*annotations: Any) -> Any:
    slot = {"type": "image", "slot_name": "0", "width": WIDTH, "height": HEIGHT, "source_files": []}
    return {"version": "2.0", "item": {"name": "a.png", "path": "/ward", "slots": [slot]},
            "annotations": list(annotations)}  # fmt: skip


def square(x: float, y: float, side: float) -> list[dict[str, float]]:
    return [{"x": x, "y": y}, {"x": x + side, "y": y}, {"x": x + side, "y": y + side}, {"x": x, "y": y + side}]


def test_darwin_polygons_have_holes_and_win_over_their_boxes(tmp_path: Path) -> None:
    box = {"x": 0, "y": 0, "w": 90, "h": 50}
    ring = {"name": "opacity", "annotators": [{"full_name": "Dr A"}], "bounding_box": box,
            "polygon": {"paths": [square(10, 10, 20), square(15, 15, 10)]}}  # fmt: skip
    found = one(write(tmp_path / "a.json", darwin(ring)))
    assert (found.image_id, found.reader, found.label) == ("ward/a.png", "Dr A", "opacity")
    assert region_mask(found, SIZE).sum() == 300
    raster = {"dense_rle": [0, 205, 2, 3, 0, 5792], "mask_annotation_ids_mapping": {"m": 2}}
    layer = {"id": "L", "name": "__raster_layer__", "raster_layer": raster}
    found = one(write(tmp_path / "b.json", darwin({"id": "m", "name": "opacity", "mask": {}}, layer)))
    assert np.argwhere(found.regions[0].pixels).tolist() == [[2, 5], [2, 6], [2, 7]]
    old = {"image": {"filename": "a.png", "width": WIDTH, "height": HEIGHT},
           "annotations": [{"name": "o", "bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}]}  # fmt: skip
    assert points(one(write(tmp_path / "c.json", old))) == [[1, 2], [4, 6]]


def test_darwin_tags_and_empty_items(tmp_path: Path) -> None:
    assert one(write(tmp_path / "a.json", darwin({"name": "Normal", "tag": {}}))).finding is False
    assert read_annotations(write(tmp_path / "b.json", darwin())) == []
    assert one(tmp_path / "b.json", unmarked="no finding").finding is False
    with pytest.raises(AnnotationError, match=r"annotation 0 \(k\): no area"):
        read_annotations(write(tmp_path / "c.json", darwin({"name": "k", "keypoint": {"x": 1, "y": 1}})))


# What all share


def test_a_bad_entry_takes_its_whole_reading_with_it_and_no_other(tmp_path: Path) -> None:
    box = {"category_id": 3, "image_id": 7}
    content = coco(
        {"id": 1, **box, "bbox": [1, 2, 3, 4], "reader": "A"},
        {"id": 2, **box, "bbox": [1, 2, -3, 4], "reader": "A"},
        {"id": 3, **box, "bbox": [1, 2, 3, 4], "reader": "B"},
        {"id": 4, **box, "bbox": [500, 2, 3, 4], "reader": "C"},
        {"id": 5, "image_id": 99, "bbox": [1, 2, 3, 4]},
    )
    file = write(tmp_path / "a.json", content)
    with pytest.raises(AnnotationError) as error:
        read_annotations(file)
    for part in ("annotation 2: box", "annotation 4: a box at x 500 to 503", "outside the image", "image id 99"):
        assert part in str(error.value)
    left: list[LeftOut] = []
    assert [a.reader for a in read_annotations(file, left_out=left)] == ["B"]
    assert len(left) == 3 and all(item.path == file for item in left)


def test_unknown_files_say_what_they_are_and_what_was_expected(tmp_path: Path) -> None:
    for name, content, why in (
        ("a.json", {"hello": 1}, "json of no known format; expected coco, labelstudio"),
        ("b.csv", "a,b\n1,2\n", "It has a, b"),
        ("c.json", "[1, 2", "no valid JSON"),
        ("d.json", "[" * 100_000, "no valid JSON"),
        ("e.xml", "<x/>", "xml of no known format"),
        ("f.txt", "", "csv of no known format"),
    ):
        with pytest.raises(AnnotationError, match=why):
            read_annotations(write(tmp_path / name, content))
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_annotations(tmp_path / "none.json")
    with pytest.raises(AnnotationError, match="expected one of coco"):
        read_annotations(tmp_path / "a.json", format="mine")
    with pytest.raises(AnnotationError, match="is json; format rsna is csv"):
        read_annotations(tmp_path / "a.json", format="rsna")
    (tmp_path / "g.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnnotationError, match="UTF-8"):
        read_annotations(tmp_path / "g.csv")


def test_a_reading_cannot_find_nothing_and_something(tmp_path: Path) -> None:
    text = (
        "image,x,y,width,height,label,reader,statement\na.png,1,2,3,4,o,A,\na.png,,,,,NORMAL,A,\na.png,,,,,NORMAL,B,\n"
    )
    with pytest.raises(AnnotationError, match=r"a\.png, A: says both"):
        read_annotations(write(tmp_path / "a.csv", text))
    left: list[LeftOut] = []
    assert [a.reader for a in read_annotations(tmp_path / "a.csv", left_out=left)] == ["B"] and len(left) == 1


def test_json_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    text = json.dumps(coco({"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4]})).replace(
        "3, 4]", "NaN, 4]"
    )
    with pytest.raises(AnnotationError, match="annotation 1"):
        read_annotations(write(tmp_path / "a.json", text))


# What belongs to one region


def test_labels_and_words_of_one_region_stay_with_it(tmp_path: Path) -> None:
    def place(name: str, x: float) -> Any:
        value = {"x": x, "y": 10, "width": 10, "height": 10, "rotation": 0}
        return {"id": name, "type": "rectangle", "to_name": "image", "original_width": 100, "original_height": 100,
                "value": value}  # fmt: skip

    def said(name: str, kind: str, *texts: str) -> Any:
        held = {"text" if kind == "textarea" else kind: list(texts)}
        return {"id": name, "type": kind, "from_name": "c", "to_name": "image", "value": held}

    for kind in ("choices", "labels"):
        results = [place("A", 10), said("A", kind, "Pneumonia"), place("B", 50), said("B", kind, "Mass"),
                   said("A", "textarea", "left one")]  # fmt: skip
        task = {"data": {"image": "a.png"}, "annotations": [{"result": results}]}
        found = read_annotations(write(tmp_path / "a.json", [task]))
        assert [(a.label, len(a.regions), a.statement) for a in found] == [
            ("Pneumonia", 1, "left one"), ("Mass", 1, "")
        ]  # fmt: skip
    marks = [
        {"id": "1", "labelId": "L1", "SOPInstanceUID": "1.2.3", "createdById": "U", "height": 200, "width": 200,
         "data": {"x": 1, "y": 2, "width": 30, "height": 40}},
        {"id": "2", "labelId": "L2", "parentId": "1", "SOPInstanceUID": "1.2.3", "createdById": "U"},
    ]  # fmt: skip
    labels = [{"id": "L1", "name": "Mass", "annotationMode": "bbox"}, {"id": "L2", "name": "Spiculated"}]
    mdai = {"datasets": [{"id": "D", "annotations": marks}], "labelGroups": [{"labels": labels}]}
    found = read_annotations(write(tmp_path / "b.json", mdai))
    assert [(a.label, len(a.regions)) for a in found] == [("Mass", 1), ("Spiculated", 1)]


# Turned boxes


def test_a_rotation_beside_a_box_turns_it_about_its_centre(tmp_path: Path) -> None:
    turn = {"attributes": {"rotation": 90.0}}
    coco = {"images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 200}],
            "categories": [{"id": 1, "name": "Mass"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [50, 50, 100, 20], **turn}]}  # fmt: skip
    marks = [{"id": 1, "type": "bbox", "label_id": 0, "bbox": [50, 50, 100, 20], **turn},
             {"id": 2, "type": "ellipse", "label_id": 0, "points": [50, 50, 150, 70], **turn}]  # fmt: skip
    items = [{"id": "a", "image": {"path": "a.png", "size": [200, 200]}, "annotations": marks}]
    datumaro = {"categories": {"label": {"labels": [{"name": "Mass"}]}}, "items": items}
    voc = (
        "<annotation><filename>a.png</filename><object><name>Mass</name><bndbox><xmin>50</xmin><ymin>50</ymin>"
        "<xmax>150</xmax><ymax>70</ymax></bndbox><attributes><attribute><name>rotation</name><value>90.0</value>"
        "</attribute></attributes></object></annotation>"
    )
    for file in (
        write(tmp_path / "a.json", coco),
        write(tmp_path / "b.json", datumaro),
        write(tmp_path / "c.xml", voc),
    ):
        for region in read_annotations(file)[0].regions:
            assert region.points is not None
            edges = [*region.points.min(0), *region.points.max(0)]
            np.testing.assert_allclose(edges, (90, 10, 110, 110), atol=0.2)


def test_a_place_in_other_units_than_the_image_s_pixels_is_refused(tmp_path: Path) -> None:
    refined = {"type": "FragmentSelector", "value": "xywh=pixel:10,20,300,400",
               "refinedBy": {"type": "FragmentSelector", "value": "xywh=pixel:5,5,10,10"}}  # fmt: skip
    shape = '<rect x="1" y="2" width="3" height="4"/></svg>'
    boxed = {"type": "SvgSelector", "value": f'<svg width="100" height="100" viewBox="0 0 1000 1000">{shape}'}
    same = {"type": "SvgSelector", "value": f'<svg width="100" height="90" viewBox="0 0 100 90">{shape}'}
    for selector, why in ((refined, "refinedBy"), (boxed, "viewBox"), (same, "")):
        item = {"type": "Annotation", "body": [{"type": "TextualBody", "purpose": "tagging", "value": "Mass"}],
                "target": {"source": "a.png", "selector": selector}}  # fmt: skip
        file = write(tmp_path / "a.json", [item])
        if why:
            with pytest.raises(AnnotationError, match=why):
                read_annotations(file)
        else:
            assert len(read_annotations(file)[0].regions) == 1


def test_answers_by_a_number_are_no_reading_that_found_nothing(tmp_path: Path) -> None:
    """Label Studio's rating and number: a severity of 3 is not "no finding"."""
    stars = {"type": "rating", "from_name": "severity", "to_name": "image", "value": {"rating": 3}}
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "completed_by": 7, "result": [stars]}]}
    flat = {"id": 1, "image": "a.png", "annotator": 1, "annotation_id": 1, "severity": 3}
    for name, held in (("stars.json", [task]), ("flat.json", [flat])):
        left: list[LeftOut] = []
        assert read_annotations(write(tmp_path / name, held), left_out=left) == []
        assert any("answer by a number" in item.reason for item in left)
    for answer, label in (([["Lung", "Mass"]], "Mass"), (["Mass"], "Mass")):
        (found,) = read_annotations(write(tmp_path / "flat.json", [flat | {"what": answer}]))
        assert found.finding and found.label == label
    with pytest.raises(AnnotationError, match="an answer that is not understood"):
        read_annotations(write(tmp_path / "flat.json", [flat | {"what": [{"x": 1}]}]))
    box = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"id": 1, "image_id": 1, "label": "Mass",
           "bbox": [10, 20, 30, 40], "bbox_mode": 0}]}  # fmt: skip
    with pytest.raises(AnnotationError, match="bbox_mode 0; expected 1"):
        read_annotations(write(tmp_path / "coco.json", box))


@pytest.mark.parametrize(("words", "noted"), [("opacity in the left lower lobe", 1), ("lungs are clear", 0), ("", 0)])
def test_words_alone_are_noted_where_they_are_taken_for_nothing_found(tmp_path: Path, words: str, noted: int) -> None:
    said = {"type": "textarea", "from_name": "report", "to_name": "image", "value": {"text": [words]}}
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "completed_by": 7, "result": [said]}]}
    file, left = write(tmp_path / "said.json", [task]), list[LeftOut]()
    (found,) = read_annotations(file, left_out=left)
    assert not found.finding and found.statement == words
    assert sum("words without a mark or a label are taken for" in item.reason for item in left) == noted
    assert read_annotations(file, unmarked="not read") == []
