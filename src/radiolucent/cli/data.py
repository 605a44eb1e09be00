"""The `radiolucent data` commands."""

from pathlib import Path
from typing import Annotated, Any

import typer

from radiolucent.cli.output import (
    CHECK_FAILED,
    LEFT_OUT,
    RUN,
    Annotations,
    AsJson,
    Data,
    Out,
    Seed,
    end_with_left_out,
    print_doubtful,
    print_findings,
    print_json,
    progress_bar,
    resumable,
    run_path,
    say,
    shown,
    stages,
)
from radiolucent.cli.reading_options import reads_films, reads_readings
from radiolucent.cli.training_options import Classes, LabelNames, NotGiven, Test, Uncertain, Val
from radiolucent.shown import counted

__all__ = ["data_app"]

data_app = typer.Typer(
    help="Data sets: check, split, download, draw phantoms, find lungs, plant a shortcut.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _label_options(labels: str | None, uncertain: str, not_given: str) -> Any:
    from radiolucent.data.multilabel import LabelOptions, wanted_labels

    policies: Any = {"uncertain": uncertain, "not_given": not_given}
    return LabelOptions(wanted_labels(labels), **policies)


@data_app.command()
@reads_films
@reads_readings
def check(
    data: Data,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help=f"Labels: {RUN} It judges films it has not seen; several with several --run.", parser=run_path
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Labels: a CSV of out-of-fold answers, with the columns image and p_CLASS.", exists=True),
    ] = None,
    annotations: Annotations = None,
    classes: Classes = None,
    labels: LabelNames = None,
    uncertain: Uncertain = "mask",
    not_given: NotGiven = "mask",
    as_json: AsJson = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Look for what makes results on a data set untrustworthy; status 4 if a check fails, else 3 if files are missed.

    Labels are doubted where near-duplicates contradict them; with --run or --predictions also where a model does that
    has not seen the film; with --annotations, where readers do. Runs with several seeds judge, together, all films.
    """
    from radiolucent.data import check as check_data
    from radiolucent.data import load_dataset
    from radiolucent.data.multilabel import refuse_labels
    from radiolucent.data.records import is_lost

    dataset = load_dataset(data, classes=classes, labels=_label_options(labels, uncertain, not_given))
    if run or predictions or annotations:
        refuse_labels(dataset, "--run, --predictions or --annotations", "judge one label with --classes NAME")
    left: list[Any] = []
    with progress_bar() as update:
        findings = check_data(dataset, progress=stages(update, "reading films"))
        if run or predictions or annotations:
            findings = _judged(dataset, findings, run or [], predictions, annotations, asked, left, update)
    if as_json:
        notes = {"notes": list(dataset.notes)} if dataset.notes else {}
        print_json({"counts": dataset.counts()} | notes | {"findings": [f.as_dict() for f in findings]})
    else:
        for note in dataset.notes:
            say.print(f"note: {shown(note)}", soft_wrap=True, highlight=False)
        print_findings(findings)
        for f in findings:
            for item in (*f.evidence.get("unreadable", []), *f.evidence.get("set_aside", [])):
                say.print(f"  {shown(item['file'])}: {shown(item['reason'])}", soft_wrap=True)
            print_doubtful(f)
    if any(f.verdict == "fail" for f in findings):
        raise typer.Exit(CHECK_FAILED)
    end_with_left_out(left)
    if any(is_lost(item.reason) for item in dataset.left_out):  # listed above
        raise typer.Exit(LEFT_OUT)


def _judged(
    dataset: Any,
    findings: list[Any],
    runs: list[Path],
    predictions: Path | None,
    annotations: Path | None,
    asked: dict[str, Any],
    left: list[Any],
    update: Any,
) -> list[Any]:
    """The findings with the labels judged by whoever was given."""
    from radiolucent.data import read_annotations
    from radiolucent.errors import ConfigError
    from radiolucent.study.label_check import chances_in_table, chances_of_runs, check_labels, twins_of

    if runs and predictions:
        raise ConfigError("give --run or --predictions, not both.")
    twins = twins_of(findings)
    chances = chances_in_table(dataset, predictions, twins) if predictions else None
    if runs:
        chances = chances_of_runs(dataset, runs, twins, update)
    readings = read_annotations(annotations, dataset=dataset, left_out=left, **asked) if annotations else []
    return check_labels(dataset, findings, chances=chances, readings=readings)


@data_app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Manifest to write (.csv or .parquet).")],
    val: Val = None,
    test: Test = None,
    classes: Classes = None,
    labels: LabelNames = None,
    uncertain: Uncertain = "mask",
    not_given: NotGiven = "mask",
    seed: Seed = 0,
) -> None:
    """Deal films into train, val and test by patient, and write the manifest."""
    from radiolucent.data import load_dataset, split_dataset, write_manifest
    from radiolucent.files import refuse_itself

    refuse_itself(out, data / "manifest.csv" if data.is_dir() else data)
    options = _label_options(labels, uncertain, not_given)
    found = split_dataset(load_dataset(data, classes=classes, labels=options), val=val, test=test, seed=seed)
    write_manifest(found, out)
    for note in found.notes:
        say.print(note)
    for name, counts in found.counts().items():
        say.print(f"{name}: {counts}, {counted(found.patients()[name], 'patient')}")


@data_app.command()
def phantom(
    out: Out = Path("phantom"),
    patients: Annotated[int, typer.Option(help="Children; half of them ill.", min=4, max=1_000_000)] = 400,
    films: Annotated[int, typer.Option(help="Most films a child.", min=1, max=100)] = 2,
    size: Annotated[int, typer.Option(help="Pixels.", min=64, max=4096)] = 256,
    marker_ill: Annotated[
        float, typer.Option(help="How often a side marker is on films of the ill.", min=0, max=1)
    ] = 0.5,
    marker_healthy: Annotated[float, typer.Option(help="… and of the healthy.", min=0, max=1)] = 0.5,
    labels: Annotated[
        int,
        typer.Option(
            help="1: pneumonia or not. 3: consolidation, effusion, cardiomegaly, any of them on a film.", min=1, max=3
        ),
    ] = 1,
    seed: Seed = 0,
) -> None:
    """Draw children's chest radiographs with true masks, simulated readers, patients and sites."""
    from radiolucent.data.phantom import PhantomConfig, SeveralConfig, generate, generate_several
    from radiolucent.errors import ConfigError

    if labels not in (1, 3):
        raise ConfigError(f"--labels {labels}; expected 1 or 3: phantoms are drawn with these.")
    if labels == 3:
        if marker_ill != marker_healthy:
            raise ConfigError(
                "--marker-ill and --marker-healthy differ: films with several labels are not ill or healthy."
            )
        several = SeveralConfig(patients=patients, films=films, size=size, marker=marker_ill, seed=seed)
        with progress_bar() as update:
            dataset = generate_several(out, several, progress=stages(update, "drawing"))
        say.print(f"{counted(len(dataset), 'film')} in {out}")
        return
    config = PhantomConfig(
        patients=patients, films=films, size=size, marker_ill=marker_ill, marker_healthy=marker_healthy, seed=seed
    )
    with progress_bar() as update:
        dataset = generate(out, config, progress=stages(update, "drawing"))
    say.print(f"{counted(len(dataset), 'film')} in {out}")


@data_app.command()
def kaggle(
    out: Annotated[Path, typer.Option("--out", "-o", help="Manifest to write.")] = Path("kaggle.csv"),
    handle: Annotated[str, typer.Option(help="Kaggle data set.")] = "paultimothymooney/chest-xray-pneumonia",
) -> None:
    """Download the Kermany collection from Kaggle and write its manifest."""
    from radiolucent.data import write_manifest
    from radiolucent.data.kaggle import download

    dataset = download(handle)
    write_manifest(dataset, out)
    say.print(f"{counted(len(dataset), 'film')} in {dataset.root}; manifest {out}")


@data_app.command()
def medmnist(
    out: Out = Path("medmnist"),
    name: Annotated[str, typer.Option(help="MedMNIST data set.")] = "pneumoniamnist",
    size: Annotated[int, typer.Option(help="28, 64, 128 or 224 pixels.", min=28, max=224)] = 224,
) -> None:
    """Download a MedMNIST data set as files with a manifest."""
    from radiolucent.data.medmnist import download

    with progress_bar() as update:
        dataset = download(out, name=name, size=size, progress=stages(update, "writing films"))
    say.print(f"{counted(len(dataset), 'film')} in {out}")


@data_app.command()
@reads_films
@reads_readings
def annotations(
    source: Annotated[Path, typer.Argument(help="Readings: a file or folder in any known format.", exists=True)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    to: Annotated[
        str, typer.Option(help="A format that is written (see `data formats`); csv for a .csv file, else coco.")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="Data set whose films the readings belong to.")] = None,
    reader: Annotated[str, typer.Option(help="Reader's name where the file gives none.")] = "reader",
    as_json: AsJson = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Convert doctors' readings between formats, all into source pixels; bad entries are listed (status 3)."""
    from radiolucent.data import FORMATS, LeftOut, load_dataset, read_annotations
    from radiolucent.errors import ConfigError
    from radiolucent.files import refuse_itself

    refuse_itself(out, source)
    writers = {name: f.write for name, f in FORMATS.items() if f.write}
    chosen = to or ("csv" if out.suffix.lower() == ".csv" else "coco")
    if chosen not in writers:
        raise ConfigError(f"--to {chosen}; expected one of {', '.join(writers)}.")
    left: list[LeftOut] = []
    dataset = load_dataset(data) if data else None
    found = read_annotations(source, dataset=dataset, reader=reader, left_out=left, **asked)
    writers[chosen](found, out, dataset)
    tally: dict[str, Any] = {
        "readings": len(found),
        "films": len({a.image_id for a in found}),
        "readers": sorted({a.reader for a in found}),
        "regions": sum(len(a.regions) for a in found),
        "no_finding": sum(not a.finding for a in found),
    }
    if as_json:
        print_json(tally | {"out": str(out), "left_out": [{"file": str(p), "reason": r} for p, r in left]})
    else:
        who = ", ".join(tally["readers"]) or "nobody"
        say.print(
            f"{tally['readings']} readings of {tally['films']} films by {who}: {tally['regions']} regions, "
            f"{tally['no_finding']} times no finding → {out}",
            soft_wrap=True,
            markup=False,
        )
    end_with_left_out(left)


@data_app.command()
@reads_films
@reads_readings
def maps(
    explanations: Annotated[Path, typer.Argument(help="A folder that `radiolucent explain` wrote.", exists=True)],
    to: Annotated[str, typer.Option(help="fiftyone or labelstudio.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.")],
    annotations: Annotations = None,
    as_json: AsJson = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Hand films, maps and doctors' marks to FiftyOne or Label Studio, as files that they import."""
    from radiolucent.data import LeftOut, read_annotations
    from radiolucent.study.handover import hand_over

    left: list[LeftOut] = []
    readings = read_annotations(annotations, left_out=left, **asked) if annotations else []
    count = hand_over(explanations, out, to, annotations=readings, left_out=left)
    if as_json:
        told = [{"file": str(p), "reason": r} for p, r in left]
        print_json({"films": count, "out": str(out), "left_out": told})
    else:
        told_of = f"{counted(count, 'film')} with maps and {counted(len(readings), 'reading')}"
        say.print(f"{told_of} in {shown(out)}", highlight=False)
    end_with_left_out(left, count)


@data_app.command()
def formats(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of the docs.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the formats that readings are read from and written to."""
    from radiolucent.data import FORMATS
    from radiolucent.data.annotations import formats_table

    if markdown:
        typer.echo(formats_table())
        return
    names = ("name", "title", "holds", "traps", "empty_means")
    rows = [{n: getattr(f, n) for n in names} | {"written": f.write is not None} for f in FORMATS.values()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:<20} {'read, written' if row['written'] else 'read':<14} {row['title']}")


@data_app.command()
@reads_films
def lungs(data: Data, out: Out = Path("lungs"), as_json: AsJson = False) -> None:
    """Write lung masks as PNG in the films' own pixels, and list those not to be trusted."""
    from radiolucent.data import load_dataset
    from radiolucent.segment import write_lungs

    dataset = load_dataset(data)
    with progress_bar() as update:
        found = write_lungs(dataset.records, out, progress=stages(update, "finding lungs"))
    left = [*((item.path, item.reason) for item in dataset.left_out), *found.left_out]
    if as_json:
        print_json(
            {
                "written": found.written,
                "distrusted": [{"image": name, "reasons": why} for name, why in found.distrusted],
                "left_out": [{"file": str(path), "reason": reason} for path, reason in left],
            }
        )
    else:
        say.print(f"{counted(found.written, 'mask')} in {out}; {len(found.distrusted)} not to be trusted")
        for name, why in found.distrusted:
            say.print(f"  {name}: {'; '.join(why)}", soft_wrap=True, markup=False)
    end_with_left_out(left)


@data_app.command("paste-marker")
@reads_films
def paste_marker(
    data: Data,
    out: Out = Path("planted"),
    target: Annotated[str, typer.Option("--class", help="Class whose films get the marker.")] = "PNEUMONIA",
    share: Annotated[float, typer.Option(help="Share of its films that get it.", min=0, max=1)] = 0.8,
    splits: Annotated[str, typer.Option(help="In which splits, with commas.")] = "train,val",
    films: Annotated[
        int | None, typer.Option(help="At most so many training films, drawn at random.", min=1, max=10_000_000)
    ] = (None),
    val: Val = None,
    test: Test = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Plant a shortcut: paste an R on films of one class, to see whether `audit` finds it. Interrupted, it goes on."""
    from radiolucent.data import load_dataset, split_dataset
    from radiolucent.data.multilabel import refuse_labels
    from radiolucent.data.plant import at_most, plant_markers

    given = refuse_labels(load_dataset(data), "paste-marker", "name one column with a manifest of its own")
    dataset = at_most(split_dataset(given, val=val, test=test, seed=seed), films, seed=seed)
    names = tuple(name.strip() for name in splits.split(",") if name.strip())
    with resumable(), progress_bar() as update:
        found = plant_markers(
            dataset, out, target=target, share=share, splits=names, seed=seed, progress=stages(update, "pasting")
        )
    pasted = sum("pasted" in r.extra for r in found.records)
    if as_json:
        manifest = str(out / "manifest.csv")
        print_json({"films": len(found), "pasted": pasted, "counts": found.counts(), "manifest": manifest})
    else:
        say.print(f"{pasted} of {len(found)} films pasted; manifest {out / 'manifest.csv'}")
    end_with_left_out(found.left_out)
