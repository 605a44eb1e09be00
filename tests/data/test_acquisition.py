"""What headers say of how films were taken."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset as Item
from pydicom.sequence import Sequence

from radiolucent.data import check, load_dataset
from radiolucent.images import read
from support.films import write_dicom


def test_views_by_their_code_and_text_in_the_picture(tmp_path: Path) -> None:
    def view(words: str) -> Sequence:
        item = Item()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "399067008", "SCT", words
        return Sequence([item])

    rng = np.random.default_rng(0)
    tags: dict[str, dict[str, object]] = {
        "pa": {"ViewCodeSequence": view("postero-anterior")},
        "side": {"ViewCodeSequence": view("lateral projection")},
        "written": {"BurnedInAnnotation": "YES", "ViewPosition": "PA"},
        "not": {"BurnedInAnnotation": "NO"},
    }
    for name, own in tags.items():
        write_dicom(tmp_path / f"{name}.dcm", rng.integers(0, 4095, (16, 16)), PatientID=name, **own)
    found = {f.test: f.evidence for f in check(load_dataset(tmp_path))}
    assert found["films.laterals"]["films"] == ["side.dcm"]
    assert found["films.burned_in"]["films"] == ["written.dcm"]
    assert any("BurnedInAnnotation" in note for note in read(tmp_path / "written.dcm").notes)
    assert not any("BurnedInAnnotation" in note for note in read(tmp_path / "not.dcm").notes)


def test_pictures_that_differ_under_one_uid_are_found_and_copies_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 4095, (96, 96)) for _ in range(3)]
    for name, picture, uid in (("a", 0, "1.2.3"), ("b", 1, "1.2.3"), ("c", 2, "1.2.4"), ("copy", 2, "1.2.4")):
        write_dicom(tmp_path / f"{name}.dcm", pixels[picture], PatientID=name, SOPInstanceUID=uid)
    (found,) = (f for f in check(load_dataset(tmp_path)) if f.test == "films.uid")
    assert found.verdict == "fail" and found.evidence["films"] == ["a.dcm", "b.dcm"]
    (tmp_path / "b.dcm").unlink()
    assert next(f for f in check(load_dataset(tmp_path)) if f.test == "films.uid").verdict == "pass"
