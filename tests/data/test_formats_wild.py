"""Readings as they are met outside: every format as published, other files beside, names, spellings, contradictions."""

import gzip
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radiolucent.data import FORMATS, Dataset, LeftOut, Record, load_dataset, read_annotations, write_csv
from radiolucent.data.annotations.match import fitting
from radiolucent.data.annotations.shapes import bounds
from radiolucent.data.label_cells import COMMA
from radiolucent.data.records import is_lost
from radiolucent.errors import AnnotationError, DataError
from radiolucent.images import region_mask
from radiolucent.types import Annotation, Region
from support.formats import HEIGHT, WIDTH, blot, write
from support.odd_readings import BOX, readings

SIZE = (HEIGHT, WIDTH)
CLASSES = ("NORMAL", "PNEUMONIA")


def films(*names: str, root: Path = Path("/films")) -> Dataset:
    return Dataset(tuple(Record(root / name, name) for name in names), ())


def both(found: list[Annotation]) -> set[tuple[str | None, int, bool]]:
    return {(a.label, len(a.regions), a.finding) for a in found}


# Every format as published


@pytest.mark.parametrize("name", readings())
def test_the_same_mark_in_every_format_with_other_files_beside(tmp_path: Path, name: str) -> None:
    for path, content in readings()[name].items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "README.md").write_text('# Marks\n\n"quoted", words; and more\n')
    write(tmp_path / "labels_map.json", {"0": "Nodule", "1": "Mass"})
    (tmp_path / "notes.txt").write_text("read by two doctors\n")
    (tmp_path / "films").mkdir()
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "films" / "a.png")
    left: list[LeftOut] = []
    found = read_annotations(tmp_path, dataset=films("a.png", root=tmp_path / "films"), left_out=left)
    assert [(a.image_id, a.finding) for a in found] == [("a.png", True)]
    named = {"rsna": "Lung Opacity", "siim": "Pneumothorax", "object-cxr": "foreign object"}
    assert found[0].label == named.get(name, "Mass")
    shape = found[0].image_shape or SIZE
    rows, columns = np.nonzero(region_mask(found[0], shape))
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(edges, BOX, atol=0 if name != "reflacx" else 1)
    assert not [item for item in left if is_lost(item.reason)] and any("beside" in item.reason for item in left)


def test_every_format_is_published_here_or_has_a_test_of_its_own() -> None:
    elsewhere = {"zones", "chexlocalize-pickle", "masks", "nrrd", "nifti", "dicom-seg", "dicom-sr", "dicom-gsps"}
    assert set(readings()) | elsewhere == set(FORMATS)


# One gate


def studio(*results: Any, **data: Any) -> Any:
    head = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    said = {"id": 1, "completed_by": 5, "result": [{**head, **r} for r in results]}
    return [{"id": 9, "data": data or {"image": "/data/upload/3/0a1b2c3d-film.png"}, "annotations": [said]}]


def rect(label: str | None = None, **more: Any) -> Any:
    value = {"x": 10, "y": 20, "width": 30, "height": 50, "rotation": 0}
    named = {"rectanglelabels": [label]} if label else {}
    return {"type": "rectanglelabels" if label else "rectangle", "value": value | named, **more}


def choice(*labels: str) -> Any:
    return {"type": "choices", "value": {"choices": list(labels)}}


def test_a_diagnosis_beside_marks_is_kept_and_a_scar_leaves_a_film_normal(tmp_path: Path) -> None:
    found = read_annotations(write(tmp_path / "a.json", studio(choice("NORMAL"), rect("old scar"))))
    assert both(found) == {("NORMAL", 0, False), ("old scar", 1, True)}
    assert not any(a.call(CLASSES, "PNEUMONIA") for a in found)
    found = read_annotations(write(tmp_path / "b.json", studio(choice("PNEUMONIA", "COVID"), rect("opacity"))))
    assert both(found) == {("PNEUMONIA", 0, True), ("COVID", 0, True), ("opacity", 1, True)}
    assert both(read_annotations(write(tmp_path / "c.json", studio(choice("PNEUMONIA"), rect())))) == {
        ("PNEUMONIA", 1, True)
    }
    both_at_once = choice("NORMAL", "Mass")
    for results in ((choice("No finding"), rect("opacity")), (both_at_once, rect("x")), (both_at_once,)):
        with pytest.raises(AnnotationError, match="both that nothing was found"):
            read_annotations(write(tmp_path / "d.json", studio(*results)))
    assert both(read_annotations(write(tmp_path / "e.json", studio(choice("Mass", "Edema"))))) == {
        ("Mass", 0, True), ("Edema", 0, True)}  # fmt: skip


def labelme(*shapes: Any, **flags: bool) -> Any:
    return {"version": "5.4.1", "flags": flags, "shapes": list(shapes), "imagePath": "a.png", "imageHeight": HEIGHT,
            "imageWidth": WIDTH, "imageData": None}  # fmt: skip


def test_flags_tags_and_labels_of_whole_images(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", labelme(PNEUMONIA=True, rotated=True, NORMAL=False))
    assert both(read_annotations(file)) == {("PNEUMONIA", 0, True), ("rotated", 0, True)}
    left: list[LeftOut] = []
    assert both(read_annotations(file, labels=["pneumonia"], left_out=left)) == {("PNEUMONIA", 0, True)}
    assert "rotated" in left[0].reason and not is_lost(left[0].reason)
    assert both(read_annotations(write(tmp_path / "b.json", labelme(NORMAL=True)))) == {("NORMAL", 0, False)}
    tags = [{"type": "TextualBody", "purpose": "tagging", "value": v} for v in ("Mass", "Edema")]
    item = {"type": "Annotation", "body": tags, "target": "a.png#xywh=10,20,30,30", "creator": "A"}
    assert both(read_annotations(write(tmp_path / "c.json", [item]))) == {("Mass", 1, True), ("Edema", 1, True)}
    item["target"] = "a.png"
    assert both(read_annotations(write(tmp_path / "d.json", [item]))) == {("Mass", 0, True), ("Edema", 0, True)}


HEAD = "image,x,y,width,height,label,reader,statement\n"


def test_csv_rows_without_numbers_say_what_their_label_says(tmp_path: Path) -> None:
    rows = "na.png,,,,,PNEUMONIA,Dr A,seen\nb.png,,,,,No finding,Dr A,\nc.png,,,,,,Dr A,clear\n"
    found = {a.image_id: a for a in read_annotations(write(tmp_path / "a.csv", HEAD + rows))}
    assert [found[n].finding for n in ("na.png", "b.png", "c.png")] == [True, False, False]
    assert found["na.png"].statement == "seen"
    for row, why in (
        ("a.png,1,2,3,4,No finding,A,\n", "'No finding' of a place"),
        ("a.png,,,,,NORMAL,A,\na.png,1,2,3,4,opacity,A,\n", r"says both .*\(NORMAL\).*opacity"),
        ("null,1,2,3,4,o,A,\n", "line 2: names no image"),
        ("a.png,0.1,0.2,0.3,0.4,o,A,\n", "coordinates='relative'"),
    ):
        with pytest.raises(AnnotationError, match=why):
            read_annotations(write(tmp_path / "b.csv", HEAD + row))


NOTHING = """Clear lungs|Lungs are clear.|clear lung fields|No acute cardiopulmonary disease|No active disease|WNL
No acute process|NAD|healthy control|Normal/Healthy|Normal, no finding|Unremarkable chest radiograph|chest normal
Normal (adult)|no radiographic abnormality|absence of disease|disease-free|ohne Befund|Normal variant|control"""
DENIED = {"Normal heart size": "heart size", "non-COVID": "COVID", "NonPneumonia": "Pneumonia", "not TB": "TB"}
FOUND = ("Not Normal", "abnormal", "non-calcified nodule", "nonspecific", "No Lung Opacity / Not Normal", "clear cell")


def test_labels_of_whole_images_are_understood_as_they_are_meant(tmp_path: Path) -> None:
    labels = [*NOTHING.replace("\n", "|").split("|"), *DENIED, *FOUND]
    rows = "".join(f'{i}.png,,,,,"{label}",A,\n' for i, label in enumerate(labels))
    left: list[LeftOut] = []
    for a in read_annotations(write(tmp_path / "a.csv", HEAD + rows), left_out=left):
        said = labels[int(a.image_id[:-4])]
        assert (a.label, a.finding) == (DENIED.get(said, said), said in FOUND), said
    notes = " ".join(item.reason for item in left)
    assert "'Clear lungs' taken for: nothing found" in notes and "'non-COVID' taken for: no COVID" in notes
    own = write(tmp_path / "b.csv", HEAD + "a.png,,,,,Lungen_frei,A,\n")
    assert [a.finding for a in read_annotations(own, nothing_found=["lungen frei"])] == [False]
    assert [a.finding for a in read_annotations(own)] == [True]


def one_coco(**changes: Any) -> dict[str, Any]:
    mark = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 30]}
    return {"images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
            "categories": [{"id": 1, "name": "Mass"}], "annotations": [mark | changes]}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (one_coco(bbox=[50, 20, 90, 30]), "reaches far beyond the image"),
        (one_coco(bbox=[90, 50, 95, 58]), "corners taken for sizes"),
        (one_coco(score=0.8), "predictions are no readings"),
        ('{"images": [], "images": [{"id": 1}], "annotations": [], "categories": []}', "'images' stands twice"),
    ],
)
def test_what_looks_like_something_else_is_refused_by_name(tmp_path: Path, content: Any, why: str) -> None:
    with pytest.raises(AnnotationError, match=why):
        read_annotations(write(tmp_path / "a.json", content))


