"""Files of published collections: RSNA, NIH, VinDr, SIIM, six zones, CheXlocalize, mask folders."""

import gzip
import io
import os
import pickle
import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from radiolucent.data import Dataset, LeftOut, Record, read_annotations
from radiolucent.data.annotations.tables import relative_runs
from radiolucent.data.records import is_lost
from radiolucent.errors import AnnotationError
from radiolucent.images import region_mask
from radiolucent.types import Annotation
from support.formats import HEIGHT, WIDTH, blot, write
from support.odd_films import nifti

SIZE = (HEIGHT, WIDTH)


def table(path: Path, text: str, **options: Any) -> list[Annotation]:
    return read_annotations(write(path, text), **options)


def test_rsna(tmp_path: Path) -> None:
    head = "patientId,x,y,width,height,Target\n"
    found = table(tmp_path / "a.csv", head + "p1,264.0,152.0,213.0,379.0,1\np1,562.0,152.0,256.0,453.0,1\np2,,,,,0\n")
    assert [(a.image_id, a.finding, len(a.regions), a.image_shape) for a in found] == [
        ("p1", True, 2, (1024, 1024)), ("p2", False, 0, (1024, 1024))]  # fmt: skip
    assert found[0].regions[0].points is not None
    assert found[0].regions[0].points.tolist() == [[264, 152], [477, 531]]
    for row, why in (("p,,,,,1", "four numbers"), ("p,1,2,3,4,0", "Target 0 with a box"), ("p,1,2,3,4,2", "0 or 1")):
        with pytest.raises(AnnotationError, match=rf"line 2: .*{why}"):
            table(tmp_path / "b.csv", head + row + "\n")
    films = Dataset((Record(tmp_path / "p1.dcm", "stage/p1.dcm"),), ())
    left: list[LeftOut] = []
    matched = read_annotations(tmp_path / "a.csv", dataset=films, left_out=left)
    assert [a.image_id for a in matched] == ["stage/p1.dcm"] and "p2 matches no film" in left[0].reason


def test_nih_heading_has_commas_in_its_brackets(tmp_path: Path) -> None:
    head, name = "Image Index,Finding Label,Bbox [x,y,w,h]", "00013118_008.png"
    for text in (
        f"{head},,,\n{name},Atelectasis,225.08,547.02,86.78,79.19\n",  # as published
        f"{head},,,\n{name},Atelectasis,225.08,547.02,86.78,79.19,,,\n",
        f"{head}\n{name},Atelectasis,225.08,547.02,86.78,79.19\n",
        f"Image Index;Finding Label;Bbox [x,y,w,h];;;\n{name};Atelectasis;225,08;547,02;86,78;79,19\n",
    ):
        (found,) = table(tmp_path / "a.csv", text)
        assert (found.image_id, found.label) == (name, "Atelectasis")
        np.testing.assert_allclose(found.regions[0].points, [[225.08, 547.02], [311.86, 626.21]])


@pytest.mark.parametrize("reader", ["rad_ID", "rad_id"])
def test_vindr_has_corners_and_several_readers(tmp_path: Path, reader: str) -> None:
    text = (
        f"image_id,{reader},class_name,x_min,y_min,x_max,y_max\n"
        "i1,R9,Cardiomegaly,10.5,20,30.5,60\ni1,R10,No finding,,,,\ni1,R9,Aortic enlargement,1,2,3,4\n"
    )
    found = {(a.reader, a.label): a for a in table(tmp_path / "a.csv", text)}
    assert len(found) == 3 and not found["R10", "No finding"].finding
    np.testing.assert_allclose(found["R9", "Cardiomegaly"].regions[0].points, [[10.5, 20], [30.5, 60]])
    swapped = table(tmp_path / "b.csv", text.replace("10.5,20,30.5,60", "30.5,20,10.5,60"))
    np.testing.assert_allclose(swapped[0].regions[0].points, [[10.5, 20], [30.5, 60]])


