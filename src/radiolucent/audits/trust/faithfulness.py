"""Whether what a map marks is what the answer depends on: insertion and deletion against random maps as smooth."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trust.similarity import is_constant, pooled, surrogates
from radiolucent.errors import ConfigError
from radiolucent.explainers import Goal
from radiolucent.explainers.perturbation.copies import Asker, side_by_side
from radiolucent.metrics.arrays import midranks
from radiolucent.models import Classifier
from radiolucent.passes.session import Session, or_torch
from radiolucent.types import Estimate, Explanation, Finding, Radiograph, Verdict

__all__ = ["Curves", "Fill", "curves", "faithfulness"]

Fill = Literal["blur", "mean"]
Bools = NDArray[np.bool_]
SOURCE = (
    "Petsiuk, Das, Saenko 2018 (RISE), §4.2; orders of random maps as smooth (Theiler 1992), in reversed pairs: ours"
)


@dataclass(frozen=True, eq=False)
class Curves:
    """The score while a film is shown cell by cell.

    Attributes:
        shares: (k,) share of the film shown, 0 … 1.
        insertion: (k,) scores with the map's highest cells shown first.
        deletion: (k,) the same with its lowest cells shown first, that is, the highest hidden first, read backwards.
        random: (orders, k) with cells shown in the order of random maps as smooth as this one; row 2i + 1 is row 2i in
            reversed order.
        scale: what the scores were divided by, after the score of the hidden film was subtracted.
    """

    shares: NDArray[np.float64]
    insertion: NDArray[np.float64]
    deletion: NDArray[np.float64]
    random: NDArray[np.float64]
    scale: float

    def area(self, curve: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area under a curve, or under each row."""
        return np.asarray(np.trapezoid(curve, self.shares, axis=-1))


def _filling(grey: torch.Tensor, fill: Fill) -> torch.Tensor:
    """What hidden places show, (S, S): the film blurred until findings are gone, or its mean."""
    from scipy import ndimage

    if fill == "mean":
        return torch.full_like(grey, float(grey.mean()))
    if fill != "blur":
        raise ConfigError(f"fill {fill!r}; expected 'blur' or 'mean'.")
    return torch.from_numpy(ndimage.gaussian_filter(grey.numpy(), grey.shape[0] / 8))


def _shown(order: NDArray[np.intp], counts: NDArray[np.intp]) -> Bools:
    """(len(counts), cells) True where a cell is among the first `count` of the order."""
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    return place[None] < counts[:, None]


