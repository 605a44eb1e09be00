"""One file a model: weights as safetensors, everything else as JSON in its header. Loading executes no code."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from radiolucent.errors import CheckpointError
from radiolucent.files import atomic_path
from radiolucent.images import Preprocess
from radiolucent.models.build import make_network
from radiolucent.models.classifier import Classifier

__all__ = ["load", "save"]

FORMAT = "1"
NAME = "model.safetensors"


def save(classifier: Classifier, path: str | Path) -> Path:
    """Write a classifier to `path` (a file, or a folder that gets `model.safetensors`), atomically; give the file."""
    file = Path(path)
    file = file / NAME if file.is_dir() or file.suffix == "" else file
    tensors = {n: t.detach().cpu().contiguous() for n, t in classifier.network.state_dict().items()}
    header = {"radiolucent": FORMAT, "classifier": json.dumps(classifier.meta(), ensure_ascii=False)}
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, metadata=header)
    return file


def load(path: str | Path) -> Classifier:
    """Read a classifier from a checkpoint file or a run folder.

    Raises:
        CheckpointError: missing, damaged, not of this project, or of a newer format.
    """
    file = Path(path)
    file = file / NAME if file.is_dir() else file
    if not file.is_file():
        raise CheckpointError(f"{file}: no checkpoint there; give a run folder or a model.safetensors file.")
    try:
        with safe_open(file, framework="pt") as stream:
            header = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file}: damaged or no safetensors file ({error}); copy or train it again.") from error
    version = header.get("radiolucent")
    if version is None:
        raise CheckpointError(
            f"{file}: plain weights without class names and preprocessing; train with --weights {file.name} instead."
        )
    if version != FORMAT:
        raise CheckpointError(f"{file}: checkpoint format {version}; this version reads {FORMAT}: update radiolucent.")
    try:
        meta = json.loads(header["classifier"])
        network = make_network(meta["architecture"])
        network.load_state_dict(tensors, strict=True)
        classifier = Classifier(
            network.to(memory_format=torch.channels_last).eval(),  # pyright: ignore[reportCallIssue]
            tuple(meta["class_names"]),
            Preprocess.from_dict(meta["preprocess"]),
            meta["positive"],
            meta["head"],
            meta["threshold"],
            meta["temperature"],
            meta["architecture"],
            meta["provenance"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{file}: header and weights do not fit together ({error}); train it again.") from error
    return classifier
