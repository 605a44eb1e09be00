"""Repair and recheck: train again so that the shortcut cannot pay, audit again, and say what it cost."""

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radiolucent.audits.trial import Audit, deciding, examine, maskers
from radiolucent.bounds import expect
from radiolucent.data import Dataset
from radiolucent.errors import ConfigError, DataError
from radiolucent.files import sha256_bytes, write_json
from radiolucent.images import reading
from radiolucent.metrics import evaluate
from radiolucent.models import Classifier, predict
from radiolucent.study.config import StudyConfig
from radiolucent.study.paired_differences import FIGURES, Costs, costs
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.remedies import (
    BEFORE,
    named,
)  # fmt: skip
from radiolucent.study.repair_bench import Bench, Made, bench_of, chosen, mended
from radiolucent.study.repair_config import RepairConfig
from radiolucent.types import Estimate, Finding, Predictions, Verdict

__all__ = ["BEFORE", "Repair", "RepairConfig", "Repaired", "repair"]


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

    @property
    def has_skill(self) -> bool:
        """Whether the whole interval of its AUROC lies above chance."""
        low = self.estimates["auroc"].low
        return low is not None and low > 0.5

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
    left_out: (path, reason) of films and readings. methods_left_out: (method, reason) of those that cannot be used.
    """

    config: RepairConfig
    rows: tuple[Repaired, ...]
    films: int
    patients: int
    masks: str
    chosen_by: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict[str, Mapping[str, Any]])
    left_out: tuple[tuple[str, str], ...] = ()
    methods_left_out: tuple[tuple[str, str], ...] = ()

    @property
    def lead(self) -> str | None:
        """The test that the unrepaired model fails furthest beyond its threshold."""
        tests = self.rows[0].tests
        failing = sorted(self.rows[0].failing, key=lambda name: -tests[name].severity)
        return failing[0] if failing else None

    @property
    def mended(self) -> list[Repaired]:
        """Repaired models that pass and tell the classes apart for certain, the least costly in AUROC first."""
        passed = [r for r in self.rows[1:] if r.verdict == "pass" and r.has_skill]
        return sorted(passed, key=lambda r: -(r.costs["auroc"].value or 0.0))

    @property
    def unskilled(self) -> list[Repaired]:
        """Repaired models that pass but may do no better than chance: a constant answer follows nothing, either."""
        return [r for r in self.rows[1:] if r.verdict == "pass" and not r.has_skill]

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
            "unskilled": [r.method for r in self.unskilled],
            "chosen_by": dict(self.chosen_by),
            "rows": [r.as_dict() for r in self.rows],
            "left_out": [{"file": path, "reason": reason} for path, reason in self.left_out],
            "methods_left_out": [{"method": name, "reason": reason} for name, reason in self.methods_left_out],
        }


def repair(config: RepairConfig, say: Progress = quiet) -> Repair:
    """Train again by each method, audit again, and hold every model against the unrepaired one on the same test films.

    Each model lies in its own folder and can be used like a run; a finished one is not made again. Interrupted, the
    same call goes on. Epoch, threshold and temperature are chosen on validation films that are changed like the
    training films; the test films are as they are.

    Raises:
        ConfigError: the run has no `study.json`, or deals these films otherwise than it did.
        DataError: none of the methods can be used on these films; where others can, those that cannot are left out.
    """
    expect(config, RepairConfig, "repair's configuration", "rl.RepairConfig(run)")
    with _study(config).reads() as study:
        return _repair(config, study, say)


def _repair(config: RepairConfig, study: StudyConfig, say: Progress) -> Repair:
    bench = bench_of(config, study, say)
    before_predictions = _predicted(bench, bench.before, "as it is")
    rows = [_row(bench, BEFORE, bench.before, before_predictions, None, Made(bench.before, (), 0.0))]
    without: list[tuple[str, str]] = []
    for name in [chosen(bench)] if config.methods == ("auto",) else config.methods:
        try:
            made = mended(bench, name)
        except DataError as error:
            without.append((name, str(error)))
            if len(without) == len(config.methods):
                raise
            continue
        rows.append(
            _row(bench, name, made.classifier, _predicted(bench, made.classifier, name), before_predictions, made)
        )
    patients = len({r.patient_id or r.image_id for r in bench.tested})
    masks = maskers(config.lungs, config.markers)[2]
    left = tuple(bench.prepared.left_out)
    found = Repair(config, tuple(rows), len(bench.tested), patients, masks, bench.tried, left, tuple(without))
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


def _predicted(bench: Bench, classifier: Classifier, name: str) -> Predictions:
    return predict(classifier, bench.tested, progress=lambda d, t: bench.say(f"{name}: predicting test films", d, t))


def _row(
    bench: Bench, name: str, classifier: Classifier, p: Predictions, before: Predictions | None, made: Made
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


def _audited(bench: Bench, name: str, classifier: Classifier) -> Audit:
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
