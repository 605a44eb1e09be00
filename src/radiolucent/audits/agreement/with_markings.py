"""How maps agree with doctors' markings, beside what a map that says nothing, chance and other doctors reach.

Everything is compared in the model's frame: regions are brought there by area coverage, so that a map is never credited
with detail it does not have, and a reader is measured on the same grid as a map.
"""

import dataclasses
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

from radiolucent import metrics
from radiolucent.audits.agreement.estimates import mean_estimates
from radiolucent.audits.agreement.floors import DECIDING, Placed, clear_of_others, floor_figures
from radiolucent.audits.agreement.markings import JOINED, Mask, by_reader, chosen, joined, means, to_model, zone_scores
from radiolucent.audits.agreement.measures import (
    THRESHOLDS,
    check_thresholds,
    differences,
    figure_names,
    map_figures,
    random_figures,
    reader_figures,
    zone_figures,
)
from radiolucent.audits.agreement.strata import Strata, strata
from radiolucent.bounds import expect
from radiolucent.errors import AnnotationError, ConfigError
from radiolucent.metrics.intervals import undefined
from radiolucent.types import Annotation, Estimate, Explanation

__all__ = ["Agreement", "CaseAgreement", "agreement", "agreements", "together"]

T = TypeVar("T")


@dataclass(frozen=True)
class CaseAgreement:
    """One film: figures by name (see `FIGURES`), None where not applicable; `reason` says why there are none at all."""

    image_id: str
    patient_id: str
    figures: Mapping[str, float | None]
    reason: str = ""


@dataclass(frozen=True)
class Agreement:
    """Agreement of one method with one reading of each film.

    Attributes:
        method: of the explanations.
        reader: "consensus", "staple", "union", a reader's name, or "without" and the name left out.
        readers: names of all whose markings were used.
        estimates: for every figure (`FIGURES`, and IoU and Dice at each threshold), its mean over the films it applies
            to, with a patient-bootstrap interval.
        cases: film by film, in the order of the explanations.
        not_applicable: films that have nothing to compare, by reason.
        strata: the main figures by kind and group of films, such as "decision" and "right".
        tuned: share of the maximum that was best on validation films; None where not asked for.
        floor_p: by figure, the one-sided p that other patients' maps of the same method would do as well (see
            `floors.clear_of_others`); None where there are none.
        compared: how many such p are looked at together (methods × readers × figures); set by `together`.
        level: of intervals and verdict.
    """

    method: str
    reader: str
    readers: tuple[str, ...]
    estimates: Mapping[str, Estimate]
    cases: tuple[CaseAgreement, ...]
    not_applicable: Mapping[str, int]
    strata: Strata = field(default_factory=dict[str, Mapping[str, Mapping[str, Estimate]]])
    tuned: float | None = None
    floor_p: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    compared: int = len(DECIDING)
    level: float = 0.95

    @property
    def clear_of_floor(self) -> bool | None:
        """Whether the map's strongest point lies in the marking more often than other patients' maps put theirs there.

        By permutation, at a level corrected for all that is compared (Bonferroni); None where there are no others.
        """
        p = self.floor_p.get("hit_rate")
        return None if p is None else p <= (1 - self.level) / self.compared

    @property
    def films(self) -> int:
        """Films that were compared."""
        return sum(not c.reason for c in self.cases)

    @property
    def clear_of_area(self) -> bool | None:
        """Whether the hit rate's interval is clear of the area baseline; None where there is no interval.

        Not the verdict: a map that is the same on every film can be clear of the area. See `clear_of_floor`.
        """
        low = self.estimates["hit_minus_area"].low
        return None if low is None else low > 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        groups = {
            kind: {group: {n: e.as_dict() for n, e in some.items()} for group, some in groups.items()}
            for kind, groups in self.strata.items()
        }
        return {
            "method": self.method,
            "reader": self.reader,
            "reader_names": list(self.readers),
            "films": self.films,
            "clear_of_floor": self.clear_of_floor,
            "clear_of_area": self.clear_of_area,
            "floor": {"p": dict(self.floor_p), "compared": self.compared, "level": self.level},
            "tuned_threshold": self.tuned,
            **{name: e.as_dict() for name, e in self.estimates.items()},
            "not_applicable": dict(self.not_applicable),
            "strata": groups,
        }


