"""Whose films they are."""

import gzip
import os
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from radiolucent.data import Dataset, Record, load_dataset, split_dataset
from radiolucent.data.trained_on import TrainingFilms
from radiolucent.errors import DataError
from support.films import write_dicom


def film(path: Path, patient: str | None, **tags: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(path.name.encode())).integers(0, 4095, (8, 8)).astype(np.uint16)
    write_dicom(path, pixels, **({} if patient is None else {"PatientID": patient}), **tags)


def patients_of(folder: Path) -> dict[str, str | None]:
    return {r.image_id.split("/")[-1]: r.patient_id for r in load_dataset(folder).records}


def test_films_of_one_patient_never_stand_on_both_sides_of_a_split(tmp_path: Path) -> None:
    for i in range(40):
        for view in ("a", "b"):
            film(tmp_path / ("NORMAL" if i % 2 else "PNEUMONIA") / f"{i}{view}.dcm", f"MRN{i}")
    found = split_dataset(load_dataset(tmp_path), seed=1)
    where: dict[str, set[str]] = {}
    for r in found.records:
        where.setdefault(str(r.patient_id), set()).add(str(r.split))
    assert len(where) == 40 and all(len(splits) == 1 for splits in where.values())
    assert "80 films of 40 patients, by DICOM headers (PatientID)" in found.notes


def test_patients_on_both_sides_of_a_given_split_are_refused(tmp_path: Path) -> None:
    for i in range(8):
        film(tmp_path / ("train" if i % 2 else "test") / ("NORMAL" if i < 4 else "ILL") / f"{i}.dcm", f"p{i // 2}")
    with pytest.raises(DataError, match=r"4 patients straddle the official splits .*CLASS/\* alone"):
        split_dataset(load_dataset(tmp_path), val=0.3)


def test_a_manifest_without_patients_takes_them_from_headers_and_its_own_go_first(tmp_path: Path) -> None:
    for name, patient in (("a", "1"), ("b", "1"), ("c", "2"), ("d", "3")):
        film(tmp_path / f"{name}.dcm", patient)
    (tmp_path / "m.csv").write_text("path,label\na.dcm,X\nb.dcm,Y\nc.dcm,X\nd.dcm,Y\n")
    assert [r.patient_id for r in load_dataset(tmp_path / "m.csv").records] == ["1", "1", "2", "3"]
    (tmp_path / "m.csv").write_text("path,label,patient_id\na.dcm,X,p1\nb.dcm,Y,p2\nc.dcm,X,\nd.dcm,Y,\n")
    assert [r.patient_id for r in load_dataset(tmp_path / "m.csv").records] == ["p1", "p2", "2", "3"]


def test_films_of_one_header_stay_with_those_whose_patient_the_manifest_names(tmp_path: Path) -> None:
    for name, patient in (("a", "1"), ("b", "1"), ("c", "2"), ("d", "2"), ("e", "2")):
        film(tmp_path / f"{name}.dcm", patient)
    (tmp_path / "m.csv").write_text("path,patient_id\na.dcm,p1\nb.dcm,\nc.dcm,p2\nd.dcm,p3\ne.dcm,\n")
    found = load_dataset(tmp_path / "m.csv")
    assert [r.patient_id for r in found.records] == ["p1", "p1", "p2", "p3", "2"]  # whose the last is, nobody says
    assert "2 films of 2 patients, by DICOM headers (PatientID)" in found.notes


