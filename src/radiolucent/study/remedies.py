"""Ways to keep a network from a shortcut: each changes the films, the training or what the model looks at."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import embedded
from radiolucent.audits.trial.exchange import BESIDE, CHANNELS
from radiolucent.data import PixelCache
from radiolucent.data.loader import Redraw
from radiolucent.data.marks import Paste, patches, without_markers
from radiolucent.errors import ConfigError, DataError
from radiolucent.images.fill import dilated
from radiolucent.models import Classifier
from radiolucent.segment import LungWindow
from radiolucent.study.counterfactual import Counterfactual
from radiolucent.study.prepared import Prepared
from radiolucent.study.region_masks import Layers
from radiolucent.study.trained import Schooling
from radiolucent.types import Finding

__all__ = [
    "AUTO", "BEFORE", "EXCHANGED", "REMEDIES", "Plan", "Remedy", "best_of", "followed", "named", "validation_row",
    "windowed",
]  # fmt: skip

BEFORE = "as it is"
"""The model before any repair."""
EXCHANGED = 3
"""Channels that "discovered" exchanges at most, of those that a model follows."""
_UNNAMED = "discovered."
ROUND_LUNGS = 0.04
"""Share of the side by which lungs are grown before the rest counts as irrelevant: masks are not exact."""
VALIDATION_SEED = 0x5A


@dataclass(frozen=True, eq=False)
class Plan:
    """A training to be: its films, and what is added to the recipe.

    Attributes:
        before: the unrepaired classifier. channels: of `CHANNELS`, what discovery found on validation films.
    """

    prepared: Prepared
    schooling: Schooling
    before: Classifier | None = None
    channels: tuple[str, ...] = ()

    def on(self, pixels: NDArray[np.uint8]) -> "Plan":
        """The same with other pixels of the same films."""
        cache = dataclasses.replace(self.prepared.cache, pixels=pixels)
        return dataclasses.replace(self, prepared=dataclasses.replace(self.prepared, cache=cache))

    def redrawn(self, redraw: Redraw) -> "Plan":
        """The same with films drawn anew every epoch, in the place of a redraw of the same kind; markers come last."""
        others = [r for r in self.schooling.redraw if type(r) is not type(redraw)]
        return self.add(redraw=tuple(sorted([*others, redraw], key=lambda r: isinstance(r, Paste))))

    def settled(self, seed: int) -> "Plan":
        """The same with validation films redrawn once, so that epoch, threshold and temperature are chosen on such."""
        if not self.schooling.redraw:
            return self
        films, rows = self.prepared.cache.pixels.copy(), np.array(self.prepared.rows("val"), np.intp)
        for redraw in self.schooling.redraw:
            films[rows] = redraw.apply(films[rows], rows, (seed, VALIDATION_SEED))
        return self.on(films)

    def add(self, **fields: Any) -> "Plan":
        """The same with more schooling."""
        return dataclasses.replace(self, schooling=dataclasses.replace(self.schooling, **fields))


@dataclass(frozen=True)
class Remedy:
    """One way.

    Attributes:
        title, does: in words. apply: from a plan, the masks of its films, λ and the seed to the changed plan.
        crops: whether the model looks at the lungs' box alone; its films are then cut out before.
        keeps: whether it goes on from the run's own weights. discovers: whether it needs what discovery finds.
        longer: times the recipe's epochs: films that are drawn anew take longer to learn from.
    """

    title: str
    does: str
    apply: Callable[[Plan, Layers, float, int], Plan]
    crops: bool = False
    keeps: bool = False
    discovers: bool = False
    longer: int = 1


def _crop(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    return plan


def _bare(plan: Plan, layers: Layers) -> NDArray[np.uint8]:
    films = plan.prepared.cache.pixels
    return np.stack([without_markers(film, mask) for film, mask in zip(films, layers.markers, strict=True)])


def _inpaint(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    if not layers.markers.any():
        raise DataError("no marker was found on any film; nothing to in-paint. Give masks with --markers.")
    return plan.on(_bare(plan, layers))


def _randomise(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    train = plan.prepared.rows("train")
    bank = patches(np.asarray(plan.prepared.cache.pixels[train]), layers.markers[train])
    paste = Paste(bank=bank, lungs=layers.lungs)
    return plan.on(_bare(plan, layers)).redrawn(paste)


def _reasons(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Irrelevant is what lies outside the doctors' regions where they marked any, else outside the lungs."""
    irrelevant = np.zeros(layers.lungs.shape, bool)
    for i, (lungs, findings) in enumerate(zip(layers.lungs, layers.findings, strict=True)):
        if findings.any() or layers.lungs_known[i]:
            irrelevant[i] = ~dilated(findings if findings.any() else lungs, ROUND_LUNGS)
    if not irrelevant.any():
        raise DataError("lungs are known on no film; the right-reasons loss needs them, or doctors' regions.")
    return plan.add(irrelevant=irrelevant, changes={**plan.schooling.changes, "right_reasons": penalty})


