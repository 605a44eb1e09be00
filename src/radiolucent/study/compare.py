"""A finished run against doctors' readings of any films."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from radiolucent.audits.agreement import (
    Agreement,
    StatementAgreement,
    ZoneEnergy,
    statement_agreement,
    together,
)
from radiolucent.audits.agreement.measures import THRESHOLDS
from radiolucent.data import Dataset, LeftOut, Record, load_dataset, read_annotations
from radiolucent.data.annotations.match import fitting
from radiolucent.data.relabel import relabel
from radiolucent.data.trained_on import Seen, films_of_run
from radiolucent.errors import ConfigError, DataError
from radiolucent.explainers import METHODS, methods_named
from radiolucent.models import Classifier, load, predict
from radiolucent.readers.statistics import Completeness, completeness, finding_table
from radiolucent.study.doctors import TUNING_FILMS, between_readers, groups_of, measured
from radiolucent.study.maps import maps_of
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.zones import zones_of
from radiolucent.types import Estimate

__all__ = ["Comparison", "compare_run"]


@dataclass(frozen=True)
class Comparison:
    """Maps against markings, readers against each other, and words against places.

    Attributes:
        agreement: by method and then reading, in the order asked for.
        between: chance-corrected agreement of the readers, on diagnoses and on whether there is a finding.
        completeness: which of the films each reader read; None without a reading of the films compared.
        statements: words against markings and the first method's maps; None where no reading has words.
        left_out: (path, reason) of films and readings that were left out.
        seen: which of the films the run was trained or chosen on; None where it does not say.
        unseen: they were left out.
        zones: by method, the maps' energy over six lung zones.
    """

    agreement: tuple[Agreement, ...]
    between: Mapping[str, Estimate]
    statements: StatementAgreement | None
    left_out: tuple[tuple[Path, str], ...]
    seen: Seen | None = None
    completeness: Completeness | None = None
    unseen: bool = False
    zones: tuple[ZoneEnergy, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, laid out like `summary.json`."""
        found: dict[str, Any] = {}
        for a in self.agreement:
            if a.method in found:
                found[a.method]["readers"][a.reader] = a.as_dict()
            else:
                found[a.method] = {**a.as_dict(), "readers": {}}
        return {
            "agreement": found,
            "doctors": {
                "readings": self.completeness.as_dict() if self.completeness else None,
                "between": {name: e.as_dict() for name, e in self.between.items()},
                "statements": self.statements.as_dict() if self.statements else None,
            },
            "zones": {z.method: z.as_dict() for z in self.zones},
            "left_out": [{"file": str(p), "reason": r} for p, r in self.left_out],
            "trained_on": self.seen.as_dict(left_out=self.unseen) if self.seen else None,
        }


