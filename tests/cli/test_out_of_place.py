"""What is no frontal chest film gets a reason, not a call."""

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import radiolucent as rl
from radiolucent.segment.out_of_place import MEASURES, out_of_place
from support.cli_calls import call

SIDE = 160
RAMP = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))


@pytest.mark.parametrize(
    "pixels",
    [
        np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8),
        RAMP,
        RAMP.T,
        np.full((SIDE, SIDE), 90, np.uint8),
    ],
    ids=["noise", "ramp", "ramp down", "flat"],
)
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
