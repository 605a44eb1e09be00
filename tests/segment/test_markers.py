"""The marker detector: finds what is pasted, keeps silent on clean films, and its card names it."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

import radiolucent as rl
from measure_markers import Tally, boxes_of
from radiolucent.data.phantom import Phantom, draw
from radiolucent.data.phantom.markers import stamp
from radiolucent.errors import WeightsError
from radiolucent.files import sha256_file
from radiolucent.segment import load_scorer
from radiolucent.segment.components import FEATURES, FRAME, components
from radiolucent.types import Radiograph

ROOT = Path(__file__).resolve().parents[2]


def clean(i: int) -> Phantom:
    """A phantom without marker or text."""
    for attempt in range(20):
        film = draw(np.random.default_rng([66, i, attempt]), pneumonia=bool(i % 2), site=i % 3)
        if not film.marker.any():
            return film
    raise AssertionError("no clean phantom in 20 draws")


def film_of(grey: np.ndarray) -> Radiograph:
    return rl.from_array(grey.astype(np.float32))


def test_pasted_markers_are_found_and_clean_phantoms_are_not_accused() -> None:
    found = fired = 0
    for i in range(8):
        grey = clean(i).pixels / np.float32(255)
        fired += bool(rl.markers(film_of(grey)).marks)
        ink = stamp(grey.shape, "RL"[i % 2], 20 if i % 2 == 0 else 216, 24 + 4 * i, 18)
        marked = rl.markers(film_of(grey * (1 - ink) + 0.95 * ink))
        inside = [m for m in marked.marks if ink[int(m.box[1]) : int(m.box[3]), int(m.box[0]) : int(m.box[2])].any()]
        found += bool(inside) and marked.pixels[ink > 0.5].mean() > 0.7
    assert found >= 7 and fired <= 1


def test_boxes_are_in_the_films_own_pixels() -> None:
    grey = np.full((300, 600), 0.3, np.float32)
    ink = stamp((300, 600), "R", 60, 40, 30)
    marks = rl.markers(film_of(grey * (1 - ink) + 0.95 * ink))
    assert marks.pixels.shape == (300, 600) and len(marks.marks) == 1
    left, top, right, bottom = marks.marks[0].box
    ys, xs = np.nonzero(ink > 0.5)
    assert (left, top, right, bottom) == pytest.approx((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), abs=6)


@pytest.mark.parametrize("grey", [np.zeros((90, 60)), np.ones((90, 60)), np.eye(80)])
def test_odd_films_give_finite_features_and_no_warning(grey: np.ndarray) -> None:
    found = rl.markers(film_of(grey))
    assert found.pixels.shape == grey.shape


def test_components_measure_a_square() -> None:
    grey = np.zeros((FRAME, FRAME), np.float32)
    grey[100:106, 40:52] = 0.8
    found = components(grey, np.ones_like(grey, bool))
    assert len(found) == 6  # two radii, three thresholds
    row = dict(zip(FEATURES, found.features[0], strict=True))
    assert row["height"] == pytest.approx(6 / FRAME) and row["width"] == pytest.approx(12 / FRAME)
    assert row["fill"] == pytest.approx(1) and row["contrast"] == pytest.approx(0.8, abs=1e-3)
    assert (found.boxes == [40, 100, 52, 106]).all()
    assert np.isfinite(found.features).all()


@pytest.mark.realdata
def test_held_out_films_read_by_eye(realdata: Path) -> None:
    truth = dict(list(boxes_of(ROOT / "scripts" / "markers_held_out.csv").items())[:30])
    tally = Tally()
    for image_id, boxes in truth.items():
        film = rl.read(realdata / "chest_xray" / image_id)
        tally.add(rl.markers(film).marks, boxes, max(film.shape))
    assert tally.marks > 20
    assert tally.found / tally.marks > 0.85 and tally.right / tally.detections > 0.85


def test_training_and_held_out_films_are_of_different_patients() -> None:
    from radiolucent.data.kermany import parse_name

    patients = []
    for name in ("markers_read.csv", "markers_held_out.csv"):
        with (ROOT / "scripts" / name).open() as stream:
            patients.append({parse_name(Path(row["image_id"]).stem, "train")[0] for row in csv.DictReader(stream)})
    assert all(patients) and not patients[0] & patients[1]


def test_card_names_the_shipped_scorer() -> None:
    card = (ROOT / "docs" / "reference" / "cards" / "markers.md").read_text()
    weights = ROOT / "src" / "radiolucent" / "segment" / "markers.json"
    assert re.findall(r"SHA-256 `([0-9a-f]{64})`", card) == [sha256_file(weights)]


def test_scorer_for_other_features_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps({"features": ["height"]}))
    with pytest.raises(WeightsError, match="made for other features"):
        load_scorer(tmp_path / "old.json")
