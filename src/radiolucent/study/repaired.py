"""Repair and recheck: train again so that the shortcut cannot pay, audit again, and say what it cost."""

import dataclasses
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.audits.trial import Audit, deciding, examine, maskers
from radiolucent.data import Dataset, Record, build_cache, read_annotations
from radiolucent.errors import ConfigError, DataError
from radiolucent.files import sha256_bytes, write_json
from radiolucent.images import reading
from radiolucent.metrics import evaluate
from radiolucent.models import Classifier, WeightsReport, build, load, predict
from radiolucent.study.config import StudyConfig
from radiolucent.study.paired_differences import FIGURES, Costs, costs
from radiolucent.study.prepared import Prepared, prepare, splits_in
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.region_masks import find_layers
from radiolucent.study.remedies import (
    AUTO,
    BEFORE,
    EXCHANGED,
    REMEDIES,
    Plan,
    best_of,
    followed,
    named,
    validation_row,
    windowed,
)  # fmt: skip
from radiolucent.study.repair_config import RepairConfig
from radiolucent.study.repair_settings import same_settings, settings_of
from radiolucent.study.trained import Schooling, train
from radiolucent.types import Annotation, Estimate, Finding, Predictions, Verdict

__all__ = ["BEFORE", "Repair", "RepairConfig", "Repaired", "repair"]

SHORTER, SLOWER = 4, 5
"""Fine-tuning takes the recipe's epochs and learning rate divided by these."""


