"""What an audit judges by, as it stands in this package: every constant of its modules, and a mark of their code."""

import ast
import json
import zlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

__all__ = ["differing", "rules", "rules_of"]

APART = ("rules", "selftest", "shipped_selftest", "planted_films")
"""Modules that judge nothing."""
SHOWN = 6
CODE = "code"


def rules() -> dict[str, Any]:
    """Constants as "module.NAME", and of each module "module.code", a check sum of its code without words on it.

    A changed comment, docstring or line break changes nothing here.
    """
    found: dict[str, Any] = {}
    for file in sorted(files(__package__ or "").iterdir(), key=lambda f: f.name):
        module = file.name.removesuffix(".py")
        if file.name.endswith(".py") and module not in APART:
            found |= rules_of(module, ast.parse(file.read_text("utf-8")))
    return found


def rules_of(module: str, tree: ast.Module) -> dict[str, Any]:
    """The same of one module; takes docstrings out of its tree."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                found |= _literals(target, node.value)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [n for n in body if not _words(n)]  # pyright: ignore[reportAttributeAccessIssue]
    named = {f"{module}.{name}": value for name, value in found.items()}
    return named | {f"{module}.{CODE}": zlib.crc32(ast.unparse(tree).encode())}


def _literals(target: ast.expr, value: ast.expr) -> dict[str, Any]:
    """The constants that an assignment names, as JSON has them: numbers, words, tuples and sets of them."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return {k: v for t, x in zip(target.elts, value.elts, strict=True) for k, v in _literals(t, x).items()}
    if not isinstance(target, ast.Name) or not target.id.isupper():
        return {}
    try:
        read = ast.literal_eval(value)
    except ValueError:
        return {}
    return {target.id: json.loads(json.dumps(read, default=sorted))}


def _words(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The rules that differ, in words; "" where none does."""
    if not then:
        return "it does not say by what rules"
    names = [k for k in (*then, *(k for k in now if k not in then)) if then.get(k) != now.get(k)]
    constants = [f"{k} ({then.get(k, 'none')} then, {now.get(k, 'none')} now)" for k in names if not _is_code(k)]
    code = [f"the code of {k.removesuffix(f'.{CODE}')}" for k in names if _is_code(k)]
    told = [*constants, *code]
    return ", ".join(told[:SHOWN]) + (f" and {len(told) - SHOWN} more" if len(told) > SHOWN else "")


def _is_code(name: str) -> bool:
    return name.endswith(f".{CODE}")
