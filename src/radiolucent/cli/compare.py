"""`radiolucent compare`: a run's maps beside doctors' markings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    say,
    shown,
)
from radiolucent.cli.reading_options import reads_films, reads_readings
from radiolucent.cli.unseen import Unseen, warn_of_seen

if TYPE_CHECKING:
    from radiolucent.study import Comparison

__all__ = ["compare"]


@reads_films
@reads_readings
def compare(
    run: Run,
    data: Data,
    annotations: Annotated[Path, typer.Option(help="Doctors' readings, a file or folder in any format.", exists=True)],
    method: Annotated[
        list[str] | None, typer.Option(help="Methods, several with commas or repeated; gradcam unless given.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Class to explain; the positive one unless given. Of several labels any, may be repeated; all."
        ),
    ] = None,
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
    from radiolucent.models import load
    from radiolucent.study import compare_labels, compare_run

    try:
        cuts = tuple(float(t) for t in thresholds.split(","))
    except ValueError:
        cuts = ()
    if not cuts or not all(0 < t <= 1 for t in cuts):
        raise ConfigError(f"--thresholds {thresholds!r}; expected shares with commas, such as 0.3,0.5,0.7.")
    kinds = tuple(k.strip() for k in by.split(",") if k.strip())
    names = names_in(",".join(method or ("gradcam",)))
    options: dict[str, Any] = {"reader": reader, "thresholds": cuts, "by": kinds, "asked": asked}
    options |= {"unseen": unseen, "seed": seed}
    if load(run).multilabel:
        with progress_bar() as update:
            each = compare_labels(run, data, annotations, names, targets=target or (), say=update, **options)
        _tell_labels(each, unseen, as_json)
        return
    if target and len(target) > 1:
        raise ConfigError("several --target are for runs that tell several labels; this one has classes: give one.")
    with progress_bar() as update:
        found = compare_run(
            run, data, annotations, names, target=target[0] if target else None, say=update, **options
        )  # fmt: skip
    warn_of_seen(found.seen, left_out=unseen)
    if as_json:
        print_json(found.as_dict())
    else:
        print_comparison(found)
    end_with_left_out(found.left_out, methods=found.methods_left_out)


def _tell_labels(each: "dict[str, Comparison]", unseen: bool, as_json: bool) -> None:
    """A comparison a label; what was left out of several of them is listed once."""
    first = next(iter(each.values()))
    warn_of_seen(first.seen, left_out=unseen)
    if as_json:
        print_json({"labels": {name: found.as_dict() for name, found in each.items()}})
    else:
        for name, found in each.items():
            say.print(f"[bold]{shown(name)}[/bold]", highlight=False)
            print_comparison(found)
    without = dict.fromkeys(item for found in each.values() for item in found.methods_left_out)
    end_with_left_out(dict.fromkeys(i for found in each.values() for i in found.left_out), methods=without)
