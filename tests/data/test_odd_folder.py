"""A folder of 200 odd files: no traceback, each film used or listed with the true reason, the right exit status."""

import errno
import json
import os
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fuzz import damaged
from radiolucent.audits.trial import masks_from_folder
from radiolucent.cli.entry import app
from radiolucent.data import LeftOut, load_dataset, read_annotations
from radiolucent.data.phantom import PhantomConfig, generate
from radiolucent.data.records import is_lost
from radiolucent.errors import AnnotationError, ConfigError, DataError
from radiolucent.files import one_process
from support.odd_films import dicom, films, noted, raster, refused, rich_dicom

NAMES = (
    "=cmd.png", "- film.png", "a\nb.png", "esc\x1b[2J.png", "\u202egnp.png", " blank .png", "[red]x.png", "日本.png",
    "q'\".png",
)  # fmt: skip


def build(folder: Path) -> tuple[set[str], dict[str, str]]:
    """Fill a folder; (names of what is used, what is said of each that is not)."""
    good = {name.replace(" ", "_"): content for name, content in films().items()}
    good |= {f"rich {name}": content for name, content in rich_dicom().items() if name != "frames"} | noted()
    png = good["png8"]
    good |= dict.fromkeys(NAMES, png)
    bad = refused()
    folder.mkdir()
    for name, content in (good | {name: content for name, (content, _) in bad.items()}).items():
        (folder / name).write_bytes(content)
    said = {name: words for name, (_, words) in bad.items()}
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.dcm")
        (folder / "null.png").symlink_to("/dev/null")
        said |= {"pipe.dcm": "named pipe", "null.png": "a device"}
    (folder / "gone.png").symlink_to(folder / "nothing")
    said["gone.png"] = "a link to a file that is not there"
    (folder / "loop.png").symlink_to("loop.png")
    said["loop.png"] = "cannot be read"
    try:
        (folder / os.fsdecode(b"latin-\xe4.png")).write_bytes(png)
        said[os.fsdecode(b"latin-\xe4.png")] = "no UTF-8"
    except OSError:  # a file system that takes text alone
        pass
    return set(good), said


def spoilt(folder: Path, count: int) -> set[str]:
    """Add damaged films, of which nobody knows whether they can be read; their names."""
    rng, seeds = random.Random(4), [*films().values(), *rich_dicom().values()]
    names = {f"spoilt{i}.dcm" for i in range(count)}
    for name in sorted(names):
        (folder / name).write_bytes(damaged(rng.choice(seeds), seeds, rng))
    return names


def run(*arguments: Any) -> tuple[int, Any, str]:
    """(exit status, JSON on standard output, standard error) of a command."""
    found = CliRunner().invoke(app, [str(a) for a in arguments])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, json.loads(found.stdout), found.stderr


def listed(entries: list[dict[str, str]]) -> dict[str, str]:
    return {Path(e["file"]).name: e["reason"] for e in entries}


