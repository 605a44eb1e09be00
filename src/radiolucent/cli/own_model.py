"""`--model`: a model of your own wherever a command takes a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

__all__ = ["TakesOwnModel", "refusing_own_model", "with_own_model"]

MODEL = "--model"
OPTIONS = (MODEL, "--weights", "--class-names", "--model-options")


def _options(
    model: Annotated[
        str | None,
        typer.Option(
            help="In place of RUN a model of your own: package.module:factory, an ONNX file, an OpenVINO file (.xml), "
            "or an exported program (.pt2). A factory takes no arguments and gives a torch module, a Classifier, or a "
            "function."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="With --model: a state dict for the module (safetensors, or torch.save's).")
    ] = None,
    class_names: Annotated[
        str | None, typer.Option(help="With --model: the classes in the order of its outputs, with commas.")
    ] = None,
    model_options: Annotated[
        str | None,
        typer.Option(
            help="With --model: size=224 (or 224x192, height first), channels=3, mean=0.485/0.456/0.406, "
            "std=0.229/0.224/0.225, fit=squash|pad|crop, output=logits|probabilities, head=softmax|sigmoid|multilabel, "
            "layout=NCHW|NHWC, positive=CLASS, threshold=0.5, pick=NAME; with commas."
        ),
    ] = None,
) -> None:
    """What `with_own_model` adds."""


def with_own_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command with `--model` and what belongs to it; `TakesOwnModel` has them take the place of RUN."""
    from radiolucent.cli.common import with_options

    return with_options(command, _options)


class TakesOwnModel(TyperCommand):
    """Makes the model that `--model` names, and puts its name where RUN stands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the model's name as the first that is no option."""
        told, rest = _taken(ctx, args)
        found = _in_config(args) | told
        if told and MODEL not in found:
            raise typer.BadParameter(f"{', '.join(sorted(told))} goes with {MODEL}, which is not given.", ctx=ctx)
        if MODEL not in found or "--help" in rest or "-h" in rest:
            return super().parse_args(ctx, rest)
        return super().parse_args(ctx, [_remembered(found), *rest])


