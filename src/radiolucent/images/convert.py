"""Films from what people have: paths, arrays, PIL pictures, tensors, data sets of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.images.raster import from_array, from_picture
from radiolucent.images.read import read
from radiolucent.types import Radiograph

__all__ = ["as_film", "as_films"]

EXPECTED = (
    "expected a Radiograph (rl.read(path), rl.from_array(array)), a path, an array, a PIL image or a tensor, or several"
)
OF_BYTES = "bytes or an open file; open it as a picture: PIL.Image.open(file), or PIL.Image.open(io.BytesIO(bytes))"
OF_DICOM = "a data set of pydicom; give its file's path, so that its window and inversion are followed: rl.read(path)"


def as_films(given: Any) -> tuple[list[Radiograph], bool]:
    """(films, whether one alone was given).

    Several are any iterable of films, an array or tensor (N, H, W, …) of four axes, a data set whose items are a
    film or begin with one, or one of `load_dataset`.

    Raises:
        ConfigError: none of these. ImageError: see `read` and `from_array`.
    """
    if _is_dicom(given) or isinstance(given, Radiograph | str | Path) or _is_picture(given):
        return [as_film(given)], True
    if getattr(given, "ndim", 4) < 4:
        return [as_film(given)], True
    if isinstance(given, bytes | bytearray | memoryview) or hasattr(given, "read"):
        raise ConfigError(f"{OF_BYTES}.")
    if _is_record(given):
        return [as_film(given)], True
    records: Any = getattr(given, "records", ())
    if isinstance(records, tuple) and records and _is_record(records[0]):  # of `load_dataset`
        given = cast(Any, records)
    items: Iterable[Any]
    if isinstance(given, Iterable) and not isinstance(given, Mapping):
        items = cast(Iterable[Any], given)
    elif hasattr(given, "__getitem__") and hasattr(given, "__len__") and not isinstance(given, Mapping):
        items = (given[i] for i in range(len(given)))
    else:
        raise ConfigError(f"a {type(given).__name__}; {EXPECTED}.")
    films = [as_film(item[0] if isinstance(item, tuple) else item, f"image {i}") for i, item in enumerate(items)]
    return films, False


def as_film(given: Any, name: str = "array") -> Radiograph:
    """One film from a Radiograph, a path or record, an array (H, W), (H, W, C) or (C, H, W), a PIL image or a tensor.

    Args:
        name: identifier of a film that has none.
    """
    if isinstance(given, Radiograph):
        return given
    if isinstance(given, str | Path):
        return read(given)
    if _is_record(given):
        return read(given.path, image_id=given.image_id, patient_id=getattr(given, "patient_id", None))
    if _is_picture(given):
        return from_picture(given, image_id=name)
    if _is_dicom(given):
        raise ConfigError(f"{OF_DICOM}.")
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = (given.float() if "bfloat16" in str(given.dtype) else given).numpy()
    if not isinstance(given, np.ndarray):
        raise ConfigError(f"a {type(given).__name__}; {EXPECTED}.")
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise ConfigError("a masked array; fill what is masked first: array.filled(0).")
    return from_array(_laid_out(cast(NDArray[Any], given)), image_id=name)


def _laid_out(array: NDArray[Any]) -> NDArray[Any]:
    """(H, W) or (H, W, C) of an array that may have its channels first, or a single one."""
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = np.moveaxis(array, 0, 2)
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _is_record(given: Any) -> bool:
    return isinstance(getattr(given, "path", None), Path) and hasattr(given, "image_id")


def _is_dicom(given: Any) -> bool:
    return type(given).__module__.startswith("pydicom.")


def _is_picture(given: Any) -> bool:
    return hasattr(given, "mode") and hasattr(given, "getbands")