@dataclass(frozen=True)
class Repaired:
    """One model before or after a repair, on the same test films.

    Attributes:
        method: its name, or `BEFORE`. title, does: in words. verdict, headline: the audit's.
        estimates: auroc, sensitivity, specificity. costs: of each, repaired less unrepaired, paired; empty before.
        tests: the audit's findings on shortcuts by name. model: its folder. seconds: of training and of the audit.
    """

    method: str
    title: str
    does: str
    verdict: Verdict
    headline: str
    estimates: Mapping[str, Estimate]
    costs: Costs
    tests: Mapping[str, Finding]
    model: str
    seconds: Mapping[str, float]

    @property
    def failing(self) -> list[str]:
        """Tests on shortcuts that fail."""
        return [name for name, f in self.tests.items() if f.verdict == "fail"]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = ("method", "title", "does", "verdict", "headline", "model")
        tests = {
            name: {"verdict": f.verdict, "threshold": f.threshold, "estimate": f.estimate and f.estimate.as_dict()}
            for name, f in self.tests.items()
        }
        return {k: getattr(self, k) for k in plain} | {
            **{name: e.as_dict() for name, e in self.estimates.items()},
            "costs": {name: e.as_dict() for name, e in self.costs.items()},
            "failing": self.failing,
            "tests": tests,
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True)
class Repair:
    """What came of it: the model as it is, then one row a method; masks: what made them.

    chosen_by: of "auto", by candidate or by strength of a penalty, on validation films its reasons score, its AUROC and
    the channels that it follows, or why it could not be tried; of those kept, "kept".
    """

    config: RepairConfig
    rows: tuple[Repaired, ...]
    films: int
    patients: int
    masks: str
    chosen_by: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict[str, Mapping[str, Any]])

    @property
    def lead(self) -> str | None:
        """The test that the unrepaired model fails furthest beyond its threshold."""
        tests = self.rows[0].tests
        failing = sorted(self.rows[0].failing, key=lambda name: -tests[name].severity)
        return failing[0] if failing else None

    @property
    def mended(self) -> list[Repaired]:
        """Repaired models that pass, the least costly in AUROC first."""
        passed = [r for r in self.rows[1:] if r.verdict == "pass"]
        return sorted(passed, key=lambda r: -(r.costs["auroc"].value or 0.0))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; the form of `repair.json`."""
        values = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self.config).items()}
        return {
            "schema": 1,
            "config": values,
            "films": self.films,
            "patients": self.patients,
            "masks": self.masks,
            "lead": self.lead,
            "mended": [r.method for r in self.mended],
            "chosen_by": dict(self.chosen_by),
            "rows": [r.as_dict() for r in self.rows],
        }


@dataclass(frozen=True, eq=False)
class _Made:
    """A repaired classifier, what was decided on the way, and the seconds it took."""

    classifier: Classifier
    told: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class _Bench:
    """What all methods share.

    made, looked, strengths: models, audits and chosen λ so far. tried: what was chosen among, and by what.
    """

    config: RepairConfig
    study: StudyConfig
    before: Classifier
    prepared: Prepared
    annotations: Sequence[Annotation]
    tested: tuple[Record, ...]
    say: Progress

    made: dict[Path, _Made] = dataclasses.field(default_factory=dict[Path, _Made])
    looked: dict[str, Audit] = dataclasses.field(default_factory=dict[str, Audit])
    strengths: dict[str, float] = dataclasses.field(default_factory=dict[str, float])
    tried: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict[str, dict[str, Any]])

    def seen(self, name: str) -> Audit:
        """What discovery and the reasons score say of a model on the validation films; no test film is looked at."""
        if name not in self.looked:
            classifier = self.before if name == BEFORE else _mended(self, name).classifier
            self.looked[name] = _on_validation(self, classifier, name)
        return self.looked[name]

    def channels(self, name: str) -> tuple[str, ...]:
        """Of `CHANNELS`, what validation films show that a model follows, the gravest alone: the unrepaired one, or,
        where the method asks for the "others", that which its other remedies give."""
        parts = name.split("+")
        asks = {REMEDIES[n].discovers for n in parts}
        others = "+".join(n for n in parts if not REMEDIES[n].discovers) if "others" in asks else ""
        return followed(self.seen(others or BEFORE).findings)[:EXCHANGED] if asks != {""} else ()


def repair(config: RepairConfig, say: Progress = quiet) -> Repair:
    """Train again by each method, audit again, and hold every model against the unrepaired one on the same test films.

    Each model lies in its own folder and can be used like a run; a finished one is not made again. Interrupted, the
    same call goes on. Epoch, threshold and temperature are chosen on validation films that are changed like the
    training films; the test films are as they are.

    Raises:
        ConfigError: the run has no `study.json`, or deals these films otherwise than it did.
    """
    with _study(config).reads() as study:
        return _repair(config, study, say)


def _repair(config: RepairConfig, study: StudyConfig, say: Progress) -> Repair:
    bench = _bench(config, study, say)
    before_predictions = _predicted(bench, bench.before, "as it is")
    rows = [_row(bench, BEFORE, bench.before, before_predictions, None, _Made(bench.before, (), 0.0))]
    for name in [_chosen(bench)] if config.methods == ("auto",) else config.methods:
        made = _mended(bench, name)
        rows.append(
            _row(bench, name, made.classifier, _predicted(bench, made.classifier, name), before_predictions, made)
        )
    patients = len({r.patient_id or r.image_id for r in bench.tested})
    found = Repair(
        config, tuple(rows), len(bench.tested), patients, maskers(config.lungs, config.markers)[2], bench.tried
    )
    write_json(config.home / "repair.json", found.as_dict())
    return found


def _study(config: RepairConfig) -> StudyConfig:
    """The run's study on the films given; they are read as in training, unless the options in force say otherwise."""
    file = config.run / "study.json"
    if not file.is_file():
        raise ConfigError(
            f"{config.run}: no study.json there; give a folder that `radiolucent study` or `train` wrote."
        )
    values = {**json.loads(file.read_text()), "data": str(config.data), "out": str(config.home)}
    found = StudyConfig.from_dict(values)
    return dataclasses.replace(found, film_options=reading()) if reading().pixels_key() else found


def _bench(config: RepairConfig, study: StudyConfig, say: Progress) -> _Bench:
    before = load(config.run)
    if before.multilabel:
        raise ConfigError(
            f"{config.run}: tells several labels ({', '.join(before.class_names)}), and a repair is of two classes. "
            f"Audit a label (--target {before.class_names[0]}); to repair it, train it alone: --classes "
            f"{before.class_names[0]!r}."
        )
    prepared = prepare(study, before.preprocess, say)
    _same_split(config.run / "split.csv", config.home / "split.csv")
    left = prepared.readings_left
    annotations = (
        read_annotations(config.annotations, dataset=prepared.dataset, left_out=left, **config.annotation_options)
        if config.annotations
        else []
    )
    tested = tuple(prepared.cache.records[i] for i in prepared.rows("test"))
    if config.films is not None and config.films < len(tested):
        chosen = np.random.default_rng([config.seed, 71]).permutation(len(tested))[: config.films]
        tested = tuple(tested[i] for i in sorted(chosen))
    return _Bench(config, study, before, prepared, annotations, tested, say)


