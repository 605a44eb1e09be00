"""`radiolucent export`: a run's network for other programs."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from radiolucent.cli.output import AsJson, Run, end_with_left_out, print_json, say, shown
from radiolucent.cli.reading_options import reads_films

__all__ = ["export"]


@reads_films
def export(
    run: Run,
    file: Annotated[Path, typer.Argument(help="The file to write: .onnx or .xml (OpenVINO).", dir_okay=False)],
    to: Annotated[str | None, typer.Option(help="onnx or openvino; by the file's ending unless given.")] = None,
    films: Annotated[
        Path | None,
        typer.Option(
            help="Films, or a folder, to compare logits on (64 at most); noise unless given. The shipped model, and "
            "others on the lungs alone, say the same of all noise and need some.",
            exists=True,
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest difference of a logit, as a share of the largest (or of 1).", min=0, max=0.1)
    ] = 1e-4,
    as_json: AsJson = False,
) -> None:
    """Write a run's network as ONNX or OpenVINO, and see that it gives torch's logits; else nothing is written.

    Preprocessing, classes, threshold and temperature are written beside it, as FILE.json. Of a model on the lungs alone
    also which logits are no call. FILE.films.csv holds digests of the films that the run learned from, and names none.
    """
    from radiolucent.data import find_films
    from radiolucent.data.trained_on import write_films
    from radiolucent.images import read_or_note
    from radiolucent.models import export as export_model
    from radiolucent.models import load

    paths, left = find_films([films]) if films else ([], [])
    compared = [film for film in (read_or_note(path, left) for path in paths[:64]) if film is not None]
    if films and not compared:
        raise typer.BadParameter(f"{films}: no film there that can be read.")
    found = export_model(load(run), file, to, films=compared, tolerance=tolerance)  # pyright: ignore[reportArgumentType]
    write_films(run, found.file)
    if as_json:
        told = dataclasses.asdict(found) | {"file": str(found.file), "description": str(found.description)}
        print_json(told | {"left_out": [{"file": str(p), "reason": r} for p, r in left]})
    else:
        say.print(
            f"{shown(found.file)}: logits within {found.difference:.1e} of torch's on {found.images} {found.on}, "
            f"between which they move by {found.moves:.1e}; classes and preprocessing: {shown(found.description)}",
            highlight=False,
            soft_wrap=True,
        )
        if found.note:
            say.print(f"[yellow]note:[/yellow] {shown(found.note)}", highlight=False, soft_wrap=True)
    end_with_left_out(left)