def curves(
    classifier: Classifier,
    film: Radiograph,
    explanation: Explanation,
    *,
    fill: Fill = "blur",
    cells: int = 8,
    steps: int = 6,
    orders: int = 12,
    seed: int = 0,
    session: Session | None = None,
) -> Curves:
    """Insertion and deletion curves of a map and of random maps, on cells × cells parts of the model's input.

    Random maps are as smooth as this one (`surrogates`): cells in no order at all would be scattered, as no map is, and
    a smooth map would differ from them by its smoothness alone.

    A curve is c(s) = (z(s) − z(0)) / |z(1) − z(0)|, z(s) the score with the share s of the cells shown and the rest
    filled; the probability is replaced by the logit, because it saturates. Deleting in one order is inserting in the
    reversed one, so that a random order serves both ways. Costs (orders + 2) · steps + 2 images.

    Args:
        fill: what hidden cells show: the film "blur"red (σ = S/8), or its "mean".
        steps: points between nothing and everything shown. orders: random ones, an even number.
        session: of the job; where it has converted the network already, for more images, that answers.
    """
    if orders < 4 or orders % 2 or steps < 1 or cells < 2:
        raise ConfigError(f"orders {orders}, steps {steps}, cells {cells}; expected an even number ≥ 4, ≥ 1, ≥ 2.")
    image = classifier.preprocess(film)[None]
    grey = classifier.preprocess.denormalise(image)[0].cpu()
    hidden = classifier.preprocess.normalise(_filling(grey, fill)[None])
    values = pooled(explanation.map, cells)
    parts = values.size
    ranked = np.argsort(-values.ravel(), kind="stable")
    counts = np.round(np.linspace(0, parts, steps + 2)[1:-1]).astype(np.intp)
    rng = np.random.default_rng([seed, 7])
    drawn = [np.argsort(-s.ravel(), kind="stable") for s in _random_maps(values, orders // 2, rng)]
    plans = [ranked, ranked[::-1], *(o for d in drawn for o in (d, d[::-1]))]
    masks = np.concatenate([np.zeros((1, parts), bool), np.ones((1, parts), bool), *(_shown(p, counts) for p in plans)])
    session = session or Session()
    engine = or_torch(session.engine(classifier, image, len(masks)), classifier)
    sides, most = side_by_side(classifier, engine, session)
    asker = Asker(engine.logits, engine.name, max(1, most // sides), sides, session)
    scores = _scores(asker, classifier, explanation, image, hidden, masks, values.shape)
    nothing, whole = scores[0], scores[1]
    spread = float(np.ptp(scores))
    # Where the hidden film happens to score as the film does, the curves themselves give the scale.
    scale = max(abs(whole - nothing), 0.1 * spread) or 1.0
    inner = scores[2:].reshape(len(plans), steps)
    full = np.concatenate([np.full((len(plans), 1), nothing), inner, np.full((len(plans), 1), whole)], axis=1)
    normal = (full - nothing) / scale
    shares = np.concatenate([[0.0], counts / parts, [1.0]])
    return Curves(shares, normal[0], normal[1], normal[2:], scale if spread > 1e-6 * (1 + abs(whole)) else 0.0)


def _random_maps(values: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Random maps with the spectrum of this one's ranks, ties broken at random, so that no order is preferred."""
    shaken = midranks(values + 1e-9 * np.ptp(values) * rng.random(values.shape)).reshape(values.shape)
    return surrogates(shaken, count, rng)


def _scores(
    asker: Asker,
    classifier: Classifier,
    explanation: Explanation,
    image: torch.Tensor,
    hidden: torch.Tensor,
    masks: Bools,
    grid: tuple[int, ...],
) -> NDArray[np.float64]:
    """Scores (n,) of the film with cells hidden by each of `masks` (n, cells)."""
    size = image.shape[-2:]
    kind = "logit" if explanation.score_kind == "probability" else explanation.score_kind
    other = None if explanation.contrast is None else classifier.index_of(explanation.contrast)
    difference = (image - hidden).contiguous()
    rows, columns = (torch.arange(side) * cells // side for side, cells in zip(size, grid, strict=True))

    def compose(part: slice) -> torch.Tensor:
        some = torch.from_numpy(masks[part].astype(np.float32)).view(-1, *grid)
        return torch.addcmul(hidden, difference, some[:, rows][:, :, columns][:, None])

    logits = asker.ask(len(masks), compose)
    against = None if other is None else torch.full((len(logits),), other)
    goal = Goal(torch.full((len(logits),), explanation.target), kind, classifier, against)
    return (goal.of(logits) / classifier.temperature).double().numpy()


def faithfulness(
    classifier: Classifier, film: Radiograph, explanation: Explanation, *, level: float = 0.95, **options: Any
) -> Finding:
    """Does showing what the map marks bring the answer back sooner, and hiding it take it away sooner, than by chance?

    The figure is g = (AUC insertion − AUC deletion) / 2 of `curves`. For random maps as smooth as this one it is
    symmetric about 0; its deviation s comes from reversed pairs of their orders, g ± t·s with as many degrees of
    freedom as pairs. Pass: the interval lies above 0. Fail: g below where four of five random maps are. Between:
    inconclusive.

    Args:
        options: of `curves`.
    """
    from scipy import special

    question = "Does the answer depend on what the map marks, more than on what random maps as smooth mark?"
    if is_constant(explanation.map):
        return _finding("fail", question, "The map is the same everywhere: it points nowhere.", None, {})
    found = curves(classifier, film, explanation, **options)
    insertion, deletion = float(found.area(found.insertion)), float(found.area(found.deletion))
    chance = found.area(found.random)
    pairs = (chance[0::2] - chance[1::2]) / 2
    deviation, n = float(np.sqrt((pairs**2).mean())), len(pairs)
    gain = (insertion - deletion) / 2
    half = float(special.stdtrit(n, 0.5 + level / 2)) * deviation
    method = f"t, {n} reversed pairs of random maps as smooth"
    estimate = Estimate(gain, gain - half, gain + half, level, n, method)
    evidence = {
        "insertion_auc": insertion,
        "deletion_auc": deletion,
        "random_auc": float(chance.mean()),
        "insertion_beats_random": float((insertion > chance).mean()),
        "deletion_beats_random": float((deletion < chance).mean()),
        "images": len(chance) * (len(found.shares) - 2) + 2 * (len(found.shares) - 2) + 2,
        "shares": found.shares.tolist(),
        "insertion": found.insertion.tolist(),
        "deletion": found.deletion.tolist(),
        "random_mean": found.random.mean(0).tolist(),
    }
    if found.scale == 0:
        words = "The answer does not change whatever part of the film is hidden: nothing to test."
        return _finding("inconclusive", question, words, None, evidence)
    if gain - half > 0:
        verdict, words = "pass", "The answer depends on what the map marks more than on what random maps mark"
    elif gain < float(special.stdtrit(n, 0.8)) * deviation:
        verdict, words = "fail", "What the map marks matters to the answer no more than what random maps mark"
    else:
        verdict, words = (
            "inconclusive",
            "What the map marks seems to matter more than what random maps mark, not clearly",
        )
    ends = f"{gain:.2f} ({level:.0%} interval {gain - half:.2f} to {gain + half:.2f}, 0 by chance)"
    return _finding(verdict, question, f"{words}: {ends}.", estimate, evidence)


def _finding(
    verdict: Verdict, question: str, summary: str, estimate: Estimate | None, evidence: dict[str, Any]
) -> Finding:
    return Finding("trust.faithfulness", question, verdict, summary, estimate, 0.0, evidence, SOURCE)
