"""Maps and markings whose figures are known in closed form; baselines, ceilings, strata, phantom readers."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from radiolucent.audits.agreement import agreement, agreements, meaning, reader_calls, tune_threshold
from radiolucent.audits.agreement.estimates import mean_estimates
from radiolucent.audits.agreement.markings import to_model
from radiolucent.audits.agreement.zones import rank_correlation, zone_masks
from radiolucent.data.phantom.draw import draw
from radiolucent.data.phantom.readers import ReaderModel, readings
from radiolucent.errors import AnnotationError, ConfigError
from radiolucent.images import coverage_to_model, mask_to_model
from radiolucent.metrics import cluster_bootstrap_mean
from radiolucent.types import Annotation, Explanation, Geometry, Predictions, Region

SIDE = 40
PLAIN = Geometry((SIDE, SIDE), (SIDE, SIDE), (1.0, 1.0), (0.0, 0.0))
FEW: Any = {"folds": 200}


def seen(values: np.ndarray, name: str = "a", geometry: Geometry = PLAIN) -> Explanation:
    return Explanation(values.astype(np.float32), name, 1, "ILL", 1.0, "logit", "gradcam", {}, 0, "hash", geometry)


def square(x: int, y: int, side: int) -> np.ndarray:
    made = np.zeros((SIDE, SIDE))
    made[y : y + side, x : x + side] = 1
    return made


def said(x: float, y: float, side: float, reader: str = "A", name: str = "a") -> Annotation:
    return Annotation(name, (Region.box(x, y, side, side),), "ILL", reader, image_shape=(SIDE, SIDE))


def clear(reader: str = "A", name: str = "a") -> Annotation:
    return Annotation(name, (), "WELL", reader, "no finding", False, (SIDE, SIDE))


def test_closed_forms() -> None:
    values = square(10, 10, 10) * 0.4 + square(10, 10, 5) * 0.6  # a hot quarter within a warm square
    found = agreement(seen(values), said(10, 10, 10), thresholds=(0.3, 0.5), tuned=0.35, **FEW)
    value = {name: e.value for name, e in found.estimates.items()}
    assert value["hit_rate"] == 1 and value["area"] == pytest.approx(100 / 1600)
    assert value["energy_in_region"] == 1 and value["energy_over_area"] == pytest.approx(16)
    assert value["iou_30"] == 1 and value["iou_50"] == 0.25 and value["dice_50"] == pytest.approx(0.4)
    assert value["iou_tuned"] == 1 and value["iou_at_area"] == 1 and value["auprc"] == 1
    assert value["iou_otsu"] in (0.25, 1.0) and value["reader_iou"] is None and "iou_70" not in value
    shifted = agreement(seen(square(15, 10, 10)), said(10, 10, 10), **FEW).estimates
    assert shifted["iou_50"].value == pytest.approx(1 / 3) and shifted["dice_50"].value == pytest.approx(0.5)
    assert shifted["energy_in_region"].value == 0.5 and shifted["hit_rate"].value == 0.5  # half of the tied maxima
    assert all(meaning(name) for name in value)


def test_otsu_parts_two_levels() -> None:
    found = agreement(seen(square(10, 10, 10) * 0.9 + 0.1), said(10, 10, 10), **FEW).estimates
    assert found["iou_otsu"].value == 1 and found["dice_otsu"].value == 1


def test_normal_films_are_not_applicable_whatever_the_map() -> None:
    films = [seen(square(10, 10, 10)), seen(square(0, 0, 5), "b"), seen(np.zeros((SIDE, SIDE)), "c")]
    found = agreement(films, [said(10, 10, 10), clear(name="b"), said(1, 1, 9, name="c")], **FEW)
    assert found.films == 1 and found.not_applicable == {"no finding marked": 1, "map points nowhere": 1}
    assert found.estimates["hit_rate"].value == 1 and found.estimates["hit_rate"].n == 1
    nothing = agreement(films[1], clear(name="b"), **FEW)
    assert nothing.estimates["hit_rate"].value is None and nothing.films == 0
    assert nothing.estimates["iou_50"].note == "no film applies"


def test_readers_consensus_union_staple_and_the_one_left_out() -> None:
    readers = [said(10, 10, 10, "A"), said(10, 10, 10, "B"), said(25, 25, 10, "C")]
    e = seen(square(10, 10, 10))
    for reader, area in (("consensus", 100), ("union", 200), ("A", 100), ("without A", 200), ("without C", 100)):
        found = agreement(e, readers, reader=reader, **FEW)
        assert found.estimates["area"].value == pytest.approx(area / 1600), reader
        assert found.readers == {"without A": ("B", "C"), "without C": ("A", "B"), "A": ("A",)}.get(
            reader, tuple("ABC")
        )
    assert agreement(e, readers, reader="staple", **FEW).estimates["area"].value == pytest.approx(100 / 1600)
    value = {name: x.value for name, x in agreement(e, readers, **FEW).estimates.items()}
    # A and B against the vote of the two others (either counts): 200 pixels, of which they share 100. C shares none.
    assert value["reader_iou"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert value["reader_dice"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert value["reader_hit_rate"] == pytest.approx(2 / 3) and value["left_out_hit_rate"] == 1
    assert value["hit_minus_reader"] == pytest.approx(1 / 3) and value["reader_energy"] == pytest.approx(2 / 3)
    assert [a.reader for a in agreements([e], readers, **FEW)] == ["consensus", "staple", "union", "A", "B", "C"]
    with pytest.raises(AnnotationError, match="no reading by 'Z' of these films; their readers are A, B, C"):
        agreement(e, readers, reader="Z")


def test_words_for_readers_have_one_meaning() -> None:
    """Nobody is "without Z" where Z read nothing, and no reader is called what stands for several."""
    e = seen(square(10, 10, 10))
    for word, names in (("without Z", "AB"), ("without A", "A")):
        with pytest.raises(AnnotationError, match=f"no reading '{word}' of these films; their readers are"):
            agreement(e, [said(10, 10, 10, reader=name) for name in names], reader=word, **FEW)
    for word in ("consensus", "staple", "union", "without B"):
        with pytest.raises(AnnotationError, match="stands for several readers"):
            agreement(e, [said(10, 10, 10), said(20, 20, 10, reader=word)], **FEW)
    alone = agreement(e, said(10, 10, 10, reader="consensus"), **FEW)  # of one reader there is no other meaning
    assert alone.estimates["hit_rate"].value == 1


def test_thin_markings_reach_the_maps_pixels_whole() -> None:
    """A line of three pixels' width fills no pixel of the map; it is the line still, and so is one that slants."""
    geometry = Geometry((2000, 1700), (224, 224), (224 / 2000, 224 / 1700), (0.0, 0.0))
    rows = np.arange(200, 1500)
    upright, slanting = np.zeros((2000, 1700), bool), np.zeros((2000, 1700), bool)
    upright[rows, 901:904] = True
    for row in rows:
        slanting[row, 200 + row // 2 : 204 + row // 2] = True
    high = len(np.unique(np.floor((rows + 0.5) * 224 / 2000)))
    for line in (upright, slanting):
        found = to_model(line, geometry)
        assert found.any(1).sum() >= high - 1 and found.sum() <= 2 * high
        assert (found <= (coverage_to_model(line, geometry) > 0)).all()
    both = upright.copy()
    both[100:190, 100:190] = True  # and it stays beside a marking that fills pixels
    assert (to_model(upright, geometry) <= to_model(both, geometry)).all()
    dot = np.zeros((2000, 1700), bool)
    dot[101, 101] = True
    assert to_model(dot, geometry).sum() == 1
    disc = np.hypot(*np.mgrid[-1000:1000, -850:850]) < 300
    assert (to_model(disc, geometry) == mask_to_model(disc, geometry)).all()


def test_a_reader_who_saw_nothing_votes_but_sets_no_ceiling() -> None:
    readers = [said(10, 10, 10, "A"), clear("B"), clear("C")]
    found = agreement(seen(square(10, 10, 10)), readers, **FEW)
    assert found.not_applicable == {"readers do not agree": 1}
    assert agreement(seen(square(10, 10, 10)), readers, reader="A", **FEW).estimates["reader_iou"].value is None


def test_zone_scores_alone_are_compared_by_rank() -> None:
    zones = zone_masks((SIDE, SIDE))
    values = sum(zone * weight for zone, weight in zip(zones.values(), (0, 1, 2, 3, 4, 5), strict=True))
    scores = tuple(Region.zone(z, s) for z, s in zip("ABCDEF", (0, 0, 1, 2, 2, 3), strict=True))
    back = tuple(Region.zone(z, s) for z, s in zip("ABCDEF", (3, 2, 2, 1, 0, 0), strict=True))
    e = seen(np.asarray(values, float))
    one = agreement(e, Annotation("a", scores, reader="S"), **FEW)
    assert one.films == 1 and one.estimates["hit_rate"].value is None
    assert one.estimates["zone_correlation"].value == pytest.approx(
        np.corrcoef([1, 2, 3, 4, 5, 6], [1.5, 1.5, 3, 4.5, 4.5, 6])[0, 1]
    )
    both = agreement(e, [Annotation("a", scores, reader="S"), Annotation("a", back, reader="J")], reader="J", **FEW)
    assert (both.estimates["zone_correlation"].value or 0) < -0.9
    assert (both.estimates["reader_zone_correlation"].value or 0) < -0.9
    assert rank_correlation(dict.fromkeys("ABCDEF", 1.0), dict(zip("ABCDEF", range(6), strict=True))) is None


def test_zones_follow_the_lungs_and_the_patients_right_is_the_images_left() -> None:
    lungs = np.zeros((SIDE, SIDE), bool)
    lungs[10:40, 4:14] = lungs[10:40, 24:34] = True
    zones = zone_masks((SIDE, SIDE), lungs)
    rows, columns = np.nonzero(zones["A"])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 19, 4, 13)
    assert np.argwhere(zones["F"])[0].tolist() == [30, 24]
    assert sum(int(z.sum()) for z in zones.values()) == lungs.sum()


