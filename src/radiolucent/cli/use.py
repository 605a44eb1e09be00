"""Commands that use a finished run: evaluate, predict, explain, compare."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radiolucent.cli.output import (
    Annotations,
    AsJson,
    Coordinates,
    Data,
    Labels,
    Out,
    Run,
    Seed,
    SkipShapes,
    end_with_left_out,
    names_in,
    print_comparison,
    print_json,
    progress_bar,
    reading_options,
    research_use,
    resumable,
    say,
    shown,
    stages,
)
from radiolucent.cli.reading_options import reads_films

RunAndImages = Annotated[
    list[Path],
    typer.Argument(
        help="A run folder or model.safetensors file (or box, or nothing: the model that comes with radiolucent), then "
        "images or folders, of any number of images.",
        metavar="[RUN] IMAGES...",
    ),
]

__all__ = ["compare", "evaluate", "explain", "predict"]


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


@reads_films
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
    from radiolucent.metrics import METRICS
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
        for metric in METRICS:
            if metric.name in result.estimates:
                table.add_row(metric.title, str(result.estimates[metric.name]))
        table.add_row("confusion", ", ".join(f"{k} {v}" for k, v in result.confusion.items()))
        Console().print(table)
        _say_use(classifier, run)
    end_with_left_out(left)


def _say_use(classifier: Any, run: Path) -> None:
    """Which model has answered, and what it is for."""
    from radiolucent.models import names_box

    who = "the model in the box" if names_box(run) else str(run)
    say.print(f"answered by {escape(who)}: {research_use(classifier)}", soft_wrap=True, highlight=False)


def _run_and_images(given: list[Path]) -> tuple[Path, list[Path]]:
    """Which model, and on which images: the model in the box where the first of them is no run."""
    from radiolucent.models import BOX, is_checkpoint, names_box

    first, rest = given[0], given[1:]
    if not (is_checkpoint(first) or names_box(first)):
        if any((first / name).is_file() for name in ("study.json", "config.json")):
            raise typer.BadParameter(f"{first} is a run without a finished model; train it to its end first.")
        return Path(BOX), given
    if not rest:
        raise typer.BadParameter(f"{first} is a model; give images or folders behind it.")
    return first, rest


@reads_films
def predict(given: RunAndImages, as_json: AsJson = False) -> None:
    """Say what a run makes of images: calibrated probabilities and the call at its threshold."""
    from radiolucent.data import find_films
    from radiolucent.figures import sure
    from radiolucent.images import read_or_note
    from radiolucent.models import load
    from radiolucent.study import make_case

    run, paths = _run_and_images(given)
    classifier = load(run)
    rows: list[dict[str, Any]] = []
    files, left = find_films(paths)
    for film in filter(None, (read_or_note(file, left) for file in files)):
        logits = classifier.logits(classifier.preprocess(film)[None])
        case = make_case(classifier, film, logits, None, (), ())
        chances = classifier.probabilities(logits)[0].tolist()
        chance = dict(zip(classifier.class_names, chances, strict=True))
        row: dict[str, Any] = {"image": film.image_id, "called": case.called, "probability": chance}
        rows.append(row | ({"notes": film.notes} if film.notes else {}))
        if not as_json:
            Console().print(
                f"{shown(film.image_id)}: {sure(case.probability, case.called)}", highlight=False, soft_wrap=True
            )
            for note in film.notes:
                say.print(f"  note: {shown(note)}", highlight=False, soft_wrap=True)
    if as_json:
        skipped = [{"file": str(p), "reason": r} for p, r in left]
        print_json({"use": research_use(classifier), "predictions": rows, "left_out": skipped})
    else:
        _say_use(classifier, run)
    end_with_left_out(left)


def _methods(names: str, samples: int | None) -> tuple[Any, ...]:
    """Methods by name; those that draw samples draw `samples`, and a message names those that draw none."""
    from radiolucent.errors import ConfigError
    from radiolucent.explainers import METHODS, methods_named

    chosen = methods_named(names_in(names))
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
@resumable()
def explain(
    given: RunAndImages,
    method: Annotated[
        str, typer.Option(help="gradcam, cam, lime, …; several with commas, side by side.")
    ] = "gradcam,lime",
    target: Annotated[
        list[str] | None, typer.Option(help="Class to explain, may be repeated; the called one unless given.")
    ] = None,
    contrast: Annotated[
        str | None, typer.Option(help="Explain why the target rather than this class, by their logits' difference.")
    ] = None,
    score: Annotated[str, typer.Option(help="logit, probability or margin.")] = "logit",
    samples: Annotated[
        int | None, typer.Option(help="Images asked about for a map, by every method that samples.", min=1)
    ] = None,
    annotations: Annotations = None,
    skip_shapes: SkipShapes = False,
    labels: Labels = "",
    coordinates: Coordinates = "as stated",
    panels: Annotated[bool, typer.Option(help="Also draw a panel an image; slower than most maps.")] = True,
    trust: Annotated[
        bool | None,
        typer.Option("--trust/--no-trust", help="Stamp all maps, or none; unless given, those of at most 20 images."),
    ] = None,
    max_memory_mb: Annotated[
        float, typer.Option(help="Bound on the memory of films and maps in work, in MiB; batches are as large as fit.")
    ] = 1024,
    batch_size: Annotated[int | None, typer.Option(help="Images at a time, instead.", min=1)] = None,
    out: Out = Path("explanations"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again instead of going on.")] = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Explain any images, DICOM included: raw maps (NPZ), panels (PNG) and one table. Interrupted, it goes on.

    Without RUN the model in the box answers: pneumonia or normal, on children's chest films.
    """
    from radiolucent.data import LeftOut, read_annotations
    from radiolucent.models import load
    from radiolucent.study import ManyConfig, explain_many

    run, paths = _run_and_images(given)
    classifier = load(run)
    config = ManyConfig(
        _methods(method, samples), tuple(target or ()), contrast, score, seed, panels, trust, batch_size, max_memory_mb
    )
    said: list[LeftOut] = []
    asked = reading_options(skip_shapes, labels, coordinates)
    readings = read_annotations(annotations, left_out=said, **asked) if annotations else []
    with progress_bar() as update:
        found = explain_many(classifier, paths, out, config, readings=readings, fresh=fresh, say=update)
    left = [{"file": str(p), "reason": r} for p, r in (*found.left_out, *said)]
    listed = {str(p): n for n, p in enumerate(found.files)}
    rows = [r for r in found.journal.rows(list(listed)) if r["image"] in listed and not r["error"]]
    if as_json:
        summary = {"use": research_use(classifier), "table": str(found.table), "parquet": str(found.parquet)}
        summary |= {"films": found.films, "new": found.new}
        print_json(summary | {"explanations": [_placed(r, out) for r in rows], "left_out": left})
    else:
        say.print(
            f"{found.films} film(s) explained, {found.new} of them now; table: {escape(str(found.table))}",
            soft_wrap=True,
            highlight=False,
        )
        if failing := sum("does not add up" in (r["trust_reasons"] or "") for r in rows):
            say.print(f"{failing} map(s) do not add up to the score they explain: see trust_reasons in the table")
        _say_use(classifier, run)
    end_with_left_out([*found.left_out, *said])


