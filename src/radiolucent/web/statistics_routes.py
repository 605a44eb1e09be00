"""The statistics page and the exports: for the organiser, and for readers who have nothing left to be blinded to."""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from radiolucent.audits.agreement import Agreement
from radiolucent.data import write_coco
from radiolucent.figures import agreement_plot, method_name, to_png
from radiolucent.readers.store_export import annotations, consensus, readings_csv
from radiolucent.reports.phrasing import (
    agreement_rows,
    between_name,
    interval,
    p_value,
    seconds,
    statement_rows,
    verdict_on,
)
from radiolucent.types import Annotation
from radiolucent.web.dependencies import Guest, Organiser, Study
from radiolucent.web.refused import Refused
from radiolucent.web.statistics import StudyStatistics, gather
from radiolucent.web.study_context import StudyContext

__all__ = ["coco_text", "leading", "render_statistics", "router"]

router = APIRouter()


def _cleared(who: Guest, context: Study) -> str | None:
    """None for the organiser, who sees all; a reader's name once every case of theirs is finished.

    Raises:
        Refused: 403, because the page tells what the model and the others said.
    """
    if who.reader is None:
        return None
    if context.store.role(who.reader) != "reader":
        raise Refused(403, "blinded", "who settles the readings does not see statistics and exports.")
    if any(row.state != "finished" for row in context.store.worklist(who.reader)):
        raise Refused(403, "blinded", "statistics and exports open when all your cases are finished.")
    return context.store.readers()[who.reader]


Cleared = Annotated[str | None, Depends(_cleared)]


def coco_text(context: StudyContext, readings: Sequence[Annotation]) -> str:
    """Readings as COCO JSON in source pixels."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "readings.coco.json"
        write_coco(readings, file, categories=context.class_names)
        return file.read_text(encoding="utf-8")


def _environment() -> Environment:
    loader = PackageLoader("radiolucent.web")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"interval": interval, "method": method_name, "seconds": seconds}
    return made


def _gathered(request: Request, context: Study) -> StudyStatistics:
    """What the page and its figure show; computed again once a reading was locked or finished, or a map was added."""
    key = (context.store.progress(), len(list(context.reveal.folder.iterdir())))
    kept: tuple[object, StudyStatistics] | None = getattr(request.app.state, "statistics", None)
    if kept is None or kept[0] != key:
        kept = request.app.state.statistics = (key, gather(context))  # replaced whole: another thread may be asking
    return kept[1]


Gathered = Annotated[StudyStatistics, Depends(_gathered)]


def render_statistics(found: StudyStatistics, *, style: str = "", picture: str, ticket: str = "") -> str:
    """The page; with `style`, as a file that needs no server; else with the `ticket` that its links need."""
    values: dict[str, Any] = {"s": found, "verdict_on": verdict_on, "agreement_rows": agreement_rows}
    values |= {"between_name": between_name, "p_value": p_value, "statement_rows": statement_rows}
    template = _environment().get_template("statistics.html.jinja")
    return template.render(values | {"style": style, "picture": picture, "ticket": ticket})


@router.get("/statistics")
def statistics(_: Cleared, found: Gathered, ticket: str = "") -> Response:
    """Agreement between readers, and of readers with the model."""
    return HTMLResponse(render_statistics(found, picture=f"/statistics/agreement.png?ticket={ticket}", ticket=ticket))


@router.get("/statistics/agreement.png")
def picture(_: Cleared, gathered: Gathered) -> Response:
    """Maps against readers, as a figure."""
    found = leading(gathered)
    if not found:
        raise Refused(404, "path", "no map was compared with a marking yet.")
    return Response(to_png(agreement_plot(found)), media_type="image/png")


def leading(found: StudyStatistics) -> list[Agreement]:
    """What the figure shows: each map against the consensus; the single readers stand in the table."""
    return [a for a in found.agreement if a.films and a.reader == "consensus"]


def _download(content: str, kind: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(io.BytesIO(content.encode()).getvalue(), media_type=kind, headers=headers)


@router.get("/export/readings.csv")
def export_csv(reader: Cleared, context: Study) -> Response:
    """One row a locked reading: all for the organiser, their own for a reader."""
    return _download(readings_csv(context.store, reader), "text/csv", "readings.csv")


@router.get("/export/readings.coco.json")
def export_coco(reader: Cleared, context: Study) -> Response:
    """Locked readings as COCO."""
    text = coco_text(context, annotations(context.store, reader))
    return _download(text, "application/json", "readings.coco.json")


@router.get("/export/consensus.coco.json")
def export_consensus(_: Organiser, context: Study) -> Response:
    """What adjudicators settled, as COCO."""
    return _download(coco_text(context, consensus(context.store)), "application/json", "consensus.coco.json")
