"""Explanations on disk: one `.npz` an image, without pickle."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.errors import ExplainError
from radiolucent.files import atomic_path
from radiolucent.types import Explanation, Geometry

__all__ = ["load_explanation", "save_explanation"]


def save_explanation(explanation: Explanation, path: str | Path) -> Path:
    """Write one explanation as `.npz`: the raw map, arrays of its details, and the rest as JSON."""
    file = Path(path)
    arrays = {k: v for k, v in explanation.details.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in explanation.details.items() if not isinstance(v, np.ndarray)}
    skipped = ("map", "details", "geometry")
    meta = {f.name: getattr(explanation, f.name) for f in dataclasses.fields(explanation) if f.name not in skipped}
    meta |= {"parameters": dict(explanation.parameters), "trust": dict(explanation.trust), "details": plain}
    meta["geometry"] = dataclasses.asdict(explanation.geometry)
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        contents: dict[str, Any] = {f"details_{k}": v for k, v in arrays.items()}
        np.savez_compressed(stream, map=explanation.map, meta=np.array(json.dumps(meta)), **contents)
    return file


def load_explanation(path: str | Path) -> Explanation:
    """Read what `save_explanation` wrote.

    Raises:
        ExplainError: missing, damaged, or not an explanation.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            arrays = {k.removeprefix("details_"): stored[k] for k in stored.files if k.startswith("details_")}
            values = stored["map"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ExplainError(f"{path}: is no explanation file ({error}); make it again.") from error
    place = meta.pop("geometry")
    geometry = Geometry(*(tuple(place[k]) for k in ("source_shape", "model_shape", "scale", "shift")))
    details = meta.pop("details") | arrays
    meta["logits"] = tuple(meta.get("logits", ()))  # files of the first versions have none
    return Explanation(map=values, geometry=geometry, details=details, **meta)
