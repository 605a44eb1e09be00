"""A study goes on as it was begun, and its readers can be told apart."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radiolucent.errors import ConfigError, DataError
from radiolucent.files import sha256_file
from radiolucent.web.films import Films
from radiolucent.web.open_study import StudyPlan, open_study, read_vocabulary
from radiolucent.web.reader_names import check_readers
from support.films import write_dicom
from support.study_server import draw_films, make_run


def test_a_study_goes_on_only_as_it_was_begun(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    plan = StudyPlan(run, draw_films(tmp_path / "films"), tmp_path / "study", "Trial", lime_samples=30, limit=3, seed=4)
    first = open_study(plan, lambda *_: None).context
    cases, folder = first.store.cases(), first.reveal.folder
    first.close()
    for name, other in (
        ("seed", 5),
        ("limit", 2),
        ("methods", ("lime",)),
        ("lime_samples", 40),
        ("unseen", True),
        ("name", "Other"),
    ):
        changed: Any = {name: other}
        with pytest.raises(ConfigError, match=f"begun with {name} "):
            open_study(dataclasses.replace(plan, **changed), lambda *_: None)
    again = open_study(plan, lambda *_: None).context
    assert again.store.cases() == cases and again.reveal.folder == folder
    again.close()


def test_a_split_that_is_not_there_is_refused_and_no_other_films_are_read(tmp_path: Path) -> None:
    run, films = make_run(tmp_path / "run"), sorted(draw_films(tmp_path / "films").rglob("*.png"))
    rows = [f"{film},{film.parent.name},{'train' if i else 'val'}" for i, film in enumerate(films)]
    (tmp_path / "films.csv").write_text("\n".join(["path,label,split", *rows]))
    plan = StudyPlan(run, tmp_path / "films.csv", tmp_path / "study", "Trial", lime_samples=30)
    with pytest.raises(ConfigError, match=r"no film of split 'test'; it has train, val\. --split all"):
        open_study(plan, lambda *_: None)
    assert not (tmp_path / "study").exists()
    opened = open_study(dataclasses.replace(plan, split="val"), lambda *_: None)
    assert len(opened.context.store.cases()) == 1 and not opened.left_out
    opened.context.close()
    (tmp_path / "films.csv").write_text("\n".join(["path,label", *(row.rpartition(",")[0] for row in rows)]))
    opened = open_study(StudyPlan(run, tmp_path / "films.csv", tmp_path / "all", "All"), lambda *_: None)
    assert [reason for _, reason in opened.left_out] == ["noted: has no split: all of its films are read"]
    opened.context.close()


def test_a_kept_film_that_is_cut_short_or_pruned_is_decoded_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    plan = StudyPlan(run, draw_films(tmp_path / "films", 1), tmp_path / "study", "Trial")
    context = open_study(plan, lambda *_: None).context
    films, case = Films(tmp_path / "kept"), context.store.cases()[0]
    kept = films.film(case).files[0]
    whole = kept.read_bytes()
    for broken in (
        lambda: kept.write_bytes(b""),
        kept.unlink,
        lambda: (kept.parent / f"{case.id}.json").write_text("{"),
    ):
        broken()
        assert films.film(case).files[0].read_bytes() == whole
    small = Films(tmp_path / "kept", keep=len(whole) // 2)
    small.film(dataclasses.replace(case, id="0" * 12))
    assert {f.name.split(".")[0] for f in small.folder.iterdir()} == {"0" * 12}  # the one before was dropped whole
    context.close()


@pytest.mark.parametrize(
    "names", [[""], [" "], ["x" * 81], ["Consensus"], ["model"], ["without Dr A"], ["Dr A", "dr a "], ["staple"]]
)
def test_readers_names_that_mean_something_else_are_refused(names: list[str]) -> None:
    check_readers(["Dr A", "Dr B", "x" * 80])
    with pytest.raises(ConfigError, match="reader"):
        check_readers(names)


def test_a_name_that_is_no_text_is_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    films = draw_films(tmp_path / "films", 3)
    odd = Path(os.fsdecode(os.fsencode(films / "test" / "NORMAL") + b"/caf\xe9.png"))
    shutil.copy(films / "test" / "NORMAL" / "secret-name-0000.png", odd)
    opened = open_study(StudyPlan(make_run(tmp_path / "run"), films, tmp_path / "study", "Trial"), lambda *_: None)
    kept = len(opened.context.store.cases())
    opened.context.close()
    assert kept == 3 and [path for path, why in opened.left_out if "UTF-8" in why] == [odd]


def test_a_vocabulary_is_a_list_of_terms_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "terms.txt"
    file.write_text("# of our hospital\n\n  Kerley B lines \nnodule\n")
    assert read_vocabulary(file) == ("Kerley B lines", "nodule")
    plan = StudyPlan(make_run(tmp_path / "run"), draw_films(tmp_path / "films", 1), tmp_path / "study", "Trial")
    first = open_study(dataclasses.replace(plan, vocabulary=read_vocabulary(file)), lambda *_: None).context
    assert first.vocabulary == ("Kerley B lines", "nodule")
    first.close()
    again = open_study(plan, lambda *_: None).context
    assert again.vocabulary == ("Kerley B lines", "nodule")
    again.close()
    with pytest.raises(ConfigError, match="begun with vocabulary"):
        open_study(dataclasses.replace(plan, vocabulary=("other",)), lambda *_: None)
    for wrong in (b"", b"a\na\n", b"x" * 81, b"\xff\xfe\x00"):
        file.write_bytes(wrong)
        with pytest.raises(ConfigError, match=r"terms\.txt"):
            read_vocabulary(file)


def test_films_of_the_training_are_warned_of_or_left_out(tmp_path: Path) -> None:
    run, films = make_run(tmp_path / "run"), draw_films(tmp_path / "films", 4)
    files = sorted((films / "test").rglob("*.png"))
    plan = StudyPlan(run, films, tmp_path / "study", "Trial")
    with pytest.raises(DataError, match=r"split\.csv.*--unseen"):
        open_study(dataclasses.replace(plan, unseen=True, folder=tmp_path / "none"), lambda *_: None)
    rows = [f"{sha256_file(f)},,,{s}" for f, s in zip(files, ("train", "val", "test"), strict=False)]
    split = (run if run.is_dir() else run.parent) / "split.csv"
    split.write_text("\n".join(["sha256,pixels_sha256,patient_id,split", *rows]) + "\n")
    opened = open_study(plan, lambda *_: None)
    assert opened.warning.startswith("2 of 4 films are no test of this model") and "--unseen" in opened.warning
    opened.context.close()
    again = open_study(plan, lambda *_: None)  # it is told again
    assert again.warning == opened.warning
    again.context.close()
    clean = open_study(dataclasses.replace(plan, unseen=True, folder=tmp_path / "clean"), lambda *_: None)
    assert not clean.warning and len(clean.context.store.cases()) == 2
    assert sum("was in" in why for _, why in clean.left_out) == 2
    clean.context.close()


def test_films_whose_headers_all_name_one_patient_are_nobodys_other_films(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for i, (one, two) in enumerate([("ANON", "A1"), ("ANON", "A1"), ("ANON", "A2")]):
        for folder, patient in (("alike", one), ("known", two)):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_dicom(tmp_path / folder / f"{i}.dcm", np.full((20, 24), 100 * i + 50), PatientID=patient)
    for folder, expected in (("alike", {None}), ("known", {"A1", "A2"})):
        plan = StudyPlan(run, tmp_path / folder, tmp_path / f"study {folder}", "Trial", split="all")
        opened = open_study(plan, lambda *_: None)
        assert {c.patient_id for c in opened.context.store.cases()} == expected
        opened.context.close()
