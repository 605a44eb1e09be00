"""Batch norms that go back faster give the network's own numbers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from radiolucent.images import Preprocess
from radiolucent.models import build, wrap
from radiolucent.models.per_network import remembers
from radiolucent.passes.fast import cheap_backward as light
from radiolucent.passes.fast.cheap_backward import Light
from radiolucent.passes.forward import INPUT, Pass


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
    with Light():
        quick = norm(x)
    assert "_Norm" in str(quick.grad_fn) and "BatchNorm" in str(plain.grad_fn)
    # To the bit where torch has the vector instructions it has on all its releases for x86; elsewhere to rounding.
    assert torch.allclose(quick, plain, rtol=1e-6, atol=1e-6)
    a, b = (torch.autograd.grad(out, x, up)[0] for out in (quick, plain))
    assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_what_is_left_alone() -> None:
    x, norm = given()
    with Light():
        for dtype, close in ((torch.bfloat16, 2e-2), (torch.float64, 1e-12)):  # affine there too
            found = copy.deepcopy(norm).to(dtype)(x.to(dtype))
            assert "_Norm" in str(found.grad_fn) and found.dtype == dtype
            gain = (norm.weight * torch.rsqrt(norm.running_var + norm.eps)).to(dtype).view(1, -1, 1, 1)
            slope = torch.rand_like(found).transpose(2, 3).contiguous().transpose(2, 3)
            back = torch.autograd.grad(found, x, slope)[0]
            assert torch.allclose(back, (slope * gain).to(back.dtype), rtol=max(close, 1e-5), atol=1e-6)
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
    real = light._affine
    monkeypatch.setattr(light, "_affine", lambda *a, **k: used.append(real(*a, **k)) or used[-1])
    x = torch.rand(2, 1, 64, 64)
    cut = Pass(clf, x).cut(INPUT)
    found = cut.gradient(cut.logits[:, 1])
    assert used and all(isinstance(u, torch.Tensor) for u in used)
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(clf.network(leaf)[:, 1].sum(), leaf)[0]
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


class Clips(nn.Module):
    """Batch norms and clipped ReLUs in place, of both kinds."""

    def __init__(self, behind: str = "") -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2)
        self.norm, self.other = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.six, self.hard = nn.ReLU6(inplace=True), nn.Hardtanh(-0.5, 0.7, inplace=True)
        self.head, self.behind = nn.Linear(8, 2), behind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.behind == "scaled":
            x.sub_(0.5)
        x = self.norm(self.first(x))
        before = x + 1 if self.behind == "beside" else None
        x = self.six(x)
        if self.behind == "scaled":
            x.mul_(0.5)
        x = x if before is None else x + before
        x = self.hard(self.other(self.second(x)))
        return self.head(F.relu6(x).mean((2, 3)))


def clips(behind: str) -> nn.Module:
    torch.manual_seed(0)
    network = Clips(behind)
    for norm in (network.norm, network.other):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.02, 0.1)
    return network.eval()


@pytest.mark.parametrize("behind", ["", "beside", "scaled"])
def test_clipped_relus_in_a_pass_keep_the_gradient(behind: str) -> None:
    network, x = clips(behind), torch.rand(2, 3, 16, 16)
    clf = wrap(network, ["a", "b"], preprocess=Preprocess(size=16, channels=3))
    made = Pass(clf, x)
    cut = made.cut(INPUT)
    found = [cut.gradient(cut.logits[:, k]) for k in (0, 1, 0)]
    leaf = x.clone().requires_grad_()
    logits = network(leaf.clone())
    expected = [torch.autograd.grad(logits[:, k].sum(), leaf, retain_graph=True)[0] for k in (0, 1, 0)]
    assert float(expected[0].abs().max()) > 0
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6 * float(b.abs().max()))
    assert remembers(clf.network, "writes over activations") == (behind == "scaled")
    kept = x.clone()
    for layer in ("module.second", None):
        fresh = wrap(clips(behind), ["a", "b"], preprocess=Preprocess(size=16, channels=3))
        assert torch.allclose(Pass(fresh, x).cut(layer).logits, logits, rtol=1e-5, atol=1e-6) and torch.equal(x, kept)
    again = Pass(clf, x).cut(INPUT)
    assert torch.equal(again.gradient(again.logits[:, 0]), found[0])


def test_clipped_relus_alone() -> None:
    x = (4 * torch.randn(3, 5, 9, 9)).requires_grad_()
    x.data[0, 0, 0, :2] = torch.tensor([0.0, 6.0])  # at the limits there is none
    up = torch.randn(x.shape)
    for function in (
        lambda t: F.relu6(t, True),
        lambda t: F.hardtanh(t, inplace=True),
        lambda t: F.hardtanh(t, max_val=2.0, inplace=True),
        lambda t: F.hardtanh(t, 0.0, 6.0, True),
    ):
        (expected,) = torch.autograd.grad(function(x * 1), x, up)
        with Light() as light:
            out = function(x * 1)
        assert "_Clip" in str(out.grad_fn) and not light.overwritten
        assert torch.equal(torch.autograd.grad(out, x, up)[0], expected)
    with Light() as light:
        assert "_Clip" not in str(F.relu6(x * 1).grad_fn)  # not in place
        view = (x * 1)[:, :2]
        assert "_Clip" not in str(F.relu6(view, True).grad_fn)
        F.relu6(x * 1, True).mul_(2.0)
    assert light.overwritten


def test_a_gradient_that_others_hold_is_not_written_into() -> None:
    x, norm = given()
    with Light():
        z = norm(x)
        beside = z + 1  # passes its gradient on as it is, to both
        F.relu6(z, True)
        other = torch.zeros_like(z).requires_grad_()
        score = (beside + other).mul(3.0).sum()
    a, b = torch.autograd.grad(score, (x, other))
    assert torch.equal(b, torch.full_like(b, 3.0))
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    assert torch.allclose(a, 3.0 * gain.view(1, -1, 1, 1).expand_as(a), rtol=1e-5)


def test_a_gradient_of_the_norms_own_is_written_into_each_time_anew() -> None:
    x, norm = given()
    with Light():
        z = norm(x)
        node = z.grad_fn
        out = F.relu6(z, True)
    up = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    seen: list[tuple[int, int]] = []
    node.register_prehook(lambda grads: seen.append((grads[0].data_ptr(), node.to_itself)))
    first, second = (torch.autograd.grad(out, x, up, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second) and node.to_itself == 0
    assert len(seen) == 2 and all(a == b != 0 for a, b in seen)
    (expected,) = torch.autograd.grad(F.relu6(norm(x)), x, up)
    assert torch.allclose(first, expected, rtol=1e-5, atol=1e-6)


def test_inputs_made_in_inference_mode() -> None:
    clf = build("small_cnn", size=64, seed=1)[0]
    clf.network.eval()
    with torch.inference_mode():
        x = torch.rand(1, 1, 64, 64)
    cut = Pass(clf, x).cut(INPUT)
    assert float(cut.gradient(cut.logits[:, 1]).abs().max()) > 0
