"""A network's inside, against what is known by construction."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import radiolucent as rl
from radiolucent.cli import app
from radiolucent.errors import ConfigError, DataError, ModelError
from radiolucent.features import (
    Ascent,
    channel_maps,
    exciting_patches,
    first_filters,
    layer_strip,
    layers_of,
    receptive_fields,
    visualise,
)
from radiolucent.figures import to_png
from radiolucent.figures.features import channel_grid, filter_grid, layer_strip_plot, patch_grid, wanted_grid
from radiolucent.images import Preprocess
from radiolucent.models import Classifier, build, save
from radiolucent.models.activations import activations, feature_layers, main_layers
from radiolucent.types import Radiograph

SIDE = 64


class Known(nn.Module):
    """Channel 0 sees brightness, 1 darkness, 2 vertical edges, 3 horizontal ones; then pooling and a 3 × 3 mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.mean = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.head = nn.Linear(4, 2)
        kernels = torch.zeros(4, 1, 3, 3)
        kernels[0, 0, 1, 1], kernels[1, 0, 1, 1] = 1, -1
        kernels[2, 0, 1, 0], kernels[2, 0, 1, 2] = -1, 1
        kernels[3, 0, 0, 1], kernels[3, 0, 2, 1] = -1, 1
        with torch.no_grad():
            self.conv.weight.copy_(kernels)
            self.conv.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
            self.mean.weight.fill_(1 / 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.mean(self.pool(self.act(self.conv(x)))).mean((2, 3)))


def known(channels: int = 1, std: float = 1.0) -> Classifier:
    return Classifier(Known(), ("NORMAL", "PNEUMONIA"), Preprocess(SIDE, "squash", channels, (0.0,), (std,)))


def spot(row: int, column: int, side: int = SIDE, name: str = "spot", height: float = 0.9) -> Radiograph:
    y, x = np.mgrid[0:side, 0:side]
    pixels = height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 20)
    return rl.from_array(pixels.astype(np.float32), image_id=name)


def test_channels_are_the_convolution_by_hand_before_anything_writes_in_place() -> None:
    clf, film = known(), spot(30, 20)
    grey = clf.preprocess(film)[0].numpy()
    found = channel_maps(clf, film, "conv", channels=[0, 1, 2])
    np.testing.assert_allclose(found.maps[0], grey, atol=1e-6)
    np.testing.assert_allclose(found.maps[1], 1 - grey, atol=1e-6)
    assert found.maps[2].min() < -0.1  # not what the in-place ReLU left behind
    dark, bright = channel_maps(clf, film, "conv", channels=[1, 0]).activity
    assert dark > bright and channel_maps(clf, film, "conv", most=1).channels.tolist() == [1]
    with pytest.raises(ConfigError, match="main ones are"):
        channel_maps(clf, film, "head")
    with pytest.raises(ConfigError, match="0 … 3"):
        channel_maps(clf, film, "conv", channels=[4])


def test_layers_come_in_order_without_containers_and_the_network_is_left_alone() -> None:
    clf, _ = build("small_cnn", size=SIDE, seed=1)
    clf.network.train()
    layers = layers_of(clf)
    names = [layer.name for layer in layers]
    assert names[0] == "stem.conv" and names[-1] == "blocks.3.pool" and "blocks" not in names
    main = main_layers(layers, 4)
    assert main[0].name == "stem.conv" and main[-1].name == "blocks.3.pool" and len(main) == 4
    assert [layer.height for layer in main] == sorted((layer.height for layer in main), reverse=True)
    found = layer_strip(clf, spot(30, 20))
    assert all(s.maps.shape == (2, s.layer.height, s.layer.width) and (s.maps[0] >= 0).all() for s in found)
    assert all(m.training for m in clf.network.modules())
    assert not any(m._forward_hooks for m in clf.network.modules())
    with pytest.raises(ModelError, match="not in this network"):
        activations(clf.network, torch.zeros(1, 1, SIDE, SIDE), ["nowhere"])
    with pytest.raises(ModelError, match="no layer with feature maps"):
        feature_layers(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), torch.zeros(1, 1, 4, 4))


