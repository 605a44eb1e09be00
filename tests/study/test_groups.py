"""Groups of films within a class, found by what a network follows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from radiolucent.audits.trial.planted import Pool, pool
from radiolucent.data import Dataset, PixelCache, Record
from radiolucent.errors import ConfigError, DataError
from radiolucent.images import Preprocess
from radiolucent.models import Classifier, build
from radiolucent.study.groups import FEW, by_channels, described, grouped, otsu
from radiolucent.study.prepared import Prepared
from radiolucent.study.region_masks import Layers
from radiolucent.study.remedies import REMEDIES, Plan, named
from radiolucent.study.repair_settings import same_settings
from radiolucent.study.trained import Schooling


class _Corner(nn.Module):
    """Goes by the lower right corner alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 8 * x[:, :1, 56:61, 50:55].mean((2, 3))


def _prepared(films: Pool, pixels: np.ndarray, preprocess: Preprocess) -> tuple[Prepared, Layers]:
    count = len(films)
    records = tuple(
        Record(Path(str(i)), str(i), int(films.labels[i]), str(i), "train" if i < 0.75 * count else "val")
        for i in range(count)
    )
    cache = PixelCache(pixels, records, ((64, 64),) * count, preprocess)
    nothing = np.zeros_like(films.lungs)
    layers = Layers(films.lungs, np.ones(count, bool), nothing, nothing)
    return Prepared(Dataset(records, ("NORMAL", "PNEUMONIA")), (), cache), layers


def _spotted() -> tuple[Pool, np.ndarray, np.ndarray]:
    """Three quarters of the ill films and one healthy film have a white corner."""
    films = pool(120, 64, 5)
    pixels, ill = np.minimum(films.pixels, 100), np.flatnonzero(films.labels == 1)
    has = np.zeros(120, bool)
    has[ill[np.arange(60) % 4 != 0]] = True
    has[0] = True
    pixels[has, 56:61, 50:55] = 255
    return films, pixels, has


def test_who_carries_what_the_network_follows() -> None:
    films, pixels, has = _spotted()
    preprocess = Preprocess(64, channels=1, mean=(0.5,), std=(0.25,))
    before = Classifier(_Corner(), ("NORMAL", "PNEUMONIA"), preprocess, head="sigmoid")
    prepared, layers = _prepared(films, pixels, preprocess)
    said: list[int] = []
    parts = dict(by_channels(before, prepared, layers, ("surroundings",), 0, lambda _, d, t: said.append(d)))
    for label in (0, 1):
        own = np.flatnonzero(films.labels == label)
        assert (parts[label]["train"] == has[own[own < 90]]).all() and (
            parts[label]["val"] == has[own[own >= 90]]
        ).all()
    assert said[-1] == 120
    # One healthy film is too few to divide its class by.
    made = grouped(prepared, parts, ("without", "with"), "the corner")
    assert made.names == ("NORMAL", "PNEUMONIA without", "PNEUMONIA with")
    ill = films.labels == 1
    assert (made.groups[~ill] == 0).all() and (made.groups[ill & has] == 2).all()
    few = np.flatnonzero(ill & ~has)
    assert (made.groups[few[few < 90]] == 1).all() and (few >= 90).sum() < FEW
    assert (made.groups[few[few >= 90]] == -1).all()  # no say in which epoch is best
    assert described(made, prepared).endswith("NORMAL 45 + 15, PNEUMONIA without 12 + 0, PNEUMONIA with 33 + 12")
    with pytest.raises(DataError, match="name another method"):
        grouped(prepared, {0: parts[0]}, ("without", "with"), "the corner")


def test_the_remedy_takes_channels_where_discovery_found_some_else_features() -> None:
    films, pixels, _ = _spotted()
    start = build("small_cnn", size=64, widths=(8, 16), hidden=0, pretrained=False, seed=0)[0]
    prepared, layers = _prepared(films, pixels, start.preprocess)
    plan = Plan(prepared, Schooling(), start)
    made = REMEDIES["groups"].apply(plan, layers, 0.0, 0)
    assert "the network's features" in made.told[0] and made.schooling.changes["group_rate"] > 0
    assert made.schooling.groups is not None and made.schooling.groups.max() >= 2
    corner = Classifier(_Corner(), ("NORMAL", "PNEUMONIA"), start.preprocess, head="sigmoid")
    by = REMEDIES["groups"].apply(Plan(prepared, Schooling(), corner, ("surroundings",)), layers, 0.0, 0)
    assert "follows in surroundings" in by.told[0]
    with pytest.raises(DataError, match="no feature maps"):
        REMEDIES["groups"].apply(Plan(prepared, Schooling(), corner), layers, 0.0, 0)
    with pytest.raises(DataError, match="unrepaired network"):
        REMEDIES["groups"].apply(Plan(prepared, Schooling()), layers, 0.0, 0)
    for joined in ("groups+surroundings", "crop+groups", "groups+randomise"):
        with pytest.raises(ConfigError, match="films as they are"):
            named(joined)
    with pytest.raises(ConfigError, match="one of the two"):
        named("reasons+relevance")
    assert len(named("groups+relevance")) == 2


def test_the_cut_between_two_kinds() -> None:
    assert otsu(np.array([3.0, 0.0, 3.2, 0.1, 0.2])) == pytest.approx(1.6)
    assert otsu(np.array([1.0])) == np.inf


def test_settings_of_a_model_that_never_came_to_be_bind_nobody(tmp_path: Path) -> None:
    same_settings(tmp_path, {"epochs": 1})
    same_settings(tmp_path, {"epochs": 2})  # nothing was trained in between
    (tmp_path / "model.safetensors").write_bytes(b"made")
    with pytest.raises(ConfigError, match="epochs: 2 there, 1 here"):
        same_settings(tmp_path, {"epochs": 1})
    for damaged in ('{"data": ', "[]"):
        (tmp_path / "repair_settings.json").write_text(damaged)
        with pytest.raises(ConfigError, match=r"damaged.*Delete"):
            same_settings(tmp_path, {"epochs": 2})
