"""A method is one file and one line in METHODS: proved by adding one to a copy of the package."""

import ast
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import radiolucent as rl
from radiolucent import explainers as room
from radiolucent.explainers import METHODS, load_explanation, methods_table
from radiolucent.models import build, save
from support.explainer_cases import FAST

SHIPPED = (
    "gradcam cam gradcamplusplus hirescam layercam xgradcam eigencam scorecam ablationcam reciprocam guidedgradcam "
    "lime kernelshap occlusion rise sobol saliency inputtimesgradient smoothgrad integratedgradients deeplift "
    "gradientshap lrp attnlrp legrad chefer guidedbackprop"
).split()
"""What must not get lost; a method that comes needs no line here."""
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "methods.md"

METHOD = '''"""Twice Grad-CAM."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Self

from radiolucent.explainers.gradcam import GradCAM


@dataclass(frozen=True)
class TwiceGradCAM(GradCAM):
    """Twice Grad-CAM. Source: the test of one file and one line."""

    title: ClassVar[str] = "Grad-CAM twice"
    answers: ClassVar[str] = "the same, twice"
    misleads: ClassVar[str] = "always"
    cost: ClassVar[str] = "as Grad-CAM"

    copies: int = 2

    def weigh(self, cut, goal):
        return self.copies * super().weigh(cut, goal)

    def with_samples(self, count: int) -> Self:
        return dataclasses.replace(self, copies=count)
'''
USE = """
import sys, numpy as np, radiolucent as rl
from radiolucent import TwiceGradCAM, figures
from radiolucent.explainers import METHODS, TwiceGradCAM as same
from radiolucent.reports.html import environment
from radiolucent.web import open_study
assert rl.__file__.startswith(sys.argv[1]), rl.__file__
assert TwiceGradCAM is same is METHODS["twicegradcam"] is rl.TwiceGradCAM and "TwiceGradCAM" in dir(rl)
clf, film = rl.load(sys.argv[2]), rl.read(sys.argv[3])
e, plain = rl.explain(clf, film, [rl.TwiceGradCAM(), rl.GradCAM()], target="PNEUMONIA")
np.testing.assert_allclose(e.map, 2 * plain.map, atol=1e-6 * np.abs(plain.map).max())
assert e.method == "twicegradcam" and rl.stamp(clf, film, e, TwiceGradCAM()).trust["verdict"]
# the report and the review app call it by its title; it is drawn as Grad-CAM is
assert environment().filters["method"]("twicegradcam") == figures.method_name("twicegradcam") == "Grad-CAM twice"
assert [*open_study.make_methods(["twicegradcam"], 353)] == ["twicegradcam"]
new, old = (figures.method_strip(film, [each]) for each in (e, plain))
assert any(ax.get_title("left").startswith("Grad-CAM twice: what") for ax in new.axes)
for a, b in zip(new.axes, old.axes, strict=True):
    assert [t.get_text() for t in a.texts] == [t.get_text() for t in b.texts]
    for one, other in zip(a.images, b.images, strict=True):
        np.testing.assert_allclose(one.get_array(), other.get_array(), atol=1e-5)
assert any("strongest" in t.get_text() for ax in new.axes for t in ax.texts)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package with one file and one line more."""
    copied = tmp_path / "src" / "radiolucent"
    shutil.copytree(Path(str(rl.__file__)).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "explainers" / "twicegradcam.py").write_text(METHOD)
    table = copied / "explainers" / "__init__.py"
    lines = table.read_text().splitlines(keepends=True)
    last = next(i for i, line in enumerate(lines) if line.strip() == '"ReciproCAM",')
    lines.insert(last, '        "TwiceGradCAM",\n')
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
    command = ["-c", "from radiolucent.cli import main; main()"]
    words = ["explain", str(tmp_path / "run"), str(film), "--out", str(tmp_path / "out"), "--no-panels", "--no-trust"]
    said = run(package, *command, *words, "--method", "twicegradcam", "--samples", "3", "--json")
    (row,) = json.loads(said)["explanations"]
    assert row["method"] == "twicegradcam"
    (file,) = (tmp_path / "out" / "maps").rglob("*.twicegradcam.npz")
    kept = load_explanation(file)
    assert kept.parameters["copies"] == 3 and kept.title == "Grad-CAM twice" and not kept.signed
    page = tmp_path / "methods.md"
    page.write_text(PAGE.read_text())
    run(package, str(ROOT / "scripts" / "methods_table.py"), str(page))
    assert "| `TwiceGradCAM` | the same, twice | always | as Grad-CAM |" in page.read_text()
    assert len(page.read_text().splitlines()) == len(PAGE.read_text().splitlines()) + 1


def test_the_contract_table_runs_over_it(package: Path) -> None:
    file = Path(__file__).with_name("test_contract.py")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(file.parents[2]), str(file)]
    said = run(package, *words, "-k", "twicegradcam and not inception and not densenet and not mobile and not vit")
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
        assert all((method.title, method.answers, method.misleads, method.cost)), name
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    assert methods_table() in PAGE.read_text(), "run scripts/methods_table.py"
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
