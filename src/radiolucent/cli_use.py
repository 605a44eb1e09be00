"""Commands that use a finished run: evaluate, predict, explain, compare."""

import dataclasses
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radiolucent.cli_print import (
    Annotations,
    AsJson,
    Data,
    Out,
    Run,
    Seed,
    end_with_left_out,
    print_comparison,
    print_json,
    progress_bar,
    say,
    stages,
)

__all__ = ["compare", "evaluate", "explain", "predict"]


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
            explain_film(classifier, film, m, target=target or bare.called, score=cast(Any, score), seed=seed)
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
            say.print(f"{escape(film.image_id)} → {escape(str(row['panel']))}", soft_wrap=True)
    if as_json:
        print_json({"explanations": rows, "left_out": [{"file": str(p), "reason": r} for p, r in left]})
    end_with_left_out(left)


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
    names = tuple(dict.fromkeys(m.strip().lower() for m in method.split(",")))
    with progress_bar() as update:
        found = compare_run(
            run, data, annotations, names, target=target, reader=reader, thresholds=cuts, by=kinds, format=format,
            seed=seed, say=update,
        )  # fmt: skip
    if as_json:
        print_json(found.as_dict())
    else:
        print_comparison(found)
    end_with_left_out(found.left_out)
