"""What a model says of a few films, as a table; and films that it is not asked about."""

import base64
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.table import Table

from radiolucent.cli.output import say, shown

if TYPE_CHECKING:
    from radiolucent.models import Classifier
    from radiolucent.types import Radiograph

__all__ = [
    "FEW",
    "WIDE",
    "Answer",
    "Chest",
    "Force",
    "Inline",
    "Open",
    "answer_or_note",
    "print_answers",
    "print_maps",
    "refusal",
    "show",
]

FEW = 10
"""Films up to which every one has its line in the terminal."""

WIDE = 200  # columns of a table that goes to a file

Force = Annotated[bool, typer.Option("--force", help="Also answer on what does not look like a frontal chest film.")]
Chest = Annotated[
    bool,
    typer.Option(
        "--chest", help="Refuse what does not look like a frontal chest film; networks with a lung finder always do."
    ),
]
Open = Annotated[bool, typer.Option("--open", help="Open the first panel.")]
Inline = Annotated[bool, typer.Option("--inline", help="Show panels in the terminal (Kitty, iTerm2, WezTerm).")]


@dataclass(frozen=True)
class Answer:
    """What a model said of one film, in words.

    Attributes:
        image: the film. called: class called, or "no call". probability: calibrated, of that class. threshold: what it
            was held against. by_class: calibrated probability of every class.
        no_call: whether the answer is that of any film without lung (`Classifier.no_call`), asked for all the same.
        labels: of a model that tells several labels, those that are called; `called` names them. thresholds: of each.
    """

    image: str
    called: str
    probability: float
    threshold: str
    by_class: Mapping[str, float]
    no_call: bool = False
    labels: tuple[str, ...] = ()
    thresholds: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])


def refusal(classifier: "Classifier", force: bool, chest: bool = False) -> "Callable[[Radiograph], str] | None":
    """A function that says why a film is not answered on, "" where it is; None where every film is.

    Networks that look for the lungs are for frontal chest films; whether another is, `chest` says.
    """
    if force or not (chest or classifier.architecture.get("name") == "in_lungs"):
        if not force:
            say.print("not checked whether the films look like frontal chest films: --chest does", highlight=False)
        return None
    from radiolucent.segment.out_of_place import out_of_place
    from radiolucent.types import NO_LUNG

    def why(film: "Radiograph") -> str:
        reasons = out_of_place(film)
        if not reasons and not _lung_is_seen(classifier, film):
            reasons = (NO_LUNG,)
        if not reasons:
            return ""
        return f"this does not look like a frontal chest film: no call ({'; '.join(reasons)}); --force overrides"

    return why


def _lung_is_seen(classifier: "Classifier", film: "Radiograph") -> bool:
    """Whether a network that looks at the lungs alone takes anything on a film for lung; True of other networks."""
    takes = getattr(classifier.network, "takes_for_lung", None)
    return takes is None or bool(takes(classifier.preprocess(film)[None].to(classifier.device, classifier.dtype))[0])


def answer_or_note(
    classifier: "Classifier", film: "Radiograph", file: Path, left: list[tuple[Path, str]]
) -> Answer | None:
    """What the classifier says of one film; None, with the reason in `left`, where that is no answer."""
    from radiolucent.errors import ModelError

    try:
        return _answer_of(classifier, film)
    except ModelError as error:
        left.append((file, str(error)))
        return None


def _answer_of(classifier: "Classifier", film: "Radiograph") -> Answer:
    from radiolucent.types import NO_CALL

    logits = classifier.logits(classifier.preprocess(film)[None])
    chances = classifier.probabilities(logits)[0].tolist()
    if classifier.multilabel:
        return _labels_of(classifier, film.image_id, logits, chances)
    called = int(classifier.called(logits)[0])
    names = classifier.class_names
    threshold = f"{names[classifier.positive]} from {100 * classifier.threshold:.1f} %"
    if len(names) > 2:
        threshold = "most probable"
    by_class = dict(zip(names, chances, strict=True))
    empty = bool(classifier.no_call(logits)[0])
    name = NO_CALL if empty else names[called]
    return Answer(film.image_id, name, chances[called], threshold, by_class, empty)


