"""What a model says of a few films, as a table; and films that it is not asked about."""

import base64
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from radiolucent.cli.output import say, shown

if TYPE_CHECKING:
    from radiolucent.models import Classifier
    from radiolucent.types import Radiograph

__all__ = ["FEW", "Answer", "Force", "Inline", "Open", "answer_of", "print_answers", "refusal", "show"]

FEW = 10
"""Films up to which every one has its line in the terminal."""

WIDE = 200  # columns of a table that goes to a file

Force = Annotated[
    bool, typer.Option("--force", help="Also answer on what does not look like a frontal chest film (box).")
]
Open = Annotated[bool, typer.Option("--open", help="Open the first panel.")]
Inline = Annotated[bool, typer.Option("--inline", help="Show panels in the terminal (Kitty, iTerm2, WezTerm).")]


@dataclass(frozen=True)
class Answer:
    """What a model said of one film, in words.

    Attributes:
        image: the film. called: class called. probability: calibrated, of that class. threshold: what it was held
            against. by_class: calibrated probability of every class.
    """

    image: str
    called: str
    probability: float
    threshold: str
    by_class: Mapping[str, float]


def refusal(classifier: "Classifier", force: bool) -> "Callable[[Radiograph], str] | None":
    """A function that says why a film is not answered on, "" where it is; None where every film is.

    Only networks that look for the lungs know what a chest film looks like.
    """
    if force or classifier.architecture.get("name") != "in_lungs":
        return None
    from radiolucent.segment.out_of_place import out_of_place

    def why(film: "Radiograph") -> str:
        reasons = out_of_place(film)
        if not reasons:
            return ""
        return f"this does not look like a frontal chest film: no call ({'; '.join(reasons)}); --force overrides"

    return why


def answer_of(classifier: "Classifier", film: "Radiograph") -> Answer:
    """What the classifier says of one film."""
    logits = classifier.logits(classifier.preprocess(film)[None])
    chances = classifier.probabilities(logits)[0].tolist()
    called = int(classifier.called(logits)[0])
    names = classifier.class_names
    threshold = f"{names[classifier.positive]} from {100 * classifier.threshold:.1f} %"
    if len(names) > 2:
        threshold = "most probable"
    return Answer(film.image_id, names[called], chances[called], threshold, dict(zip(names, chances, strict=True)))


def print_answers(answers: Sequence[Answer], rows: Sequence[Mapping[str, Any]] = (), out: Path | None = None) -> None:
    """Print a table, a line a film: call, calibrated probability, threshold; of explained films trust and panel too.

    Args:
        rows: of `explanations.csv`, an image and method each. out: the folder that their paths are in.
    """
    table = Table(show_edge=False, pad_edge=False)
    headings = ["film", "call", "calibrated probability", "threshold"]
    for heading in [*headings, *(["trust", "panel"] if rows else [])]:
        table.add_column(heading, overflow="fold")
    for a in answers:
        own = [r for r in rows if r["image"] == a.image]
        stamps = [f"{r['method']} {r['trust']}" for r in own if r["trust"]]
        panel = next((str((out or Path()) / r["panel"]) for r in own if r["panel"]), "none drawn")
        more = [", ".join(dict.fromkeys(stamps)) or "not tested", panel] if rows else []
        chance = "over 99.9 %" if a.probability > 0.9994 else f"{100 * a.probability:.1f} %"
        cells = [Path(a.image).name, a.called, chance, a.threshold, *more]
        table.add_row(*(shown(c) for c in cells))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def show(panels: Sequence[Path], *, inline: bool, opened: bool) -> None:
    """Show panels in the terminal, and open the first with the system's viewer, as asked."""
    if inline:
        for panel in panels:
            picture = _inline(panel.read_bytes())
            if picture is None:
                say.print("--inline: this terminal shows no pictures (Kitty, iTerm2 or WezTerm would).")
                break
            sys.stdout.write(picture + "\n")
    if opened and panels:
        typer.launch(str(panels[0]))


def _inline(png: bytes) -> str | None:
    """The escape codes that show a PNG in this terminal; None where it is not known to understand any."""
    coded = base64.b64encode(png).decode()
    if "KITTY_WINDOW_ID" in os.environ or "kitty" in os.environ.get("TERM", ""):
        pieces = [coded[i : i + 4096] for i in range(0, len(coded), 4096)]
        last = len(pieces) - 1
        return "".join(
            f"\x1b_G{'a=T,f=100,' if i == 0 else ''}m={int(i < last)};{piece}\x1b\\" for i, piece in enumerate(pieces)
        )
    if os.environ.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return f"\x1b]1337;File=inline=1;size={len(png)}:{coded}\a"
    return None