def _same_split(there: Path, here: Path) -> None:
    """Refuse films that the run had in another split: its test films must not be trained on, nor the reverse."""
    if not there.is_file() or there.read_bytes() == here.read_bytes():
        return
    old, new = splits_in(there), splits_in(here)  # by identifier: the data may lie elsewhere now
    moved = [name for name, split in new.items() if old.get(name, split) != split]
    if moved or not old.keys() & new.keys():
        raise ConfigError(
            f"{len(moved) or len(new)} films (e.g. {(moved or list(new) or ['none'])[0]}) are in another split than in "
            f"{there}, or in none there; give the data that the run was made from."
        )


def _chosen(bench: _Bench) -> str:
    """Of `AUTO`, each trained, the one that validation films speak for; no test film is looked at."""
    for name in (BEFORE, *AUTO):
        try:
            bench.tried[name] = _told(bench.seen(name))
        except DataError as error:
            bench.tried[name] = {"left_out": str(error)}
    return _kept(bench, AUTO)


def _penalty(bench: _Bench, name: str) -> float:
    """λ of a method; for "auto" the one of the method's own few, each fine-tuned, that validation films speak for."""
    own = next((r.penalties for r in named(name) if r.penalties), (0.0,))
    given = bench.config.penalty
    if given is None or own == (0.0,):
        return own[0]
    if given != "auto":
        return given
    if name not in bench.strengths:
        bench.strengths[name] = _searched(bench, name, own[1:])
    return bench.strengths[name]


def _searched(bench: _Bench, name: str, among: Sequence[float]) -> float:
    bench.tried[BEFORE] = _told(bench.seen(BEFORE))
    strengths = {f"{name}, λ = {strength:g}": strength for strength in among}
    for title, strength in strengths.items():
        bench.tried[title] = _told(_on_validation(bench, _mended(bench, name, strength, short=True).classifier, title))
    return strengths[_kept(bench, tuple(strengths))]


def _told(audit: Audit) -> dict[str, Any]:
    return validation_row(audit.findings) | {"auroc": audit.auroc.as_dict()}


def _kept(bench: _Bench, names: Sequence[str]) -> str:
    """The best of these, which is marked."""
    best = best_of({name: bench.tried[name] for name in (BEFORE, *names)})
    bench.tried[best]["kept"] = True
    return best


def _on_validation(bench: _Bench, classifier: Classifier, name: str) -> Audit:
    config = bench.config
    lungs, markers, note = maskers(config.lungs, config.markers)
    records = tuple(bench.prepared.cache.records[i] for i in bench.prepared.rows("val"))
    return examine(
        classifier, Dataset(records, classifier.class_names), annotations=bench.annotations, lungs=lungs,
        markers=markers, methods=(), data_checks=False, probe_films=0, tests=("discovered", "reasons"), mask_note=note,
        seed=config.seed, progress=lambda stage, d, t: bench.say(f"{name}: {stage} (validation)", d, t),
    )  # fmt: skip


def _mended(bench: _Bench, name: str, penalty: float | None = None, *, short: bool = False) -> _Made:
    """Train by one method; what is there already is not trained again.

    Args:
        penalty: its strength; the one that is asked for unless given.
        short: fine-tuned from the run's weights, whatever is asked for, in a folder of its own.
    """
    config = bench.config
    penalty = _penalty(bench, name) if penalty is None else penalty
    home = config.home / "penalties" / f"{name}-{penalty:g}" if short else config.home / name
    if home not in bench.made:
        began = time.perf_counter()
        classifier, told = _trained(bench, name, penalty, home, short or config.fine_tune)
        bench.made[home] = _Made(classifier, told, time.perf_counter() - began)
    return bench.made[home]