def test_siim_runs_are_relative_and_down_the_columns(tmp_path: Path) -> None:
    mask = np.zeros((1024, 1024), bool)
    mask[100:140, 700:720] = True
    mask[3, 5] = True
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts, ends = edges[::2], edges[1::2]
    gaps = starts - np.concatenate([[0], ends[:-1]])
    text = " ".join(f"{g} {n}" for g, n in zip(gaps, ends - starts, strict=True))
    found = {a.image_id: a for a in table(tmp_path / "a.csv", f"ImageId, EncodedPixels\nu1, {text}\nu2, -1\nu3,-1\n")}
    np.testing.assert_array_equal(found["u1"].regions[0].pixels, mask)
    assert not found["u2"].finding and not found["u3"].finding
    for runs in ("1 2 3", "1 x", "5 99999999", ""):
        with pytest.raises(AnnotationError):
            relative_runs(runs, (4, 4))


def test_six_zones_of_two_readers(tmp_path: Path) -> None:
    zones = "S-A;S-B;S-C;S-D;S-E;S-F;S-Global;J-A;J-B;J-C;J-D;J-E;J-F;J-Global"
    text = f"filename;{zones}\n1.dcm;0;1;2;3;0;1;7;0;0;0;0;0;0;0\n2.dcm;1;1;1;1;1;1;6;;;;;;;\n"
    found = {(a.image_id, a.reader): a for a in table(tmp_path / "a.csv", text)}
    assert set(found) == {("1.dcm", "S"), ("1.dcm", "J"), ("2.dcm", "S")}  # J did not read 2
    assert [(r.name, r.score) for r in found["1.dcm", "S"].regions] == list(
        zip("ABCDEF", (0, 1, 2, 3, 0, 1), strict=True)
    )
    assert not found["1.dcm", "J"].finding
    for was, now, why in ((";7;", ";8;", "zones sum to 7"), (";3;", ";4;", "0 to 3"), (";3;", ";;", "no score")):
        with pytest.raises(AnnotationError, match=f"line 2, reader S: .*{why}"):
            table(tmp_path / "b.csv", text.replace(was, now, 1))


def test_chexlocalize_polygons_are_height_first(tmp_path: Path) -> None:
    content = {
        "patient1_study1_view1_frontal": {
            "img_size": [HEIGHT, WIDTH],
            "Lung Opacity": [[[80, 10], [95, 10], [95, 20]], [[1, 1], [5, 1], [5, 5]]],
            "Edema": [[[10, 50], [20, 50], [20, 58]]],
        },
        "patient2": {"img_size": [HEIGHT, WIDTH]},
    }
    found = {a.label: a for a in read_annotations(write(tmp_path / "a.json", content))}
    assert set(found) == {"Lung Opacity", "Edema"} and len(found["Lung Opacity"].regions) == 2
    assert found["Edema"].image_shape == SIZE
    content["patient1_study1_view1_frontal"]["img_size"] = [50, 60]  # the pair swapped or wrong: x 80 is outside
    with pytest.raises(AnnotationError, match="image patient1"):
        read_annotations(write(tmp_path / "b.json", content))


def test_chexlocalize_masks_say_what_is_not_there(tmp_path: Path) -> None:
    def coded(mask: np.ndarray) -> dict[str, Any]:
        made = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": [int(v) for v in made["size"]], "counts": made["counts"].decode()}

    empty = np.zeros(SIZE, bool)
    content = {"p1": {"Edema": coded(blot()), "Lung Opacity": coded(empty)}, "p2": {"Edema": coded(empty)}}
    found = read_annotations(write(tmp_path / "a.json", content))
    assert [(a.image_id, a.label, a.finding) for a in found] == [("p1", "Edema", True), ("p2", None, False)]
    np.testing.assert_array_equal(found[0].regions[0].pixels, blot())


