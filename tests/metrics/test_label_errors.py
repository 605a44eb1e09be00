"""Doubtful labels: the confident joint as its authors define it, and planted errors found."""

from itertools import pairwise

import numpy as np
import pytest
from cleanlab.filter import find_label_issues

from radiolucent.errors import ConfigError
from radiolucent.metrics import label_suspects
from radiolucent.metrics.label_errors import confident_counts


def by_definition(labels: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Northcutt 2021, eq. 1: X_{ỹ=i, y*=j} = {x labelled i: p_j ≥ t_j and j = argmax over l with p_l ≥ t_l of p_l}."""
    classes = chances.shape[1]
    limit = [np.mean([p[j] for p, y in zip(chances, labels, strict=True) if y == j]) for j in range(classes)]
    joint = np.zeros((classes, classes), int)
    for p, y in zip(chances, labels, strict=True):
        reached = {j: p[j] for j in range(classes) if p[j] >= limit[j]}
        if reached:
            joint[y, max(reached, key=lambda j: reached[j])] += 1
    return joint


@pytest.mark.parametrize("seed", range(4))
def test_the_confident_joint_is_what_its_authors_define(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 60)
    chances = rng.dirichlet(np.ones(3), 60) * 0.6 + 0.4 * np.eye(3)[labels]
    joint, likely = confident_counts(labels, chances)
    assert (joint == by_definition(labels, chances)).all() and (likely >= -1).all()


@pytest.mark.parametrize("seed", range(12))
def test_the_list_and_its_order_are_cleanlabs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random(300) < rng.uniform(0.1, 0.9)).astype(int)
    odds = rng.uniform(0.5, 3) * (rng.normal(size=300) + rng.uniform(0.5, 3) * (truth - 0.5))
    chances = np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], 1)
    labels = np.where(rng.random(300) < 0.08, 1 - truth, truth)
    options = {"filter_by": "confident_learning", "return_indices_ranked_by": "self_confidence", "n_jobs": 1}
    theirs = find_label_issues(labels, chances, **options)
    assert [s.film for s in label_suspects(labels, chances)] == theirs.tolist() and len(theirs)


def test_films_that_no_model_judged_count_nowhere() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 80)
    chances = rng.dirichlet(np.ones(2), 80)
    chances[60:] = np.nan
    found = label_suspects(labels, chances)
    assert found and found == label_suspects(labels[:60], chances[:60])
    (one,) = label_suspects(labels[60:61], chances[60:61], readers=[[1 - int(labels[60])]])
    assert one.model is None and one.confidence == 0.5
    chances[0] = [np.nan, 1.0]
    with pytest.raises(ConfigError, match="sum to 1"):
        label_suspects(labels, chances)


def test_planted_errors_come_first() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    logit = rng.normal(size=400) + 3 * (2 * truth - 1)
    chances = np.stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))], 1)
    labels = truth.copy()
    wrong = rng.choice(400, 20, replace=False)
    labels[wrong] = 1 - labels[wrong]
    found = label_suspects(labels, chances)
    first = [s.film for s in found[:20]]
    assert len(set(first) & set(wrong.tolist())) >= 15 and all(s.suggested == truth[s.film] for s in found[:10])
    assert all(a.confidence >= b.confidence for a, b in pairwise(found))
    assert "the model gives it" in found[0].words


def test_readers_and_near_duplicates_are_witnesses_too() -> None:
    labels = np.array([0, 0, 1, 1, 0, 1])
    chances = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.8, 0.2], [0.1, 0.9]])
    assert label_suspects(labels, chances) == ()
    readers = [[], [1, 1, 1], [1], [0, 1], [], []]
    (one,) = label_suspects(labels, chances, readers=readers)
    assert (one.film, one.suggested, one.readers, one.duplicates) == (1, 1, 1.0, None)
    assert one.confidence == pytest.approx(3.4 / 5) and "3 of 3 readers say otherwise" in one.words
    twins = label_suspects(labels, chances, readers=readers, duplicates=["a", "b", None, "a", None, None])
    assert [s.film for s in twins] == [1, 0, 3] or {s.film for s in twins} == {0, 1, 3}
    assert all("1 of 1 near-duplicates" in s.words for s in twins if s.film != 1)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        label_suspects(np.array([0, 1]), np.ones((2, 2)))
    with pytest.raises(ConfigError, match="class index"):
        label_suspects(np.array([0, 2]), np.full((2, 2), 0.5))
    with pytest.raises(ConfigError, match="readings of 1 films"):
        label_suspects(np.array([0, 1]), np.full((2, 2), 0.5), readers=[[]])