def test_a_film_that_names_nobody_stays_with_the_others_of_its_folder(tmp_path: Path) -> None:
    for label in ("NORMAL", "ILL"):
        for i in range(2):
            folder = tmp_path / label / f"{label}{i}"
            for view in "ab":
                film(folder / f"{i}{view}.dcm", f"MRN{label}{i}")
            (folder / f"{i}c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
            film(folder / f"{i}d.dcm", "ANONYMOUS")
    found = load_dataset(tmp_path)
    assert all(r.patient_id == f"MRN{r.path.parent.name}" for r in found.records) and len(found.records) == 16


def test_a_header_outweighs_a_folder_of_a_study_but_not_where_each_film_has_an_identifier_of_its_own(
    tmp_path: Path,
) -> None:
    for label in ("NORMAL", "ILL"):
        for study in ("s1", "s2"):
            for k in range(2):
                film(tmp_path / "one" / label / f"{label}{study}" / f"{label}{study}{k}.dcm", f"{label}-{k}")
                film(tmp_path / "two" / label / f"{label}{study}" / f"{label}{study}{k}.dcm", f"{label}{study}{k}")
    assert set(patients_of(tmp_path / "one").values()) == {"NORMAL-0", "NORMAL-1", "ILL-0", "ILL-1"}
    assert "4 patients have films in several folders below a class" in load_dataset(tmp_path / "one").notes
    assert set(patients_of(tmp_path / "two").values()) == {"NORMALs1", "NORMALs2", "ILLs1", "ILLs2"}


@pytest.mark.parametrize("nobody", ["", "ANONYMOUS", "anonymized", "unknown", "N/A", "-"])
def test_an_identifier_that_was_taken_out_names_nobody(tmp_path: Path, nobody: str) -> None:
    for name, patient in (("a", nobody), ("b", nobody), ("c", "7"), ("d", "8")):
        film(tmp_path / f"{name}.dcm", patient)
    assert patients_of(tmp_path) == {"a.dcm": None, "b.dcm": None, "c.dcm": "7", "d.dcm": "8"}


def test_one_identifier_of_all_films_is_believed_of_a_few_alone(tmp_path: Path) -> None:
    for number in range(10):
        film(tmp_path / f"{number}.dcm", "STUDY7")
    assert set(patients_of(tmp_path).values()) == {"STUDY7"}
    film(tmp_path / "10.dcm", "STUDY7")
    found = load_dataset(tmp_path)
    assert {r.patient_id for r in found.records} == {None}
    assert any("of all 11 films name one patient: not believed" in note for note in found.notes)
    assert "STUDY7" not in " ".join(found.notes)  # notes stand in reports, which are handed on


def test_one_number_of_two_issuers_is_two_patients(tmp_path: Path) -> None:
    for name, issuer in (("a", "north"), ("b", "south"), ("c", "north")):
        film(tmp_path / f"{name}.dcm", "12", IssuerOfPatientID=issuer)
    film(tmp_path / "d.dcm", "13", IssuerOfPatientID="north")
    assert patients_of(tmp_path) == {
        "a.dcm": "12 (north)", "b.dcm": "12 (south)", "c.dcm": "12 (north)", "d.dcm": "13",
    }  # fmt: skip


def test_a_damaged_header_and_other_kinds_of_film_name_nobody(tmp_path: Path) -> None:
    film(tmp_path / "a.dcm", "1")
    film(tmp_path / "b.dcm", "2")
    (tmp_path / "c.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:150])
    (tmp_path / "d.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    os.mkfifo(tmp_path / "e.dcm")
    (tmp_path / "f.dcm.gz").write_bytes(gzip.compress((tmp_path / "a.dcm").read_bytes()))
    assert patients_of(tmp_path) == {
        "a.dcm": "1", "b.dcm": "2", "c.dcm": None, "d.png": None, "e.dcm": None, "f.dcm.gz": "1",
    }  # fmt: skip


def test_other_films_of_the_patients_that_a_run_learned_from_are_recognised(tmp_path: Path) -> None:
    film(tmp_path / "a.dcm", "1")
    film(tmp_path / "b.dcm", "2")
    seen = TrainingFilms({}, {}, {"1": "train"}).among(load_dataset(tmp_path).records)
    assert seen.films == {"a.dcm": ("a film of the same patient", "train")}


def test_a_patient_who_is_not_known_is_not_one_patient(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label,patient_id\na,X,unknown\nb,Y,Unknown\nc,X,ANON01\nd,Y,001\n")
    found = load_dataset(tmp_path / "m.csv")
    assert [r.patient_id for r in found.records] == [None, None, "ANON01", "001"]
    assert "patient 'unknown' of 1 film names nobody" in found.notes


def test_headers_are_opened_once_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        film(tmp_path / ("NORMAL" if i % 2 else "ILL") / f"{i}.dcm", f"p{i}")
    place = import_module("radiolucent.images.read")
    real, opened = place.open_header, list[Path]()

    def counted(stream: object, file: Path, *rest: object) -> object:
        opened.append(file)
        return real(stream, file, *rest)

    monkeypatch.setattr(place, "open_header", counted)
    assert patients_of(tmp_path) == patients_of(tmp_path) and len(opened) == 4
    film(tmp_path / "ILL" / "2.dcm", "p9")
    assert patients_of(tmp_path)["2.dcm"] == "p9" and len(opened) == 5


def test_a_split_says_of_how_many_films_the_patients_are_not_known() -> None:
    films = [Record(Path(f"/none/{i}"), str(i), i % 2, f"p{i}" if i < 90 else None) for i in range(100)]
    split = split_dataset(Dataset(tuple(films), ("A", "B")))
    assert any("the patients of 10 films are not known" in note for note in split.notes)
    split = split_dataset(Dataset(tuple(films[:90]), ("A", "B")))
    assert not any("not known" in note for note in split.notes)
