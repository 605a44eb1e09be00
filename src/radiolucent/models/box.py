"""`box`: the small pneumonia classifier that comes with the package."""

import json
from importlib import resources
from pathlib import Path
from typing import Any, cast

from radiolucent.errors import CheckpointError
from radiolucent.files import sha256_file

__all__ = ["BOX", "box_card", "box_path", "checkpoint_file", "is_checkpoint", "names_box"]

BOX = "box"
"""Stands in place of a run for the classifier that comes with the package."""


def box_path() -> Path:
    """Its checkpoint."""
    return Path(str(resources.files("radiolucent.models") / "box.safetensors"))


def box_card() -> dict[str, Any]:
    """Its card, JSON-ready: data, recipe, figures with intervals, limits.

    Raises:
        CheckpointError: the card is missing or another model's.
    """
    file = box_path().with_suffix(".json")
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: no card ({error}); install radiolucent again.") from error
    if not isinstance(card, dict) or cast(Any, card).get("sha256") != sha256_file(box_path()):
        raise CheckpointError(f"{file}: another model's card; install radiolucent again.")
    return cast(dict[str, Any], card)


def is_checkpoint(path: Path) -> bool:
    """Whether a path is a checkpoint file, or a folder that holds one."""
    return path.suffix == ".safetensors" or (path / "model.safetensors").is_file()


def checkpoint_file(run: str | Path) -> Path:
    """The file that `load` reads: of a run folder, a file, or "box"."""
    path = box_path() if names_box(run) else Path(run)
    return path / "model.safetensors" if path.is_dir() else path


def names_box(path: str | Path) -> bool:
    """Whether a path means the classifier that comes with the package: "box", unless a run of that name lies here.

    `./box` is always that run.
    """
    return str(path) == BOX and not is_checkpoint(Path(BOX))
