"""A section of the report is one template and one line: proved by adding one to a copy of the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import radiolucent as rl

SECTION = """{% set title = "Dose" %}
{% set pictures = ["dose"] %}
<p>{{ story.extra.dose }} mGy</p>
{{ unplaced()|length }} pictures stand nowhere yet.
"""
USE = """
import sys
import numpy as np
from radiolucent import reports
from radiolucent.metrics import evaluate
from radiolucent.reports import Picture, Story, write_report
from radiolucent.types import Predictions

assert reports.__file__.startswith(sys.argv[1]), reports.__file__
rng = np.random.default_rng(0)
labels = np.repeat([0, 1], 20)
names = tuple(map(str, range(40)))
logits = rng.normal(labels[:, None] * [-1, 1], 1).astype(np.float32)
seen = Predictions(names, names, logits, labels, ("A", "B"), 1, 0.5)
found = evaluate(seen, folds=50)
png = b"\\x89PNG"
story = Story(
    title="T", created="now", command="study", class_names=("A", "B"), positive="B", data=(), counts={}, patients={},
    findings=(), left_out=(), training=(), notes=(), threshold={"value": 0.5, "rule": "youden"}, validation=found,
    test=found, prevalences=(), cases=(), agreement=(), versions={}, hashes={}, seed=0, extra={"dose": 0.1},
    pictures={"dose": Picture(png, "the dose"), "odd": Picture(png, "the odd one")},
)
write_report(story, sys.argv[2])
"""


def test_one_template_and_one_line_make_a_section(tmp_path: Path) -> None:
    copied = tmp_path / "src" / "radiolucent"
    shutil.copytree(Path(str(rl.__file__)).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "reports" / "templates" / "sections" / "dose.jinja").write_text(SECTION)
    table = copied / "reports" / "sections.py"
    table.write_text(table.read_text().replace('    "versions",\n', '    "dose",\n    "versions",\n'))
    path = os.pathsep.join(
        [str(tmp_path / "src"), *(p for p in sys.path if p and not (Path(p) / "radiolucent").is_dir())]
    )
    words = [sys.executable, "-c", USE, str(tmp_path / "src"), str(tmp_path / "out")]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    page = (tmp_path / "out" / "report.html").read_text()
    anchors = [part.split('"')[0] for part in page.split('<section id="')[1:]]
    assert anchors == [
        "summary",
        "data",
        "training",
        "performance",
        "cases",
        "doctors",
        "methods",
        "dose",
        "versions",
        "further",
    ]
    assert '<a href="#dose">Dose</a>' in page and "<h2>Dose</h2>" in page and "0.1 mGy" in page
    further = page.split('<section id="further"')[1]
    assert "the odd one" in further and "the dose" not in further
