"""Probes, metadata together, slices in explanation space, small retraining: each flips with its cause."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from audits.test_interventions import _corner_says, _lungs_say
from audits.test_run import made_table
from radiolucent.audits.trial.answers import Table, collect
from radiolucent.audits.trial.attribution import Pointing
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.leaked import leaked
from radiolucent.audits.trial.map_slices import map_clusters, map_slices
from radiolucent.audits.trial.masked import MASKED_EDITS
from radiolucent.audits.trial.probes import PROBED, READS, dealt_by_patient, probe, probes
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.retrained import Likeness, over_networks, retrained
from radiolucent.audits.trial.verdicts import film_mean
from radiolucent.data import Dataset, Record
from radiolucent.data.checks import prevalence_shift
from radiolucent.data.confounders import confounders
from radiolucent.data.survey import Film
from radiolucent.explainers import GradCAM, Saliency
from radiolucent.types import Finding
from support.mark_readers import SIZE, lung_reader, views


def probed(films: list[View], folder: Path | None = None) -> Table:
    keys = [v.image_id for v in films]
    return collect(
        lung_reader(), len(films), lambda i: films[i], {e: EDITS[e] for e in MASKED_EDITS}, keys=keys, small=keys,
        small_edits=PROBED,
        folder=folder,
    )  # fmt: skip


def judged(films: list[View]) -> dict[str, Finding]:
    table = probed(films)
    return {name: f for name in READS if (f := probes(table, name)) is not None}


def _grainy(view: View, seed: int) -> View:
    noise = np.random.default_rng(seed).integers(-20, 21, view.grey.shape)
    return dataclasses.replace(view, grey=np.clip(view.grey + noise, 0, 255).astype(np.uint8))


def test_what_is_available_outside_the_lungs_is_found_and_what_is_not_is_not() -> None:
    corner = judged([_corner_says(v, v.label or 0) for v in views()])
    honest = judged([_grainy(_lungs_say(v, v.label or 0), i) for i, v in enumerate(views())])
    for test in ("probes.no_lungs", "probes.border_only"):
        assert corner[test].verdict == "fail" and honest[test].verdict == "pass", honest[test].summary
        assert corner[test].concerns == "data"
        assert "not told from chance (0.5, which the interval holds)" in honest[test].summary
    assert honest["probes.lungs_only"].verdict == "pass"
    border = corner["probes.border_only"]
    assert border.control is not None and (border.control.value or 0) < 0.75
    beside = border.evidence["border_only"]
    assert beside["probe"]["value"] > 0.9 > beside["model"]["value"]  # the lung reader makes nothing of the corner


def test_an_outline_that_tells_the_class_is_told_as_an_outline() -> None:
    """Lungs of two sizes, and nothing else: only the silhouette can tell."""
    films: list[View] = []
    for v in views():
        mask = np.zeros((SIZE, SIZE), bool)
        half = 18 if v.label else 12
        mask[32 - half : 32 + half, 10:54] = True
        films.append(dataclasses.replace(v, lungs=mask, grey=np.full_like(v.grey, 90)))
    found = judged(films)
    assert found["probes.silhouette"].verdict == "fail"
    assert found["probes.border_only"].verdict == "pass"  # all alike
    assert judged(views())["probes.silhouette"].verdict == "pass"


def test_small_pictures_survive_a_journal(tmp_path: Path) -> None:
    films = views()[:12]
    first, again = probed(films, tmp_path), probed(films, tmp_path)
    for name, (pixels, rows) in probed(films).thumbs.items():
        for other in (first, again):
            np.testing.assert_array_equal(other.thumbs[name][0], pixels)
            np.testing.assert_array_equal(other.thumbs[name][1], rows)
    whole = first.thumbs["original"][0][0]
    np.testing.assert_allclose(whole, films[0].grey.reshape(32, 2, 32, 2).mean((1, 3)), atol=1.01)


def test_a_probe_does_not_learn_its_patients() -> None:
    """Pictures that tell the patient and nothing of the class: folds by patient leave nothing to learn."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 8)
    faces = rng.integers(0, 255, (20, 8, 8))
    pixels = np.clip(faces[patients] + rng.normal(0, 5, (160, 8, 8)), 0, 255).astype(np.uint8)
    truth = np.isin(patients, rng.permutation(20)[:10])
    found = probe(pixels, truth, patients.astype(str))
    assert found.low is not None and found.low < 0.5
    assert (probe(pixels, truth, np.arange(160).astype(str)).low or 0) > 0.9  # what ignoring patients would say
    assert probe(pixels[:12], truth[:12], patients[:12].astype(str)).value is None


