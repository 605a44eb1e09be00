"""A session decides which shortcuts are taken; without any, plain torch gives the same maps."""

import sys

import numpy as np
import pytest
import torch

import radiolucent as rl
from radiolucent.errors import ConfigError
from radiolucent.explainers import METHODS, Occlusion, ReciproCAM
from radiolucent.passes.session import SHORTCUTS, Session
from radiolucent.types import Radiograph
from support.explainer_cases import FAST, make, noise_films, small

EAGER = {"films": 600, "worth_converting": 1, "worth_tracing": 1, "incremental_below": 10.0}
"""Every shortcut is taken, however small the job."""


@pytest.fixture(scope="module")
def film() -> Radiograph:
    return noise_films(1)[0]


@pytest.fixture
def no_fast_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `radiolucent.passes.fast` had been deleted."""
    for name in [n for n in sys.modules if n.startswith("radiolucent.passes.fast")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "radiolucent.passes.fast", None)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_same_map_without_shortcuts(
    name: str, film: Radiograph, request: pytest.FixtureRequest
) -> None:
    network = "mobilenetv1" if name in ("saliency", "occlusion", "reciprocam", "gradcam") else None

    def its() -> rl.Classifier:
        return make(network, size=64) if network else small(name, size=64)

    quick = rl.explain(its(), film, FAST[name], target=1, session=Session(**EAGER))
    request.getfixturevalue("no_fast_room")
    plain = rl.explain(its(), film, FAST[name], target=1, session=Session(fast=False))
    assert plain.details.get("engine", "torch") == "torch"
    assert plain.details.get("passes") not in ("incremental", "head")
    told = quick.details
    assert told.get("passes") == "incremental" or (told.get("engine") != "torch" and told.get("passes") != "whole")
    size = max(float(np.abs(plain.map).max()), 1e-3 * abs(plain.score))
    np.testing.assert_allclose(quick.map, plain.map, atol=2e-4 * size)


def test_the_environment_switches_all_of_them_off(
    film: Radiograph, monkeypatch: pytest.MonkeyPatch, no_fast_room: None
) -> None:
    assert Session().takes("incremental")
    for value in ("off", "0"):
        monkeypatch.setenv("RADIOLUCENT_FAST", value)
        assert not Session().fast
    assert not any(Session().takes(shortcut) for shortcut in SHORTCUTS) and Session(fast=True).takes("openvino")
    told = [rl.explain(make("small_cnn"), film, m).details for m in (Occlusion(12, 6), ReciproCAM())]
    assert [d["passes"] for d in told] == ["whole", "whole passes"] and "off" in told[0]["why"]


def test_what_is_asked_for_and_switched_off_is_refused(film: Radiograph) -> None:
    clf = make("small_cnn")
    with pytest.raises(ConfigError, match="openvin"):
        Session(without=["openvin"])
    for method in (FAST["rise"].__class__(32, engine="openvino"), Occlusion(12, 6, passes="incremental")):
        with pytest.raises(ConfigError, match="shortcut"):
            rl.explain(clf, film, method, session=Session(fast=False))


@pytest.mark.parametrize(
    ("shortcut", "name", "told"),
    [
        ("openvino", "rise", ("engine", "torch")),
        ("openvino_features", "gradcam", ("engine", "torch")),
        ("incremental", "occlusion", ("passes", "whole")),
        ("traced_head", "reciprocam", ("passes", "whole passes")),
    ],
)
def test_each_can_be_left_out_alone(shortcut: str, name: str, told: tuple[str, str], film: Radiograph) -> None:
    clf = make("small_cnn")
    found = [rl.explain(clf, film, FAST[name], session=Session(**EAGER, without=w)) for w in ((), (shortcut,))]
    assert [e.details[told[0]] == told[1] for e in found] == [False, True]


def test_batches_side_by_side_are_as_many_as_asked_for() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(64)
    try:
        assert Session().workers == 8 and Session(most_workers=3).workers == 3
        assert Session(without=["parallel_batches"]).workers == 1 == Session(fast=False).workers
    finally:
        torch.set_num_threads(before)