def test_pickles_are_width_first(tmp_path: Path) -> None:
    for protocol in (2, 4, 5):
        entry = {"map": blot().astype(np.uint8), "cxr_dims": (WIDTH, HEIGHT), "task": "Edema"}
        (tmp_path / "p1.pkl").write_bytes(pickle.dumps(entry, protocol=protocol))
        (found,) = read_annotations(tmp_path / "p1.pkl")
        assert (found.image_id, found.label, found.image_shape) == ("p1", "Edema", SIZE)
        np.testing.assert_array_equal(found.regions[0].pixels, blot())
    for entry, why in (
        ({"map": blot(), "cxr_dims": (HEIGHT, WIDTH)}, "width, height"),
        ({"map": blot() * 0.5, "cxr_dims": (WIDTH, HEIGHT)}, "heat map"),
        ({"map": np.array([None, 1]), "cxr_dims": (2, 1)}, "array of .O8"),
    ):
        (tmp_path / "p2.pkl").write_bytes(pickle.dumps(entry))
        with pytest.raises(AnnotationError, match=why):
            read_annotations(tmp_path / "p2.pkl")


def test_pickles_neither_crash_numpy_nor_ask_for_memory(tmp_path: Path) -> None:
    """What fuzzing found: NumPy took a damaged state of a type and crashed; a high place in the memo took 3 GB."""
    file = tmp_path / "p.pkl"
    file.write_bytes(b"\x80\x02]r\x00\x00\x00\x10.")
    with pytest.raises(AnnotationError, match="counts more parts than it has bytes"):
        read_annotations(file)
    for protocol in (2, 4):
        content = pickle.dumps({"map": blot().astype(np.uint8), "cxr_dims": (WIDTH, HEIGHT)}, protocol=protocol)
        state = content.index(b"J\xff\xff\xff\xff")  # of the type of number: its size, its alignment, its flags
        for at, new in ((1, b"\x00\x00\x00\x7f"), (6, b"\x00\x00\x00\x7f"), (11, b"\xff"), (-3, b"N"), (-4, b"K\x07")):
            made = bytearray(content)
            made[state + at : state + at + len(new)] = new
            file.write_bytes(made)
            try:
                (found,) = read_annotations(file)
            except AnnotationError:
                continue
            np.testing.assert_array_equal(found.regions[0].pixels, blot())
        shape = content.replace(bytes([ord("K"), HEIGHT, ord("K"), WIDTH]), bytes([ord("K"), 255, ord("K"), 255]), 1)
        file.write_bytes(shape)
        with pytest.raises(AnnotationError, match="do not fit its shape"):
            read_annotations(file)


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_pickles_never_run_code(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for number, value in enumerate((_Bomb(tmp_path / "boom"), torch.zeros(2), print, Path("x"))):
        file = tmp_path / f"{number}.pkl"
        file.write_bytes(pickle.dumps({"map": value, "cxr_dims": (1, 1)}))
        with pytest.raises(AnnotationError, match=r"asks for .*Convert it where you trust it"):
            read_annotations(file)
    assert not (tmp_path / "boom").exists()
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps([1, 2, 3])[:-3])
    with pytest.raises(AnnotationError, match="no readable pickle"):
        read_annotations(tmp_path / "cut.pkl")


def test_a_folder_of_masks(tmp_path: Path) -> None:
    for where, values in (
        ("A/opacity/f1.png", blot() * 255), ("A/effusion/f1.png", blot()[::-1] * 1), ("B/f1.png", blot() * 0),
    ):  # fmt: skip
        (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / where)
    found = {(a.reader, a.label): a for a in read_annotations(tmp_path)}
    assert set(found) == {("A", "opacity"), ("A", "effusion"), ("B", None)} and not found["B", None].finding
    np.testing.assert_array_equal(found["A", "effusion"].regions[0].pixels, blot()[::-1])
    Image.fromarray((blot() * np.linspace(0, 200, WIDTH)).astype(np.uint8)).save(tmp_path / "A" / "f2.png")
    with pytest.raises(AnnotationError, match=r"A/f2\.png: 22 grey levels .*threshold it"):
        read_annotations(tmp_path)
    left: list[LeftOut] = []
    assert len(read_annotations(tmp_path, left_out=left)) == 3 and len(left) == 1


