"""`radiolucent evaluate`: a run's figures on films it has not seen."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from radiolucent.cli.answers import WIDE
from radiolucent.cli.evaluation_lines import three_class_lines
from radiolucent.cli.output import (
    AsJson,
    Data,
    Run,
    Seed,
    end_with_left_out,
    print_json,
    progress_bar,
    research_use,
    say,
    shown,
    stages,
)
from radiolucent.cli.reading_options import reads_films
from radiolucent.cli.training_options import Classes, NotGiven, Uncertain
from radiolucent.cli.unseen import Unseen, say_unknown, warn_of_seen
from radiolucent.cli.which_model import say_use
from radiolucent.shown import counted

if TYPE_CHECKING:
    from radiolucent.data.multilabel import LabelOptions

__all__ = ["evaluate", "evaluation_table"]

FOLDS_A_GROUP = 2000


def _predictions(
    classifier: Any,
    run: Path,
    data: Path,
    classes: str | None,
    labels: "LabelOptions",
    by: tuple[str, ...],
    update: Callable[[str, int, int], None],
) -> tuple[Any, list[tuple[Path, str]], Any, tuple[str, ...]]:
    """(predictions, files left out, films that the run was trained on, notes); labels are matched by class name."""
    from radiolucent.data import load_dataset
    from radiolucent.data.multilabel import match_labels
    from radiolucent.data.relabel import relabel
    from radiolucent.data.trained_on import films_of_run
    from radiolucent.errors import DataError
    from radiolucent.models import predict

    if classifier.multilabel:
        if classes:
            raise typer.BadParameter("--classes is for models of one class a film; this run tells several labels.")
        dataset = match_labels(load_dataset(data, labels=labels), classifier.class_names)
        if not (dataset.labels >= 0).any():
            notes = "; ".join(dataset.notes)
            raise DataError(f"{data}: no film has a known label of the model's ({notes}).")
    else:
        dataset = relabel(load_dataset(data, classes=classes, known=classifier.class_names), classifier.class_names)
    left: list[tuple[Path, str]] = [(item.path, item.reason) for item in dataset.left_out]
    known, digests = films_of_run(run), dict[str, str]()
    found = predict(
        classifier, dataset.records, left_out=left, progress=stages(update, "predicting"), digests=digests
    )  # fmt: skip
    at = {r.image_id: r for r in dataset.records}
    records = [at[name] for name in found.image_ids]
    columns = {name: tuple(r.column(name) or "" for r in records) for name in by}
    for name, values in columns.items():
        if not any(values):
            have = sorted({k for r in records for k in r.columns})
            raise typer.BadParameter(f"--by {name}: no film has such a column; there are {', '.join(have) or 'none'}.")
    seen = known.among(records, digests) if known else None
    return dataclasses.replace(found, groups=columns), left, seen, dataset.notes


def _only(predictions: Any, keep: list[bool]) -> Any:
    import numpy as np

    index = np.flatnonzero(keep)
    pick: Callable[[Any], Any] = lambda values: tuple(values[i] for i in index)  # noqa: E731
    return dataclasses.replace(
        predictions,
        image_ids=pick(predictions.image_ids),
        patient_ids=pick(predictions.patient_ids),
        logits=predictions.logits[index],
        labels=predictions.labels[index],
        groups={k: pick(v) for k, v in predictions.groups.items()},
    )


def _by_split(predictions: Any, seen: Any) -> list[tuple[str, Any]]:
    """The predictions by the split of the run that a film was in: train, val, or none of them ("given")."""
    splits = [seen.films[n][1] if seen and n in seen.films else "given" for n in predictions.image_ids]
    return [(name, _only(predictions, [s == name for s in splits])) for name in dict.fromkeys(splits)]


def _by_group(predictions: Any, seed: int) -> dict[str, dict[str, Any]]:
    """An evaluation a value of each column; values of films without a label are passed over."""
    found: dict[str, dict[str, Any]] = {}
    for column, values in predictions.groups.items():
        found[column] = {}
        for value in sorted(set(values)):
            some = _only(predictions, [v == value for v in values])
            if (some.labels >= 0).any():
                found[column][value or "not given"] = _evaluated(some, folds=FOLDS_A_GROUP, seed=seed)
    return found


def _evaluated(predictions: Any, **options: Any) -> Any:
    from radiolucent.metrics import evaluate as of_one
    from radiolucent.metrics import evaluate_labels

    return (evaluate_labels if predictions.multilabel else of_one)(predictions, **options)


@reads_films
def evaluate(
    run: Run,
    data: Data,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write predictions.csv and evaluation.json.")
    ] = None,
    by: Annotated[str, typer.Option(help="Also by columns of the manifest, with commas: sex,site.")] = "",
    classes: Classes = None,
    uncertain: Uncertain = "mask",
    not_given: NotGiven = "mask",
    unseen: Unseen = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Evaluate a run on a folder or manifest it has never seen, at the threshold fixed in training.

    A run of several labels reads their columns from a manifest, and gives every label's figures and their means.

    Films that it was trained or chosen on, and films of the same patients, are recognised: a warning says so.
    """
    from radiolucent.data.multilabel import LabelOptions
    from radiolucent.errors import ConfigError, DataError
    from radiolucent.files import write_json
    from radiolucent.models import is_checkpoint, load
    from radiolucent.study.predictions_table import write_predictions

    if out and is_checkpoint(out):
        raise ConfigError(f"{out}: is a run, whose predictions.csv would be replaced; choose another --out.")
    classifier = load(run)
    columns = tuple(name.strip() for name in by.split(",") if name.strip())
    policies: Any = {"uncertain": uncertain, "not_given": not_given}
    wanted = LabelOptions(classifier.class_names if classifier.multilabel else (), lenient=True, **policies)
    with progress_bar() as update:
        predictions, left, seen, notes = _predictions(classifier, run, data, classes, wanted, columns, update)
    if unseen and seen is None:
        raise DataError(
            f"{run}: has no split.csv (an exported file: no FILE.films.csv), so what it was trained on is not "
            "known; leave --unseen out."
        )
    if unseen and seen.films:
        if len(seen.films) == len(predictions):
            raise DataError(f"{data}: the run was trained or chosen on all of its {len(predictions)} films.")
        predictions = _only(predictions, [name not in seen.films for name in predictions.image_ids])
        gone = counted(len(seen.films), "film")
        say.print(f"{gone} left out that the run was trained or chosen on, or of the same patients.")
        warn_of_seen(seen, left_out=True)
    elif seen is None:
        say_unknown()
    else:
        warn_of_seen(seen)
    result = _evaluated(predictions, seed=seed)
    for note in notes:
        say.print(f"note: {shown(note)}", soft_wrap=True, highlight=False)
    groups = _by_group(predictions, seed)
    mark = None if seen is None else seen.as_dict(left_out=unseen)
    told = result.as_dict() | {"trained_on": mark}
    if groups:
        told["by"] = {c: {v: e.as_dict() for v, e in some.items()} for c, some in groups.items()}
    if out:
        write_predictions(out / "predictions.csv", _by_split(predictions, seen))
        write_json(out / "evaluation.json", told)
    if as_json:
        print_json({"use": research_use(classifier)} | told)
    else:
        _print(result, groups)
        say_use(classifier, run)
    end_with_left_out(left)