def _trained(bench: _Bench, name: str, penalty: float, home: Path, short: bool) -> tuple[Classifier, tuple[str, ...]]:
    config, remedies = bench.config, named(name)

    def say(stage: str, done: int, total: int) -> None:
        bench.say(f"{name}: {stage}", done, total)

    epochs = _epochs(bench, max(r.longer for r in remedies), short)
    study = dataclasses.replace(bench.study, out=home, epochs=epochs, lr=_rate(bench, short), seed=config.seed)
    plan = Plan(bench.prepared, Schooling(), bench.before, bench.channels(name), say=say)
    if any(r.penalties for r in remedies):
        plan = plan.telling(f"λ = {penalty:g}")
    lungs, markers, note = maskers(config.lungs, config.markers)
    kept = config.home / "masks"
    layers = find_layers(bench.prepared.cache, lungs, markers, bench.annotations, note, kept, say)
    start, weights = _start(bench, study, short or any(r.keeps for r in remedies))
    if any(r.crops for r in remedies):
        preprocess = dataclasses.replace(start.preprocess, window=windowed(bench.prepared.cache, layers))
        start = start.with_(preprocess=preprocess)
        plan = dataclasses.replace(plan, prepared=_cut_out(bench, start, say))
        if len(remedies) > 1:  # the others' masks, in the new frame
            layers = find_layers(plan.prepared.cache, lungs, markers, bench.annotations, note, kept, say)
    for remedy in remedies:
        plan = remedy.apply(plan, layers, penalty, config.seed)
    plan = plan.settled(config.seed)
    same_settings(home, settings_of(plan, layers, start) | {"epochs": epochs, "lr": study.lr, "seed": study.seed})
    return train(study, start, weights, plan.prepared, say, schooling=plan.schooling).classifier, plan.told


def _epochs(bench: _Bench, longer: int, short: bool) -> int:
    usual = bench.study.train_config().epochs * longer
    return bench.config.epochs or (math.ceil(usual / SHORTER) if short else usual)


def _rate(bench: _Bench, short: bool) -> float:
    usual = bench.study.train_config().lr
    return usual / SLOWER if short else usual


def _start(bench: _Bench, study: StudyConfig, keeps: bool) -> tuple[Classifier, WeightsReport]:
    """The run's own weights to go on from, else what the run itself began with (by this seed)."""
    if keeps:
        start = bench.before.with_(temperature=1.0, threshold=0.5, provenance={}, calibrated_on=None)
        return start, WeightsReport(f"fine-tuned from {bench.before.hash[:12]}")
    return build(
        study.model,
        class_names=bench.before.class_names,
        pretrained=study.pretrained,
        weights=study.weights,
        size=study.size,
        fit=study.fit,
        head=bench.before.head,
        positive=bench.before.positive,
        seed=study.seed,
    )


def _cut_out(bench: _Bench, start: Classifier, say: Progress) -> Prepared:
    old = bench.prepared
    cache = build_cache(
        old.cache.records, start.preprocess, bench.study.cache_folder, progress=lambda d, t: say("cropping films", d, t)
    )
    return dataclasses.replace(old, cache=cache)


def _predicted(bench: _Bench, classifier: Classifier, name: str) -> Predictions:
    return predict(classifier, bench.tested, progress=lambda d, t: bench.say(f"{name}: predicting test films", d, t))


def _row(
    bench: _Bench, name: str, classifier: Classifier, p: Predictions, before: Predictions | None, made: _Made
) -> Repaired:
    config = bench.config
    began = time.perf_counter()
    found = _audited(bench, name, classifier)
    own = evaluate(p, folds=config.folds, seed=config.seed)
    remedies = () if name == BEFORE else named(name)
    home = config.run if name == BEFORE else config.home / name
    return Repaired(
        name,
        " + ".join(r.title for r in remedies) or "as it is",
        "; ".join((*(r.does for r in remedies), *made.told)),
        found.verdict,
        found.headline,
        {figure: own.estimates[figure] for figure in FIGURES},
        {} if before is None else costs(p, before, folds=config.folds, seed=config.seed),
        {f.test: f for f in found.findings if deciding(f.test)},
        str(home),
        {"training": round(made.seconds, 1), "audit": round(time.perf_counter() - began, 1)},
    )


def _audited(bench: _Bench, name: str, classifier: Classifier) -> Audit:
    config = bench.config
    lungs, markers, note = maskers(config.lungs, config.markers)
    stem = sha256_bytes(name.encode())[:8] if name == BEFORE else name
    return examine(
        classifier,
        Dataset(bench.tested, classifier.class_names),
        annotations=bench.annotations,
        lungs=lungs,
        markers=markers,
        methods=(),
        data_checks=False,
        probe_films=0,
        folder=config.home / "audits" / stem,
        mask_note=note,
        seed=config.seed,
        progress=lambda stage, d, t: bench.say(f"{name}: {stage}", d, t),
    )
