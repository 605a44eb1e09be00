"""How files are read: options that several commands share."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

__all__ = ["reads_films"]

Frame = Annotated[
    int | None, typer.Option(min=1, help="Which frame or page of files that hold several, from 1.", show_default=False)
]
Window = Annotated[
    str, typer.Option(help="Of DICOM: a window's number, CENTRE/WIDTH, lut, lut:NUMBER or full.", show_default=False)
]
Range = Annotated[
    str, typer.Option(help="Stored values shown black and white, LOW,HIGH, e.g. 0,4095.", show_default=False)
]
Most = Annotated[
    int | None, typer.Option(min=1, help="Refuse files with more pixels than this, 64 million unless given.")
]


def options(frame: Frame = None, window: Window = "", range: Range = "", max_pixels: Most = None) -> None:
    """The fields of `ReadOptions`, as typed."""


def reads_films(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of reading; they hold for every file that it reads."""
    own, shared = inspect.signature(command).parameters, inspect.signature(options).parameters

    @functools.wraps(command)
    def call(*arguments: Any, **given: Any) -> None:
        from radiolucent.images import MAX_PIXELS, ReadOptions, read_with

        frame, window, range_, most = (given.pop(name, p.default) for name, p in shared.items())
        with read_with(ReadOptions(frame, window, _two(range_), most or MAX_PIXELS)):
            command(*arguments, **given)

    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own.values(), *shared.values())]
    call.__signature__ = inspect.Signature(every)  # pyright: ignore[reportAttributeAccessIssue]
    call.__annotations__ = {p.name: p.annotation for p in every}
    return call


def _two(text: str) -> tuple[float, float] | None:
    from radiolucent.errors import ConfigError

    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--range {text!r}; expected two numbers with a comma, such as 0,4095.") from None
    return low, high
