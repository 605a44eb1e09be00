"""How images are altered and asked: batches, memory, engines, early stops."""

import dataclasses
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError
from radiolucent.explainers import LIME, RISE, KernelSHAP, Occlusion, ScoreCAM, Sobol, explain
from radiolucent.explainers.perturbation.copies import Asker
from radiolucent.models import build, load
from radiolucent.passes.copy_memory import bytes_per_image, multiply_adds
from radiolucent.passes.fast.engine import Compiled
from radiolucent.passes.goal import Goal
from radiolucent.passes.session import Session
from support.explainer_cases import FAST, Blob, blob_film, noise_films, wrap

ASKING = {
    "lime": LIME(100, segmentation="slic"),
    "kernelshap": KernelSHAP(100),
    "occlusion": Occlusion(24, 12),
    "rise": RISE(64),
    "sobol": Sobol(4, 4),
}


@pytest.mark.parametrize("name", ASKING)
def test_neither_batch_nor_engine_changes_the_map(name: str) -> None:
    clf, film = build("small_cnn", size=64, seed=1)[0], noise_films(1)[0]
    maps = [
        explain(clf, film, type(ASKING[name])(**{**vars(ASKING[name]), **changes}), target=1, seed=3).map
        for changes in ({"engine": "torch"}, {"engine": "torch", "batch_size": 7}, {"engine": "openvino"})
    ]
    size = np.abs(maps[0]).max()
    np.testing.assert_allclose(maps[1], maps[0], atol=2e-5 * max(size, 0.1))
    np.testing.assert_allclose(maps[2], maps[0], atol=1e-3 * max(size, 0.1))
    other = explain(clf, film, ASKING[name], target=1, seed=4).map
    assert name == "occlusion" or not np.array_equal(other, maps[0])


