"""Ways to keep a network from a shortcut: each changes the films, the training or what the model looks at."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trial.exchange import BESIDE, CHANNELS
from radiolucent.data import PixelCache
from radiolucent.data.loader import Redraw
from radiolucent.data.marks import Paste, patches, without_markers
from radiolucent.errors import ConfigError, DataError
from radiolucent.images.fill import dilated
from radiolucent.models import Classifier
from radiolucent.segment import LungWindow
from radiolucent.study.counterfactual import Counterfactual
from radiolucent.study.groups import MOST, by_channels, by_features, described, grouped, of_class
from radiolucent.study.prepared import Prepared
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.region_masks import Layers
from radiolucent.study.trained import Schooling
from radiolucent.training import natural_range
from radiolucent.types import Finding

__all__ = [
    "AUTO", "BEFORE", "EXCHANGED", "NO_SCORE", "REMEDIES", "Plan", "Remedy", "best_of", "followed", "named",
    "validation_row", "windowed",
]  # fmt: skip

BEFORE = "as it is"
"""The model before any repair."""
EXCHANGED = 3
"""Channels that "discovered" exchanges at most, of those that a model follows."""
_UNNAMED = "discovered."
DRO: Mapping[str, Any] = {"group_rate": 0.01, "group_adjustment": 1.0, "l2": 1e-3}
"""η, C and λ of group DRO. Without regularisation every group's training loss goes to 0 and no weight matters (Sagawa
2020); the epoch is that of the worst validation group's lowest loss."""
RANGE_FILMS = 128
"""Training films from which relevance's natural range is taken."""
ROUND_LUNGS = 0.04
"""Share of the side by which lungs are grown before the rest counts as irrelevant: masks are not exact."""
VALIDATION_SEED = 0x5A


@dataclass(frozen=True, eq=False)
class Plan:
    """A training to be: its films, and what is added to the recipe.

    Attributes:
        before: the unrepaired classifier. channels: of `CHANNELS`, what discovery found on validation films.
        told: what was decided on the way, in words. say: progress.
    """

    prepared: Prepared
    schooling: Schooling
    before: Classifier | None = None
    channels: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    say: Progress = quiet

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

    def changed(self, **fields: Any) -> "Plan":
        """The same with other fields of the training configuration."""
        return self.add(changes={**self.schooling.changes, **fields})

    def telling(self, text: str) -> "Plan":
        """The same with more to tell."""
        return dataclasses.replace(self, told=(*self.told, text))


@dataclass(frozen=True)
class Remedy:
    """One way.

    Attributes:
        title, does: in words. apply: from a plan, the masks of its films, λ and the seed to the changed plan.
        crops: whether the model looks at the lungs' box alone; its films are then cut out before.
        keeps: whether it goes on from the run's own weights.
        discovers: whose shortcuts it needs: those of the model that the "others" of the method give, or "before".
        longer: times the recipe's epochs: films that are drawn anew take longer to learn from.
        penalties: where it penalises, λ unless given, and behind it the λ that are tried where it is to be chosen.
    """

    title: str
    does: str
    apply: Callable[[Plan, Layers, float, int], Plan]
    crops: bool = False
    keeps: bool = False
    discovers: Literal["", "others", "before"] = ""
    longer: int = 1
    penalties: tuple[float, ...] = ()


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
    return plan.add(irrelevant=_irrelevant(layers)).changed(right_reasons=penalty)


def _irrelevant(layers: Layers) -> NDArray[np.bool_]:
    """What lies outside the doctors' regions where they marked any, else outside the lungs."""
    irrelevant = np.zeros(layers.lungs.shape, bool)
    for i, (lungs, findings) in enumerate(zip(layers.lungs, layers.findings, strict=True)):
        if findings.any() or layers.lungs_known[i]:
            irrelevant[i] = ~dilated(findings if findings.any() else lungs, ROUND_LUNGS)
    if not irrelevant.any():
        raise DataError("lungs are known on no film; a penalty on what lies outside needs them, or doctors' regions.")
    return irrelevant