def test_what_is_passed_over_or_taken_is_said(tmp_path: Path) -> None:
    left: list[LeftOut] = []
    outline = [[60, 10, 90, 10, 90, 30, 60, 30]]
    read_annotations(write(tmp_path / "a.json", one_coco(segmentation=outline)), left_out=left)
    assert "lie apart: the segmentation is taken" in left[-1].reason
    flagged = {"label": "Mass", "shape_type": "rectangle", "points": [[10, 20], [40, 50]], "flags": {"unsure": True}}
    read_annotations(write(tmp_path / "b.json", labelme(flagged)), left_out=left)
    assert "flag of a shape (unsure)" in left[-1].reason
    rows = "a.png,10,20,30,30,nan,A,\na.png,10,20,30,30,Mass|Nodule,B,\n"
    found = read_annotations(write(tmp_path / "c.csv", HEAD + rows))
    assert {(a.reader, a.label) for a in found} == {("A", None), ("B", "Mass"), ("B", "Nodule")}


# A mark belongs to one image


def voc(x: int, **tags: str) -> str:
    named = "".join(f"<{name}>{text}</{name}>" for name, text in {"filename": "view.png", **tags}.items())
    box = f"<xmin>{x}</xmin><ymin>10</ymin><xmax>40</xmax><ymax>40</ymax>"
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    return f"<annotation>{named}{size}<object><name>Mass</name><bndbox>{box}</bndbox></object></annotation>"


def at(x: int, path: str) -> dict[str, Any]:
    return labelme({"label": "Mass", "shape_type": "rectangle", "points": [[x, 10], [40, 40]]}) | {"imagePath": path}


WINDOWS = r"C:\d\{}\view.png"


@pytest.mark.parametrize(
    "files",
    [
        {f"all/{p}.xml": voc(x, folder=p) for p, x in (("p1", 10), ("p2", 20))},
        {f"{p}.xml": voc(x, path=WINDOWS.format(p), folder="images") for p, x in (("p1", 10), ("p2", 20))},
        {f"{p}/view.xml": voc(x) for p, x in (("p1", 10), ("p2", 20))},
        {f"{p}/view.json": at(x, "view.png") for p, x in (("p1", 10), ("p2", 20))},
        {f"labels/{p}/view.json": at(x, rf"..\..\films\{p}\view.png") for p, x in (("p1", 10), ("p2", 20))},
        {"classes.txt": "Mass", "p1/view.txt": "0 .25 .4 .3 .3", "p2/view.txt": "0 .3 .4 .2 .3"},
    ],
    ids=["voc-folder", "voc-path", "voc-mirrored", "labelme-mirrored", "labelme-relative", "yolo-mirrored"],
)
def test_one_file_name_in_two_folders_stays_two_images(tmp_path: Path, files: dict[str, Any]) -> None:
    for path, content in files.items():
        (tmp_path / "marks" / path).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / "marks" / path, content)
    for p in ("p1", "p2"):
        (tmp_path / "films" / p).mkdir(parents=True)
        Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "films" / p / "view.png")
    found = read_annotations(tmp_path / "marks", dataset=films("p1/view.png", "p2/view.png", root=tmp_path / "films"))
    lefts = {a.image_id: float(np.nonzero(region_mask(a, SIZE))[1].min()) for a in found}
    assert lefts["p1/view.png"] < lefts["p2/view.png"] and len(found) == 2
    assert {a.reader for a in found} <= {"reader", "all"}


def test_a_voc_folder_that_contradicts_is_no_match_and_two_files_of_one_image_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.xml", voc(10, folder="p1"))
    with pytest.raises(AnnotationError, match="lies in another folder"):
        read_annotations(tmp_path / "a", dataset=films("p3/view.png"))
    moved = write(tmp_path / "b" / "1.xml", voc(10, path="/home/me/images/view.png"))
    assert [a.image_id for a in read_annotations(moved, dataset=films("train/view.png"))] == ["train/view.png"]
    for p in ("p1", "p2"):
        write(tmp_path / "c" / "x" / p / "view.xml", voc(10))
    with pytest.raises(AnnotationError, match=r"tells of view.png by x, as .*p1.view.xml does"):
        read_annotations(tmp_path / "c")


def test_via_3_tells_shapes_and_options_by_number(tmp_path: Path) -> None:
    project = json.loads(readings()["via3"]["via_project_3.json"])
    project["attribute"]["2"] = {"aname": "also", "type": 2, "options": {"0": "Edema", "1": "Scar"}}
    project["attribute"]["3"] = {"aname": "quality", "type": 1, "options": {}}
    shapes = [[3, 30, 30, 10], [9, 20, 30, 40, 30, 30, 20], [4, 30, 30, 10, 10], [7, 20, 20, 40, 20, 40, 40, 20, 40],
              [8, 20, 30, 30, 20, 40, 30, 30, 40]]  # fmt: skip
    for number, xy in enumerate(shapes):
        mark = {"vid": "1", "flg": 0, "z": [], "xy": xy, "av": {"1": "1", "2": "0,1", "3": "good"}}
        project["metadata"] = {"1_a": mark}
        found = read_annotations(write(tmp_path / f"{number}.json", project))
        assert {a.label for a in found} == {"Mass", "Edema", "Scar"}
        rows, columns = np.nonzero(region_mask(found[0], SIZE))
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(edges, (20, 20, 40, 40), atol=1)
    for change, why in (
        ({"xy": [2, 1, 1, 5, 5], "z": [1.5]}, "a mark in time"), ({"xy": [1, 3, 3]}, "marks no area"),
        ({"xy": [2, 1, 1, 5, 5], "av": {"1": "7"}}, "option '7' is none of 0, 1"), ({"vid": "9"}, "view '9'"),
    ):  # fmt: skip
        project["metadata"] = {"1_a": {"vid": "1", "flg": 0, "z": [], "xy": [2, 1, 1, 5, 5], "av": {}} | change}
        with pytest.raises(AnnotationError, match=why):
            read_annotations(write(tmp_path / "bad.json", project))
    project["metadata"], project["view"] = {}, {"1": {"fid_list": [1, 2]}}
    with pytest.raises(AnnotationError, match="a view of 2 files"):
        read_annotations(write(tmp_path / "bad.json", project))


