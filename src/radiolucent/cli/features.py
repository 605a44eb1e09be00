"""The command that shows a network's inside."""

from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from radiolucent.cli.output import AsJson, Out, Run, Seed, end_with_left_out, print_json, progress_bar, say, stages
from radiolucent.cli.reading_options import reads_films

__all__ = ["features"]


MOST = 500
"""Films that concepts are sought on, drawn at random: their features are held in memory."""


def _films(data: Path, left: list[tuple[Path, str]], most: int | None = None, seed: int = 0) -> Generator[Any]:
    import dataclasses

    import numpy as np

    from radiolucent.data import load_dataset
    from radiolucent.images import read_or_note

    dataset = load_dataset(data)
    left += [(item.path, item.reason) for item in dataset.left_out]
    records = dataset.records
    if most is not None and len(records) > most:
        say.print(f"{most} of {len(records)} films, drawn at random", highlight=False)
        chosen = np.random.default_rng([seed, 217]).permutation(len(records))[:most]
        records = tuple(records[int(i)] for i in sorted(chosen))
    for r in records:
        film = read_or_note(r.path, left, image_id=r.image_id)
        if film is not None:
            yield dataclasses.replace(film, patient_id=r.patient_id)


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
    image: Annotated[
        Path | None,
        typer.Argument(help="The film to look at; none for --concepts alone.", exists=True, dir_okay=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Films to search for concepts and for pieces that excite the channels.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer by its dotted name; all main ones unless given.")] = None,
    channels: Annotated[str | None, typer.Option(help="Channels with commas; the most active unless given.")] = None,
    most: Annotated[int, typer.Option(help="Channels a grid.", min=1, max=1000)] = 17,
    ascent: Annotated[
        int, typer.Option(help="Steps towards a film that a channel looks for; 0: none.", min=0, max=100_000)
    ] = 128,
    concepts: Annotated[
        int,
        typer.Option(
            help="So many non-negative factors of a layer's features over --data: crops, share of the score, and what "
            "removing each takes off it; 0: none.",
            min=0,
            max=10_000,
        ),
    ] = 0,
    target: Annotated[
        str | None,
        typer.Option(
            help="With --concepts: the class whose score they are weighed by; the positive one unless given. Of "
            "several labels: which one."
        ),
    ] = None,
    negative: Annotated[bool, typer.Option("--negative", help="What suppresses the channels instead.")] = False,
    out: Out = Path("features"),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Show what a network looks at inside: layers, channels, first filters, what channels look for and react to."""
    from radiolucent.data import load_dataset
    from radiolucent.errors import ConfigError
    from radiolucent.files import one_process, refuse_among_films
    from radiolucent.images import read
    from radiolucent.models import load
    from radiolucent.study.feature_files import FeatureRequest, write_concepts, write_features

    if image is None and not concepts:
        raise ConfigError("features needs a film to look at (`radiolucent features RUN film.png`) or --concepts 8.")
    if target is not None and not concepts:
        raise ConfigError("--target goes with --concepts, which are weighed by its score.")
    if concepts and data is None:
        raise ConfigError("--concepts needs films to look for them in: --data FOLDER.")
    listed = load_dataset(data).folders if data and data.is_file() else [data] if data else []
    refuse_among_films([out], [*([image.parent] if image else []), *listed])
    left: list[tuple[Path, str]] = []
    request = FeatureRequest(layer, _channels(channels), most, ascent, negative, seed, concepts, target)
    found: list[Path] = []
    with one_process(out), progress_bar() as update:
        classifier = load(run)
        if image is not None:
            films = None if data is None else _films(data, left)
            found += write_features(
                classifier, read(image), out, request, films, stages(update, "looking for channels")
            )
        if concepts and data is not None:
            again: list[tuple[Path, str]] = []
            films = _films(data, again, MOST, seed)
            found += write_concepts(classifier, films, out, request, stages(update, "removing concepts"))
            left += [item for item in again if item not in left]
    if as_json:
        print_json({"files": [str(f) for f in found], "left_out": [{"file": str(p), "reason": r} for p, r in left]})
    else:
        for file in found:
            say.print(escape(str(file)), soft_wrap=True, highlight=False)
    end_with_left_out(left)
