"""`radiolucent demo`, `study`, `train` and `report`: whatever trains a model, or tells of it."""

import dataclasses
import json
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from radiolucent.cli.common import as_toml
from radiolucent.cli.evaluation_lines import summary_lines
from radiolucent.cli.output import (
    Annotations,
    AsJson,
    Run,
    Seed,
    end_with_left_out,
    print_json,
    progress_bar,
    resumable,
    say,
)
from radiolucent.cli.reading_options import reads_films, reads_readings
from radiolucent.cli.training_options import trains

__all__ = ["demo", "report", "study", "train"]

NOTES = 12
"""Notes on the data that are printed; of byte-identical films there is one each."""


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
        for line in summary_lines(appraisal):
            say.print(line, highlight=False, soft_wrap=True, markup=False)
        say.print(f"report: {appraisal.report}", soft_wrap=True, markup=False)
    end_with_left_out(prepared.left_out, methods=appraisal.methods_left_out)


@resumable()
def demo(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write to; runs/demo, or runs/demo-labels.", file_okay=False),
    ] = None,
    labels: Annotated[
        int,
        typer.Option(
            help="1: pneumonia or not. 3: consolidation, effusion and cardiomegaly, any of them on a film.",
            min=1,
            max=3,
        ),
    ] = 1,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """The whole study on phantoms drawn on the spot; ends with an HTML report."""
    from radiolucent.errors import ConfigError
    from radiolucent.study.demonstration import demo as run_demo

    if labels not in (1, 3):
        raise ConfigError(f"--labels {labels}; expected 1 or 3: phantoms are drawn with these.")
    folder = out or Path("runs") / ("demo" if labels == 1 else "demo-labels")
    with progress_bar() as update:
        prepared, appraisal = run_demo(folder, update, tell_epoch, labels=labels, seed=seed, on_ready=tell_ready)
    finish_study(prepared, appraisal, folder, as_json)


def tell_ready(prepared: Any, classifier: Any) -> None:
    """Before training: which class is positive, and what there is too little of."""
    names = classifier.class_names
    if classifier.multilabel:
        say.print(
            f"{len(names)} labels, any number of them on a film: {escape(', '.join(names))}.", soft_wrap=True,
            highlight=False,
        )  # fmt: skip
        _warn(prepared)
        return
    others = ", ".join(n for n in names if n != names[classifier.positive])
    say.print(
        f"positive class: [bold]{escape(names[classifier.positive])}[/bold] (the other: {escape(others)}); --positive "
        "chooses another." if len(names) == 2 else
        f"classes {escape(', '.join(names))}; a film is called what is most probable. One against the rest is told of "
        f"{escape(names[classifier.positive])}; --positive chooses another.", soft_wrap=True, highlight=False,
    )  # fmt: skip
    _warn(prepared)


def _warn(prepared: Any) -> None:
    notes = prepared.dataset.notes
    for note in notes[:NOTES]:
        say.print(f"note: {escape(note)}", soft_wrap=True, highlight=False)
    if len(notes) > NOTES:
        say.print(f"note: {len(notes) - NOTES} notes more are in training.json and the report", highlight=False)
    for warning in prepared.warnings:
        say.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True, highlight=False)


def write_options(training: dict[str, Any], prepared: Any, classifier: Any) -> None:
    """The file that repeats a training: `--config RUN/options.toml`."""
    from radiolucent.files import write_text

    own = {"labels": ",".join(classifier.class_names)} if classifier.multilabel else {
        "positive": classifier.class_names[classifier.positive]
    }  # fmt: skip
    chosen = training | own
    places = {k: str(Path(v).resolve()) for k, v in chosen.items() if isinstance(v, Path) and k != "out"}
    write_text(Path(training["out"]) / "options.toml", as_toml(chosen | places | {"out": training["out"]}))
    tell_ready(prepared, classifier)


def asking_positive(config: Any, start: Callable[[Any], Any]) -> Any:
    """Start a training; where the class names do not say which is positive, a terminal is asked."""
    from radiolucent.models.positive import AmbiguousPositive, positive_class

    try:
        return start(config)
    except AmbiguousPositive as error:
        if not (sys.stdin.isatty() and say.is_terminal):
            raise
        names = error.class_names
    answer = typer.prompt(f"Which class is positive, {names[0]} or {names[1]}?", err=True)
    return start(dataclasses.replace(config, positive=names[positive_class(names, answer)]))


Fresh = Annotated[bool, typer.Option("--fresh", help="Start again instead of going on.")]