def test_two_hundred_odd_files_are_used_or_listed_with_the_true_reason(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    good, said = build(folder)
    unknown = spoilt(folder, max(0, 200 - len(good) - len(said)))
    assert len(list(folder.iterdir())) >= 200
    status, found, _ = run("data", "check", folder, "--json")
    findings = {f["test"]: f for f in found["findings"]}
    evidence = findings["files.unreadable"]["evidence"]
    left = listed([*evidence["unreadable"], *evidence["set_aside"]])
    assert status == 4 and findings["files.unreadable"]["verdict"] == "fail"
    assert said.keys() <= left.keys() and left.keys() <= said.keys() | unknown
    for name, words in said.items():
        assert words in left[name], (name, left[name])
    for test in ("films.laterals", "films.mirrored", "films.for_processing"):
        assert findings[test]["verdict"] == "fail" and findings[test]["evidence"]["count"] >= 1
    assert findings["films.lossy"]["evidence"]["count"] >= 1 and findings["films.spacing"]["verdict"] == "inconclusive"
    assert findings["films.assumed"]["evidence"]["films"]


def test_predict_and_explain_use_what_can_be_used(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    good, said = build(folder)
    for name in good:
        (folder / name).unlink()
    drawn = generate(tmp_path / "phantom", PhantomConfig(patients=4, films=1, size=256)).records[0].path
    grey = np.asarray(Image.open(drawn).convert("L"))
    chest = {
        "a.dcm": dicom(grey, bits=8),
        "inverse.dcm": dicom(255 - grey, bits=8, PhotometricInterpretation="MONOCHROME1"),
    }
    chest |= dict.fromkeys(NAMES, raster(grey, "PNG")) | {"spacing.dcm": dicom(grey, bits=8, preamble=b"II*\0")}
    for name, content in chest.items():
        (folder / name).write_bytes(content)
    status, found, messages = run("predict", "box", folder, "--force", "--json")
    assert status == 3
    assert {Path(p["image"]).name for p in found["predictions"]} == chest.keys()
    chances = [p["probability"]["PNEUMONIA"] for p in found["predictions"]]
    assert max(chances) - min(chances) < 1e-3  # one film in all of them
    left = listed(found["left_out"])
    assert left.keys() == said.keys()
    assert all(words in left[name] for name, words in said.items())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", messages)  # nothing that acts on a terminal
    asked = ("--method", "lime", "--samples", 16, "--no-panels", "--no-trust", "--force")
    options = (*asked, "--out", tmp_path / "out", "--json")
    status, found, _ = run("explain", "box", folder, *options)
    assert status == 3 and listed(found["left_out"]).keys() == said.keys()
    assert {Path(row["image"]).name for row in found["explanations"]} == chest.keys()
    table = (tmp_path / "out" / "explanations.csv").read_text(encoding="utf-8")
    assert "esc\\x1b[2J" in table and "\x1b" not in table and "a\\nb.png" in table


def test_where_no_film_can_be_read_the_status_is_1(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"text")
    status, found, _ = run("predict", "box", tmp_path / "a.png", "--json")
    assert status == 1 and found["predictions"] == [] and listed(found["left_out"]).keys() == {"a.png"}


def test_frames_windows_and_ranges_are_chosen_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "two.dcm").write_bytes(rich_dicom()["frames"])
    assert run("predict", "box", tmp_path / "two.dcm", "--json")[0] == 1
    for options in (("--frame", 2), ("--frame", 1, "--window", "900/1800"), ("--frame", 1, "--range", "0,4095")):
        status, found, _ = run("predict", "box", tmp_path / "two.dcm", *options, "--force", "--json")
        assert status == 0 and len(found["predictions"]) == 1
    status, found, _ = run("predict", "box", tmp_path / "two.dcm", "--frame", 1, "--max-pixels", 100, "--json")
    assert status == 1 and "at most 100 are read" in found["left_out"][0]["reason"]
    wrong = CliRunner().invoke(app, ["predict", "box", str(tmp_path / "two.dcm"), "--range", "wide"])
    assert isinstance(wrong.exception, ConfigError) and "two numbers with a comma" in str(wrong.exception)


def test_pictures_of_results_that_lie_among_the_films_are_no_films(tmp_path: Path) -> None:
    png = films()["png8"]
    for name in ("NORMAL/a.png", "ILL/b.png", "ILL/maps/panels/b.png", "runs/one/figures/roc.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png)
    for out in ("ILL/maps", "runs/one"):
        (tmp_path / out / ".lock").touch()
    found = load_dataset(tmp_path)
    assert [r.image_id for r in found.records] == ["ILL/b.png", "NORMAL/a.png"]
    assert found.class_names == ("ILL", "NORMAL")
    told = {x.path.name for x in found.left_out if "results of radiolucent" in x.reason and not is_lost(x.reason)}
    assert told == {"maps", "one"}
    assert [r.image_id for r in load_dataset(tmp_path / "ILL" / "maps").records] == ["panels/b.png"]  # asked for


def test_a_lock_among_pictures_alone_is_told_as_a_loss_and_a_command_that_wrote_nothing_leaves_none(
    tmp_path: Path,
) -> None:
    for name in ("NORMAL/a.png", "ILL/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(films()["png8"])
    with one_process(tmp_path / "ILL"), one_process(tmp_path / "ILL"):
        assert (tmp_path / "ILL" / ".lock").exists()
    assert sorted(p.name for p in (tmp_path / "ILL").iterdir()) == ["b.png"]
    (tmp_path / "ILL" / ".lock").touch()
    (left,) = load_dataset(tmp_path).left_out
    assert left.path.name == "ILL" and "remove the .lock" in left.reason and is_lost(left.reason)


def test_linked_folders_are_searched_once_and_loops_end(tmp_path: Path) -> None:
    png = films()["png8"]
    for name in ("else/ill/a.png", "else/ill/deep/b.png", "data/NORMAL/c.png", "else/marks/A/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png)
    root = tmp_path / "data"
    for link, target in (
        ("ILL", "else/ill"), ("ALIAS", "data/NORMAL"), ("NORMAL/up", "data"), ("above", "."), ("gone", "nowhere"),
    ):  # fmt: skip
        (root / link).symlink_to(tmp_path / target)
    (tmp_path / "else/ill/back").symlink_to(tmp_path / "else/ill")
    (tmp_path / "else/ill/round").symlink_to(root)
    found = load_dataset(root)
    assert [(r.image_id, found.class_names[r.label or 0]) for r in found.records] == [
        ("ILL/a.png", "ILL"), ("ILL/deep/b.png", "ILL"), ("NORMAL/c.png", "NORMAL"),
    ]  # fmt: skip
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / "A").symlink_to(tmp_path / "else" / "marks" / "A")
    Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(tmp_path / "else/marks/A/a.png")
    assert [(a.image_id, a.reader) for a in read_annotations(tmp_path / "marks")] == [("a", "A")]
    (tmp_path / "nih").mkdir()
    (tmp_path / "nih" / "images_001").symlink_to(tmp_path / "else" / "ill")
    (tmp_path / "nih" / "Data_Entry_2017.csv").write_text("Image Index,Finding Labels,Patient ID\na.png,Mass,1\n")
    listed = load_dataset(tmp_path / "nih" / "Data_Entry_2017.csv").records
    assert [r.image_id for r in listed] == ["images_001/a.png"]


def test_links_hide_no_film_whatever_their_order(tmp_path: Path) -> None:
    png = films()["png8"]
    for name in ("store/ILL/a.png", "store/NORMAL/b.png", "data/.kept/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png)
    root = tmp_path / "data"
    (root / "A").symlink_to(tmp_path / "store" / "ILL")  # a part of what Z links
    (root / "Z").symlink_to(tmp_path / "store")
    (root / "C").symlink_to(root / ".kept")  # in a folder that is not searched itself
    assert sorted(r.image_id for r in load_dataset(root).records) == ["A/a.png", "C/c.png", "Z/NORMAL/b.png"]


def test_a_folder_that_cannot_be_listed_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ILL/a.png", "NORMAL/b.png", "closed/c.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(films()["png8"])
    scan = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = load_dataset(tmp_path)
    assert found.class_names == ("ILL", "NORMAL")
    (closed,) = found.left_out
    assert closed.path == tmp_path / "closed" and "cannot be listed (Stale" in closed.reason and is_lost(closed.reason)
    assert CliRunner().invoke(app, ["data", "check", str(tmp_path)]).exit_code in (3, 4)
    with pytest.raises(DataError, match=r"no image found.* closed: the folder cannot be listed"):
        load_dataset(tmp_path / "closed")
    left: list[LeftOut] = []
    read_annotations(tmp_path, left_out=left)
    assert closed in left
    with pytest.raises(AnnotationError, match=r"closed: .*masks are missed"):
        masks_from_folder(tmp_path)


def test_folders_that_a_drive_does_not_number_are_all_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ILL/a.png", "NORMAL/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(films()["png8"])
    (tmp_path / "ILL" / "again").symlink_to(tmp_path / "NORMAL")
    stat = Path.stat

    def numberless(self: Path, **options: bool) -> os.stat_result:
        about = list(stat(self, **options))
        return os.stat_result([about[0], 0, *about[2:]])

    monkeypatch.setattr(Path, "stat", numberless)
    assert [r.image_id for r in load_dataset(tmp_path).records] == ["ILL/a.png", "NORMAL/b.png"]
