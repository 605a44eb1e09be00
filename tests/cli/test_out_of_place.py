"""What is no frontal chest film gets a reason, not a call."""

import dataclasses
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import radiolucent as rl
from radiolucent.cli import answers
from radiolucent.cli.answers import refusal
from radiolucent.data.phantom import draw
from radiolucent.models import InLungs
from radiolucent.segment.out_of_place import MEASURES, out_of_place
from support.cli_calls import call

SIDE = 160
RAMP = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))


Y, X = np.mgrid[:SIDE, :SIDE] / SIDE
HAND = np.max(
    [0.6 * np.exp(-((((Y - 0.7) / 0.23) ** 2 + ((X - 0.5) / 0.2) ** 2) ** 2))]
    + [
        0.8 * np.exp(-((((Y - 0.5 + 0.15 * joint) / 0.09) ** 2 + ((X - 0.28 - 0.11 * finger) / 0.035) ** 2) ** 2))
        for finger in range(5)
        for joint in range(3)
    ],
    axis=0,
)
LATERAL = np.clip(
    0.75 * np.exp(-(((X - 0.5) / 0.42) ** 6))
    - 0.5 * np.exp(-((((X - 0.5) / 0.25) ** 2 + ((Y - 0.42) / 0.3) ** 2) ** 2))
    + 0.25 * np.exp(-(((X - 0.75) / 0.06) ** 2)),
    0,
    1,
)
ODD = {
    "noise": np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8),
    "ramp": RAMP,
    "ramp down": RAMP.T,
    "flat": np.full((SIDE, SIDE), 90, np.uint8),
    "photo": skimage.data.camera()[::3, ::3],
    "photo of a clock": skimage.data.clock()[::2, ::2],
    "hand": (HAND * 255).astype(np.uint8),
    "lateral": (LATERAL * 255).astype(np.uint8),
}


@pytest.mark.parametrize("pixels", ODD.values(), ids=ODD.keys())
def test_noise_and_ramps_get_no_call_unless_forced(pixels: np.ndarray, tmp_path: Path) -> None:
    assert out_of_place(rl.from_array(pixels))
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    refused = call("predict", tmp_path / "odd.png", "--json")
    told = json.loads(refused.stdout)
    assert refused.exit_code == 1 and not told["predictions"]
    assert "does not look like a frontal chest film: no call (" in told["left_out"][0]["reason"]
    assert json.loads(call("predict", tmp_path / "odd.png", "--force", "--json").stdout)["predictions"]


def test_false_alarms_on_films_held_out_are_few() -> None:
    limits = json.loads((resources.files("radiolucent.segment") / "chest_limits.json").read_text(encoding="utf-8"))
    alarms = limits["about"]["false_alarms_held_out"]
    assert alarms["value"] <= 0.02 and alarms["n"] > 5000 and set(limits["limits"]) == set(MEASURES)


@pytest.mark.realdata
def test_real_films_pass_and_the_same_turned_do_not(realdata: Path) -> None:
    files = sorted((realdata / "chest_xray").rglob("*.jpeg"))[::87]
    films = [rl.read(f) for f in files]
    assert sum(bool(out_of_place(film)) for film in films) <= 3
    changed = {
        "inverted": [1 - f.pixels for f in films[::3]],
        "upside down": [f.pixels[::-1] for f in films[::3]],
        "turned": [np.rot90(f.pixels) for f in films[::3]],
    }
    for name, some in changed.items():
        caught = sum(bool(out_of_place(rl.from_array(np.ascontiguousarray(p)))) for p in some)
        assert caught >= 0.7 * len(some), (name, caught, len(some))


def test_other_networks_are_asked_to_check_and_say_when_they_do_not(home: Path, tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "ramp.png")
    told = call("predict", home / "run", tmp_path / "ramp.png")
    assert told.exit_code == 0 and "not checked whether the films look like frontal chest films" in told.stderr
    refused = call("predict", home / "run", tmp_path / "ramp.png", "--chest")
    assert refused.exit_code == 1 and "no call" in refused.stderr and "not checked" not in refused.stderr


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_call_where_the_network_takes_nothing_for_lung(dtype: torch.dtype) -> None:
    film, box = rl.from_array(draw(1, size=SIDE).pixels), rl.load("box")
    box.network.to(dtype)
    refuse = refusal(box, force=False)
    assert refuse is not None and refuse(film) == ""
    assert isinstance(box.network, InLungs) and box.network.limits is not None
    box.network.limits = dataclasses.replace(box.network.limits, share=1.01)
    assert "no call (nothing on it has the texture of a lung" in refuse(film)
    assert refusal(box, force=True) is None


def test_what_gets_no_call_is_in_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1.png", "2.png"):
        Image.fromarray(draw(1, size=SIDE).pixels).save(tmp_path / name)
    monkeypatch.setattr(answers, "_lung_is_seen", lambda _, film: not film.image_id.endswith("2.png"))
    told = call("predict", tmp_path / "1.png", tmp_path / "2.png", "--json")
    found = json.loads(told.stdout)
    assert [Path(r["image"]).name for r in found["predictions"]] == ["1.png"]
    assert [(Path(r["file"]).name, "texture of a lung" in r["reason"]) for r in found["left_out"]] == [("2.png", True)]


def test_lungs_darker_than_any_seen_are_no_sign() -> None:
    film = rl.from_array(draw(1, size=SIDE).pixels)
    assert not out_of_place(film)
