"""Films that a run was trained or chosen on: a warning, or left out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from radiolucent.cli.output import say

if TYPE_CHECKING:
    from radiolucent.data import Dataset
    from radiolucent.data.trained_on import Seen

__all__ = ["Unseen", "say_unknown", "sort_out", "warn_of_seen"]

Unseen = Annotated[
    bool, typer.Option("--unseen", help="Leave out films, and patients, that the run was trained or chosen on.")
]


def warn_of_seen(seen: "Seen | None", *, left_out: bool = False) -> None:
    """Say loudly that films are no test of the model; of those left out, that there may be more."""
    warning = "" if seen is None else seen.unsure if left_out else seen.warning
    if warning:
        say.print(f"[bold red]warning:[/bold red] {escape(warning)}", soft_wrap=True, highlight=False)


def say_unknown() -> None:
    """Say that films may be no test of the model."""
    say.print("not known which films this model was trained on: figures on those are too good", highlight=False)


def sort_out(run: Path, dataset: "Dataset", unseen: bool) -> "tuple[Dataset, dict[str, Any] | None]":
    """(the data set, without films the run was trained or chosen on if so asked; a mark for the JSON).

    Films are recognised by their files and patients. The mark is None where the run does not say what it learned from.
    """
    from radiolucent.data.trained_on import films_of_run

    known = films_of_run(run)
    if known is None:
        say_unknown()
        return dataset, None
    seen = known.among(dataset.records)
    warn_of_seen(seen, left_out=unseen)
    return (seen.without(dataset) if unseen and seen.films else dataset), seen.as_dict(left_out=unseen)
