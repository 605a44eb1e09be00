"""Pickles of plain containers and numeric arrays, read without running any code they bring."""

import io
import pickle
import pickletools
from typing import Any

import numpy as np

from radiolucent.errors import AnnotationError

__all__ = ["load_plain"]

# What an array of numbers needs to come back; none of these runs what the file says.
_ADMITTED = {
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


def _latin1(text: str, coding: str) -> bytes:
    """How protocol 2 writes bytes; nothing else is asked of codecs."""
    if coding != "latin1":
        raise AnnotationError(f"text in {coding}; expected latin1")
    return text.encode("latin1")


class _Plain(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) in _ADMITTED:
            return super().find_class(module_name, global_name)
        if (module_name, global_name) == ("_codecs", "encode"):
            return _latin1
        raise AnnotationError(
            f"the pickle asks for {module_name}.{global_name}; only lists, dicts, texts, numbers and NumPy arrays are "
            "read, because anything else can run code. Convert it where you trust it, for example with "
            "numpy.asarray on each tensor, to JSON."
        )

    def persistent_load(self, pid: Any, /) -> Any:
        raise AnnotationError("the pickle refers to something outside itself; convert it to JSON where you trust it.")


def load_plain(content: bytes) -> Any:
    """Unpickle lists, dicts, texts, numbers and numeric arrays.

    Raises:
        AnnotationError: damaged; asking for anything else (a torch tensor, say), before that is even imported; or
            holding more than its bytes can honestly say, such as a list in a list forty times over.
    """
    most = 1000 + 20 * len(content)
    try:
        _weigh(content, most)
        found = _Plain(io.BytesIO(content)).load()
    except AnnotationError:
        raise
    except Exception as error:  # damaged bytes can raise nearly anything
        raise AnnotationError(f"no readable pickle ({type(error).__name__}: {error})") from error
    _size(found, most, {}, 0)
    return found


_BOMB = "the pickle refers to its own parts again and again, so that it grows beyond measure; it holds no reading"


def _weigh(content: bytes, most: int) -> None:
    """Refuse tuples of tuples that share their parts: to hash one as a key would take for ever.

    Every object weighs one more than what it is made of, as often as it is used.
    """
    stack: list[int | None] = []  # None: a mark
    memo: dict[int, int] = {}
    for op, given, _ in pickletools.genops(content):
        name = op.name
        if name == "MEMOIZE":
            memo[len(memo)] = stack[-1] or 0
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(given)] = stack[-1] or 0  # pyright: ignore[reportArgumentType]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(given)])  # pyright: ignore[reportArgumentType]
        elif name == "MARK":
            stack.append(None)
        else:
            total = 1
            before = op.stack_before
            if pickletools.markobject in before:
                while (top := stack.pop()) is not None:
                    total += top
                before = before[: before.index(pickletools.markobject)]
            for _ in before:
                total += stack.pop() or 0
            if total > most:
                raise AnnotationError(_BOMB)
            stack.extend([total] * len(op.stack_after))


def _size(value: Any, most: int, known: dict[int, int], depth: int) -> int:
    """How many things a value holds, counted as often as they are used; arrays by their bytes."""
    if depth > 50:
        raise AnnotationError("a pickle nested more than 50 deep")
    if id(value) in known:
        return known[id(value)]
    total = 1
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise AnnotationError("an array of objects; expected numbers")
        total += value.nbytes
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        total += _size(one, most, known, depth + 1)
        if total > most:
            raise AnnotationError(_BOMB)
    known[id(value)] = total
    if total > most:
        raise AnnotationError(_BOMB)
    return total
