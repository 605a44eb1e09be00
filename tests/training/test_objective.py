"""The loss."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from radiolucent.errors import ConfigError, DataError
from radiolucent.training.objective import Objective, balanced_weights

LOGITS = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 2, 1, 0, 0, 0, 2])


def test_label_smoothing_is_a_mixture_with_the_uniform_distribution() -> None:
    s, logs = 0.1, LOGITS.log_softmax(1)
    expected = -(1 - s) * logs[torch.arange(9), LABELS] - s * logs.mean(1)
    torch.testing.assert_close(Objective("softmax", 3, smoothing=s).losses(LOGITS, LABELS), expected)


def test_weighted_mean_is_torchs() -> None:
    weights = (0.5, 2.0, 1.0)
    objective = Objective("softmax", 3, weights=weights)
    ours = objective.losses(LOGITS, LABELS).sum() / objective.example_weights(LABELS).sum()
    torch.testing.assert_close(ours, F.cross_entropy(LOGITS, LABELS, torch.tensor(weights)))


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, (0.5, 3.0)])
def test_one_logit_is_two_with_the_other_at_zero(
    positive: int, smoothing: float, weights: tuple[float, float] | None
) -> None:
    labels = LABELS % 2
    one = LOGITS[:, :1]
    two = torch.zeros(9, 2)
    two[:, positive] = one[:, 0]
    single = Objective("sigmoid", 2, positive, smoothing, weights)
    double = Objective("softmax", 2, positive, smoothing, weights)
    torch.testing.assert_close(single.losses(one, labels), double.losses(two, labels))
    assert torch.equal(single.correct(one, labels), double.correct(two, labels))


def test_many_labels_are_as_many_binary_losses() -> None:
    labels = torch.tensor([[0, 1, 1], [1, 0, 0]])
    losses = Objective("multilabel", 3).losses(LOGITS[:2], labels)
    assert losses.mean() == pytest.approx(F.binary_cross_entropy_with_logits(LOGITS[:2], labels.float()).item())
    with pytest.raises(ConfigError, match="multi-label"):
        Objective("multilabel", 3, weights=(1.0, 1.0, 1.0))


def test_labels_that_are_not_known_are_no_part_of_the_loss() -> None:
    labels = torch.tensor([[0, -1, 1], [-1, -1, 0]])
    logits = LOGITS[:2].clone().requires_grad_()
    objective = Objective("multilabel", 3)
    mean = objective.losses(logits, labels).sum() / objective.example_weights(labels).sum()
    known = labels >= 0
    alone = F.binary_cross_entropy_with_logits(LOGITS[:2][known], labels[known].float())
    assert mean.item() == pytest.approx(alone.item())  # every known label weighs the same, whatever its film lacks
    mean.backward()
    assert (logits.grad[known] != 0).all() and (logits.grad[~known] == 0).all()
    right = objective.correct(torch.tensor([[-1.0, 5.0, 1.0], [5.0, 5.0, 1.0]]), labels)
    assert right.tolist() == [1.0, 0.0]


def test_balanced_weights_are_scikit_learns() -> None:
    labels = LABELS.numpy()
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced_weights(np.bincount(labels).tolist()) == pytest.approx(theirs.tolist())
    with pytest.raises(DataError, match="at least one of each"):
        balanced_weights([4, 0])