def test_marks_of_tasks_with_several_images_and_slots(tmp_path: Path) -> None:
    two = {"before": "s/a.png", "after": "s/b.png"}
    marks = rect("opacity", to_name="before"), rect("scar", to_name="after")
    found = read_annotations(write(tmp_path / "a.json", studio(*marks, **two)))
    assert {(a.image_id, a.label) for a in found} == {("s/a.png", "opacity"), ("s/b.png", "scar")}
    with pytest.raises(AnnotationError, match="to_name 'img' is none of"):
        read_annotations(write(tmp_path / "b.json", studio(rect("x", to_name="img"), **two)))
    pages = studio(rect("x", to_name="image", item_index=1), image=["s/a.png", "s/b.png"])
    assert [a.image_id for a in read_annotations(write(tmp_path / "c.json", pages))] == ["s/b.png"]
    slots = [{"slot_name": n, "width": WIDTH, "height": HEIGHT, "type": "image",
              "source_files": [{"file_name": f"{n}.png"}]} for n in ("pa", "lat")]  # fmt: skip
    item = {"version": "2.0", "item": {"name": "child-7", "path": "/ward", "slots": slots}, "annotations": []}
    mark = {"id": "u", "name": "Mass", "bounding_box": {"x": 10, "y": 20, "w": 30, "h": 30}}
    item["annotations"] = [{**mark, "slot_names": ["lat"]}]
    assert [a.image_id for a in read_annotations(write(tmp_path / "d.json", item))] == ["ward/lat.png"]
    for more, why in (({}, r"slot \(not named\)"), ({"slot_names": ["lat"], "frames": {"0": {}}}, "frames of a video")):
        item["annotations"] = [{**mark, **more}]
        with pytest.raises(AnnotationError, match=why):
            read_annotations(write(tmp_path / "e.json", item))


def test_cvat_projects_name_the_reader_of_each_task(tmp_path: Path) -> None:
    tasks = "".join(
        f"<task><id>{n}</id><assignee><username>{who}</username></assignee></task>" for n, who in ((1, "A"), (2, "B"))
    )
    image = '<image id="0" name="a.png" task_id="%d" width="100" height="60">%s</image>'
    box = '<box label="Mass" xtl="10" ytl="20" xbr="40" ybr="50"/>'
    whole = f"<annotations><meta><project><tasks>{tasks}</tasks></project></meta>%s</annotations>"
    file = write(tmp_path / "a.xml", whole % (image % (1, box) + image % (2, '<tag label="No finding"/>')))
    assert {(a.reader, a.finding) for a in read_annotations(file)} == {("A", True), ("B", False)}
    same = write(tmp_path / "b.xml", (whole % (image % (1, box) + image % (2, box))).replace(">B<", ">A<"))
    with pytest.raises(AnnotationError, match="by A in image 0 of task 1 already"):
        read_annotations(same)


# Films


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("A/x.png", ("A/x.png", "B/x.png"), "A/x.png"),
        ("C:\\films\\A\\x.png", ("A/x.png", "B/x.png"), "A/x.png"),
        ("/mnt/other/A/x.png", ("A/x.png", "x.png"), "A/x.png"),
        ("x.png", ("x.png", "A/x.png"), "x.png"),
        ("train/0a1b2c3d-x.png", ("train/x.png",), "train/x.png"),
        ("x_png.rf.0a1b2c3d4e5f60718293a4b5.jpg", ("A/x.png",), "A/x.png"),
        ("A/x", ("A/x.dcm",), "A/x.dcm"),
        ("a/X.PNG", ("A/x.png", "B/x.png"), "A/x.png"),
        ("Ru\u0308ck.png", ("R\u00fcck.png", "b.png"), "R\u00fcck.png"),
        ("scan.v1", ("scan.png",), "no film"),
        ("A/x.png", ("B/x.png",), r"no film .*B/x\.png has its file name"),
        ("A/s/x.png", ("B/s/x.png",), "no film"),
        ("x.png", ("A/x.png", "B/x.png"), "2 films"),
    ],
)
def test_films_are_matched_by_the_longest_common_path(
    tmp_path: Path, name: str, names: tuple[str, ...], expected: str
) -> None:
    file = write(tmp_path / "a.csv", f"{HEAD}{name},1,2,3,4,o,A,\n")
    if expected in names:
        assert [a.image_id for a in read_annotations(file, dataset=films(*names))] == [expected]
    else:
        with pytest.raises(AnnotationError, match=expected):
            read_annotations(file, dataset=films(*names))


def test_two_names_never_land_on_one_film(tmp_path: Path) -> None:
    for pair in (("A/x.png", "B/x.png"), ("x.png", "x.dcm"), ("0a1b2c3d-x.png", "aaaaaaaa-x.png")):
        file = write(tmp_path / "a.csv", HEAD + "".join(f"{n},1,2,3,4,o,A,\n" for n in pair))
        with pytest.raises(AnnotationError, match=r"both match the film x\.png"):
            read_annotations(file, dataset=films("x.png"))
    file = write(tmp_path / "b.csv", HEAD + "A/x.png,1,2,3,4,o,A,\nx.png,1,2,3,4,o,B,\n")
    assert len(read_annotations(file, dataset=films("A/x.png"))) == 2
    file, left = write(tmp_path / "c.csv", HEAD + "X.png,1,2,3,4,o,A,\nx.png,1,2,3,4,o,B,\n"), list[LeftOut]()
    assert [a.reader for a in read_annotations(file, dataset=films("x.png"), left_out=left)] == ["B"], "its own name"
    assert [item.reason.partition(";")[0] for item in left] == ["X.png matches no film of the data set"]
    tasks = [studio(rect("o"), image=f"/data/upload/1/{n}-x.png")[0] for n in ("0a1b2c3d", "aaaaaaaa")]
    with pytest.raises(AnnotationError, match="the name of 2 images"):
        read_annotations(write(tmp_path / "c.json", tasks))


LISTED = [{"id": n, "file_name": "a.png", "width": WIDTH, "height": HEIGHT} for n in (1, 2)]
MARKS = [{"id": n, "image_id": n, "category_id": 1, "bbox": [10 * n, 20, 30, 30]} for n in (1, 2)]