@pytest.mark.parametrize("name", [*ASKING, "scorecam"])
def test_passes_side_by_side_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three at a time and one after the other, in OpenVINO."""
    film, method = noise_films(1)[0], dataclasses.replace(ASKING.get(name, ScoreCAM()), engine="openvino")
    seen, compute, threads = set[str](), Compiled.__call__, torch.get_num_threads()

    def asked(network: Compiled, arrays: list[np.ndarray]) -> list[np.ndarray]:
        seen.add(threading.current_thread().name)
        return compute(network, arrays)

    monkeypatch.setattr(Compiled, "__call__", asked)
    maps, where = list[np.ndarray](), list[set[str]]()
    for count in (1, 3):
        torch.set_num_threads(count)
        try:
            found = explain(build("small_cnn", size=64, seed=1)[0], film, method, target=1, seed=3)
        finally:
            torch.set_num_threads(threads)
        assert found.details["engine"] == "openvino"
        maps.append(found.map)
        where.append(set(seen))
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-5 * np.abs(maps[0]).max())
    assert where[0] == {"MainThread"} and len(where[1]) > 2


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_hold_every_sample_once_and_are_as_many_for_each_worker(workers: int) -> None:
    for batch in (1, 8, 16):
        run = Asker(lambda x: x, "openvino", batch, workers)
        for start, count in ((0, 594), (0, 37), (0, 1), (5, 5), (256, 512), (3, 2 + 3 * batch * workers)):
            parts = run.parts(count, start)
            sizes = [p.stop - p.start for p in parts]
            assert [i for p in parts for i in range(p.start, p.stop)] == list(range(start, count))
            assert max(sizes, default=0) <= batch and sizes == sorted(sizes, reverse=True)
            assert not sizes or sizes[0] - sizes[-1] <= 1
            assert len(parts) % workers == 0 or len(parts) == count - start
            assert len(parts) <= -(-(count - start) // (batch * workers)) * workers  # no more than needed


def test_an_early_stop_is_asked_at_the_same_samples_whatever_the_batch() -> None:
    for batch in (7, 100, 256):
        asked: list[int] = []

        def stop(logits: torch.Tensor, asked: list[int] = asked) -> bool:
            asked.append(len(logits))
            return len(logits) >= 512

        run = Asker(lambda x: x.mean((1, 2, 3))[:, None], "torch", batch)
        found = run.ask(2000, lambda part: torch.arange(part.start, part.stop).view(-1, 1, 1, 1).float(), stop)
        assert asked == [256, 512] and torch.equal(found[:, 0], torch.arange(512.0))
    assert len(run.ask(300, lambda part: torch.zeros(part.stop - part.start, 1, 2, 2), lambda _: False)) == 300


def test_batches_in_openvino_are_small() -> None:
    clf, _ = build("small_cnn", size=64)
    clf.network.eval()
    image, target, before = torch.zeros(1, 1, 64, 64), torch.zeros(1, dtype=torch.int64), torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        for most, expected in ((1, (8, 1)), (2, (8, 2)), (8, (4, 8))):
            goal = Goal(target, "logit", clf, session=Session(most_workers=most))
            run = LIME(max_memory_mb=4096, engine="openvino").asker(goal, image, 1000)
            assert (run.batch, run.workers) == expected
        run = LIME(max_memory_mb=4096, engine="torch").asker(Goal(target, "logit", clf), image, 1000)
        assert (run.batch, run.workers) == (4, 8)  # a network of ours, in torch
    finally:
        torch.set_num_threads(before)


def test_the_batch_follows_the_memory() -> None:
    clf, _ = build("small_cnn", size=64)
    image = torch.zeros(1, 1, 64, 64)
    one = bytes_per_image(clf, image)
    assert one > 2 * 4 * 16 * 32 * 32 * 2  # the stem's maps, read and written
    assert Occlusion(max_memory_mb=10.5 * one / 2**20).batch_of(clf, image) == 10
    assert Occlusion(max_memory_mb=0.1 * one / 2**20).batch_of(clf, image) == 1
    assert Occlusion(max_memory_mb=4096).batch_of(clf, image) == 32
    assert Occlusion(batch_size=5).batch_of(clf, image) == 5
    for method in (Occlusion(max_memory_mb=10.5 * one / 2**20), Occlusion(batch_size=3), Occlusion(batch_size=7)):
        at_once = method.batch_of(clf, image)
        for sides in (1, 2, 4, 8):
            copies, together = method.passes_of(clf, image, sides)
            assert 1 <= together <= sides and at_once - together < copies * together <= at_once
    assert Occlusion(max_memory_mb=4096).passes_of(clf, image, 4, 32 * 4) == (32, 4)
    for bad in ({"batch_size": 0}, {"max_memory_mb": 0}):
        with pytest.raises(ConfigError, match="positive"):
            Occlusion(**bad)


def test_multiply_adds_are_those_of_the_layers_formulas() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 3, stride=2, padding=1),  # 32 × 32 places
        torch.nn.Conv2d(6, 6, 5, groups=3, padding=2),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(24, 2),
    )
    clf = wrap(network)
    expected = 32 * 32 * 6 * 9 + 32 * 32 * 6 * 2 * 25 + 24 * 2
    assert multiply_adds(clf, torch.zeros(3, 1, 64, 64)) == expected


@pytest.mark.parametrize("films", [1, 11])
def test_a_network_with_few_weights_is_converted_where_its_passes_take_long(films: int) -> None:
    from radiolucent.study.explain_many import MUCH, SMALL, _session

    box = load("box")
    assert sum(p.numel() for p in box.network.parameters()) < SMALL
    assert multiply_adds(box, torch.zeros(1, 1, 224, 224)) > MUCH
    assert _session(box, films, (LIME(),)).takes("openvino")
    small, _ = build("small_cnn", size=64)
    assert _session(small, films, (LIME(),)).takes("openvino") == (films > 10)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_peak_memory_stays_within_the_bound() -> None:
    """In a process of its own: what the method adds to the peak, with a small bound and with a large one."""
    script = """
        import re, sys, numpy as np, radiolucent as rl
        from pathlib import Path
        from radiolucent.explainers import RISE
        peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
        clf, _ = rl.build("small_cnn", size=320)
        film = rl.from_array(np.random.default_rng(0).random((320, 320)).astype(np.float32))
        for method in (RISE(32, batch_size=1), RISE(64, max_memory_mb=60), RISE(64, max_memory_mb=1000)):
            before = peak()
            rl.explain(clf, film, method, target=1)
            print(peak() - before)
    """
    run = [sys.executable, "-c", textwrap.dedent(script)]
    told = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    _, small, large = map(float, told.split())
    assert small <= 60 < large


def test_all_of_them_explain_each_film_of_a_list_as_alone() -> None:
    clf, films = wrap(Blob()), [blob_film(), blob_film(20, 40)]
    for name in ASKING:
        both = explain(clf, films, FAST[name], target=1)
        np.testing.assert_array_equal(explain(clf, films[1], FAST[name], target=1).map, both[1].map)


@pytest.mark.parametrize(("kind", "lost"), [(torch.float32, False), (torch.float16, True), (torch.bfloat16, True)])
def test_a_map_of_zeros_in_half_precision_is_said_to_be_no_finding(kind: torch.dtype, lost: bool) -> None:
    torch.manual_seed(0)
    last = nn.Linear(4, 2)
    with torch.no_grad():
        last.weight.mul_(1e-3)
        last.bias.copy_(torch.tensor([1.0, 2.0]))
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last).to(kind)
    made = rl.wrap(network, ["NORMAL", "PNEUMONIA"], preprocess=rl.Preprocess(16, "squash", 1, (0.5,), (0.25,)))
    film = rl.from_array(np.random.default_rng(0).random((16, 16)).astype(np.float32))
    for method in (Occlusion(), RISE()):
        found = rl.explain(made, film, method)
        assert found.map.any() != lost
        assert ("half precision" in found.details.get("broken_promise", "")) == lost
