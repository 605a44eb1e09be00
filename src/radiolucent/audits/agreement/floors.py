"""The floor that knows places: the same method's maps of other films, and the mean of other films' markings.

A map that is the same on every film, pointing where findings often lie, beats the marked area and random maps, and has
not looked. It does not beat itself: laid on this film's marking, another film's map does as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent import metrics

__all__ = ["Placed", "clear_of_others", "floor_figures"]

Floats = NDArray[np.float64]
DECIDING = ("hit_rate", "energy_in_region")
IOU_MAPS = 5


@dataclass(frozen=True, eq=False)
class Placed:
    """A film's map (S, S) and what was marked on it, bool (S, S), both in the model's frame."""

    patient: str
    values: NDArray[np.float32]
    region: NDArray[np.bool_]


def _same_frame(films: Sequence[Placed]) -> bool:
    return len({f.values.shape for f in films}) == 1


def _crossed(films: Sequence[Placed]) -> Mapping[str, Floats]:
    """By figure, (N, N): what map j gets on marking i."""
    regions = np.stack([f.region.ravel() for f in films])
    hits, energy = np.zeros((len(films), len(films))), np.zeros((len(films), len(films)))
    for j, film in enumerate(films):
        values = film.values.ravel()
        peaks = np.flatnonzero(values == values.max())
        hits[:, j] = regions[:, peaks].mean(1)
        positive = np.clip(values, 0, None).astype(np.float64)
        energy[:, j] = regions @ (positive / positive.sum())
    return {"hit_rate": hits, "energy_in_region": energy}


def floor_figures(films: Sequence[Placed], seed: int = 0) -> list[dict[str, float | None]]:
    """Film by film, what other patients' maps, and the mean of other patients' markings, get on its marking.

    Keys: other_hit_rate, other_energy (means over all other patients' maps), other_iou_at_area (over up to 5 of them),
    marking_hit_rate, marking_energy. Empty where all films are of one patient or maps differ in size.
    """
    if len({f.patient for f in films}) < 2 or not _same_frame(films):
        return [{} for _ in films]
    crossed = _crossed(films)
    patients = np.array([f.patient for f in films])
    total = np.sum([f.region for f in films], axis=0, dtype=np.float64)
    own = {p: np.sum([f.region for f in films if f.patient == p], axis=0, dtype=np.float64) for p in set(patients)}
    rng = np.random.default_rng([seed, 91])
    found: list[dict[str, float | None]] = []
    for i, film in enumerate(films):
        others = patients != film.patient
        usual = np.asarray(total - own[film.patient])
        some = rng.permutation(np.flatnonzero(others))[:IOU_MAPS]
        overlaps = [metrics.iou_at_area(films[int(j)].values, film.region) for j in some]
        known = [v for v in overlaps if v is not None]
        found.append(
            {
                "other_hit_rate": float(crossed["hit_rate"][i, others].mean()),
                "other_energy": float(crossed["energy_in_region"][i, others].mean()),
                "other_iou_at_area": float(np.mean(known)) if known else None,
                "marking_hit_rate": metrics.pointing_game(usual, film.region),
                "marking_energy": metrics.energy_in_region(usual, film.region),
            }
        )
    return found


def clear_of_others(films: Sequence[Placed], *, deals: int = 20_000, seed: int = 0) -> dict[str, float | None]:
    """One-sided permutation p of hit rate and energy: would maps dealt to other patients' films do as well?

    Patients' maps are dealt anew to patients, the films of one staying together; p = (1 + deals that do as well) /
    (1 + deals). Exact where patients have as many films each, and where a method's maps know nothing of their own film.
    Where no deal does as well, ten times as many are made, so that p can reach a level that is corrected for a thousand
    comparisons. None for fewer than two patients or maps of several sizes.
    """
    names, index = np.unique([f.patient for f in films], return_inverse=True)
    if len(names) < 2 or not _same_frame(films):
        return dict.fromkeys(DECIDING)
    crossed = _crossed(films)
    rows = [np.flatnonzero(index == k) for k in range(len(names))]
    most = max(len(r) for r in rows)
    table = np.stack([np.resize(r, most) for r in rows])
    place = np.zeros(len(films), np.intp)
    for r in rows:
        place[r] = np.arange(len(r))
    rng, here = np.random.default_rng([seed, 93]), np.arange(len(films))
    as_good = dict.fromkeys(DECIDING, 0)
    truth = {name: float(crossed[name][here, here].mean()) for name in DECIDING}
    made, asked = 0, deals
    while made < asked:
        count = min(500, asked - made)
        order = rng.permuted(np.tile(np.arange(len(names)), (count, 1)), axis=1)
        dealt = table[order[:, index], place]
        for name in DECIDING:
            as_good[name] += int((crossed[name][here, dealt].mean(1) >= truth[name] - 1e-12).sum())
        made += count
        if made == deals and not all(as_good.values()):
            asked = 10 * deals
    return {name: (1 + as_good[name]) / (1 + made) for name in DECIDING}
