"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from radiolucent.models import freeze
from radiolucent.training.ema import MovingAverage
from support.small_training import classifier


def test_closed_form() -> None:
    """ā_T = a_0 Π d_t + Σ_t (1 − d_t) a_t Π_{u>t} d_u with d_t = min(d, (1 + t) / (10 + t))."""
    network, decay = nn.Linear(3, 2), 0.6
    values = [torch.randn(2, 3, generator=torch.Generator().manual_seed(k)) for k in range(31)]
    network.weight.data.copy_(values[0])
    average = MovingAverage(network, decay)
    for value in values[1:]:
        network.weight.data.copy_(value)
        average.update()
    decays = [min(decay, (1 + t) / (10 + t)) for t in range(30)]
    assert decays[0] == 0.1 and decays[-1] == decay
    left, expected = 1.0, torch.zeros(2, 3)
    for value, d in zip(reversed(values[1:]), reversed(decays), strict=True):
        expected += left * (1 - d) * value
        left *= d
    torch.testing.assert_close(average.values["weight"], expected + left * values[0])


def test_statistics_are_averaged_counts_copied_frozen_layers_left() -> None:
    network = classifier().network
    freeze(network, "stage:1")
    average = MovingAverage(network, 0.9)
    state = network.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    for name, tensor in state.items():
        if name.startswith("blocks.0."):
            continue
        tensor.add_(1) if tensor.is_floating_point() else tensor.fill_(7)
    average.update()
    assert average.values["blocks.1.bn1.num_batches_tracked"] == 7
    learning = {n: t for n, t in average.values.items() if not n.startswith("blocks.0.") and t.is_floating_point()}
    assert learning and not any(torch.equal(t, state[n]) for n, t in learning.items())
    changed = average.values["blocks.1.bn1.running_mean"]
    assert changed.tolist() == pytest.approx([0.9] * len(changed))
    for name, tensor in average.values.items():
        assert not name.startswith("blocks.0.") or torch.equal(tensor, before[name])


def test_applied_inside_the_block_only() -> None:
    network = nn.Linear(2, 2)
    average = MovingAverage(network, 0.5)
    before = network.weight.detach().clone()
    average.values["weight"].fill_(3.0)
    with pytest.raises(KeyError), average.applied():
        assert torch.equal(network.weight, torch.full((2, 2), 3.0))
        raise KeyError
    assert torch.equal(network.weight, before)
