"""The house's shape: no cycle between modules, no name that says nothing, no module that has grown too large."""

import importlib
import re
from collections import Counter
from pathlib import Path

import grimp
import networkx as nx

import radiolucent

SOURCE = Path(str(radiolucent.__file__)).parent
MODULES = sorted(SOURCE.rglob("*.py"))


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("radiolucent")
    imports = nx.DiGraph((m, found) for m in graph.modules for found in graph.find_modules_directly_imported_by(m))
    assert [sorted(c) for c in nx.strongly_connected_components(imports) if len(c) > 1] == []


def test_a_name_stands_for_two_modules_at_most() -> None:
    names = Counter(path.stem for path in MODULES if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 2] == []


def test_no_module_has_more_than_400_lines() -> None:
    assert [str(path) for path in MODULES if len(path.read_text().splitlines()) > 400] == []


def test_the_architecture_names_files_that_exist() -> None:
    root = Path(__file__).parents[1]
    told = re.findall(r"`([\w/]+/\w+\.(?:py|js))`", (root / "docs" / "architecture.md").read_text(encoding="utf-8"))
    homes = (root, Path(radiolucent.__file__).parent)
    assert told
    assert not [name for name in told if not any((home / name).is_file() for home in homes)]


def test_the_documentation_names_what_is_there() -> None:
    root = SOURCE.parents[1]
    pages = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "notebooks").glob("*.ipynb")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = {("radiolucent", name) for name in re.findall(r"\brl\.(\w+)", text)}
    for module, names in re.findall(r"from (radiolucent[\w.]*) import ([\w, ]+)", text):
        named |= {(module, name.strip()) for name in names.split(",")}
    assert len(named) > 50
    assert [f"{m}.{n}" for m, n in sorted(named) if not hasattr(importlib.import_module(m), n)] == []
