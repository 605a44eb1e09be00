"""Batch norms computed as affine functions give torch's values and gradients."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import radiolucent as rl
from radiolucent.models import build
from radiolucent.passes.batch_norm import AffineNorms
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("affine", [True, False])
def test_the_same_forward_and_backward(affine: bool, dtype: torch.dtype) -> None:
    x, norm = given(affine=affine)
    x, norm = x.detach().to(dtype).requires_grad_(), norm.to(dtype)
    near = 1e-6 if dtype != torch.bfloat16 else 0.04
    up = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    plain = norm(x)
    with AffineNorms():
        quick = norm(x)
    assert "BatchNorm" in str(plain.grad_fn) and "BatchNorm" not in str(quick.grad_fn)
    assert torch.allclose(quick, plain, rtol=near, atol=near)
    a, b = (torch.autograd.grad(out, x, up)[0] for out in (quick, plain))
    assert torch.allclose(a, b, rtol=10 * near, atol=near)


def test_what_is_left_to_torch() -> None:
    x, norm = given()
    with AffineNorms():
        with torch.no_grad():
            assert not norm(x).requires_grad
        assert "BatchNorm" in str(F.batch_norm(x, None, None, training=True).grad_fn)
        with pytest.raises(RuntimeError, match="should contain"):
            norm(x[:, :1])
        norm.requires_grad_(True)
        assert "BatchNorm" in str(norm(x).grad_fn)


def test_a_passs_gradient_is_the_networks_own() -> None:
    clf = build("small_cnn", size=64, seed=1)[0]
    clf.network.eval()
    x = torch.rand(2, 1, 64, 64)
    cut = Pass(clf, x).cut(INPUT)
    names, node = list[str](), cut.logits.grad_fn
    while node is not None:  # the graph of this network is one line
        names.append(node.name())
        node = next((n for n, _ in node.next_functions if n is not None), None)
    assert len(names) > 10 and not any("BatchNorm" in name for name in names)
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(clf.network(leaf)[:, 1].sum(), leaf)[0]
    assert torch.allclose(cut.gradient(cut.logits[:, 1]), expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


def test_inputs_made_in_inference_mode() -> None:
    clf = build("small_cnn", size=64, seed=1)[0]
    clf.network.eval()
    with torch.inference_mode():
        x = torch.rand(1, 1, 64, 64)
    cut = Pass(clf, x).cut(INPUT)
    assert float(cut.gradient(cut.logits[:, 1]).abs().max()) > 0


class Tokens(nn.Module):
    """A norm whose gradient comes from tokens: for one image torch's own gradient of that norm is wrong."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c1, self.c2, self.fc = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), nn.Linear(8, 2)
        self.own = own
        self.register_buffer("mean", torch.randn(8))
        self.register_buffer("var", torch.rand(8) + 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.c2(self.c1(x).relu())
        x = F.instance_norm(x) if self.own else F.instance_norm(x, self.mean, self.var, use_input_stats=False)
        return self.fc(F.layer_norm(x.flatten(2).transpose(1, 2), (8,)).square().mean(1))


@pytest.mark.parametrize("own", [True, False])
def test_an_instance_norms_gradient_comes_from_tokens(own: bool) -> None:
    network = Tokens(own).eval()
    clf = rl.wrap(network, ("NORMAL", "PNEUMONIA"), preprocess=rl.Preprocess(32, "squash", 3, (0.5,) * 3, (0.5,) * 3))
    film = rl.from_array(torch.rand(32, 32, generator=torch.Generator().manual_seed(1)).numpy())
    x, double = clf.preprocess(film)[None].double(), copy.deepcopy(network).double()
    way = torch.randn(32, 32, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        ahead, back = (float(double(x + sign * 1e-6 * way / 0.5)[0, 1]) for sign in (1, -1))
    found = float((torch.as_tensor(rl.explain(clf, film, rl.Saliency(), target=1).map) * way).sum())
    assert found == pytest.approx((ahead - back) / 2e-6, rel=1e-3)
    alone = rl.explain(clf, film, rl.LayerCAM(), target=1)
    among = rl.explain(clf, [film, film], rl.LayerCAM(), target=1)[0]  # torch's own is right of two images
    assert alone.details["layer"] == "module.c2"
    np.testing.assert_allclose(alone.map, among.map, atol=1e-5 * np.abs(among.map).max())
