"""Methods for transformers: against the papers' equations written out, on timm, torchvision and Hugging Face."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import radiolucent as rl
from network_zoo import from_transformers
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import AttnLRP, Chefer, LeGrad, explain
from radiolucent.explainers.attention import multi_head, scaled_dot_product
from radiolucent.models import Classifier
from support.explainer_cases import make, noise_films

Tensor = torch.Tensor


def disturbed(network: nn.Module) -> nn.Module:
    """Zeros and ones of the initialisation would hide what flows."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def wrapped(network: nn.Module, size: int = 64) -> Classifier:
    pre = rl.Preprocess(size, "squash", 3, (0.5,) * 3, (0.5,) * 3)
    return rl.wrap(disturbed(network), ("NORMAL", "PNEUMONIA"), preprocess=pre)


def from_timm(name: str = "vit_tiny_patch16_224", **changes: Any) -> Classifier:
    import timm

    small = {"img_size": 64, "embed_dim": 24, "num_heads": 2, "depth": 3, "patch_size": 16, "num_classes": 2}
    return wrapped(timm.create_model(name, **{**small, **changes}), changes.get("img_size", 64))


def from_torchvision() -> Classifier:
    from torchvision.models import VisionTransformer

    return wrapped(VisionTransformer(64, 16, 3, 2, 24, 48, num_classes=2))


# Relevance handed back number by number: what comes in at each function, and what of R its inputs get.


def back_linear(x: Tensor, weight: Tensor, bias: Tensor | None, relevance: Tensor) -> Tensor:
    """R_i = Σ_j x_i w_ji R_j / z_j (eq. 8, ε = 0)."""
    z = x @ weight.T + (0 if bias is None else bias)
    found = torch.zeros_like(x)
    for j in range(len(weight)):
        found += x * weight[j] * (relevance[:, j] / z[:, j])[:, None]
    return found