def test_first_filters_act_on_grey_levels() -> None:
    found = first_filters(known(std=0.5))
    assert found.kernels.shape == (4, 3, 3) and found.channels[:2].tolist() == [2, 3]
    where = found.channels.tolist().index(0)
    assert found.kernels[where, 1, 1] == pytest.approx(2.0)  # 1 / std
    clf, _ = build("mobilenetv1", pretrained=False, size=SIDE)  # three channels of the same film
    weights = clf.network.get_submodule(first_filters(clf).layer).weight.detach()
    ours = first_filters(clf)
    np.testing.assert_allclose(ours.kernels[0], (weights[ours.channels[0]] / 0.5).sum(0).numpy(), atol=1e-5)


def test_receptive_fields_are_those_of_the_arithmetic() -> None:
    clf = known()
    fields = receptive_fields(clf, [layer for layer in layers_of(clf) if layer.name in ("conv", "pool", "mean")])
    # conv 3; pool 2 of stride 2: 3 + 1; then 3 × 3 on stride 2: 4 + 2 · 2.
    assert [f.size for f in fields] == [(3, 3), (4, 4), (8, 8)]
    assert [f.stride for f in fields] == [(1, 1), (2, 2), (2, 2)]
    assert fields[2].box(0, 5, SIDE) == (0, 7, 5, 15)


