"""The `radiolucent data` commands."""

from pathlib import Path
from typing import Annotated

import typer

from radiolucent.cli_print import (
    CHECK_FAILED,
    AsJson,
    Data,
    Out,
    Seed,
    print_findings,
    print_json,
    progress_bar,
    say,
    stages,
)

__all__ = ["data_app"]

data_app = typer.Typer(
    help="Data sets: check, split, download, draw phantoms.", no_args_is_help=True, rich_markup_mode=None
)


@data_app.command()
def check(data: Data, as_json: AsJson = False) -> None:
    """Look for what makes results on a data set untrustworthy; status 4 if a check fails."""
    from radiolucent.data import check as check_data
    from radiolucent.data import load_dataset

    dataset = load_dataset(data)
    with progress_bar() as update:
        findings = check_data(dataset, progress=stages(update, "reading films"))
    if as_json:
        print_json({"counts": dataset.counts(), "findings": [f.as_dict() for f in findings]})
    else:
        print_findings(findings)
        for f in findings:
            for item in f.evidence.get("unreadable", []):
                say.print(f"  {item['file']}: {item['reason']}", soft_wrap=True, markup=False)
    if any(f.verdict == "fail" for f in findings):
        raise typer.Exit(CHECK_FAILED)


@data_app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Manifest to write (.csv or .parquet).")],
    val: Annotated[float, typer.Option(help="Share of the films for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the films for testing.")] = 0.1,
    classes: Annotated[int, typer.Option(help="2, or 3 from the Kermany names.")] = 2,
    seed: Seed = 0,
) -> None:
    """Deal films into train, val and test by patient, and write the manifest."""
    from radiolucent.data import load_dataset, split_dataset, write_manifest

    found = split_dataset(load_dataset(data, classes=classes), val=val, test=test, seed=seed)
    write_manifest(found, out)
    for note in found.notes:
        say.print(note)
    for name, counts in found.counts().items():
        say.print(f"{name}: {counts}, {found.patients()[name]} patients")


@data_app.command()
def phantom(
    out: Out = Path("phantom"),
    patients: Annotated[int, typer.Option(help="Children; half of them ill.")] = 400,
    films: Annotated[int, typer.Option(help="Most films a child.")] = 2,
    size: Annotated[int, typer.Option(help="Pixels.")] = 256,
    marker_ill: Annotated[float, typer.Option(help="How often a side marker is on films of the ill.")] = 0.5,
    marker_healthy: Annotated[float, typer.Option(help="… and of the healthy.")] = 0.5,
    seed: Seed = 0,
) -> None:
    """Draw children's chest radiographs with true masks, simulated readers, patients and sites."""
    from radiolucent.data.phantom import PhantomConfig, generate

    config = PhantomConfig(
        patients=patients, films=films, size=size, marker_ill=marker_ill, marker_healthy=marker_healthy, seed=seed
    )
    with progress_bar() as update:
        dataset = generate(out, config, progress=stages(update, "drawing"))
    say.print(f"{len(dataset)} films in {out}")


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
    say.print(f"{len(dataset)} films in {dataset.root}; manifest {out}")


@data_app.command()
def medmnist(
    out: Out = Path("medmnist"),
    name: Annotated[str, typer.Option(help="MedMNIST data set.")] = "pneumoniamnist",
    size: Annotated[int, typer.Option(help="28, 64, 128 or 224 pixels.")] = 224,
) -> None:
    """Download a MedMNIST data set as files with a manifest."""
    from radiolucent.data.medmnist import download

    with progress_bar() as update:
        dataset = download(out, name=name, size=size, progress=stages(update, "writing films"))
    say.print(f"{len(dataset)} films in {out}")