def back_product(a: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
    """R_ij(A) = Σ_p A_ij B_jp R_ip / (2 O_ip), and so for B (proposition 3.3)."""
    share = relevance / (2 * (a @ b))
    return a * (share @ b.T), b * (a.T @ share)


def back_softmax(x: Tensor, relevance: Tensor) -> Tensor:
    """R_i = x_i (R_i − s_i Σ R) (proposition 3.1)."""
    return x * (relevance - x.softmax(-1) * relevance.sum(-1, keepdim=True))


def back_norm(x: Tensor, norm: Any, relevance: Tensor) -> Tensor:
    """The deviation held, what is left is linear: y_j = Σ_i (δ_ij − 1/n) x_i w_j / σ + b_j (proposition 3.4)."""
    found, n = torch.zeros_like(x), x.shape[1]
    for t in range(len(x)):
        scale = norm.weight / (x[t].var(unbiased=False) + norm.eps).sqrt()
        matrix = scale[:, None] * (torch.eye(n).double() - 1 / n)
        found[t] = back_linear(x[t : t + 1], matrix, norm.bias, relevance[t : t + 1])[0]
    return found


def back_block(x: Tensor, block: Any, relevance: Tensor) -> Tensor:
    """A timm block: x + attention(norm1 x), then that + mlp(norm2 of it)."""
    attn, mlp, heads = block.attn, block.mlp, block.attn.num_heads
    normed = block.norm1(x)
    queries, keys, values = attn.qkv(normed).unflatten(1, (3, heads, -1)).permute(1, 2, 0, 3)
    scores = [q * attn.scale @ k.T for q, k in zip(queries, keys, strict=True)]
    mixed = torch.stack([s.softmax(-1) @ v for s, v in zip(scores, values, strict=True)], 1).flatten(1)
    added = attn.proj(mixed)
    middle = x + added
    hidden = mlp.fc1(block.norm2(middle))
    change = mlp.fc2(F.gelu(hidden))
    out = middle + change
    # and back
    share = relevance / out
    r_hidden = back_linear(F.gelu(hidden), mlp.fc2.weight, mlp.fc2.bias, change * share)
    r_normed = back_linear(block.norm2(middle), mlp.fc1.weight, mlp.fc1.bias, r_hidden)
    r_middle = middle * share + back_norm(middle, block.norm2, r_normed)
    share = r_middle / middle
    r_mixed = back_linear(mixed, attn.proj.weight, attn.proj.bias, added * share).unflatten(1, (heads, -1))
    r_qkv = torch.zeros(3, heads, len(x), queries.shape[-1]).double()
    for h in range(heads):
        r_attention, r_qkv[2, h] = back_product(scores[h].softmax(-1), values[h], r_mixed[:, h])
        r_qkv[0, h], r_keys = back_product(queries[h] * attn.scale, keys[h].T, back_softmax(scores[h], r_attention))
        r_qkv[1, h] = r_keys.T
    r_normed = back_linear(normed, attn.qkv.weight, attn.qkv.bias, r_qkv.permute(2, 0, 1, 3).flatten(1))
    return x * share + back_norm(x, block.norm1, r_normed)


def attnlrp_of(network: Any, image: Tensor, target: int) -> Tensor:
    """AttnLRP of a plain timm ViT in double precision, (H, W)."""
    kernel = network.patch_embed.proj
    patches = F.unfold(image, kernel.kernel_size, stride=kernel.stride)[0].T
    weight = kernel.weight.flatten(1)
    embedded = patches @ weight.T + kernel.bias
    start = torch.cat([network.cls_token[0], embedded]) + network.pos_embed[0]
    tokens = [start]
    for block in network.blocks:
        tokens.append(block(tokens[-1][None])[0])
    pooled = network.norm(tokens[-1])[:1]
    score = network.head(pooled)
    r = back_linear(pooled, network.head.weight, network.head.bias, score * F.one_hot(torch.tensor([target]), 2))
    relevance = torch.zeros_like(tokens[-1])
    relevance[:1] = back_norm(tokens[-1][:1], network.norm, r)
    for block, x in zip(reversed(network.blocks), reversed(tokens[:-1]), strict=True):
        relevance = back_block(x, block, relevance)
    r_patches = back_linear(patches, weight, kernel.bias, embedded * (relevance / start)[1:])
    return F.fold(r_patches.T[None], image.shape[2:], kernel.kernel_size, stride=kernel.stride)[0].sum(0)


@torch.no_grad()
def test_attnlrp_is_the_papers_equations() -> None:
    clf, film = from_timm(embed_dim=12, img_size=32, patch_size=8), noise_films(1)[0]
    e = explain(clf, film, AttnLRP(epsilon=1e-9), target=1)
    network = clf.network.module.double()
    expected = attnlrp_of(network, clf.preprocess(film)[None].double(), 1).numpy()
    assert np.abs(expected).max() > 1e-6
    np.testing.assert_allclose(e.map, expected, atol=2e-3 * np.abs(expected).max())
    assert e.score == pytest.approx(float(network(clf.preprocess(film)[None].double())[0, 1]), rel=1e-4)


TRANSFORMERS: dict[str, Callable[[], Classifier]] = {
    "timm ViT": from_timm,
    "timm ViT, averaged": lambda: from_timm(global_pool="avg", class_token=False, fc_norm=False),
    "timm DeiT, distilled": lambda: from_timm("deit_tiny_distilled_patch16_224"),
    "timm DINOv2, registers": lambda: from_timm("vit_small_patch14_reg4_dinov2"),
    "torchvision ViT": from_torchvision,
    **{
        f"Hugging Face {kind}": lambda kind=kind: wrapped(from_transformers(kind, 64))
        for kind in ("ViT", "DeiT", "Dinov2")
    },
}
"""Those in which every layer attends to all tokens."""
WINDOWS: dict[str, Callable[[], Classifier]] = {
    "timm Swin": lambda: wrapped(
        __import__("timm").create_model(
            "swin_tiny_patch4_window7_224", img_size=64, window_size=4, embed_dim=12, depths=(2, 2), num_heads=(2, 2),
            num_classes=2,
        )
    ),
    "Hugging Face Swin": lambda: wrapped(from_transformers("Swin", 64)),
}  # fmt: skip


@pytest.mark.parametrize("name", [*TRANSFORMERS, *WINDOWS])
def test_attnlrps_books_balance(name: str) -> None:
    clf, films = (TRANSFORMERS | WINDOWS)[name](), noise_films(2)
    modules, parameters = [*clf.network.modules()], [p.requires_grad for p in clf.network.parameters()]
    for e in explain(clf, films, AttnLRP(epsilon=1e-7), target=1):
        d = e.details
        assert d["relevance_given"] == pytest.approx(e.score, rel=1e-4) and "broken_promise" not in d
        size = abs(d["bias_share"]) + float(np.abs(e.map).sum())
        assert abs(d["epsilon_share"]) <= 1e-3 * size and np.abs(e.map).max() > 1e-6 * size, d
    assert [*clf.network.modules()] == modules and [p.requires_grad for p in clf.network.parameters()] == parameters
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in modules)
    plain = explain(clf, films[0], AttnLRP(epsilon=1e-7, conserve=False), target=1)
    whole = explain(clf, films[0], AttnLRP(epsilon=1e-7), target=1)
    np.testing.assert_allclose(plain.map, whole.map, atol=1e-5 * np.abs(plain.map).max())


