"""Pickles of plain containers and numeric arrays, read without running any code they bring."""

import io
import math
import pickle
import pickletools
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import AnnotationError

__all__ = ["load_plain"]

_KINDS = re.compile(r"b1|[iuf][1248]|f16|[?bBhHiIlLqQefdg]")
_LARGEST = 1 << 28  # items of an array


class _Dtype:
    """A type of number, as a pickle describes it: NumPy's own would take any state, and crash by some."""

    def __init__(self, code: object) -> None:
        if not isinstance(code, str) or not _KINDS.fullmatch(code.lstrip("<>|=")):
            raise AnnotationError(f"an array of {str(code)[:40]!r}; expected numbers")
        self.made = np.dtype(code)

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise AnnotationError("a type of number that no array has; the pickle is damaged")
        self.made = self.made.newbyteorder("=" if order == "|" else order)


class _Array:
    """An array whose shape, type and bytes are checked before NumPy sees them."""

    made: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise AnnotationError("an array without its parts; the pickle is damaged")
        _, shape, dtype, fortran, data = state
        self.made = _from_bytes(data, dtype, shape, "F" if fortran else "C")


def _from_bytes(data: object, dtype: object, shape: object, order: object = "C") -> NDArray[Any]:
    if isinstance(data, str):  # as Python 2 wrote bytes
        data = data.encode("latin1")
    if isinstance(shape, int):
        shape = (shape,)
    if (
        not isinstance(data, bytes | bytearray)
        or not isinstance(dtype, _Dtype)
        or not isinstance(shape, tuple)
        or len(shape) > 8
        or not all(isinstance(n, int) and 0 <= n <= _LARGEST for n in shape)
        or order not in ("C", "F")
        or math.prod(shape) * dtype.made.itemsize != len(data)
    ):
        raise AnnotationError("an array whose bytes do not fit its shape and type; the pickle is damaged")
    found = np.frombuffer(bytes(data), dtype.made)
    return found.reshape(shape, order="F" if order == "F" else "C")


def _frombuffer(data: object, dtype: object, shape: object, order: object = "C", *_: object) -> _Array:
    made = _Array()
    made.made = _from_bytes(data, dtype, shape, order)
    return made


def _scalar(dtype: object, data: object = b"") -> Any:
    return _from_bytes(data, dtype, ()).item()


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _dtype(code: object, *_: object) -> _Dtype:
    return _Dtype(code)


# What an array of numbers needs to come back, in our own words: nothing runs what the file says.
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("_core", "core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("_core", "core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("_core", "core")},
}


def _latin1(text: str, coding: str) -> bytes:
    """How protocol 2 writes bytes; nothing else is asked of codecs."""
    if coding != "latin1":
        raise AnnotationError(f"text in {coding}; expected latin1")
    return text.encode("latin1")


class _Plain(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) in _ADMITTED:
            return _ADMITTED[module_name, global_name]
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
    return _plain(found)


def _plain(value: Any) -> Any:
    """The same with arrays in place of what stood for them."""
    if isinstance(value, _Array):
        return value.made
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(one) for one in value)
    return value


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
            if int(given) > len(content):  # pyright: ignore[reportArgumentType]
                raise AnnotationError("the pickle counts more parts than it has bytes; it is damaged")
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
    if isinstance(value, _Array):
        if value.made is None:
            raise AnnotationError("an array without its parts; the pickle is damaged")
        total += value.made.nbytes
    elif isinstance(value, _Dtype) or callable(value):
        raise AnnotationError("something that is no value; the pickle is damaged")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        total += _size(one, most, known, depth + 1)
        if total > most:
            raise AnnotationError(_BOMB)
    known[id(value)] = total
    if total > most:
        raise AnnotationError(_BOMB)
    return total