def test_strata_by_decision_class_and_size() -> None:
    films, notes, decision = [], [], {}
    for i in range(12):
        films.append(seen(square(5, 5, 4 + i), f"f{i}"))
        notes.append(said(5 if i % 2 else 28, 5 if i % 2 else 28, 4 + i, name=f"f{i}"))
        decision[f"f{i}"] = "right" if i % 2 else "wrong"
    found = agreement(films, notes, by={"decision": decision}, **FEW)
    assert found.strata["decision"]["right"]["hit_rate"].value == 1
    assert (found.strata["decision"]["wrong"]["hit_rate"].value or 0) < 0.5
    sizes = list(found.strata["size"])
    assert [s.split()[0] for s in sizes] == ["small", "middle", "large"] and "% of the film" in sizes[0]
    areas = [found.strata["size"][s]["area"].value for s in sizes]
    assert areas == sorted(areas) and sum(found.strata["size"][s]["area"].n for s in sizes) == 12
    assert found.as_dict()["strata"]["decision"]["right"]["hit_rate"]["value"] == 1


def test_the_threshold_is_tuned_on_other_films() -> None:
    values = np.clip(1 - np.hypot(*(np.mgrid[:SIDE, :SIDE] + 0.5 - 20)) / 20, 0, 1)
    edge = [seen(values, f"f{i}") for i in range(3)]
    half = Region.mask(values >= 0.45 * values.max())
    notes = [Annotation(f"f{i}", (half,), "ILL", image_shape=(SIDE, SIDE)) for i in range(3)]
    tuned = tune_threshold(edge, notes)
    assert tuned is not None and tuned.threshold == 0.45 and tuned.iou == 1 and tuned.films == 3
    assert tune_threshold(edge, [clear(name="f0")]) is None and tune_threshold(edge, [clear(name="x")]) is None
    named = [dataclasses.replace(a, reader="Dr A") for a in notes]
    own = tune_threshold(edge, [*named, clear(name="f0")], reader="Dr A")
    assert own is not None and own.films == 3 and tune_threshold(edge, [], reader="Dr A") is None
    wrong = [dataclasses.replace(notes[0], image_shape=(SIDE, 99)), *notes[1:]]
    for maps, said, who, why in (
        (edge, wrong, "consensus", "99 × "),
        ([edge[0], edge[0]], notes, "consensus", "more than once"),
        ([edge[0], dataclasses.replace(edge[1], method="lime")], notes, "consensus", "one method"),
        (edge, named, "Dr B", "no reading by 'Dr B'; these are by Dr A"),
    ):
        with pytest.raises(AnnotationError, match=why):
            tune_threshold(maps, said, reader=who)
    for bad in ((0.0,), (0.5, 0.5), (1.2,), (0.125,), (0.301, 0.3)):
        with pytest.raises(ConfigError, match="shares in"):
            agreement(edge, notes, thresholds=bad)


