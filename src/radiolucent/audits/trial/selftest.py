"""The self-test: does the audit find shortcuts that were planted, and how often does it raise a false alarm?"""

import dataclasses
import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radiolucent.audits.trial.attribution import TIMES, Pointing, point
from radiolucent.audits.trial.examine import MET, examine_views
from radiolucent.audits.trial.interventions import INTERVENTIONS
from radiolucent.audits.trial.planted import (
    KINDS,
    Pool,
    audit_views,
    painted_effects,
    plain_views,
    pool,
    train_planted,
    train_small,
)
from radiolucent.audits.trial.rules import differing, rules
from radiolucent.audits.trial.tests import TESTS
from radiolucent.audits.trial.verdicts import beyond
from radiolucent.errors import ConfigError
from radiolucent.explainers import Explainer
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.lime import LIME
from radiolucent.files import append_lines, read_lines, write_json
from radiolucent.metrics import auroc, wilson
from radiolucent.types import Estimate

__all__ = ["FINDS", "SelfTest", "SelfTestResult", "self_test"]

FINDS: Mapping[str, tuple[str, ...]] = {
    kind: tuple(name for name in INTERVENTIONS if name.startswith(f"{kind}.")) for kind in KINDS
}
"""Which tests stand for a shortcut: it counts as found where any of them fails."""
PLACE = {"marker": "markers", "border": "border"}
USUAL, SMALL, LEAST = 0.95, 0.2, 10
METHODS: Mapping[str, Explainer] = {
    "gradcam": GradCAM(),
    "lime": LIME(num_samples=100, segmentation="slic", segmentation_options={"n_segments": 40}, engine="torch"),
}


@dataclass(frozen=True)
class SelfTest:
    """What to try.

    Attributes:
        seeds: models for each shortcut and share. clean: models of share 0, which all shortcuts have in common, for
            each seed: many, since a rate near 0 takes many to prove.
        unmet: networks for each seed that were trained on plain films and met none of the shortcuts, by chance or not.
        shares: of the ill training films that carry the shortcut for being ill.
        kinds: the shortcuts. films, held_out, audited: phantoms to train on, to choose the epoch on, and to audit on;
            each network has its own. painted: plain ones to paint shortcuts on, which shows whether they are used.
        size: of the phantoms in pixels. epochs: of each training.
        maps: also ask Grad-CAM and LIME alone, on `map_films` films. seed: of everything.
    """

    seeds: int = 5
    clean: int = 6
    unmet: int = 2
    shares: tuple[float, ...] = (0.0, 0.2, 0.5, 0.8, 1.0)
    kinds: tuple[str, ...] = ("marker", "border", "exposure", "size")
    films: int = 240
    held_out: int = 60
    audited: int = 120
    painted: int = 80
    size: int = 64
    epochs: int = 12
    maps: bool = True
    map_films: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := [k for k in self.kinds if k not in KINDS]:
            raise ConfigError(f"shortcuts {', '.join(unknown)}; expected any of {', '.join(KINDS)}.")
        if self.seeds < 1 or not all(0 <= s <= 1 for s in self.shares) or min(self.films, self.audited) < 40:
            raise ConfigError(f"{self}; expected seeds ≥ 1, shares in [0, 1], and 40 films or more.")

    def jobs(self) -> list[tuple[str, float, int]]:
        """(shortcut, share, number) of every model, one round of all after another, so that more seeds only add rounds.

        Share 0 is nobody's and stands under "none"; networks that met no shortcut at all stand under "unmet".
        """
        found: list[tuple[str, float, int]] = []
        for k in range(self.seeds):
            if 0.0 in self.shares:
                found += [("none", 0.0, self.clean * k + i) for i in range(self.clean)]
                found += [("unmet", 0.0, self.unmet * k + i) for i in range(self.unmet)]
            found += [(kind, share, k) for kind in self.kinds for share in self.shares if share > 0]
        return found


