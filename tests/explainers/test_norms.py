"""Batch norms that go back faster give the network's own numbers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from radiolucent.explainers import norms
from radiolucent.explainers.forward import INPUT, Pass
from radiolucent.explainers.norms import LightNorms
from radiolucent.models import build


def given(channels: int = 24, affine: bool = True) -> tuple[torch.Tensor, nn.BatchNorm2d]:
    draw = torch.Generator().manual_seed(3)
    norm = nn.BatchNorm2d(channels, affine=affine).eval().requires_grad_(False)
    norm.running_mean = torch.randn(channels, generator=draw)
    norm.running_var = torch.rand(channels, generator=draw) + 0.1
    if affine:
        norm.weight.copy_(torch.randn(channels, generator=draw))
        norm.bias.copy_(torch.randn(channels, generator=draw))
    x = torch.randn(3, channels, 17, 19, generator=draw).contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), norm


@pytest.mark.parametrize("affine", [True, False])
def test_the_same_forward_and_backward(affine: bool) -> None:
    x, norm = given(affine=affine)
    up = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    plain = norm(x)
    with LightNorms():
        light = norm(x)
    assert "Addcmul" in str(light.grad_fn) and "BatchNorm" in str(plain.grad_fn)
    # To the bit where torch has the vector instructions it has on all its releases for x86; elsewhere to rounding.
    assert torch.allclose(light, plain, rtol=1e-6, atol=1e-6)
    a, b = (torch.autograd.grad(out, x, up)[0] for out in (light, plain))
    assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_what_is_left_alone() -> None:
    x, norm = given()
    with LightNorms():
        assert "BatchNorm" in str(copy.deepcopy(norm).to(torch.bfloat16)(x.to(torch.bfloat16)).grad_fn)
        with torch.no_grad():
            assert not norm(x).requires_grad
        assert "BatchNorm" in str(F.batch_norm(x, None, None, training=True).grad_fn)
        with pytest.raises(RuntimeError, match="should contain"):
            norm(x[:, :1])
        norm.requires_grad_(True)
        assert "BatchNorm" in str(norm(x).grad_fn)


def test_a_pass_uses_them_and_its_gradient_is_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    clf = build("small_cnn", size=64, seed=1)[0]
    clf.network.eval()
    used: list[torch.Tensor | None] = []
    real = norms._affine
    monkeypatch.setattr(norms, "_affine", lambda *a, **k: used.append(real(*a, **k)) or used[-1])
    x = torch.rand(2, 1, 64, 64)
    cut = Pass(clf, x).cut(INPUT)
    found = cut.gradient(cut.logits[:, 1])
    assert used and all(isinstance(u, torch.Tensor) for u in used)
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(clf.network(leaf)[:, 1].sum(), leaf)[0]
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