def test_shuffled_labels_stay_together_by_patient() -> None:
    patients = np.repeat([f"p{k}" for k in range(10)], 3)
    truth = np.repeat(np.arange(10) < 5, 3)
    dealt = dealt_by_patient(truth, patients, np.random.default_rng(0))
    assert dealt.sum() == truth.sum() and (dealt != truth).any()
    assert all(len(set(dealt[patients == p])) == 1 for p in set(patients))


def film(i: int, label: int, width: int, mode: str) -> Film:
    record = Record(Path(f"{i}.png"), f"{i}.png", label, f"p{i}")
    return Film(
        record, sha256=str(i), size=1000, width=width, height=100, mode=mode, format="PNG", grey=0.5, border=0.2
    )


def test_metadata_together_tell_what_each_alone_does_not() -> None:
    """Wide means ill in grey and healthy in colour: neither width nor mode tells anything alone."""
    rng = np.random.default_rng(3)
    crossed: list[Film] = []
    fair: list[Film] = []
    for i in range(240):
        wide, colour = bool(rng.integers(2)), bool(rng.integers(2))
        width, mode = 200 if wide else 100, "RGB" if colour else "L"
        crossed.append(film(i, int(wide != colour), width, mode))
        fair.append(film(i, i % 2, width, mode))
    told = {f.test: f for f in confounders(crossed, ("NORMAL", "PNEUMONIA"))}
    assert told["shortcut.metadata"].verdict == "fail" and (told["shortcut.metadata"].estimate.value or 0) > 0.95  # type: ignore[union-attr]
    assert told["shortcut.size"].verdict == told["shortcut.mode"].verdict == "pass"
    assert {f.test: f for f in confounders(fair, ("NORMAL", "PNEUMONIA"))}["shortcut.metadata"].verdict == "pass"


def test_of_three_classes_each_is_held_against_the_rest() -> None:
    """Width tells the first class from the second, and nothing of the last; the first is commoner in testing."""
    films = [film(i, i % 3, (100, 200, 150)[i % 3] if i % 3 < 2 else (100, 200)[i % 2], "L") for i in range(180)]
    told = {f.test: f for f in confounders(films, ("a", "b", "c"))}["shortcut.size"]
    assert told.verdict == "fail" and ("a against the rest" in told.summary or "b against the rest" in told.summary)
    split = [dataclasses.replace(f.record, split="train" if i < 120 else "test") for i, f in enumerate(films)]
    alike = prevalence_shift(Dataset(tuple(split), ("a", "b", "c")))
    moved = [dataclasses.replace(r, label=0 if r.split == "test" and r.label == 1 else r.label) for r in split]
    shifted = prevalence_shift(Dataset(tuple(moved), ("a", "b", "c")))
    assert alike.verdict == "pass" and shifted.verdict == "fail" and shifted.summary.startswith("a: ")


def maps_of(kinds: np.ndarray) -> Pointing:
    """One map a film: its mass in one corner or another, with noise."""
    rng = np.random.default_rng(1)
    v, shown = views()[0], Pointing()
    for i, kind in enumerate(kinds):
        grey = np.abs(rng.normal(0, 0.02, (SIZE, SIZE))).astype(np.float32)
        y, x = divmod(int(kind), 2)
        grey[y * 40 : y * 40 + 20, x * 40 : x * 40 + 20] += 1
        shown.add(grey, dataclasses.replace(v, image_id=f"f{i}"), 1)
    return shown


