"""Slices in explanation space: films whose maps look alike, found without names and held against the model's errors."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.attribution import Pointing, maps_of
from radiolucent.audits.trial.base import METHOD, Case, Test
from radiolucent.audits.trial.subgroups import grouping, level_of_groupings
from radiolucent.types import Finding

__all__ = ["TESTS", "map_clusters", "map_slices"]

LEAST, MOST = 40, 6


def map_clusters(maps: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.intp]:
    """Clusters (M,) of maps (M, T, T), each of mass 1: SpRAy (Lapuschkin 2019).

    Affinity exp(−d²/m), d the distance of the maps' square roots (Hellinger), m the median of d²; as many clusters as
    the largest gap among the first eigenvalues of the normalised Laplacian says, two to six; spectral clustering.
    """
    from scipy.spatial.distance import pdist, squareform
    from sklearn.cluster import SpectralClustering

    squared = pdist(np.sqrt(maps.reshape(len(maps), -1)).astype(np.float64), "sqeuclidean")
    middle = float(np.median(squared))
    if middle <= 1e-12:
        return np.zeros(len(maps), np.intp)
    affinity = np.exp(-squareform(squared) / middle)
    root = 1 / np.sqrt(affinity.sum(1))
    with threadpool_limits(limits=1):
        values = np.linalg.eigvalsh(np.eye(len(maps)) - root[:, None] * affinity * root[None])
        count = 2 + int(np.diff(values[1 : MOST + 1]).argmax())
        found = SpectralClustering(count, affinity="precomputed", random_state=seed).fit_predict(affinity)
    return np.asarray(found, np.intp)


def map_slices(name: str, maps: Pointing, table: Table, *, level: float = 0.95, seed: int = 0) -> Finding:
    """Does the model err more often on films whose maps look alike?

    Clusters come from the maps alone, so that finding one and measuring its errors on the same films is fair; the
    intervals are corrected for their number. Source: SpRAy (Lapuschkin 2019).
    """
    test, question = f"slices.maps.{name}", f"Does the model err more often on films whose {name} maps look alike?"
    known = [i for i, film in enumerate(table.image_ids) if film in maps.small and table.known[i]]
    if len(known) < LEAST:
        words = f"Needs maps of {LEAST} labelled films; {len(known)} here."
        return Finding(test, question, "not applicable", words, concerns="model")
    own = np.stack([maps.small[table.image_ids[i]] for i in known])
    labels: list[str | None] = [None] * len(table)
    for i, cluster in zip(known, map_clusters(own, seed=seed), strict=True):
        labels[i] = f"maps alike {cluster + 1}"
    return grouping(table, test, f"by their {name} maps", labels, level, seed, question)


def _made(case: Case) -> list[Finding]:
    level = level_of_groupings(case)
    return [map_slices(name, maps, case.table, level=level, seed=case.seed) for name, maps in maps_of(case).items()]


TESTS = (
    Test(
        "slices.maps", "Does the model err more often on films whose maps look alike?", "model",
        f"maps of {LEAST} labelled films", _made, (f"slices.maps.{METHOD}",), family="groups",
    ),
)  # fmt: skip
