"""OpenVINO computes networks of 1 × 1 convolutions in blocked kernels where a processor has AVX2 and no more."""

from typing import Any

import pytest
import torch
from torch import nn

from radiolucent.passes.fast import openvino_kernels as kernels
from radiolucent.passes.fast.engine import compiled
from radiolucent.passes.fast.openvino_kernels import kernels_of

AVX2 = torch.backends.cpu.get_cpu_capability() == "AVX2"


def chain(*layers: tuple[int, int, int, int]) -> nn.Sequential:
    """Convolutions (inputs, outputs, kernel, groups) with a batch norm and a ReLU6 each."""
    made = nn.Sequential()
    for given, found, side, groups in layers:
        made.extend([nn.Conv2d(given, found, side, padding=side // 2, groups=groups, bias=False)])
        made.extend([nn.BatchNorm2d(found), nn.ReLU6()])
    return made.eval()


SEPARABLE = ((16, 16, 3, 16), (16, 64, 1, 1), (64, 64, 3, 64), (64, 64, 1, 1))


def ran_in(network: nn.Module, x: torch.Tensor) -> list[str]:
    """The kernels that OpenVINO computes a network in; its outputs are torch's."""
    found = compiled(network, [x])
    with torch.no_grad():
        expected = network(x)
    apart = torch.from_numpy(found([x.numpy()])[0]) - expected
    assert float(apart.abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))
    return kernels_of(found.network)


@pytest.mark.parametrize("layers", [SEPARABLE, ((3, 16, 3, 1), *SEPARABLE)], ids=["maps given", "a film given"])
def test_separable_convolutions_runin_blocks(layers: Any) -> None:
    x = torch.randn(3, layers[0][0], 12, 12, generator=torch.Generator().manual_seed(0))
    ran = ran_in(chain(*layers), x)
    assert len(ran) == len(layers)
    assert all(kernel.startswith("jit_avx2") for kernel in ran) == AVX2, ran


def test_large_kernels_run_as_openvino_chooses() -> None:
    x = torch.randn(2, 16, 12, 12, generator=torch.Generator().manual_seed(0))
    ran = ran_in(chain((16, 16, 3, 1), (16, 64, 1, 1)), x)
    assert not any(kernel.startswith("jit_avx2") for kernel in ran), ran


@pytest.mark.skipif(not AVX2, reason="only processors with AVX2 and without AVX-512 are asked for blocks")
def test_a_preference_that_is_not_followed_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "GIVEN", ())  # then the maps come in planes, and slow kernels take them
    x = torch.randn(2, 16, 12, 12, generator=torch.Generator().manual_seed(0))
    ran = ran_in(chain(*SEPARABLE), x)
    assert all(kernel.startswith("brgconv") for kernel in ran), ran


def test_what_cannot_be_asked_for_runs_as_openvino_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    draw = torch.Generator().manual_seed(0)
    lines = nn.Sequential(nn.Conv1d(32, 32, 1), nn.ReLU(), nn.Conv1d(32, 32, 1)).eval()
    assert ran_in(lines, torch.randn(2, 32, 64, generator=draw))
    tried: list[int] = []

    def fails(*_: Any) -> Any:
        tried.append(1)
        raise OSError("no room for a written model")

    monkeypatch.setattr(kernels, "in_blocks", fails)
    assert ran_in(chain(*SEPARABLE), torch.randn(2, 16, 12, 12, generator=draw)) and tried
    monkeypatch.setattr(kernels, "in_blocks", lambda _core, model: model)
    # Nothing known is nothing followed.
    monkeypatch.setattr(kernels, "kernels_of", lambda _network: tried.append(2) or [])
    assert ran_in(chain(*SEPARABLE), torch.randn(2, 16, 12, 12, generator=draw)) and tried[-1] == 2


def test_with_avx512_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(kernels, "in_blocks", lambda *_: pytest.fail("asked for"))
    ran_in(chain(*SEPARABLE), torch.randn(2, 16, 12, 12, generator=torch.Generator().manual_seed(0)))


def test_the_share_of_work_in_1x1_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    pointwise = kernels.pointwise_share
    monkeypatch.setattr(kernels, "pointwise_share", lambda model: shares.append(pointwise(model)) or shares[-1])
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(kernels, "in_blocks", lambda _core, model: model)
    network = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1, groups=16), nn.Conv2d(16, 64, 1), nn.Conv2d(64, 8, 3, padding=1))
    compiled(network.eval(), [torch.randn(2, 16, 12, 12)])
    compiled(nn.Sequential(nn.Flatten(), nn.Linear(2304, 2)).eval(), [torch.randn(2, 16, 12, 12)])
    assert shares == [pytest.approx(16 * 64 / (16 * 9 + 16 * 64 + 64 * 8 * 9)), 0.0]
