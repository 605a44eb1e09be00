"""Learning rates."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radiolucent.training import Plateau, TrainConfig, classic, learning_rate


@given(st.integers(0, 100_000), st.floats(1e-6, 1), st.floats(0, 1e-2))
def test_keras_time_decay(step: int, lr: float, decay: float) -> None:
    """keras.optimizers.legacy.Adam: lr = lr * (1. / (1. + self.decay * iterations))."""
    config = TrainConfig(lr=lr, lr_decay=decay, schedule="constant", warmup_epochs=0)
    keras = lr * (1.0 / (1.0 + decay * step))
    assert learning_rate(config, step, 7) == pytest.approx(keras, rel=1e-12)


def test_the_decay_divides_what_the_plateau_scales() -> None:
    assert learning_rate(classic(), 10_000, 130, plateau=0.1) == pytest.approx(1e-3 * 0.1 / 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.01, 2), min_size=1, max_size=40),
    st.integers(1, 5),
    st.sampled_from([0.1, 0.5]),
    st.sampled_from([0.0, 1e-4, 0.05]),
)
def test_plateau_is_torchs_with_one_epoch_less_patience(
    losses: list[float], patience: int, factor: float, delta: float
) -> None:
    """Keras lowers the rate at the `patience`-th bad epoch; torch at the one after."""
    config = TrainConfig(
        schedule="plateau", plateau_patience=patience, plateau_factor=factor, plateau_min_delta=delta, warmup_epochs=0
    )
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience - 1, threshold=delta, threshold_mode="abs", eps=0
    )
    ours = Plateau()
    for loss in losses:
        theirs.step(loss)
        assert ours.after(loss, config) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)


def test_warm_up_then_cosine() -> None:
    config = TrainConfig(epochs=10, lr=2.0, schedule="cosine", warmup_epochs=1, final_lr=0.1)
    rates = [learning_rate(config, step, 10) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (k + 1) for k in range(10)])
    assert rates[10] == pytest.approx(2.0)
    middle = 2.0 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert rates[55] == pytest.approx(middle)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert learning_rate(config, 100, 10) == pytest.approx(0.2)
