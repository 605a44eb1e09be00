"""What a model file means, in a JSON file beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radiolucent.errors import ModelError
from radiolucent.files import write_json
from radiolucent.images import Preprocess
from radiolucent.models.box import BOX
from radiolucent.models.classifier import Classifier
from radiolucent.types import NO_CALL, LabelRule

__all__ = ["describe", "described", "description_path", "films_path", "is_exported_box", "no_call_note"]


def description_path(file: Path) -> Path:
    """`model.onnx` is described by `model.onnx.json`."""
    return file.with_name(f"{file.name}.json")


def films_path(file: Path) -> Path:
    """The films that `model.onnx` learned from are listed in `model.onnx.films.csv`."""
    return file.with_name(f"{file.name}.films.csv")


def describe(classifier: Classifier, file: Path, *, box: bool = False) -> Path:
    """Write what the numbers of an exported file mean: classes, preprocessing, threshold, temperature.

    Args:
        box: it is the classifier that comes with the package.
    """
    meta = {k: v for k, v in classifier.meta().items() if k not in ("architecture", "provenance")}
    if (fixed := classifier.without_lung) is not None:
        meta |= {"without_lung": list(fixed), "note": no_call_note(classifier)}
    if box:
        meta |= {"trained_on": BOX}
    write_json(description_path(file), meta | {"output": "logits", "model_hash": classifier.hash})
    return description_path(file)


def is_exported_box(file: Path) -> bool:
    """Whether what is written beside an exported file says that it is the classifier that comes with the package."""
    try:
        return json.loads(description_path(file).read_text(encoding="utf-8")).get("trained_on") == BOX
    except (OSError, ValueError, AttributeError):
        return False


def no_call_note(classifier: Classifier) -> str:
    """What whoever runs an exported network on the lungs alone has to know; "" of others."""
    if (fixed := classifier.without_lung) is None:
        return ""
    logits = ", ".join(f"{v:.6g}" for v in fixed)
    return f"logits [{logits}] are {NO_CALL}: those of every film on which nothing has the texture of a lung"


def described(file: Path) -> Mapping[str, Any]:
    """What is written beside a file, as `own_model` takes it; nothing where nothing is.

    Raises:
        ModelError: the description is damaged.
    """
    beside = description_path(file)
    if not beside.is_file():
        return {}
    try:
        read = json.loads(beside.read_text(encoding="utf-8"))
        pre = Preprocess.from_dict(read["preprocess"], None)
        found = {k: read[k] for k in ("class_names", "positive", "head", "threshold", "temperature", "output")}
        found |= {k: read[k] for k in ("calibrated_on", "without_lung") if k in read}
        return {**found, "rules": tuple(LabelRule(**rule) for rule in read.get("rules", ())), "preprocess": pre}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{beside}: damaged ({error}); export the model again, or remove it.") from error
