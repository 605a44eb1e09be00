"""STAPLE against brute-force maximum likelihood, against what was put in, and at its ends."""

import numpy as np
import pytest
from scipy import optimize

from radiolucent.audits.agreement import staple
from radiolucent.errors import ConfigError


def copies(
    rng: np.random.Generator, n: int, p: list[float], q: list[float], prior: float
) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.random(n) < prior
    return truth, np.stack([np.where(truth, rng.random(n) < a, rng.random(n) >= b) for a, b in zip(p, q, strict=True)])


def test_it_recovers_the_skill_that_was_put_in() -> None:
    p, q = [0.95, 0.85, 0.7, 0.6], [0.99, 0.9, 0.97, 0.8]
    truth, said = copies(np.random.default_rng(0), 60_000, p, q, 0.2)
    found = staple(said, prior=0.2)
    assert found.converged
    np.testing.assert_allclose(found.sensitivity, p, atol=0.02)
    np.testing.assert_allclose(found.specificity, q, atol=0.01)
    called = found.probability > 0.5
    votes = said.mean(0) >= 0.5
    assert (called == truth).mean() > (votes == truth).mean()  # knowing who is good beats counting heads


def test_it_is_the_maximum_of_the_likelihood() -> None:
    _, said = copies(np.random.default_rng(1), 3000, [0.9, 0.8, 0.75], [0.95, 0.9, 0.85], 0.3)
    d, prior = said.astype(float), 0.3

    def negative(x: np.ndarray) -> float:
        p, q = 1 / (1 + np.exp(-x[:3])), 1 / (1 + np.exp(-x[3:]))
        yes = prior * np.prod(np.where(d, p[:, None], 1 - p[:, None]), 0)
        no = (1 - prior) * np.prod(np.where(d, 1 - q[:, None], q[:, None]), 0)
        return -float(np.log(yes + no).sum())

    best = optimize.minimize(negative, np.full(6, 1.5), method="BFGS").x
    found = staple(said, prior=prior)
    np.testing.assert_allclose(found.sensitivity, 1 / (1 + np.exp(-best[:3])), atol=2e-4)
    np.testing.assert_allclose(found.specificity, 1 / (1 + np.exp(-best[3:])), atol=2e-4)


def test_ends() -> None:
    same = np.array([[0, 1, 1, 0]] * 3)
    found = staple(same)
    np.testing.assert_allclose(found.probability, [0, 1, 1, 0], atol=1e-9)
    np.testing.assert_allclose(found.sensitivity, 1, atol=1e-9)
    nobody = staple(np.zeros((3, 4)))
    assert nobody.probability.tolist() == [0] * 4 and np.isnan(nobody.sensitivity).all()
    assert staple(np.ones((2, 4))).probability.tolist() == [1] * 4
    many = staple(np.tile(same, (400, 1)))  # products of 1200 readers underflow unless logarithms are taken
    assert np.isfinite(many.probability).all()
    for bad in (np.zeros((1, 4)), np.zeros((2, 0))):
        with pytest.raises(ConfigError, match="two readers"):
            staple(bad)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        staple(same, prior=1.0)