def test_one_bootstrap_for_all_figures_is_each_figures_own() -> None:
    rng = np.random.default_rng(2)
    groups = [f"p{i // 3}" for i in range(60)]
    table = rng.random((60, 3))
    table[:, 1] = table[:, 1] > 0.4
    table[:, 2] = 1.0
    many = mean_estimates(table, groups, folds=2000, seed=4)
    for column, found in enumerate(many):
        alone = cluster_bootstrap_mean(table[:, column], groups, folds=2000, seed=4)
        assert found.value == pytest.approx(alone.value) and found.n == alone.n == 20
        assert found.low == pytest.approx(alone.low, abs=1e-9) and found.high == pytest.approx(alone.high, abs=1e-9)
    gaps = table.copy()
    gaps[:30, 0] = np.nan
    first = mean_estimates(gaps, groups, folds=500)[0]
    assert first.value == pytest.approx(table[30:, 0].mean()) and first.n == 10 and "30 of 60" in first.note


def test_who_was_right_when_they_differed() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0])
    model = np.array([1, 1, 0, 0, 1, 0])
    logits = np.stack([1 - 2.0 * model, 2.0 * model - 1], 1).astype(np.float32)
    ids = tuple(f"f{i}" for i in range(6))
    p = Predictions(ids, tuple("aabbcc"), logits, labels, ("WELL", "ILL"))
    reader = {"f0": True, "f1": False, "f2": True, "f3": False, "f4": False}  # f5 was not read
    notes = [said(1, 1, 5, name=f) if found else clear(name=f) for f, found in reader.items()]
    (found,) = reader_calls(p, notes, **FEW)
    assert (found.films, found.both_right, found.both_wrong, found.model_right, found.reader_right) == (5, 2, 0, 1, 2)
    assert found.differed == ("f2", "f4", "f1") and found.p == 1.0
    assert found.sensitivity.value == pytest.approx(2 / 3) and found.model_specificity.value == 0.5
    with pytest.raises(AnnotationError, match="no reading belongs"):
        reader_calls(p, [clear(name="elsewhere")])


