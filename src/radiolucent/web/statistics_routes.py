"""The statistics page and the exports: for the organiser, and for readers who have nothing left to be blinded to."""

import io
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from radiolucent.audits.agreement import Agreement
from radiolucent.data import write_coco
from radiolucent.figures import agreement_plot, method_name, to_png
from radiolucent.readers.store_export import annotations, readings_csv
from radiolucent.reports.phrasing import agreement_rows, between_name, interval, p_value, statement_rows, verdict_on
from radiolucent.web.ask import Guest, Study
from radiolucent.web.desk import Desk
from radiolucent.web.refused import Refused
from radiolucent.web.statistics import StudyStatistics, gather

__all__ = ["coco_text", "leading", "render_statistics", "router", "statistics_page"]

router = APIRouter()


def _cleared(who: Guest, desk: Study) -> str | None:
    """None for the organiser, who sees all; a reader's name once every case of theirs is finished.

    Raises:
        Refused: 403, because the page tells what the model and the others said.
    """
    if who.reader is None:
        return None
    if any(row.state != "finished" for row in desk.store.worklist(who.reader)):
        raise Refused(403, "blinded", "statistics and exports open when all your cases are finished.")
    return desk.store.readers()[who.reader]


Cleared = Annotated[str | None, Depends(_cleared)]


def coco_text(desk: Desk, reader: str | None) -> str:
    """Locked readings as COCO JSON in source pixels."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "readings.coco.json"
        write_coco(annotations(desk.store, reader), file, categories=desk.class_names)
        return file.read_text(encoding="utf-8")


def _environment() -> Environment:
    loader = PackageLoader("radiolucent.web")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"interval": interval, "method": method_name}
    return made


def statistics_page(desk: Desk) -> str:
    """The page as HTML."""
    return render_statistics(_gathered(desk), picture="/statistics/agreement.png")


def _gathered(desk: Desk) -> StudyStatistics:
    """What the page and its figure show; made anew when a reading was locked or finished."""
    state = desk.store.ask("SELECT count(*), max(id) FROM events WHERE what IN ('locked', 'finished')")[0]
    key = hash((state[0], state[1], len(list(desk.reveal.folder.iterdir()))))
    found = desk.statistics.get(key)
    if found is None:
        found = gather(desk)
        desk.statistics = {key: found}  # put in place at once: another thread may be asking
    return found


def render_statistics(found: StudyStatistics, *, style: str = "", picture: str) -> str:
    """The page; with `style`, as a file that needs no server."""
    values: dict[str, Any] = {"s": found, "verdict_on": verdict_on, "agreement_rows": agreement_rows}
    values |= {"between_name": between_name, "p_value": p_value, "statement_rows": statement_rows}
    template = _environment().get_template("statistics.html.jinja")
    return template.render(values | {"style": style, "picture": picture})


@router.get("/statistics")
def statistics(_: Cleared, desk: Study) -> Response:
    """Agreement between readers, and of readers with the model."""
    return HTMLResponse(statistics_page(desk))


@router.get("/statistics/agreement.png")
def picture(_: Cleared, desk: Study) -> Response:
    """Maps against readers, as a figure."""
    found = leading(_gathered(desk))
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
def export_csv(reader: Cleared, desk: Study) -> Response:
    """One row a locked reading: all for the organiser, their own for a reader."""
    return _download(readings_csv(desk.store, reader), "text/csv", "readings.csv")


@router.get("/export/readings.coco.json")
def export_coco(reader: Cleared, desk: Study) -> Response:
    """Locked readings as COCO."""
    text = coco_text(desk, reader)
    return _download(text, "application/json", "readings.coco.json")
