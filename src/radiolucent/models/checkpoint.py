"""One file a model: weights as safetensors, everything else as JSON in its header.

Loading executes no code of others: the factory of a model of your own (`own_model`) is called where its module is
imported already, and otherwise only where you say so.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from radiolucent.bounds import PATH, expect
from radiolucent.errors import CheckpointError, ConfigError, ModelError
from radiolucent.files import write_tensors
from radiolucent.images import Preprocess
from radiolucent.models.box import box_path, names_box
from radiolucent.models.build import make_network
from radiolucent.models.classifier import Classifier, check_classifier, digest_of
from radiolucent.models.own import OWN, is_model_file, made_again, named_model, names_own
from radiolucent.segment import window_from
from radiolucent.types import LabelRule

__all__ = ["UNFINISHED", "finished", "load", "provenance", "save"]

FORMAT = 1
KEY = "radiolucent"
UNFINISHED = "unfinished"
"""In the provenance of weights whose training, or calibration, is still under way: what they are so far, in words."""
NAME = "model.safetensors"


def save(classifier: Classifier, path: str | Path) -> Path:
    """Write a classifier to `path` (a file, or a folder that gets `model.safetensors`), atomically; give the file.

    Raises:
        CheckpointError: a wrapped model, or values that are not plain.
    """
    check_classifier(classifier)
    expect(path, PATH, "place to save to", "the path of a file or folder")
    if classifier.architecture.get("name") == "one label":
        raise CheckpointError("one label of a multi-label model is a view of it; save the whole model.")
    if classifier.architecture.get("name") in ("wrapped", "function"):
        raise CheckpointError(
            "a checkpoint cannot tell how to build this module again. Make it by name, which is kept: "
            'own_model("package.module:factory", class_names); or save it with its own library, and wrap it anew.'
        )
    file = Path(path)
    file = file / NAME if file.is_dir() or file.suffix == "" else file
    tensors = {n: t.detach().cpu().contiguous().clone() for n, t in classifier.network.state_dict().items()}
    header = {"format": FORMAT, "classifier": classifier.meta(), "sha256": classifier.digest()}
    try:
        text = json.dumps(header, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: architecture and provenance must be plain JSON values ({error}).") from error
    write_tensors(file, tensors, {KEY: text})  # one entry: safetensors writes several in any order
    return file


def load(path: str | Path, *, unfinished: bool = False, imports: bool | None = None) -> Classifier:
    """Read a classifier from a checkpoint file or a run folder, or "box", the one that comes with the package.

    Args:
        path: also "package.module:factory" that gives a `Classifier`, see `own_model`.
        imports: whether the module that makes a model of your own may be imported, which runs its code. Unless said,
            only a module that the program has imported already; or any, where RADIOLUCENT_IMPORTS=1 is set.
        unfinished: also take one whose training or calibration is under way, or was killed: its threshold and
            temperature mean nothing yet.

    Raises:
        CheckpointError: missing, damaged (weights and header are held against their checksum), not of this project,
            of a newer format, or unfinished.
    """
    expect(path, PATH, "place of a model", "the path of a run folder or a model.safetensors file, or 'box'")
    if names_own(path):
        return named_model(path)
    file = box_path() if names_box(path) else Path(path)
    file = file / NAME if file.is_dir() else file
    if is_model_file(file):
        raise CheckpointError(
            f"{file}: a model file, which does not say what it means; give it to own_model, or --model."
        )
    if not file.is_file():
        raise CheckpointError(f"{file}: no checkpoint there; give a run folder, a model.safetensors file, or box.")
    header, tensors = _contents(file)
    device = _device()
    try:
        meta = header["classifier"]
        _hold_against(header["sha256"], meta, tensors, file)  # before a damaged header can ask for a network
        _refuse_older(meta["architecture"], tensors, file)
        own = meta["architecture"]["name"] == OWN
        if own and not (imports or "file" in meta["architecture"] or (imports is None and _known(meta))):
            raise CheckpointError(
                f"{file}: is made by {meta['architecture']['source']}, and making it runs the code of that module. "
                "Where you trust it, import the module first, say imports=True, or set RADIOLUCENT_IMPORTS=1."
            )
        network = made_again(meta["architecture"], tensors) if own else _skeleton(meta["architecture"])
        network.load_state_dict(tensors, strict=True)
        classifier = Classifier(
            network.to(device, memory_format=torch.channels_last).eval(),  # pyright: ignore[reportCallIssue]
            tuple(meta["class_names"]),
            _preprocess(meta["preprocess"]),
            meta["positive"],
            meta["head"],
            meta["threshold"],
            meta["temperature"],
            meta["architecture"],
            meta["provenance"],
            meta.get("calibrated_on"),
            tuple(LabelRule(**rule) for rule in meta.get("rules", ())),
        )
    except CheckpointError:
        raise
    except ModelError as error:
        raise CheckpointError(f"{file}: {error}") from error
    except Exception as error:  # a damaged header may say anything
        raise CheckpointError(f"{file}: header and weights do not fit together ({error}); train it again.") from error
    if (so_far := classifier.provenance.get(UNFINISHED)) and not unfinished:
        raise CheckpointError(
            f"{file}: not finished: {so_far}. The same command that began it goes on where it stopped; to use it as it "
            "is: load(path, unfinished=True)."
        )
    return classifier


def _contents(file: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(the header, the tensors) of a checkpoint file.

    Raises:
        CheckpointError: damaged, not of this project, or of a newer format.
    """
    try:
        with file.open("rb"):  # safetensors calls a file that is closed to the user missing
            pass
        with safe_open(file, framework="pt") as stream:
            text = (stream.metadata() or {}).get(KEY)
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}
    except PermissionError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror}); change its permissions.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file}: damaged or no safetensors file ({error}); copy or train it again.") from error
    if text is None:
        raise CheckpointError(
            f"{file}: plain weights without class names and preprocessing; train with --weights {file.name} instead."
        )
    try:
        header = json.loads(text)
        version = header["format"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: damaged header ({error}); copy or train it again.") from error
    if version != FORMAT:
        raise CheckpointError(f"{file}: checkpoint format {version}; this version reads {FORMAT}: update radiolucent.")
    return header, tensors


def finished(path: str | Path) -> bool:
    """Whether a file or run folder holds a checkpoint that is not marked unfinished; reads its header alone."""
    told = provenance(path)
    return told is not None and UNFINISHED not in told


def provenance(path: str | Path) -> Mapping[str, Any] | None:
    """What a file or run folder says of how its model came about, from its header alone; None where it holds none."""
    file = Path(path)
    file = file / NAME if file.is_dir() else file
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as stream:
            return dict(json.loads((stream.metadata() or {})[KEY])["classifier"]["provenance"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _known(meta: Any) -> bool:
    """Whether the code that makes a model of the user's runs in this program anyway."""
    module = str(meta["architecture"]["source"]).partition(":")[0]
    return module in sys.modules or os.environ.get("RADIOLUCENT_IMPORTS") == "1"


def _hold_against(told: str, meta: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    """Refuse header and weights whose checksum is not the one that was saved (as `Classifier.digest` makes it)."""
    if told != digest_of({k: v for k, v in meta.items() if k != "provenance"}, tensors):
        raise CheckpointError(
            f"{file}: weights or header are not what was saved (their checksum differs); copy the file again, or train "
            "the model again. To change threshold or temperature: load, classifier.with_(threshold=…), save."
        )


def _refuse_older(architecture: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    """Refuse a network on the lungs alone as they were made before its trunk was ImageNet's."""
    if architecture["name"] == "in_lungs" and any(name.startswith("trunk.blocks.") for name in tensors):
        raise CheckpointError(
            f"{file}: a network on the lungs alone in its first form (a small residual trunk), which this version no "
            "longer has; use the radiolucent that made it, or train it again with in_lungs. In place of the first "
            "model that came with the package, use box."
        )


def _preprocess(values: Mapping[str, Any]) -> Preprocess:
    window = values.get("window")
    return Preprocess.from_dict(values, None if window is None else window_from(window))


def _device() -> torch.device:
    """Where `$RADIOLUCENT_DEVICE` says that networks compute; the CPU without it.

    Raises:
        ConfigError: no such device here.
    """
    wanted = os.environ.get("RADIOLUCENT_DEVICE") or "cpu"
    try:
        torch.empty(1, device=wanted)
        return torch.device(wanted)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"device {wanted!r}: not usable here ({str(error).splitlines()[0]}); expected e.g. cpu."
        ) from error


def _skeleton(architecture: Mapping[str, Any]) -> nn.Module:
    """The network without initial weights drawn from the caller's random numbers."""
    with torch.random.fork_rng(devices=[]):
        return make_network(architecture)
