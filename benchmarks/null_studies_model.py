"""Null studies of the verdicts on a model: the truth lies on the boundary that no verdict may cross."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.attribution import Pointing
from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.calibrated import calibrated
from radiolucent.audits.trial.channel_findings import Tried
from radiolucent.audits.trial.discovered import DONORS, MORE, adjusted, contrast, promising
from radiolucent.audits.trial.exchange import CHANNELS
from radiolucent.audits.trial.interventions import INTERVENTIONS, interventions
from radiolucent.audits.trial.map_slices import map_slices
from radiolucent.audits.trial.probes import probe
from radiolucent.audits.trial.reasons_score import DOSES, Effects, figures_of
from radiolucent.audits.trial.stress import stressed
from radiolucent.audits.trial.subgroups import GAP, slices, source_in_embedding, subgroups
from radiolucent.audits.trial.tests import TESTS, named_test
from radiolucent.audits.trial.verdicts import beyond

RHO = 0.6


def patients_of(count: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """Films of `count` patients, one to four each."""
    return np.repeat([f"p{k}" for k in range(count)], rng.integers(1, 5, count))


def alike(patients: NDArray[np.str_], rng: np.random.Generator, skew: bool = False) -> NDArray[np.float64]:
    """Standardised noise (N,) with correlation ρ within a patient; skewed: chi-squared with two degrees of freedom."""
    _, index = np.unique(patients, return_inverse=True)

    def draw(n: int) -> NDArray[np.float64]:
        return (rng.chisquare(2, n) - 2) / 2 if skew else rng.standard_normal(n)

    return np.sqrt(RHO) * draw(index.max() + 1)[index] + np.sqrt(1 - RHO) * draw(len(index))


def table_of(patients: NDArray[np.str_], rng: np.random.Generator, skew: bool = False) -> Table:
    """Answers of a model whose every change moves the log-odds by exactly its threshold on average."""
    n = len(patients)
    _, index = np.unique(patients, return_inverse=True)
    truth = (rng.random(index.max() + 1) < 0.5)[index]
    original = np.where(truth, 1.0, -1.0) + alike(patients, rng)
    spread = original.std()
    scores = {"original": original}
    for test in INTERVENTIONS.values():
        if test.control not in scores:
            scores[test.control] = original + 0.0
        moved = (test.threshold + 0.6 * alike(patients, rng, skew)) * spread
        scores[test.edit] = original + (moved if test.signed else np.abs(scores[test.control] - original) + moved)
    ids = tuple(f"f{i}" for i in range(n))
    names = tuple(patients.tolist())
    return Table(ids, names, (None,) * n, truth, np.ones(n, bool), scores, {}, None, 0.0)


def one_intervention(rng: np.random.Generator, skew: bool) -> bool:
    """Any of ten tests wrongly fails, each of them at its threshold (signed figures, so that it is the mean's)."""
    table = table_of(patients_of(30, rng), rng, skew)
    tests = [t for t in INTERVENTIONS.values() if t.signed]
    return any(f.verdict == "fail" for f in interventions(table, tests))


def one_calibration(rng: np.random.Generator) -> bool:
    patients = patients_of(40, rng)
    shift = alike(patients, rng)
    odds = 1.5 * shift
    truth = rng.random(len(odds)) < 1 / (1 + np.exp(-odds))
    table = table_of(patients, rng)
    return calibrated(Table(*(table.image_ids, table.patients, table.sites), truth, table.known, {"original": odds}, {},
                            None, 0.0)).verdict == "fail"  # fmt: skip


def one_groups(rng: np.random.Generator) -> bool:
    table = table_of(patients_of(120, rng), rng)
    groups = {f"g{k}": [str(v) for v in rng.integers(0, 4, len(table))] for k in range(3)}
    return any(f.verdict == "fail" for f in subgroups(table, groups, level=1 - 0.05 / 3))


def one_slice(rng: np.random.Generator) -> bool:
    table = table_of(patients_of(160, rng), rng)
    embeddings = rng.standard_normal((len(table), 6)).astype(np.float32)
    made = Table(
        table.image_ids, table.patients, table.sites, table.truth, table.known, table.scores, {}, embeddings, 0.0
    )
    return slices(made).verdict == "fail"


def one_stress(rng: np.random.Generator) -> bool:
    table = table_of(patients_of(60, rng), rng)
    again = np.where(table.truth, 1.0, -1.0) + alike(np.array(table.patients), rng)
    scores = {"original": table.original, "stress.blur": again}
    made = Table(table.image_ids, table.patients, table.sites, table.truth, table.known, scores, {}, None, 0.0)
    return stressed(made, "stress.blur", 0.95).verdict == "fail"


def one_probe(rng: np.random.Generator) -> bool:
    patients = patients_of(40, rng)
    _, index = np.unique(patients, return_inverse=True)
    faces = rng.standard_normal((index.max() + 1, 64))
    pixels = np.clip(128 + 30 * (faces[index] + 0.5 * rng.standard_normal((len(index), 64))), 0, 255).astype(np.uint8)
    truth = (rng.random(index.max() + 1) < 0.5)[index]
    found = probe(pixels.reshape(-1, 8, 8), truth, patients)
    return found.low is not None and found.low > 0.5


def one_costly(rng: np.random.Generator) -> bool:
    """A stress that costs exactly .05 of AUROC."""
    patients = patients_of(80, rng)
    table = table_of(patients, rng)
    before, after = (2**0.5 * stats.norm.ppf(a) for a in (0.85, 0.80))
    noise = alike(patients, rng)
    scores = {"original": before * table.truth + noise}
    scores["stress.blur"] = after * table.truth + 0.9 * noise + (1 - 0.81) ** 0.5 * alike(patients, rng)
    return stressed(dataclasses.replace(table, scores=scores), "stress.blur", 0.95).verdict == "fail"


def one_group(rng: np.random.Generator) -> bool:
    """A group whose films go wrong more often by exactly what matters is said to go wrong more often than that."""
    patients = patients_of(160, rng)
    _, index = np.unique(patients, return_inverse=True)
    here = (rng.random(index.max() + 1) < 0.4)[index]
    table = table_of(patients, rng)
    wrong = special.ndtr(alike(patients, rng)) < np.where(here, 0.2 + GAP, 0.2)
    called = np.where(table.truth != wrong, 1.0, -1.0)
    made = dataclasses.replace(table, scores={"original": called})
    return subgroups(made, {"group": ["one" if h else "other" for h in here]})[0].verdict == "fail"


def one_map_slice(rng: np.random.Generator) -> bool:
    """Maps of a patient look alike and say nothing of errors, which a patient's films share as well."""
    table = table_of(patients_of(60, rng), rng)
    _, index = np.unique(table.patients, return_inverse=True)
    kinds = rng.random((3, 256)) ** 3
    kind = rng.integers(0, 3, index.max() + 1)[index]
    maps = Pointing()
    for film, k in zip(table.image_ids, kind, strict=True):
        one = kinds[k] + 0.5 * rng.random(256) ** 3
        maps.small[film] = (one / one.sum()).reshape(16, 16).astype(np.float32)
    return map_slices("random", maps, table, seed=int(rng.integers(1 << 30))).verdict == "fail"


def one_part(rng: np.random.Generator) -> bool:
    """Without lungs, or on the border alone, the AUROC is exactly 0.6: either fails."""
    patients = patients_of(80, rng)
    table = table_of(patients, rng)
    apart = 2**0.5 * stats.norm.ppf(0.6)
    names = {e for test in ("regions.no_lungs", "regions.border_only") for e in _test(test).edits}
    scores = {"original": table.original} | {n: apart * table.truth + alike(patients, rng) for n in sorted(names)}
    return any(
        _test(name).findings(case_of(dataclasses.replace(table, scores=scores)))[0].verdict == "fail"
        for name in ("regions.no_lungs", "regions.border_only")
    )


def _test(name: str) -> Any:
    return cast(Any, named_test(name))


def case_of(table: Table) -> Case:
    """A case of which tests look at the table alone."""
    nothing = cast(Any, None)
    return Case(nothing, table, nothing, nothing, TESTS)


def one_site(rng: np.random.Generator) -> bool:
    """Features tell patients, and no site."""
    patients = patients_of(60, rng)
    _, index = np.unique(patients, return_inverse=True)
    own = rng.standard_normal((index.max() + 1, 12))
    features = (own[index] + 0.3 * rng.standard_normal((len(index), 12))).astype(np.float32)
    sites = tuple(str(s) for s in rng.integers(0, 2, index.max() + 1)[index])
    made = dataclasses.replace(table_of(patients, rng), embeddings=features, sites=sites)
    return source_in_embedding(made, seed=int(rng.integers(1 << 30))).verdict == "fail"


def one_discovery(rng: np.random.Generator) -> bool:
    """Donors of the two classes bring along the threshold's worth and no more, in skewed amounts, and beside it what
    their tone and texture do, which go with no class.

    Where a figure above the threshold stays open, the films are dealt again with up to four times as many donors, the
    first among them, and then compared at the same tone and texture, each at half the error.
    """
    threshold, level = CHANNELS["surroundings"].threshold, 1 - 0.05 / len(CHANNELS)
    ill, about = np.arange(MORE) % 2 == 1, rng.standard_normal((MORE, 2))
    effects = 0.3 * (rng.chisquare(2, MORE) - 2) + about @ (0.4, 0.2) + threshold * ill

    def shown(n: int, error: float) -> Tried:
        one = contrast(effects[:n], ill[:n], error)
        return Tried(
            CHANNELS["surroundings"], one, (1.0, 1.0), (), (), 0.0, 12, (0.0, 0.0), (), (n // 2, n // 2),
            effects=effects[:n], marked=ill[:n], about=lambda: about[:n],
        )  # fmt: skip

    one, half = shown(DONORS, level), (1 + level) / 2
    if promising(one):
        one = adjusted(shown(MORE, half), half)
    return beyond(one.estimate, threshold) == "fail"


def one_reasons(rng: np.random.Generator) -> bool:
    """A network whose five figures are a half each passes, or fails."""
    n = 40
    noise = 0.8 * rng.standard_normal((8, n)) + 0.5 * rng.standard_normal(n)
    paint, elsewhere, sham, remove, beside, lungs, outside = (
        m + e for m, e in zip((0.9, 0.4, 0.4, 0.8, 0.3, 0.5, 0.5), noise, strict=False)
    )
    painted = np.repeat(paint[:, None], len(DOSES), 1)
    square = rng.chisquare(2, n) / 2
    names = tuple(f"f{i}" for i in range(n))
    made = Effects(names, names, painted, elsewhere, sham, remove, beside, lungs, outside, square, *np.ones((3, n)))
    return beyond(figures_of(made, level=0.95, seed=int(rng.integers(1 << 30)))["score"], 0.5) in ("pass", "fail")


ROWS: dict[str, tuple[Callable[[np.random.Generator], bool], float]] = {
    "interventions at their thresholds, any fails": (lambda rng: one_intervention(rng, False), 0.05),
    "the same, skewed effects": (lambda rng: one_intervention(rng, True), 0.05),
    "discovery: classes bring along the threshold's worth": (one_discovery, 0.05 / len(CHANNELS)),
    "reasons score of exactly a half, passes or fails": (one_reasons, 0.05),
    "parts of the film: AUROC exactly 0.6, either fails": (one_part, 0.05),
    "calibration in the large, calibrated": (one_calibration, 0.05),
    "three groupings, no group differs, any fails": (one_groups, 0.05),
    "a group worse by exactly the threshold": (one_group, 0.025),
    "slices, none differs": (one_slice, 0.05),
    "slices of maps, none differs": (one_map_slice, 0.05),
    "stress that costs nothing": (one_stress, 0.05),
    "stress that costs exactly the threshold": (one_costly, 0.025),
    "a probe of pictures that tell the patient alone": (one_probe, 0.025),
    "site: features that tell the patient alone": (one_site, 0.025),
}
"""By row: one study, and the rate of wrong verdicts that is promised at most."""