@pytest.mark.parametrize(
    "content",
    [
        {"images": LISTED, "annotations": MARKS, "categories": [{"id": 1, "name": "Mass"}]},
        {f"a.png{n}": {"filename": "a.png", "size": n, "file_attributes": {}, "regions": [
            {"shape_attributes": {"name": "rect", "x": n, "y": 2, "width": 9, "height": 9}, "region_attributes": {}}]}
         for n in (1, 2)},
        [{"image": "a.png", "annotations": [{"label": "o", "coordinates": {"x": n, "y": 9, "width": 9, "height": 9}}]}
         for n in (20, 30)],
        [{"id": 1, "data": {"image": "a.png"}, "annotations": [
            {"id": n, "completed_by": 5, "result": [{"original_width": WIDTH, "original_height": HEIGHT, **rect("o")}]}
            for n in (1, 2)]}],
        "<annotations>" + "".join(
            f'<image id="{n}" name="a.png" width="{WIDTH}" height="{HEIGHT}"><box label="o" xtl="{n}" ytl="1" xbr="9" '
            'ybr="9"/></image>' for n in (1, 2)) + "</annotations>",
    ],
    ids=["coco", "via", "createml", "labelstudio", "cvat"],
)  # fmt: skip
def test_two_entries_of_one_name_do_not_become_one_reading(tmp_path: Path, content: Any) -> None:
    file = write(tmp_path / "a.json", content)
    with pytest.raises(AnnotationError, match=r"a\.png (stands|has a reading by \w+) in .* already"):
        read_annotations(file)
    assert read_annotations(file, left_out=[]) == []


def test_readings_that_do_not_fit_their_film_are_listed_and_the_rest_is_used() -> None:
    box = Region.box(10, 20, 30, 30)
    given = [
        Annotation("a", (box,), reader="A", image_shape=SIZE),
        Annotation("a", (box,), reader="B", image_shape=(1024, 1024)),
        Annotation("a", (Region.box(500, 2, 9, 9),), reader="C"),
        Annotation("a", (), reader="D", finding=False, image_shape=(1024, 1024)),
    ]
    left: list[LeftOut] = []
    kept = fitting(given, {"a": SIZE}, Path("marks.csv"), left)
    assert [a.reader for a in kept] == ["A", "D"] and len(left) == 2
    assert "1024 × 1024 pixels, but the film has 100 × 60" in left[0].reason and "outside the image" in left[1].reason


@pytest.mark.parametrize(
    ("scale", "kept", "told"),
    [(1.0, 12, ""), (1.6, 0, "beyond the film on 5 of 12 films"), (0.5, 12, "noted: A's markings on 12 films all lie")],
    ids=["own", "larger", "smaller"],
)
def test_markings_of_larger_or_smaller_copies_are_not_taken_for_the_films_own(
    scale: float, kept: int, told: str
) -> None:
    ends = np.linspace(0.3, 0.95, 12) * scale  # shares of the side at which the markings end
    given = [
        Annotation(str(n), (Region.box(*(np.multiply(end, (WIDTH, HEIGHT)) - 9), 9, 9),), reader="A")
        for n, end in enumerate(ends)
    ]
    left: list[LeftOut] = []
    assert len(fitting(given, {str(n): SIZE for n in range(12)}, Path("marks.csv"), left)) == kept
    assert [told in item.reason for item in left] == [True] * bool(told)
    one = [Annotation("0", (Region.box(50, 40, 90, 9),), reader="A"), *given[1:]]  # one slip of the hand is no scale
    assert scale > 1 or len(fitting(one, {str(n): SIZE for n in range(12)}, Path("marks.csv"), [])) == 12


def test_the_furthest_of_a_readers_markings_on_a_film_tells_of_larger_copies_and_zone_scores_stay() -> None:
    """A reading a label: the last one, which lies within the film, does not hide the one that reaches beyond it."""
    far, near, zone = Region.box(0.5 * WIDTH, 9, 0.8 * WIDTH, 9), Region.box(9, 9, 9, 9), Region.zone("A", 2)
    said = (("mass", far), ("effusion", near), ("score", zone))
    given = [Annotation(str(n), (region,), reader="A", label=label) for n in range(12) for label, region in said]
    left: list[LeftOut] = []
    kept = fitting(given, {str(n): SIZE for n in range(12)}, Path("marks.csv"), left)
    assert [a.label for a in kept] == ["score"] * 12
    assert len(left) == 1 and "beyond the film on 12 of 12 films" in left[0].reason


def test_zone_scores_of_a_copy_of_another_size_are_readings() -> None:
    given = [Annotation("a", (Region.zone("A", 2),), reader="A", image_shape=(1024, 1024))]
    left: list[LeftOut] = []
    assert fitting(given, {"a": SIZE}, Path("marks.csv"), left) == given and not left


# Identifiers and coordinates


def coco(*annotations: Any, **more: Any) -> Any:
    image = {"id": 7, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}
    return {"images": [image], "categories": [{"id": 3, "name": "Mass"}], "annotations": list(annotations), **more}


def test_coco_ids_segments_and_relative_coordinates(tmp_path: Path) -> None:
    box = {"id": 1, "image_id": "7", "category_id": "3", "bbox": [10, 20, 30, 30], "segmentation": [[]]}
    (found,) = read_annotations(write(tmp_path / "a.json", coco(box)))
    assert found.label == "Mass" and found.regions[0].kind == "box"
    image = {"id": "7", "file_name": "b.png", "height": HEIGHT, "width": WIDTH}
    for more, why in (
        ({"images": [*coco()["images"], image]}, "id 7 is given twice"),
        ({"categories": [{"id": 3, "name": "Mass"}, {"id": "3", "name": "Edema"}]}, "id 3 is given twice"),
    ):
        with pytest.raises(AnnotationError, match=why):
            read_annotations(write(tmp_path / "b.json", coco(box, **more)))
    with pytest.raises(AnnotationError, match="id 1 is given twice"):
        read_annotations(write(tmp_path / "c.json", coco(box, box)))
    nameless = {"images": [*coco()["images"], {"id": 8, "height": 1, "width": 1}]}
    left: list[LeftOut] = []
    assert len(read_annotations(write(tmp_path / "f.json", coco(box, **nameless)), left_out=left)) == len(left) == 1
    share = write(tmp_path / "d.json", coco(box | {"bbox": [0.1, 1 / 3, 0.3, 0.5]}))
    with pytest.raises(AnnotationError, match="between 0 and 1"):
        read_annotations(share)
    (found,) = read_annotations(share, coordinates="relative")
    np.testing.assert_allclose(found.regions[0].points, [[10, 20], [40, 50]])
    with pytest.raises(AnnotationError, match="shares of the image end at 1"):
        read_annotations(write(tmp_path / "e.json", coco(box)), coordinates="relative")


def test_turned_rectangles_and_paths_in_a_list(tmp_path: Path) -> None:
    turned = {"label": "Mass", "shape_type": "rectangle", "points": [[30, 10], [50, 30], [30, 50], [10, 30]]}
    (found,) = read_annotations(write(tmp_path / "a.json", labelme(turned)))
    assert found.regions[0].kind == "polygon" and region_mask(found, SIZE).sum() == pytest.approx(800, rel=0.05)
    square = [{"x": x, "y": y} for x, y in ((10, 10), (30, 10), (30, 30), (10, 30))]
    hole = [{"x": x, "y": y} for x, y in ((15, 15), (25, 15), (25, 25), (15, 25))]
    slot = {"slot_name": "0", "width": WIDTH, "height": HEIGHT}
    for paths in ([square, hole], {"path": [square, hole]}):
        item = {"item": {"name": "a.png", "slots": [slot]}, "annotations": [{"name": "m", "complex_polygon": paths}]}
        (found,) = read_annotations(write(tmp_path / "b.json", item))
        assert region_mask(found, SIZE).sum() == 300


# Spellings