def test_a_mask_may_stand_in_the_transparency_alone_and_whole_or_several_pages_are_refused(tmp_path: Path) -> None:
    white, marked = Image.new("L", (WIDTH, HEIGHT), 255), Image.fromarray((blot() * 255).astype(np.uint8))
    Image.merge("LA", (white, marked)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_annotations(tmp_path)[0].regions[0].pixels, blot())
    Image.merge("LA", (Image.new("L", marked.size), marked)).save(tmp_path / "a.png")
    with pytest.raises(AnnotationError, match="which is the mark"):  # black, drawn or left
        read_annotations(tmp_path)
    white.save(tmp_path / "a.png")
    with pytest.raises(AnnotationError, match="every pixel is 255, which marks the whole image"):
        read_annotations(tmp_path)
    marked.save(tmp_path / "a.png", "TIFF", save_all=True, append_images=[marked.rotate(180)])
    with pytest.raises(AnnotationError, match="a mask of 2 pages"):
        read_annotations(tmp_path)


def test_labelbox_answers_below_answers_are_read(tmp_path: Path) -> None:
    below = {"name": "sure?", "text_answer": {"content": "fairly"}}, {"name": "of", "radio_answer": {"name": "mass"}}
    asked = {"name": "seen", "radio_answer": {"name": "opacity", "classifications": below}}
    label = {"id": "l", "label_details": {"created_by": "dr"}, "annotations": {"classifications": [asked]}}
    write(tmp_path / "e.ndjson", {"data_row": {"external_id": "a.png"}, "projects": {"p": {"labels": [label]}}})
    found = read_annotations(tmp_path / "e.ndjson")
    assert [(a.label, a.statement) for a in found] == [("opacity", "fairly"), ("mass", "fairly")]


def test_nifti_masks_lie_as_nifti_films_do(tmp_path: Path) -> None:
    mask = blot().astype(np.uint8)
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "f1.nii").write_bytes(nifti(mask[::-1, ::-1], affine=(0.2, 0.1), code=2))
    (tmp_path / "A" / "f2.nii.gz").write_bytes(gzip.compress(nifti(mask * 0, code=2)))
    found = {a.image_id: a for a in read_annotations(tmp_path)}
    np.testing.assert_array_equal(found["f1"].regions[0].pixels, blot())
    assert found["f1"].reader == "A" and not found["f2"].finding
    (tmp_path / "A" / "f2.nii.gz").write_bytes(gzip.compress(nifti(mask + 1, code=2)))
    with pytest.raises(AnnotationError, match="2 values from 1; expected 0 and one other"):
        read_annotations(tmp_path)