def _labels_of(classifier: "Classifier", image: str, logits: Any, chances: Sequence[float]) -> Answer:
    from radiolucent.types import NO_CALL

    names, calls = classifier.class_names, classifier.calls(logits)[0].tolist()
    empty = bool(classifier.no_call(logits)[0])
    called = () if empty else tuple(n for n, c in zip(names, calls, strict=True) if c)
    cuts = {n: rule.threshold for n, rule in zip(names, classifier.label_rules, strict=True)}
    by_class = dict(zip(names, chances, strict=True))
    name = NO_CALL if empty else ", ".join(called) or "no label"
    return Answer(image, name, max(chances), "each label's own", by_class, empty, called, cuts)


def _labels_table(answers: Sequence[Answer]) -> Table:
    """A line a film, a column a label: its probability, and a star where it is called."""
    table = Table(show_edge=False, pad_edge=False, caption="* called at the label's own threshold (in the heading)")
    table.add_column("film", overflow="fold")
    for name, cut in answers[0].thresholds.items():
        table.add_column(shown(f"{name}\n" + ("never" if cut is None else f"from {100 * cut:.1f} %")), justify="right")
    for a in answers:
        cells = [
            a.called if a.no_call else f"{'* ' if n in a.labels else ''}{_percent(p)}" for n, p in a.by_class.items()
        ]
        table.add_row(*(shown(c) for c in (Path(a.image).name, *cells)))
    return table


def _say_no_call(answers: Sequence[Answer]) -> None:
    from radiolucent.types import NO_LUNG

    for a in answers:
        if a.no_call:
            say.print(f"{shown(Path(a.image).name)}: {NO_LUNG}: {a.called}", highlight=False, soft_wrap=True)


def _percent(chance: float) -> str:
    return "over 99.9 %" if chance > 0.9994 else f"{100 * chance:.1f} %"


def print_answers(answers: Sequence[Answer], stream: TextIO | None = None) -> None:
    """Print a table, a line a film: call, calibrated probability, threshold; nothing of no film.

    Args:
        stream: standard output unless given.
    """
    if not answers:
        return
    if answers[0].thresholds:
        table = _labels_table(answers)
    else:
        table = Table(show_edge=False, pad_edge=False)
        for heading in ("film", "call", "calibrated probability", "threshold"):
            table.add_column(heading, overflow="fold")
        for a in answers:
            chance = "–" if a.no_call else _percent(a.probability)
            table.add_row(*(shown(c) for c in (Path(a.image).name, a.called, chance, a.threshold)))
    _print(table, stream)
    _say_no_call(answers)


def print_maps(answers: Sequence[Answer], rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Print a table of what came beside the answers, a line a film: its maps' stamps and its panel.

    Args:
        rows: of `explanations.csv`, an image and method each. out: the folder that their paths are in.
    """
    if not any(r["trust"] or r["panel"] for r in rows):
        return
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("film", "trust", "panel"):
        table.add_column(heading, overflow="fold")
    for a in answers:
        own = [r for r in rows if r["image"] == a.image]
        kinds = ("method", "target", "trust") if a.thresholds else ("method", "trust")
        stamps = [" ".join(r[kind] for kind in kinds) for r in own if r["trust"]]
        panel = next((str(out / r["panel"]) for r in own if r["panel"]), "none drawn")
        stamped = ", ".join(dict.fromkeys(stamps)) or "not tested"
        table.add_row(*(shown(c) for c in (Path(a.image).name, stamped, panel)))
    _print(table)


def _print(table: Table, stream: TextIO | None = None) -> None:
    to = sys.stdout if stream is None else stream
    Console(file=to, width=None if to.isatty() else WIDE).print(table)


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
