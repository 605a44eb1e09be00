"""Frames: every way into the model and exactly back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radiolucent.errors import AnnotationError, ConfigError
from radiolucent.images import (
    Preprocess,
    coverage_to_model,
    from_array,
    map_to_source,
    mask_to_model,
    region_mask,
    viewed_area,
)
from radiolucent.types import Annotation, Region

sides = st.integers(9, 90)
fits = st.sampled_from(["squash", "pad", "crop"])


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(8, 70), fits, st.floats(0, 1), st.floats(0, 1))
def test_points_come_back(height: int, width: int, size: int, fit: str, u: float, v: float) -> None:
    geometry = Preprocess(size=size, fit=fit).geometry((height, width))
    point = np.array([[u * width, v * height]])
    np.testing.assert_allclose(geometry.to_source(geometry.to_model(point)), point, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 90), st.integers(40, 90), fits)
def test_a_marked_spot_stays_where_it_was(height: int, width: int, fit: str) -> None:
    """A blob drawn in the source, resized, and its map brought back has its centre where it was drawn."""
    y, x = np.mgrid[0:height, 0:width]
    centre = (height * 0.55, width * 0.45)
    blob = np.exp(-((y + 0.5 - centre[0]) ** 2 + (x + 0.5 - centre[1]) ** 2) / 18).astype(np.float32)
    pre = Preprocess(size=64, fit=fit)
    back = map_to_source(pre.resize(from_array(blob)), pre.geometry(blob.shape))
    back = np.where(back > 0.2, back, 0)
    found = np.array([(back * (y + 0.5)).sum(), (back * (x + 0.5)).sum()]) / back.sum()
    np.testing.assert_allclose(found, centre, atol=0.35)


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.integers(8, 70), fits)
def test_coverage_conserves_area(height: int, width: int, size: int, fit: str) -> None:
    geometry = Preprocess(size=size, fit=fit).geometry((height, width))
    seen = viewed_area(geometry)
    cover = coverage_to_model(np.ones((height, width), bool), geometry)
    area = cover.sum() / (geometry.scale[0] * geometry.scale[1])
    assert area == pytest.approx(seen.sum(), rel=0.15, abs=height + width)
    if fit != "pad":
        assert mask_to_model(np.ones((height, width), bool), geometry).all()


def test_resizing_is_antialiased() -> None:
    """Stripes one pixel wide become even grey, not moiré."""
    stripes = np.tile(np.array([0, 1], np.float32), (256, 128))
    small = Preprocess(size=50).resize(from_array(stripes))
    assert small[5:-5, 5:-5].std() < 0.03


def test_padding_is_black_and_keeps_the_shape() -> None:
    pre = Preprocess(size=60, fit="pad")
    small = pre.resize(from_array(np.ones((30, 60), np.float32)))
    assert small[:14].max() == 0 and small[46:].max() == 0 and small[18:42].min() > 0.99


def test_normalising_is_undone() -> None:
    pre = Preprocess(size=16, channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    grey = torch.rand(2, 16, 16)
    torch.testing.assert_close(pre.denormalise(pre.normalise(grey)), grey)
    eight = (grey * 255).round().to(torch.uint8)
    torch.testing.assert_close(pre.normalise(eight), pre.normalise(eight.float() / 255))
    assert Preprocess.from_dict(pre.to_dict()) == pre


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError):
        Preprocess(size=2)
    with pytest.raises(ConfigError, match="expected 1 values"):
        Preprocess(channels=1)


def test_regions_become_pixels() -> None:
    box = Annotation("a", (Region.box(2, 3, 4, 2),))
    mask = region_mask(box, (10, 12))
    assert mask.sum() == 8 and mask[3:5, 2:6].all()
    triangle = Annotation("a", (Region.polygon([(0, 0), (10, 0), (0, 10)]),))
    assert abs(region_mask(triangle, (10, 10)).sum() - 50) <= 10
    thin = Annotation("a", (Region.box(4.6, 4.6, 0.2, 0.2),))
    assert region_mask(thin, (9, 9)).sum() == 1
    with pytest.raises(AnnotationError, match="outside"):
        region_mask(Annotation("a", (Region.box(50, 50, 3, 3),)), (10, 10))
