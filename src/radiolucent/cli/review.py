"""`radiolucent review`: doctors read films blinded in a browser, and are compared with the model."""

import dataclasses
import os
import re
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from radiolucent.cli.output import AsJson, Seed, end_with_left_out, names_in, print_json, progress_bar, say, stages
from radiolucent.cli.reading_options import reads_films
from radiolucent.cli.unseen import Unseen
from radiolucent.errors import ConfigError
from radiolucent.shown import counted

__all__ = ["review"]

STUDIES = Path("reviews")


@reads_films
def review(
    run: Annotated[Path | None, typer.Argument(help="A run folder or a model.safetensors file.")] = None,
    data: Annotated[Path | None, typer.Argument(help="A folder or manifest of films to read.")] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Of a run that tells several labels: the label that the study asks for; one a study."),
    ] = None,
    study: Annotated[
        str | None, typer.Option("--study", help="Name of the study; the same name goes on with it.")
    ] = None,
    reader: Annotated[list[str] | None, typer.Option(help="A reader's name; several with several --reader.")] = None,
    adjudicator: Annotated[
        list[str] | None, typer.Option(help="Who settles cases that two readers have locked; sees no model.")
    ] = None,
    vocabulary: Annotated[
        Path | None, typer.Option(help="A text file of findings that marks can be called, a term a line.")
    ] = None,
    split: Annotated[str, typer.Option(help="Films to read: test, val, train or all.")] = "test",
    unseen: Unseen = False,
    limit: Annotated[
        int | None, typer.Option(help="At most so many films, drawn by the seed.", min=1, max=10_000_000)
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Maps to show after the lock; several with commas or repeated; gradcam,lime unless given."),
    ] = None,
    lime_samples: Annotated[int, typer.Option(help="Perturbed images a LIME map.", min=10, max=1_000_000)] = 353,
    stamps: Annotated[bool, typer.Option("--stamps/--no-stamps", help="Test every map for trust.")] = True,
    ahead: Annotated[bool, typer.Option("--ahead", help="Compute all predictions and maps before opening.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Draw phantoms, train a small network, and open.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write readings (CSV, COCO) and statistics here, and end.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where studies are kept.", file_okay=False)] = STUDIES,
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes a free one.", min=0, max=65535)] = 8765,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the first reader's page.")] = True,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Let doctors read films before they see the model: locally, in a browser, nothing leaves the machine."""
    from radiolucent.extras import require

    require("fastapi", extra="web")
    require("uvicorn", extra="web")
    from radiolucent.data.records import is_lost
    from radiolucent.web.demo import demo_plan
    from radiolucent.web.open_study import StudyPlan, addresses, open_study, read_vocabulary
    from radiolucent.web.reader_names import check_readers
    from radiolucent.web.serve import run as serve

    name = study or ("demo" if demo else None)
    if name is None or (not demo and (run is None or data is None)):
        raise ConfigError("review needs RUN, DATA and --study NAME; or --demo, which needs nothing.")
    os.umask(0o077)  # what this command writes tells labels and the model's opinion: no other account may read it
    check_readers([*(reader or []), *(adjudicator or [])])
    place = folder / _safe(name)
    methods = names_in(",".join(method or ("gradcam", "lime")))
    with progress_bar() as update:
        if demo:
            plan = demo_plan(place, Path("runs/demo"), update, seed=seed)
        else:
            assert run is not None and data is not None
            plan = StudyPlan(run, data, place, name, split, limit, methods, lime_samples, seed, target=target)
        terms = None if vocabulary is None else read_vocabulary(vocabulary)
        plan = dataclasses.replace(plan, vocabulary=terms, stamps=stamps, unseen=unseen)
        opened = open_study(plan, update)
        context = opened.context
        if ahead:
            context.reveal.ahead(context.store.cases(), stages(update, "predictions and maps"))
    if opened.warning:  # told before the readers begin
        say.print(f"[bold red]warning:[/bold red] {escape(opened.warning)}", soft_wrap=True, highlight=False)
    lost = sum(is_lost(reason) for _, reason in opened.left_out)
    if lost and not export:  # told before the readers begin; listed at the end
        say.print(f"[yellow]{counted(lost, 'file')} could not be read: not in the study[/yellow]")
    try:
        if export:
            _export(context, export, as_json)
        else:
            who = (reader or ["reader"], adjudicator or [])
            for one in who[0]:
                context.store.reader(one)  # known before the server opens, so that their first films are ready
            serve(context, port, lambda at: _tell(addresses(context, *who, at), place, browser, as_json))
    finally:
        context.close()
    end_with_left_out(opened.left_out)


def _safe(name: str) -> str:
    """A study's folder name.

    >>> _safe("Chest 2024")
    'Chest_2024'
    """
    safe = re.sub(r"[^\w.-]+", "_", name).strip("._")
    if not safe:
        raise ConfigError(f"study name {name!r}; expected some letters or digits.")
    return safe


def _tell(who: list[tuple[str, str]], place: Path, browser: bool, as_json: bool) -> None:
    """Print every one-time address; open the first."""
    if as_json:
        print_json({"study": str(place), "addresses": dict(who)})
    else:
        say.print(f"Study in {escape(str(place))}. Each address works once, on this machine; Ctrl+C ends the server.")
        say.print(
            "The folder holds labels and what the model says, unencrypted: readers must not use this account's files "
            "until their study is finished."
        )
        for name, address in who:
            say.print(f"  {escape(name)}: {address}", soft_wrap=True, highlight=False)
    if browser and say.is_terminal:
        webbrowser.open(who[0][1])


def _export(context: Any, folder: Path, as_json: bool) -> None:
    from radiolucent.readers.store_export import export
    from radiolucent.web.standalone import write_statistics

    files = [*export(context.store, folder, context.class_names), write_statistics(context, folder / "statistics.html")]
    if as_json:
        print_json({"files": [str(f) for f in files]})
    else:
        for file in files:
            say.print(f"{file}", soft_wrap=True, markup=False)
