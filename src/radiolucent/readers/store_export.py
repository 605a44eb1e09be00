"""Locked readings out: as annotations, as COCO (source pixels), and as one CSV row a reading."""

from collections.abc import Sequence
from pathlib import Path

from radiolucent.data import write_coco
from radiolucent.files import write_text
from radiolucent.readers.store import Store
from radiolucent.readers.store_values import Case, Final, Mark, Reading
from radiolucent.tables import csv_text
from radiolucent.types import Annotation, Region

__all__ = ["COLUMNS", "annotations", "as_annotation", "export", "readings_csv"]

COLUMNS = (
    "case,image,patient,truth,reader,finding,label,confidence,statement,boxes,polygons,seconds_blinded,locked,"
    "final_label,final_confidence,agree,why,seconds_revealed,finished,changed_mind"
).split(",")


def annotations(store: Store, reader: str | None = None) -> list[Annotation]:
    """Every locked reading, of one reader or all, as an `Annotation` in source pixels."""
    return [as_annotation(case, name, reading) for case, name, reading, _ in store.locked() if reader in (None, name)]


def as_annotation(case: Case, name: str, reading: Reading) -> Annotation:
    """One reading as an `Annotation` in source pixels."""
    regions = tuple(_region(m) for m in reading.marks)
    words = (reading.label, name, reading.statement, bool(reading.finding))
    return Annotation(case.image_id, regions, *words, case.shape)


def _region(mark: Mark) -> Region:
    if mark.kind == "polygon":
        return Region.polygon(mark.points)
    (left, top), (right, bottom) = mark.points
    return Region.box(left, top, right - left, bottom - top)


def readings_csv(store: Store, reader: str | None = None) -> str:
    """One row a locked reading, of one reader or all.

    A cell that a spreadsheet would run as a formula begins with an apostrophe.
    """
    rows = [_row(case, name, *read) for case, name, *read in store.locked() if reader in (None, name)]
    return csv_text(COLUMNS, rows, names={"case", "image", "patient", "reader"})


def _row(case: Case, name: str, reading: Reading, final: Final) -> list[object]:
    kinds = [m.kind for m in reading.marks]
    done = final.finished is not None
    return [
        *(case.id, case.image_id, case.patient_id or "", case.label or "", name),
        *(int(bool(reading.finding)), reading.label, reading.confidence, reading.statement),
        *(kinds.count("box"), kinds.count("polygon"), f"{reading.seconds:.1f}", reading.locked),
        *(final.label or "", final.confidence or "", final.agree or "", final.why),
        *(f"{final.seconds:.1f}", final.finished or "", int(final.label != reading.label) if done else ""),
    ]


def export(store: Store, folder: Path, class_names: Sequence[str]) -> list[Path]:
    """Write `readings.csv` and `readings.coco.json` of all locked readings; give their paths."""
    table, coco = folder / "readings.csv", folder / "readings.coco.json"
    write_text(table, readings_csv(store))
    write_coco(annotations(store), coco, categories=class_names)
    return [table, coco]
