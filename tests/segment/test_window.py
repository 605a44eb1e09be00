"""A model that looks at the lungs' box alone."""

from pathlib import Path

import numpy as np
import pytest

from radiolucent.audits.trial.regions import view_of
from radiolucent.errors import CheckpointError, ConfigError
from radiolucent.explainers import GradCAM, explain
from radiolucent.images import Preprocess, from_array, map_to_source
from radiolucent.images.preprocess import cut
from radiolucent.models import build, load, save
from radiolucent.segment import LungMask, LungWindow
from radiolucent.segment import window as module
from radiolucent.types import Radiograph

LEFT, TOP, RIGHT, BOTTOM = 30, 20, 90, 80


def _film(name: str = "a") -> Radiograph:
    return from_array(np.random.default_rng(0).random((100, 120)).astype(np.float32), image_id=name)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Lungs in a box that the test knows; films named "doubt" are not trusted; counts how often they were sought."""
    asked: dict[str, int] = {}

    def lungs(film: Radiograph) -> LungMask:
        asked[film.image_id] = asked.get(film.image_id, 0) + 1
        mask = np.zeros(film.shape, bool)
        mask[TOP:BOTTOM, LEFT:RIGHT] = True
        return LungMask(mask, film.image_id != "doubt", (), {}, film.image_id)

    monkeypatch.setattr(module, "lungs", lungs)
    return asked


def test_sees_the_box_with_its_margin_and_finds_the_way_back(known: dict[str, int]) -> None:
    preprocess = Preprocess(32, window=LungWindow(margin=0.0))
    film = _film()
    geometry = preprocess.geometry_of(film)
    corners = geometry.to_source(np.array([[0.0, 0.0], [32.0, 32.0]]))
    assert corners == pytest.approx(np.array([[LEFT, TOP], [RIGHT, BOTTOM]]))
    part = from_array(film.pixels[TOP:BOTTOM, LEFT:RIGHT].copy())
    assert (preprocess.quantise(film) == Preprocess(32).quantise(part)).all()
    back = map_to_source(np.ones((32, 32), np.float32), geometry)
    assert back.sum() == (BOTTOM - TOP) * (RIGHT - LEFT) and back[TOP:BOTTOM, LEFT:RIGHT].all()
    wider = Preprocess(32, window=LungWindow(margin=0.05)).geometry_of(film)
    assert wider.to_source(np.array([[0.0, 0.0]]))[0] == pytest.approx([LEFT - 6, TOP - 5])
    assert known == {"a": 1}  # one search a film, however often it is asked for


def test_where_the_mask_is_not_trusted_it_is_the_typical_box_and_never_the_whole_film(known: dict[str, int]) -> None:
    typical = (0.25, 0.2, 0.75, 0.8)
    window = LungWindow(margin=0.0, typical=typical)
    assert window(_film("doubt")) == pytest.approx((30, 20, 90, 80))
    assert LungWindow(typical=(0.5, 0.5, 0.5, 0.5))(_film("doubt")) == pytest.approx((48, 40, 72, 60))
    with pytest.raises(ConfigError, match="squash"):
        Preprocess(32, "pad", window=window)
    with pytest.raises(ConfigError, match="geometry_of"):
        Preprocess(32, window=window).geometry((10, 10))


def test_travels_with_the_model(tmp_path: Path, known: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    start, _ = build("small_cnn", size=32, widths=(4, 8), pretrained=False)
    plain = save(start, tmp_path / "plain")
    assert "window" not in load(plain).preprocess.to_dict()
    cropped = start.with_(preprocess=Preprocess(32, channels=1, mean=(0.5,), std=(0.25,), window=LungWindow()))
    again = load(save(cropped, tmp_path / "cropped"))
    assert again.hash == cropped.hash != start.hash
    film = _film()
    assert (again.preprocess.quantise(film) == cropped.preprocess.quantise(film)).all()
    e = explain(again, film, GradCAM(), target=1)
    assert e.geometry == again.preprocess.geometry_of(film)
    monkeypatch.setattr(module, "_weights", lambda: "0" * 64)
    with pytest.raises(CheckpointError, match="repair it again"):
        load(tmp_path / "cropped")


def test_nothing_beside_the_window_reaches_the_model(tmp_path: Path, known: dict[str, int]) -> None:
    start, _ = build("small_cnn", size=32, widths=(4, 8), pretrained=False)
    cropped = start.with_(preprocess=Preprocess(32, channels=1, mean=(0.5,), std=(0.25,), window=LungWindow(0.0)))
    film = _film()
    marked = film.pixels.copy()
    marked[2:14, 2:14] = 1.0
    other = from_array(marked, image_id="b")

    def asked(c: object, f: Radiograph) -> np.ndarray:
        return c.logits(c.preprocess(f)[None]).numpy()  # type: ignore[attr-defined]

    assert (asked(cropped, film) == asked(cropped, other)).all()
    assert (asked(start, film) != asked(start, other)).any()


def test_the_audit_changes_the_whole_film_and_asks_about_the_window(known: dict[str, int]) -> None:
    preprocess = Preprocess(32, channels=1, mean=(0.5,), std=(0.25,), window=LungWindow(0.0))
    view = view_of(_film(), preprocess, lungs=lambda f: module.lungs(f).pixels)
    assert view.side == 48 and view.as_input(view.grey).shape == (32, 32)
    near = preprocess.quantise(_film()).astype(int)
    assert np.abs(view.as_input(view.grey).astype(int) - near).mean() < 40  # noise, resampled twice
    beside = view.grey.copy()
    beside[:6, :6] = 255
    assert (view.as_input(beside) == view.as_input(view.grey)).all()
    inside = view.grey.copy()
    inside[20:30, 20:30] = 255
    assert (view.as_input(inside) != view.as_input(view.grey)).any()
    narrow = view_of(_film(), preprocess, whole=False)
    assert narrow.side == 32 and narrow.as_input(narrow.grey) is narrow.grey
    ramp = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (60, 1))
    assert cut(ramp, (10.0, 0.0, 50.0, 60.0), 20).mean() == pytest.approx(ramp[:, 10:50].mean(), abs=2)
