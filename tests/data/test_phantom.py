"""Phantoms: the same bytes, true masks, known disagreement."""

from pathlib import Path

import numpy as np
import pytest

from radiolucent.data import load_dataset, read_annotations
from radiolucent.data.phantom import PhantomConfig, ReaderModel, draw, generate, readings
from radiolucent.errors import ConfigError

SMALL = PhantomConfig(patients=16, films=2, size=96, seed=5)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_bytes_however_many_work(tmp_path: Path) -> None:
    generate(tmp_path / "one", SMALL, workers=1)
    generate(tmp_path / "two", SMALL, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    victim = next((tmp_path / "two" / "train").rglob("*.png"))
    victim.unlink()
    generate(tmp_path / "two", SMALL, workers=1)  # goes on where it stopped
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    with pytest.raises(ConfigError, match="another configuration"):
        generate(tmp_path / "two", SMALL, seed=6)


def test_splits_are_by_patient_and_annotations_match(tmp_path: Path) -> None:
    generate(tmp_path, SMALL, workers=1)
    dataset = load_dataset(tmp_path)
    where: dict[str, set[str]] = {}
    for r in dataset.records:
        where.setdefault(str(r.patient_id), set()).add(str(r.split))
    assert all(len(s) == 1 for s in where.values()) and set(dataset.splits) == {"train", "val", "test"}
    said = read_annotations(tmp_path / "annotations.json", dataset=dataset)
    assert {a.image_id for a in said} == {r.image_id for r in dataset.records}
    assert len(read_annotations(tmp_path / "readings.csv", dataset=dataset)) == len(said) == 3 * len(dataset)


@pytest.mark.parametrize("seed", range(8))
def test_masks_are_true(seed: int) -> None:
    ill = draw(seed, size=128, pneumonia=True, marker="R")
    assert ill.label == 1 and ill.opacity.sum() > 20
    assert (ill.opacity & ~ill.lungs).sum() == 0
    assert 0.12 < ill.lungs.mean() < 0.45
    assert not (ill.marker & ill.lungs).any()
    assert ill.marker[:, :64].sum() > 5
    healthy = draw(seed, size=128)
    assert not healthy.opacity.any() and healthy.words == "no finding"
    assert ill.pixels[ill.lungs & ~ill.opacity].mean() < ill.pixels[ill.opacity].mean()


def test_the_marker_dial_turns() -> None:
    def share(rate: float, ill: bool) -> float:
        config = PhantomConfig(patients=60, films=1, size=64, marker_ill=rate, marker_healthy=0.1, seed=1)
        from radiolucent.data.phantom.generate import _jobs

        jobs = [j for j in _jobs(config, Path()) if j.ill == ill]
        draws = [np.random.default_rng([1, 3, j.patient, j.film]).random() for j in jobs]
        return float(np.mean(np.array(draws) < (rate if ill else 0.1)))

    assert share(0.9, True) > 0.75 and share(0.9, False) < 0.3


def test_readers_err_as_often_as_told() -> None:
    blind = ReaderModel("blind", 0.0, 1.0, 0.1)
    eager = ReaderModel("eager", 0.99, 0.0, 0.1)
    ill, healthy = draw(1, size=96, pneumonia=True), draw(2, size=96)
    missed = [readings(ill, "a", ("N", "P"), seed=i, readers=[blind])[0].finding for i in range(40)]
    alarms = [readings(healthy, "a", ("N", "P"), seed=i, readers=[eager])[0].finding for i in range(40)]
    assert np.mean(missed) < 0.25 and np.mean(alarms) == 1.0
    exact = ReaderModel("exact", 1.0, 1.0, 0.0)
    from radiolucent.images import region_mask

    said = readings(ill, "a", ("N", "P"), seed=0, readers=[exact])[0]
    inside = region_mask(said, ill.opacity.shape)
    assert (inside & ill.opacity).sum() > 0.8 * ill.opacity.sum()