def _placed(row: dict[str, Any], out: Path) -> dict[str, Any]:
    return row | {name: str(out / row[name]) for name in ("map", "panel") if row[name]}


@reads_films
def compare(
    run: Run,
    data: Data,
    annotations: Annotated[Path, typer.Option(help="Doctors' readings, a file or folder in any format.", exists=True)],
    method: Annotated[str, typer.Option(help="Methods, several with commas.")] = "gradcam",
    target: Annotated[str | None, typer.Option(help="Class to explain; the positive one unless given.")] = None,
    reader: Annotated[
        str, typer.Option(help="A name, 'without NAME', consensus, staple, union, or all of them.")
    ] = "consensus",
    thresholds: Annotated[str, typer.Option(help="Shares of the map's maximum for IoU and Dice.")] = "0.3,0.5,0.7",
    by: Annotated[str, typer.Option(help="Tell films apart by decision, class, etiology, site (with commas).")] = "",
    format: Annotated[str | None, typer.Option(help="The readings' format, where it should not be found.")] = None,
    skip_shapes: SkipShapes = False,
    labels: Labels = "",
    coordinates: Coordinates = "as stated",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare a run's maps with doctors' markings, beside area, chance and the other doctors."""
    from radiolucent.errors import ConfigError
    from radiolucent.study import compare_run

    try:
        cuts = tuple(float(t) for t in thresholds.split(","))
    except ValueError as error:
        raise ConfigError(f"--thresholds {thresholds!r}; expected shares with commas, such as 0.3,0.5,0.7.") from error
    kinds = tuple(k.strip() for k in by.split(",") if k.strip())
    names = names_in(method)
    with progress_bar() as update:
        found = compare_run(
            run, data, annotations, names, target=target, reader=reader, thresholds=cuts, by=kinds, format=format,
            asked=reading_options(skip_shapes, labels, coordinates), seed=seed, say=update,
        )  # fmt: skip
    if as_json:
        print_json(found.as_dict())
    else:
        print_comparison(found)
    end_with_left_out(found.left_out)
