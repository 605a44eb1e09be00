"""`radiolucent data annotations`: from any format to any that is written."""

import importlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import radiolucent
from radiolucent.cli import app
from radiolucent.data import read_annotations
from radiolucent.errors import ConfigError
from radiolucent.files import write_text
from support.formats import write

RSNA = "patientId,x,y,width,height,Target\np1,264,152,213,379,1\np2,,,,,0\np3,1,2,-3,4,1\n"


def call(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(("name", "options"), [("o.json", ()), ("o.csv", ()), ("o.json", ("--to", "w3c"))])
def test_conversion_counts_and_lists_what_it_left_out(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    file, out = write(tmp_path / "rsna.csv", RSNA), tmp_path / name
    status, text, _ = call("data", "annotations", file, "--out", out, "--reader", "Dr A", "--json", *options)
    found = json.loads(text)
    assert status == 3 and found["readings"] == 2 and found["no_finding"] == 1 and found["readers"] == ["Dr A"]
    assert "line 4" in found["left_out"][0]["reason"]
    back = {a.image_id: a for a in read_annotations(out)}
    assert back["p2"].finding is False and back["p1"].reader == "Dr A"
    assert back["p1"].regions[0].points is not None
    assert back["p1"].regions[0].points.tolist() == [[264, 152], [477, 531]]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.json")
    reader = os.open(tmp_path / "out.json", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "out.json", "whole")
    assert os.read(reader, 99) == b"whole" and (tmp_path / "out.json").is_fifo()
    os.close(reader)
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    readings, films = write(tmp_path / "rsna.csv", RSNA), write(tmp_path / "films.csv", "path,label\na.png,A\n")
    for words, file in ((("annotations",), readings), (("split",), films)):
        before = file.read_bytes()
        with pytest.raises(ConfigError, match="is what is read"):
            call("data", *words, file, "--out", tmp_path / "." / file.name)
        assert file.read_bytes() == before


def test_wrong_words_are_told(tmp_path: Path) -> None:
    file = write(tmp_path / "rsna.csv", RSNA)
    for options, why in ((("--to", "xml"), "expected one of coco"), (("--unmarked", "maybe"), "'not read' or")):
        with pytest.raises(ConfigError, match=why):
            call("data", "annotations", file, "--out", tmp_path / "o.json", *options)
    status, _, said = call("data", "annotations", file, "--out", tmp_path / "o.json")
    assert status == 3 and "2 readings of 2 films by reader" in said.replace("\n", " ")


TOY = '''
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.files import write_text
from radiolucent.types import Region

def _read(source: Source, g: Gatherer) -> None:
    """Lines `label x y width height`, without a heading; the file is named after its film."""
    for line in source.text.splitlines():
        label, *numbers = line.split()
        g.mark(source.path.stem, [Region.box(*map(float, numbers))], label)
    if not source.text.strip():
        g.whole(source.path.stem)

def _write(annotations, path, dataset) -> None:
    write_text(path, "".join(f"{a.label}\\n" for a in annotations))

FORMAT = Format(
    "toy", "Toy text", "csv", "boxes", "none", lambda source: source.path.suffix == ".toy", _read,
    empty_means="no finding", write=_write, to=".toy",
)
'''


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, imported instead of it until the test ends."""
    package = tmp_path / "src" / "radiolucent"
    shutil.copytree(Path(radiolucent.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "radiolucent"}
    for name in kept:
        del sys.modules[name]
    monkeypatch.syspath_prepend(tmp_path / "src")
    yield package
    for name in [n for n in sys.modules if n.partition(".")[0] == "radiolucent"]:
        del sys.modules[name]
    sys.modules.update(kept)


def test_a_format_is_one_file_and_one_line(copied: Path, tmp_path: Path) -> None:
    """It is then read, listed, documented and written, and an empty file means what the format says."""
    (copied / "data" / "annotations" / "toy.py").write_text(TOY)
    formats = copied / "data" / "annotations" / "formats.py"
    formats.write_text(formats.read_text().replace('    "coco",\n', '    "toy",\n    "coco",\n', 1))
    data = importlib.import_module("radiolucent.data")
    assert Path(data.__file__ or "").is_relative_to(copied)
    for name, text in (("a.toy", "Mass 10 20 30 40\n"), ("b.toy", ""), ("README.md", "beside")):
        write(tmp_path / "films" / name, text)
    found = {a.image_id: (a.label, a.finding) for a in data.read_annotations(tmp_path / "films")}
    assert found == {"a": ("Mass", True), "b": (None, False)}
    table = importlib.import_module("radiolucent.data.annotations").formats_table()
    assert "| `toy` | Toy text: boxes | none; an image without a mark: no finding | yes |" in table
    commands = importlib.import_module("radiolucent.cli").app
    out = tmp_path / "out.toy"
    for words in (["formats"], ["annotations", str(tmp_path / "films"), "--to", "toy", "--out", str(out)]):
        result = CliRunner().invoke(commands, ["data", *words])
        assert result.exit_code == 0, result.output
        assert words[0] != "formats" or "Toy text" in result.output
    assert out.read_text() == "Mass\nNone\n"
