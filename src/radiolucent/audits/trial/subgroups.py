"""Where the model errs: sites, named groups, slices found in its own feature space; whether features tell sites.

Intervals are corrected for the number of groups looked at (Bonferroni), because some group always looks bad.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import ANY, Case, Test
from radiolucent.audits.trial.verdicts import FOLDS, film_mean, needed_words, two_sided
from radiolucent.metrics import bootstrap, cluster_bootstrap_mean
from radiolucent.metrics.proportions import kish
from radiolucent.types import Estimate, Finding

__all__ = ["TESTS", "grouping", "level_of_groupings", "slices", "source_in_embedding", "subgroups"]

GAP = 0.05
"""Seah 2021: a gap above .05 between subgroups matters."""
LEAST, CLUSTERS, FOLDS_CV = 20, 8, 5
Labels = Sequence[str | None]


def subgroups(table: Table, groups: Mapping[str, Labels], *, level: float = 0.95, seed: int = 0) -> list[Finding]:
    """One finding a grouping: error rate of each group less that of all others, the worst group deciding.

    Args:
        groups: by name of the grouping, each film's group or None.
    """
    found = [grouping(table, f"subgroups.{name}", f"by {name}", labels, level, seed) for name, labels in groups.items()]
    if found:
        return found
    return [
        Finding(
            "subgroups", "Does the model err more often in some group of films?", "not applicable",
            "No site or other group is known of these films; age and sex are not available.", concerns="model",
        )
    ]  # fmt: skip


def slices(table: Table, *, level: float = 0.95, seed: int = 0) -> Finding:
    """Groups nobody named: clusters of the model's embeddings (k-means, k = 8), as in SpRAy and Domino.

    Clusters are found on half of the patients and their error rates measured on the other half, so that finding a bad
    cluster and proving it are not done on the same films. Source: Lapuschkin 2019; Eyuboglu 2022.
    """
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    question = "Does the model err more often among films that look alike to it?"
    usable = table.known & _labelled(table)
    if table.embeddings is None or usable.sum() < 2 * CLUSTERS * LEAST / 2:
        return Finding(
            "slices", question, "not applicable",
            f"Needs feature maps and {CLUSTERS * LEAST} labelled films; {int(usable.sum())} here.", concerns="model",
        )  # fmt: skip
    rng = np.random.default_rng([seed, 51])
    patients = np.array(table.patients)
    names = np.unique(patients)
    finding = np.isin(patients, names[rng.random(len(names)) < 0.5]) & usable
    if finding.sum() < 2 * CLUSTERS:
        return Finding(
            "slices", question, "not applicable",
            f"Half of {len(names)} patients have {int(finding.sum())} labelled films; needs {2 * CLUSTERS}.",
            concerns="model",
        )  # fmt: skip
    scaled = np.asarray(StandardScaler().fit(table.embeddings[finding]).transform(table.embeddings), np.float32)
    with threadpool_limits(limits=1):
        clusters = KMeans(CLUSTERS, n_init=cast(Any, 4), random_state=seed).fit(scaled[finding]).predict(scaled)
    labels = [f"slice {c + 1}" if usable[i] and not finding[i] else None for i, c in enumerate(clusters)]
    return grouping(table, "slices", "among films alike to the model", labels, level, seed, question)


def _labelled(table: Table) -> NDArray[np.bool_]:
    return table.known & np.isfinite(table.original)


def grouping(
    table: Table, test: str, what: str, labels: Labels, level: float, seed: int, question: str = ""
) -> Finding:
    """Error rate of each group less that of all others; the worst decides, intervals corrected for their number.

    Groups too small to be judged are judged together, so that no large group hides them.

    Args:
        labels: each film's group, or None. what: how groups are made, in words.
    """
    question = question or f"Does the model err more often in some group of films, {what}?"
    source = "Seah 2021: a gap above .05 matters; intervals corrected for the number of groups (Bonferroni)"
    wrong = (table.original >= table.cut) != table.truth
    member = np.array([label is not None for label in labels]) & _labelled(table)
    names = sorted({str(label) for label, m in zip(labels, member, strict=True) if m})
    inside = {n: np.array([label == n for label in labels]) & member for n in names}
    large = [n for n in names if inside[n].sum() >= LEAST]
    if len(names) < 2 or not large:
        return Finding(
            test, question, "not applicable", f"Needs two groups, one with {LEAST} labelled films or more.",
            source=source, concerns="model",
        )  # fmt: skip
    small = [n for n in names if n not in large]
    pool = small[0] if len(small) == 1 else f"{len(small)} small groups together"
    judged = {n: inside[n] for n in large} | ({pool: np.logical_or.reduce([inside[n] for n in small])} if small else {})
    corrected = 1 - (1 - level) / len(judged)
    gaps = {n: _gap(wrong, here, member, table, corrected, seed) for n, here in judged.items()}
    verdicts = {n: two_sided(gap, GAP) if (gap.value or 0) > 0 else "pass" for n, gap in gaps.items()}
    if small and judged[pool].sum() < LEAST:  # too few for a fail; left open where they err more for sure, or no other
        others = any((gaps[n].value or 0) > 0 for n in large)
        verdicts[pool] = "pass" if verdicts[pool] == "pass" or (others and verdicts[pool] != "fail") else "inconclusive"
    verdict = (
        "fail" if "fail" in verdicts.values() else "inconclusive" if "inconclusive" in verdicts.values() else "pass"
    )
    worst = max((n for n in judged if verdicts[n] == verdict), key=lambda n: gaps[n].value or 0.0)
    evidence = {n: _told(table, wrong, here, gaps[n], level, seed) for n, here in judged.items()}
    words = (
        f"The error rate of {worst} ({int(judged[worst].sum())} films) is {_apart(gaps[worst])}; "
        f"{len(large)} {'group' if len(large) == 1 else 'groups'} looked at"
        + (f", {len(small)} too small to be judged alone" if small else "")
        + "."
        + (needed_words(gaps[worst], GAP, signed=True) if verdict == "inconclusive" else "")
    )
    return Finding(
        test, question, verdict, words, gaps[worst], GAP, evidence, source,
        f"look at the {'example films of the group' if worst in large else 'small groups'}; get more such films"
        if verdict == "fail" else "",
        "model", severity=abs(gaps[worst].value or 0) / GAP if verdict == "fail" else 0.0,
    )  # fmt: skip


def _apart(e: Estimate) -> str:
    if (e.value or 0.0) >= 0:
        return f"higher than the others' by {e}"
    low, high = (None if end is None else -end for end in (e.high, e.low))
    return f"lower than the others' by {replace(e, value=-(e.value or 0.0), low=low, high=high)}"


def _gap(
    wrong: NDArray[np.bool_], here: NDArray[np.bool_], member: NDArray[np.bool_], table: Table, level: float, seed: int
) -> Estimate:
    """Error rate here less that of all other members; n are the patients of the smaller side, on which it rests."""
    own, rest = (here[member]).astype(float), (~here[member]).astype(float)
    errs = wrong[member].astype(float)
    if not rest.sum():
        return Estimate(None, None, None, level, int(here.sum()), "bootstrap", "no other film")

    def statistic(w: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return w @ (errs * own) / (w @ own) - w @ (errs * rest) / (w @ rest)

    patients = np.array(table.patients)[member]
    n = min(len(np.unique(patients[side > 0])) for side in (own, rest))
    worth = min(kish(np.unique(patients[side > 0], return_inverse=True)[1]) for side in (own, rest))
    return bootstrap(statistic, patients, level=level, folds=FOLDS, seed=seed, n=n, worth=worth)


def _told(
    table: Table, wrong: NDArray[np.bool_], here: NDArray[np.bool_], gap: Estimate, level: float, seed: int
) -> dict[str, Any]:
    rate = cluster_bootstrap_mean(
        wrong[here].astype(float), np.array(table.patients)[here], level=level, folds=FOLDS, seed=seed
    )
    order = np.argsort(~(wrong & here), kind="stable")
    return {
        "films": int(here.sum()),
        "error_rate": rate.as_dict(),
        "gap": gap.as_dict(),
        "examples": [table.image_ids[i] for i in order[:6] if here[i]],
    }


def source_in_embedding(table: Table, *, level: float = 0.95, seed: int = 0) -> Finding:
    """Whether the site can be read off the model's features (logistic regression, five folds by patient).

    The figure is the share of films whose site is named rightly less the share of the largest site. It is about what is
    *available* to the model's last layer: Zech 2018 could name the hospital with an accuracy of 99.9 %.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    question = "Can the site be told from the model's own features?"
    source = "Zech 2018; threshold: ours, five points above always naming the largest site"
    known = np.array([site is not None for site in table.sites])
    sites = np.array([str(site) for site in table.sites])[known]
    names, counts = np.unique(sites, return_counts=True) if known.any() else (np.array([]), np.array([0]))
    patients = np.array(table.patients)[known]
    several = all(len(np.unique(patients[sites == name])) >= FOLDS_CV for name in names)
    if table.embeddings is None or len(names) < 2 or counts.min() < 2 * FOLDS_CV or not several:
        return Finding(
            "source.embedding", question, "not applicable",
            f"Needs feature maps and two sites with {2 * FOLDS_CV} films or more of {FOLDS_CV} patients or more each.",
            source=source,
        )  # fmt: skip
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    folds = StratifiedGroupKFold(FOLDS_CV, shuffle=True, random_state=seed)
    with threadpool_limits(limits=1):
        named = np.asarray(cross_val_predict(model, table.embeddings[known], sites, groups=patients, cv=folds))
    gain = (named == sites) - (sites == names[counts.argmax()]).astype(float)
    estimate = film_mean(gain, patients, level=level, seed=seed)
    verdict = two_sided(estimate, 0.05)
    share = float((named == sites).mean())
    largest = counts.max() / counts.sum()
    words = f"{share:.0%} of {len(sites)} films are named rightly, {largest:.0%} come from the largest site."
    evidence = {"accuracy": share, "sites": {str(n): int(c) for n, c in zip(names, counts, strict=True)}}
    return Finding("source.embedding", question, verdict, words, estimate, 0.05, evidence, source,
        "test whether the decision uses it: hold out a site" if verdict == "fail" else "", "data",
        severity=(estimate.value or 0) / 0.05 if verdict == "fail" else 0.0)  # fmt: skip


