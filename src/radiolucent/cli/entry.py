"""The command line: parse → one public call → print.

Exit status: 0 done; 1 failed, with a message; 2 wrong usage; 3 done, but some files were left out (they are listed);
4 done, and a check failed (`data check`) or a model (`audit`).
"""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from radiolucent.cli.audit import audit
from radiolucent.cli.data import data_app
from radiolucent.cli.features import features
from radiolucent.cli.output import (
    Annotations,
    AsJson,
    Out,
    Run,
    Seed,
    end_with_left_out,
    print_json,
    progress_bar,
    resumable,
    say,
    shown,
)
from radiolucent.cli.repair import repair
from radiolucent.cli.review import review
from radiolucent.cli.training_options import trains
from radiolucent.cli.use import compare, evaluate, explain, predict
from radiolucent.errors import RadiolucentError

__all__ = ["app", "main"]

SUBJECT = (
    "Makes an X-ray classifier transparent: train, explain, compare with doctors. Research use, not for diagnosis."
)

app = typer.Typer(
    name="radiolucent",
    help=SUBJECT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")


def tell_epoch(result: Any) -> None:
    """One line an epoch."""
    auc = "" if result.val_auroc is None else f", AUROC {result.val_auroc:.4f}"
    kept = " [green]best so far[/green]" if result.best else ""
    say.print(
        f"epoch {result.epoch}: loss {result.train_loss:.4f}, validation {result.val_loss:.4f}{auc} "
        f"({result.images_per_second:.0f} films/s){kept}"
    )


def typed() -> str:
    """The command as typed."""
    return shlex.join(["radiolucent", *sys.argv[1:]])


def finish_study(prepared: Any, appraisal: Any, out: Path, as_json: bool) -> None:
    """Say where the report is and what it says; end with 3 if files were left out that are missed."""
    if appraisal is None:  # a helper process under torchrun
        return
    if as_json:
        print_json(json.loads((out / "summary.json").read_text()))
    else:
        for name in ("auroc", "sensitivity", "specificity"):
            say.print(f"{name:<12} {appraisal.test.estimates[name]}", highlight=False)
        for found in appraisal.agreement:
            say.print(f"{found.method} hit rate {found.estimates['hit_rate']}; area {found.estimates['area']}")
        say.print(f"report: {appraisal.report}")
    end_with_left_out(prepared.left_out)


@app.command()
@resumable()
def demo(out: Out = Path("runs/demo"), seed: Seed = 0, as_json: AsJson = False) -> None:
    """The whole study on phantoms drawn on the spot; ends with an HTML report."""
    from radiolucent.study import demo as run_demo

    with progress_bar() as update:
        prepared, appraisal = run_demo(out, update, tell_epoch, seed=seed)
    finish_study(prepared, appraisal, out, as_json)


def _start_afresh(out: Path, fresh: bool) -> None:
    if fresh:
        for name in ("state", "study.json", "config.json", "history.csv"):
            target = out / name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


Fresh = Annotated[bool, typer.Option("--fresh", help="Start again instead of going on.")]


@app.command()
@trains(Path("runs/study"))
@resumable()
def study(
    training: dict[str, Any],
    *,
    annotations: Annotations = None,
    cases: Annotated[int, typer.Option(help="Films shown as cases in the report.")] = 10,
    lime_samples: Annotated[int, typer.Option(help="Perturbed images a LIME explanation.")] = 353,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Chest X-ray study",
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Train, evaluate, explain, compare with the doctors, report. Interrupted, the same command goes on."""
    from radiolucent.study import StudyConfig, run_study

    config = StudyConfig(
        **training, annotations=annotations, cases=cases, lime_samples=lime_samples, title=title, command=typed()
    )
    _start_afresh(config.out, fresh)
    with progress_bar() as update:
        prepared, appraisal = run_study(config, update, tell_epoch)
    finish_study(prepared, appraisal, config.out, as_json)


@app.command()
@trains(Path("runs/train"))
@resumable()
def train(training: dict[str, Any], *, fresh: Fresh = False, as_json: AsJson = False) -> None:
    """Only train, and fix temperature and threshold on validation; `report RUN` does the rest."""
    from radiolucent.study import StudyConfig, train_only

    config = StudyConfig(**training, command=typed())
    _start_afresh(config.out, fresh)
    with progress_bar() as update:
        prepared, trained = train_only(config, update, tell_epoch)
    if as_json:
        epochs_done = [h.to_dict() for h in trained.fitted.history]
        print_json({"threshold": trained.threshold.as_dict(), "history": epochs_done, "notes": trained.fitted.notes})
    else:
        kept, value = trained.fitted.best_epoch, trained.threshold.value
        say.print(f"kept epoch {kept}; threshold {value:.3f}; model in {config.out}")
    end_with_left_out(prepared.left_out)


@app.command()
@resumable()
def report(
    run: Run,
    data: Annotated[Path | None, typer.Option(help="The films, where they lie elsewhere by now.", exists=True)] = None,
    annotations: Annotations = None,
    cases: Annotated[int | None, typer.Option(help="Films shown as cases.")] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the report.")] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate, explain and report a run again from its own files, e.g. with readings that came later."""
    from radiolucent.study import resume_report

    with progress_bar() as update:
        prepared, appraisal = resume_report(run, update, data=data, annotations=annotations, cases=cases, title=title)
    finish_study(prepared, appraisal, run, as_json)


for command in (evaluate, predict, explain, features, compare, review, audit, repair):
    app.command()(command)


def main() -> NoReturn:
    """Entry point: expected errors become one clear message and status 1."""
    try:
        app()
    except RadiolucentError as error:
        say.print(f"[red]error:[/red] {shown(error)}", soft_wrap=True)
        sys.exit(1)
    sys.exit(0)