@reads_films
@reads_readings
@trains(Path("runs/study"))
@resumable()
def study(
    training: dict[str, Any],
    *,
    annotations: Annotations = None,
    cases: Annotated[int, typer.Option(help="Films shown as cases in the report.", min=0, max=10_000)] = 10,
    lime_samples: Annotated[
        int, typer.Option(help="Perturbed images a LIME explanation.", min=10, max=1_000_000)
    ] = 353,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Chest X-ray study",
    fresh: Fresh = False,
    as_json: AsJson = False,
    asked: dict[str, Any],
) -> None:
    """Train, evaluate, explain, compare with the doctors, report. Interrupted, the same command goes on."""
    from radiolucent.images import reading
    from radiolucent.study import StudyConfig, run_study

    config = StudyConfig(
        **training, annotations=annotations, annotation_options=asked, film_options=reading(), cases=cases,
        lime_samples=lime_samples, title=title, command=typed(),
    )  # fmt: skip

    def start(config: Any) -> Any:
        with progress_bar() as update:
            return run_study(config, update, tell_epoch, fresh=fresh, on_ready=partial(write_options, training))

    prepared, appraisal = asking_positive(config, start)
    finish_study(prepared, appraisal, config.out, as_json)


@reads_films
@trains(Path("runs/train"))
@resumable()
def train(training: dict[str, Any], *, fresh: Fresh = False, as_json: AsJson = False) -> None:
    """Only train, and fix temperature and threshold on validation; `report RUN` does the rest."""
    from radiolucent.images import reading
    from radiolucent.study import StudyConfig, train_only
    from radiolucent.study.preflight import about_threshold

    config = StudyConfig(**training, film_options=reading(), command=typed())

    def start(config: Any) -> Any:
        with progress_bar() as update:
            return train_only(config, update, tell_epoch, fresh=fresh, on_ready=partial(write_options, training))

    prepared, trained = asking_positive(config, start)
    clf = trained.classifier
    if clf.multilabel:
        _tell_labels(prepared, trained, config.out, as_json)
        end_with_left_out(prepared.left_out)
        return
    positive, doubts = clf.class_names[clf.positive], about_threshold(trained.threshold, trained.validation)
    if as_json:
        epochs_done = [h.to_dict() for h in trained.fitted.history]
        notes = [*prepared.dataset.notes, *prepared.warnings, *doubts, *trained.fitted.notes]
        found = {"positive": positive, "class_names": clf.class_names, "threshold": trained.threshold.as_dict()}
        print_json(found | {"history": epochs_done, "notes": notes})
    else:
        for doubt in doubts:
            say.print(f"[yellow]warning:[/yellow] {escape(doubt)}", soft_wrap=True, highlight=False)
        kept, value = trained.fitted.best_epoch, trained.threshold.value
        called = (
            f"{escape(positive)} is called from a probability of {value:.3f} on"
            if len(clf.class_names) == 2
            else ("the most probable class is called")
        )
        say.print(f"kept epoch {kept}; {called}; model in {escape(str(config.out))}", soft_wrap=True, highlight=False)
    end_with_left_out(prepared.left_out)


def _tell_labels(prepared: Any, trained: Any, out: Path, as_json: bool) -> None:
    """What training fixed for every label."""
    thresholds = trained.as_dict()
    if as_json:
        notes = [*prepared.dataset.notes, *prepared.warnings, *trained.fitted.notes]
        history = [h.to_dict() for h in trained.fitted.history]
        print_json({"class_names": list(thresholds), "thresholds": thresholds, "history": history, "notes": notes})
        return
    for name, found in thresholds.items():
        how = f"never called: {found['why']}" if found["value"] is None else (
            f"called from a probability of {found['value']:.3f} on"
        )  # fmt: skip
        say.print(f"{escape(name)}: {escape(how)}", soft_wrap=True, highlight=False)
    say.print(f"kept epoch {trained.fitted.best_epoch}; model in {escape(str(out))}", soft_wrap=True, highlight=False)


@reads_readings
@resumable()
def report(
    run: Run,
    data: Annotated[Path | None, typer.Option(help="The films, where they lie elsewhere by now.", exists=True)] = None,
    annotations: Annotations = None,
    cases: Annotated[int | None, typer.Option(help="Films shown as cases.", min=0, max=10_000)] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the report.")] = None,
    as_json: AsJson = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Evaluate, explain and report a run again from its own files, e.g. with readings that came later."""
    from radiolucent.study import resume_report

    with progress_bar() as update:
        prepared, appraisal = resume_report(
            run, update, data=data, annotations=annotations, annotation_options=asked or None, cases=cases, title=title
        )
    finish_study(prepared, appraisal, run, as_json)
