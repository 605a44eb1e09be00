"""A classifier's network as an ONNX or OpenVINO file, held against torch before it is kept."""

import tempfile
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from radiolucent.errors import ConfigError, ModelError
from radiolucent.extras import require
from radiolucent.files import atomic_path
from radiolucent.images import Preprocess
from radiolucent.models.box import box_path
from radiolucent.models.checkpoint import load
from radiolucent.models.classifier import Classifier, check_classifier
from radiolucent.models.description import describe, films_path, no_call_note
from radiolucent.models.model_file import Runner, onnx_runner
from radiolucent.models.modes import evaluating, own_modes
from radiolucent.models.preserve_state import as_it_was
from radiolucent.models.reads_values import LOOKS, reads_values
from radiolucent.models.steady import unsteady
from radiolucent.models.to_openvino import to_openvino
from radiolucent.models.wrap import black_box
from radiolucent.types import Radiograph

__all__ = ["Exported", "export"]

Format = Literal["onnx", "openvino"]
SUFFIX: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml"}
NOTE = "radiolucent_note"
"""The metadata of a file that say which logits are no call."""

NOISE = 8
"""Images of noise that a file is compared on, where no films are given."""


@dataclass(frozen=True)
class Exported:
    """A file that gives what the network gives.

    Attributes:
        file: written. description: what its numbers mean (JSON). format: "onnx" or "openvino".
        difference: largest |file's logit − torch's|. moves: how far torch's logits move between the images compared.
        images: how many were compared. on: "films" or "noise". tolerance: that the difference had to keep.
        note: which logits are no answer about a film, of a network that looks at the lungs alone.
    """

    file: Path
    description: Path
    format: Format
    difference: float
    moves: float
    images: int
    on: str
    tolerance: float
    note: str = ""


def export(
    classifier: Classifier,
    path: str | Path,
    to: Format | None = None,
    *,
    films: Sequence[Radiograph] = (),
    tolerance: float = 1e-4,
) -> Exported:
    """Write a classifier's network as a file for other programs, and see that it gives the same logits.

    The file takes preprocessed inputs float32 (N, C, H, W) named "images", N free, and gives "logits" (N, K).
    What comes before and after, preprocessing, temperature and threshold, stands beside it in JSON. `own_model` reads
    both again. Which logits a network on the lungs alone gives any film without lung, so that they are no call, stands
    there as `without_lung`, and in the file's own metadata as `radiolucent_note`.

    Args:
        path: of the file; ".onnx" or ".xml" (OpenVINO, with its ".bin").
        to: "onnx" or "openvino"; by the suffix unless given.
        films: to compare logits on; noise unless given. A network on the lungs alone needs some.
        tolerance: largest difference of a logit that is taken, as a share of the largest logit, or of 1 if that is
            larger.

    Raises:
        ModelError: the network cannot be converted, the file gives other logits, or the network says the same of all
            that is compared, which shows nothing; nothing is written then.
        ConfigError: an unknown format. MissingExtraError: what writes or runs such a file is not installed.
    """
    check_classifier(classifier)
    file, kind = _placed(Path(path), to)
    network = classifier.network
    if (box := black_box(network)) is not None:
        raise ModelError(f"{box.kind} cannot be exported: only a torch network can.")
    if why := unsteady(classifier):
        raise ModelError(why)
    given, on = _compared(classifier, films)
    plain = _Logits(network).eval()
    expected = classifier.logits(given)
    most, moves = tolerance * max(1.0, float(expected.abs().max())), float((expected.amax(0) - expected.amin(0)).max())
    if len(given) > 1 and moves <= most:
        raise ModelError(
            f"{file}: not written. Of {len(given)} {on} the network says the same, to {moves:.1e}, so that nothing "
            "shows that the file answers as it does. Give films on which its answers differ: films=[…], or --films "
            "FOLDER."
        )
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
        made = Path(folder) / file.name
        with as_it_was(network), evaluating(network), own_modes(), torch.no_grad():
            note = no_call_note(classifier)
            _WRITERS[kind](plain, given[:2].to(classifier.device, classifier.dtype), made, note)
        run = _openvino_runner(made) if kind == "openvino" else onnx_runner(made.read_bytes())
        try:
            found = torch.from_numpy(np.asarray(run(given.numpy()), np.float32))
        except Exception as error:  # another library's
            raise ModelError(
                f"{file}: not written. The file cannot be run for {len(given)} images ({str(error)[:200]}). A number "
                "of images that Python looks up, len(x), is kept as it was; x.shape[0] is not."
            ) from error
        off = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
        if not off <= most:
            raise ModelError(
                f"{file}: not written. Its logits differ from torch's by up to {off:.1e} on {len(given)} {on}; "
                f"expected at most {tolerance:g} of the largest logit. A network in which Python looks at values, or "
                "loops over the batch, cannot be exported as it is."
            )
        with ExitStack() as placed:  # all of it is written before anything older goes; the file itself is placed last
            for part in sorted(Path(folder).iterdir(), key=lambda p: p.suffix != file.suffix):
                placed.enter_context(atomic_path(file.with_name(part.name))).write_bytes(part.read_bytes())
            file.unlink(missing_ok=True)  # an older one beside new weights, or a new description, would be neither
            films_path(file).unlink(missing_ok=True)
            beside = describe(classifier, file, box=classifier.hash == load(box_path()).hash)
    return Exported(file, beside, kind, off, moves, len(given), on, tolerance, note)


