"""Markers taken off, put on at random, and planted."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from radiolucent.data import Augment, Loader, PixelCache, Record, load_dataset, split_dataset
from radiolucent.data.marks import Paste, marker_place, patches, without_markers
from radiolucent.data.plant import at_most, plant_markers
from radiolucent.errors import ConfigError, DataError
from radiolucent.images import Preprocess

SIDE = 64


def _cache(count: int = 40) -> PixelCache:
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 110, (count, SIDE, SIDE)).astype(np.uint8)
    records = tuple(Record(Path(f"f{i}"), f"f{i}", i % 2, f"p{i}") for i in range(count))
    return PixelCache(pixels, records, ((SIDE, SIDE),) * count, Preprocess(SIDE, channels=1, mean=(0.5,), std=(0.25,)))


def test_filling_takes_the_ink_and_leaves_the_rest() -> None:
    film = np.full((SIDE, SIDE), 100, np.uint8)
    ink = marker_place(np.zeros((SIDE, SIDE), bool), (0, SIDE, 0, SIDE), "R", np.random.default_rng(0))
    marked = np.rint(film * (1 - ink) + 250 * ink).astype(np.uint8)
    assert marked.max() > 240
    filled = without_markers(marked, ink > 0.1)
    assert np.abs(filled.astype(int) - 100).max() <= 2
    assert without_markers(marked, np.zeros_like(ink, bool)) is marked


def test_pastes_keep_off_the_lungs_and_off_no_class() -> None:
    cache = _cache(400)
    lungs = np.zeros((400, SIDE, SIDE), bool)
    lungs[:, 14:, 8:56] = True  # so that many a first try has to give way
    rows = np.arange(400)
    changed = Paste(share=0.5, lungs=lungs).apply(np.asarray(cache.pixels), rows, (0, 0)) != cache.pixels
    marked = changed.any((1, 2))
    assert 0.42 < marked.mean() < 0.58
    assert abs(marked[::2].mean() - marked[1::2].mean()) < 0.15
    sides = changed[marked].mean(0)
    assert min(sides[:, : SIDE // 2].sum(), sides[:, SIDE // 2 :].sum()) > 0.2 * sides.sum()
    kept_off = (changed & lungs).sum((1, 2)) / np.maximum(changed.sum((1, 2)), 1)
    assert np.median(kept_off[marked]) == 0.0


def test_a_films_paste_depends_on_seed_epoch_and_film_alone() -> None:
    cache, paste = _cache(), Paste(share=1.0)
    rows = np.arange(40)
    films = np.asarray(cache.pixels)
    whole = paste.apply(films, rows, (0, 1))
    assert (paste.apply(films[7:9], rows[7:9], (0, 1)) == whole[7:9]).all()
    assert (paste.apply(films, rows, (0, 2)) != whole).any()
    assert (films == _cache().pixels).all()


def test_the_bank_holds_what_was_on_films() -> None:
    films = np.full((3, SIDE, SIDE), 50, np.uint8)
    masks = np.zeros((3, SIDE, SIDE), bool)
    films[1, 5:13, 6:11], masks[1, 5:13, 6:11] = 240, True
    masks[2, :, :40] = True  # larger than any marker
    bank = patches(films, masks)
    assert len(bank) == 1
    assert bank[0].grey.max() == 240
    paste = Paste(share=1.0, bank=bank)
    seen = [paste.apply(films[:1], np.array([i]), (0, 0))[0] for i in range(30)]
    assert sum((s == 240).sum() == 40 for s in seen) > 5  # its ink, whole


def test_the_loader_pastes_anew_and_moves_masks_with_films() -> None:
    cache = _cache()
    irrelevant = np.zeros((40, SIDE, SIDE), bool)
    irrelevant[:, 8:24, 8:24] = True
    marked = np.asarray(cache.pixels).copy()
    marked[:, 8:24, 8:24] = 255
    bright = PixelCache(marked, cache.records, cache.shapes, cache.preprocess)
    quiet = Augment(brightness=0, contrast=0, gamma=0, noise=0, blur=0)
    inputs, labels, masks = Loader(bright, augment=quiet, irrelevant=irrelevant, batch_size=40).batch(np.arange(40))
    seen = cache.preprocess.denormalise(inputs) > 0.7
    assert masks.dtype == torch.bool
    assert ((seen & masks).sum((1, 2)) / (seen | masks).sum((1, 2))).min() > 0.85
    assert labels.tolist() == [i % 2 for i in range(40)]
    loader = Loader(cache, redraw=(Paste(),), batch_size=40)
    assert loader.augments
    first = loader.batch(np.arange(40))[0]
    loader.set_epoch(1)
    assert not torch.equal(first, loader.batch(np.arange(40))[0])
    with pytest.raises(DataError, match="a mask a film"):
        Loader(cache, irrelevant=irrelevant[:3])
    with pytest.raises(ConfigError, match="share"):
        Paste(share=0.0)


def _folder(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 104), ("test", 8)):
        for name in ("NORMAL", "PNEUMONIA"):
            (root / split / name).mkdir(parents=True)
            for i in range(count // 2):
                grey = rng.integers(60, 120, (48, 40)).astype(np.uint8)
                Image.fromarray(grey).save(root / split / name / f"{split}{name}{i}.png")
    return root


def test_plants_on_exactly_a_share_of_one_class_and_goes_on(tmp_path: Path) -> None:
    data = split_dataset(load_dataset(_folder(tmp_path / "films")))
    found = plant_markers(data, tmp_path / "out", share=0.8)
    pasted = [r for r in found.records if "pasted" in r.extra]
    assert {(r.split, r.label) for r in pasted} == {("train", 1), ("val", 1)}
    ill = [r for r in data.records if r.label == 1 and r.split != "test"]
    assert len(pasted) == round(0.8 * len(ill))
    before = {r.image_id: r.path for r in data.records}
    for r in pasted[:4]:
        new, old = (np.asarray(Image.open(p).convert("L")).astype(int) for p in (r.path, before[r.image_id]))
        assert (new != old).any() and new.max() > 200 and (new == old).mean() > 0.8
    stamps = {r.path: r.path.stat().st_mtime_ns for r in pasted}
    pasted[0].path.unlink()
    again = plant_markers(data, tmp_path / "out", share=0.8)
    assert [r.path for r in again.records] == [r.path for r in found.records]
    assert all(p.stat().st_mtime_ns == stamps[p] for p in list(stamps)[1:])
    reread = split_dataset(load_dataset(tmp_path / "out" / "manifest.csv"))
    assert [r.split for r in reread.records] == [r.split for r in found.records]
    assert len(at_most(data, 7).split("train")) == 7
    assert at_most(data, 7).split("val").records == data.split("val").records
    with pytest.raises(ConfigError, match="expected one of NORMAL, PNEUMONIA"):
        plant_markers(data, tmp_path / "other", target="COVID")


def test_films_of_one_stem_or_with_absolute_names_get_pasted_films_of_their_own(tmp_path: Path) -> None:
    data = split_dataset(load_dataset(_folder(tmp_path / "films")))
    named = [dataclasses.replace(r, image_id=str(tmp_path / f"{i}" / "film.png")) for i, r in enumerate(data.records)]
    found = plant_markers(dataclasses.replace(data, records=tuple(named)), tmp_path / "out", share=1.0)
    pasted = [r.path for r in found.records if "pasted" in r.extra]
    assert len(set(pasted)) == len(pasted) > 50 and all(p.parent == tmp_path / "out" / "films" for p in pasted)
