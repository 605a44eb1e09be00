"""Pickles of plain containers and numeric arrays, read without running any code they bring."""

import io
import pickle
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
        AnnotationError: damaged, or it asks for anything else (a torch tensor, say): before that is even imported.
    """
    try:
        found = _Plain(io.BytesIO(content)).load()
    except AnnotationError:
        raise
    except Exception as error:  # damaged bytes can raise nearly anything
        raise AnnotationError(f"no readable pickle ({type(error).__name__}: {error})") from error
    _no_objects(found, 0)
    return found


def _no_objects(value: Any, depth: int) -> None:
    if depth > 50:
        raise AnnotationError("a pickle nested more than 50 deep")
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        raise AnnotationError("an array of objects; expected numbers")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        _no_objects(one, depth + 1)
