"""How files are read: options of every command that reads films, or doctors' readings."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radiolucent.cli.output import say, shown

if TYPE_CHECKING:
    from radiolucent.images import ReadOptions

__all__ = ["reads_films", "reads_readings"]

Frame = Annotated[
    int | None,
    typer.Option(
        min=1, max=10_000_000, help="Which frame or page of files that hold several, from 1.", show_default=False
    ),
]
Window = Annotated[
    str, typer.Option(help="Of DICOM: a window's number, CENTRE/WIDTH, lut, lut:NUMBER or full.", show_default=False)
]
Range = Annotated[
    str, typer.Option(help="Stored values shown black and white, LOW,HIGH, e.g. 0,4095.", show_default=False)
]
Most = Annotated[
    int | None,
    typer.Option(min=1, max=10**12, help="Refuse files with more pixels than this, 64 million unless given."),
]
Format = Annotated[
    str | None, typer.Option(help="Readings: their format, where it should not be found (see `data formats`).")
]
Unmarked = Annotated[
    str,
    typer.Option(help="Readings: an image without mark is 'not read' or 'no finding'; else as the format says."),
]
SkipShapes = Annotated[
    bool, typer.Option("--skip-shapes", help="Readings: pass over keypoints, lines and the like, and count them.")
]
Labels = Annotated[
    str, typer.Option(help="Readings: labels of whole images that count, with commas; others are passed over.")
]
NothingFound = Annotated[
    str, typer.Option(help="Readings: labels that say that nothing was found, with commas, besides those known to.")
]
Coordinates = Annotated[
    str, typer.Option(help="Readings: 'relative' where coordinates are shares of the image's size, from 0 to 1.")
]


def of_films(frame: Frame = None, window: Window = "", range: Range = "", max_pixels: Most = None) -> None:
    """The fields of `ReadOptions`, as typed."""


def of_readings(
    format: Format = None,
    unmarked: Unmarked = "",
    skip_shapes: SkipShapes = False,
    labels: Labels = "",
    nothing_found: NothingFound = "",
    coordinates: Coordinates = "as stated",
) -> None:
    """What `read_annotations` asks for, as typed."""


def reads_films(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of reading films; they hold for every file that it reads.

    Where none is given, films are read as those were that the command's model was trained on.
    """
    shared = inspect.signature(of_films).parameters

    @functools.wraps(command)
    def call(*arguments: Any, **given: Any) -> None:
        from radiolucent.images import MAX_PIXELS, ReadOptions, read_with

        frame, window, range_, most = (given.pop(name, p.default) for name, p in shared.items())
        asked = ReadOptions(frame, window, _two(range_), most or MAX_PIXELS)
        with read_with(_as_trained(asked, given)):
            command(*arguments, **given)

    return _with(call, command, shared)


def reads_readings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of reading doctors' readings: it gets them as `asked`, for `read_annotations`.

    An option that the command has itself is called `--reading-NAME` here.
    """
    own = inspect.signature(command).parameters
    names = {n: f"reading_{n}" if n in own else n for n in inspect.signature(of_readings).parameters}
    shared = {names[n]: p.replace(name=names[n]) for n, p in inspect.signature(of_readings).parameters.items()}

    @functools.wraps(command)
    def call(*arguments: Any, **given: Any) -> None:
        typed = {name: given.pop(shown, shared[shown].default) for name, shown in names.items()}
        command(*arguments, **given, asked=_asked(**typed))

    return _with(call, command, shared, without="asked")


def _with(call: Callable[..., None], command: Callable[..., None], shared: Any, without: str = "") -> Any:
    """A command with further parameters."""
    own = [p for name, p in inspect.signature(command).parameters.items() if name != without]
    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared.values())]
    call.__signature__ = inspect.Signature(every)  # pyright: ignore[reportFunctionMemberAccess]
    call.__annotations__ = {p.name: p.annotation for p in every}
    return call


def _asked(
    format: str | None, unmarked: str, skip_shapes: bool, labels: str, nothing_found: str, coordinates: str
) -> dict[str, Any]:
    """Keyword arguments of `read_annotations` that are not its defaults."""
    from radiolucent.errors import ConfigError

    if coordinates not in ("as stated", "relative"):
        raise ConfigError(f"--coordinates {coordinates!r}; expected 'as stated' or 'relative'.")
    if unmarked not in ("", "not read", "no finding"):
        raise ConfigError(f"--unmarked {unmarked!r}; expected 'not read' or 'no finding'.")
    found: dict[str, Any] = {"format": format, "unmarked": unmarked or None, "skip_shapes": skip_shapes}
    for name, typed in (("labels", labels), ("nothing_found", nothing_found)):
        found[name] = [word.strip() for word in typed.split(",") if word.strip()]
    found |= {"coordinates": "" if coordinates == "as stated" else coordinates}
    return {name: value for name, value in found.items() if value}


def _as_trained(asked: "ReadOptions", given: dict[str, Any]) -> "ReadOptions":
    """The options asked for or, where they leave the pixels as they are, those of the model's training."""
    import dataclasses

    from radiolucent.images import ReadOptions

    first = given.get("given") or [None]
    run = given.get("run") or first[0]
    if not isinstance(run, Path) or not run.exists():
        return asked
    from radiolucent.models import provenance

    kept = ReadOptions.from_dict((provenance(run) or {}).get("reading", {}))
    was, now = kept.pixels_key(), asked.pixels_key()
    if was and not now:
        say.print(f"films are read as those the model was trained on: {shown(was)}", highlight=False, soft_wrap=True)
        return dataclasses.replace(kept, max_pixels=asked.max_pixels)
    if was != now and was:
        words = f"the model was trained on films read by {was}; these are read by {now}"
        say.print(f"[yellow]warning:[/yellow] {shown(words)}", highlight=False, soft_wrap=True)
    return asked


def _two(text: str) -> tuple[float, float] | None:
    from radiolucent.errors import ConfigError

    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--range {text!r}; expected two numbers with a comma, such as 0,4095.") from None
    return low, high
