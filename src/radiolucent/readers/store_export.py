"""Locked readings out: as annotations, as COCO (source pixels), and as one CSV row a reading."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from radiolucent.data import write_coco
from radiolucent.files import write_text
from radiolucent.readers.store import Store
from radiolucent.readers.store_values import UNASSESSED, Case, Final, Mark, Reading, Role
from radiolucent.tables import csv_text
from radiolucent.types import Annotation, Region

__all__ = ["COLUMNS", "annotations", "as_annotation", "consensus", "export", "readings_csv"]

COLUMNS = (
    "case,image,patient,truth,reader,finding,label,confidence,statement,boxes,polygons,types,seconds_blinded,locked,"
    "final_label,final_confidence,agree,why,seconds_revealed,finished,changed_mind"
).split(",")


def annotations(store: Store, reader: str | None = None, role: Role = "reader") -> list[Annotation]:
    """Every locked reading, of one reader or all with a role, as an `Annotation` in source pixels.

    Films that could not be assessed are left out: neither findings nor "no finding" was said of them.
    """
    return [
        as_annotation(case, name, reading)
        for case, name, reading, _ in store.locked(role)
        if reader in (None, name) and reading.label != UNASSESSED
    ]


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

    A cell that a spreadsheet would run as a formula begins with an apostrophe. The text begins with the mark of UTF-8,
    without which Excel takes it for another coding.
    """
    rows = [_row(*found) for found in store.locked() if reader in (None, found[1])]
    return "\ufeff" + csv_text(COLUMNS, rows, names={"case", "image", "patient", "reader"})


def _row(case: Case, name: str, reading: Reading, final: Final) -> list[object]:
    kinds = [m.kind for m in reading.marks]
    types = "; ".join(f"{m.type or '–'} {m.confidence or ''}".strip() for m in reading.marks if m.type or m.confidence)
    done = final.finished is not None
    return [
        *(case.id, case.image_id, case.patient_id or "", case.label or "", name),
        "" if reading.finding is None else int(reading.finding),
        *(reading.label, reading.confidence or "", reading.statement),
        *(kinds.count("box"), kinds.count("polygon"), types, f"{reading.seconds:.1f}", reading.locked),
        *(final.label or "", final.confidence or "", final.agree or "", final.why),
        *(f"{final.seconds:.1f}", final.finished or "", int(final.label != reading.label) if done else ""),
    ]


def export(store: Store, folder: Path, class_names: Sequence[str]) -> list[Path]:
    """Write `readings.csv` and `readings.coco.json` of all locked readings; give their paths.

    Where an adjudicator settled cases, `consensus.coco.json` holds what they locked, under the reader "adjudicated".
    """
    files = [folder / "readings.csv", folder / "readings.coco.json"]
    write_text(files[0], readings_csv(store))
    write_coco(annotations(store), files[1], categories=class_names)
    if settled := consensus(store):
        files.append(folder / "consensus.coco.json")
        write_coco(settled, files[2], categories=class_names)
    for file in files:
        file.chmod(0o600)
    return files


def consensus(store: Store) -> list[Annotation]:
    """What adjudicators settled, as annotations by "adjudicated"; of a case that several settled, the first's."""
    found: dict[str, Annotation] = {}
    for annotation in annotations(store, role="adjudicator"):
        found.setdefault(annotation.image_id, dataclasses.replace(annotation, reader="adjudicated"))
    return list(found.values())
