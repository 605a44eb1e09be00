"""The command that shows a network's inside."""

from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from radiolucent.cli.output import AsJson, Out, Run, Seed, end_with_left_out, print_json, progress_bar, say, stages
from radiolucent.cli.reading_options import reads_films

__all__ = ["features"]


def _films(data: Path, left: list[tuple[Path, str]]) -> Generator[Any]:
    from radiolucent.data import load_dataset
    from radiolucent.images import read_or_note

    dataset = load_dataset(data)
    left += [(item.path, item.reason) for item in dataset.left_out]
    yield from filter(None, (read_or_note(r.path, left, image_id=r.image_id) for r in dataset.records))


def _channels(text: str | None) -> tuple[int, ...] | None:
    from radiolucent.errors import ConfigError

    if text is None:
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() for word in words):
        raise ConfigError(f"--channels {text!r}; expected whole numbers from 0 with commas, such as 0,5,17.")
    return tuple(dict.fromkeys(int(word) for word in words))


@reads_films
def features(
    run: Run,
    image: Annotated[Path, typer.Argument(help="The film to look at.", exists=True, dir_okay=False)],
    data: Annotated[Path | None, typer.Option(help="Films to search for pieces that excite the channels.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer by its dotted name; all main ones unless given.")] = None,
    channels: Annotated[str | None, typer.Option(help="Channels with commas; the most active unless given.")] = None,
    most: Annotated[int, typer.Option(help="Channels a grid.", min=1)] = 17,
    ascent: Annotated[int, typer.Option(help="Steps towards a film that a channel looks for; 0: none.", min=0)] = 128,
    negative: Annotated[bool, typer.Option("--negative", help="What suppresses the channels instead.")] = False,
    out: Out = Path("features"),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Show what a network looks at inside: layers, channels, first filters, what channels look for and react to."""
    from radiolucent.images import read
    from radiolucent.models import load
    from radiolucent.study.feature_files import FeatureRequest, write_features

    left: list[tuple[Path, str]] = []
    request = FeatureRequest(layer, _channels(channels), most, ascent, negative, seed)
    with progress_bar() as update:
        films = None if data is None else _films(data, left)
        found = write_features(load(run), read(image), out, request, films, stages(update, "looking for channels"))
    if as_json:
        print_json({"files": [str(f) for f in found], "left_out": [{"file": str(p), "reason": r} for p, r in left]})
    else:
        for file in found:
            say.print(escape(str(file)), soft_wrap=True, highlight=False)
    end_with_left_out(left)
