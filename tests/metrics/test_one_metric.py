"""A metric is one value and one line: proved by adding one to a copy of the package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import radiolucent as rl
from radiolucent.errors import ConfigError
from radiolucent.metrics import METRICS, Metric

METRIC = '''
"""Youden's index."""

from radiolucent.metrics.metric import Cases, Metric, Resampling
from radiolucent.metrics.resample import bootstrap
from radiolucent.types import Estimate


def _youden(cases: Cases, how: Resampling) -> Estimate:
    ill, called = cases.truth.astype(float), cases.called.astype(float)

    def index(w):
        return w @ (ill * called) / (w @ ill) - w @ ((1 - ill) * called) / (w @ (1 - ill))

    return bootstrap(index, cases.patients, level=how.level, folds=how.folds, seed=how.seed, scale="correlation")


YOUDEN = Metric("youden", "Youden's index", "sensitivity and specificity less 1", "high", _youden)
'''
USE = """
import dataclasses, json, sys
import numpy as np
from rich.console import Console
from radiolucent import metrics
from radiolucent.cli.evaluate import evaluation_table
from radiolucent.reports import Story, write_report
from radiolucent.types import Predictions

assert metrics.__file__.startswith(sys.argv[1]), metrics.__file__
rng = np.random.default_rng(0)
labels = np.repeat([0, 1], 20)
names = tuple(map(str, range(40)))
logits = (rng.normal(size=(40, 2)) + np.eye(2)[labels]).astype(np.float32)
found = metrics.evaluate(Predictions(names, names, logits, labels, ("A", "B")), folds=50)
story = Story(
    title="T", created="now", command="study", class_names=("A", "B"), positive="B", data=(), counts={}, patients={},
    findings=(), left_out=(), training=(), notes=(), threshold={"value": 0.5, "rule": "youden"}, validation=found,
    test=found, prevalences=(), cases=(), agreement=(), versions={}, hashes={}, seed=0, pictures={},
)
write_report(story, sys.argv[2])
Console(width=120).print(evaluation_table(found))
"""


def test_one_file_and_one_line_make_a_metric(tmp_path: Path) -> None:
    copied = tmp_path / "src" / "radiolucent"
    shutil.copytree(Path(str(rl.__file__)).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "metrics" / "youden.py").write_text(METRIC)
    table = copied / "metrics" / "all.py"
    line = "METRICS: tuple[Metric, ...] = ("
    text = table.read_text()
    assert text.count(line) == 1
    table.write_text(text.replace(line, f"from radiolucent.metrics.youden import YOUDEN\n\n{line}\n    YOUDEN,"))
    path = os.pathsep.join(
        [str(tmp_path / "src"), *(p for p in sys.path if p and not (Path(p) / "radiolucent").is_dir())]
    )
    words = [sys.executable, "-c", USE, str(tmp_path / "src"), str(tmp_path / "out")]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Youden's index" in done.stdout
    record = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(record["performance"]["youden"]) >= {"value", "low", "high", "level", "n", "method"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Youden&#39;s index" in page and "sensitivity and specificity less 1" in page


def test_a_metric_without_words_is_an_error_and_names_are_their_own() -> None:
    for words in (("x", "", "means"), ("x", "X", " "), ("", "X", "means")):
        with pytest.raises(ConfigError, match="missing"):
            Metric(*words, "high", lambda cases, how: None)
    assert len({m.name for m in METRICS}) == len({m.title for m in METRICS}) == len(METRICS)