def attention_seen(network: Any, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """A timm ViT written out: each layer's attention and tokens, with the graph between them."""
    x = network.norm_pre(network._pos_embed(network.patch_embed(image))).detach()
    attentions, tokens = [], []
    for block in network.blocks:
        x, attn = x.detach(), block.attn
        q, k, v = attn.qkv(block.norm1(x)).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(2, 3) * attn.scale).softmax(-1).detach().requires_grad_()
        x = x + block.ls1(attn.proj((attention @ v).transpose(1, 2).flatten(2)))
        x = x + block.ls2(block.mlp(block.norm2(x)))
        attentions.append(attention)
        tokens.append(x)
    return attentions, tokens


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("timm ViT", 1), ("timm ViT, averaged", 0), ("timm DeiT, distilled", 2), ("timm DINOv2, registers", 5)],
)
def test_legrad_is_the_papers_equations(name: str, prefix: int) -> None:
    clf, films = TRANSFORMERS[name](), noise_films(2)
    network = clf.network.module
    attentions, tokens = attention_seen(network, clf.preprocess(films[1])[None])
    layers: list[Tensor] = []
    for attention, z in zip(attentions, tokens, strict=True):
        score = network.forward_head(network.norm(z))
        score = score[0] if isinstance(score, tuple) else score
        gradient = torch.autograd.grad(score[0, 1], attention)[0][0].clamp(min=0)
        layers.append(
            sum(gradient[h, i, prefix:] for h in range(2) for i in range(len(gradient[0]))) / (2 * len(gradient[0]))
        )
    expected = (sum(layers) / len(layers)).unflatten(0, (4, 4)).numpy()
    found = explain(clf, films, LeGrad(), target=1)[1].details
    np.testing.assert_allclose(found["feature_map"], expected, atol=1e-4 * expected.max())
    assert expected.max() > 0 and found["layers"] == 3
    two = explain(clf, films[1], LeGrad(last=2), target=1).details["feature_map"]
    np.testing.assert_allclose(two, (sum(layers[1:]) / 2).unflatten(0, (4, 4)).numpy(), atol=1e-4 * expected.max())


def chefer_of(score: Tensor, attentions: list[Tensor], read: Tensor) -> Tensor:
    """R ← R + Ā R, written out; the rows that are read, less what they began with, (T,)."""
    relevance = torch.eye(attentions[0].shape[-1])
    for attention, gradient in zip(attentions, torch.autograd.grad(score, attentions), strict=True):
        cam = torch.stack([(g * a).clamp(min=0) for g, a in zip(gradient[0], attention[0], strict=True)]).mean(0)
        relevance = relevance + cam.detach() @ relevance
    return (read @ (relevance - torch.eye(len(relevance)))).detach()


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("timm ViT", [0]),
        ("timm ViT, averaged", range(16)),
        ("timm DeiT, distilled", [0, 1]),
        ("timm DINOv2, registers", [0]),
        ("Hugging Face ViT", [0]),
        ("Hugging Face DeiT", [0]),
        ("Hugging Face Dinov2", range(17)),
    ],
)
def test_chefers_relevance_is_the_papers_equations(name: str, read: Sequence[int]) -> None:
    clf, films = TRANSFORMERS[name](), noise_films(2)
    found = explain(clf, films, Chefer(), target=1)[1].details
    network, image, seen = clf.network.module, clf.preprocess(films[1])[None], list[Tensor]()
    if name.startswith("timm"):
        for block in network.blocks:
            block.attn.fused_attn = False
            block.attn.attn_drop.register_forward_hook(lambda _, __, out: seen.append(out))
        logits = network(image)
    else:
        network.set_attn_implementation("eager")
        out = network(image, output_attentions=True)
        logits, seen = out.logits, list(out.attentions)
    tokens = seen[0].shape[-1]
    rows = torch.zeros(tokens).index_fill(0, torch.tensor(list(read)), 1 / len(read))
    expected = chefer_of(logits[0, 1], seen, rows)[tokens - 16 :].unflatten(0, (4, 4)).numpy()
    np.testing.assert_allclose(found["feature_map"], expected, atol=1e-4 * expected.max())
    assert expected.max() > 0 and found["tokens_read"] == len(read)


