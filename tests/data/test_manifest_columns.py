"""Manifests as people have them: other names of columns, other case, semicolons."""

import gzip
from pathlib import Path

import pytest

from radiolucent.data import find_films, load_dataset, split_dataset
from radiolucent.data.records import is_lost
from radiolucent.data.trained_on import films_of_run
from radiolucent.errors import DataError


@pytest.mark.parametrize(
    ("heading", "read_as"),
    [
        ("Path;Label;Patient ID;Split", ["patient_id", "path", "label", "split"]),
        ("\ufeffIMAGE_PATH\tClass\tSubject\tsplit", ["path", "label", "patient_id"]),
        ("filename, Label ,patientId,SPLIT", ["path", "label", "patient_id", "split"]),
        ("path,label,patient_id,split", []),
    ],
)
def test_usual_names_are_understood_and_noted(heading: str, read_as: list[str], tmp_path: Path) -> None:
    separator = next(s for s in ",;\t" if s in heading)
    lines = [
        heading,
        *(separator.join(cells) for cells in (("a.png", "NORMAL", "p1", "train"), ("b, c.png", "ILL", "p2", "test"))),
    ]
    (tmp_path / "m.csv").write_text("\n".join(lines).replace("b, c", "b"), encoding="utf-8")
    found = load_dataset(tmp_path / "m.csv")
    assert [(r.image_id, r.label, r.patient_id, r.split) for r in found.records] == [
        ("a.png", 1, "p1", "train"), ("b.png", 0, "p2", "test"),
    ]  # fmt: skip
    assert sorted(n.rsplit(" ", 1)[-1] for n in found.notes if "is read as" in n) == sorted(read_as)