def test_holes_bitmaps_and_bit_masks(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray((blot() * 255).astype(np.uint8)).save(stream, "PNG")
    whole = {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "type": "bitmasklabels",
        "value": {
            "bitmasklabels": ["Mass"],
            "imageDataURL": f"data:image/png;base64,{b64encode(stream.getvalue()).decode()}",
        },
    }
    write(tmp_path / "a.json", [{"data": {"image": "a.png"}, "annotations": [{"result": [whole]}]}])
    np.testing.assert_array_equal(read_annotations(tmp_path / "a.json")[0].regions[0].pixels, blot())
    part = io.BytesIO()
    Image.fromarray(np.eye(5, dtype=bool)).save(part, "PNG")
    ring, hole = [[10, 10], [30, 10], [30, 30], [10, 30]], [[15, 15], [20, 15], [20, 20], [15, 20]]
    drawn = [
        {
            "geometryType": "bitmap",
            "classTitle": "x",
            "bitmap": {"data": b64encode(zlib.compress(part.getvalue())).decode(), "origin": [40, 7]},
        },
        {"geometryType": "polygon", "classTitle": "y", "points": {"exterior": ring, "interior": [hole]}},
    ]
    write(tmp_path / "s.png.json", {"size": {"height": HEIGHT, "width": WIDTH}, "tags": [], "objects": drawn})
    found = {a.label: region_mask(a, (HEIGHT, WIDTH)) for a in read_annotations(tmp_path / "s.png.json")}
    assert found["x"].sum() == 5 and found["x"][7, 40] and found["x"][11, 44]
    assert found["y"].sum() == 20 * 20 - 5 * 5
    image = Image.new("L", (WIDTH, HEIGHT))
    image.save(tmp_path / "q.png")
    closed = [[*path, path[0]] for path in (ring, hole)]
    write(
        tmp_path / "q.geojson",
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"classification": {"name": "y"}},
                    "geometry": {"type": "MultiPolygon", "coordinates": [closed]},
                },
                {"type": "Feature", "properties": {"objectType": "cell"}, "geometry": None},
            ],
        },
    )
    films = Dataset((Record(tmp_path / "q.png", "q.png"),), ())
    mask = region_mask(read_annotations(tmp_path / "q.geojson", dataset=films)[0], (HEIGHT, WIDTH))
    np.testing.assert_array_equal(mask, found["y"])


def test_a_line_with_a_cell_too_few_takes_its_film_along(tmp_path: Path) -> None:
    text = "image,x,y,width,height\na.png,1,2,3,4\na.png,1,2,3\nb.png,1,2,3,4\n"
    with pytest.raises(AnnotationError, match=r"line 3: has 4 cells; expected 5"):
        table(tmp_path / "a.csv", text)
    left: list[LeftOut] = []
    assert [a.image_id for a in read_annotations(tmp_path / "a.csv", left_out=left)] == ["b.png"]


# Columns under other names


def test_columns_of_a_csv_are_taken_by_their_usual_names_and_others_noted_or_refused(tmp_path: Path) -> None:
    spine = "study_id,series_id,image_id,rad_id,lesion_type,xmin,ymin,xmax,ymax\n"
    spine += "s,t,a,R1,Osteophytes,10,20,60,80\ns,t,a,R2,No finding,,,,\ns,t,b,R1,Surgical implant,,,,\n"
    found = read_annotations(write(tmp_path / "spine.csv", spine))
    assert {(a.image_id, a.reader, a.label, a.finding) for a in found} == {
        ("a", "R1", "Osteophytes", True), ("a", "R2", "No finding", False), ("b", "R1", "Surgical implant", True)
    }  # fmt: skip
    breast = "study_id,image_id,laterality,height,width,finding_categories,xmin,ymin,xmax,ymax,split\n"
    breast += (
        "s,a,L,900,800,\"['Mass', 'Asymmetry']\",1,2,30,40,training\ns,b,L,900,800,\"['No Finding']\",,,,,training\n"
    )
    left: list[LeftOut] = []
    found = read_annotations(write(tmp_path / "breast.csv", breast), left_out=left)
    assert {(a.image_id, a.label, a.finding) for a in found} == {
        ("a", "Mass", True), ("a", "Asymmetry", True), ("b", "No Finding", False)
    }  # fmt: skip
    assert [item.reason for item in left if "laterality" in item.reason] and not any(is_lost(i.reason) for i in left)
    plain = "image,x,y,width,height,class,rad_id\na.png,,,,,PNEUMONIA,R1\na.png,1,2,30,40,Mass,R2\n"
    found = read_annotations(write(tmp_path / "plain.csv", plain))
    assert {(a.label, a.reader, a.finding) for a in found} == {("PNEUMONIA", "R1", True), ("Mass", "R2", True)}
    with pytest.raises(AnnotationError, match="no label that is understood, and what_is_it 'PNEUMONIA'"):
        read_annotations(write(tmp_path / "b.csv", "image,x,y,width,height,what_is_it\na.png,,,,,PNEUMONIA\n"))
    coco = {"images": [{"id": 1, "file_name": "a.png"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [5, 5, 10, 20]}]}  # fmt: skip
    assert [a.label for a in read_annotations(write(tmp_path / "c.json", coco))] == ["3"]


