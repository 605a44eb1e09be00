"""`radiolucent data annotations`: from any format to any that is written."""

import json
from pathlib import Path

import pytest
from formats_support import write
from typer.testing import CliRunner

from radiolucent.cli import app
from radiolucent.data import read_annotations
from radiolucent.errors import ConfigError

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


def test_wrong_words_are_told(tmp_path: Path) -> None:
    file = write(tmp_path / "rsna.csv", RSNA)
    for options, why in ((("--to", "xml"), "expected one of coco"), (("--unmarked", "maybe"), "'not read' or")):
        with pytest.raises(ConfigError, match=why):
            call("data", "annotations", file, "--out", tmp_path / "o.json", *options)
    status, _, said = call("data", "annotations", file, "--out", tmp_path / "o.json")
    assert status == 3 and "2 readings of 2 films by reader" in said.replace("\n", " ")