def _relevance(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Relevance outside relative to inside (ISNet); its natural range is that of the unrepaired network."""
    if plan.before is None:
        raise DataError("the relevance loss takes its natural range from the unrepaired network; none was given.")
    cache, rows = plan.prepared.cache, np.array(plan.prepared.rows("train"), np.intp)
    rows = np.random.default_rng([seed, 0x5F]).permutation(rows)[:RANGE_FILMS]
    low, high = natural_range(plan.before, cache.preprocess.normalise(torch.from_numpy(np.asarray(cache.pixels[rows]))))
    plan = plan.telling(f"relevance inside is kept between {low:.3g} and {high:.3g}, as in the unrepaired model")
    changes = {"relevance": penalty, "relevance_low": low, "relevance_high": high}
    return plan.add(irrelevant=_irrelevant(layers)).changed(**changes)


def _groups(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Group DRO (Sagawa 2020). Groups are the films of a class that carry, or do not, what discovery found that the
    unrepaired network follows; where it found nothing, those that the network's features tell apart."""
    if plan.before is None:
        raise DataError("groups are found by the unrepaired network; none was given.")
    if plan.channels:
        found = dict(by_channels(plan.before, plan.prepared, layers, plan.channels, seed, plan.say))
        by = f"what the network follows in {', '.join(plan.channels)}"
        grouping = grouped(plan.prepared, found, ("without", "with"), by)
    else:
        found = dict(by_features(plan.before, plan.prepared, seed))
        grouping = grouped(plan.prepared, found, ("first kind", "second kind"), "the network's features")
    plan = plan.telling(described(grouping, plan.prepared)).add(groups=grouping.groups)
    return plan.changed(**DRO)


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
    return _surroundings(plan, layers, penalty, seed).changed(freeze="all")


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
    films = dataclasses.replace(films, channels={n: CHANNELS[n].exchange for n in names})
    return plan.redrawn(films).telling(f"exchanged: {', '.join(names)}")


def _balanced(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Group balancing by resampling (Idrissi 2022) on groups that the network's own features tell apart (George, Sohoni
    2020): of each class the larger group's films give way at random to films of the smaller one, split by split."""
    cache = plan.prepared.cache
    out, made, rng = cache.pixels.copy(), 0, np.random.default_rng([seed, 0x5D])
    for label, parts in by_features(plan.before, plan.prepared, seed):
        for split, part in parts.items():
            rows = of_class(plan.prepared, split, label)
            few, many = sorted((rows[part == 0], rows[part == 1]), key=len)
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
    "reasons": Remedy(
        "right reasons", "a penalty on the gradient outside the doctors' regions or the lungs", _reasons,
        penalties=(10.0, 0.01, 0.1, 1.0, 10.0),
    ),
    "relevance": Remedy(
        "relevance inside", "a penalty on relevance outside the doctors' regions or the lungs, relative to inside",
        _relevance, penalties=(1.0, 0.1, 0.3, 1.0, 3.0),
    ),
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
        _discovered, discovers="others", longer=2,
    ),
    "groups": Remedy(
        "worst group first", "group DRO: the loss of the groups that fare worst, drawn equally often", _groups,
        discovers="before",
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
    if "groups" in parts and not set(parts) <= {"groups", "reasons", "relevance"}:
        raise ConfigError(f"method {name}: groups are of the films as they are; alone, or with reasons or relevance.")
    if {"reasons", "relevance"} <= set(parts):
        raise ConfigError(f"method {name}: two penalties on one gradient; expected one of the two.")
    if {"last-layer", "surroundings"} <= set(parts):
        raise ConfigError(f"method {name}: last-layer exchanges surroundings by itself; expected one of the two.")
    if set(parts) & {"reasons", "relevance"} and set(parts) & {"surroundings", "last-layer"}:
        raise ConfigError(f"method {name}: surroundings are laid round other lungs, and the masks would not follow.")
    if {"crop", "relevance"} <= set(parts):
        raise ConfigError(
            f"method {name}: relevance takes its natural range from the unrepaired network, which never saw a crop; "
            "expected one of the two."
        )
    if set(parts) & {"reasons", "relevance"} and "discovered" in parts:
        raise ConfigError(f"method {name}: exchanged poses move the lungs, and the masks would not follow.")
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


NO_SCORE = (
    "auto chooses by the reasons score, which no candidate has here: it needs known lungs (--lungs) on validation "
    "films of ten patients of either class. Name a method (--method crop) or a strength (--penalty 1)."
)


def best_of(tried: Mapping[str, Mapping[str, Any]]) -> str:
    """The candidate that follows the fewest channels on validation films; of several the highest reasons score.

    Where any has a higher reasons score than the model as it is, only such: a network that says the same of every film
    follows nothing either.

    Raises:
        ConfigError: none has one.
    """
    scores = {name: row["reasons"]["value"] for name, row in tried.items() if row.get("reasons")}
    known = [name for name in scores if name != BEFORE]
    if not known:
        raise ConfigError(NO_SCORE)
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
