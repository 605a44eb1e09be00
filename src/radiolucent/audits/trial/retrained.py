"""Training again, small: on shuffled labels, and with another seed. Do maps and answers come from what was learnt?

The audited network itself takes too long to train again, so a small one stands in for it: it learns the audited films
at 32 × 32 pixels, and each explanation method is tried on it. What is tested is therefore the method on these films,
not the audited network (`maps.*.randomisation` tests that one).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import METHOD, Case, Test
from radiolucent.audits.trial.planted import Shuffled
from radiolucent.audits.trial.probes import dealt_by_patient
from radiolucent.audits.trial.verdicts import film_mean
from radiolucent.audits.trust.similarity import pooled, rank_correlation
from radiolucent.explainers import Explainer, explain
from radiolucent.metrics import auroc
from radiolucent.metrics.intervals import scaled_interval, welch_df
from radiolucent.models import Classifier, build
from radiolucent.training import TrainConfig, fit
from radiolucent.types import Estimate, Finding, Radiograph, Verdict

__all__ = ["TESTS", "Likeness", "over_networks", "retrained"]

FILMS, LEAST, EACH, MAPS, EPOCHS, CELLS, NETWORKS = 240, 60, 5, 40, 14, 8, 4
Floats = NDArray[np.float64]
ALIKE = 0.7
"""Rank correlation of two maps below which they no longer tell the same (ours, as in `trust.repeatability`)."""
SMALL = 0.1
_STANDS_IN = "A small network trained on the audited films at 32 × 32 pixels stands in for the audited one."


@dataclass(frozen=True, eq=False)
class _Films:
    """Small films uint8 (N, T, T) with labels (N,) and patients (N,)."""

    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    patients: NDArray[np.str_]

    def __getitem__(self, rows: NDArray[np.bool_]) -> "_Films":
        return _Films(self.pixels[rows], self.truth[rows], self.patients[rows])


def retrained(
    table: Table,
    methods: Mapping[str, Explainer],
    *,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Finding]:
    """Findings "training.labels.METHOD" and "training.seeds.METHOD" of each method.

    Four pairs of small networks are trained on half of the patients. The two of a pair start alike and see the films in
    the same order; one learns the true labels, the other labels dealt anew among the patients (data randomisation,
    Adebayo 2018). The pairs have seeds of their own. Maps of films of the other half are held against each other by
    Spearman's ρ on 8 × 8 cells.

    Labels: the figure is the mean of |ρ(true, true of another seed)| − |ρ(true, shuffled)|. Pass: above 0, the map
    depends on the labels. Fail: the whole interval below 0.1, and |ρ(true, shuffled)| 0.7 or more: the map is the same
    whatever was learnt. Where it is less, another seed changes the map as well, and nothing is told. Seeds: the figure
    is the mean of ρ(true, true of another seed). Pass: above 0.7. Fail: below. Intervals are over films and networks
    (`over_networks`): two networks are alike or unlike on all films together.
    """
    films = _films(table, seed)
    rng = np.random.default_rng([seed, 83])
    halves = None if films is None else _halves(films, rng)
    if halves is None:
        return [
            Finding(f"training.{what}.{name}", question.format(name), "not applicable",
                    f"Needs small pictures of {LEAST} labelled films, {EACH} of either class in either half.",
                    concerns="map")
            for name in methods for what, question in _QUESTIONS.items()
        ]  # fmt: skip
    learn, hold = halves
    networks: list[tuple[Classifier, Classifier]] = []
    for k in range(NETWORKS):
        shuffled = dealt_by_patient(learn.truth, learn.patients, rng)
        pair = [_trained(learn.pixels, labels, seed + k) for labels in (learn.truth, shuffled)]
        networks.append((pair[0], pair[1]))
        if progress:
            progress("training again, small", k + 1, NETWORKS)
    told = [_answers(network, hold) for network in (*networks[0], networks[1][0])]
    found: list[Finding] = []
    for name, method in methods.items():
        likeness = _likeness(networks, hold, method, seed)
        common = {"networks": NETWORKS, "aurocs": {n: a.as_dict() for n, a in zip(_TRAINED, told, strict=True)}}
        found += [_labels(name, likeness, common, level, seed), _seeds(name, likeness, common, level, seed)]
    return found


_TRAINED = ("true labels", "shuffled labels", "another seed")
_QUESTIONS = {
    "labels": "Do {} maps depend on what the labels teach?",
    "seeds": "Do {} maps come out the same when the network is trained with another seed?",
}


def _films(table: Table, seed: int) -> _Films | None:
    if "original" not in table.thumbs:
        return None
    pixels, rows = table.thumbs["original"]
    chosen = np.flatnonzero(table.known[rows])
    chosen = np.sort(np.random.default_rng([seed, 81]).permutation(chosen)[:FILMS])
    if len(chosen) < LEAST:
        return None
    rows = rows[chosen]
    return _Films(pixels[chosen], table.truth[rows], np.array(table.patients)[rows])


def _halves(films: _Films, rng: np.random.Generator) -> tuple[_Films, _Films] | None:
    """Films of half of the patients, and of the others; None where either half has too few of a class."""
    names = np.unique(films.patients)
    learning = np.isin(films.patients, names[rng.permutation(len(names))[: len(names) // 2]])
    halves = films[learning], films[~learning]
    enough = all(min(half.truth.sum(), (~half.truth).sum()) >= EACH for half in halves)
    return halves if enough else None


def _trained(pixels: NDArray[np.uint8], labels: NDArray[np.bool_], seed: int) -> Classifier:
    size = pixels.shape[1]
    start, _ = build("small_cnn", size=size, widths=(8, 16, 32), hidden=0, dropout=0.0, pretrained=False, seed=seed)
    inputs = start.preprocess.normalise(torch.from_numpy(pixels))
    coded = torch.from_numpy(labels.astype(np.int64))
    config = TrainConfig(epochs=EPOCHS, batch_size=32, lr=3e-3, precision="32", seed=seed, cache_prefix="never")
    return fit(start, Shuffled(inputs, coded, shift=1), [(inputs, coded)], config).classifier


def _answers(network: Classifier, films: _Films) -> Estimate:
    inputs = network.preprocess.normalise(torch.from_numpy(films.pixels))
    scores = network.logits(inputs)
    return auroc(films.truth, (scores[:, 1] - scores[:, 0]).numpy(), groups=films.patients)


@dataclass(frozen=True, eq=False)
class Likeness:
    """Likeness of F films' maps: true (K, K, F), ρ of two networks trained on true labels; shuffled (K, F), ρ of each
    with its partner trained on shuffled ones; patients (F,)."""

    true: Floats
    shuffled: Floats
    patients: NDArray[np.str_]

    def of(self, kept: Sequence[int], *, gap: bool) -> Floats:
        """Mean (F,) over pairs of these networks: ρ, or |ρ| less the mean |ρ| with the shuffled partner."""
        pairs = [self.true[i, j] for i, j in combinations(kept, 2)]
        if not gap:
            return np.mean(pairs, axis=0)
        return np.abs(pairs).mean(0) - np.abs(self.shuffled[list(kept)]).mean(0)


def _likeness(
    networks: Sequence[tuple[Classifier, Classifier]], films: _Films, method: Explainer, seed: int
) -> Likeness:
    chosen = np.random.default_rng([seed, 85]).permutation(len(films.truth))[:MAPS]
    seen = [Radiograph((films.pixels[i] / 255).astype(np.float32), str(i)) for i in chosen]

    def maps(network: Classifier) -> list[Floats]:
        return [pooled(e.map, CELLS) for e in explain(network, seen, method, target=1, seed=seed)]

    def rho(a: list[Floats], b: list[Floats]) -> Floats:
        return np.array([rank_correlation(x, y) or 0.0 for x, y in zip(a, b, strict=True)])

    true, shuffled = ([maps(pair[side]) for pair in networks] for side in (0, 1))
    alike = np.array([[rho(a, b) for b in true] for a in true])
    return Likeness(alike, np.array([rho(a, b) for a, b in zip(true, shuffled, strict=True)]), films.patients[chosen])


def over_networks(likeness: Likeness, *, gap: bool, level: float, seed: int) -> Estimate:
    """The mean of `Likeness.of` with an interval for other films and other networks.

    Its variance is the sum of those when each patient, and when each network, is left out in turn (the jackknife, on
    the safe side for pairs: Efron & Stein 1981), its degrees of freedom are Welch's. Where nothing varies: `film_mean`.
    """
    every = range(len(likeness.true))
    whole = likeness.of(every, gap=gap)
    less = np.array([likeness.of([j for j in every if j != k], gap=gap).mean() for k in every])
    by_film = film_mean(whole, likeness.patients, level=level, seed=seed)
    if by_film.value is None or by_film.low is None or by_film.n < 2 or max(np.ptp(whole), np.ptp(less)) < 1e-12:
        return by_film
    index = np.unique(likeness.patients, return_inverse=True)[1]
    size, sums = np.bincount(index), np.bincount(index, whole)
    left = (whole.sum() - sums) / (len(whole) - size)
    parts = [((len(x) - 1) * float(x.var()), float(len(x))) for x in (left, less)]
    return scaled_interval(
        by_film.value, sum(v for v, _ in parts) ** 0.5, level=level, n=by_film.n, df=welch_df(parts),
        method=f"jackknife over patients and {len(less)} networks",
    )  # fmt: skip


def _labels(name: str, likeness: Likeness, common: Mapping[str, object], level: float, seed: int) -> Finding:
    e = over_networks(likeness, gap=True, level=level, seed=seed)
    verdict: Verdict = "inconclusive"
    shuffled = float(np.abs(likeness.shuffled).mean())
    if e.low is not None and e.high is not None:
        verdict = "pass" if e.low > 0 else "fail" if e.high < SMALL and shuffled >= ALIKE else "inconclusive"
    says = {
        "pass": "They do: trained on shuffled labels, the network gives other maps than with another seed",
        "fail": "They do not: trained on shuffled labels, the network gives maps as like as another seed's",
        "inconclusive": "It is open: another seed changes the map as much as other labels do"
        if shuffled < ALIKE
        else "It is open",
    }[verdict]
    every = range(len(likeness.true))
    other = np.mean([np.abs(likeness.true[i, j]) for i, j in combinations(every, 2)])
    words = (
        f"{says} (|rank correlation| {shuffled:.2f} against {other:.2f}; {len(every)} pairs of networks). {_STANDS_IN}"
    )
    source = "Adebayo 2018 (data randomisation); control: another seed; threshold: ours"
    return Finding(
        f"training.labels.{name}", _QUESTIONS["labels"].format(name), verdict, words, e, 0.0, dict(common), source,
        concerns="map",
    )  # fmt: skip


def _seeds(name: str, likeness: Likeness, common: Mapping[str, object], level: float, seed: int) -> Finding:
    e = over_networks(likeness, gap=False, level=level, seed=seed)
    verdict: Verdict = "inconclusive"
    if e.low is not None and e.high is not None:
        verdict = "pass" if e.low > ALIKE else "fail" if e.high < ALIKE else "inconclusive"
    words = (
        f"Rank correlation {e} between the maps of networks that differ only in their seed, over pairs of "
        f"{len(likeness.true)}. {_STANDS_IN}"
    )
    return Finding(
        f"training.seeds.{name}", _QUESTIONS["seeds"].format(name), verdict, words, e, ALIKE, dict(common),
        "Arun 2021 (repeatability between trainings); threshold: ours, as for another seed of the method",
        concerns="map",
    )  # fmt: skip


def _made(what: str, case: Case) -> list[Finding]:
    if not case.map_films or not case.methods:
        return []
    every = case.once(
        "retrained",
        lambda: retrained(case.table, case.methods, level=case.level, seed=case.seed, progress=case.progress),
    )
    return [f for f in every if f.test.startswith(f"training.{what}.")]


_UNTRIED = {
    "labels": "Training again with shuffled labels: whether maps and answers depend on what was learnt.",
    "seeds": "Training again with other seeds: whether another network would be found guilty of the same.",
}
TESTS = tuple(
    Test(
        f"training.{what}", question.format("a method's"), "map", f"small pictures of {LEAST} labelled films",
        partial(_made, what), (f"training.{what}.{METHOD}",), small=("original",), untried=_UNTRIED[what],
    )
    for what, question in _QUESTIONS.items()
)  # fmt: skip
