"""Options that every command has: how much it says, where it computes, and a file of options."""

import functools
import inspect
import math
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.models import OptionInfo

from radiolucent.cli.output import say

__all__ = ["COMMON", "as_toml", "at_home", "config_values", "with_common", "with_options"]


def config_values(file: Path) -> dict[str, Any]:
    """The options in a TOML file, by their names with underscores.

    Raises:
        typer.BadParameter: it cannot be read.
    """
    try:
        read = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise typer.BadParameter(f"{file}: not readable as TOML ({error}).") from error
    return {name.replace("-", "_"): v for name, v in read.items()}


def _config(context: typer.Context, value: Path | None) -> Path | None:
    """Take options from a TOML file; those given otherwise go first."""
    if value is None:
        return None
    given = config_values(value)
    known: dict[str, str] = {}
    for p in context.command.params:
        known |= {str(p.name): str(p.name)}
        known |= {long.lstrip("-").replace("-", "_"): str(p.name) for long in p.opts if long.startswith("--")}
    if unknown := sorted(set(given) - set(known)):
        names = ", ".join(sorted(n for n in set(known.values()) if n not in ("config", "help")))
        raise typer.BadParameter(f"{value}: {', '.join(unknown)} is no option of this command; it has {names}.")
    options = {str(p.name): p for p in context.command.params}
    values = {known[k]: _as_given(value, options[known[k]], v) for k, v in given.items()}
    context.default_map = {**(context.default_map or {}), **values}
    return value


def at_home(word: str) -> str:
    """A word with its `~` replaced by the home folder, also behind `--out=`, where no shell does that.

    Else a folder of that name would be made, which nobody can delete without fear for their home.

    >>> at_home("--out=~/runs") == f"--out={Path.home()}/runs", at_home("a~b")
    (True, 'a~b')
    """
    option, _, path = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{'=' if option else ''}{Path(path).expanduser()}" if path[:2] in ("~", "~/") else word


def _as_given(file: Path, option: Any, value: Any) -> Any:
    """What a TOML file gives an option, as the command line would: a list of words is the words with commas.

    Raises:
        typer.BadParameter: a table, several values for one, or no number where one is expected.
    """
    kind, many = _kind(option), isinstance(value, list)
    each = [at_home(one) if isinstance(one, str) else one for one in (value if many else [value])]
    _number_or_none(file, option, kind, each)
    if getattr(option, "multiple", False) or kind == "list":
        return each
    if many and kind not in ("str", "text"):
        raise typer.BadParameter(f"{file}: {option.name} = {value}; expected one value, not a list.")
    if isinstance(value, dict) and option.name == "model_options":
        return str(value)  # `own_model` reads the table itself
    if any(isinstance(one, dict | list) for one in each):
        raise typer.BadParameter(f"{file}: {option.name} = {value}; expected a value, or a list of them.")
    return ",".join(map(str, each)) if many else each[0]


def _kind(option: Any) -> str:
    told = getattr(option, "type_descriptor", None)  # of newer versions of typer; of older ones click's type
    if told is not None:
        return getattr(told.annotation, "__name__", "")
    return getattr(getattr(option, "type", None), "name", "")


def _number_or_none(file: Path, option: Any, kind: str, values: Sequence[Any]) -> None:
    """Refuse what TOML tells from a number, and a cast would not: true, and half an epoch."""
    whole = kind.startswith("int")
    if whole or kind.startswith("float"):
        for one in values:
            if isinstance(one, bool) or (whole and isinstance(one, float)):
                expected = "a whole number" if whole else "a number"
                raise typer.BadParameter(f"{file}: {option.name} = {str(one).lower()}; expected {expected}.")


def _quiet(value: bool) -> bool:
    say.quiet = value
    return value


def _verbose(value: bool) -> bool:
    if value:
        os.environ["RADIOLUCENT_VERBOSE"] = "1"
    return value


def _device(value: str | None) -> str | None:
    if value:
        os.environ["RADIOLUCENT_DEVICE"] = value
    return value


def _workers(value: int | None) -> int | None:
    if value:
        os.environ["OMP_NUM_THREADS"] = str(value)
        if hasattr(os, "sched_setaffinity"):  # whatever counts cores for itself shares these
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:value])
    return value


def _options(
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with options by name; the command line goes first.", callback=_config, is_eager=True
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where networks compute: cpu, cuda, cuda:1, mps.", callback=_device, envvar="RADIOLUCENT_DEVICE"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processor cores to use; all unless given.",
            callback=_workers,
            min=1,
            max=1024,
            envvar="RADIOLUCENT_WORKERS",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors and results alone.", callback=_quiet)] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Where an error came from, too.", callback=_verbose)
    ] = False,
) -> None:
    """What `with_common` adds."""


COMMON = tuple(inspect.signature(_options).parameters)


def with_common(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command with the common options behind its own; those that it has itself stay its own.

    No option takes not-a-number or infinity, which no bound refuses.
    """
    for p in inspect.signature(command).parameters.values():
        for info in getattr(p.annotation, "__metadata__", ()):
            if isinstance(info, OptionInfo) and info.callback is None and float in _kinds(p.annotation):
                info.callback = _finite
    return with_options(command, _options)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    kind = get_args(annotation)[0]
    return get_args(kind) or (kind,)


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value}; expected a finite number.")
    return value


def with_options(command: Callable[..., Any], options: Callable[..., Any]) -> Callable[..., Any]:
    """A command with another's options behind its own, which are read and not handed on."""
    own = inspect.signature(command).parameters
    added = [p for name, p in inspect.signature(options).parameters.items() if name not in own]

    @functools.wraps(command)
    def call(**given: Any) -> Any:
        for p in added:
            given.pop(p.name, None)
        return command(**given)

    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own.values(), *added)]
    call.__signature__ = inspect.Signature(every)  # pyright: ignore[reportAttributeAccessIssue]
    call.__annotations__ = {p.name: p.annotation for p in every}
    return call


def as_toml(values: Mapping[str, Any]) -> str:
    """Options as a TOML file that `--config` reads; those without a value are left out.

    >>> print(as_toml({"epochs": 3, "flip": True, "model": "small_cnn", "weights": None}), end="")
    epochs = 3
    flip = true
    model = "small_cnn"
    """
    return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items() if value is not None)


def _toml(value: Any) -> str:
    import json

    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(v) for v in value)}]"
    return json.dumps(str(value), ensure_ascii=False)