def test_a_diagnosis_is_the_call_whatever_was_marked() -> None:
    p = Predictions(("f0",), ("a",), np.array([[1, 0]], np.float32), np.array([0]), ("WELL", "ILL"))
    scar = Annotation("f0", said(1, 1, 5).regions, "WELL", "A", image_shape=(SIDE, SIDE))
    other = Annotation("f0", scar.regions, "scar", "B", image_shape=(SIDE, SIDE))
    a, b = reader_calls(p, [scar, other], **FEW)
    assert (a.both_right, a.model_right) == (1, 0)
    assert (b.both_right, b.model_right) == (0, 1)  # no class of the model's: what was found counts


def test_a_finding_without_a_place_is_no_empty_marking() -> None:
    e, there = seen(square(10, 10, 10)), [said(10, 10, 10, "A"), said(10, 10, 10, "B")]
    nowhere = [Annotation("a", (), "ILL", r, image_shape=(SIDE, SIDE)) for r in ("C", "D", "E")]
    found = agreement(e, there + nowhere, **FEW)
    assert found.films == 1 and found.estimates["iou_at_area"].value == 1.0
    for reader in ("C", "without C", "consensus"):
        readings = there + nowhere if reader != "consensus" else nowhere
        reason = agreement(e, readings, reader=reader, **FEW).not_applicable
        assert reason == {"found, place not marked": 1}, reader
    twice = [nowhere[0], said(10, 10, 10, "C")]
    assert agreement(e, twice, reader="C", **FEW).films == 1


def test_better_phantom_readers_set_a_higher_ceiling() -> None:
    ceilings: list[float] = []
    for jitter in (0.02, 0.15, 0.35):
        readers = [ReaderModel(f"r{i}", 0.99, 1.0, jitter) for i in range(3)]
        maps: list[Explanation] = []
        notes: list[Annotation] = []
        for i in range(14):
            film = draw(np.random.default_rng([1, i]), size=96, pneumonia=True, subtle=0.6)
            geometry = Geometry((96, 96), (32, 32), (1 / 3, 1 / 3), (0.0, 0.0))
            maps.append(seen(np.random.default_rng(i).random((32, 32)), f"f{i}", geometry))
            notes += readings(film, f"f{i}", ("NORMAL", "PNEUMONIA"), seed=[2, i], readers=readers)
        found = agreement(maps, notes, **FEW).estimates
        ceilings.append(found["reader_iou"].value or 0)
        assert (found["reader_hit_rate"].value or 0) > (found["random_hit_rate"].value or 1)
    assert ceilings[0] > ceilings[1] > ceilings[2] and ceilings[0] > 0.75