def test_a_receptive_field_holds_all_and_only_what_moves_a_unit() -> None:
    clf, _ = build("small_cnn", size=SIDE, seed=2)
    layer = next(la for la in layers_of(clf) if la.name == "blocks.1.conv2")
    field = receptive_fields(clf, [layer])[0]
    top, left, bottom, right = field.box(layer.height // 2, layer.width // 2, SIDE)
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, SIDE, SIDE, generator=rng)

    def unit(image: torch.Tensor) -> float:
        maps = activations(clf.network, image, [layer.name])[layer.name]
        return float(maps[0, :, layer.height // 2, layer.width // 2].abs().sum())

    outside = torch.rand(1, 1, SIDE, SIDE, generator=rng) * 5
    outside[..., top:bottom, left:right] = x[..., top:bottom, left:right]
    assert unit(outside) == pytest.approx(unit(x), rel=1e-5)
    for rows in (slice(top, top + 2), slice(bottom - 2, bottom)):
        edge = x.clone()
        edge[..., rows, left:right] += 5
        assert unit(edge) != pytest.approx(unit(x), rel=1e-7)


def test_exciting_patches_are_those_of_a_plain_search_in_one_lazy_pass() -> None:
    clf = known()
    rng = np.random.default_rng(0)
    films = [spot(*rng.integers(8, 56, 2), name=str(i), height=float(rng.random())) for i in range(23)]
    read: list[int] = []

    def stream():
        for i, film in enumerate(films):
            read.append(i)
            yield film

    found = exciting_patches(clf, stream(), "mean", channels=[0, 2], most=4, batch_size=5, progress=lambda n: None)
    assert read == list(range(23))  # once each
    for channel in (0, 2):
        best = {f.image_id: channel_maps(clf, f, "mean", channels=[channel]).maps[0].max() for f in films}
        expected = sorted(best, key=lambda k: -best[k])[:4]
        assert [p.image_id for p in found[channel]] == expected
        assert [p.value for p in found[channel]] == pytest.approx([best[k] for k in expected], abs=1e-6)
    patch = found[0][0]
    top, left, bottom, right = patch.box
    film = next(f for f in films if f.image_id == patch.image_id)
    np.testing.assert_array_equal(patch.pixels, clf.preprocess.quantise(film)[top:bottom, left:right])
    row, column = np.unravel_index(film.pixels.argmax(), film.pixels.shape)
    assert top <= row < bottom and left <= column < right
    with pytest.raises(DataError, match="no film"):
        exciting_patches(clf, [], "mean", channels=[0])


def test_ascent_makes_what_the_channel_wants() -> None:
    clf = known()
    weights = [p.requires_grad for p in clf.network.parameters()]
    how = Ascent(steps=40, seed=3)
    found = visualise(clf, "pool", channels=[0, 1, 2], how=how)
    assert found.images.shape == (3, SIDE, SIDE) and 0 <= found.images.min() and found.images.max() <= 1
    assert (found.end > found.start).all()
    assert found.images[0].mean() > 0.6 and found.images[1].mean() < 0.4  # brightness, darkness
    upright, flat = visualise(clf, "conv", channels=[2, 3], how=how).images
    for film, axis in ((upright, 1), (flat, 0)):  # edges across the columns, and across the rows
        across, along = (np.abs(np.diff(film, axis=a)).mean() for a in (axis, 1 - axis))
        assert across > 1.15 * along
    np.testing.assert_array_equal(found.images, visualise(clf, "pool", channels=[0, 1, 2], how=how).images)
    other = visualise(clf, "pool", channels=[0, 1, 2], how=Ascent(steps=40, seed=4))
    assert not np.array_equal(found.images, other.images)
    against = visualise(clf, "pool", channels=[0], how=Ascent(steps=40, negative=True))
    assert against.end[0] < against.start[0] and against.images[0].mean() < 0.4
    assert found.images.std((1, 2)).max() < 0.26  # no more contrast than films have
    assert [p.requires_grad for p in clf.network.parameters()] == weights
    assert all(p.grad is None for p in clf.network.parameters())
    with pytest.raises(ConfigError, match="at least one step"):
        Ascent(steps=0)


def test_the_pictures_can_be_drawn() -> None:
    clf, _ = build("small_cnn", size=SIDE, seed=1)
    film = spot(30, 20)
    patches = exciting_patches(clf, [film, spot(10, 50, name="b")], "blocks.1.act2", channels=[3, 1])
    wanted = visualise(clf, "blocks.1.act2", channels=[3, 1], how=Ascent(steps=2))
    pictures = [
        layer_strip_plot(film, layer_strip(clf, film)),
        channel_grid(film, channel_maps(clf, film, most=7)),
        filter_grid(first_filters(clf)),
        patch_grid("blocks.1.act2", patches, wanted),
        wanted_grid(wanted, negative=True),
    ]
    assert all(len(to_png(p, dpi=60)) > 5000 for p in pictures)


def test_the_command_writes_pictures_and_arrays(tmp_path: Path) -> None:
    save(build("small_cnn", size=SIDE, widths=(4, 4, 4, 4), seed=1)[0], tmp_path / "run" / "model.safetensors")
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (SIDE, SIDE), np.uint8)
        (tmp_path / "films").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "films" / f"{i}.png")
    (tmp_path / "films" / "bad.png").write_text("no image")
    words = ["features", tmp_path / "run", tmp_path / "films" / "0.png", "--data", tmp_path / "films", "--ascent", 2]
    words += ["--layer", "blocks.1.act2", "--channels", "0,3", "--out", tmp_path / "o", "--json"]
    result = CliRunner().invoke(app, [str(w) for w in words])
    found = json.loads(result.stdout)
    names = {Path(f).name for f in found["files"]}
    stems = ("strip", "filters", "channels.blocks.1.act2", "wanted.blocks.1.act2", "exciting.blocks.1.act2")
    assert names == {f"{s}.{kind}" for s in stems for kind in ("png", "npz")} | {"exciting.blocks.1.act2.json"}
    assert result.exit_code == 3 and Path(found["left_out"][0]["file"]).name == "bad.png"
    with np.load(tmp_path / "o" / "channels.blocks.1.act2.npz") as stored:
        assert stored["channels"].tolist() == [0, 3] and stored["maps"].shape == (2, 16, 16)
    pieces = json.loads((tmp_path / "o" / "exciting.blocks.1.act2.json").read_text())
    assert set(pieces) == {"0", "3"} and len(pieces["0"]) == 3
