"""Doctors beside the model: maps against markings, words against places, calls against calls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.audits.agreement import (
    Agreement,
    agreement,
    agreements,
    reader_calls,
    statement_agreement,
    together,
    tune_threshold,
)
from radiolucent.data import read_annotations
from radiolucent.data.annotations.match import fitting
from radiolucent.errors import DataError, ExplainError
from radiolucent.explainers import Explainer, NoMap
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.lime import LIME
from radiolucent.models import Classifier
from radiolucent.readers.statistics import (
    Table,
    between,
    completeness,
    diagnosis_table,
    finding_table,
    krippendorff_alpha,
    of_finding,
    readers_against,
    zone_table,
)
from radiolucent.reports import Doctors
from radiolucent.study.config import StudyConfig
from radiolucent.study.maps import maps_of
from radiolucent.study.prepared import Prepared
from radiolucent.study.progress import Progress
from radiolucent.types import Annotation, Estimate, Explanation, Predictions

__all__ = ["Compared", "between_readers", "compare_test_films", "doctors", "groups_of", "measured", "read_readings"]

TUNING_FILMS = 64  # at most so many validation films choose a map's threshold

Compared = tuple[tuple[Agreement, ...], tuple[Explanation, ...]]
"""Agreements, and the maps of the leading method."""


def read_readings(config: StudyConfig, prepared: Prepared) -> list[Annotation]:
    """The doctors' readings, matched to all films of the data set: also those that turned out to be damaged.

    A bad entry is left out with its reading and listed in `prepared.left_out`.
    """
    if config.annotations is None:
        return []
    dataset = config.load()
    prepared.readings_left.clear()
    left, cache = prepared.readings_left, prepared.cache
    found = read_annotations(config.annotations, dataset=dataset, left_out=left, **config.annotation_options)
    shapes = {r.image_id: (int(h), int(w)) for r, (h, w) in zip(cache.records, cache.shapes, strict=True)}
    return fitting(found, shapes, config.annotations, left)


def _maps(
    prepared: Prepared, clf: Classifier, ids: Sequence[str], methods: Sequence[Explainer], seed: int, say: Progress,
    what: str, no_map: list[NoMap],
) -> list[list[Explanation]]:  # fmt: skip
    records = {r.image_id: r for r in prepared.dataset.records}
    left: list[tuple[Path, str]] = []
    target = clf.class_names[clf.positive]
    some = [records[i] for i in ids]
    options: dict[str, Any] = {"target": target, "seed": seed, "left_out": left, "say": say, "what": what}
    try:
        found = maps_of(clf, some, methods, no_map=no_map, **options)
    except ExplainError:  # the study goes on without maps; `no_map` says why there are none
        return [[] for _ in methods]
    if left:  # they were readable when the data set was prepared
        raise DataError(f"{left[0][0]}: {left[0][1]}; the films changed meanwhile, run the command again.")
    return found


def groups_of(p: Predictions) -> dict[str, dict[str, str]]:
    """Groups of films that agreement is told apart by: the decision, the labelled class, and other known columns."""
    labelled = [int(v) >= 0 for v in p.labels] if p.labels.ndim == 1 else [True] * len(p)
    right = p.called == p.truth
    decision = {
        n: "right" if ok else "wrong" for n, ok, known in zip(p.image_ids, right, labelled, strict=True) if known
    }
    found = {"decision": decision}
    if p.labels.ndim == 1 and len(p.class_names) > 2:
        found["class"] = {n: p.class_names[int(v)] for n, v in zip(p.image_ids, p.labels, strict=True) if v >= 0}
    for kind in ("etiology", "site"):
        column = p.groups.get(kind, ())
        named = {n: v for n, v in zip(p.image_ids, column, strict=False) if v}
        if len(set(named.values())) > 1:
            found[kind] = named
    return found


def compare_test_films(
    config: StudyConfig,
    prepared: Prepared,
    clf: Classifier,
    p: Predictions,
    validation: Predictions,
    readings: Sequence[Annotation],
    no_map: list[NoMap],
    say: Progress,
) -> Compared:
    """Grad-CAM on every test film with a reading, LIME on a seeded sample of those with a finding, in one pass of both.

    Grad-CAM is compared with every reader, the consensus first. The threshold of each is tuned on validation films.
    `compare_run` asks other questions of other films (any methods, any reading, any folder, no split of its own); what
    both measure, and how, is `measured`.

    Args:
        no_map: gets the films of which a method gives no map.
    """
    read_ids, marked = {a.image_id for a in readings}, {a.image_id for a in readings if a.finding}
    ids = [i for i in p.image_ids if i in read_ids]
    if not ids:
        return (), ()
    rng = np.random.default_rng(config.seed)
    pool = [i for i in ids if i in marked]
    few = [pool[k] for k in rng.permutation(len(pool))[: config.compare_films]]
    others = [i for i in validation.image_ids if i in marked]
    tuning = [others[k] for k in rng.permutation(len(others))[:TUNING_FILMS]]
    patients = dict(zip(p.image_ids, p.patient_ids, strict=True))
    options: dict[str, Any] = {"patients": patients, "folds": config.folds, "seed": config.seed, "by": groups_of(p)}
    gradcam, lime = GradCAM(), LIME(num_samples=config.lime_samples)

    def maps_of_both(some: Sequence[str], rest: Sequence[str], what: str) -> list[list[Explanation]]:
        """Grad-CAM of all films, LIME of some: it asks the network hundreds of times a film."""
        both = _maps(prepared, clf, some, [gradcam, lime], config.seed, say, f"{what} gradcam and lime", no_map)
        more = _maps(prepared, clf, rest, [gradcam], config.seed, say, f"{what} gradcam", no_map)
        return [both[0] + more[0], both[1]]

    both = min(config.compare_films, len(tuning)) if few else 0
    tuning_maps = maps_of_both(tuning[:both], tuning[both:], "tuning the thresholds of")
    maps, views = maps_of_both(few, [i for i in ids if i not in set(few)], "comparing with doctors:")
    at = {name: k for k, name in enumerate(ids)}
    maps.sort(key=lambda e: at[e.image_id])
    found = measured(maps, tuning_maps[0], readings, "all", **options) if maps else []
    if views:
        found += measured(views, tuning_maps[1], readings, "consensus", **options)
    return together(found), tuple(maps)


def measured(
    maps: Sequence[Explanation],
    tuning: Sequence[Explanation],
    readings: Sequence[Annotation],
    reader: str,
    **options: Any,
) -> list[Agreement]:
    """One method's maps against readings, at a map threshold tuned on the maps of other films.

    Args:
        reader: see `agreement`; "all" for the consensus, STAPLE, the union and each reader.
        options: of `agreement`.
    """
    best = tune_threshold(tuning, readings)
    options["tuned"] = best.threshold if best else None
    if reader == "all":
        return list(agreements(maps, readings, **options))
    return [agreement(maps, readings, reader=reader, **options)]


def doctors(
    config: StudyConfig, p: Predictions, readings: Sequence[Annotation], maps: Sequence[Explanation]
) -> Doctors | None:
    """Calls, agreement between readers, and statements, on the test films; None without a reading of any."""
    known = set(p.image_ids)
    own = [a for a in readings if a.image_id in known]
    if not own:
        return None
    patients = dict(zip(p.image_ids, p.patient_ids, strict=True))
    options: dict[str, Any] = {"folds": config.folds, "seed": config.seed}
    table = finding_table(own, p.class_names, p.class_names[p.positive])
    words = statement_agreement(own, maps, patients=patients, **options)
    against = _against(p, table)
    return Doctors(
        readers=table.readers,
        films=len(table.films),
        calls=reader_calls(p, own, **options) if (p.labels >= 0).any() else (),
        between=between_readers(own, patients, p.class_names, p.class_names[p.positive], **options),
        statements=words if words.statements else None,
        completeness=completeness(table),
        against=against[0] if against else None,
        against_p=against[1] if against else None,
    )


def between_readers(
    readings: Sequence[Annotation],
    patients: Mapping[str, str],
    classes: Sequence[str] = (),
    positive: str = "",
    *,
    folds: int,
    seed: int,
) -> dict[str, Estimate]:
    """Chance-corrected agreement of the readers with each other, by name; empty for a single reader.

    Of their diagnoses (`krippendorff_alpha`, …), of whether they found anything (`krippendorff_alpha finding`, …), and
    of zone scores; what no reader gave is left out.

    Args:
        classes, positive: of the model, for readings whose finding says the diagnosis (`diagnosis_table`).
    """
    options: dict[str, Any] = {"folds": folds, "seed": seed}
    given = diagnosis_table(readings, classes, positive)
    found: dict[str, Estimate] = {}
    if given:
        found = between(given[0], patients, categories=[float(i) for i in range(len(given[1]))], **options)
    found |= of_finding(between(finding_table(readings), patients, **options))
    if found and any(r.kind == "zone" for a in readings for r in a.regions):
        zones = zone_table(readings)
        groups = [patients.get(f, f) for f in zones.films]
        found["krippendorff_alpha zone scores"] = krippendorff_alpha(
            zones.values, "ordinal", groups=groups, folds=folds, seed=seed
        )
    return found


def _against(p: Predictions, table: Table) -> tuple[Estimate, float | None] | None:
    """The readers' mean AUROC of a yes-or-no call less the model's own, on labelled films that all of them read.

    Its note says how many films that leaves out.
    """
    at = {name: i for i, name in enumerate(p.image_ids)}
    labels = p.labels if p.labels.ndim == 1 else p.labels[:, p.positive]
    kept = [
        k for k, f in enumerate(table.films) if f in at and labels[at[f]] >= 0 and np.isfinite(table.values[:, k]).all()
    ]
    index = np.array([at[table.films[k]] for k in kept], int)
    truth = p.truth[index]
    patients = [p.patient_ids[i] for i in index]
    ill = {g for g, t in zip(patients, truth, strict=True) if t}
    well = {g for g, t in zip(patients, truth, strict=True) if not t}
    if len(table.readers) < 2 or min(len(ill), len(well)) < 2:
        return None
    gap, chance = readers_against(truth, table.values[:, kept], p.called[index].astype(float), groups=patients)
    told = completeness(table, [f for f in table.films if f in at and labels[at[f]] >= 0])
    return replace(gap, note="; ".join(filter(None, (gap.note, told.words)))), chance