def _surroundings(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Every epoch anew, half of the films of either class with known lungs have surroundings of the other class, and
    frames and patches beside the lungs come and go. What surrounds the lungs then tells nothing of the class."""
    films = _counterfactual(plan, layers)
    own = [{int(films.labels[i]) for i in plan.prepared.rows(s) if layers.lungs_known[i]} for s in ("train", "val")]
    if min(len(labels) for labels in own) < 2:
        raise DataError("lungs are known on no films of two classes; exchanging surroundings needs them (--lungs).")
    return plan.redrawn(dataclasses.replace(films, surroundings=True))


def _counterfactual(plan: Plan, layers: Layers) -> Counterfactual:
    """The one already in the plan, else one that exchanges nothing yet."""
    for redraw in plan.schooling.redraw:
        if isinstance(redraw, Counterfactual):
            return redraw
    cache = plan.prepared.cache
    labels = np.array([-1 if r.label is None else r.label for r in cache.records], np.int64)
    split = np.full(len(labels), -1, np.int64)
    for number, name in enumerate(("train", "val")):
        split[plan.prepared.rows(name)] = number
    return Counterfactual(cache.pixels, layers.lungs, layers.markers, layers.lungs_known, labels, split)


def _last_layer(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Deep feature reweighting (Kirichenko 2023): all but the head (its dense layers) keeps the run's weights."""
    made = _surroundings(plan, layers, penalty, seed)
    return made.add(changes={**made.schooling.changes, "freeze": "all"})


def _discovered(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Every epoch anew, half of the films of either class show in the channels that discovery found what a film of the
    other class and the same split shows. What it carries then tells nothing of the class; the anatomy stays."""
    films = _counterfactual(plan, layers)
    names = [n for n in plan.channels if not (films.surroundings and n in BESIDE)]
    if films.surroundings:  # "fine" is "inside" and what lies beside the lungs
        names = list(dict.fromkeys("inside" if n == "fine" else n for n in names))
    if not names:
        raise DataError(
            "discovery found nothing on the validation films that films could exchange (it looks from ten patients of "
            "either class on); name another method: --method surroundings."
        )
    return plan.redrawn(dataclasses.replace(films, channels={n: CHANNELS[n].exchange for n in names}))


GROUPS, MOST = 2, 10
"""Groups of a class by the network's features; films of a group below which it is left as it is."""


def _balanced(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Group balancing by resampling (Idrissi 2022) on groups that the network's own features tell apart (George, Sohoni
    2020): of each class the larger group's films give way at random to films of the smaller one, split by split."""
    from sklearn.cluster import KMeans

    cache = plan.prepared.cache
    features = None if plan.before is None else embedded(plan.before, np.asarray(cache.pixels))
    if features is None:
        raise DataError("the network has no feature maps to find groups by.")
    scaled, out, made = features / (features.std(0) + 1e-6), cache.pixels.copy(), 0
    rng = np.random.default_rng([seed, 0x5D])
    for label in sorted({r.label for r in cache.records if r.label is not None}):
        own = {
            s: np.array([i for i in plan.prepared.rows(s) if cache.records[i].label == label]) for s in ("train", "val")
        }
        if len(own["train"]) < 2 * MOST:
            continue
        found = KMeans(GROUPS, n_init=4, random_state=seed).fit(scaled[own["train"]])  # pyright: ignore[reportArgumentType]
        for rows in own.values():
            groups = found.predict(scaled[rows]) if len(rows) else np.zeros(0, int)
            few, many = sorted((rows[groups == k] for k in range(GROUPS)), key=len)
            if len(few) >= min(MOST, len(rows) // 10 + 1):
                gone = rng.permutation(many)[: (len(many) - len(few)) // 2]
                out[gone] = cache.pixels[rng.choice(few, len(gone))]
                made += len(gone)
    if not made:
        raise DataError("the network's features tell no groups of films apart that could be balanced.")
    return plan.on(out)


REMEDIES: Mapping[str, Remedy] = {
    "crop": Remedy("crop to lungs", "the model sees the box around the lungs alone", _crop, crops=True),
    "inpaint": Remedy("in-paint markers", "markers are filled in on the training films", _inpaint),
    "randomise": Remedy(
        "markers at random", "markers are filled in, and others pasted on half of the films of any class", _randomise
    ),
    "reasons": Remedy("right reasons", "a penalty on the gradient outside the doctors' regions or the lungs", _reasons),
    "surroundings": Remedy(
        "surroundings exchanged",
        "all but the lungs is a film of the other class on half of the films, anew every epoch",
        _surroundings, longer=2,
    ),
    "last-layer": Remedy(
        "last layer anew", "the run's own features, the dense layers behind them trained with surroundings exchanged",
        _last_layer, keeps=True,
    ),
    "discovered": Remedy(
        "what discovery found, exchanged",
        "what discovery finds on validation films is another class's on half of the films, anew every epoch",
        _discovered, discovers=True, longer=2,
    ),
    "balance": Remedy(
        "groups balanced", "groups that the network's features tell apart are of one size in each class", _balanced
    ),
}  # fmt: skip
"""Every remedy by name; several are joined with "+", in this order."""
AUTO = ("randomise", "surroundings", "surroundings+discovered")
"""What "auto" tries: those that brought a network back to a pass where it was measured (`docs/howto/repair.md`)."""


def named(name: str) -> tuple[Remedy, ...]:
    """The remedies of a name such as "crop+randomise".

    Raises:
        ConfigError: an unknown one, one twice, or two that exclude each other.
    """
    parts = name.split("+")
    if "balance" in parts and len(parts) > 1:
        raise ConfigError(f"method {name}: balance puts films in others' places, and masks would not follow; alone.")
    if {"last-layer", "surroundings"} <= set(parts):
        raise ConfigError(f"method {name}: last-layer exchanges surroundings by itself; expected one of the two.")
    if {"reasons", "surroundings"} <= set(parts):
        raise ConfigError(f"method {name}: surroundings lays lungs elsewhere, and reasons' masks would not follow.")
    if unknown := [p for p in parts if p not in REMEDIES]:
        raise ConfigError(f"method {', '.join(unknown)}; expected any of {', '.join(REMEDIES)}, joined with '+'.")
    if len(set(parts)) < len(parts):
        raise ConfigError(f"method {name}: the same twice.")
    if {"inpaint", "randomise"} <= set(parts):
        raise ConfigError(f"method {name}: randomise fills markers in by itself; expected one of the two.")
    return tuple(REMEDIES[p] for p in REMEDIES if p in parts)


def followed(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Of `CHANNELS`, what these findings of discovery say that a model follows: the gravest first.

    Those whose figure lies above the threshold, failed or open. A concept, a cluster of maps or errors point outside
    the lungs, and stand for the surroundings.
    """
    above = {
        f.test.removeprefix(_UNNAMED): f.estimate.value / f.threshold
        for f in findings
        if f.test.startswith(_UNNAMED) and f.estimate and f.estimate.value and f.threshold
        and f.estimate.value > f.threshold
    }  # fmt: skip
    names = sorted(above, key=lambda name: -above[name])
    return tuple(dict.fromkeys(n if n in CHANNELS else "surroundings" for n in names))


def validation_row(findings: Sequence[Finding]) -> dict[str, Any]:
    """What decides between candidates: the reasons score on validation films, and which channels the model follows."""
    score = next((f.estimate for f in findings if f.test == "reasons.score"), None)
    return {"reasons": score.as_dict() if score else None, "follows": list(followed(findings))}


def best_of(tried: Mapping[str, Mapping[str, Any]]) -> str:
    """The candidate that follows the fewest channels on validation films; of several the highest reasons score.

    Where any has a higher reasons score than the model as it is, only such: a network that says the same of every film
    follows nothing either.

    Raises:
        ConfigError: none has one.
    """
    scores = {name: row["reasons"]["value"] for name, row in tried.items() if row.get("reasons")}
    known = [name for name in scores if name in AUTO]
    if not known:
        raise ConfigError(
            "auto chooses by the reasons score, which no candidate has here: it needs known lungs (--lungs) on "
            "validation films of ten patients of either class. Name a method: --method crop."
        )
    better = [name for name in known if scores[name] > scores.get(BEFORE, -1.0)] or known
    return max(better, key=lambda name: (-len(tried[name]["follows"]), scores[name]))


def windowed(cache: PixelCache, layers: Layers) -> LungWindow:
    """The window of a cropping model; typical is the median box of its training films' lungs.

    Where lungs are known on fewer than ten of them, the built-in one.
    """
    side = cache.preprocess.size
    boxes: list[tuple[float, float, float, float]] = []
    for i, record in enumerate(cache.records):
        if record.split == "train" and layers.lungs_known[i]:
            rows, columns = np.flatnonzero(layers.lungs[i].any(1)), np.flatnonzero(layers.lungs[i].any(0))
            boxes.append((columns[0] / side, rows[0] / side, (columns[-1] + 1) / side, (rows[-1] + 1) / side))
    if len(boxes) < 10:
        return LungWindow()
    left, top, right, bottom = (round(float(v), 4) for v in np.median(np.array(boxes), 0))
    return LungWindow(typical=(left, top, right, bottom))
