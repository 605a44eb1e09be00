"""The command line: parse → one public call → print.

Exit status: 0 done; 1 failed, with a message; 2 wrong usage; 3 done, but some files were left out (they are listed);
4 done, and a check failed (`data check`).
"""

import dataclasses
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radiolucent.cli_data import data_app
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
    say,
    stages,
)
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
    """Say where the report is and what it says; end with 3 if films were left out."""
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
    end_with_left_out(prepared.damaged)


@app.command()
def demo(out: Out = Path("runs/demo"), seed: Seed = 0, as_json: AsJson = False) -> None:
    """The whole study on phantoms drawn on the spot; ends with an HTML report."""
    from radiolucent.study import demo as run_demo

    with progress_bar() as update:
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
    lime_samples: Annotated[int, typer.Option(help="Perturbed images a LIME explanation.")] = 600,
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
    with progress_bar() as update:
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
    with progress_bar() as update:
        prepared, trained = train_only(config, update, tell_epoch)
    if as_json:
        epochs_done = [h.to_dict() for h in trained.fitted.history]
        print_json({"threshold": trained.threshold.as_dict(), "history": epochs_done, "notes": trained.fitted.notes})
    else:
        say.print(f"kept epoch {trained.fitted.best_epoch}; threshold {trained.threshold.value:.3f}; model in {out}")
    end_with_left_out(prepared.damaged)


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

    with progress_bar() as update:
        prepared, appraisal = resume_report(run, update, annotations=annotations, cases=cases, title=title)
    finish_study(prepared, appraisal, run, as_json)


def _predictions(run: Path, data: Path, update: Callable[[str, int, int], None]) -> tuple[Any, list[tuple[Path, str]]]:
    """(predictions, files left out) of a run on a data set; labels are matched by class name."""
    from radiolucent.data import load_dataset
    from radiolucent.data.relabel import relabel
    from radiolucent.models import load, predict

    classifier = load(run)
    dataset = relabel(load_dataset(data), classifier.class_names)
    left: list[tuple[Path, str]] = [(item.path, item.reason) for item in dataset.left_out]
    found = predict(classifier, dataset.records, left_out=left, progress=stages(update, "predicting"))
    return found, left


