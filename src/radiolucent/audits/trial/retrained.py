"""Training again, small: on shuffled labels, and with another seed. Do maps and answers come from what was learnt?

The audited network itself takes too long to train again, so a small one stands in for it: it learns the audited films
at 32 × 32 pixels, and each explanation method is tried on it. What is tested is therefore the method on these films,
not the audited network (`maps.*.randomisation` tests that one).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import METHOD, Case, Test
from radiolucent.audits.trial.planted import Shuffled
from radiolucent.audits.trial.verdicts import film_mean
from radiolucent.audits.trust.similarity import pooled, rank_correlation
from radiolucent.explainers import Explainer, explain
from radiolucent.metrics import auroc
from radiolucent.models import Classifier, build
from radiolucent.training import TrainConfig, fit
from radiolucent.types import Estimate, Finding, Radiograph, Verdict

__all__ = ["TESTS", "retrained"]

FILMS, LEAST, EACH, MAPS, EPOCHS, CELLS = 240, 60, 5, 40, 14, 8
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

    Three small networks are trained on half of the patients: on true labels, on shuffled labels from the same start and
    in the same order (data randomisation, Adebayo 2018), and on true labels with another seed. On films of the other
    half, the maps of the first are held against those of the others by Spearman's ρ on 8 × 8 cells.

    Labels: the figure is |ρ(true, other seed)| − |ρ(true, shuffled)| over films. Pass: above 0, the map depends on the
    labels. Fail: the whole interval below 0.1, the map is the same whatever was learnt. Seeds: the figure is the mean
    of ρ(true, other seed). Pass: above 0.7. Fail: below.
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
    shuffled = rng.permutation(learn.truth)
    networks: list[Classifier] = []
    for k, (labels, own_seed) in enumerate(((learn.truth, seed), (shuffled, seed), (learn.truth, seed + 1))):
        networks.append(_trained(learn.pixels, labels, own_seed))
        if progress:
            progress("training again, small", k + 1, 3)
    told = [_answers(network, hold) for network in networks]
    found: list[Finding] = []
    for name, method in methods.items():
        pairs = _likeness(networks, hold, method, seed)
        common = {"aurocs": {n: a.as_dict() for n, a in zip(_TRAINED, told, strict=True)}}
        found += [_labels(name, *pairs, common, level, seed), _seeds(name, pairs[0], pairs[2], common, level, seed)]
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


def _likeness(
    networks: list[Classifier], films: _Films, method: Explainer, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
    """ρ of the first network's maps with the third's and the second's, film by film, and the films' patients."""
    chosen = np.random.default_rng([seed, 85]).permutation(len(films.truth))[:MAPS]
    seen = [Radiograph((films.pixels[i] / 255).astype(np.float32), str(i)) for i in chosen]
    first, shuffled, other = (
        [pooled(e.map, CELLS) for e in explain(network, seen, method, target=1, seed=seed)] for network in networks
    )

    def rho(a: list[NDArray[np.float64]], b: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.array([rank_correlation(x, y) or 0.0 for x, y in zip(a, b, strict=True)])

    return rho(first, other), rho(first, shuffled), films.patients[chosen]


def _labels(
    name: str, other: NDArray[np.float64], shuffled: NDArray[np.float64], patients: NDArray[np.str_],
    common: Mapping[str, object], level: float, seed: int,
) -> Finding:  # fmt: skip
    e = film_mean(np.abs(other) - np.abs(shuffled), patients, level=level, seed=seed)
    low, high = e.low, e.high
    verdict: Verdict = "inconclusive"
    if low is not None and high is not None:
        verdict = "pass" if low > 0 else "fail" if high < SMALL else "inconclusive"
    says = {
        "pass": "They do: trained on shuffled labels, the network gives other maps than with another seed",
        "fail": "They do not: trained on shuffled labels, the network gives maps as like as another seed's",
        "inconclusive": "It is open",
    }[verdict]
    words = (
        f"{says} (|rank correlation| {np.abs(shuffled).mean():.2f} against {np.abs(other).mean():.2f}). {_STANDS_IN}"
    )
    source = "Adebayo 2018 (data randomisation); control: another seed; threshold: ours"
    return Finding(
        f"training.labels.{name}", _QUESTIONS["labels"].format(name), verdict, words, e, 0.0, dict(common), source,
        concerns="map",
    )  # fmt: skip


def _seeds(
    name: str, other: NDArray[np.float64], patients: NDArray[np.str_], common: Mapping[str, object], level: float,
    seed: int,
) -> Finding:  # fmt: skip
    e = film_mean(other, patients, level=level, seed=seed)
    verdict: Verdict = "inconclusive"
    if e.low is not None and e.high is not None:
        verdict = "pass" if e.low > ALIKE else "fail" if e.high < ALIKE else "inconclusive"
    words = f"Rank correlation {e} between the maps of two networks that differ only in their seed. {_STANDS_IN}"
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
