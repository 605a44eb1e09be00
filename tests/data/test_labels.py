"""Several labels a film: manifests as they are published, what is unknown, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radiolucent.data import LabelOptions, check, load_dataset, of_label, split_dataset, write_manifest
from radiolucent.data.multilabel import match_labels
from radiolucent.data.phantom import FINDINGS, SeveralConfig, generate_several
from radiolucent.data.records import NOT_GIVEN, UNCERTAIN
from radiolucent.data.relabel import relabel
from radiolucent.errors import ConfigError, DataError


def film(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(str(path))).integers(0, 255, (16, 16), np.uint8)).save(path)


def manifest(folder: Path, text: str, name: str = "manifest.csv", films: int = 0) -> Path:
    for k in range(films):
        film(folder / f"{k}.png")
    (folder / name).write_text(text)
    return folder / name


def values(data, name: str) -> list[int]:
    return [r.findings[data.class_names.index(name)] for r in data.records]


def test_nih(tmp_path: Path) -> None:
    """Header and cells as in Data_Entry_2017.csv, whose last two headings hold commas, and which ends in one."""
    for name in ("images_001/images/00000001_000.png", "images_001/images/00000002_000.png", "images_002/images/3.png"):
        film(tmp_path / name)
    file = manifest(
        tmp_path,
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
        "00000001_000.png,Cardiomegaly|Effusion,0,1,58,M,PA,2682,2749,0.143,0.143,\n"
        "00000002_000.png,No Finding,0,2,81,M,PA,2500,2048,0.171,0.171,\n"
        "00000009_000.png,Hernia,0,9,81,M,PA,2500,2048,0.171,0.171,\n",
        "Data_Entry_2017.csv",
    )  # fmt: skip
    (tmp_path / "test_list.txt").write_text("00000002_000.png\n")
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\n")
    found = load_dataset(file)
    assert found.multilabel and len(found.class_names) == 14 and len(found) == 2
    assert values(found, "Effusion") == [1, 0] and values(found, "Cardiomegaly") == [1, 0]
    assert values(found, "Hernia") == [0, 0]
    assert [r.split for r in found.records] == ["train", "test"]
    first = found.records[0]
    assert (first.patient_id, first.extra["sex"], first.extra["age"], first.extra["view"]) == ("1", "M", "58", "PA")
    assert first.image_id == "images_001/images/00000001_000.png" and first.path.is_file()
    assert any("1 of the 3 films" in item.reason for item in found.left_out)
    with pytest.raises(DataError, match="no label Effusions there"):
        load_dataset(file, labels=LabelOptions(("Effusions",)))


CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Pleural Effusion,"
    "Support Devices\n"
)


def test_chexpert(tmp_path: Path) -> None:
    base = "CheXpert-v1.0-small/train"
    for k in (1, 2, 3):
        film(tmp_path / base / f"patient0000{k}/study1/view1_frontal.jpg")
    file = manifest(
        tmp_path / "CheXpert-v1.0-small",
        CHEXPERT
        + f"{base}/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,1.0\n"
        + f"{base}/patient00002/study1/view1_frontal.jpg,Female,87,Frontal,AP,,-1.0,1.0,-1.0,\n"
        + f"{base}/patient00003/study1/view1_frontal.jpg,Male,20,Frontal,PA,,,0.0,1.0,\n",
        "train.csv",
    )
    found = load_dataset(file)
    assert found.class_names == ("Enlarged Cardiomediastinum", "Cardiomegaly", "Pleural Effusion", "Support Devices")
    assert values(found, "Cardiomegaly") == [0, 1, 0]  # no finding says that it is not there
    assert values(found, "Pleural Effusion") == [0, UNCERTAIN, 1]
    assert values(found, "Support Devices") == [1, NOT_GIVEN, NOT_GIVEN]  # of these it says nothing
    assert [r.patient_id for r in found.records] == ["patient00001", "patient00002", "patient00003"]
    assert found.labels.min() == -1 and any("No Finding = 1" in note for note in found.notes)
    ones = load_dataset(file, labels=LabelOptions(uncertain="ones", not_given="zeros"))
    assert values(ones, "Pleural Effusion") == [0, 1, 1] and values(ones, "Support Devices") == [1, 0, 0]
    assert any("uncertain labels are read as with it" in note for note in ones.notes)
    chosen = load_dataset(file, labels=LabelOptions(("pleural_effusion", "CARDIOMEGALY")))
    assert chosen.class_names == ("Pleural Effusion", "Cardiomegaly")


def test_vindr_by_its_readers(tmp_path: Path) -> None:
    for name in ("9a5094b2563a1ef3ff50dc5c7ff71345", "051132a778e61a86eb147c7c6f564dfe"):
        film(tmp_path / "train" / f"{name}.png")
    a, b = "9a5094b2563a1ef3ff50dc5c7ff71345", "051132a778e61a86eb147c7c6f564dfe"
    file = manifest(
        tmp_path,
        "image_id,rad_ID,Aortic enlargement,Cardiomegaly,Pleural effusion,Other diseases,No finding\n"
        f"{a},R11,1,1,0,0,0\n{a},R8,1,0,0,0,0\n{a},R10,0,0,1,0,0\n{b},R1,0,0,0,0,1\n{b},R2,0,1,0,0,0\n",
        "image_labels_train.csv",
    )
    found = load_dataset(file)
    assert values(found, "Aortic enlargement") == [1, 0] and values(found, "Pleural effusion") == [0, 0]
    assert values(found, "Cardiomegaly") == [0, UNCERTAIN]  # two of three, and one of two
    assert "No finding" not in found.class_names and any("most of its readers" in note for note in found.notes)
    boxes = manifest(tmp_path, f"image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n{a},R1,Mass,1,1,5,5\n", "b.csv")
    with pytest.raises(DataError, match="--annotations"):
        load_dataset(boxes)


def test_rsna_and_mimic_as_they_are_published(tmp_path: Path) -> None:
    films = ("images/a.dcm", "images/b.dcm", "again/b.dcm", "files/p1/p10/s7/x.jpg", "files/p1/p10/s7/y.jpg")
    for name in films:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rows = "a,1,2,3,4,1\na,5,6,7,8,1\nb,,,,,0\nc,,,,,0\n"
    (tmp_path / "stage_2_train_labels.csv").write_text(f"patientId,x,y,width,height,Target\n{rows}")
    found = load_dataset(tmp_path / "stage_2_train_labels.csv")
    assert [(r.image_id, r.patient_id, r.findings) for r in found.records] == [
        ("images/a.dcm", "a", (1,)), ("again/b.dcm", "b", (0,)),
    ]  # fmt: skip
    assert any("1 films stand in several folders" in note for note in found.notes)
    assert "1 of the 3 films" in found.left_out[0].reason
    rows = "10,7,1.0,-1.0,\n11,8,,,1.0\n"
    (tmp_path / "chexpert.csv").write_text(f"subject_id,study_id,Edema,Mass,No Finding\n{rows}")
    found = load_dataset(tmp_path / "chexpert.csv")
    assert [(r.path.name, r.patient_id, r.findings) for r in found.records] == [
        ("x.jpg", "10", (1, -1)), ("y.jpg", "10", (1, -1)),
    ]  # fmt: skip
    (tmp_path / "own.csv").write_text("Image,patientId,Target,split\nimages/a.dcm,7,1,train\nagain/b.dcm,8,0,test\n")
    (tmp_path / "own2.csv").write_text("File Name,subject_id,study_id,Edema,No Finding\nimages/a.dcm,7,1,1,0\n")
    for name, split in (
        ("own.csv", "train"),
        ("own2.csv", None),
    ):  # a manifest of one's own, with some of their columns
        first = load_dataset(tmp_path / name).records[0]
        assert (first.image_id, first.patient_id, first.split) == ("images/a.dcm", "7", split)


def test_padchest(tmp_path: Path) -> None:
    for k in range(6):
        film(tmp_path / f"0/{k}.png")
    head = ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientSex_DICOM,Projection,Labels\n"
    file = manifest(
        tmp_path,
        head
        + "0,0.png,0,20140915,s,pa,F,PA,\"['pleural effusion', 'cardiomegaly']\"\n"
        + "1,1.png,0,20140915,s,pb,F,PA,['normal']\n"
        + "2,2.png,0.0,20140915,s,pc,F,PA,['unchanged']\n"
        + "3,3.png,0,20140915,s,pd,F,PA,\"['pleural effusion', 'exclude']\"\n"
        + "4,4.png,0,20140915,s,pe,F,PA,\"['normal', 'unchanged']\"\n"
        + "5,5.png,0,20140915,s,pf,F,PA,\"[' cardiomegaly', 'normal', 'suboptimal study']\"\n",
        "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
    )
    found = load_dataset(file, labels=LabelOptions(("pleural effusion", "cardiomegaly")))
    assert values(found, "pleural effusion") == [1, 0, NOT_GIVEN, NOT_GIVEN, 0, 0]
    assert values(found, "cardiomegaly") == [1, 0, NOT_GIVEN, NOT_GIVEN, 0, 1]
    assert [r.patient_id for r in found.records] == ["pa", "pb", "pc", "pd", "pe", "pf"]
    assert any("normal beside a finding" in note for note in found.notes)
    bad = manifest(tmp_path, head + '0,0.png,0,x,s,pa,F,PA,"[\'pleural effusion"\n', "bad.csv")
    with pytest.raises(DataError, match=r"line 2.*list that cannot be read"):
        load_dataset(bad)


def test_columns_and_lists_of_ones_own(tmp_path: Path) -> None:
    file = manifest(tmp_path, "path,patient_id,effusion,mass,age\n0.png,a,1,-1,40\n1.png,b,,0,50\n", films=2)
    found = load_dataset(tmp_path)
    assert found.multilabel and found.class_names == ("effusion", "mass") and found.records[0].extra == {"age": "40"}
    assert [r.findings for r in found.records] == [(1, UNCERTAIN), (NOT_GIVEN, 0)]
    listed = manifest(tmp_path, "path,label\n0.png,effusion|mass\n1.png,No Finding\n", "listed.csv")
    assert [r.findings for r in load_dataset(listed).records] == [(1, 1), (0, 0)]
    again = write_manifest(found, tmp_path / "again.csv")
    assert [r.findings for r in load_dataset(again).records] == [r.findings for r in found.records]
    parquet = write_manifest(found, tmp_path / "again.parquet")
    assert [r.findings for r in load_dataset(parquet).records] == [r.findings for r in found.records]
    with pytest.raises(ConfigError, match="give one of the two"):
        load_dataset(file, classes="mass", labels=LabelOptions(("mass",)))
    alone = load_dataset(file, classes="mass")  # as two classes: what is uncertain has none
    assert alone.class_names == ("no mass", "mass") and not alone.multilabel
    assert [r.label for r in alone.records] == [None if v < 0 else v for v in (UNCERTAIN, 0)]
    assert any("1 films on which it is uncertain" in note for note in alone.notes)
    for heading in ("Finding Labels", "findings"):
        text = f"path,{heading},view\n0.png,effusion|mass,ap\n1.png,No Finding,pa\n"
        other = manifest(tmp_path, text, "other.csv")
        if heading == "Finding Labels":
            assert [r.findings for r in load_dataset(other).records] == [(1, 1), (0, 0)]
        else:
            with pytest.raises(DataError, match="lists several labels"):
                load_dataset(other, classes=heading)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("path,effusion,mass\n0.png,1,2\n1.png,0,1\n", ("effusion", "mass"), "line 2: mass is '2'; expected 1"),
        ("path,effusion,mass\n0.png,1,perhaps\n1.png,0,1\n", ("effusion", "mass"), "'perhaps'"),
        ("path,effusion,Effusion\n0.png,1,1\n1.png,0,1\n", ("effusion",), "of one label"),
        (
            "path,effusion,mass\n0.png,1,1\n1.png,0,1\n",
            ("effusion", "nodule"),
            "no label nodule there; it has effusion, mass",
        ),
        ("path,effusion,mass\n0.png,1,1\n1.png,0,1\n", ("nodule",), "no column nodule"),
        ("path,label\n0.png,mass|No Finding\n1.png,mass\n", (), "line 2: label is 'mass|No Finding'"),
        ("path,No Finding,mass,edema\n0.png,1,1,0\n1.png,,0,1\n", (), "No Finding is 1, and so is mass"),
    ],
)
def test_what_is_no_label_is_refused_by_its_place(tmp_path: Path, text: str, options: tuple, message: str) -> None:
    file = manifest(tmp_path, text, films=2)
    with pytest.raises(DataError, match=message):
        load_dataset(file, labels=LabelOptions(options))


def test_a_split_by_patient_with_labels_in_each(tmp_path: Path) -> None:
    config = SeveralConfig(patients=60, films=2, size=64, uncertain=0.1, not_given=0.1)
    drawn = generate_several(tmp_path, config, workers=1)
    assert drawn.class_names == FINDINGS and (drawn.labels == -1).mean() == pytest.approx(0.2, abs=0.06)
    loose = dataclasses.replace(drawn, records=tuple(dataclasses.replace(r, split=None) for r in drawn.records))
    found = split_dataset(loose, val=0.2, test=0.2)
    where = {}
    for r in found.records:
        where.setdefault(r.patient_id, set()).add(r.split)
    assert all(len(splits) == 1 for splits in where.values())
    assert all(min(found.counts()[split].values()) > 0 for split in ("train", "val", "test"))
    tests = {f.test for f in check(found)}
    assert {f"prevalence.shift [{name}]" for name in FINDINGS} <= tests and "duplicates.exact" in tests
    one = of_label(found, "effusion")
    assert one.class_names == ("no effusion", "effusion") and not one.multilabel
    assert all((r.label is None) == (f.findings[1] < 0) for r, f in zip(one.records, found.records, strict=True))
    assert all(r.split is None for r in one.records if r.label is None)
    moved = match_labels(found, ("Cardiomegaly", "hernia"))
    assert moved.records[0].findings == (found.records[0].findings[2], NOT_GIVEN)
    with pytest.raises(DataError, match="several labels"):
        relabel(found, ("NORMAL", "PNEUMONIA"))
    never = tuple(dataclasses.replace(r, findings=(*r.findings[:2], 0)) for r in loose.records)
    with pytest.raises(DataError, match="no training film with cardiomegaly"):
        split_dataset(dataclasses.replace(loose, records=never))