@app.command()
def evaluate(
    run: Run,
    data: Data,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write predictions.csv and evaluation.json.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Evaluate a run on a folder or manifest it has never seen, at the threshold fixed in training."""
    from radiolucent.files import write_json
    from radiolucent.metrics import evaluate as evaluate_predictions
    from radiolucent.study import write_predictions

    with progress_bar() as update:
        predictions, left = _predictions(run, data, update)
    result = evaluate_predictions(predictions, seed=seed)
    if out:
        write_predictions(out / "predictions.csv", [("given", predictions)])
        write_json(out / "evaluation.json", result.as_dict())
    if as_json:
        print_json(result.as_dict())
    else:
        table = Table(title=f"{result.n} films of {result.patients} patients; threshold {result.threshold:.3f}")
        table.add_column("figure")
        table.add_column("value (95 % CI)")
        for name, estimate in result.estimates.items():
            table.add_row(name, str(estimate))
        table.add_row("confusion", ", ".join(f"{k} {v}" for k, v in result.confusion.items()))
        Console().print(table)
    end_with_left_out(left)


@app.command()
def predict(
    run: Run, paths: Annotated[list[Path], typer.Argument(help="Images or folders.")], as_json: AsJson = False
) -> None:
    """Say what a run makes of images: calibrated probabilities and the call at its threshold."""
    from radiolucent.figures import sure
    from radiolucent.models import load
    from radiolucent.study import make_case

    classifier = load(run)
    rows: list[dict[str, Any]] = []
    left: list[tuple[Path, str]] = []
    for film, logits in _films(classifier, paths, left):
        case = make_case(classifier, film, logits, None, (), ())
        chances = classifier.probabilities(logits)[0].tolist()
        chance = dict(zip(classifier.class_names, chances, strict=True))
        rows.append({"image": film.image_id, "called": case.called, "probability": chance})
        if not as_json:
            Console().print(
                f"{escape(film.image_id)}: {sure(case.probability, case.called)}", highlight=False, soft_wrap=True
            )
    if as_json:
        print_json({"predictions": rows, "left_out": [{"file": str(p), "reason": r} for p, r in left]})
    end_with_left_out(left)


def _films(classifier: Any, paths: list[Path], left: list[tuple[Path, str]]) -> Generator[tuple[Any, Any]]:
    """Readable films with their logits; the others go to `left`."""
    from radiolucent.data import load_dataset
    from radiolucent.errors import ImageError
    from radiolucent.images import read

    for given in paths:
        if given.is_dir():
            dataset = load_dataset(given)
            left += [(item.path, item.reason) for item in dataset.left_out]
            files = [record.path for record in dataset.records]
        else:
            files = [given]
        for file in files:
            try:
                film = read(file)
            except ImageError as error:
                left.append((file, str(error).removeprefix(f"{file}: ")))
                continue
            yield film, classifier.logits(classifier.preprocess(film)[None])


@app.command()
def explain(
    run: Run,
    paths: Annotated[list[Path], typer.Argument(help="Images or folders.")],
    method: Annotated[str, typer.Option(help="gradcam, cam, lime; several with commas.")] = "gradcam,lime",
    target: Annotated[str | None, typer.Option(help="Class to explain; the called one unless given.")] = None,
    score: Annotated[str, typer.Option(help="logit, probability or margin.")] = "logit",
    samples: Annotated[int, typer.Option(help="Perturbed images a LIME explanation.")] = 1000,
    annotations: Annotations = None,
    out: Out = Path("explanations"),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Explain any images, DICOM included: one panel (PNG) and one raw map (NPZ) an image and method."""
    from radiolucent.data import read_annotations
    from radiolucent.errors import ConfigError
    from radiolucent.explainers import METHODS, save_explanation
    from radiolucent.explainers import explain as explain_film
    from radiolucent.figures import case_panel, to_png
    from radiolucent.files import write_bytes
    from radiolucent.models import load
    from radiolucent.study import make_case

    names = [n.strip().lower() for n in method.split(",")]
    if unknown := [n for n in names if n not in METHODS]:
        raise ConfigError(f"method {', '.join(unknown)}; expected any of {', '.join(METHODS)}.")
    methods = [METHODS[n](**({"num_samples": samples} if n == "lime" else {})) for n in names]
    classifier, readings = load(run), read_annotations(annotations) if annotations else []
    left: list[tuple[Path, str]] = []
    rows: list[dict[str, Any]] = []
    for number, (film, logits) in enumerate(_films(classifier, paths, left)):
        said = [a for a in readings if Path(a.image_id).name == Path(film.image_id).name]
        bare = make_case(classifier, film, logits, None, said, ())
        maps = [
            explain_film(classifier, film, m, target=target or bare.called, score=score, seed=seed)  # pyright: ignore[reportArgumentType]
            for m in methods
        ]
        stem = f"{number:04d}_{Path(film.image_id).stem}"
        files = [save_explanation(m, out / f"{stem}.{m.method}.npz") for m in maps]
        write_bytes(out / f"{stem}.png", to_png(case_panel(dataclasses.replace(bare, explanations=tuple(maps)))))
        row = {
            "image": film.image_id,
            "called": bare.called,
            "probability": bare.probability,
            "panel": str(out / f"{stem}.png"),
        }
        rows.append(row | {"maps": [str(f) for f in files]})
        if not as_json:
            say.print(f"{escape(film.image_id)} → {escape(row['panel'])}", soft_wrap=True)
    if as_json:
        print_json({"explanations": rows, "left_out": [{"file": str(p), "reason": r} for p, r in left]})
    end_with_left_out(left)


@app.command()
def compare(
    run: Run,
    data: Data,
    annotations: Annotated[Path, typer.Option(help="Doctors' readings: COCO JSON, or CSV of boxes.", exists=True)],
    method: Annotated[str, typer.Option(help="gradcam, cam or lime.")] = "gradcam",
    target: Annotated[str | None, typer.Option(help="Class to explain; the positive one unless given.")] = None,
    reader: Annotated[str, typer.Option(help="A reader's name, or consensus.")] = "consensus",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare a run's maps with doctors' markings, beside area, chance and the other doctors."""
    from radiolucent.study import compare_run

    with progress_bar() as update:
        found, left = compare_run(run, data, annotations, method, target, reader, seed, update)
    if as_json:
        print_json(found.as_dict())
    else:
        table = Table(title=f"{found.method} against {found.reader}")
        table.add_column("figure")
        table.add_column("value (95 % CI)")
        for name, estimate in found.estimates.items():
            table.add_row(name, str(estimate))
        for reason, count in found.not_applicable.items():
            table.add_row("not applicable", f"{count} films: {reason}")
        Console().print(table)
    end_with_left_out(left)


def main() -> NoReturn:
    """Entry point: expected errors become one clear message and status 1; an interruption says how to go on."""
    try:
        app()
    except RadiolucentError as error:
        say.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        say.print("[yellow]interrupted;[/yellow] the same command goes on where this one stopped.")
        sys.exit(130)
    sys.exit(0)
