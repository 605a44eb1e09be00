"""What a repaired model was made with: a finished one is taken again only where all of it is the same."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.errors import ConfigError
from radiolucent.files import write_json
from radiolucent.models import Classifier
from radiolucent.study.region_masks import Layers
from radiolucent.study.remedies import Plan
from radiolucent.study.trained import data_hash
from radiolucent.training.state import differences

__all__ = ["SETTINGS", "same_settings", "settings_of"]

SETTINGS = "repair_settings.json"


def settings_of(plan: Plan, layers: Layers, start: Classifier) -> dict[str, Any]:
    """All that a plan's training sees, JSON-ready; pixels and masks as SHA-256."""
    schooling = plan.schooling
    return {
        "data": data_hash(plan.prepared),
        "films": _digest(np.asarray(plan.prepared.cache.pixels)),
        "masks": _digest(layers.lungs, layers.lungs_known, layers.markers, layers.findings),
        "irrelevant": _digest(schooling.irrelevant),
        "groups": _digest(schooling.groups),
        "redrawn": [_drawing(redraw) for redraw in schooling.redraw],
        "channels": list(plan.channels),
        "training": dict(schooling.changes),
        "starts from": start.hash,
        "unrepaired": plan.before.hash if plan.before else None,
    }


def _drawing(redraw: Any) -> dict[str, Any]:
    """A redraw's name and its plain settings; what is exchanged by name."""
    plain = {f.name: getattr(redraw, f.name) for f in dataclasses.fields(redraw)}
    kept = {name: value for name, value in plain.items() if isinstance(value, bool | int | float | str)}
    return {"kind": type(redraw).__name__, **kept, "channels": list(plain.get("channels", ()))}


def _digest(*arrays: np.ndarray[Any, Any] | None) -> str | None:
    known = [a for a in arrays if a is not None]
    digest = hashlib.sha256()
    for array in known:
        digest.update((np.packbits(array) if array.dtype == bool else np.ascontiguousarray(array)).data)
    return digest.hexdigest()[:16] if known else None


def same_settings(home: Path, settings: Mapping[str, Any]) -> None:
    """Write down what a model in this folder is made with, before it is; or see that it is the same.

    Raises:
        ConfigError: the folder holds a model made with other settings, or one that did not write them down.
    """
    file, now = home / SETTINGS, json.loads(json.dumps(settings))
    begun = (home / "model.safetensors").exists() or (home / "state").exists()
    if begun and file.is_file():
        changed = differences(_read(file), now)
    elif begun:
        changed = [f"no {SETTINGS} there, as of an older version"]
    else:
        home.mkdir(parents=True, exist_ok=True)
        write_json(file, now)
        return
    if changed:
        raise ConfigError(
            f"{home}: holds a model made with other settings ({'; '.join(changed)}). Give another --out, go back to "
            "those settings, or delete that folder to train it again."
        )


def _read(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{file}: damaged, so how the model beside it was made is not known. Delete {file.parent}.")
    return found