def evaluation_table(result: Any) -> Table:
    """Every metric of an evaluation, with what stands behind it."""
    from radiolucent.metrics import METRICS

    several = "; films are called by the most probable class" if len(result.class_names) > 2 else ""
    at = f"called from a probability of {result.threshold:.3f} on{several}"
    who = f"{counted(result.n, 'film')} of {counted(result.patients, 'patient')}"
    who = f"{who}, {result.patients_with} with {result.positive}"
    title = shown(f"{who}; positive class: {result.positive}, {at}")
    notes = shown("; ".join(result.notes))
    table = Table(title=title, title_justify="left", caption=notes, caption_justify="left")
    table.add_column("figure")
    table.add_column("value (95 % CI)")
    for metric in METRICS:
        if metric.name in result.estimates:
            table.add_row(metric.title, shown(str(result.estimates[metric.name])))
    counts = ", ".join(f"{k} {v}" for k, v in result.confusion.items())
    table.add_row(shown(f"{result.positive}: true and false calls"), counts)
    return table


def labels_table(result: Any) -> Table:
    """Every label's leading figures, with their means."""
    labels = len(result.labels) + len(result.too_few)
    title = f"{counted(result.n, 'film')} of {counted(result.patients, 'patient')}, {counted(labels, 'label')}"
    table = Table(title=title, title_justify="left", caption=shown("; ".join(result.notes)), caption_justify="left")
    names = ("auroc", "average_precision", "sensitivity", "specificity", "calibration_slope", "brier")
    for heading in ("label", "with / without", *(n.replace("_", " ") for n in names)):
        table.add_column(heading, overflow="fold")
    for label, found in result.labels.items():
        who = f"{found.patients_with} / {found.patients_without}"
        table.add_row(shown(label), who, *(shown(_short(found.estimates.get(n))) for n in names))
    for label, why in result.too_few.items():
        table.add_row(shown(label), "", shown(why))
    if result.macro:
        table.add_row("mean of the labels", "", *(shown(_short(result.macro.get(n))) for n in names))
    return table


def _short(e: Any) -> str:
    if e is None or e.value is None:
        return "–"
    return f"{e.value:.3f}" + ("" if e.low is None else f"\n({e.low:.3f}–{e.high:.3f})")


def _print_labels(result: Any, groups: dict[str, dict[str, Any]]) -> None:
    screen = Console(width=None if sys.stdout.isatty() else WIDE)
    screen.print(labels_table(result))
    for column, values in groups.items():
        for value, found in values.items():
            table = labels_table(found)
            table.title = f"{shown(column)}: {shown(value)}, {counted(found.n, 'film')}"
            screen.print(table)


def _print(result: Any, groups: dict[str, dict[str, Any]]) -> None:
    if hasattr(result, "too_few"):
        _print_labels(result, groups)
        return
    screen = Console()
    screen.print(evaluation_table(result))
    if len(result.class_names) > 2:
        for line in three_class_lines(result):
            screen.print(line, highlight=False, markup=False, soft_wrap=True)
    for column, values in groups.items():
        table = Table(title=f"by {shown(column)}", title_justify="left")
        for heading in (column, "films", "AUROC", "sensitivity", "specificity"):
            table.add_column(heading, overflow="fold")
        for value, found in values.items():
            figures = (found.estimates[n] for n in ("auroc", "sensitivity", "specificity"))
            table.add_row(shown(value), str(found.n), *(shown(str(e)) for e in figures))
        screen.print(table)
