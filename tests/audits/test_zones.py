"""Maps summed over six lung zones: where the film shows them, against area, and never guessed."""

import numpy as np
import pytest

from radiolucent.audits.agreement import LUNG_ZONES, lung_zones, zone_energy
from radiolucent.audits.agreement.markings import to_model
from radiolucent.images import Preprocess
from radiolucent.types import Explanation, Radiograph

SIDE = 64


def lungs() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[8:56, 8:26] = mask[8:56, 38:58] = True
    return mask


def shown(place: tuple[slice, slice], name: str) -> Explanation:
    film = Radiograph(np.zeros((SIDE, SIDE), np.float32), name)
    values = np.full((SIDE, SIDE), -1.0, np.float32)  # what speaks against a class is no energy
    values[place] = 2.0
    geometry = Preprocess(SIDE, "squash", 1, (0.0,), (1.0,)).geometry_of(film)
    return Explanation(values, name, 1, "PNEUMONIA", 0.0, "logit", "gradcam", {}, 0, "hash", geometry)


UPPER_LEFT, LOWER_RIGHT = (slice(10, 20), slice(10, 20)), (slice(44, 54), slice(40, 50))


def test_a_pixel_on_the_edge_of_two_zones_counts_once() -> None:
    mask = np.zeros((128, 128), bool)
    mask[17:107, 16:50] = mask[17:107, 82:112] = True  # the thirds meet in the middle of a pixel of the model
    geometry = Preprocess(SIDE, "squash", 1, (0.0,), (1.0,)).geometry_of(
        Radiograph(np.zeros((128, 128), np.float32), "a")
    )
    values = np.zeros((SIDE, SIDE), np.float32)
    values[23, 10:20] = 1.0
    e = Explanation(values, "a", 1, "PNEUMONIA", 0.0, "logit", "gradcam", {}, 0, "hash", geometry)
    found = zone_energy([e], {"a": mask}, folds=50)
    assert found.energy["outside"].value == pytest.approx(0)
    assert sum(found.energy[zone].value or 0 for zone in LUNG_ZONES) == pytest.approx(1)


def test_energy_lies_in_the_zone_that_the_image_shows() -> None:
    maps = [shown(UPPER_LEFT, f"a{i}") for i in range(6)] + [shown(LOWER_RIGHT, f"b{i}") for i in range(2)]
    found = zone_energy(maps, {e.image_id: lungs() for e in maps}, folds=200)
    values = {zone: e.value for zone, e in found.energy.items()}
    assert values["image_left_upper"] == pytest.approx(0.75) and values["image_right_lower"] == pytest.approx(0.25)
    assert sum(values.values()) == pytest.approx(1) == pytest.approx(sum(e.value or 0 for e in found.area.values()))
    assert found.area["image_left_upper"].value == pytest.approx(16 * 18 / SIDE**2)
    assert found.films == 8 and found.energy["outside"].n == 8 and not found.unsure
    assert (
        zone_energy(maps, {e.image_id: lungs() for e in maps}, patients={"a0": "p", "a1": "p"}, folds=200)
        .energy["outside"]
        .n
        == 7
    )


def test_films_without_sure_lungs_are_listed_and_mirrored_ones_said() -> None:
    maps = [shown(UPPER_LEFT, name) for name in ("known", "none", "one", "empty")]
    maps[3].map[:] = 0
    masks: dict[str, np.ndarray | None] = {"known": lungs(), "none": None, "empty": lungs()}
    masks["one"] = np.zeros((SIDE, SIDE), bool)
    masks["one"][20:24, 20:60] = masks["one"][40:44, 20:60] = True  # one above the other
    found = zone_energy(maps, masks, reasons={"none": "the segmenter says no"}, mirrored=["known", "far"], folds=100)
    told = dict(found.unsure)
    assert set(told) == {"none", "one", "empty"} and told["none"] == "the segmenter says no"
    assert "nowhere" in told["empty"] and found.films == 1 and found.mirrored == ("known",)
    assert found.as_dict()["unsure"][0]["image"] == "none" and "mirrored" in found.as_dict()["sides"]
    assert lung_zones(np.zeros((4, 4), bool)) is None
    nobody = zone_energy(maps[:1], {}, folds=100)
    assert nobody.films == 0 and nobody.energy["outside"].value is None


def test_zones_part_the_lungs() -> None:
    zones = lung_zones(lungs())
    assert zones is not None and tuple(zones) == LUNG_ZONES
    assert (sum(m.astype(int) for m in zones.values()) == lungs()).all()
    geometry = shown(UPPER_LEFT, "x").geometry
    assert to_model(zones["image_left_upper"], geometry).sum() == 16 * 18
