"""A finished run against doctors' readings of any films."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from radiolucent.audits.agreement.measures import THRESHOLDS, check_thresholds
from radiolucent.data import Dataset, LeftOut, Record, load_dataset, read_annotations
from radiolucent.data.annotations.match import fitting
from radiolucent.data.multilabel import LabelOptions, of_label
from radiolucent.data.records import NOTED
from radiolucent.data.relabel import relabel
from radiolucent.data.trained_on import Seen, films_of_run
from radiolucent.errors import ConfigError, DataError
from radiolucent.explainers import METHODS, Explainer, NoMap, methods_named
from radiolucent.files import real_path
from radiolucent.models import Classifier, load, predict
from radiolucent.readers.statistics import Completeness, completeness, finding_table
from radiolucent.study.doctors import TUNING_FILMS, between_readers, groups_of, measured
from radiolucent.study.label_readings import other_names, readings_of_label
from radiolucent.study.lung_zones import zones_of
from radiolucent.study.maps import maps_of, methods_without
from radiolucent.study.progress import Progress, quiet
from radiolucent.types import Annotation, Estimate

__all__ = ["Comparison", "compare_labels", "compare_run"]


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
        methods_left_out: (method, reason) of methods that gave no map of some films, or of any.
    """

    agreement: tuple[Agreement, ...]
    between: Mapping[str, Estimate]
    statements: StatementAgreement | None
    left_out: tuple[tuple[Path, str], ...]
    seen: Seen | None = None
    completeness: Completeness | None = None
    unseen: bool = False
    zones: tuple[ZoneEnergy, ...] = ()
    methods_left_out: tuple[tuple[str, str], ...] = ()

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
            "methods_left_out": [{"method": m, "reason": r} for m, r in self.methods_left_out],
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
        ConfigError: an unknown method or kind of group, or thresholds that name no figure. DataError: no film has a
            reading. AnnotationError: see `read_annotations`. ExplainError: no method gives a map of any film.
    """
    check_thresholds(thresholds)
    explainers = _explainers(methods)
    classifier = load(run)
    dataset = load_dataset(data, known=classifier.class_names)
    if classifier.multilabel:
        raise ConfigError(f"{run}: tells several labels ({', '.join(classifier.class_names)}); use compare_labels().")
    entries: list[LeftOut] = []
    readings = read_annotations(annotations, dataset=dataset, left_out=entries, **asked)
    left: list[tuple[Path, str]] = [(item.path, item.reason) for item in entries]
    films = _Films(run, data, annotations, dataset, unseen)
    options: dict[str, Any] = {"target": target, "reader": reader, "thresholds": thresholds, "by": by}
    return _compared(classifier, films, readings, explainers, left, say, folds=folds, seed=seed, **options)


def compare_labels(
    run: Path,
    data: Path,
    annotations: Path,
    methods: Sequence[str] = ("gradcam",),
    *,
    targets: Sequence[str] = (),
    reader: str = "consensus",
    thresholds: Sequence[float] = THRESHOLDS,
    by: Sequence[str] = (),
    unseen: bool = False,
    asked: Mapping[str, Any] = MappingProxyType({}),
    folds: int = 10_000,
    seed: int = 0,
    say: Progress = quiet,
) -> dict[str, Comparison]:
    """`compare_run` of a multi-label run, by label: each label's maps against what readers marked and called so.

    A region counts for the label that has its name, without regard to case. A label that no reader uses is left out,
    unless `targets` names it.

    Args:
        targets: labels; all unless given. Others: see `compare_run`.

    Raises:
        ConfigError, DataError: see `compare_run`; no reading names any of the labels.
    """
    check_thresholds(thresholds)
    explainers = _explainers(methods)
    classifier = load(run)
    names = [classifier.class_names[classifier.index_of(t)] for t in targets] or list(classifier.class_names)
    dataset = load_dataset(data, labels=LabelOptions(classifier.class_names, lenient=True))
    entries: list[LeftOut] = []
    readings = read_annotations(annotations, dataset=dataset, left_out=entries, **asked)
    left: list[tuple[Path, str]] = [(item.path, item.reason) for item in entries]
    found: dict[str, Comparison] = {}
    silent: list[str] = []
    for name in names:
        said = readings_of_label(readings, name)
        if not said:
            silent.append(name)
            continue
        one = of_label(dataset, name) if dataset.multilabel else dataset
        films = _Films(run, data, annotations, one, unseen)
        options: dict[str, Any] = {"target": name, "reader": reader, "thresholds": thresholds, "by": by}
        tell = partial(_say_of, name, say)
        own = list(left)
        found[name] = _compared(
            classifier.of_label(name), films, said, explainers, own, tell, folds=folds, seed=seed, **options
        )  # fmt: skip
    used = ", ".join(dict.fromkeys(a.label for a in readings if a.label and a.finding)) or "none"
    if silent and (targets or not found):
        raise DataError(
            f"{annotations}: no reading names {', '.join(silent)}; readers name {used}. A reading is compared with the "
            "label of its name."
        )
    notes = _notes_of(annotations, silent, readings, classifier.class_names)
    return {name: replace(c, left_out=(*c.left_out, *notes)) for name, c in found.items()}


def _say_of(label: str, say: Progress, stage: str, done: int, total: int) -> None:
    say(f"{label}: {stage}", done, total)


def _notes_of(
    file: Path, silent: Sequence[str], readings: Sequence[Annotation], labels: Sequence[str]
) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    if silent:
        found.append((file, f"{NOTED}no reading names {', '.join(silent)}: not compared"))
    if others := other_names(readings, labels):
        named = ", ".join(f"{name} ({count})" for name, count in others.items())
        found.append((file, f"{NOTED}readings of {named} are of none of the labels, and are compared with no map"))
    return found


def _explainers(methods: Sequence[str]) -> list[Explainer]:
    if not methods:
        raise ConfigError(f"no method; expected any of {', '.join(METHODS)}.")
    return list(methods_named(methods).values())


@dataclass(frozen=True)
class _Films:
    """What is compared: the run, its films, and where the readings came from."""

    run: Path
    data: Path
    annotations: Path
    dataset: Dataset
    unseen: bool


def _compared(
    classifier: Classifier,
    films: _Films,
    readings: Sequence[Annotation],
    explainers: Sequence[Explainer],
    left: list[tuple[Path, str]],
    say: Progress,
    *,
    target: str | None,
    reader: str,
    thresholds: Sequence[float],
    by: Sequence[str],
    folds: int,
    seed: int,
) -> Comparison:
    """One classifier's maps against readings."""
    run, data, annotations = films.run, films.data, films.annotations
    dataset, unseen = films.dataset, films.unseen
    wanted = {a.image_id for a in readings}
    every = [r for r in dataset.records if r.image_id in wanted]
    patients = {r.image_id: r.patient_id or r.image_id for r in every}
    tuning = _tuning(run, every, {a.image_id for a in readings if a.finding}, seed)
    chose = {r.image_id for r in tuning}
    records = [r for r in every if r.image_id not in chose]
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
    no_map: list[NoMap] = []
    by_method = maps_of(classifier, records, explainers, no_map=no_map, **common)
    some = [m for m, maps in zip(explainers, by_method, strict=True) if maps]
    by_method = [maps for maps in by_method if maps]
    if not by_method:
        why = f" {left[0][1]}" if left else ""
        raise DataError(f"{annotations}: no film of {data} with a reading is left to compare.{why}")
    tuning_maps = maps_of(classifier, tuning, some, what="tuning thresholds", no_map=no_map, **common)
    shapes = {e.image_id: e.geometry.source_shape for maps in (*by_method, *tuning_maps) for e in maps}
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
    every_left, without = tuple(dict.fromkeys(left)), methods_without(no_map)
    return Comparison(together(found), between, said, every_left, seen, told, unseen, zones, without)


def _tuning(run: Path, records: Sequence[Record], marked: set[str], seed: int) -> list[Record]:
    """Validation films of the run among these (found by their files, not their names), at most so many; none where
    nothing else would be left to compare."""
    file = (run if run.is_dir() else run.parent) / "split.csv"
    if not file.is_file():
        return []
    held = {real_path(r.path) for r in load_dataset(file).split("val").records}
    some = [r for r in records if r.image_id in marked and real_path(r.path) in held]
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
