"""What is remembered of a network is right, is not on it, and goes with it."""

import copy
import gc
import io
import pickle
import weakref
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import radiolucent as rl
from radiolucent.explainers import LIME, Explainer, Occlusion, ReciproCAM
from radiolucent.models import Classifier, build
from radiolucent.models.per_network import remember, remembered, remembers, structure_of, weights_of
from radiolucent.models.settings import settings_of
from radiolucent.passes.session import Session
from radiolucent.types import Radiograph

QUICK = [Occlusion(16, 16, passes="incremental"), ReciproCAM()]
METHODS = [*QUICK, LIME(16, segmentation="slic", engine="openvino")]
KEPT = ("engine", "traced", "head")


def made() -> Classifier:
    return build("small_cnn", size=64, hidden=8, seed=1)[0]


def film() -> Radiograph:
    return rl.from_array(np.random.default_rng(0).random((64, 64)).astype(np.float32))


def maps(classifier: Classifier, methods: Sequence[Explainer] = METHODS) -> list[np.ndarray[Any, Any]]:
    return [e.map for e in rl.explain(classifier, film(), methods, target=1)]


def test_a_network_that_was_explained_can_be_pickled_and_copied() -> None:
    clf = made()
    first = maps(clf)
    assert all(remembers(clf.network, what) for what in KEPT)  # OpenVINO's engine among them, which nobody can copy
    assert not [k for k in clf.network.__dict__ if "radiolucent" in k]
    stream = io.BytesIO()
    torch.save(clf.network, stream)
    stream.seek(0)
    assert torch.load(stream, weights_only=False).state_dict().keys() == clf.network.state_dict().keys()
    for network in (pickle.loads(pickle.dumps(clf.network)), copy.deepcopy(clf.network)):
        assert not any(remembers(network, what) for what in KEPT)
        for a, b in zip(maps(clf.with_(network=network), QUICK), first, strict=False):
            np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


def test_a_network_that_nobody_needs_is_freed_with_all_that_was_kept() -> None:
    clf = made()
    maps(clf)
    fast = weakref.ref(Session().engine(clf, torch.zeros(1, 1, 64, 64), 10_000))
    network = weakref.ref(clf.network)
    assert fast() is not None and fast().name == "openvino"
    del clf
    gc.collect()
    assert network() is None and fast() is None


def scale(network: torch.nn.Module) -> None:
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)


def behind_autograd(network: torch.nn.Module) -> None:
    next(network.parameters()).data.mul_(1.5)


def through_numpy(network: torch.nn.Module) -> None:
    next(network.parameters()).detach().numpy()[...] *= 1.5


def swapped(network: torch.nn.Module) -> None:  # neither sum nor norm would tell
    values = next(network.parameters()).data
    values.copy_(values.flip(0))


def buffer(network: torch.nn.Module) -> None:
    next(network.buffers()).data.add_(0.3)


def other_storage(network: torch.nn.Module) -> None:
    first = next(network.parameters())
    first.data = first.data * 1.5


@pytest.mark.parametrize("change", [scale, behind_autograd, through_numpy, swapped, buffer, other_storage])
def test_changed_weights_are_seen_however_they_were_written(change: Any) -> None:
    clf = made()
    before, mark = maps(clf, QUICK), weights_of(clf.network)
    x = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    fast = Session().engine(clf, x, 10_000)
    assert Session().engine(clf, x, 1) is fast
    change(clf.network)
    assert weights_of(clf.network) != mark
    assert Session().engine(clf, x, 1).name == "torch"  # a stale engine is none, and few images are not worth another
    again = Session().engine(clf, x, 10_000)
    assert again is not fast and torch.allclose(again.logits(x), clf.logits(x), atol=1e-4)
    after, plain = maps(clf, QUICK), maps(clf.with_(network=copy.deepcopy(clf.network)), QUICK)
    for old, new, expected in zip(before, after, plain, strict=True):
        np.testing.assert_allclose(new, expected, atol=1e-5 * np.abs(expected).max())
        assert np.abs(new - old).max() > 1e-3 * np.abs(old).max()


def test_one_of_each_is_kept_while_it_is_valid() -> None:
    network, calls = torch.nn.Linear(2, 2), list[int]()

    def make() -> int:
        calls.append(len(calls))
        return calls[-1]

    assert [remember(network, "a", valid, make) for valid in (1, 1, 2, 1)] == [0, 0, 1, 2]
    assert remembered(network, "a", 1) == 2 and remembered(network, "a", 2) is None
    assert remembers(network, "a") and not remembers(network, "b") and not remembers(torch.nn.Linear(2, 2), "a")


def test_another_layer_in_its_place_is_another_structure() -> None:
    clf = made()
    before, weights = structure_of(clf.network), weights_of(clf.network)
    name = next(n for n, m in clf.network.named_modules() if isinstance(m, torch.nn.ReLU))
    parent, _, child = name.rpartition(".")
    setattr(clf.network.get_submodule(parent), child, torch.nn.Tanh())
    assert structure_of(clf.network) != before and weights_of(clf.network) != weights
    clf.network.bfloat16()
    assert structure_of(clf.network) != before


def test_settings_are_told_apart_by_value() -> None:
    """The hashes of -1 and -2 are equal; the settings are not."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Softmax(-1))
    before = settings_of(network)
    assert settings_of(network) == before
    network[1].dim = -2
    assert settings_of(network) != before
    network[1].dim = -1
    assert settings_of(network) == before


def test_which_child_is_missing_is_a_part_of_the_structure() -> None:
    network = torch.nn.Module()
    network.add_module("a", torch.nn.ReLU())
    network.add_module("b", None)
    before = structure_of(network)
    network.a, network.b = None, torch.nn.ReLU()
    assert structure_of(network) != before


def test_a_module_within_itself_has_a_structure() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    network.add_module("again", network[0])
    before = structure_of(network)
    network.__dict__["_modules"]["itself"] = network
    assert structure_of(network) != before


def test_a_session_reads_the_weights_once_until_torch_counts_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    clf, session = made(), Session()
    first = session.weights_of(clf.network)
    assert first == weights_of(clf.network)
    with monkeypatch.context() as patch:
        patch.setattr(zlib, "crc32", lambda *_: pytest.fail("read again"))
        assert session.weights_of(clf.network) == first
    scale(clf.network)
    assert session.weights_of(clf.network) == weights_of(clf.network) != first
