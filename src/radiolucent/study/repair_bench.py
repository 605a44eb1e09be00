"""What all methods of a repair share: the run, its films, the models so far and what validation films say of them."""

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.audits.trial import Audit, examine, maskers
from radiolucent.data import Dataset, Record, build_cache
from radiolucent.errors import ConfigError, DataError
from radiolucent.models import Classifier, WeightsReport, build, load
from radiolucent.study.config import StudyConfig
from radiolucent.study.doctors import read_readings
from radiolucent.study.prepared import Prepared, prepare, splits_in
from radiolucent.study.progress import Progress
from radiolucent.study.region_masks import find_layers
from radiolucent.study.remedies import (
    AUTO,
    BEFORE,
    EXCHANGED,
    NO_SCORE,
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
from radiolucent.types import Annotation

__all__ = ["SHORTER", "SLOWER", "Bench", "Made", "bench_of", "chosen", "mended"]

SHORTER, SLOWER = 4, 5
"""Fine-tuning takes the recipe's epochs and learning rate divided by these."""


@dataclass(frozen=True, eq=False)
class Made:
    """A repaired classifier, what was decided on the way, and the seconds it took."""

    classifier: Classifier
    told: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Bench:
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

    made: dict[Path, Made] = dataclasses.field(default_factory=dict[Path, Made])
    looked: dict[str, Audit] = dataclasses.field(default_factory=dict[str, Audit])
    strengths: dict[str, float] = dataclasses.field(default_factory=dict[str, float])
    tried: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict[str, dict[str, Any]])

    def seen(self, name: str) -> Audit:
        """What discovery and the reasons score say of a model on the validation films; no test film is looked at."""
        if name not in self.looked:
            classifier = self.before if name == BEFORE else mended(self, name).classifier
            self.looked[name] = _on_validation(self, classifier, name)
        return self.looked[name]

    def channels(self, name: str) -> tuple[str, ...]:
        """Of `CHANNELS`, what validation films show that a model follows, the gravest alone: the unrepaired one, or,
        where the method asks for the "others", that which its other remedies give."""
        parts = name.split("+")
        asks = {REMEDIES[n].discovers for n in parts}
        others = "+".join(n for n in parts if not REMEDIES[n].discovers) if "others" in asks else ""
        return followed(self.seen(others or BEFORE).findings)[:EXCHANGED] if asks != {""} else ()


def bench_of(config: RepairConfig, study: StudyConfig, say: Progress) -> Bench:
    before = load(config.run)
    if before.multilabel:
        raise ConfigError(
            f"{config.run}: tells several labels ({', '.join(before.class_names)}), and a repair is of two classes. "
            f"Audit a label (--target {before.class_names[0]}); to repair it, train it alone: --classes "
            f"{before.class_names[0]!r}."
        )
    prepared = prepare(study, before.preprocess, say)
    _same_split(config.run / "split.csv", config.home / "split.csv")
    marked = dataclasses.replace(
        study, annotations=config.annotations, annotation_options=dict(config.annotation_options)
    )
    annotations = read_readings(marked, prepared)
    tested = tuple(prepared.cache.records[i] for i in prepared.rows("test"))
    if config.films is not None and config.films < len(tested):
        chosen = np.random.default_rng([config.seed, 71]).permutation(len(tested))[: config.films]
        tested = tuple(tested[i] for i in sorted(chosen))
    return Bench(config, study, before, prepared, annotations, tested, say)


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


def chosen(bench: Bench) -> str:
    """Of `AUTO`, each trained, the one that validation films speak for; no test film is looked at."""
    _has_a_score(bench)
    for name in AUTO:
        try:
            bench.tried[name] = _told(bench.seen(name))
        except DataError as error:
            bench.tried[name] = {"left_out": str(error)}
    return _kept(bench, AUTO)


def _penalty(bench: Bench, name: str) -> float:
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


def _searched(bench: Bench, name: str, among: Sequence[float]) -> float:
    _has_a_score(bench)
    strengths = {f"{name}, λ = {strength:g}": strength for strength in among}
    for title, strength in strengths.items():
        bench.tried[title] = _told(_on_validation(bench, mended(bench, name, strength, short=True).classifier, title))
    return strengths[_kept(bench, tuple(strengths))]


def _has_a_score(bench: Bench) -> None:
    """Look at the model as it is; refuse before anything is trained where these films give no reasons score."""
    bench.tried[BEFORE] = _told(bench.seen(BEFORE))
    if not bench.tried[BEFORE]["reasons"]:
        raise ConfigError(NO_SCORE)


def _told(audit: Audit) -> dict[str, Any]:
    return validation_row(audit.findings) | {"auroc": audit.auroc.as_dict()}


def _kept(bench: Bench, names: Sequence[str]) -> str:
    """The best of these, which is marked."""
    best = best_of({name: bench.tried[name] for name in (BEFORE, *names)})
    bench.tried[best]["kept"] = True
    return best


def _on_validation(bench: Bench, classifier: Classifier, name: str) -> Audit:
    config = bench.config
    lungs, markers, note = maskers(config.lungs, config.markers)
    records = tuple(bench.prepared.cache.records[i] for i in bench.prepared.rows("val"))
    return examine(
        classifier, Dataset(records, classifier.class_names), annotations=bench.annotations, lungs=lungs,
        markers=markers, methods=(), data_checks=False, probe_films=0, tests=("discovered", "reasons"), mask_note=note,
        seed=config.seed, progress=lambda stage, d, t: bench.say(f"{name}: {stage} (validation)", d, t),
    )  # fmt: skip


def mended(bench: Bench, name: str, penalty: float | None = None, *, short: bool = False) -> Made:
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
        bench.made[home] = Made(classifier, told, time.perf_counter() - began)
    return bench.made[home]


def _trained(bench: Bench, name: str, penalty: float, home: Path, short: bool) -> tuple[Classifier, tuple[str, ...]]:
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


def _epochs(bench: Bench, longer: int, short: bool) -> int:
    usual = bench.study.train_config().epochs * longer
    return bench.config.epochs or (math.ceil(usual / SHORTER) if short else usual)


def _rate(bench: Bench, short: bool) -> float:
    usual = bench.study.train_config().lr
    return usual / SLOWER if short else usual


def _start(bench: Bench, study: StudyConfig, keeps: bool) -> tuple[Classifier, WeightsReport]:
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


def _cut_out(bench: Bench, start: Classifier, say: Progress) -> Prepared:
    old = bench.prepared
    cache = build_cache(
        old.cache.records, start.preprocess, bench.study.cache_folder, progress=lambda d, t: say("cropping films", d, t)
    )
    return dataclasses.replace(old, cache=cache)
