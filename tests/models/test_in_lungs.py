"""The network that sees nothing but the lungs: its window, what it blanks, and where its maps lie."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import radiolucent as rl
from radiolucent.data.phantom import draw
from radiolucent.errors import CheckpointError, ExplainError, ModelError
from radiolucent.models import Classifier, InLungs, SmallResNet, shift_logits
from radiolucent.models.classifier import digest_of
from radiolucent.models.in_lungs import (
    Limits,
    Window,
    cut_out,
    like_lung,
    look,
    over_lungs,
    standardised,
    window_of,
)
from radiolucent.models.lite import Lite
from radiolucent.passes import target_layer
from radiolucent.passes.target_layer import find_layer
from radiolucent.segment import load_segmenter


def two_lungs(n: int = 1) -> torch.Tensor:
    chance = torch.zeros(n, 64, 64)
    chance[:, 16:48, 10:28] = chance[:, 16:48, 36:54] = 0.95
    return chance


def network(seed: int = 0) -> InLungs:
    torch.manual_seed(seed)
    found = InLungs(2, side=64, width=16, limits=None).eval()
    found.finder.load_state_dict(load_segmenter().network.state_dict())
    return found


def films(count: int = 3) -> torch.Tensor:
    drawn = [
        draw(np.random.default_rng([3, i]), size=224, pneumonia=bool(i % 2), marker="R", site=i % 3)
        for i in range(count)
    ]
    return torch.from_numpy(np.stack([d.pixels for d in drawn])).float()[:, None] / 255


def classifier(net: InLungs) -> Classifier:
    made, _ = rl.build("in_lungs", pretrained=False, side=64, width=16, limits=None)
    made.network.load_state_dict(net.state_dict())
    return made


def test_window_is_the_lungs_box_and_specks_do_not_move_it() -> None:
    chance = two_lungs(2)
    chance[1, 60:62, 60:62] = 0.99  # 4 of 1,156 pixels
    tight = window_of(chance, 0.0)
    for edge, cell in ((tight.top, 16), (tight.bottom, 48), (tight.left, 10), (tight.right, 54)):
        assert edge.tolist() == pytest.approx([cell / 64, cell / 64])
    wide = window_of(chance, 0.25)
    assert wide.top[0].item() == pytest.approx(8 / 64) and wide.bottom[0].item() == pytest.approx(56 / 64)
    nothing = window_of(torch.zeros(1, 64, 64), 0.1)
    assert [float(e) for e in (nothing.top, nothing.bottom, nothing.left, nothing.right)] == pytest.approx([0, 1, 0, 1])


def test_cutting_out_is_bilinear_sampling() -> None:
    grey = torch.rand(2, 50, 70)
    edges = torch.tensor([[0.1, 0.0], [0.8, 1.0], [0.25, 0.0], [0.9, 1.0]])
    found = cut_out(grey, Window(*edges), 32)
    theta = torch.zeros(2, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = edges[3] - edges[2], edges[3] + edges[2] - 1
    theta[:, 1, 1], theta[:, 1, 2] = edges[1] - edges[0], edges[1] + edges[0] - 1
    grid = F.affine_grid(theta, [2, 1, 32, 32], align_corners=False)
    expected = F.grid_sample(grey[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_exposure_is_taken_away_and_what_is_not_seen_is_the_mean() -> None:
    grey, seen = torch.rand(1, 40, 40), torch.zeros(1, 40, 40)
    seen[:, 5:30, 8:30] = 1
    found = standardised(grey, seen)
    inside = found[seen == 1]
    assert float(inside.mean()) == pytest.approx(0, abs=1e-5) and 0.7 < float(inside.std()) < 1
    assert (found[seen == 0] == 0).all()
    torch.testing.assert_close(standardised(grey * 0.5 + 0.3, seen).sign(), found.sign())


def test_maps_are_laid_where_they_lie_and_keep_their_mean() -> None:
    net = network()
    maps = torch.rand(2, 3, 8, 8)
    edges = [torch.tensor(v) for v in ([0.25, 0.13], [0.75, 0.81], [0.5, 0.07], [1.0, 0.66])]
    placed = net.placed(maps, *edges)
    assert placed.shape == (2, 3, 28, 28)
    torch.testing.assert_close(placed.mean((2, 3)), maps.mean((2, 3)))
    corner = torch.zeros(1, 1, 8, 8)
    corner[..., 0, 7] = 1  # top right of a window in the film's right half
    there = net.placed(corner, *(e[:1] for e in edges))[0, 0].nonzero()
    assert there[:, 0].min() >= 7 and there[:, 0].max() <= 8 and there[:, 1].min() >= 26
    assert (net.placed(maps, *edges)[0][:, :, :14] == 0).all()


def test_what_is_not_seen_has_no_way_to_the_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = network(), films()
    chance = net.chances(x[:, 0])
    monkeypatch.setattr(net, "chances", lambda grey: chance)
    far = F.interpolate(F.max_pool2d(chance[:, None], 7, 1, 3), (224, 224), mode="nearest") < 0.3
    assert 0.1 < far.float().mean() < 0.9
    other = torch.where(far, torch.rand_like(x), x)
    with torch.no_grad():
        assert torch.equal(net(x), net(other))
        assert not torch.equal(net(x), net(torch.where(far, x, torch.rand_like(x))))


def test_a_film_without_lungs_gets_one_and_the_same_answer() -> None:
    net = network()
    with torch.no_grad():
        found = net(torch.cat([torch.zeros(1, 1, 224, 224), torch.full((1, 1, 224, 224), 0.6)]))
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=0)


def test_what_has_not_the_texture_of_a_lung_is_none() -> None:
    torch.manual_seed(0)
    net, x = network(), films()
    grey, seen = torch.rand(3, 128, 128), torch.zeros(3, 128, 128)
    broad, mid = (F.interpolate(torch.rand(1, 1, n, n), (128, 128), mode="bilinear")[0, 0] for n in (4, 32))
    grey[0] = broad + 0.3 * mid + 0.1 * grey[0]  # grains of all sizes
    grey[1] = torch.linspace(0, 1, 128)  # smooth; the third is white noise
    seen[:, 16:112, 16:112] = 1
    limits = Limits(0.008, 0.042, 0.24, 2.0, 0.45)
    assert torch.equal(like_lung(grey, seen, limits) > 0.8, torch.tensor([True, False, False]))
    grey[1, 16:24], grey[1, 104:112] = torch.rand(8, 128), torch.rand(8, 128)  # a rim does not speak for the rest
    assert like_lung(grey, seen, limits)[1] < 0.2
    with torch.no_grad():
        before = net(x)
        cut, sight, _ = look(x[:, 0], net.chances(x[:, 0]), 64, 0.04)
        shares = like_lung(cut, sight, limits)
        net.limits = dataclasses.replace(limits, share=float(shares.sort().values[:2].mean()))
        after, taken = net(x), net.takes_for_lung(x)
    gone = shares < net.limits.share
    assert gone.sum() == 1 and torch.equal(~taken, gone) and torch.equal(before[~gone], after[~gone])
    torch.testing.assert_close(after[gone][0], net.trunk.dense.bias.detach())


@pytest.mark.parametrize(("dtype", "off"), [(torch.float64, 1e-4), (torch.bfloat16, 0.3)])
def test_it_answers_in_other_precisions(dtype: torch.dtype, off: float) -> None:
    box, x = rl.load("box"), films()
    film, expected = rl.from_array(x[0, 0].numpy()), box.logits(x)
    plain = rl.explain(box, film, rl.GradCAM(), target=1).map
    box.network.to(dtype)
    assert expected.std(0).min() > 0.1 and plain.std() > 0
    torch.testing.assert_close(box.logits(x), expected, atol=off, rtol=0)
    again = rl.explain(box, film, rl.GradCAM(), target=1).map
    assert np.corrcoef(again.ravel(), plain.ravel())[0, 1] > 0.95


def test_texture_is_judged_alike_on_fewer_places() -> None:
    net, limits = network(), Limits(0.008, 0.042, 0.24, 2.0, 0.45)
    x = films(6)[:, 0]
    cut, seen, _ = look(x, net.chances(x), 128, 0.04)
    for k, rows in enumerate((0, 20, 40, 60, 80, 100)):  # painted over, to there
        cut[k, :rows] = torch.linspace(0.4, 0.6, 128)
    every, fourth = (like_lung(cut, seen, limits, step) for step in (1, 4))
    assert float(every.std()) > 0.2
    torch.testing.assert_close(fourth, every, atol=0.03, rtol=0)
    empty = torch.zeros_like(seen)
    assert torch.equal(like_lung(cut, empty, limits, 4), torch.zeros(6))


def test_maps_count_as_far_as_lung_is_seen() -> None:
    maps, seen = torch.rand(2, 3, 4, 4), torch.zeros(2, 64, 64)
    seen[0, :32], seen[1] = 1, 1
    found = over_lungs(maps, seen).mean((2, 3))
    torch.testing.assert_close(found[0], maps[0, :, :2].mean((1, 2)))
    torch.testing.assert_close(found[1], maps[1].mean((1, 2)))


def test_the_trunk_is_imagenets() -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, pad_type="").eval()
    ours = Lite(2, width=8).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    ours.load_imagenet(theirs.state_dict(), 1.0)
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        expected = theirs.bn1(theirs.conv_stem(x.expand(-1, 3, -1, -1)))
        for stage in theirs.blocks[:5]:
            expected = stage(expected)
        torch.testing.assert_close(ours.stages(ours.stem(x)), expected, atol=1e-3, rtol=1e-3)
        before = ours(x)
        torch.testing.assert_close(ours.fused()(x), before, atol=1e-4, rtol=1e-4)


def test_what_a_hook_keeps_is_not_overwritten() -> None:
    trunk, x = Lite(2, width=8, norm=False).eval(), torch.rand(2, 1, 64, 64)
    block: Any = trunk.stages[1][0]  # type: ignore[index]
    with torch.no_grad():
        before = trunk(x)
        for part in (block.widen.conv, block.widen.act):
            kept: list[torch.Tensor] = []
            handle = part.register_forward_hook(lambda _, given, out, kept=kept: kept.extend([given[0], out]))
            assert torch.equal(trunk(x), before)
            handle.remove()
            wide = kept[1 if part is block.widen.conv else 0]
            assert wide.min() < 0  # as the convolution left it
    assert torch.equal(trunk(x), before)  # with gradients nothing is overwritten either


def test_a_slimmer_trunk_is_saved_and_loaded(tmp_path: Path) -> None:
    slim = (48, 96, 96, 160, 160, 320, 320, 320, 448, 448)
    made, _ = rl.build("in_lungs", pretrained=False, side=64, width=16, norm=False, hidden=slim, step=4)
    again = rl.load(rl.save(made, tmp_path / "a.safetensors"))
    net: Any = again.network
    assert net.step == 4
    assert [b.narrow.conv.in_channels for stage in net.trunk.stages[1:] for b in stage] == list(slim)
    x = films()
    assert torch.equal(again.logits(x), made.logits(x))
    with pytest.raises(ModelError, match="3 numbers of hidden maps; give one for each of the 10 blocks"):
        Lite(2, hidden=(1, 2, 3))


def test_texture_is_measured_at_its_own_scale_whatever_the_trunks(tmp_path: Path) -> None:
    """Pixels a half as large have another texture: what counts as lung must not hang on what the trunk sees."""
    limits = (0.008, 0.042, 0.24, 2.0, 0.45)
    x = torch.cat([films(), 0.2 + 0.3 * torch.rand(2, 1, 224, 224, generator=torch.Generator().manual_seed(0))])
    shares: list[torch.Tensor] = []
    for side, texture in ((64, None), (128, 64), (128, None)):
        net = InLungs(2, side=side, width=16, limits=limits, texture=texture).eval()
        net.finder.load_state_dict(load_segmenter().network.state_dict())
        maps: list[torch.Tensor] = []
        net.placed.register_forward_hook(lambda *told, maps=maps: maps.append(told[2]))
        cut, seen, _ = look(x[:, 0], net.chances(x[:, 0]), net.texture, net.margin)
        shares.append(like_lung(cut, seen, Limits(*limits)))
        for least in shares[-1][shares[-1] > 0]:  # the rule is the one that the answers follow
            net.limits = Limits(*limits[:4], float(least))
            net(x)
            answered = maps.pop().flatten(1).any(1)
            assert torch.equal(answered, shares[-1] >= least) and torch.equal(answered, net.takes_for_lung(x))
    assert torch.equal(shares[0], shares[1]) and (shares[1] - shares[2]).abs().max() > 0.01
    made, _ = rl.build("in_lungs", pretrained=False, side=128, width=16, texture=64)
    assert rl.load(rl.save(made, tmp_path / "a.safetensors")).network.texture == 64  # type: ignore[union-attr]


def test_a_network_saved_by_version_2_is_the_same_network() -> None:
    net: Any = InLungs(2)  # what a file of version 2 does not say
    assert net.step == 1 and net.side == net.texture == 128
    full = [b.narrow.conv.in_channels for stage in net.trunk.stages for b in stage]
    assert full == [32, 96, 144, 144, 240, 240, 480, 480, 480, 672, 672]


@pytest.mark.parametrize("followed", [True, False])
def test_grad_cam_lies_on_the_film_and_within_the_window(followed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not followed:  # as on some films, on which a texture moves the lungs that are found
        real = target_layer._layers
        monkeypatch.setattr(target_layer, "_layers", lambda p: {k: v for k, v in real(p).items() if k != "placed"})
    net, x = network(), films(1)
    made = classifier(net)
    searched = target_layer._looked_up(made.network, x)[1]
    assert searched is not None and searched.name == find_layer(made.network, x).name == "placed"
    film = rl.from_array(x[0, 0].numpy())
    shown = rl.explain(made, film, rl.GradCAM(), target=0)
    other = rl.explain(made, film, rl.GradCAM(), target=1)
    window = window_of(net.chances(x[:, 0]), net.margin)
    box = [round(float(e) * 224) for e in (window.top, window.bottom, window.left, window.right)]
    outside = np.ones((224, 224), bool)
    outside[max(box[0] - 13, 0) : box[1] + 13, max(box[2] - 13, 0) : box[3] + 13] = False
    total = np.abs(shown.map) + np.abs(other.map)
    assert outside.any() and total.max() > 0 and (total[outside] == 0).all()


@pytest.mark.parametrize("name", ["trunk.last", "module.trunk.stages.2", "finder.deep"])
def test_a_layer_of_the_window_is_not_stretched_over_the_film(name: str) -> None:
    made = classifier(network())
    film = rl.from_array(films(1)[0, 0].numpy())
    for method in (rl.GradCAM(layer=name), rl.LRP(layer=name), rl.ScoreCAM(layer=name)):
        with pytest.raises(ExplainError, match="'placed'"):
            rl.explain(made, film, method, target=0)
    named, found = (rl.explain(made, film, rl.GradCAM(layer=n), target=0).map for n in ("placed", None))
    assert np.array_equal(named, found)


def test_guided_backpropagation_takes_maps_that_the_network_blanked() -> None:
    film = rl.from_array(np.zeros((224, 224), np.float32))
    assert not rl.explain(rl.load("box"), film, rl.GuidedBackprop(), target=0).map.any()


def test_saved_loaded_shifted_and_converted(tmp_path: Path) -> None:
    net, x = network(), films()
    made = classifier(net)
    before = made.logits(x)
    assert torch.equal(rl.load(rl.save(made, tmp_path / "a.safetensors")).logits(x), before)
    assert shift_logits(made, torch.tensor([-0.5, 0.5]))
    torch.testing.assert_close(made.logits(x), before + torch.tensor([-0.5, 0.5]))
    assert not any(p.requires_grad for p in net.finder.parameters())


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_it_is_exported_and_answers_each_film_as_torch_does(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime" if suffix == ".onnx" else "openvino")
    box, x = rl.load("box"), films()
    with pytest.raises(ModelError, match=r"noise the network says the same.*--films"):
        rl.export(box, tmp_path / f"box{suffix}")
    assert not list(tmp_path.iterdir())
    written = rl.export(box, tmp_path / f"box{suffix}", films=[rl.from_array(film[0].numpy()) for film in x])
    assert written.moves > 0.1
    mixed = torch.cat([x, torch.full((1, 1, 224, 224), 0.5)])
    torch.testing.assert_close(rl.own_model(written.file).logits(mixed), box.logits(mixed), atol=1e-4, rtol=1e-3)


def test_a_network_of_the_first_form_is_refused_by_name(tmp_path: Path) -> None:
    made = classifier(network())
    tensors = dict(made.network.finder.state_dict(prefix="finder."))
    tensors |= SmallResNet(2, widths=(4, 4)).state_dict(prefix="trunk.")
    tensors = {n: t.contiguous().clone() for n, t in tensors.items()}
    meta = made.meta() | {
        "architecture": {"name": "in_lungs", "timm": "", "outputs": 2, "arguments": {"widths": [4, 4]}}
    }
    told = digest_of({k: v for k, v in meta.items() if k != "provenance"}, tensors)
    header = {"format": 1, "classifier": meta, "sha256": told}
    save_file(tensors, tmp_path / "old.safetensors", {"radiolucent": json.dumps(header)})
    with pytest.raises(CheckpointError, match=r"old\.safetensors: .* first form .* train it again"):
        rl.load(tmp_path / "old.safetensors")


def test_the_finder_learns_nothing() -> None:
    net: Any = network()
    before = {n: t.clone() for n, t in net.finder.state_dict().items()}
    x = films(2).requires_grad_()
    F.cross_entropy(net.train()(x), torch.tensor([0, 1])).backward()
    assert all(p.grad is None for p in net.finder.parameters()) and x.grad is not None and x.grad.abs().sum() > 0
    assert all(torch.equal(before[n], t) for n, t in net.finder.state_dict().items())


def test_the_finder_is_shipped_whatever_size_and_weights_are_given(tmp_path: Path) -> None:
    made, _ = rl.build("in_lungs", class_names=("NORMAL", "PNEUMONIA"), size=96, seed=1)
    shipped, finder = load_segmenter().network.state_dict(), made.network.finder.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(finder[name], value) for name, value in shipped.items()) and made.preprocess.size == 96
    trunk = {n: t.clone().contiguous() for n, t in made.network.state_dict().items() if not n.startswith("finder.")}
    norm = next(n for n in trunk if n.startswith("trunk.") and n.endswith("running_mean"))
    trunk[norm] += 0.25
    save_file(trunk, tmp_path / "trunk.safetensors")
    again, report = rl.build(
        "in_lungs", class_names=("NORMAL", "PNEUMONIA"), size=96, weights=tmp_path / "trunk.safetensors"
    )
    assert torch.equal(again.network.state_dict()[norm], trunk[norm])  # not reset as if what is before it were fresh
    assert not report.reset and not any(n.startswith("finder.") for n in report.missing)
    assert all(torch.equal(again.network.finder.state_dict()[n], v) for n, v in shipped.items())  # type: ignore[union-attr]