@dataclass(frozen=True)
class SelfTestResult:
    """What came of it.

    Attributes:
        config: what was tried. models: one mapping a model: shortcut, share, number, auroc, verdicts and values by
            test, what painting each shortcut does (`painted_effects`), alarms of the maps alone, seconds of processor
            time. rates: (finder, shortcut, share) to a Wilson
            interval.
    """

    config: SelfTest
    models: tuple[Mapping[str, Any], ...]

    @property
    def rates(self) -> dict[tuple[str, str, float], Estimate]:
        """Share of models in which a finder ("audit", "gradcam", "lime") reports a shortcut."""
        finders = ("audit", *(METHODS if self.config.maps else ()))
        return {
            (finder, kind, share): self._rate(finder, kind, share)
            for finder in finders
            for kind in self.config.kinds
            if finder == "audit" or kind in PLACE
            for share in self.config.shares
        }

    def _rate(self, finder: str, kind: str, share: float) -> Estimate:
        """At share 0 every clean model counts, for every shortcut: each is one chance of a false alarm."""
        own = [m for m in self.models if m["share"] == share and m["shortcut"] in (kind, "none")]
        return wilson(sum(found_in(m, finder, kind) for m in own), len(own))

    def limit(self, kind: str) -> float | None:
        """What nineteen in twenty clean models keep to when the shortcut is painted on films that lack it: standard
        deviations toward illness, of the class that moves less; at least a small effect, 0.2. None with fewer than ten
        clean models."""
        clean = [min(m["painted"][kind][:2]) for m in self.models if m["shortcut"] == "none"]
        return max(SMALL, float(np.quantile(clean, USUAL))) if len(clean) >= LEAST else None

    def use(self) -> list[dict[str, Any]]:
        """For each planted shortcut and share: how many models use it (painting it does more than `limit`), in how many
        of those the audit reports it; JSON-ready. Painting is no part of the audit, and its films are other ones."""
        rows: list[dict[str, Any]] = []
        for kind in self.config.kinds:
            limit = self.limit(kind)
            for share in (s for s in self.config.shares if s > 0 and limit is not None):
                own = [m for m in self.models if m["share"] == share and m["shortcut"] == kind]
                using = [m for m in own if min(m["painted"][kind][:2]) > (limit or 0.0)]
                found = sum(found_in(m, "audit", kind) for m in using)
                rows.append({
                    "shortcut": kind, "share": share, "limit": limit, "used": wilson(len(using), len(own)).as_dict(),
                    "found_of_used": wilson(found, len(using)).as_dict(),
                })  # fmt: skip
        return rows

    def innocent_alarm(self) -> Estimate:
        """Share of models without a planted shortcut, those that met none among them, in which any test fails."""
        own = [m for m in self.models if m["share"] == 0]
        return wilson(sum("fail" in m["verdicts"].values() for m in own), len(own))

    def any_alarm(self) -> Estimate:
        """Share of clean models in which any intervention at all fails: a false alarm of the audit as a whole."""
        clean = [m for m in self.models if m["shortcut"] == "none"]
        return wilson(sum("fail" in m["verdicts"].values() for m in clean), len(clean))

    def unmet_alarm(self) -> Estimate:
        """Share of models that never met any of the shortcuts in which any intervention fails."""
        own = [m for m in self.models if m["shortcut"] == "unmet"]
        return wilson(sum("fail" in m["verdicts"].values() for m in own), len(own))

    def false_marker(self) -> Estimate:
        """Share of clean models in which a marker is reported."""
        clean = [m for m in self.models if m["shortcut"] == "none"]
        return wilson(sum(found_in(m, "audit", "marker") for m in clean), len(clean))

    def marked(self) -> Estimate:
        """Share of models with a marker on half of the ill films or more in which the audit reports it."""
        own = [m for m in self.models if m["share"] >= 0.5 and m["shortcut"] == "marker"]
        return wilson(sum(found_in(m, "audit", "marker") for m in own), len(own))

    def lines(self) -> list[str]:
        """The table in words, a line a row."""
        rows = [f"{f:<8} {k:<9} {s:>4.0%}  {e}" for (f, k, s), e in self.rates.items()]
        return [
            *rows,
            f"marker on half or more: {self.marked()}",
            f"any alarm without any: {self.any_alarm()}",
            f"any alarm in networks that met none: {self.unmet_alarm()}",
            f"any alarm in both: {self.innocent_alarm()}",
            *(_use_line(u) for u in self.use()),
        ]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "config": dataclasses.asdict(self.config),
            "tests": [t.name for t in TESTS if t.decides == "intervention"],
            "rates": [{"finder": f, "shortcut": k, "share": s, **e.as_dict()} for (f, k, s), e in self.rates.items()],
            "marker_on_half_or_more": self.marked().as_dict(),
            "any_false_alarm": self.any_alarm().as_dict(),
            "unmet_false_alarm": self.unmet_alarm().as_dict(),
            "innocent_false_alarm": self.innocent_alarm().as_dict(),
            "use": self.use(),
            "marker_false_alarm": self.false_marker().as_dict(),
            "trained": len(self.models),
            "processor_minutes": round(sum(m["seconds"] for m in self.models) / 60, 1),
            "models": [dict(m) for m in self.models],
        }