@pytest.mark.parametrize(
    "content",
    [
        "image;x;y;width;height;label\n a.png ;1,5;2,5;30;40; Mäss \n",
        "sep=;\nimage;x;y;width;height;label\na.png;1,5;2,5;30;40;Mäss\n",
        "sep=\t\nimage\tx\ty\twidth\theight\tlabel\na.png\t1.5\t2.5\t30\t40\tMäss\n",
        "image,x,y,width,height,label,,,\na.png,1.5,2.5,30,40,Mäss\n",
        'image,x,y,width,height,label\r\n"a.png", "1.5", 2.5,30,40,Mäss,,,\r\n',
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_delimiters_decimal_commas_and_encodings(tmp_path: Path, content: str, coding: str) -> None:
    (tmp_path / "a.csv").write_bytes(content.encode(coding))
    left: list[LeftOut] = []
    (found,) = read_annotations(tmp_path / "a.csv", left_out=left)
    assert (found.image_id, found.label) == ("a.png", "Mäss")
    np.testing.assert_allclose(found.regions[0].points, [[1.5, 2.5], [31.5, 42.5]])
    assert bool(left) == (coding == "cp1252") and not any(is_lost(item.reason) for item in left)


def test_rsna_targets_with_a_point(tmp_path: Path) -> None:
    head = "patientId,x,y,width,height,Target\n"
    found = read_annotations(write(tmp_path / "a.csv", head + "p1,264.0,152.0,213.0,379.0,1.0\np2,,,,,0.0\n"))
    assert [a.finding for a in found] == [True, False]


# Shapes that mark no area


def test_keypoints_and_lines_are_passed_over_where_asked(tmp_path: Path) -> None:
    box = {"label": "Mass", "shape_type": "rectangle", "points": [[10, 20], [40, 50]]}
    line = {"label": "tube", "shape_type": "line", "points": [[1, 1], [9, 9]]}
    keypoint = {"type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["tip"]}}
    for name, content in (("a.json", labelme(box, line)), ("b.json", studio(rect("Mass"), keypoint))):
        with pytest.raises(AnnotationError, match="--skip-shapes"):
            read_annotations(write(tmp_path / name, content))
        left: list[LeftOut] = []
        (found,) = read_annotations(tmp_path / name, skip_shapes=True, left_out=left)
        assert found.label == "Mass" and "passed over 1 × shape that marks no area" in left[0].reason
    for content in (labelme(line), studio(keypoint)):  # not "nothing found": a line was drawn
        assert read_annotations(write(tmp_path / "c.json", content), skip_shapes=True) == []


# Formats with files around them


def test_yolo(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "images" / name)
    write(tmp_path / "data.yaml", "train: images\nnc: 2\nnames:\n  0: Nodule\n  1: 'Mass'  # big\n")
    write(tmp_path / "labels" / "a.txt", "1 0.25 0.583333333 0.3 0.5\n0 0.1 0.1 0.2 0.1 0.2 0.3\n")
    write(tmp_path / "labels" / "b.txt", "")
    found = {(a.image_id, a.label): a for a in read_annotations(tmp_path)}
    assert set(found) == {("a", "Mass"), ("a", "Nodule"), ("b", None)} and not found["b", None].finding
    np.testing.assert_allclose(found["a", "Mass"].regions[0].points, [[10, 20], [40, 50]], atol=1e-6)
    assert found["a", "Nodule"].regions[0].kind == "polygon"
    for line, why in (
        ("1 0.2 0.2 0.1 0.1 0.9", "confidence"),
        ("7 0.2 0.2 0.1 0.1", "class 7"),
        ("1 5 5 9 9", "0 to 1"),
    ):
        write(tmp_path / "labels" / "a.txt", line + "\n")
        with pytest.raises(AnnotationError, match=rf"a\.txt, line 1: .*{why}"):
            read_annotations(tmp_path)
    write(tmp_path / "lone" / "c.txt", "1 0.25 0.58 0.3 0.5\n")
    with pytest.raises(AnnotationError, match="unknown size"):
        read_annotations(tmp_path / "lone" / "c.txt")


def test_further_shapes_of_new_formats(tmp_path: Path) -> None:
    ring = {"shape_attributes": {"name": "ellipse", "cx": 50, "cy": 30, "rx": 20, "ry": 5, "theta": np.pi / 2},
            "region_attributes": {"finding": {"Mass": True, "Edema": True, "Nodule": False}}}  # fmt: skip
    via = {"a.png1": {"filename": "a.png", "size": 1, "regions": [ring], "file_attributes": {"reader": "Dr A"}}}
    found = read_annotations(write(tmp_path / "a.json", via))
    assert {(a.label, a.reader) for a in found} == {("Mass", "Dr A"), ("Edema", "Dr A")}
    rows, columns = np.nonzero(region_mask(found[0], SIZE))
    assert np.ptp(rows) > 3 * np.ptp(columns)  # turned by a right angle
    det = [{"file_name": "a.png", "syms": [], "boxes": [], "polygons": []}]
    assert [a.finding for a in read_annotations(write(tmp_path / "b.json", det))] == [False]
    turned = "<robndbox><cx>50</cx><cy>30</cy><w>40</w><h>10</h><angle>1.5707963</angle></robndbox>"
    voc = f"<annotation><filename>a.png</filename><object><name>Mass</name>{turned}</object></annotation>"
    (mark,) = read_annotations(write(tmp_path / "c.xml", voc))
    assert mark.regions[0].points is not None
    np.testing.assert_allclose(mark.regions[0].points.min(0), [45, 10], atol=1e-4)
    assert not read_annotations(write(tmp_path / "d.xml", "<annotation><filename>a.png</filename></annotation>"))[
        0
    ].finding
    text = "image,x1,y1,x2,y2,class,reader\na.png,40,50,10,20,Mass,A\nb.png,,,,,,A\nc.png,,,,,Mass,A\n"
    assert [a.finding for a in read_annotations(write(tmp_path / "e.csv", text))] == [True, False, True]


@pytest.mark.parametrize("coding", ["raw", "gzip"])
def test_nrrd_masks(tmp_path: Path, coding: str) -> None:
    pytest.importorskip("nrrd")
    layers = np.stack([blot(), blot()[::-1]], -1).astype(np.uint8)  # (H, W, layers), the layers being fastest
    data = layers.tobytes()
    head = (
        f"NRRD0004\ntype: uchar\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 {WIDTH} {HEIGHT} 1\n"
        f"space directions: none (1,0,0) (0,1,0) (0,0,1)\nkinds: list domain domain domain\nencoding: {coding}\n"
        "space origin: (0,0,0)\nSegment0_Layer:=0\nSegment0_LabelValue:=1\nSegment0_Name:=Mass\nSegment1_Layer:=1\n"
        "Segment1_LabelValue:=1\nSegment1_Name:=Edema\n\n"
    )
    (tmp_path / "a.seg.nrrd").write_bytes(head.encode() + (gzip.compress(data) if coding == "gzip" else data))
    found = {a.label: a for a in read_annotations(tmp_path / "a.seg.nrrd")}
    assert set(found) == {"Mass", "Edema"} and found["Mass"].image_id == "a"
    np.testing.assert_array_equal(found["Mass"].regions[0].pixels, blot())
    np.testing.assert_array_equal(found["Edema"].regions[0].pixels, blot()[::-1])
    turned = head.replace("(1,0,0) (0,1,0)", "(-1,0,0) (0,-1,0)").replace("gzip", "raw")  # as a film of this header is
    (tmp_path / "c.seg.nrrd").write_bytes(turned.encode() + data)
    found = {a.label: a for a in read_annotations(tmp_path / "c.seg.nrrd")}
    np.testing.assert_array_equal(found["Mass"].regions[0].pixels, blot()[::-1, ::-1])
    (tmp_path / "b.nrrd").write_bytes(head.replace(f"2 {WIDTH} {HEIGHT} 1", "2 90000 90000 1").encode() + b"x")
    with pytest.raises(AnnotationError, match="at most 64,000,000"):
        read_annotations(tmp_path / "b.nrrd")


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(AnnotationError, match="no regular file"):
        read_annotations(tmp_path / "pipe.json")


# Pickles that take for ever


def test_pickles_that_share_their_parts_without_end_are_refused(tmp_path: Path) -> None:
    shared: Any = [1]
    for _ in range(40):
        shared = [shared, shared]
    pair: Any = (1,)
    for _ in range(40):
        pair = (pair, pair)
    huge = b"\x80\x04cnumpy\nndarray\n(J\x00\x00\x00\x40J\x40\x00\x00\x00\x86\x8c\x02u1t R."
    for number, content in enumerate((pickle.dumps(shared), pickle.dumps([pair]), pickle.dumps({"task": shared}))):
        assert len(content) < 500
        (tmp_path / f"{number}.pkl").write_bytes(content)
        with pytest.raises(AnnotationError, match="again and again"):
            read_annotations(tmp_path / f"{number}.pkl")
    # a dict whose key is the nested pair: to hash it, all of it is gone through
    bomb = pickle.dumps(pair)[:-1]
    (tmp_path / "key.pkl").write_bytes(bomb[:2] + b"}" + bomb[2:] + b"K\x01s.")
    (tmp_path / "huge.pkl").write_bytes(huge)
    for name in ("key.pkl", "huge.pkl"):
        with pytest.raises(AnnotationError):
            read_annotations(tmp_path / name)


# Out, and back


def said() -> list[Annotation]:
    triangle = Region.polygon([(3.25, 4.5), (30.125, 5), (4, 20.75)])
    return [
        Annotation("w/a.dcm", (Region.box(10.5, 20.25, 30, 30), triangle), "Mass", "Dr A", image_shape=SIZE),
        Annotation("w/a.dcm", (Region.box(60, 5, 20, 10),), "Edema", "Dr A", image_shape=SIZE),
        Annotation("w/a.dcm", (), None, "Dr B", "", False, SIZE),
        Annotation("b.dcm", (Region.box(1, 2, 50, 4),), "Mass", "Dr B", image_shape=SIZE),
    ]


@pytest.mark.parametrize("name", ["coco", "csv", "w3c", "labelstudio", "voc", "yolo", "dicom-seg", "dicom-sr"])
def test_what_is_written_comes_back(tmp_path: Path, name: str) -> None:
    if name.startswith("dicom"):
        pytest.importorskip("highdicom")
    from support.films import write_dicom

    dataset = films("w/a.dcm", "b.dcm", root=tmp_path / "films")
    for record in dataset.records:
        record.path.parent.mkdir(parents=True, exist_ok=True)
        write_dicom(record.path, np.zeros(SIZE, np.uint16), StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    writer, out = FORMATS[name].write, tmp_path / f"out{FORMATS[name].to}"
    assert writer is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer(said(), out, dataset)
    left: list[LeftOut] = []
    back = {(a.image_id, a.reader, a.label): a for a in read_annotations(out, dataset=dataset, left_out=left)}
    assert not [item for item in left if is_lost(item.reason)]
    boxes = name in ("csv", "voc")  # polygons go out as their boxes
    for a in said():
        found = back.pop((a.image_id, a.reader, a.label if a.finding else None), None) or back.pop(
            (a.image_id, a.reader, "No finding")
        )
        assert found.finding == a.finding
        for was, now in zip(a.regions, found.regions, strict=False) if name != "dicom-seg" else ():
            assert was.points is not None and now.points is not None
            for points in (was.points.min(0), was.points.max(0)):
                assert np.abs(now.points - points).min() < 1e-3
        if not boxes:
            np.testing.assert_array_equal(region_mask(found, SIZE), region_mask(a, SIZE))
    assert not back


def test_diagnoses_beside_marks_survive_and_what_a_format_cannot_say_is_refused(tmp_path: Path) -> None:
    scar = [
        Annotation("a.png", (Region.box(1, 2, 3, 4),), "old scar", "A", image_shape=SIZE, diagnoses=("NORMAL",)),
        Annotation("a.png", (), "NORMAL", "A", "", False, SIZE),
    ]
    for name, f in FORMATS.items():
        if f.write is None or name.startswith("dicom"):
            continue
        out = tmp_path / f"{name}{f.to}"
        if name in ("voc", "yolo"):
            with pytest.raises(AnnotationError, match="Write COCO"):
                f.write(scar, out, None)
            continue
        f.write(scar, out, None)
        back = read_annotations(out)
        assert both(back) == {("old scar", 1, True), ("NORMAL", 0, False)}, name
        assert not any(a.call(CLASSES, "PNEUMONIA") for a in back)
    zones = [Annotation("a.png", (Region.zone("A", 2),), reader="S")]
    for name in ("csv", "w3c", "labelstudio", "voc", "yolo"):
        writer = FORMATS[name].write
        assert writer is not None
        with pytest.raises(AnnotationError, match="zone scores"):
            writer(zones, tmp_path / f"{name}-zones{FORMATS[name].to}", None)


def test_the_table_in_the_docs_is_that_of_the_formats() -> None:
    from radiolucent.data.annotations import formats_table

    page = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"
    assert formats_table() in page.read_text(encoding="utf-8")


def test_outlines_are_filled_as_by_scikit_image() -> None:
    from skimage.draw import polygon2mask

    from radiolucent.data.annotations.shapes import filled

    rng = np.random.default_rng(0)
    for corners in (3, 4, 7, 40):  # crossing themselves and leaving the image, never through a pixel's centre
        points = rng.uniform(-30, 120, (corners, 2))
        np.testing.assert_array_equal(filled(points, SIZE), polygon2mask(SIZE, points[:, ::-1] - 0.5))


def test_json_masks_agree_with_pycocotools(tmp_path: Path) -> None:
    from pycocotools import mask as rle

    coded = rle.encode(np.asfortranarray(blot().astype(np.uint8)))
    one = {"id": 0, "type": "mask", "label_id": 0, "rle": {"counts": coded["counts"].decode(), "size": list(SIZE)}}
    item = {"id": "a", "image": {"path": "a.png", "size": list(SIZE)}, "annotations": [one]}
    content = {"info": {}, "categories": {"label": {"labels": [{"name": "Mass"}]}}, "items": [item]}
    (found,) = read_annotations(write(tmp_path / "a.json", json.loads(json.dumps(content))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, on NumPy 2
        decoded = rle.decode(coded).astype(bool)
    np.testing.assert_array_equal(found.regions[0].pixels, decoded)


# JSON Lines, and shapes of kinds that nobody knows

JOB = '{"source-ref": "s3://b/a.png", "dx": %s, "dx-metadata": {"type": "groundtruth/%s", "human-annotated": "%s"%s}}\n'
PRODIGY = '{"image": "%s", "answer": "%s", "_annotator_id": "d-anna"%s}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (JOB % (0, "image-classification", "yes", ', "class-name": "Normal"'), [("a.png", "Normal", False)]),
        (
            JOB % ("[0, 1]", "image-classification-multilabel", "yes", ', "class-map": {"0": "Mass", "1": "Edema"}'),
            [("a.png", "Mass", True), ("a.png", "Edema", True)],
        ),
        (JOB % ('{"annotations": []}', "object-detection", "yes", ""), [("a.png", None, False)]),
        (JOB % (0, "image-classification", "no", ', "class-name": "Mass"'), "predictions are no readings"),
        (JOB % (0, "semantic-segmentation", "yes", ""), "of type groundtruth/semantic-segmentation"),
        (
            '{"source-ref": "a.png", "x": {"annotations": []}, "x-metadata": {"type": "groundtruth/object-detection"}, '
            '"y": {"annotations": []}, "y-metadata": {"type": "groundtruth/object-detection"}}\n',
            "boxes of several jobs",
        ),
        (PRODIGY % ("a.png", "accept", ', "spans": []'), [("a.png", None, False)]),
        (
            PRODIGY % ("a.png", "accept", ', "options": [{"id": "P", "text": "Edema"}], "accept": ["P"]')
            + PRODIGY % ("b.png", "reject", ', "spans": [{"label": "x", "points": [[0, 0], [9, 0], [9, 9]]}]'),
            [("a.png", "Edema", True)],
        ),
        (PRODIGY % ("data:image/png;base64,AA", "accept", ""), "no path that says which film"),
        ('{"file_name": "a", "objects": {"bbox": [[1, 2, 3, 4]], "categories": []}}\n', "1 boxes and 0 categories"),
        ('{"file_name": "a", "objects": []}\n{"file_name": "b", "objects": [\n', "no valid JSON Lines .object 2"),
    ],
)
def test_json_lines(tmp_path: Path, text: str, said: Any) -> None:
    file = write(tmp_path / "a.jsonl", text)
    if isinstance(said, str):
        with pytest.raises(AnnotationError, match=said):
            read_annotations(file)
        return
    assert [(a.image_id, a.label, a.finding) for a in read_annotations(file)] == said


def test_json_lines_of_any_format_are_the_list_of_them(tmp_path: Path) -> None:
    tasks = [studio(rect("Mass"))[0] | {"id": n, "data": {"image": f"{n}.png"}} for n in (1, 2)]
    whole = write(tmp_path / "a.json", tasks)
    lines = write(tmp_path / "a.jsonl", "".join(json.dumps(t) + "\n" for t in tasks))
    assert [str(a) for a in read_annotations(lines)] == [str(a) for a in read_annotations(whole)]


def test_a_shape_of_an_unknown_kind_is_never_passed_over(tmp_path: Path) -> None:
    shape = {"label": "Mass", "shape_type": "oriented_rectangle", "points": [[1, 1], [9, 1], [9, 9], [1, 9]]}
    task = studio({"type": "voxel", "id": "b", "value": {"format": "voxel"}, "to_name": "image"})
    for content in (labelme(shape), task):
        with pytest.raises(AnnotationError, match="of a kind that is not read"):
            read_annotations(write(tmp_path / "a.json", content), skip_shapes=True)


@pytest.mark.parametrize(
    ("x", "found"), [("2,5", 2.5), ("1.024,5", 1024.5), ("1.024", r"1\.024 \(or 1024\?\)"), ("7.5", 7.5)]
)
def test_points_beside_decimal_commas(tmp_path: Path, x: str, found: Any) -> None:
    file = write(tmp_path / "a.csv", f"image;x;y;width;height;label\na.png;{x};2;3;4;M\nb.png;1,5;2;3;4;M\n")
    if isinstance(found, str):
        with pytest.raises(AnnotationError, match=found):
            read_annotations(file)
        return
    assert read_annotations(file)[0].regions[0].points[0, 0] == found


def test_published_names_that_are_not_those_of_the_films(tmp_path: Path) -> None:
    """CheXlocalize joins CheXpert's folders; the masks of the Shenzhen films add a word."""
    views = [f"valid/patient{n}/study1/view1_frontal.jpg" for n in (1, 12)]
    marks = {
        f"patient{n}_study1_view1_frontal": {"img_size": [60, 100], "Edema": [[[1, 1], [9, 1], [9, 9]]]}
        for n in (1, 12)
    }
    found = read_annotations(write(tmp_path / "a.json", marks), dataset=films(*views))
    assert [a.image_id for a in found] == views
    (tmp_path / "mask").mkdir()
    Image.fromarray(blot()).save(tmp_path / "mask" / "CHNCXR_0001_0_mask.png")
    pair = films("CHNCXR_0001_0.png", "CHNCXR_0002_0.png")
    assert [a.image_id for a in read_annotations(tmp_path / "mask", dataset=pair)] == ["CHNCXR_0001_0.png"]
    twice = films("p1/study1/a.png", "q/p1_study1/a.png")
    with pytest.raises(AnnotationError, match="matches 2 films"):
        read_annotations(write(tmp_path / "b.csv", "image,x,y,width,height\np1_study1_a,1,2,3,4\n"), dataset=twice)


@pytest.mark.parametrize("absent", ["NA", "nan", "NULL", "<NA>"])
def test_numbers_that_programs_say_are_absent(tmp_path: Path, absent: str) -> None:
    rows = f"image,x,y,width,height,label\na.png,{','.join([absent] * 4)},Mass\nNA.png,1,2,3,4,NA\n"
    found = read_annotations(write(tmp_path / "a.csv", rows))
    assert [(a.image_id, a.label, len(a.regions)) for a in found] == [("a.png", "Mass", 0), ("NA.png", "NA", 1)]
    with pytest.raises(AnnotationError, match="four numbers"):
        read_annotations(write(tmp_path / "b.csv", "image,x,y,width,height\na.png,1_0,2,3,4\n"))


def test_classes_that_qupath_ignores_are_no_findings(tmp_path: Path) -> None:
    ring = [[10, 20], [40, 20], [40, 50], [10, 50], [10, 20]]
    features = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
         "properties": {"objectType": "annotation", "classification": {"name": name}}}
        for name in ("Region*", "Mass")
    ]  # fmt: skip
    write(tmp_path / "a.geojson", {"type": "FeatureCollection", "features": features})
    left: list[LeftOut] = []
    assert [a.label for a in read_annotations(tmp_path, left_out=left)] == ["Mass"]
    assert any("QuPath ignores (Region*)" in item.reason for item in left)


# CSV of one's own


def rows_of(tmp_path: Path, text: str, left: list[LeftOut] | None = None) -> list[tuple[str, str | None, Any]]:
    (tmp_path / "m.csv").write_text(text)
    found = read_annotations(tmp_path / "m.csv", left_out=left)
    return [(a.image_id, a.label, [bounds(r) for r in a.regions]) for a in found]


@pytest.mark.parametrize("heading", ["image_id,x,y,w,h,class", "filename,x,y,width,height,label"])
def test_boxes_under_other_usual_names(tmp_path: Path, heading: str) -> None:
    assert rows_of(tmp_path, f"{heading}\na.png,1,2,30,40,Mass\n") == [("a.png", "Mass", [(1, 2, 30, 40)])]


def test_labels_stand_between_bars_and_semicolons_and_a_comma_is_noted(tmp_path: Path) -> None:
    left: list[LeftOut] = []
    text = 'image,x,y,width,height,label\na,1,2,3,4,Nodule|Mass\nb,1,2,3,4,Nodule; Mass\nc,1,2,3,4,"Nodule, Mass"\n'
    text += 'd,1,2,3,4,"A, B"\n'
    found = {(image, label) for image, label, _ in rows_of(tmp_path, text, left)}
    twice = {(film, label) for film in "ab" for label in ("Nodule", "Mass")}
    assert found == twice | {("c", "Nodule, Mass"), ("d", "A, B")}
    assert [x.reason for x in left] == ["noted: " + COMMA.format("Nodule, Mass")]
    (tmp_path / "films.csv").write_text('path,label\na,Nodule\nb,"Nodule, Mass"\n')
    assert COMMA.format("Nodule, Mass") in load_dataset(tmp_path / "films.csv").notes
    several = [Annotation("a", (Region.box(1, 2, 3, 4),), "Nodule; Mass", "A")]
    with pytest.raises(AnnotationError, match="would be read as several labels"):
        write_csv(several, tmp_path / "out.csv")


@pytest.mark.parametrize("before", ["", "\n \n", "sep=,\n", "sep=,\n\n", '"sep=,"\r\n'])
def test_blank_lines_and_a_line_of_excel_before_the_heading_and_the_true_line_in_messages(
    tmp_path: Path, before: str
) -> None:
    line = before.count("\n") + 4
    left: list[LeftOut] = []
    text = f"{before}image,x,y,width,height\na,1,2,3,4\n\nb,1,x,3,4\n"
    assert rows_of(tmp_path, text, left) == [("a", None, [(1, 2, 3, 4)])]
    assert [x.reason.split(":")[0] for x in left] == [f"line {line}"]
    for heading in ("path,split", "Path,No Finding,split"):
        rest = ("", "") if heading == "path,split" else (",0", ",7")
        (tmp_path / "films.csv").write_text(f"{before}{heading}\na{rest[0]},\n\nb{rest[1]},spring\n")
        for name in "ab":
            (tmp_path / name).touch()
        with pytest.raises(DataError, match=f"films.csv, line {line}: "):
            load_dataset(tmp_path / "films.csv")


def test_boxes_in_one_cell(tmp_path: Path) -> None:
    corners_too = 'image,bbox,label\na,"[10, 20, 50, 60]",Mass\nb,,No finding\n'
    with pytest.raises(AnnotationError, match=r"may be x, y, width, height, or two corners.*bbox_xywh"):
        rows_of(tmp_path, corners_too)
    assert rows_of(tmp_path, corners_too.replace("bbox", "bbox_xywh")) == [
        ("a", "Mass", [(10, 20, 50, 60)]), ("b", "No finding", [])]  # fmt: skip
    text = 'image,boxes\na,"[[10, 20, 5, 6], [1, 2, 3, 4]]"\nb,"[1, 2, 3]"\nc,"__import__(\'os\')"\nd,[]\n'
    left: list[LeftOut] = []
    assert rows_of(tmp_path, text, left) == [("a", None, [(10, 20, 5, 6), (1, 2, 3, 4)]), ("d", None, [])]
    assert [x.reason[:7] for x in left] == ["line 3:", "line 4:", "noted: "]


def test_object_cxr(tmp_path: Path) -> None:
    text = "image_path,annotation\n4.jpg,1 50 40 20 10\n"
    text += "/d/1.jpg,0 1 2 11 22;1 10 20 30 60;2 0 0 9 0 9 9;\n/d/2.jpg,\n/d/3.jpg,0 1 2 3\n"
    left: list[LeftOut] = []
    one, two = rows_of(tmp_path, text, left)
    assert one[:2] == ("/d/1.jpg", "foreign object") and two == ("/d/2.jpg", None, [])
    np.testing.assert_allclose(one[2], [(1, 2, 10, 20), (10, 20, 20, 40), (0, 0, 9, 9)], atol=0.1)
    assert [x.reason[:7] for x in left] == ["line 2:", "line 5:"]


def test_labelbox_of_version_1_says_what_to_export(tmp_path: Path) -> None:
    old = [{"ID": "x", "External ID": "a.png", "Label": {"objects": []}, "Created By": "a@b.org"}]
    with pytest.raises(AnnotationError, match="export the project again as NDJSON"):
        read_annotations(write(tmp_path / "a.json", old))


@pytest.mark.parametrize("kinds", [("img", "ann"), ("JPEGImages", "Annotations"), ("images", "labels")])
@pytest.mark.parametrize("parts", [("ds0", "ds1"), ("test", "train")])
def test_films_of_one_name_are_told_by_the_folder_above_images_and_marks(
    tmp_path: Path, kinds: tuple[str, str], parts: tuple[str, str]
) -> None:
    names = [f"{part}/{kinds[0]}/a.png" for part in parts]
    box = {"id": 1, "geometryType": "rectangle", "labelerLogin": "A", "tags": []}
    box |= {"points": {"exterior": [[1, 2], [30, 40]], "interior": []}}
    for part in parts:
        (tmp_path / part / kinds[1]).mkdir(parents=True)
        held = {"tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": [box | {"classTitle": part}]}
        write(tmp_path / part / kinds[1] / "a.png.json", held)
    found = read_annotations(tmp_path, dataset=films(*names, root=tmp_path))
    assert [(a.image_id, a.label) for a in found] == list(zip(names, parts, strict=True))


@pytest.mark.parametrize("more", ["class", "reader"])
def test_shapes_beside_further_columns_are_not_taken_for_object_cxr(tmp_path: Path, more: str) -> None:
    with pytest.raises(AnnotationError, match="no known format"):
        rows_of(tmp_path, f"image_name,annotation,{more}\na.jpg,0 10 20 30 40,Nodule\n")


@pytest.mark.parametrize("odd", ["[0, 0, 0, 0]", "[300, 20, 10, 400]", "nan"])
def test_corners_are_not_read_as_sizes_because_of_one_odd_box(tmp_path: Path, odd: str) -> None:
    corners = "".join(f'{i},"[10, 20, 300, 40{i}]"\n' for i in range(9))
    with pytest.raises(AnnotationError, match=r"in 9 of (9|10) boxes the third exceeds the first"):
        rows_of(tmp_path, f'image,bbox\n{corners}b,"{odd}"\n')


@pytest.mark.parametrize("name", ["bbox_xyxy", "bbox (yxhw)", "box_whxy"])
def test_a_box_in_another_order_is_no_box_in_this_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnnotationError, match="no known format"):
        rows_of(tmp_path, f'image,{name}\na,"[100, 20, 30, 40]"\n')


def test_several_boxes_and_several_labels_in_one_line_are_refused(tmp_path: Path) -> None:
    left: list[LeftOut] = []
    text = 'image,bboxes,label\na,"[[90, 2, 3, 4], [9, 8, 7, 6]]",Mass|Nodule\nb,"[[90, 2, 3, 4]]",Mass|Scar\n'
    assert {label for _, label, _ in rows_of(tmp_path, text, left)} == {"Mass", "Scar"}
    assert any("line 2: has 2 boxes and 2 labels" in x.reason for x in left)
    assert any("taken for x, y, width, height: 3 of 3 boxes" in x.reason for x in left)


def test_beside_w_and_h_width_and_height_are_the_images(tmp_path: Path) -> None:
    text = "image,x,y,w,h,width,height,label\na,1,2,3,4,512,256,Mass\n"
    assert rows_of(tmp_path, text) == [("a", "Mass", [(1, 2, 3, 4)])]
    assert read_annotations(tmp_path / "m.csv")[0].image_shape == (256, 512)


def test_a_reader_in_two_spellings_is_noted(tmp_path: Path) -> None:
    """Two readers would agree with themselves; who is whom, nobody but the user knows."""
    file, left = tmp_path / "readings.csv", list[LeftOut]()
    rows = ("a.png,1,1,2,2,ILL,Dr A", "b.png,1,1,2,2,ILL,dr a", "c.png,1,1,2,2,ILL,Dr B")
    file.write_text("\n".join(("image,x,y,width,height,label,reader", *rows)))
    assert {a.reader for a in read_annotations(file, left_out=left)} == {"Dr A", "dr a", "Dr B"}
    assert [item.reason for item in left] == [
        "noted: readers 'Dr A', 'dr a' count as 2; if they are one, give one name"
    ]
