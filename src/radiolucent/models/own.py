"""A model of the user's by name: a factory in a module of theirs, an ONNX or OpenVINO file, or an exported program."""

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from radiolucent.errors import ConfigError, ModelError, WeightsError
from radiolucent.images import Preprocess
from radiolucent.models.classifier import Classifier
from radiolucent.models.description import described
from radiolucent.models.labels_given import Thresholds, outputs_of
from radiolucent.models.model_file import SUFFIXES, FileModel, content_of
from radiolucent.models.positive import AmbiguousPositive
from radiolucent.models.weights import load_weights
from radiolucent.models.wrap import BlackBox, Layout, Output, Wrapped, wrap, wrap_function
from radiolucent.types import Head

__all__ = [
    "OWN",
    "is_model_file",
    "made_again",
    "made_by",
    "named_model",
    "names_own",
    "own_model",
    "remember_own",
    "with_origin",
]

OWN = "own"
"""The name in `Classifier.architecture` of a model that can be made again by what it was made of."""

_NAMED: dict[str, Classifier] = {}


def own_model(
    source: str | Path,
    class_names: Sequence[str] = (),
    *,
    weights: str | Path | None = None,
    preprocess: Preprocess | None = None,
    positive: int | str | None = None,
    head: Head | None = None,
    threshold: Thresholds | None = None,
    output: Output | None = None,
    layout: Layout | None = None,
    pick: str | int | None = None,
) -> Classifier:
    """A classifier around a model of your own, that `save` can write and `load` make again.

    Args:
        source: "package.module:factory", an ONNX file, an OpenVINO file (.xml, with its .bin), or an exported program
            (`torch.export.save`, .pt2). A factory takes no arguments and gives a torch module, a `Classifier`, or a
            function from arrays (N, C, H, W) to numbers (N, K). A module, or such a function itself, may stand there
            in its place. Modules are looked for in the current folder, too.
        class_names: one a logit, in their order; not needed where the factory gives a `Classifier`, or where the file
            has a description beside it, as those that `export` writes.
        weights: a state dict (safetensors, or `torch.save`) for the module; every tensor has to fit.
        preprocess: how films become inputs. For a file, unless given, grey levels in [0, 1] at the file's own size;
            for one that takes whole numbers, from 0 to the largest of them.
        Others: see `wrap`. A file's outputs are taken for logits, and a function's for probabilities, unless said.

    Raises:
        ModelError: no such factory or file, or one that gives something else. WeightsError: the weights do not fit.
        ConfigError: class names are missing. MissingExtraError: nothing here runs ONNX.
    """
    told: dict[str, Any] = {
        "preprocess": preprocess,
        "positive": positive,
        "head": head,
        "threshold": threshold,
        "output": output,
        "layout": layout,
    }
    options = {k: v for k, v in told.items() if v is not None}
    if not isinstance(source, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"a {type(source).__name__}; expected a name or a file. A module at hand goes into rl.wrap(module, "
            "names), a function into rl.wrap_function(function, names)."
        )
    if is_model_file(source):
        if weights is not None:
            raise ConfigError(f"{source}: a model file has weights of its own; leave weights out.")
        return _of_file(Path(source), class_names, options, pick)
    made = made_by(source)
    if weights is not None:
        _fill(made, Path(weights))
    if isinstance(made, Classifier):
        return with_origin(made, str(source), class_names, options)
    if not class_names:
        raise ConfigError(_nameless(source))
    if isinstance(made, nn.Module):
        found = wrap(made, class_names, pick=pick, **options)
    else:
        found = wrap_function(made, class_names, **options)
    return with_origin(found, str(source))


def is_model_file(source: str | Path) -> bool:
    """Whether a path means an ONNX file or an exported program."""
    return Path(source).suffix.lower() in SUFFIXES


def names_own(path: str | Path) -> bool:
    """Whether a path stands for a model of the user's: "module:factory", or one that was remembered under that name."""
    text = str(path)
    module, colon, name = text.partition(":")
    dotted = bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))
    return str(Path(text)) in _NAMED or (dotted and not Path(text).exists())


def remember_own(source: str | Path, classifier: Classifier) -> None:
    """From now on `load(source)` gives this classifier, as long as the program runs."""
    _NAMED[str(Path(source))] = classifier