@pytest.mark.parametrize("method", [LeGrad(), Chefer()], ids=["LeGrad", "Chefer"])
@pytest.mark.parametrize("name", [n for n in TRANSFORMERS if not n.startswith("timm")])
def test_films_together_or_alone(name: str, method: rl.Explainer) -> None:
    clf, films = TRANSFORMERS[name](), noise_films(2)
    together = explain(clf, films, method, target=1)
    assert together[0].map.max() > 0 and together[0].details["feature_map"].shape == (4, 4)
    alone = explain(clf, films[1], method, target=1).map
    np.testing.assert_allclose(together[1].map, alone, atol=1e-5 * alone.max())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in clf.network.modules())


def test_fused_attention_or_not_is_the_same_map() -> None:
    clf, film = from_timm(), noise_films(1)[0]
    assert all(block.attn.fused_attn for block in clf.network.module.blocks)
    hugging = wrapped(from_transformers("ViT", 64))
    assert hugging.network.module.config._attn_implementation == "sdpa"
    for method in (AttnLRP(epsilon=1e-7), LeGrad(), Chefer()):
        for each, loosen in (
            (clf, lambda on: [setattr(block.attn, "fused_attn", on) for block in clf.network.module.blocks]),
            (hugging, lambda on: hugging.network.module.set_attn_implementation("sdpa" if on else "eager")),
        ):
            fused = explain(each, film, method, target=1).map
            loosen(False)
            plain = explain(each, film, method, target=1).map
            loosen(True)
            np.testing.assert_allclose(plain, fused, atol=1e-4 * np.abs(fused).max())


def test_attention_written_out_is_torchs() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 4, 5, 6) for _ in range(3))
    hidden = torch.rand(5, 5) > 0.4
    hidden[:, 0] = True
    for options in ({}, {"attn_mask": hidden}, {"attn_mask": torch.randn(5, 5)}, {"is_causal": True}, {"scale": 0.3}):
        np.testing.assert_allclose(
            scaled_dot_product(q, k, v, **options), F.scaled_dot_product_attention(q, k, v, **options), atol=1e-5
        )
    grouped = scaled_dot_product(q, k[:, :2], v[:, :2], enable_gqa=True)
    np.testing.assert_allclose(
        grouped, F.scaled_dot_product_attention(q, k[:, :2], v[:, :2], enable_gqa=True), atol=1e-5
    )
    attention = nn.MultiheadAttention(8, 2)
    x = torch.randn(5, 3, 8)
    for batch, mask in ((x, None), (x[:, 0], None), (x, ~hidden)):
        with torch.no_grad():
            given = (
                batch,
                batch,
                batch,
                8,
                2,
                attention.in_proj_weight,
                attention.in_proj_bias,
                None,
                None,
                False,
                0.0,
            )
            rest = {"training": False, "attn_mask": mask, "need_weights": False}
            ends = (attention.out_proj.weight, attention.out_proj.bias)
            np.testing.assert_allclose(
                multi_head(*given, *ends, **rest)[0],
                F.multi_head_attention_forward(*given, *ends, **rest)[0],
                atol=1e-5,
            )
            with pytest.raises(ExplainError, match="add_zero_attn"):
                multi_head(*given[:9], True, 0.0, *ends, **rest)


def test_what_they_are_not_meant_for() -> None:
    film = noise_films(1)[0]
    with pytest.raises(ExplainError, match=r"no attention; use LRP\(\)"):
        explain(make("small_cnn"), film, AttnLRP(), target=1)
    for method in (LeGrad(), Chefer()):
        with pytest.raises(ExplainError, match=rf"{method.title}.*no attention.*GradCAM\(\)"):
            explain(make("small_cnn"), film, method, target=1)
        for name in WINDOWS:
            with pytest.raises(ExplainError, match=rf"{method.title}.*is over 16 tokens, not all.*AttnLRP\(\)"):
                explain(WINDOWS[name](), film, method, target=1)
    with pytest.raises(ConfigError, match="last=0"):
        LeGrad(last=0)