# Yes, no and normal


def test_a_denied_finding_is_no_finding_and_a_bare_yes_or_no_is_refused(tmp_path: Path) -> None:
    head = "image,x,y,width,height,label\n"
    for label, expected in (
        ("No pneumonia", ("pneumonia", False)),
        ("No evidence of pneumonia", ("pneumonia", False)),
        ("None", ("None", False)),
        ("Normal chest", ("Normal chest", False)),
        ("Nodule", ("Nodule", True)),
    ):
        (found,) = table(tmp_path / "a.csv", f"{head}a.png,,,,,{label}\n")
        assert (found.label, found.finding) == expected
    for label in ("No", "Absent", "0", "Yes"):
        with pytest.raises(AnnotationError, match="names no finding"):
            table(tmp_path / "b.csv", f"{head}a.png,,,,,{label}\n")
    for label in ("Normal", "No pneumonia", "No finding"):
        with pytest.raises(AnnotationError, match="of a place that it marks"):
            table(tmp_path / "c.csv", f"{head}a.png,1,2,3,4,{label}\n")


def test_yes_and_no_take_the_name_of_their_question(tmp_path: Path) -> None:
    def question(name: str, answer: str) -> Any:
        return {"type": "choices", "from_name": name, "to_name": "image", "value": {"choices": [answer]}}

    studio = [question("pneumonia", "No"), question("effusion", "Yes"), question("quality", "Good")]
    small = {"id": 1, "image": "a.png", "pneumonia": "No", "effusion": "Yes", "annotator": 1, "annotation_id": 1}
    about = {"pneumonia": "no", "effusion": "yes", "caption": "x", "public_domain": "no", "image_url": "http://x"}
    via = {"filename": "a.png", "size": 1, "regions": [], "file_attributes": about}
    tag = '<tag label="{}"><attribute name="present">{}</attribute></tag>'
    cvat = '<annotations><image id="0" name="a.png" width="20" height="20">{}</image></annotations>'
    for file in (
        write(tmp_path / "a.json", [{"data": {"image": "a.png"}, "annotations": [{"result": studio}]}]),
        write(tmp_path / "b.json", [small]),
        write(tmp_path / "c.json", {"a.png1": via}),
        write(tmp_path / "d.xml", cvat.format(tag.format("pneumonia", "no") + tag.format("effusion", "yes"))),
    ):
        assert {(a.label, a.finding) for a in read_annotations(file)} == {("pneumonia", False), ("effusion", True)}
    with pytest.raises(AnnotationError, match="answers 'No' to 'choice', which names no finding"):
        studio = [question("choice", "No")]
        read_annotations(
            write(tmp_path / "e.json", [{"data": {"image": "a.png"}, "annotations": [{"result": studio}]}])
        )
    box = '<box label="Mass" xtl="1" ytl="1" xbr="9" ybr="9"><attribute name="present">false</attribute></box>'
    with pytest.raises(AnnotationError, match="'no Mass' of a place"):
        read_annotations(write(tmp_path / "f.xml", cvat.format(box)))