def named_model(source: str | Path) -> Classifier:
    """The model remembered under this name, or else made by the factory of this name."""
    kept = _NAMED.get(str(Path(source)))
    return own_model(str(source)) if kept is None else kept


def made_again(architecture: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network that an `architecture` of `own_model` describes, with other weights than the tensors.

    Raises:
        ModelError: the factory is not there any more, or it is none of the user's.
    """
    if "file" in architecture:
        told = architecture["file"]
        first: dict[str, Any] = (
            {} if told["suffix"] == ".pt2" else {"pick": 0}
        )  # which checkpoints took that say nothing of it
        return FileModel(tensors["file"], **{**first, **told})
    made = made_by(architecture["source"])
    if "function" in architecture:
        return BlackBox(made, **architecture["function"])
    if isinstance(made, Classifier):
        return made.network
    if not isinstance(made, nn.Module):
        raise ModelError(f"{architecture['source']}: it made a torch module when it was saved, and does no longer.")
    module = Wrapped(made, **architecture["wrapped"])
    module.singly, module.last = architecture["asked"]
    module.training = made.training
    return module


def _of_file(file: Path, class_names: Sequence[str], options: dict[str, Any], pick: str | int | None) -> Classifier:
    if not file.is_file():
        raise ModelError(f"{file}: no such file.")
    beside = described(file)
    names = tuple(class_names) or tuple(beside.get("class_names", ()))
    if not names:
        raise ConfigError(_nameless(file))
    chosen: dict[str, Any] = {"output": "logits", **beside, **options}
    layout = options.get("layout")
    head: Head = chosen.get("head", "softmax")
    content = content_of(file)
    keep = outputs_of(names, head, chosen.get("threshold", 0.5)).keep
    try:
        model = FileModel(content, file.suffix.lower(), chosen["output"], layout, head, keep, pick)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    pre = options.get("preprocess") or beside.get("preprocess") or model.preprocess(str(file))
    try:
        model.check_range(pre)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    function: dict[str, Any] = {k: chosen[k] for k in ("positive", "head", "threshold") if k in chosen}
    if head == "multilabel" and "positive" not in options:
        function.pop("positive", None)  # each label is its own
    try:
        made = wrap_function(model.answers, names, preprocess=pre, output=model.output, layout=model.layout, **function)
        if head != "softmax" and "output" not in options and not beside:
            _refuse_doubtful(made)
    except (ConfigError, ModelError) as error:
        if isinstance(error, AmbiguousPositive):
            raise
        raise type(error)(f"{file}: {error}") from error
    kept: dict[str, Any] = {"suffix": model.suffix, "output": model.output, "layout": model.layout, "head": model.head}
    kept |= {"keep": None if keep is None else list(keep), "pick": pick}
    architecture: dict[str, Any] = {"name": OWN, "source": file.name, "outputs": made.outputs, "file": kept}
    if "without_lung" in beside:
        architecture["without_lung"] = _kept(
            file, list(beside["without_lung"]), keep, len(names) if keep else made.outputs
        )
    calibrated = {k: beside[k] for k in ("temperature", "rules", "calibrated_on") if k in beside}
    return made.with_(network=model.eval(), architecture=architecture, **calibrated)


def _kept(file: Path, fixed: list[float], keep: Sequence[int] | None, outputs: int) -> list[float]:
    """The logits of every film without lung, of the outputs that have a name."""
    if len(fixed) != outputs:
        raise ModelError(
            f"{file}.json: without_lung has {len(fixed)} logits, which do not fit {outputs} outputs; give the class "
            "names that stand there, or export the model again."
        )
    return fixed if keep is None else [fixed[k] for k in keep]


def _refuse_doubtful(made: Classifier) -> None:
    """Ask where a file's outputs, taken for logits by default, could be probabilities of a sigmoid."""
    noise = torch.rand(8, *made.preprocess.shape, generator=torch.Generator().manual_seed(0))
    answers = made.logits(made.preprocess.normalise(noise))
    if bool(((answers >= 0) & (answers <= 1)).all()):
        raise ModelError(
            'all it gives lies in [0, 1]: say whether these are probabilities or logits, output="probabilities" or '
            '"logits" (at the command line --model-options output=…).'
        )


def with_origin(
    made: Classifier, source: str, class_names: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> Classifier:
    """The classifier with the factory's name in its `architecture`, so that `load` makes it again.

    Raises:
        ConfigError: class names or options that contradict a classifier from a factory.
    """
    if class_names and len(class_names) != len(made.class_names):
        raise ConfigError(f"{source}: {len(class_names)} class names for its {len(made.class_names)} classes.")
    changes: dict[str, Any] = {k: v for k, v in (options or {}).items() if k in ("threshold", "preprocess")}
    if unused := sorted(set(options or {}) - set(changes)):
        raise ConfigError(f"{source}: it gives a Classifier, which says itself what its {', '.join(unused)} is.")
    network = made.network
    architecture: dict[str, Any] = {"name": OWN, "source": source, "outputs": made.outputs}
    if isinstance(network, Wrapped):
        wrapped: dict[str, Any] = {
            "pick": network.pick,
            "output": network.output,
            "layout": network.layout,
            "head": network.head,
        }
        wrapped["keep"] = None if network.keep is None else list(network.keep)
        architecture |= {"wrapped": wrapped, "asked": [network.singly, network.last]}
    elif isinstance(network, BlackBox):
        keep = None if network.keep is None else list(network.keep)
        said = {"output": network.output, "layout": network.layout, "head": network.head}
        architecture["function"] = {**said, "keep": keep}
        architecture["probe"] = made.architecture.get("probe", "")
    names = tuple(class_names) or made.class_names
    return made.with_(class_names=names, architecture=architecture, **changes)


def _nameless(source: str | Path) -> str:
    return f"{source}: which classes are its outputs? Give their names, e.g. --class-names NORMAL,PNEUMONIA."


def made_by(source: str | Path) -> Any:
    """What a factory makes: a module, a classifier, or a function.

    Raises:
        ModelError: no such factory, one that fails, or one that makes something else.
    """
    found = _looked_up(str(source))
    if isinstance(found, nn.Module | Classifier):
        return found
    if not callable(found):
        raise ModelError(
            f"{source}: is a {type(found).__name__}; expected a function that makes the model, or a module."
        )
    if _takes_images(found):
        return found
    try:
        made: Any = cast(Any, found)()
    except Exception as error:  # another's code fails in any way
        raise ModelError(f"{source}: it fails ({type(error).__name__}: {str(error)[:200]}).") from error
    if not isinstance(made, nn.Module | Classifier) and not callable(made):
        raise ModelError(
            f"{source}: it gave a {type(made).__name__}; expected a torch module, a Classifier or a function."
        )
    return made


def _takes_images(function: Any) -> bool:
    """Whether a function cannot be called without arguments: then it is the model itself."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return not inspect.isclass(function) and any(p.kind in kinds and p.default is p.empty for p in parameters)


def _looked_up(source: str) -> Any:
    module, colon, name = source.partition(":")
    if not colon or not name or not module:
        expected = f"expected package.module:factory, or a file ending in {', '.join(sorted(SUFFIXES))}"
        if Path(source).suffix in (".pth", ".pt", ".ckpt", ".bin", ".safetensors"):
            expected += (
                f". Weights alone do not say of which network: --model package.module:factory --weights {source}"
            )
        raise ModelError(
            f"{source!r}: {expected}. A factory is a function of yours that makes the module, or loads a file of "
            "TorchScript, Keras, TFLite, ... and gives a function of images."
        )
    if module.partition(".")[0] in sys.stdlib_module_names or module.partition(".")[0] == "builtins":
        raise ModelError(f"{source!r}: a module of Python's own makes no models; name one of yours.")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # a module of the user's fails in any way
        where = f"looked for in {here} and among what is installed"
        raise ModelError(f"{source!r}: module {module} cannot be imported ({error}; {where}).") from error
    finally:
        sys.path.remove(here)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ModelError(f"{source!r}: {module} has no {name}.")
        found = getattr(found, part)
    return found


def _fill(made: Any, file: Path) -> None:
    module = made.network if isinstance(made, Classifier) else made
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{file}: weights are for a torch module, and the factory gives none; leave them out.")
    report = load_weights(module, file)
    if report.missing or report.unexpected or report.mismatched:
        raise WeightsError(
            f"{file}: its tensors are not those of the module. {report}. An explanation of half a model is none: give "
            "the weights of this very architecture."
        )
