"""Which model answers, and on which images."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from radiolucent.cli.output import research_use, say

__all__ = ["RunAndImages", "run_and_images", "say_use"]

RunAndImages = Annotated[
    list[Path],
    typer.Argument(
        help="A run folder or model.safetensors file (or box, or nothing: the model that comes with radiolucent), then "
        "images or folders, of any number of images.",
        metavar="[RUN] IMAGES...",
    ),
]


def run_and_images(given: list[Path]) -> tuple[Path, list[Path]]:
    """Which model, and on which images: the model that comes with the package where the first of them is no run."""
    from radiolucent.models import BOX, is_checkpoint, is_model_file, names_box, names_own

    first, rest = given[0], given[1:]
    if is_model_file(first) and not names_own(first):
        raise typer.BadParameter(f"{first} does not say what its outputs mean: give it with --model and --class-names.")
    if not (is_checkpoint(first) or names_box(first) or names_own(first)):
        if any((first / name).is_file() for name in ("study.json", "config.json")):
            raise typer.BadParameter(f"{first} is a run without a finished model; train it to its end first.")
        if rest and not first.exists() and not first.suffix:  # a run of that name was meant, not another model's answer
            raise typer.BadParameter(f"{first}: no such run, image or folder; check the path.")
        return Path(BOX), given
    if not rest:
        raise typer.BadParameter(f"{first} is a model; give images or folders behind it.")
    return first, rest


def say_use(classifier: Any, run: Path) -> None:
    """Which model has answered, and what it is for."""
    from radiolucent.models import names_box

    who = "the model that comes with radiolucent" if names_box(run) else str(run)
    say.print(f"answered by {escape(who)}: {research_use(classifier)}", soft_wrap=True, highlight=False)
