"""Whose films they are: by the headers of DICOM films too, so that no patient stands on both sides of a split."""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from radiolucent.data.label_cells import name_text
from radiolucent.data.records import Dataset, Record
from radiolucent.images import header_patient

__all__ = ["names_nobody", "with_header_patients"]

_NOBODY = re.compile(r"anon\w*|no ?name|unknown|none|n/?a|null|removed|deleted|redacted|x{2,}|[_. *?-]+", re.IGNORECASE)


def names_nobody(identifier: str) -> bool:
    """Whether it stands where a patient's identifier was taken out, or is not known.

    >>> names_nobody("ANONYMIZED"), names_nobody("Unknown"), names_nobody("000"), names_nobody("x")
    (True, True, False, False)
    """
    return bool(_NOBODY.fullmatch(identifier))


def with_header_patients(dataset: Dataset, *, over_folders: bool) -> Dataset:
    """The data set with the patients that DICOM headers name (PatientID), which a note counts.

    They hold where no other patient is known. An identifier that stands for nobody, or for all of several films, names
    no patient. Where two issuers (IssuerOfPatientID) give one identifier, these are two patients.

    Args:
        over_folders: they also hold where a folder was taken for the patient: it may be one of several studies. Not
            where each film has an identifier of its own, as some programs write that take the names out.
    """
    asked = [r for r in dataset.records if over_folders or r.patient_id is None]
    said = {r.image_id: found for r in asked if (found := _said(r.path))}
    ids = Counter(name for name, _ in said.values())
    notes: list[str] = []
    if len(ids) == 1 and len(said) > 1:
        notes.append(f"the DICOM headers of all {len(said)} films name one patient, {next(iter(ids))!r}: not believed")
        said = {}
    grouped = len({r.patient_id for r in asked if r.image_id in said and r.patient_id})
    if not said or (0 < grouped < len(said) == len(ids)):
        return dataclasses.replace(dataset, notes=(*dataset.notes, *notes))
    called = _apart(said, notes)
    records = tuple(
        dataclasses.replace(r, patient_id=called[r.image_id]) if r.image_id in called else r for r in dataset.records
    )
    notes.insert(0, f"{len(said)} films of {len(set(called.values()))} patients, by their DICOM headers (PatientID)")
    notes += _torn_folders(asked, called)
    return dataclasses.replace(dataset, records=records, notes=(*dataset.notes, *notes))


def _said(file: Path) -> tuple[str, str] | None:
    """(PatientID, IssuerOfPatientID or "") of a DICOM film; None where it names nobody."""
    name, issuer = header_patient(file) or ("", "")
    name = name_text(name)
    return None if not name or names_nobody(name) else (name, issuer)


def _apart(said: dict[str, tuple[str, str]], notes: list[str]) -> dict[str, str]:
    """Each film's patient: the identifier, with its issuer where several issuers gave it."""
    issuers: dict[str, set[str]] = defaultdict(set)
    for name, issuer in said.values():
        issuers[name] |= {issuer} - {""}
    several = sorted(name for name, some in issuers.items() if len(some) > 1)
    if several:
        notes.append(
            f"{len(several)} patient identifiers, such as {several[0]}, come from several issuers (IssuerOfPatientID) "
            "and are different patients"
        )
    return {film: f"{name} ({issuer})" if name in several and issuer else name for film, (name, issuer) in said.items()}


def _torn_folders(asked: Sequence[Record], called: dict[str, str]) -> list[str]:
    """A note where a patient has films in several folders that were taken for patients."""
    folders: dict[str, set[str]] = defaultdict(set)
    for r in asked:
        if r.patient_id and r.image_id in called:
            folders[called[r.image_id]].add(r.patient_id)
    torn = sum(len(some) > 1 for some in folders.values())
    return [f"{torn} patients have films in several folders below a class"] if torn else []
