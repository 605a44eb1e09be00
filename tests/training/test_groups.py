"""Group DRO."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from radiolucent.data import Loader, PixelCache, Record
from radiolucent.errors import ConfigError, DataError
from radiolucent.images import Preprocess
from radiolucent.models import Classifier, build
from radiolucent.training import TrainConfig, fit
from radiolucent.training.distributed import Processes
from radiolucent.training.groups import GroupWeights

SIDE = 32


def test_weights_and_loss_are_those_of_the_paper() -> None:
    """Algorithm 1 in plain numbers, over three batches, with weighted examples and a group that a batch lacks."""
    counts, rate, adjustment = [50, 8, 2], 0.3, 1.5
    weights = GroupWeights(counts, rate, adjustment, torch.device("cpu"))
    q = np.full(3, 1 / 3)
    rng = np.random.default_rng(0)
    for groups in ([0, 0, 1, 2], [0, 1, 1, 0], [2, 1, 0, 0]):
        plain, w = rng.uniform(0.1, 3, 4), rng.uniform(0.5, 2, 4)
        found = weights.shares(torch.tensor(plain * w), torch.tensor(w), torch.tensor(groups), Processes("32")).double()
        means = np.zeros(3)
        for g in set(groups):
            own = np.array(groups) == g
            means[g] = (plain * w)[own].sum() / w[own].sum()
        q *= np.exp(rate * (means + adjustment / np.sqrt(counts)))
        q /= q.sum()
        assert weights.log_q.exp().numpy() == pytest.approx(q, rel=1e-5)
        assert float((found * torch.tensor(plain * w)).sum()) == pytest.approx(float(q @ means), rel=1e-5)


def _films(seed: int, count: int = 200) -> tuple[PixelCache, np.ndarray]:
    """A bright corner goes with the class on 95 % of the films; a faint middle always does. And their groups."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    against = np.arange(count) // 2 % 20 == 0
    corner = labels ^ against
    films = rng.normal(110, 12, (count, SIDE, SIDE))
    films[corner == 1, 2:10, 2:10] += 80
    films[labels == 1, 12:26, 12:26] += 6
    records = tuple(Record(Path(str(i)), f"f{i}", int(labels[i]), f"p{i}") for i in range(count))
    pixels = np.clip(np.rint(films), 0, 255).astype(np.uint8)
    preprocess = Preprocess(SIDE, channels=1, mean=(0.5,), std=(0.25,))
    return PixelCache(pixels, records, ((SIDE, SIDE),) * count, preprocess), 2 * labels + corner


def _start(cache: PixelCache, dropout: float = 0.0) -> Classifier:
    start, _ = build("small_cnn", size=SIDE, widths=(8, 16), hidden=0, dropout=dropout, pretrained=False, seed=0)
    return start.with_(preprocess=cache.preprocess)


def _accuracies(found: Classifier) -> np.ndarray:
    """Of each group, on other films of which half go against the corner."""
    cache, _ = _films(1, 400)
    labels = np.arange(400) % 2
    turned = np.asarray(cache.pixels).copy()
    corner = np.arange(400) // 2 % 2
    rng = np.random.default_rng(9)
    turned[:, 2:10, 2:10] = np.clip(rng.normal(110, 12, (400, 8, 8)) + 80 * corner[:, None, None], 0, 255)
    called = found.logits(cache.preprocess.normalise(torch.from_numpy(turned))).argmax(1).numpy()
    return np.array([(called == labels)[(2 * labels + corner) == g].mean() for g in range(4)])


def test_the_worst_group_is_learnt_where_the_mean_leaves_it() -> None:
    cache, groups = _films(0)
    config = TrainConfig(epochs=15, lr=3e-3, precision="32")
    check = Loader(_films(2)[0], batch_size=64, groups=_films(2)[1])
    plain = fit(_start(cache), Loader(cache, batch_size=20, shuffle=True), check, config).classifier
    learn = Loader(cache, batch_size=20, shuffle=True, groups=groups, balance=True)
    robust = fit(_start(cache), learn, check, config.with_(group_rate=0.05)).classifier
    one, other = _accuracies(plain).min(), _accuracies(robust).min()
    assert one < 0.55
    assert other > one + 0.15


def test_the_epoch_is_that_of_the_worst_groups_lowest_loss() -> None:
    cache, groups = _films(0, 80)
    groups = np.where(groups == 3, -1, groups)  # is in none
    check = Loader(cache, batch_size=16, groups=groups)
    learn = Loader(cache, batch_size=16, groups=np.maximum(groups, 0))
    found = fit(_start(cache), learn, check, TrainConfig(epochs=1, precision="32", group_rate=0.01))
    logits = found.classifier.logits(cache.preprocess.normalise(torch.from_numpy(np.asarray(cache.pixels))))
    losses = F.cross_entropy(logits, torch.arange(80) % 2, reduction="none").numpy()
    worst = max(losses[groups == g].mean() for g in range(3))
    assert found.history[0].val_loss == pytest.approx(worst, rel=1e-5)


def test_resumes_bit_for_bit_and_needs_groups(tmp_path: Path) -> None:
    cache, groups = _films(0, 64)
    config = TrainConfig(epochs=3, precision="32", group_rate=0.5, relevance=0.1)
    mask = np.zeros((64, SIDE, SIDE), bool)
    mask[:, :11, :11] = True

    def learn(own: np.ndarray | None = groups, **more: object) -> Loader:
        return Loader(cache, batch_size=16, shuffle=True, groups=own, **more)  # type: ignore[arg-type]

    def trained(own: np.ndarray = groups, **options: object) -> Classifier:
        batches = learn(own, irrelevant=mask, balance=True)
        return fit(_start(cache, 0.1), batches, learn(), config, **options).classifier  # type: ignore[arg-type]

    straight = trained()
    with pytest.raises(_Stop):
        trained(out=tmp_path, on_epoch=_stop)
    resumed = trained(out=tmp_path)
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    with pytest.raises(ConfigError, match="another training"):
        trained((groups + 1) % 4, out=tmp_path)
    only = dataclasses.replace(config, relevance=0.0)
    with pytest.raises(ConfigError, match="of two or more"):
        fit(_start(cache), learn(None), learn(), only)
    with pytest.raises(ConfigError, match="validation batches that end with"):
        fit(_start(cache), learn(), learn(None), only)
    with pytest.raises(ConfigError, match="True where the answer must not come"):
        fit(_start(cache), learn(), learn(), config)
    with pytest.raises(DataError, match="one a film"):
        learn(groups[:5])


def test_groups_are_drawn_equally_often() -> None:
    cache, groups = _films(0)
    loader = Loader(cache, batch_size=50, shuffle=True, groups=groups, balance=True)
    drawn = np.concatenate([batch[-1].numpy() for batch in loader])
    assert np.bincount(drawn).tolist() == [50, 50, 50, 50]
    assert loader.group_counts == np.bincount(groups).tolist() and min(loader.group_counts) == 5
    odd = Loader(cache, range(5), balance=True, prefetch=False)  # two and three films of a class
    assert sorted(np.bincount(next(iter(odd))[1].numpy()).tolist()) == [2, 3]


class _Stop(Exception):
    pass


def _stop(_: object) -> None:
    raise _Stop


def test_a_group_that_is_never_seen_is_refused() -> None:
    """Its weight would only ever grow, and the loss would come to nothing."""
    with pytest.raises(ConfigError, match=r"\[50, 0, 50\].*never seen"):
        GroupWeights([50, 0, 50], 0.01, 1.0, torch.device("cpu"))