class _Logits(nn.Module):
    """A network whose first result is its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: Any = self.network(images.clone())  # which may write in place
        return out[0] if isinstance(out, tuple) else out


def _placed(path: Path, to: Format | None) -> tuple[Path, Format]:
    kinds: dict[str, Format] = {suffix: kind for kind, suffix in SUFFIX.items()}
    kind = to or kinds.get(path.suffix.lower())
    if kind not in SUFFIX:
        raise ConfigError(f"export to {to or path.name!r}; expected onnx, openvino, or a file ending in .onnx or .xml.")
    file = path if path.suffix.lower() == SUFFIX[kind] else path.with_name(path.name + SUFFIX[kind])
    if not file.parent.is_dir():
        raise ConfigError(f"{file.parent}: no such folder; make it first.")
    return file, kind


def _compared(classifier: Classifier, films: Sequence[Radiograph]) -> tuple[torch.Tensor, str]:
    pre: Preprocess = classifier.preprocess
    if films:
        return torch.stack([pre(film) for film in films]), "films"
    draw = torch.Generator().manual_seed(0)
    return pre.normalise(torch.rand(NOISE, *pre.shape, generator=draw)), "images of noise"


def _write_onnx(network: nn.Module, images: torch.Tensor, file: Path, note: str) -> None:
    onnx: Any = require("onnx", extra="onnx")
    if reads_values(network, images[:1]):
        raise ModelError(f"{file.name}: not written. {LOOKS}")
    free = {"images": {0: "n"}, "logits": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's newer exporter needs one package more, and is not needed
        try:
            torch.onnx.export(
                network,
                (images.contiguous(),),
                str(file),
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes=free,
                dynamo=False,
            )
        except Exception as error:  # conversion fails in many ways
            raise ModelError(f"{file.name}: this network cannot be written as ONNX ({str(error)[:200]}).") from error
    if note:
        model = onnx.load(str(file))
        onnx.helper.set_model_props(model, {NOTE: note})
        onnx.save(model, str(file))


def _write_openvino(network: nn.Module, images: torch.Tensor, file: Path, note: str) -> None:
    openvino: Any = require("openvino", extra="openvino")
    model = to_openvino(network, [images])
    try:
        model.inputs[0].get_tensor().set_names({"images"})
        model.outputs[0].get_tensor().set_names({"logits"})
        if note:
            model.set_rt_info(note, NOTE)
        openvino.save_model(model, str(file), compress_to_fp16=False)
    except Exception as error:  # OpenVINO's, of many kinds
        raise ModelError(f"{file.name}: the network cannot be written for OpenVINO ({str(error)[:200]}).") from error


_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino}


def _openvino_runner(file: Path) -> Runner:
    openvino: Any = require("openvino", extra="openvino")
    compiled: Any = openvino.compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return Runner(lambda x: cast(Any, np.array(compiled([x])[0])), ())