def _groupings(case: Case) -> dict[str, Labels]:
    """Site, etiology and the groups given, in the table's order, those with two groups or more."""
    if case.films is None:
        return {}
    row = {r.image_id: i for i, r in enumerate(case.films.records)}
    place = [row[name] for name in case.table.image_ids]
    every: dict[str, Labels] = {
        "site": [r.site for r in case.films.records],
        "etiology": [r.etiology or ("none" if r.label is not None else None) for r in case.films.records],
        **case.groups,
    }
    chosen = {name: [labels[i] for i in place] for name, labels in every.items()}
    return {name: labels for name, labels in chosen.items() if len({x for x in labels if x is not None}) > 1}


def level_of_groupings(case: Case) -> float:
    """The level of each grouping, so that all that are asked together keep the case's (Bonferroni)."""
    names = {t.name for t in case.tests if t.family == "groups"}
    count = ("slices" in names) + len(_groupings(case)) * ("subgroups" in names)
    count += len(case.methods) * ("slices.maps" in names)
    return 1 - (1 - case.level) / max(1, count)


def _of_groups(case: Case) -> list[Finding]:
    return subgroups(case.table, _groupings(case), level=level_of_groupings(case), seed=case.seed)


def _of_slices(case: Case) -> list[Finding]:
    return [slices(case.table, level=level_of_groupings(case), seed=case.seed)]


def _of_sites(case: Case) -> list[Finding]:
    return [source_in_embedding(case.table, level=case.level, seed=case.seed)]


TESTS = (
    Test(
        "subgroups", "Does the model err more often in some group of films?", "model",
        f"two groups (site, etiology; in Python also groups=), one with {LEAST} labelled films", _of_groups,
        ("subgroups", f"subgroups.{ANY}"), family="groups",
    ),
    Test(
        "slices", "Does the model err more often among films that look alike to it?", "model",
        f"feature maps and {CLUSTERS * LEAST} labelled films", _of_slices, family="groups",
    ),
    Test(
        "source.embedding", "Can the site be told from the model's own features?", "data",
        f"films of two sites, {2 * FOLDS_CV} or more each", _of_sites,
    ),
)  # fmt: skip
