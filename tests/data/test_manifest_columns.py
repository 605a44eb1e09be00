"""Manifests as people have them: other names of columns, other case, semicolons."""

from pathlib import Path

import pytest

from radiolucent.data import load_dataset
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