def test_films_whose_maps_look_alike_are_a_slice() -> None:
    rng = np.random.default_rng(4)
    kinds = rng.integers(0, 3, 200)
    shown = maps_of(kinds)
    clusters = map_clusters(np.stack(list(shown.small.values())))
    assert len(set(zip(kinds.tolist(), clusters.tolist(), strict=True))) == 3 == len(set(clusters.tolist()))
    bad = made_table((kinds == 1) & (rng.random(200) < 0.6))
    fair = made_table(rng.random(200) < 0.02)
    assert map_slices("gradcam", shown, bad).verdict == "fail"
    assert map_slices("gradcam", shown, fair).verdict != "fail"
    assert map_slices("gradcam", maps_of(kinds[:20]), bad).verdict == "not applicable"
    assert set(map_clusters(np.full((50, 4, 4), 1 / 16, np.float32))) == {0}


@pytest.fixture(scope="module")
def small_table() -> Table:
    """Films whose class is a bright block at a random place in the lower half."""
    rng = np.random.default_rng(7)
    pixels = rng.integers(40, 90, (160, 32, 32)).astype(np.uint8)
    truth = np.arange(160) % 2 == 1
    for i in np.flatnonzero(truth):
        y, x = rng.integers(16, 24), rng.integers(2, 22)
        pixels[i, y : y + 8, x : x + 8] += 120
    table = made_table(np.zeros(160, bool))
    return dataclasses.replace(table, thumbs={"original": (pixels, np.arange(160))})


class Edges(Saliency):
    """A map of the film itself: what no training can change."""

    def attribute(self, classifier, inputs, targets, generator):  # type: ignore[no-untyped-def]
        return inputs.mean(1)


def test_few_networks_say_little_however_many_films_they_are_seen_on() -> None:
    """Networks alike or not by chance, on all films together: films alone would call that a difference."""
    rng, wrong, naive = np.random.default_rng(0), 0, 0
    patients = np.array([f"p{i // 2}" for i in range(40)])
    for _ in range(100):
        pairs = rng.normal(0, 0.1, (4, 4))
        true = 0.5 + (pairs + pairs.T)[:, :, None] / 2**0.5 + 0.02 * rng.normal(size=(4, 4, 40))
        shuffled = 0.5 + 0.1 * rng.normal(size=(4, 1)) + 0.02 * rng.normal(size=(4, 40))
        likeness = Likeness(true, shuffled, patients)
        wrong += (over_networks(likeness, gap=True, level=0.95, seed=0).low or 0) > 0
        naive += (film_mean(likeness.of(range(4), gap=True), patients, level=0.95, seed=0).low or 0) > 0
    assert wrong <= 6 and naive > 25


def test_training_on_shuffled_labels_tells_maps_that_learn_from_maps_of_the_film(small_table: Table) -> None:
    found = {f.test: f for f in retrained(small_table, {"gradcam": GradCAM(), "edges": Edges()})}
    assert found["training.labels.gradcam"].verdict != "fail", found["training.labels.gradcam"].summary
    assert found["training.labels.edges"].verdict == "fail"  # the same map, whatever was learnt
    assert found["training.seeds.edges"].verdict == "pass"
    aurocs = found["training.labels.gradcam"].evidence["aurocs"]
    assert aurocs["true labels"]["value"] > 0.9 > aurocs["shuffled labels"]["value"]
    bare = dataclasses.replace(small_table, thumbs={})
    assert {f.verdict for f in retrained(bare, {"gradcam": GradCAM()})} == {"not applicable"}


def test_films_that_were_trained_on_are_told(tmp_path: Path) -> None:
    def record(name: str, content: bytes, patient: str | None) -> Record:
        (tmp_path / name).write_bytes(content)
        return Record(tmp_path / name, name, 0, patient)

    audited = [record("a.png", b"one", "p1"), record("b.png", b"two", "p2"), record("c.png", b"three", None)]
    copied, kin = record("copy.png", b"one", None), record("d.png", b"four", "p2")
    clean = leaked(audited, [record("e.png", b"five", "p9")])
    assert clean.verdict == "pass" and leaked(audited, []).verdict == "not applicable"
    found = leaked(audited, [copied, kin])
    assert found.verdict == "fail" and found.estimate is not None and found.estimate.value == pytest.approx(2 / 3)
    assert found.evidence == {"films": ["a.png"], "of_their_patients": ["b.png"]}


def test_without_labelled_films_metadata_are_not_applicable() -> None:
    told = confounders([], ("NORMAL", "PNEUMONIA"))
    assert told and all(f.verdict == "not applicable" and "0 patients" in f.summary for f in told)
