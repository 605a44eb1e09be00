"""Whose films they are: by the headers of DICOM films too, so that no patient stands on both sides of a split."""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from radiolucent.data.label_cells import name_text
from radiolucent.data.records import Dataset
from radiolucent.images import header_patient
from radiolucent.shown import counted

__all__ = ["names_nobody", "with_header_patients"]

MOST = 10
"""Films that may be one patient's where no other DICOM film names another."""

_NOBODY = re.compile(
    r"anon([iy]m[a-z]*)?|no ?name|unknown|none|n/?a|null|removed|deleted|redacted|x{2,}|[_. *?-]+", re.IGNORECASE
)


def names_nobody(identifier: str) -> bool:
    """Whether it stands where a patient's identifier was taken out, or is not known.

    >>> names_nobody("ANONYMIZED"), names_nobody("Unknown"), names_nobody("anon12"), names_nobody("Anona")
    (True, True, False, False)
    """
    return bool(_NOBODY.fullmatch(identifier))


def with_header_patients(dataset: Dataset, *, over_folders: bool) -> Dataset:
    """The data set with the patients that DICOM headers name (PatientID), which a note counts.

    They hold where no other patient is known. An identifier that stands for nobody, or for all of more than ten DICOM
    films, names no patient. Where two issuers (IssuerOfPatientID) give one identifier, these are two patients.

    Where a manifest names the patient of some films of an identifier, its others are this patient's too; so are films
    that name nobody, in a folder whose other films name one patient.

    Args:
        over_folders: they also hold where a folder was taken for the patient: it may be one of several studies. Not
            where each film has an identifier of its own, as some programs write that take the names out.
    """
    known = {r.image_id: r.patient_id for r in dataset.records if r.patient_id}
    if not over_folders and len(known) == len(dataset.records):
        return dataset
    said = {r.image_id: found for r in dataset.records if (found := _said(r.path))}
    ids = Counter(name for name, _ in said.values())
    notes: list[str] = []
    if len(ids) == 1 and len(said) > MOST:
        notes.append(f"the DICOM headers of all {len(said)} films name one patient: not believed")
        said = {}
    grouped = len({known[film] for film in said if film in known})
    if not said or (over_folders and 0 < grouped < len(said) == len(ids)):
        return dataclasses.replace(dataset, notes=(*dataset.notes, *notes))
    called = _apart(said, notes)
    if over_folders:
        folders = _groups((folder, called[film]) for film, folder in known.items() if film in called)
        called |= {f: next(iter(folders[p])) for f, p in known.items() if f not in called and len(folders[p]) == 1}
        torn = sum(len(some) > 1 for some in _groups((called[f], p) for f, p in known.items() if f in called).values())
        notes += [f"{torn} patients have films in several folders below a class"] if torn else []
    else:
        given = _groups((called[film], patient) for film, patient in known.items() if film in called)
        called = {f: next(iter(given[p])) if len(given[p]) == 1 else p for f, p in called.items() if f not in known}
    if called:
        who = f"{counted(len(called), 'film')} of {counted(len(set(called.values())), 'patient')}"
        notes.insert(0, f"{who}, by DICOM headers (PatientID)")
    records = tuple(dataclasses.replace(r, patient_id=called.get(r.image_id, r.patient_id)) for r in dataset.records)
    return dataclasses.replace(dataset, records=records, notes=(*dataset.notes, *notes))


def _groups(pairs: Iterable[tuple[str, str]]) -> Mapping[str, set[str]]:
    """All that goes with each first of the pairs."""
    found: dict[str, set[str]] = defaultdict(set)
    for one, other in pairs:
        found[one].add(other)
    return found


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
    several = {name for name, some in issuers.items() if len(some) > 1}
    if several:
        notes.append(
            f"{len(several)} patient identifiers come from several issuers (IssuerOfPatientID) "
            "and are different patients"
        )
    return {film: f"{name} ({issuer})" if name in several and issuer else name for film, (name, issuer) in said.items()}
