"""The `radiolucent repair` command: train again without the shortcut, and audit again."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from radiolucent.cli.output import (
    CHECK_FAILED,
    Annotations,
    AsJson,
    Seed,
    end_with_left_out,
    names_in,
    print_json,
    progress_bar,
    resumable,
    say,
)
from radiolucent.cli.reading_options import reads_films, reads_readings
from radiolucent.shown import counted

__all__ = ["repair"]

Run = Annotated[Path, typer.Argument(help="A run folder of `study` or `train`.", exists=True, file_okay=False)]
Data = Annotated[Path, typer.Argument(help="The films it was made from: a folder or a manifest.", exists=True)]
Remedies = Annotated[
    str,
    typer.Option(
        "--method",
        "--remedy",
        help="crop, inpaint, randomise, reasons, relevance, surroundings, last-layer, discovered, groups, balance; "
        "several with commas, together with +: crop+randomise. auto: tries several, keeps what follows the fewest "
        "shortcuts on validation films.",
    ),
]
FineTune = Annotated[
    bool, typer.Option("--fine-tune", help="From the run's weights: a quarter of the epochs, a fifth of the rate.")
]
Penalty = Annotated[
    str | None,
    typer.Option(
        help="Strength of reasons (10 unless given) or relevance (1), above 0 and at most 1000; auto: a few are tried, "
        "and validation films choose."
    ),
]
Lungs = Annotated[Path | None, typer.Option(help="Folder of lung masks; else our segmenter's.", exists=True)]
Markers = Annotated[Path | None, typer.Option(help="Folder of marker masks; else our detector's.", exists=True)]
Films = Annotated[int | None, typer.Option(help="At most so many test films, drawn at random.", min=1, max=10_000_000)]
RepairOut = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the models; RUN/repair unless given.")]


@reads_films
@reads_readings
def repair(
    run: Run,
    data: Data,
    remedy: Remedies = "crop,inpaint,randomise,reasons",
    fine_tune: FineTune = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs, instead of the recipe's.", min=1, max=1_000_000)] = None,
    penalty: Penalty = None,
    lungs: Lungs = None,
    markers: Markers = None,
    annotations: Annotations = None,
    films: Films = None,
    out: RepairOut = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Train a run again so that shortcuts cannot pay, audit again, and say what it cost; status 4 if none passes."""
    from radiolucent.reports.repair_page import write_repair
    from radiolucent.study.repaired import RepairConfig
    from radiolucent.study.repaired import repair as mend

    names = names_in(remedy)
    config = RepairConfig(
        run, data, out, names, fine_tune, epochs, _strength(penalty), lungs, markers, annotations, films, seed=seed,
        annotation_options=asked,
    )  # fmt: skip
    with resumable(), progress_bar() as update:
        found = mend(config, update)
    page = write_repair(found.as_dict(), config.home)
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found.as_dict())
        say.print(f"table and figure: {page}")
    try:
        end_with_left_out(found.left_out, methods=found.methods_left_out, made="model")
    finally:
        if not found.mended:  # outweighs what was left out
            raise typer.Exit(CHECK_FAILED)


def _strength(given: str | None) -> float | Literal["auto"] | None:
    if given is None or given == "auto":
        return given
    try:
        return float(given)
    except ValueError:
        raise typer.BadParameter(f"{given!r}; expected a number or auto.", param_hint="--penalty") from None


def _print(found: dict[str, Any]) -> None:
    from radiolucent.reports.repair_page import interval

    if found["chosen_by"]:
        tried = Table(
            title="tried, on validation films: kept is what follows least, then the highest reasons score",
            title_justify="left",
        )
        for heading in ("candidate", "follows", "reasons score", "AUROC"):
            tried.add_column(heading, overflow="fold")
        for name, row in found["chosen_by"].items():
            left_out = row.get("left_out")
            told = (left_out,) if left_out else (
                ", ".join(row["follows"]) or "nothing", interval(row["reasons"]), interval(row["auroc"])
            )  # fmt: skip
            tried.add_row(f"{name} (kept)" if row.get("kept") else name, *told)
        Console().print(tried)
    title = f"{counted(found['films'], 'test film')} of {counted(found['patients'], 'patient')}"
    table = Table(title=title, title_justify="left")
    for heading in ("model", "audit", "tests failed", "AUROC", "change of it", "sensitivity", "specificity"):
        table.add_column(heading, overflow="fold")
    colour = {"fail": "red", "pass": "green"}
    for row in found["rows"]:
        style = colour.get(row["verdict"], "yellow")
        change = row["costs"].get("auroc")
        table.add_row(
            row["title"], f"[{style}]{row['verdict']}[/{style}]", ", ".join(row["failing"]) or "none",
            *(interval(row["auroc"]), interval(change, signed=True) if change else ""),
            *(interval(row[name]) for name in ("sensitivity", "specificity")),
        )  # fmt: skip
    Console().print(table)
    if found["unskilled"]:
        say.print(f"not counted as mended: {', '.join(found['unskilled'])}; the AUROC may be that of chance.")
