"""An audit test is one file and one line: names, filter, verdict, report and docs follow from it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import radiolucent
from radiolucent.audits.trial.examine import Options, asked, examine
from radiolucent.audits.trial.tests import FILES, TESTS, chosen_tests, deciding, markdown_table, named_test
from radiolucent.errors import ConfigError

ROOT = Path(__file__).parents[2]

NEW = """
from radiolucent.audits.trial.base import Case, Test
from radiolucent.types import Estimate, Finding


def _sky(view, rng):
    grey = view.grey.astype("float32") / 255
    grey[:4] = 1
    return grey


def _made(case: Case):
    moved = case.table.scores["sky.white"] - case.table.original
    estimate = Estimate(float(abs(moved).mean()), 5.0, 6.0, 0.95, 20, "made up")
    evidence = {"change": {"edit": "sky.white", "control": "original", "did": "whitening the sky",
                "control_did": "leaving it"}, "most_moved": list(case.table.image_ids[:2]),
                "flips": {"value": 0.5}}
    return [Finding("sky.white", "Does the sky count?", "fail", "It does.", estimate, 1.0, evidence,
            concerns="model", severity=99.0)]


TESTS = (
    Test("sky.white", "Does the sky count?", "model", "", _made, edits={"sky.white": _sky},
         decides="intervention", kind="the sky", says="the decision follows the sky"),
)
"""
RUN = """
import sys
from pathlib import Path
from typer.testing import CliRunner
from radiolucent.audits.trial.tests import markdown_table
from radiolucent.cli import app
from radiolucent.data.phantom.draw import draw
from radiolucent.models import build, save
import numpy as np
from PIL import Image

home = Path(sys.argv[1])
for i in range(12):
    film = draw(np.random.default_rng(i), size=64, pneumonia=i % 2 == 1, site=0)
    path = home / "films" / ("NORMAL", "PNEUMONIA")[i % 2] / f"{i}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(film.pixels).save(path)
save(build("small_cnn", size=64, widths=(4, 8), hidden=0, pretrained=False)[0], home / "run" / "model.safetensors")
result = CliRunner().invoke(app, ["audit", str(home / "run"), str(home / "films"), "--tests", "sky"])
print(result.output, result.exit_code, markdown_table(), sep="\\n----\\n")
"""


def test_a_new_test_is_one_file_and_one_line(tmp_path: Path) -> None:
    shutil.copytree(Path(radiolucent.__file__).parent, tmp_path / "radiolucent")
    room = tmp_path / "radiolucent" / "audits" / "trial"
    (room / "sky.py").write_text(NEW)
    listed = (room / "tests.py").read_text()
    (room / "tests.py").write_text(listed.replace('    "leaked",\n', '    "leaked",\n    "sky",\n'))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "160"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    terminal, status, docs = done.stdout.split("\n----\n")
    assert "sky.white" in terminal and "FAIL: the decision follows the sky" in terminal and status == "4"
    assert "| `sky.white` | Does the sky count? |" in docs
    page = (tmp_path / "run" / "audit" / "audit.html").read_text()
    assert "Does the sky count?" in page and "after whitening the sky" in page
    summary = json.loads((tmp_path / "run" / "audit" / "audit.json").read_text())
    assert summary["findings"][0]["test"] == "sky.white" and summary["verdict"] == "fail"


def test_every_name_that_a_finding_can_bear_is_accepted() -> None:
    accepted = (
        "marker", "marker.rem", "regions.no_lungs", "probes", "stress.jpeg_3", "subgroups", "subgroups.ward", "slices",
        "slices.maps.gradcam", "source.embedding", "calibration.large", "maps", "maps.gradcam.lungs",
        "maps.gradcam.fixed_peak.PNEUMONIA", "maps.gradcam.randomisation", "training.labels.gradcam", "leakage",
        "shortcut.metadata", "duplicates.near", "prevalence.shift",
    )  # fmt: skip
    for name in accepted:
        assert chosen_tests((name,), ("gradcam",)), name
    for name in ("markers", "marker.removed", "maps.gradcam.liver", "jpeg", "subgroup.", "stress.jpeg_30.x"):
        with pytest.raises(ConfigError, match="no finding's name begins so"):
            chosen_tests((name,), ("gradcam",))
    with pytest.raises(ConfigError, match="not among those asked for"):
        chosen_tests(("maps.lime.lungs",), ("gradcam",))
    assert asked(("maps.saliency",), ("gradcam", "saliency"))[1] == ("saliency",)


def test_a_wrong_name_is_told_before_anything_is_read(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from radiolucent.cli import app

    nowhere = str(tmp_path / "films")
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    result = CliRunner().invoke(app, ["audit", str(tmp_path), nowhere, "--tests", "markers"])
    assert result.exit_code == 1 and "no finding" in " ".join(str(result.exception or result.output).split())


def test_names_are_unique_and_known() -> None:
    names = [name for t in TESTS for name in t.names]
    assert len(set(names)) == len(names) and len(set(FILES)) == len(FILES)
    assert named_test("maps.gradcam.fixed_peak.A.B") is named_test("maps.lime.fixed_peak.X") is not None
    assert deciding("marker.paste") and deciding("regions.no_lungs") and not deciding("stress.blur")
    assert named_test("nothing") is None
    assert (ROOT / "docs" / "reference" / "audit-tests.md").read_text().endswith(markdown_table())


def test_the_options_of_audit_are_those_of_examine() -> None:
    import inspect

    own = {n for n, p in inspect.signature(examine).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert own == set(Options.__annotations__)