def agreements(
    explanations: Sequence[Explanation], annotations: Sequence[Annotation], *, others: str = "all", **options: Any
) -> tuple[Agreement, ...]:
    """`agreement` with the consensus and, where several readers read these films, with STAPLE's estimate, the union,
    and each of them ("all"); with `others="none"`, the consensus alone."""
    read = {e.image_id for e in explanations}
    names = sorted({a.reader for a in annotations if a.image_id in read})
    more = ("staple", "union", *names) if len(names) > 1 and others == "all" else ()
    return together([agreement(explanations, annotations, reader=r, **options) for r in ("consensus", *more)])


def together(found: Sequence[Agreement]) -> tuple[Agreement, ...]:
    """Agreements of one comparison, their verdicts corrected for methods × readers × figures."""
    return tuple(dataclasses.replace(a, compared=len(found) * len(DECIDING)) for a in found)


def agreement(
    explanations: Explanation | Sequence[Explanation],
    annotations: Annotation | Sequence[Annotation],
    *,
    reader: str = "consensus",
    patients: Mapping[str, str] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    tuned: float | None = None,
    by: Mapping[str, Mapping[str, str]] | None = None,
    lungs: Mapping[str, Mask] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Agreement:
    """Compare maps with markings, film by film, and against what costs no looking.

    Hit rate: the map's maximum lies in the marking (pointing game, Zhang 2018). Energy: share of the map's positive
    part in the marking (Wang 2020). IoU and Dice: marking against {map ≥ a share of its maximum}, against Otsu's
    threshold, and against the map's strongest pixels, as many as the marking has. AUPRC: the map's values as a detector
    of marked pixels (Arun 2021). Floors on the same films: the same method's maps of other patients and the mean of
    their markings (`floors`), the area (a uniform map), smooth random maps; the ceiling: each reader against the
    others, beside the map against those same others. `measures.meaning` names all.

    Args:
        explanations: of one method, one a film.
        annotations: of any readers and films; matched by image_id.
        reader: whose markings: a reader's name; "consensus", pixels marked by at least half of a film's readers;
            "staple", pixels more likely true than not by STAPLE; "union", by any; "without NAME", the consensus of the
            others.
        patients: patient of each image_id, for the clustered bootstrap; each film its own unless given.
        thresholds: shares of the map's maximum. tuned: one more, chosen on other films (`tune_threshold`).
        by: kinds of groups by image_id, such as {"decision": {"a.png": "right"}}, for `Agreement.strata`; the size of
            the marking is always one of them.
        lungs: lung masks (H, W) by image_id, which place the six zones; a coarse grid of the film otherwise.
        seed: of the bootstrap and, with the image_id, of a film's random maps.

    Films without a finding, markings the model cannot see (cropped away), and maps that point nowhere are "not
    applicable": counted, never a hit or a miss.

    Raises:
        AnnotationError: several methods mixed, a film explained twice, a marking drawn on an image of another size, or
            no annotation belongs to any explanation.
        ConfigError: a threshold outside (0, 1].
    """
    maps = _several(explanations, Explanation, "explanation", "rl.explain(classifier, film)")
    said = _several(annotations, Annotation, "annotation", "rl.read_annotations(file)")
    _check(maps, thresholds, tuned)
    read: dict[str, list[Annotation]] = defaultdict(list)
    for a in said:
        read[a.image_id].append(a)
    _check_reader(reader, maps, said)
    known, names = patients or {}, figure_names(thresholds, tuned)
    options = _Options(reader, tuple(thresholds), tuned, names, lungs or {}, seed)
    made = [_case(e, read.get(e.image_id, []), known.get(e.image_id, e.image_id), options) for e in maps]
    placed = [film for _, film in made if film is not None]
    floors = iter(floor_figures(placed, seed))
    cases = [case if film is None else _beside(case, next(floors), names) for case, film in made]
    floor_p = clear_of_others(placed, deals=2 * folds, seed=seed)
    used = [c for c in cases if not c.reason]
    values, groups = [[c.figures[n] for n in names] for c in used], [c.patient_id for c in used]
    estimates = mean_estimates(values, groups, names=names, level=level, folds=folds, seed=seed)
    estimates = estimates or [undefined("no film applies", level, 0, "patient bootstrap")] * len(names)
    who = {a.reader for e in maps for a in read.get(e.image_id, []) if means(reader, a.reader)}
    parted = strata(used, by or {}, level=level, folds=folds, seed=seed)
    reasons = Counter(c.reason for c in cases if c.reason)
    found = dict(zip(names, estimates, strict=True))
    return Agreement(
        maps[0].method, reader, tuple(sorted(who)), found, tuple(cases), dict(reasons), parted, tuned, floor_p,
        level=level,
    )  # fmt: skip


def _several(given: T | Sequence[T], kind: type[T], what: str, expected: str) -> list[T]:
    """One or several values of a kind as a list."""
    some = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    for one in some:
        expect(one, kind, what, expected)
    return cast(list[T], some)


@dataclass(frozen=True)
class _Options:
    reader: str
    thresholds: tuple[float, ...]
    tuned: float | None
    names: tuple[str, ...]
    lungs: Mapping[str, Mask]
    seed: int


def _check(maps: Sequence[Explanation], thresholds: Sequence[float], tuned: float | None) -> None:
    methods = {e.method for e in maps}
    if len(methods) != 1:
        raise AnnotationError(f"agreement compares one method at a time; got {sorted(methods) or 'no explanation'}.")
    twice = [name for name, count in Counter(e.image_id for e in maps).items() if count > 1]
    if twice:
        raise AnnotationError(f"{twice[0]}: explained more than once; expected one explanation a film.")
    check_thresholds(thresholds)
    if not (tuned is None or 0 < tuned <= 1):
        raise ConfigError(f"tuned {tuned}; expected a share in (0, 1].")


def _check_reader(reader: str, maps: Sequence[Explanation], said: Sequence[Annotation]) -> None:
    """Whether the word for readers has one meaning, and somebody it stands for read one of these films."""
    explained = {e.image_id for e in maps}
    names = sorted({a.reader for a in said if a.image_id in explained})
    if not names:
        raise AnnotationError(
            f"no annotation belongs to the {len(maps)} explained films; ids look like {maps[0].image_id!r}, annotated "
            f"ones like {said[0].image_id if said else 'none'!r}."
        )
    words = [n for n in names if n in JOINED or n.startswith("without ")]
    if words and len(names) > 1:
        raise AnnotationError(
            f"a reader is called {words[0]!r}, which stands for several readers; give that reader another name."
        )
    left = reader.removeprefix("without ")
    if reader not in JOINED and (left not in names or (left != reader and len(names) == 1)):
        raise AnnotationError(
            f"no reading {'' if left != reader else 'by '}{reader!r} of these films; their readers are "
            f"{', '.join(names)}."
        )


def _unplaced(readings: Sequence[Annotation], reader: str, masks: Mapping[str, Mask]) -> bool:
    """Whether the readers a word stands for read the film, but are left out for want of a place."""
    names = {a.reader for a in readings} - masks.keys()
    return bool(names) if reader in JOINED else reader.removeprefix("without ") in names


def _beside(case: CaseAgreement, floor: Mapping[str, float | None], names: Sequence[str]) -> CaseAgreement:
    """The film's figures with its floors, and less them."""
    figures = {**case.figures, **floor}
    figures |= {k: v for k, v in differences(figures).items() if k.endswith("_minus_other")}
    return dataclasses.replace(case, figures={name: figures.get(name) for name in names})


def _case(
    e: Explanation, readings: Sequence[Annotation], patient: str, o: _Options
) -> tuple[CaseAgreement, Placed | None]:
    """One film's figures; and its map with what was marked, for the floors, where there is an outline."""

    def without(reason: str) -> tuple[CaseAgreement, None]:
        return CaseAgreement(e.image_id, patient, {}, reason), None

    shape = e.geometry.source_shape
    masks = by_reader(readings, shape)
    some = chosen(masks, o.reader)
    scores = zone_scores(readings, o.reader)
    if not some and not scores:
        return without("found, place not marked" if _unplaced(readings, o.reader, masks) else "not read")
    if not any(mask.any() for mask in some) and not scores:
        return without("no finding marked")
    marked = joined(some, shape, o.reader)
    if not marked.any() and not scores:
        return without("readers do not agree")
    region = to_model(marked, e.geometry)
    if not region.any() and not scores:
        return without("marking outside the model's view")
    if metrics.pointing_game(e.map, np.ones_like(region)) is None:
        return without("map points nowhere")
    zones = {name: zone_scores(readings, name) for name in dict.fromkeys(a.reader for a in readings)}
    scored = {name: found for name, found in zones.items() if found}
    figures = zone_figures(e.map, marked, scores, scored, e.geometry, o.lungs.get(e.image_id))
    if region.any():  # zone scores alone have no outline to compare with
        film = to_model(np.ones(shape, bool), e.geometry)
        rng = np.random.default_rng([o.seed, zlib.crc32(e.image_id.encode())])
        figures |= map_figures(e.map, region, film, o.thresholds, o.tuned) | random_figures(region, film, rng)
        figures |= reader_figures(masks, e.geometry, e.map)
    figures |= differences(figures)
    case = CaseAgreement(e.image_id, patient, {name: figures.get(name) for name in o.names})
    return case, Placed(patient, e.map, region) if region.any() else None
