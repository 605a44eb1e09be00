"""`radiolucent explain`: maps and panels of any images."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radiolucent.cli.answers import (
    FEW,
    Answer,
    Chest,
    Force,
    Inline,
    Open,
    answer_or_note,
    print_answers,
    print_maps,
    refusal,
    show,
)
from radiolucent.cli.output import (
    Annotations,
    AsJson,
    Out,
    Seed,
    end_with_left_out,
    names_in,
    print_json,
    progress_bar,
    research_use,
    resumable,
    say,
    shown,
)
from radiolucent.cli.reading_options import reads_films, reads_readings
from radiolucent.cli.which_model import RunAndImages, run_and_images, say_use
from radiolucent.shown import counted

if TYPE_CHECKING:
    from radiolucent.models import Classifier
    from radiolucent.types import Radiograph

__all__ = ["explain"]


def _methods(names: str, samples: int | None) -> tuple[Any, ...]:
    """Methods by name; those that draw samples draw `samples`, and a message names those that draw none."""
    from radiolucent.errors import ConfigError
    from radiolucent.explainers import METHODS, methods_named

    if not (wanted := names_in(names)):
        raise ConfigError(f"--method {names!r} names no method; expected any of {', '.join(METHODS)}, with commas.")
    chosen = methods_named(wanted)
    if samples is None:
        return tuple(chosen.values())
    sampling = {name: method.with_samples(samples) for name, method in chosen.items()}
    without = [name for name, method in sampling.items() if method is None]
    if len(without) == len(chosen):
        others = [name for name, kind in METHODS.items() if kind().with_samples(2000) is not None]
        raise ConfigError(
            f"--samples {samples} for {', '.join(without)}, which draws none; leave it out, or choose a method that "
            f"draws samples: {', '.join(others)}."
        )
    if without:
        say.print(f"--samples does not apply to {', '.join(without)}: no samples are drawn there.")
    return tuple(method or chosen[name] for name, method in sampling.items())


@reads_films
@reads_readings
@resumable()
def explain(
    given: RunAndImages,
    method: Annotated[
        list[str] | None,
        typer.Option(help="gradcam, cam, lime, …; several with commas or repeated; gradcam,lime unless given."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Class or label to explain, may be repeated; the called one (of several labels every called one) "
            "unless given."
        ),
    ] = None,
    contrast: Annotated[
        str | None, typer.Option(help="Explain why the target rather than this class, by their logits' difference.")
    ] = None,
    score: Annotated[str, typer.Option(help="logit, probability or margin.")] = "logit",
    samples: Annotated[
        int | None,
        typer.Option(help="Images asked about for a map, by every method that samples.", min=1, max=1_000_000),
    ] = None,
    annotations: Annotations = None,
    panels: Annotated[bool, typer.Option(help="Also draw a panel an image; slower than most maps.")] = True,
    trust: Annotated[
        bool | None,
        typer.Option("--trust/--no-trust", help="Stamp all maps, or none; unless given, those of at most 20 images."),
    ] = None,
    max_memory_mb: Annotated[
        float,
        typer.Option(
            help="Bound on the memory of films and maps in work, in MiB; batches are as large as fit.",
            min=1,
            max=10_000_000,
        ),
    ] = 1024,
    batch_size: Annotated[int | None, typer.Option(help="Images at a time, instead.", min=1, max=1_000_000)] = None,
    out: Out = Path("explanations"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again instead of going on.")] = False,
    chest: Chest = False,
    force: Force = False,
    opened: Open = False,
    inline: Inline = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Explain any images, DICOM included: raw maps (NPZ), panels (PNG) and one table. Interrupted, it goes on.

    Without RUN the model that comes with radiolucent answers: pneumonia or normal, on children's chest films.
    """
    from radiolucent.data import LeftOut, read_annotations
    from radiolucent.models import load
    from radiolucent.study import ManyConfig, explain_many

    run, paths = run_and_images(given)
    classifier = load(run)
    names = ",".join(method or ("gradcam", "lime"))
    config = ManyConfig(
        _methods(names, samples),
        tuple(target or ()),
        contrast,
        score,
        seed,
        panels,
        trust,
        batch_size,
        max_memory_mb,
    )
    said: list[LeftOut] = []
    readings = read_annotations(annotations, left_out=said, **asked) if annotations else []
    refuse = refusal(classifier, force, chest)
    answers = [] if as_json else _answers(classifier, paths, refuse)
    refuse = _known_first(refuse, answers)
    waiting, stream = list(answers), sys.stdout  # which a progress bar redirects

    def print_waiting() -> None:
        print_answers(waiting, stream)
        waiting.clear()

    with progress_bar() as update:
        found = explain_many(
            classifier, paths, out, config, readings=readings, fresh=fresh, refuse=refuse, say=update,
            begun=print_waiting,
        )  # fmt: skip
    print_waiting()  # where every map was there before
    left = [{"file": str(p), "reason": r} for p, r in (*found.left_out, *said)]
    listed = {str(p) for p in found.files}
    rows = [r for r in found.journal.rows(sorted(listed)) if r["image"] in listed and not r["error"]]
    if as_json:
        summary = {"use": research_use(classifier), "table": str(found.table), "parquet": str(found.parquet)}
        summary |= {"films": found.films, "new": found.new}
        none = [{"method": name, "reason": reason} for name, reason in found.methods_left_out]
        told = {"explanations": [_placed(r, out) for r in rows], "methods_left_out": none, "left_out": left}
        print_json(summary | told)
    else:
        if answers:
            print_maps(answers, rows, out)
            shown_panels = dict.fromkeys(out / r["panel"] for r in rows if r["panel"])
            show(list(shown_panels), inline=inline, opened=opened)
        elif opened:
            typer.launch(str(out))
        say.print(
            f"{counted(found.films, 'film')} explained, {found.new} of them now; maps in {shown(out / 'maps')}, table: "
            f"{shown(found.table)}",
            soft_wrap=True,
            highlight=False,
        )
        if failing := sum("does not add up" in (r["trust_reasons"] or "") for r in rows):
            say.print(f"of {counted(failing, 'map')} the sum is not the score: see trust_reasons in the table")
        say_use(classifier, run)
    end_with_left_out([*found.left_out, *said], found.films, found.methods_left_out)


def _answers(classifier: "Classifier", paths: list[Path], refuse: "Callable[[Radiograph], str] | None") -> list[Answer]:
    """What the classifier says of a few films; none where there are more."""
    from radiolucent.data import find_films
    from radiolucent.images import read_or_note

    files, left = find_films(paths)
    if len(files) > FEW:
        return []
    films = [(f, film) for f in files if (film := read_or_note(f, left, image_id=str(f))) is not None]
    wanted = [(f, film) for f, film in films if refuse is None or not refuse(film)]
    return [a for f, film in wanted if (a := answer_or_note(classifier, film, f, left)) is not None]


def _known_first(
    refuse: "Callable[[Radiograph], str] | None", answers: list[Answer]
) -> "Callable[[Radiograph], str] | None":
    """The same, without another look at films that were answered on."""
    answered = {a.image for a in answers}
    return refuse and (lambda film: "" if film.image_id in answered else refuse(film))


def _placed(row: dict[str, Any], out: Path) -> dict[str, Any]:
    return row | {name: str(out / row[name]) for name in ("map", "panel") if row[name]}