def _use_line(row: Mapping[str, Any]) -> str:
    used, found = row["used"], row["found_of_used"]
    told = "" if found["value"] is None else f", reported in {found['value']:.0%} of those"
    return f"{row['shortcut']:<9} {row['share']:>4.0%}  used by {used['value'] or 0:.0%} of {used['n']}{told}"


def found_in(model: Mapping[str, Any], finder: str, kind: str) -> bool:
    """Whether a finder reports a shortcut in a model."""
    if finder == "audit":
        return any(model["verdicts"].get(test) == "fail" for test in FINDS[kind])
    return bool(model["maps"][finder][kind])


def self_test(
    config: SelfTest,
    folder: str | Path,
    *,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> SelfTestResult:
    """Train small networks on phantoms with planted shortcuts, audit each, and count.

    Each finished model is one line of `models.jsonl`: the same call goes on after a kill.

    Args:
        folder: for the phantoms, the journal and `selftest.json`. workers: processes; one a core unless given.

    Raises:
        ConfigError: the folder holds a self-test of another configuration, or one made by other rules.
    """
    home = Path(folder)
    done = _journal(home, config)
    todo = [job for job in config.jobs() if job not in done]
    for count, result in enumerate(_run(config, todo, workers), len(done) + 1):
        done[result["shortcut"], result["share"], result["number"]] = result
        append_lines(home / "models.jsonl", [result])
        if progress:
            progress("models trained and audited", count, len(config.jobs()))
    found = SelfTestResult(config, tuple(done[job] for job in config.jobs()))
    write_json(home / "selftest.json", found.as_dict())
    return found


def _journal(home: Path, config: SelfTest) -> dict[tuple[str, float, int], dict[str, Any]]:
    note, file = home / "config.json", home / "models.jsonl"
    # More seeds only add models, so that a short self-test can be made longer.
    values = {k: v for k, v in json.loads(json.dumps(dataclasses.asdict(config))).items() if k != "seeds"}
    now = json.loads(json.dumps(rules()))
    if note.is_file():
        kept = json.loads(note.read_text())
        then = kept.pop("rules", {})
        other = sorted(k for k in kept.keys() | values if kept.get(k) != values.get(k))
        if other or then != now:
            told = f"of another configuration ({', '.join(other)})" if other else (
                f"made by other rules: {differing(then, now)}"
            )  # fmt: skip
            raise ConfigError(f"{home}: holds a self-test {told}; choose another --out or remove it.")
    write_json(note, values | {"rules": now})
    rows = [row for _, row in read_lines(file)]
    wanted = set(config.jobs())
    known = {(r["shortcut"], r["share"], r["number"]): r for r in rows}
    return {job: row for job, row in known.items() if job in wanted}


def _run(config: SelfTest, jobs: Sequence[tuple[str, float, int]], workers: int | None) -> Iterator[dict[str, Any]]:
    count = min(workers or os.cpu_count() or 1, max(len(jobs), 1))
    if count == 1:
        yield from (try_one(config, job) for job in jobs)
        return
    with ProcessPoolExecutor(count, get_context("spawn")) as processes:
        waiting = [processes.submit(try_one, config, job) for job in jobs]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def try_one(config: SelfTest, job: tuple[str, float, int]) -> dict[str, Any]:
    """Train one network with a planted shortcut and audit it; JSON-ready."""
    began, threads = time.process_time(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = _try(config, job)
    finally:
        torch.set_num_threads(threads)
    return result | {"seconds": round(time.process_time() - began, 1)}


def _try(config: SelfTest, job: tuple[str, float, int]) -> dict[str, Any]:
    kind, share, number = job
    # Each model has its own phantoms, painting, first weights and order of films.
    seed = zlib.crc32(repr((config.seed, *job)).encode())
    cuts = np.cumsum((0, config.films, config.held_out, config.audited, config.painted)).tolist()
    phantoms = pool(cuts[-1], config.size, seed)
    learn, hold, audited, plain = (_part(phantoms, a, b) for a, b in pairwise(cuts))
    if kind == "unmet":
        films = (learn.pixels, learn.labels), (hold.pixels, hold.labels)
        classifier, trained = train_small(*films, seed, epochs=config.epochs), plain_views(learn)
    else:
        planted = kind if kind in KINDS else "marker"
        classifier, trained = train_planted(learn, hold, planted, share, seed, epochs=config.epochs)
    # As an audit knows them that is given a run: `examine` draws as many.
    met = [trained[int(i)] for i in np.random.default_rng([seed, 67]).permutation(len(trained))[:MET]]
    views = audit_views(audited, seed)
    # Whatever has no name is asked of the models without a shortcut alone, where any failure is a false alarm.
    tests = [t for t in TESTS if t.decides == "intervention" and (share == 0 or t.name in INTERVENTIONS)]
    findings, table = examine_views(classifier, views, tests, met=met, seed=seed)
    return {
        "shortcut": kind,
        "share": share,
        "number": number,
        "auroc": auroc(table.truth, table.original).value,
        "verdicts": {f.test: f.verdict for f in findings},
        "values": {f.test: _numbers(f.estimate) for f in findings},
        "painted": painted_effects(classifier, plain, table.cut, seed),
        "maps": _maps(classifier, views, config, seed) if config.maps else {},
    }


def _part(phantoms: Pool, start: int, stop: int) -> Pool:
    part = slice(start, stop)
    return Pool(phantoms.pixels[part], phantoms.lungs[part], phantoms.labels[part])


def _numbers(estimate: Estimate | None) -> list[float | None]:
    return [None] * 3 if estimate is None else [estimate.value, estimate.low, estimate.high]


def _maps(classifier: Any, views: Sequence[Any], config: SelfTest, seed: int) -> dict[str, dict[str, bool]]:
    """What someone who only looks at maps would report: a method dwells on the place (see `attribution`)."""
    seen = {name: Pointing() for name in METHODS}
    chosen = [v for v in views if v.markers is not None and v.markers.any()][: config.map_films]
    for start in range(0, len(chosen), 8):
        point(classifier, chosen[start : start + 8], METHODS, seen, target=classifier.positive, seed=seed)
    return {
        name: {
            kind: beyond(shown.ratio(place, seed=seed), _threshold(place)) == "fail"
            for kind, place in PLACE.items()
            if kind in config.kinds
        }
        for name, shown in seen.items()
    }


def _threshold(place: str) -> float:
    return math.log2(TIMES[place])
