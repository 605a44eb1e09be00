"""Ways to keep a network from a shortcut: each changes the films, the training or what the model looks at."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import embedded
from radiolucent.audits.trial.chests import Chest, chest, with_lungs_of
from radiolucent.audits.trial.exchange import CHANNELS
from radiolucent.audits.trial.regions import View
from radiolucent.data import PixelCache
from radiolucent.data.marks import Paste, patches, without_markers
from radiolucent.errors import ConfigError, DataError
from radiolucent.images.fill import dilated
from radiolucent.models import Classifier
from radiolucent.segment import LungWindow
from radiolucent.study.prepared import Prepared
from radiolucent.study.region_masks import Layers
from radiolucent.study.trained import Schooling

__all__ = ["AUTO", "REMEDIES", "Plan", "Remedy", "best_of", "named", "windowed"]

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
    """

    title: str
    does: str
    apply: Callable[[Plan, Layers, float, int], Plan]
    crops: bool = False
    keeps: bool = False
    discovers: bool = False


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
    """Validation films get theirs once, so that epoch, threshold and temperature are chosen on markers at random."""
    train = plan.prepared.rows("train")
    bank = patches(np.asarray(plan.prepared.cache.pixels[train]), layers.markers[train])
    paste = Paste(bank=bank, lungs=layers.lungs)
    films = _bare(plan, layers)
    rows = np.array(plan.prepared.rows("val"), np.intp)
    films[rows] = paste.apply(films[rows], rows, (seed, VALIDATION_SEED))
    return plan.on(films).add(paste=paste)


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
    """Counterfactual pairs: on half of the training and validation films of either class with known lungs, all but the
    lungs is a film of the other class and the same split. What surrounds the lungs then tells nothing of the class.
    """
    cache, out = plan.prepared.cache, plan.prepared.cache.pixels.copy()
    rng, made = np.random.default_rng([seed, 0x5B]), 0
    for split in ("train", "val"):
        chests: dict[int, Chest] = {}
        for i in plan.prepared.rows(split):
            if layers.lungs_known[i]:
                everywhere = np.ones(cache.pixels[i].shape, bool)
                view = View(cache.pixels[i], str(i), str(i), cache.records[i].label, everywhere, layers.lungs[i])
                if (one := chest(view)) is not None:
                    chests[i] = one
        labels = {i: one.view.label for i, one in chests.items()}
        for i, one in chests.items():
            others = [k for k, label in labels.items() if label != labels[i]]
            if rng.random() < 0.5 and others:
                grey = with_lungs_of(chests[others[int(rng.integers(len(others)))]], one)
                if grey is not None:
                    out[i], made = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8), made + 1
    if not made:
        raise DataError("lungs are known on no films of two classes; exchanging surroundings needs them (--lungs).")
    return plan.on(out)


def _last_layer(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """Deep feature reweighting (Kirichenko 2023): all but the head (its dense layers) keeps the run's weights."""
    made = _surroundings(plan, layers, penalty, seed)
    return made.add(changes={**made.schooling.changes, "freeze": "all"})


def _discovered(plan: Plan, layers: Layers, penalty: float, seed: int) -> Plan:
    """On half of the training and validation films of either class, each channel that discovery found shows what a film
    of the other class and the same split shows. What it carries then tells nothing of the class; the anatomy stays."""
    if not plan.channels:
        raise DataError(
            "discovery found nothing on the validation films that films could exchange (it looks from ten patients of "
            "either class on); name another method: --method surroundings."
        )
    cache, out = plan.prepared.cache, plan.prepared.cache.pixels.copy()
    rng, made = np.random.default_rng([seed, 0x5C]), 0
    everywhere = np.ones(out.shape[1:], bool)
    for split in ("train", "val"):
        rows = plan.prepared.rows(split)
        views = {
            i: View(cache.pixels[i], str(i), str(i), cache.records[i].label, everywhere,
                    layers.lungs[i] if layers.lungs_known[i] else None, layers.markers[i])
            for i in rows
        }  # fmt: skip
        for i in rows:
            others = [k for k in rows if views[k].label != views[i].label]
            if rng.random() < 0.5 and others:
                donor, changed = views[others[int(rng.integers(len(others)))]], views[i]
                for name in plan.channels:
                    grey = CHANNELS[name].exchange(changed, donor)
                    if grey is not None:
                        pixels = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
                        changed, made = dataclasses.replace(changed, grey=pixels), made + 1
                out[i] = changed.grey
    if not made:
        raise DataError(f"no two films share a place to exchange {', '.join(plan.channels)} in; it may need --lungs.")
    return plan.on(out)


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
        "surroundings exchanged", "on half of the films all but the lungs is a film of the other class", _surroundings
    ),
    "last-layer": Remedy(
        "last layer anew", "the run's own features, the dense layers behind them trained with surroundings exchanged",
        _last_layer, keeps=True,
    ),
    "discovered": Remedy(
        "what discovery found, exchanged",
        "on half of the films, what discovery finds on validation films is that of a film of the other class",
        _discovered, discovers=True,
    ),
    "balance": Remedy(
        "groups balanced", "groups that the network's features tell apart are of one size in each class", _balanced
    ),
}  # fmt: skip
"""Every remedy by name; several are joined with "+", in this order."""
AUTO = ("randomise", "surroundings", "discovered")
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
    if unknown := [p for p in parts if p not in REMEDIES]:
        raise ConfigError(f"method {', '.join(unknown)}; expected any of {', '.join(REMEDIES)}, joined with '+'.")
    if len(set(parts)) < len(parts):
        raise ConfigError(f"method {name}: the same twice.")
    if {"inpaint", "randomise"} <= set(parts):
        raise ConfigError(f"method {name}: randomise fills markers in by itself; expected one of the two.")
    return tuple(REMEDIES[p] for p in REMEDIES if p in parts)


def best_of(tried: Mapping[str, Mapping[str, Any]]) -> str:
    """The candidate of `AUTO` with the highest reasons score.

    Raises:
        ConfigError: none has one.
    """
    scores = {name: row["reasons"]["value"] for name, row in tried.items() if name in AUTO and row.get("reasons")}
    if not scores:
        raise ConfigError(
            "auto chooses by the reasons score, which no candidate has here: it needs known lungs (--lungs) on "
            "validation films of ten patients of either class. Name a method: --method crop."
        )
    return max(scores, key=lambda name: scores[name])


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
