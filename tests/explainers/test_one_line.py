"""A method is one file and one line in METHODS: proved by adding one to a copy of the package."""

import ast
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import radiolucent as rl
from explainer_cases import FAST
from radiolucent import explainers as room
from radiolucent.explainers import METHODS
from radiolucent.models import build, save

SHIPPED = (
    "gradcam cam gradcamplusplus hirescam layercam xgradcam eigencam scorecam ablationcam reciprocam guidedgradcam "
    "lime kernelshap occlusion rise sobol saliency inputtimesgradient smoothgrad integratedgradients deeplift "
    "gradientshap lrp guidedbackprop"
).split()
"""What must not get lost; a method that comes needs no line here."""

METHOD = '''"""Slope times film."""

from dataclasses import dataclass

from radiolucent.explainers.base import Explainer


@dataclass(frozen=True)
class SlopeTimesFilm(Explainer):
    """What each pixel adds. Source: the test of one file and one line."""

    def attribute(self, classifier, inputs, goal, generator):
        cut = goal.over(classifier, inputs).cut("input")
        return (inputs * cut.gradient(goal.of(cut.logits))).sum(1)
'''
USE = """
import sys, numpy as np, radiolucent as rl
assert rl.__file__.startswith(sys.argv[1]), rl.__file__
from radiolucent import SlopeTimesFilm
from radiolucent.explainers import METHODS, SlopeTimesFilm as same
assert SlopeTimesFilm is same is METHODS["slopetimesfilm"] is rl.SlopeTimesFilm and "SlopeTimesFilm" in dir(rl)
clf, film = rl.load(sys.argv[2]), rl.read(sys.argv[3])
e = rl.explain(clf, film, method=rl.SlopeTimesFilm(), target="PNEUMONIA")
plain = rl.explain(clf, film, method=rl.InputTimesGradient(), target="PNEUMONIA")
np.testing.assert_allclose(e.map, plain.map, atol=1e-6 * np.abs(plain.map).max())
assert e.method == "slopetimesfilm" and rl.stamp(clf, film, e, SlopeTimesFilm()).trust["verdict"]
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package with one file and one line more."""
    copied = tmp_path / "src" / "radiolucent"
    shutil.copytree(Path(str(rl.__file__)).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "explainers" / "slopetimesfilm.py").write_text(METHOD)
    table = copied / "explainers" / "__init__.py"
    lines = table.read_text().splitlines(keepends=True)
    last = next(i for i, line in enumerate(lines) if line.strip() == '"ReciproCAM",')
    lines.insert(last, '        "SlopeTimesFilm",\n')
    table.write_text("".join(lines))
    return copied.parent


def run(package: Path, *words: str) -> str:
    path = os.pathsep.join([str(package), *(p for p in sys.path if p and not (Path(p) / "radiolucent").is_dir())])
    done = subprocess.run(
        [sys.executable, *words], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_one_file_and_one_line_make_a_method(package: Path, tmp_path: Path) -> None:
    save(build("small_cnn", size=64, hidden=0, seed=1)[0], tmp_path / "run" / "model.safetensors")
    film = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 80), np.uint8)).save(film)
    run(package, "-c", USE, str(package), str(tmp_path / "run"), str(film))
    words = ["explain", str(tmp_path / "run"), str(film), "--method", "slopetimesfilm", "--out", str(tmp_path / "out")]
    run(package, "-c", "from radiolucent.cli import main; main()", *words, "--no-panels")
    assert len(list((tmp_path / "out" / "maps").rglob("*.slopetimesfilm.npz"))) == 1


def test_the_contract_table_runs_over_it(package: Path) -> None:
    file = Path(__file__).with_name("test_contract.py")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(file.parents[2]), str(file)]
    said = run(package, *words, "-k", "slopetimesfilm and not inception and not densenet and not mobile and not vit")
    assert f"{6 + 2} passed" in said, said  # the six of the contract, and one network in two precisions


def test_every_method_stands_in_a_file_of_its_own() -> None:
    """The name decides everything else, and each is named once."""
    source = Path(str(room.__file__)).read_text()
    assert len({method.__module__ for method in METHODS.values()}) == len(METHODS) and {*METHODS} >= {*SHIPPED}
    for name, method in METHODS.items():
        assert name == method.__name__.lower() == FAST[name].name and source.count(f'"{method.__name__}"') == 1
        assert method.__module__.startswith(f"radiolucent.explainers.{name}")
        assert "Source:" in str(method.__doc__) and dataclasses.is_dataclass(method)
        assert method.__dataclass_params__.frozen
        assert getattr(room, method.__name__) is getattr(rl, method.__name__) is method
    assert {*dir(rl)} >= {*rl.__all__} >= {m.__name__ for m in METHODS.values()}
    with pytest.raises(AttributeError, match="gradcamm"):
        rl.gradcamm  # noqa: B018
    with pytest.raises(AttributeError, match="GradCamm"):
        rl.GradCamm  # noqa: B018
    with pytest.raises(AttributeError, match="gradCAM"):
        room.gradCAM  # noqa: B018


def test_shipped_methods_are_known_to_type_checkers() -> None:
    tree = ast.parse(Path(str(rl.__file__)).read_text())
    named = {a.asname for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert named >= {METHODS[name].__name__ for name in SHIPPED}