def test_a_column_of_the_name_goes_first_and_two_that_may_be_it_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label,patient_id,Subject\na.png,N,p1,s1\n")
    one = load_dataset(tmp_path / "m.csv").records[0]
    assert one.patient_id == "p1" and one.column("Subject") == "s1"
    (tmp_path / "m.csv").write_text("path,label,Patient,Subject\na.png,N,p1,s1\n")
    with pytest.raises(DataError, match="Patient and Subject may both be the column 'patient_id'"):
        load_dataset(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("content", "classes", "labels"),
    [
        ("path,label\na.png,Pneumonia\nb.png,pneumonia \nc.png,NORMAL\n", ("NORMAL", "Pneumonia"), [1, 1, 0]),
        ("path,label\na.png,1.0\nb.png,0\nc.png,1\n", ("0", "1"), [1, 0, 1]),
        ("path,label\na.png,NaN\nb.png,N\nc.png,NA\n", ("N",), [None, 0, None]),
        ("path,label\na.png,-1\nb.png,1\nc.png,0\n", ("0", "1"), [None, 1, 0]),
        ("path,label\na.png,-1\nb.png,1\nc.png,1.0\n", ("-1", "1"), [0, 1, 1]),
        ('sep=;\n"path";"label"\n"a.png";"N"\n"b.png";"P"\n', ("N", "P"), [0, 1]),
        ("path,label\ra.png,N\rb.png,P\r", ("N", "P"), [0, 1]),
        ("path\tlabel\na.png\tN\n.\\b.png\tP\n", ("N", "P"), [0, 1]),
        ("path;label;age\na.png;1,0;0,5\nb.png;0,0;1,5\nc.png;1;3\n;;\n;;\n", ("0", "1"), [1, 0, 1]),
        ("path,label\n a.png ,N\nb.png,Ru\u0308ck\nc.png,R\u00fcck\n", ("N", "R\u00fcck"), [0, 1, 1]),
    ],
)
@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_cells_mean_what_they_say_however_they_are_written(
    tmp_path: Path, content: str, classes: tuple[str, ...], labels: list[int | None], coding: str
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    (tmp_path / "m.csv").write_text(content, encoding=coding)
    found = load_dataset(tmp_path / "m.csv")
    assert (found.class_names, [r.label for r in found.records]) == (classes, labels)
    assert all(r.path.is_file() for r in found.records)


def test_label_columns_take_yes_and_decimal_commas_and_one_patient_is_one(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path;Edema;Mass;Patient;split\na.png;yes;0,0;12.0;Train\nb.png;no;1,0; 12;Valid\n")
    found = load_dataset(tmp_path / "m.csv")
    assert found.class_names == ("Edema", "Mass") and [r.findings for r in found.records] == [(1, 0), (0, 1)]
    assert [(r.patient_id, r.split) for r in found.records] == [("12", "train"), ("12", "val")]
    (tmp_path / "split.csv").write_text("path,patient_id,split\nz.png,12.0,train\n")  # as earlier versions wrote it
    learned = films_of_run(tmp_path)
    assert learned is not None and len(learned.among(found.records).films) == 2
    (tmp_path / "m.csv").write_text(f"path,grade\na.png,1.0\n{'ä' * 300}.png,2.0\n")  # a name that is too long
    assert load_dataset(tmp_path / "m.csv", classes="grade").class_names == ("1", "2")
    (tmp_path / "m.csv").write_text("path,label\na.png,Mass;Nodule\nb.png,No finding\n")
    assert [r.findings for r in load_dataset(tmp_path / "m.csv").records] == [(1, 1), (0, 0)]
    (tmp_path / "m.csv").write_text("path,label\n./a.png,N\na.png,P\n")
    with pytest.raises(DataError, match=r"line 3: a\.png stands in line 2 already"):
        load_dataset(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("names", "classes", "splits", "note"),
    [
        (
            ("train/NORMAL/a", "train/ILL/b", "test/normal/c", "test/Ill /d"),
            ("ILL", "NORMAL"),
            "train test",
            "one class",
        ),
        (("Training/N/a", "Training/P/b", "Testing/N/c", "Testing/P/d"), ("N", "P"), "train test", ""),
        (("N/images/a", "N/Masks/a", "P/images/b", "P/lung masks/b"), ("N", "P"), "", ""),
        (("N/a", "P/b", "oxygen mask/c"), ("N", "P"), "", ""),
        (("Test Set/N/a", "Test Set/P/b", "train_data/N/c", "train_data/P/d"), ("N", "P"), "train test", ""),
        (("train/train/N/a", "train/train/P/b"), ("N", "P"), "train", ""),
        (("N/a", "N/a_mask", "P/b (1)", "P/b (1)_mask_1"), ("N", "P"), "", ""),
        (("images/train/a", "images/val/b", "labels/a"), (), "train val", ""),
        (("fold1/N/a", "fold1/P/b", "fold2/N/c", "fold2/P/d"), ("fold1", "fold2"), "", "if these are the classes"),
    ],
)
def test_folders_as_they_are_published(
    tmp_path: Path, names: tuple[str, ...], classes: tuple[str, ...], splits: str, note: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}{'.txt' if name.startswith('labels') else '.png'}").write_text("0 .5 .5 .1 .1")
    found = load_dataset(tmp_path)
    assert found.class_names == classes and " ".join(found.splits) == splits
    assert not any("ask" in r.image_id for r in found.records)
    masks = {Path(name).parent.name for name in names if "ask" in name}
    assert {item.path.name for item in found.left_out if "rename" in item.reason} == masks, "told, not hidden"
    assert any(note in n for n in found.notes) if note else not found.notes
    assert "fold" in names[0] or all(r.patient_id is None for r in found.records)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("train/N/a", "train/P/b", "dev/N/c", "dev/P/d"), "folder dev stands where classes do"),
        (("train/images/N/a", "train/images/P/b", "train/labels/N/a"), "folder labels stands where classes do"),
        (("train/test/a", "train/valid/b"), "folder test is called as a split is"),
    ],
)
def test_a_folder_that_is_no_class_is_refused_by_name(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.png").touch()
    with pytest.raises(DataError, match=said):
        load_dataset(tmp_path)
    films = {tmp_path / f"{name}.png" for name in names}
    assert set(find_films([tmp_path])[0]) == films, "what needs no class takes them all"


def test_folders_that_count_as_patients_are_told_unless_their_names_say_so(tmp_path: Path) -> None:
    for folder in ("plain/A/ward 1", "plain/A/ward 2", "plain/B/ward 3", "named/A/patient1", "named/B/patient2"):
        (tmp_path / folder).mkdir(parents=True)
        for k in range(3):
            (tmp_path / folder / f"{k}.png").touch()
    plain, named = load_dataset(tmp_path / "plain"), load_dataset(tmp_path / "named")
    assert {r.patient_id for r in plain.records} == {"ward 1", "ward 2", "ward 3"} and not named.notes
    assert plain.notes[0].startswith("3 folders below a class (ward 1, ward 2, ward 3) count as one patient each")


@pytest.mark.parametrize("packed", [False, True])
def test_the_splits_that_mimic_publishes_beside_its_labels_are_taken(tmp_path: Path, packed: bool) -> None:
    for study in ("s50", "s51", "s52"):
        (tmp_path / "files" / "p10" / study).mkdir(parents=True)
        (tmp_path / "files" / "p10" / study / f"film-{study}.jpg").touch()
    manifest = tmp_path / "mimic-cxr-2.0.0-chexpert.csv"
    manifest.write_text("subject_id,study_id,Atelectasis,Edema,No Finding\n10,50,1.0,,\n11,51,,1.0,\n12,52,,1.0,\n")
    assert {r.split for r in load_dataset(manifest).records} == {None}
    rows = "dicom_id,study_id,subject_id,split\nfilm-s50,50,10,train\nfilm-s51,51,11,validate\nfilm-s52,52,12,test\n"
    beside = tmp_path / f"mimic-cxr-2.0.0-split.csv{'.gz' if packed else ''}"
    beside.write_bytes(gzip.compress(rows.encode()) if packed else rows.encode())
    found = load_dataset(manifest)
    assert [r.split for r in found.records] == ["train", "val", "test"]
    assert f"splits as in {beside.name}" in found.notes


def test_films_of_mimic_that_are_called_alike_are_told_apart_by_their_study(tmp_path: Path) -> None:
    for study in ("s50", "s51"):
        (tmp_path / "p10" / study).mkdir(parents=True)
        (tmp_path / "p10" / study / "1.jpg").touch()
    head = "subject_id,study_id,Atelectasis,Edema,No Finding\n"
    (tmp_path / "mimic.csv").write_text(f"{head}10,50,1.0,,\n10,51,,1.0,\n")
    found = load_dataset(tmp_path / "mimic.csv")
    assert [(r.image_id, r.findings[0] == 1) for r in found.records] == [
        ("p10/s50/1.jpg", True),
        ("p10/s51/1.jpg", False),
    ]
    assert not found.left_out


def test_a_quote_that_is_not_closed_swallows_no_lines(tmp_path: Path) -> None:
    for end in ("B\nc.png,A\n", 'B\nc.png,"A"\n'):
        (tmp_path / "m.csv").write_text('path,label\na.png,"A\nb.png,' + end)
        with pytest.raises(DataError, match="not readable as a manifest"):
            load_dataset(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text('path,label,note\na.png,A,5" wide\nb.png,B,"5" wide\n')
    with pytest.raises(DataError, match=r"in line 3, or above it, are not closed, or stand within a cell"):
        load_dataset(tmp_path / "m.csv")


def test_a_manifest_that_is_cut_short_is_refused_and_short_lines_are_noted(tmp_path: Path) -> None:
    text = "path,label,patient_id\na.png,A,p1\nb.png,B,\nc.png,A,p2\n"
    (tmp_path / "m.csv").write_text(text.replace("B,", "B"))
    note = "1 lines (first: 3) have fewer cells than the heading: the rest is empty"
    assert note in load_dataset(tmp_path / "m.csv").notes
    (tmp_path / "m.csv").write_text(text[:-4])
    with pytest.raises(DataError, match="cut short within its last line, 4"):
        load_dataset(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text(text[:-1])  # a last line without its end is whole
    assert len(load_dataset(tmp_path / "m.csv").records) == 3


def test_blanks_around_a_heading_are_no_part_of_a_labels_name(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path , effusion,mass \na.png,1,0\nb.png,0,1\n")
    assert load_dataset(tmp_path / "m.csv").class_names == ("effusion", "mass")


UUID = "id_0a0a0c5e-0000-4000-8000-00000000000"
PADCHEST = "ImageID,ImageDir,PatientID,Labels\n"


@pytest.mark.parametrize(
    ("names", "beside", "patients", "splits", "note"),
    [
        ("train/patient01/study1/v train/patient02/study1/v valid/patient64/study1/v", {},
         "patient01 patient02 patient64", "train train val", "called as patients"),
        ("patient01/study1/v patient02/study1/v", {}, "patient01 patient02", "- -", "called as patients"),
        ("sub-S01/ses-E1/mod-rx/a sub-S02/ses-E2/mod-rx/b", {}, "sub-S01 sub-S02", "- -", "called as patients"),
        ("p10/p10000032/s504/a p11/p11000011/s510/b", {}, "p10000032 p11000011", "- -", "called as patients"),
        ("files/p10/p10000032/s5/a files/p10/p10000099/s6/b", {}, "p10000032 p10000099", "- -", ""),
        ("images_001/images/a images_002/images/b", {}, "- -", "- -", "--classes 'images_001,images_002'"),
        ("case0/a case1/b", {}, "case0 case1", "- -", "if these are the classes, say --classes 'case0,case1'"),
        (f"images/{UUID}0/Study_1.5/Series_1.2/a images/{UUID}1/Study_2.5/Series_1.2/b", {}, f"{UUID}0 {UUID}1", "- -",
         "called as patients"),
        ("stage_2_train_images/a stage_2_test_images/b", {}, "- -", "test train", ""),
        ("dicom-images-train/1.2.276.0.7.1/1.2.276.0.7.2/a dicom-images-test/1.2.276.0.8.1/1.2.276.0.8.2/b", {},
         "1.2.276.0.8.1 1.2.276.0.7.1", "test train", "called as patients or studies"),
        ("0/a 1/b 2/c", {"P.csv": PADCHEST}, "- - -", "- - -", "the manifest of PadChest"),
        ("0/a 1/b", {"P.csv.gz": PADCHEST}, "- -", "- -", "give it, unpacked, as data"),
        ("A/a B/b", {"train.csv": "Path,Sex,Age,No Finding\n"}, "- -", "- -", "train.csv is the manifest"),
    ],
)  # fmt: skip
def test_folders_of_patients_studies_and_stages_are_no_classes(
    tmp_path: Path, names: str, beside: dict[str, str], patients: str, splits: str, note: str
) -> None:
    for name in names.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.png").touch()
    for name, text in beside.items():
        content = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = load_dataset(tmp_path)
    assert found.class_names == () and {r.label for r in found.records} == {None}
    assert " ".join(r.patient_id or "-" for r in found.records) == patients
    assert " ".join(r.split or "-" for r in found.records) == splits
    assert note in " ".join(found.notes)
    with pytest.raises(DataError, match=note or "class folders"):  # the error says what the note does
        split_dataset(found)


@pytest.mark.parametrize("pair", ["case0 case1", "P10 P20", "s01 s02", "images1 images2", "all/images1 all/images2"])
def test_classes_that_are_called_as_patients_or_files_are_classes_where_asked_for(tmp_path: Path, pair: str) -> None:
    for folder in pair.split():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.png").touch()
    names = [Path(folder).name for folder in pair.split()]
    plain = load_dataset(tmp_path, classes=",".join(names))
    joined = load_dataset(tmp_path, classes=f"WELL={names[0]},ILL={names[1].upper()}")
    assert plain.class_names == tuple(names) and joined.class_names == ("WELL", "ILL")
    for found in (plain, joined, load_dataset(tmp_path, known=names)):
        assert [(r.label, r.patient_id) for r in found.records] == [(0, None), (1, None)]


def test_an_archives_own_folder_around_the_classes_is_no_class_and_they_are_no_patients(tmp_path: Path) -> None:
    for name in ("COVID/images/a", "Normal/images/b", "Normal/images/c", "Viral Pneumonia/images/d"):
        (tmp_path / "COVID-19_Radiography_Dataset" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "COVID-19_Radiography_Dataset" / f"{name}.png").touch()
    found = load_dataset(tmp_path)
    assert found.class_names == ("COVID", "Normal", "Viral Pneumonia")
    assert [(r.label, r.patient_id) for r in found.records] == [(0, None), (1, None), (1, None), (2, None)]


def test_classes_called_by_numbers_are_noted_since_archives_deal_files_out_so(tmp_path: Path) -> None:
    for name in ("0/a", "1/b", "2/c"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.png").touch()
    assert any("as PadChest's" in note for note in load_dataset(tmp_path).notes)
    (tmp_path / "2" / "c.png").unlink()
    assert not any("PadChest" in note for note in load_dataset(tmp_path).notes)


def test_folders_of_classes_beside_a_published_manifest_stay_classes(tmp_path: Path) -> None:
    for name in ("NORMAL/a", "PNEUMONIA/b", "PNEUMONIA/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.png").touch()
    (tmp_path / "stage_2_train_labels.csv").write_text("patientId,x,y,width,height,Target\n")
    found = load_dataset(tmp_path)
    assert found.class_names == ("NORMAL", "PNEUMONIA") and [r.label for r in found.records] == [0, 1, 1]
    assert "stage_2_train_labels.csv, the manifest of RSNA Pneumonia, is not read" in found.notes[0]


def test_what_lies_beside_published_films_is_no_film_and_no_loss(tmp_path: Path) -> None:
    for name in ("COVID/images/COVID-1.png", "Normal/images/Normal-1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for name in ("COVID.metadata.xlsx", "metadata.csv.gz", "findings.docx"):
        (tmp_path / name).write_bytes(b"PK\x03\x04" + b"0" * 60 if name[-1] == "x" else gzip.compress(b"a,b"))
    (tmp_path / "NLM-MontgomeryCXRSet-ReadMe.pdf").write_bytes(b"%PDF-1.4")
    found = load_dataset(tmp_path)
    assert [r.path.stem for r in found.records] == ["COVID-1", "Normal-1"] and found.class_names == ("COVID", "Normal")
    assert len(found.left_out) == 4 and not any(is_lost(item.reason) for item in found.left_out)
    with pytest.raises(DataError, match="is packed; unpack it"):
        load_dataset(tmp_path / "metadata.csv.gz")


def test_the_kermany_names_of_2018_tell_patients_and_etiologies(tmp_path: Path) -> None:
    for name in ("NORMAL/NORMAL-1003233-0001", "PNEUMONIA/BACTERIA-1008087-0001", "PNEUMONIA/BACTERIA-1008087-0002",
                 "PNEUMONIA/VIRUS-1009632-0001"):  # fmt: skip
        file = tmp_path / "train" / f"{name}.jpeg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found = load_dataset(tmp_path, classes=3)
    assert [r.patient_id for r in found.records] == ["1003233", "1008087", "1008087", "1009632"]
    assert [found.class_names[r.label or 0] for r in found.records] == ["NORMAL", "BACTERIAL", "BACTERIAL", "VIRAL"]


def test_verdicts_in_the_names_of_studies_are_noted(tmp_path: Path) -> None:
    for name in ("XR_ELBOW/patient00011/study1_negative", "XR_HAND/patient00011/study1_positive"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "image1.png").touch()
    found = load_dataset(tmp_path)
    assert found.class_names == ("XR_ELBOW", "XR_HAND") and {r.patient_id for r in found.records} == {"patient00011"}
    assert any("study1_negative and study1_positive may tell the classes" in note for note in found.notes)


def test_splits_under_another_name_and_patients_spelt_otherwise(tmp_path: Path) -> None:
    rows = ["a.png,x,TRAIN,P01", "b.png,y,TEST,1.23457E+11", "c.png,x,TRAIN,p01"]
    (tmp_path / "m.csv").write_text("path,label,Dataset_type,patient_id\n" + "\n".join(rows) + "\n")
    found = load_dataset(tmp_path / "m.csv")
    assert [r.split for r in found.records] == ["train", "test", "train"]
    assert [r.patient_id for r in found.records] == ["P01", "1.23457E+11", "P01"]
    notes = "; ".join(found.notes)
    for words in ("'Dataset_type' is read as split", "'p01' and 'P01' are taken for one patient", "has shortened"):
        assert words in notes, words
    (tmp_path / "m.csv").write_text("path,set,fold\na.png,train,test\nb.png,test,train\n")  # which of the two?
    found = load_dataset(tmp_path / "m.csv")
    assert [r.split for r in found.records] == [None, None] and "columns set, fold tell splits" in found.notes[0]
