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
from rich.markup import escape

from radiolucent.cli_audit import audit
from radiolucent.cli_data import data_app
from radiolucent.cli_features import features
from radiolucent.cli_print import (
    Annotations,
    AsJson,
    Data,
    Out,
    Run,
    Seed,
    end_with_left_out,
    print_json,
    progress_bar,
    resumable,
    say,
)
from radiolucent.cli_repair import repair
from radiolucent.cli_review import review
from radiolucent.cli_use import compare, evaluate, explain, predict
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
def demo(out: Out = Path("runs/demo"), seed: Seed = 0, as_json: AsJson = False) -> None:
    """The whole study on phantoms drawn on the spot; ends with an HTML report."""
    from radiolucent.study import demo as run_demo

    with resumable(), progress_bar() as update:
        prepared, appraisal = run_demo(out, update, tell_epoch, seed=seed)
    finish_study(prepared, appraisal, out, as_json)


def _study_config(values: dict[str, Any]) -> Any:
    from radiolucent.study import StudyConfig

    return StudyConfig(**{k: v for k, v in values.items() if k not in ("as_json", "fresh")}, command=typed())


def _start_afresh(out: Path, fresh: bool) -> None:
    if fresh:
        for name in ("state", "study.json", "config.json", "history.csv"):
            target = out / name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


Model = Annotated[str, typer.Option(help="mobilenetv1, inception_v3, densenet121, small_cnn, or any timm name.")]
RecipeName = Annotated[str, typer.Option(help="strong, or classic (the project this one succeeds).")]
Epochs = Annotated[int | None, typer.Option(help="Epochs, instead of the recipe's.", min=1)]
Batch = Annotated[int | None, typer.Option(help="Films a step, instead of the recipe's.", min=1)]
Freeze = Annotated[str | None, typer.Option(help="Layers that do not learn: 0, 0.37, '34 layers', 'stage:2', all.")]
Rate = Annotated[float | None, typer.Option(help="Learning rate, instead of the recipe's.")]
Flip = Annotated[bool, typer.Option(help="Also mirror films (hides laterality).")]
Pretrained = Annotated[bool, typer.Option("--pretrained/--no-pretrained", help="Start from ImageNet weights.")]
Weights = Annotated[Path | None, typer.Option(help="Weight file instead of the hub; partial files are fine.")]
Classes = Annotated[int, typer.Option(help="2, or 3 (normal, bacterial, viral) from the Kermany file names.")]
Size = Annotated[int | None, typer.Option(help="Side of the model's input in pixels.")]
Fit = Annotated[str, typer.Option(help="How films are made square: squash, pad or crop.")]
Val = Annotated[float, typer.Option(help="Share cut off for validation where that split is missing or too small.")]
Test = Annotated[float, typer.Option(help="Share cut off for testing where that split is missing.")]
Rule = Annotated[str, typer.Option(help="youden, 'sensitivity>=0.97', 'specificity>=0.95' or 'cost:fn=5,fp=1'.")]
Head = Annotated[str, typer.Option(help="softmax, or sigmoid (a single logit).")]
Board = Annotated[bool, typer.Option(help="Also log for TensorBoard.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start again instead of going on.")]


@app.command()
def study(
    data: Data,
    out: Out = Path("runs/study"),
    model: Model = "mobilenetv1",
    recipe: RecipeName = "strong",
    epochs: Epochs = None,
    batch_size: Batch = None,
    freeze: Freeze = None,
    lr: Rate = None,
    flip: Flip = False,
    pretrained: Pretrained = True,
    weights: Weights = None,
    head: Head = "softmax",
    classes: Classes = 2,
    size: Size = None,
    fit: Fit = "squash",
    annotations: Annotations = None,
    val: Val = 0.1,
    test: Test = 0.1,
    threshold_rule: Rule = "youden",
    cases: Annotated[int, typer.Option(help="Films shown as cases in the report.")] = 10,
    lime_samples: Annotated[int, typer.Option(help="Perturbed images a LIME explanation.")] = 353,
    seed: Seed = 0,
    tensorboard: Board = False,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Chest X-ray study",
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Train, evaluate, explain, compare with the doctors, report. Interrupted, the same command goes on."""
    config = _study_config(dict(locals()))
    from radiolucent.study import run_study

    _start_afresh(out, fresh)
    with resumable(), progress_bar() as update:
        prepared, appraisal = run_study(config, update, tell_epoch)
    finish_study(prepared, appraisal, out, as_json)


@app.command()
def train(
    data: Data,
    out: Out = Path("runs/train"),
    model: Model = "mobilenetv1",
    recipe: RecipeName = "strong",
    epochs: Epochs = None,
    batch_size: Batch = None,
    freeze: Freeze = None,
    lr: Rate = None,
    flip: Flip = False,
    pretrained: Pretrained = True,
    weights: Weights = None,
    head: Head = "softmax",
    classes: Classes = 2,
    size: Size = None,
    fit: Fit = "squash",
    val: Val = 0.1,
    test: Test = 0.1,
    threshold_rule: Rule = "youden",
    seed: Seed = 0,
    tensorboard: Board = False,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Only train, and fix temperature and threshold on validation; `report RUN` does the rest."""
    config = _study_config(dict(locals()))
    from radiolucent.study import train_only

    _start_afresh(out, fresh)
    with resumable(), progress_bar() as update:
        prepared, trained = train_only(config, update, tell_epoch)
    if as_json:
        epochs_done = [h.to_dict() for h in trained.fitted.history]
        print_json({"threshold": trained.threshold.as_dict(), "history": epochs_done, "notes": trained.fitted.notes})
    else:
        say.print(f"kept epoch {trained.fitted.best_epoch}; threshold {trained.threshold.value:.3f}; model in {out}")
    end_with_left_out(prepared.left_out)


@app.command()
def report(
    run: Run,
    annotations: Annotations = None,
    cases: Annotated[int | None, typer.Option(help="Films shown as cases.")] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the report.")] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate, explain and report a run again, e.g. with readings that came later."""
    from radiolucent.study import resume_report

    with resumable(), progress_bar() as update:
        prepared, appraisal = resume_report(run, update, annotations=annotations, cases=cases, title=title)
    finish_study(prepared, appraisal, run, as_json)


for command in (evaluate, predict, explain, features, compare, review, audit, repair):
    app.command()(command)


def main() -> NoReturn:
    """Entry point: expected errors become one clear message and status 1."""
    try:
        app()
    except RadiolucentError as error:
        say.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    sys.exit(0)