def compare_run(
    run: Path,
    data: Path,
    annotations: Path,
    methods: Sequence[str] = ("gradcam",),
    *,
    target: str | None = None,
    reader: str = "consensus",
    thresholds: Sequence[float] = THRESHOLDS,
    by: Sequence[str] = (),
    unseen: bool = False,
    asked: Mapping[str, Any] = MappingProxyType({}),
    folds: int = 10_000,
    seed: int = 0,
    say: Progress = quiet,
) -> Comparison:
    """Explain every film that has a reading, with all methods in one pass over the films, and compare.

    Where the films are the run's own, each method's threshold is tuned on its validation films with a marking (at most
    64, drawn by the seed), and those are not compared: no film is judged at a threshold that it chose.

    Args:
        reader: see `agreement`; "all" for the consensus, STAPLE, the union and each reader.
        by: kinds of groups to tell apart: "decision", "class", "etiology", "site"; size always is.
        asked: options of `read_annotations`, such as their format. A bad entry among them is left out with
            its reading and listed.
        unseen: leave out films that the run was trained or chosen on.

    Raises:
        ConfigError: an unknown method or kind of group. DataError: no film has a reading. AnnotationError: see
            `read_annotations`.
    """
    if not methods:
        raise ConfigError(f"no method; expected any of {', '.join(METHODS)}.")
    explainers = list(methods_named(methods).values())
    classifier, dataset = load(run), load_dataset(data)
    entries: list[LeftOut] = []
    readings = read_annotations(annotations, dataset=dataset, left_out=entries, **asked)
    wanted = {a.image_id for a in readings}
    every = [r for r in dataset.records if r.image_id in wanted]
    patients = {r.image_id: r.patient_id or r.image_id for r in every}
    tuning = _tuning(run, every, {a.image_id for a in readings if a.finding}, seed)
    chose = {r.image_id for r in tuning}
    records = [r for r in every if r.image_id not in chose]
    left: list[tuple[Path, str]] = [(item.path, item.reason) for item in entries]
    known = films_of_run(run)
    seen = known.among(records) if known else None
    if unseen and seen is None:
        raise DataError(f"{run}: has no split.csv, so what it was trained on is not known; leave unseen out.")
    if unseen and seen:
        records = [r for r in records if r.image_id not in seen.films]
        if not records:
            raise DataError(f"{data}: the run was trained or chosen on all {seen.of} of its films with a reading.")
    groups = _groups(classifier, dataset, wanted, by, left)
    goal = target or classifier.class_names[classifier.positive]
    shared: dict[str, Any] = {
        "patients": patients,
        "thresholds": thresholds,
        "by": groups,
        "folds": folds,
        "seed": seed,
    }
    common: dict[str, Any] = {"target": goal, "seed": seed, "left_out": left, "say": say}
    by_method = maps_of(classifier, records, explainers, **common)
    if not by_method[0]:
        raise DataError(f"{annotations}: none of its films could be read from {data}.")
    tuning_maps = maps_of(classifier, tuning, explainers, what="tuning thresholds", **common)
    shapes = {e.image_id: e.geometry.source_shape for maps in (*by_method[:1], *tuning_maps[:1]) for e in maps}
    misfits: list[LeftOut] = []
    readings = fitting(readings, shapes, annotations, misfits)
    left += [(item.path, item.reason) for item in misfits]
    found: list[Agreement] = []
    for maps, others in zip(by_method, tuning_maps, strict=True):
        found += measured(maps, others, readings, reader, **shared)
    words = statement_agreement(readings, by_method[0], patients=patients, folds=folds, seed=seed)
    names = classifier.class_names
    between = between_readers(readings, patients, names, names[classifier.positive], folds=folds, seed=seed)
    said = words if words.statements else None
    told = completeness(finding_table(readings)) if readings else None
    zones = zones_of(by_method, records, patients=patients, folds=folds, seed=seed, say=say)
    return Comparison(together(found), between, said, tuple(dict.fromkeys(left)), seen, told, unseen, zones)


def _tuning(run: Path, records: Sequence[Record], marked: set[str], seed: int) -> list[Record]:
    """Validation films of the run among these (found by their files, not their names), at most so many; none where
    nothing else would be left to compare."""
    file = (run if run.is_dir() else run.parent) / "split.csv"
    if not file.is_file():
        return []
    held = {r.path.resolve() for r in load_dataset(file).split("val").records}
    some = [r for r in records if r.image_id in marked and r.path.resolve() in held]
    if len(some) == sum(r.image_id in marked for r in records):
        return []
    return [some[k] for k in np.random.default_rng(seed).permutation(len(some))[:TUNING_FILMS]]


def _groups(
    classifier: Classifier, dataset: Dataset, wanted: set[str], by: Sequence[str], left: list[tuple[Path, str]]
) -> dict[str, dict[str, str]]:
    """The groups asked for; the network is only asked where they are."""
    asked = [kind for kind in by if kind != "size"]
    if not asked:
        return {}
    own = relabel(dataset, classifier.class_names)
    records = [r for r in own.records if r.image_id in wanted]
    found = predict(classifier, records, left_out=left)
    at = {r.image_id: r for r in records}
    columns = {k: tuple(getattr(at[i], k) or "" for i in found.image_ids) for k in ("etiology", "site")}
    known = groups_of(dataclasses.replace(found, groups=columns))
    names = {r.image_id: own.class_names[r.label] for r in records if r.label is not None}
    known = {"class": names, **known}
    if unknown := [kind for kind in asked if kind not in known]:
        raise ConfigError(f"--by {', '.join(unknown)}; these films can be told apart by {', '.join(known)}, size.")
    return {kind: known[kind] for kind in asked}