def test_eight_digits_before_a_name_are_no_upload_and_two_uploads_are_not_one_film(tmp_path: Path) -> None:
    data = Dataset((Record(Path("/films/001.png"), "001.png"),), ())
    head = "image,x,y,width,height,label,reader\n"
    with pytest.raises(AnnotationError, match=r"20240101-001.png matches no film"):
        table(tmp_path / "a.csv", f"{head}20240101-001.png,1,2,3,4,Mass,A\n", dataset=data)
    (found,) = table(tmp_path / "b.csv", f"{head}0a1b2c3d-001.png,1,2,3,4,Mass,A\n", dataset=data)
    assert found.image_id == "001.png"
    with pytest.raises(AnnotationError, match="both match the film"):
        rows = "0a1b2c3d-001.png,1,2,3,4,Mass,A\naaaaaaaa-001.png,5,6,7,8,Mass,B\n"
        table(tmp_path / "c.csv", head + rows, dataset=data)


# Numbers and sizes


def test_rounded_shares_thousands_and_names_with_commas(tmp_path: Path) -> None:
    head = "image,x,y,width,height,label\n"
    for numbers in ("0.5,0.5,0.5005,0.3", "0.7,0.9,0.9,0.5"):
        with pytest.raises(AnnotationError, match="coordinates='relative'"):
            table(tmp_path / "a.csv", f"{head}a.png,{numbers},Mass\n")
    semicolons = head.replace(",", ";")
    with pytest.raises(AnnotationError, match="1,024"):
        table(tmp_path / "b.csv", f"{semicolons}a.png;1,024;10;30;30;Mass\n")
    (found,) = table(tmp_path / "c.csv", f"{semicolons}12,5;1,024;10,5;30;30;Mass\n")
    assert found.image_id == "12,5" and found.regions[0].points is not None
    assert found.regions[0].points[0].tolist() == [1.024, 10.5]
    (tmp_path / "y").mkdir()
    write(tmp_path / "y" / "data.yaml", "names: ['Lung, left', \"Mass\", Nodule]\n")
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "y" / "a.png")
    rows = "0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.2 0.2\n"
    assert [a.label for a in table(tmp_path / "y" / "a.txt", rows)] == ["Lung, left", "Mass", "Nodule"]


def test_masks_of_one_file_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = {"size": [10, 10], "counts": [99, 1]}
    marks = [{"id": n, "image_id": 1, "category_id": 1, "segmentation": mask} for n in range(3)]
    coco = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "M"}], "annotations": marks}
    file = write(tmp_path / "a.json", coco)
    assert len(read_annotations(file)[0].regions) == 3
    monkeypatch.setattr("radiolucent.data.annotations.gather._MOST", 250)
    with pytest.raises(AnnotationError, match="annotation 2: the masks of this file have more than 250 pixels"):
        read_annotations(file)


@pytest.mark.parametrize(
    "text",
    [
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max,width,height\na,Mass,3,R1,10,20,30,40,2000,3000",
        "dicom_id,category_name,path,x,y,w,h,image_width,image_height\na,Mass,files/a.jpg,10,20,20,20,2000,3000",
        "filename,xmin,ymin,xmax,ymax,class,image_width,image_height\na,10,20,30,40,Mass,2000,3000",
        'image,bbox_xywh,label,width,height\na,"[10,20,20,20]",Mass,2000,3000',
    ],
)
def test_a_csv_tells_the_size_of_the_image_that_was_marked(tmp_path: Path, text: str) -> None:
    (found,) = table(tmp_path / "m.csv", text + "\n")
    assert found.image_shape == (3000, 2000) and found.regions[0].points.tolist() == [[10, 20], [30, 40]]


def test_folders_called_by_what_their_masks_are_of_are_no_readers(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:5, :5] = 255
    for name in ("leftMask", "lung masks", "infection masks", "Dr A"):
        (tmp_path / name).mkdir()
        Image.fromarray(mask).save(tmp_path / name / "a.png")
    found = {(a.reader, a.label) for a in read_annotations(tmp_path)}
    assert found == {("reader", n) for n in ("leftMask", "lung masks", "infection masks")} | {("Dr A", None)}
