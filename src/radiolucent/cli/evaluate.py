"""`radiolucent evaluate`: a run's figures on films it has not seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from radiolucent.cli.output import (
    AsJson,
    Data,
    Run,
    Seed,
    end_with_left_out,
    print_json,
    progress_bar,
    research_use,
    stages,
)
from radiolucent.cli.which_model import say_use

__all__ = ["evaluate"]


def _predictions(
    classifier: Any, data: Path, update: Callable[[str, int, int], None]
) -> tuple[Any, list[tuple[Path, str]]]:
    """(predictions, files left out) of a classifier on a data set; labels are matched by class name."""
    from radiolucent.data import load_dataset
    from radiolucent.data.relabel import relabel
    from radiolucent.models import predict

    dataset = relabel(load_dataset(data), classifier.class_names)
    left: list[tuple[Path, str]] = [(item.path, item.reason) for item in dataset.left_out]
    found = predict(classifier, dataset.records, left_out=left, progress=stages(update, "predicting"))
    return found, left


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
    from radiolucent.models import load
    from radiolucent.study import write_predictions

    classifier = load(run)
    with progress_bar() as update:
        predictions, left = _predictions(classifier, data, update)
    result = evaluate_predictions(predictions, seed=seed)
    if out:
        write_predictions(out / "predictions.csv", [("given", predictions)])
        write_json(out / "evaluation.json", result.as_dict())
    if as_json:
        print_json({"use": research_use(classifier)} | result.as_dict())
    else:
        table = Table(title=f"{result.n} films of {result.patients} patients; threshold {result.threshold:.3f}")
        table.add_column("figure")
        table.add_column("value (95 % CI)")
        for name, estimate in result.estimates.items():
            table.add_row(name, str(estimate))
        table.add_row("confusion", ", ".join(f"{k} {v}" for k, v in result.confusion.items()))
        Console().print(table)
        say_use(classifier, run)
    end_with_left_out(left)