def refusing_own_model(why: str) -> type[TyperCommand]:
    """The class of a command that takes runs of this project alone, and says what to do with another model."""

    class Refuses(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if MODEL in _in_config(args) or MODEL in _taken(ctx, args)[0]:
                raise typer.BadParameter(why, ctx=ctx)
            return super().parse_args(ctx, args)

    return Refuses


def _taken(ctx: Any, args: list[str]) -> tuple[dict[str, str], list[str]]:
    """(what `--model` and its options say, the other arguments)."""
    found: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(args)
    while waiting:
        arg = waiting.pop(0)
        name, equals, value = arg.partition("=")
        if arg == "--":
            rest += [arg, *waiting]
            break
        if name not in OPTIONS:
            rest.append(arg)
        elif not equals and not waiting:
            raise typer.BadParameter(f"{name} needs a value.", ctx=ctx)
        else:
            found[name] = value if equals else waiting.pop(0)
    return found, rest


def _in_config(args: list[str]) -> dict[str, str]:
    """What the file of `--config` says of them; a file that cannot be read is refused where all of it is read."""
    from radiolucent.cli.common import config_values

    files = [value for at, value in enumerate(args) if at and args[at - 1] == "--config"]
    files += [arg.partition("=")[2] for arg in args if arg.startswith("--config=")]
    try:
        values = config_values(Path(files[-1])) if files else {}
    except typer.BadParameter:
        return {}
    named = {option: values.get(option[2:].replace("-", "_")) for option in OPTIONS}
    return {option: _as_typed(value) for option, value in named.items() if value is not None}


def _as_typed(value: Any, between: str = ",") -> str:
    """A value of a TOML file as one types it behind an option.

    >>> _as_typed({"size": 224, "mean": [0.485, 0.456]})
    'size=224,mean=0.485/0.456'
    """
    if isinstance(value, dict):
        pairs: Any = value
        return ",".join(f"{k}={_as_typed(v, '/')}" for k, v in pairs.items())
    return between.join(str(v) for v in value) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _remembered(found: dict[str, str]) -> str:
    from radiolucent.errors import ConfigError
    from radiolucent.models import AmbiguousPositive, is_checkpoint, names_box, own_model, remember_own

    source = found[MODEL]
    if is_checkpoint(Path(source)) or names_box(source):
        if others := sorted(found.keys() - {MODEL}):
            raise ConfigError(f"{source}: a run says itself what it is; leave {', '.join(others)} out.")
        return source
    names = tuple(name.strip() for name in found.get("--class-names", "").split(",") if name.strip())
    weights = found.get("--weights")
    options = _read(found.get("--model-options", ""))
    try:
        made = own_model(source, names, weights=weights, **options)
    except AmbiguousPositive as error:
        first = error.class_names[0]
        raise ConfigError(
            f"{source}: which of {', '.join(error.class_names)} is the positive class, of which sensitivity and the "
            f"threshold speak? Name it: --model-options positive={first}."
        ) from error
    remember_own(source, made)
    return source


def _read(text: str) -> dict[str, Any]:
    """What `--model-options` says, as `own_model` takes it.

    Raises:
        ConfigError: something it does not know.
    """
    from radiolucent.errors import ConfigError

    pairs = dict(_pair(part) for part in text.split(",") if part.strip())
    if unknown := sorted(pairs.keys() - {*PREPROCESS, *WRAPPING}):
        raise ConfigError(
            f"--model-options: {', '.join(unknown)}; expected any of {', '.join((*PREPROCESS, *WRAPPING))}."
        )
    found: dict[str, Any] = {k: v for k, v in pairs.items() if k in WRAPPING}
    if "threshold" in found:
        cuts = _numbers("threshold", found["threshold"])
        found["threshold"] = cuts[0] if len(cuts) == 1 else cuts
    if "pick" in found and found["pick"].lstrip("-").isdecimal():
        found["pick"] = int(found["pick"])
    if pairs.keys() & set(PREPROCESS):
        found["preprocess"] = _preprocess(pairs)
    return found


PREPROCESS = ("size", "channels", "mean", "std", "fit")
WRAPPING = ("output", "head", "layout", "positive", "threshold", "pick")


def _pair(part: str) -> tuple[str, str]:
    from radiolucent.errors import ConfigError

    name, equals, value = part.partition("=")
    if not equals or not value.strip():
        raise ConfigError(f"--model-options {part.strip()!r}; expected name=value, such as size=224.")
    return name.strip(), value.strip()


def _preprocess(pairs: dict[str, str]) -> Any:
    from radiolucent.errors import ConfigError
    from radiolucent.images import Preprocess

    sides = pairs.get("size", "224").lower().split("x")
    if len(sides) > 2 or not all(s.isdecimal() and int(s) > 0 for s in sides):
        raise ConfigError(f"--model-options size={pairs['size']}; expected pixels, such as 224 or 224x192.")
    mean, std = (_numbers(k, pairs[k]) if k in pairs else None for k in ("mean", "std"))
    count = pairs.get("channels", str(len(mean or std or (0.0,))))
    if count not in ("1", "3"):
        raise ConfigError(f"--model-options channels={count}; expected 1 or 3.")
    channels = int(count)

    def each(name: str, values: tuple[float, ...] | None, otherwise: float) -> tuple[float, ...]:
        values = values or (otherwise,)
        if len(values) not in (1, channels):
            raise ConfigError(f"--model-options {name}: {len(values)} numbers for {channels} channels.")
        return values * channels if len(values) == 1 else values

    fit: Any = pairs.get("fit", "squash")
    width = int(sides[1]) if len(sides) == 2 else None
    return Preprocess(int(sides[0]), fit, channels, each("mean", mean, 0.0), each("std", std, 1.0), width=width)


def _numbers(name: str, text: str) -> tuple[float, ...]:
    from radiolucent.errors import ConfigError

    try:
        return tuple(float(part) for part in text.split("/"))
    except ValueError as error:
        raise ConfigError(f"--model-options {name}={text}; expected numbers, several with / between.") from error
