"""`radiolucent compare`: a run's maps beside doctors' markings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from radiolucent.cli.output import (
    AsJson,
    Data,
    Run,
    Seed,
    end_with_left_out,
    names_in,
    print_comparison,
    print_json,
    progress_bar,
)
from radiolucent.cli.reading_options import reads_films, reads_readings
from radiolucent.cli.unseen import Unseen, warn_of_seen

__all__ = ["compare"]


@reads_films
@reads_readings
def compare(
    run: Run,
    data: Data,
    annotations: Annotated[Path, typer.Option(help="Doctors' readings, a file or folder in any format.", exists=True)],
    method: Annotated[str, typer.Option(help="Methods, several with commas.")] = "gradcam",
    target: Annotated[str | None, typer.Option(help="Class to explain; the positive one unless given.")] = None,
    reader: Annotated[
        str, typer.Option(help="A name, 'without NAME', consensus, staple, union, or all of them.")
    ] = "consensus",
    thresholds: Annotated[str, typer.Option(help="Shares of the map's maximum for IoU and Dice.")] = "0.3,0.5,0.7",
    by: Annotated[str, typer.Option(help="Tell films apart by decision, class, etiology, site (with commas).")] = "",
    unseen: Unseen = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Compare a run's maps with doctors' markings, beside area, chance and the other doctors."""
    from radiolucent.errors import ConfigError
    from radiolucent.study import compare_run

    try:
        cuts = tuple(float(t) for t in thresholds.split(","))
    except ValueError as error:
        raise ConfigError(f"--thresholds {thresholds!r}; expected shares with commas, such as 0.3,0.5,0.7.") from error
    kinds = tuple(k.strip() for k in by.split(",") if k.strip())
    names = names_in(method)
    with progress_bar() as update:
        found = compare_run(
            run, data, annotations, names, target=target, reader=reader, thresholds=cuts, by=kinds, asked=asked,
            unseen=unseen, seed=seed, say=update,
        )  # fmt: skip
    if not unseen:
        warn_of_seen(found.seen)
    if as_json:
        print_json(found.as_dict())
    else:
        print_comparison(found)
    end_with_left_out(found.left_out)
