"""Folders, manifests, splits, cache, loader, annotations."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from radiolucent.cli.data import check as check_command
from radiolucent.cli.output import end_with_left_out
from radiolucent.data import (
    Augment,
    Dataset,
    Loader,
    Record,
    build_cache,
    check,
    load_dataset,
    read_annotations,
    split_dataset,
    write_coco,
    write_csv,
    write_manifest,
)
from radiolucent.data.kermany import parse_name
from radiolucent.data.records import COMPANION, HIDDEN
from radiolucent.data.relabel import relabel
from radiolucent.errors import AnnotationError, DataError
from radiolucent.images import Preprocess, ReadOptions, read_with
from radiolucent.study.region_masks import find_layers
from radiolucent.types import Annotation, Region


def film(path: Path, seed: int, size: tuple[int, int] = (40, 50)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[0] // 4, size[1] // 4), np.uint8)
    Image.fromarray(pixels).resize(size[::-1]).save(path)
    return path


@pytest.fixture
def kermany(tmp_path: Path) -> Path:
    """A folder laid out and named as the Kermany collection, with its traps."""
    root = tmp_path / "chest_xray"
    for i in range(30):
        film(root / "train" / "NORMAL" / f"IM-{i:04d}-0001.png", i)
        film(root / "train" / "PNEUMONIA" / f"person{i}_bacteria_{i}.png", 100 + i, (30, 50))
        film(root / "train" / "PNEUMONIA" / f"person{i}_virus_{i}.png", 200 + i, (30, 50))
    for i in range(8):
        film(root / "test" / "NORMAL" / f"IM-{i:04d}-0001.png", 300 + i)
        film(root / "test" / "PNEUMONIA" / f"person{i}_virus_{i}.png", 400 + i, (30, 50))
    film(root / "val" / "NORMAL" / "NORMAL2-IM-1440-0001.png", 500)
    film(root / "val" / "PNEUMONIA" / "person1950_bacteria_1.png", 501, (30, 50))
    return root


def test_the_layout_is_found_and_nothing_is_dropped_silently(kermany: Path) -> None:
    (kermany / ".DS_Store").write_text("x")
    (kermany / "train" / "NORMAL" / "notes.txt").write_text("x")
    dataset = load_dataset(kermany)
    assert dataset.class_names == ("NORMAL", "PNEUMONIA")
    assert dataset.counts()["train"] == {"NORMAL": 30, "PNEUMONIA": 60}
    assert {item.path.name for item in dataset.left_out} == {".DS_Store", "notes.txt"}


def test_a_folder_below_the_class_is_the_patient(tmp_path: Path) -> None:
    for i in range(20):
        for k in range(2):
            film(tmp_path / "plain" / "AB"[i % 2] / f"p{i}" / "study" / f"IM-0001-{k}.png", 2 * i + k)
            film(tmp_path / "split" / "train" / "AB"[i % 2] / f"p{i}" / f"{k}.png", 2 * i + k)
    for name, start in (("plain", None), ("split", "train")):
        dataset = load_dataset(tmp_path / name)
        assert dataset.class_names == ("A", "B") and {r.split for r in dataset.records} == {start}
        assert {(r.patient_id, r.label) for r in dataset.records} == {(f"p{i}", i % 2) for i in range(20)}
        done = split_dataset(dataset, val=0.2, test=0.2)
        assert len({(r.patient_id, r.split) for r in done.records}) == 20
    for i in range(4):
        film(tmp_path / "one" / "AB"[i % 2] / "images" / f"{i}.png", i)
    assert {r.patient_id for r in load_dataset(tmp_path / "one").records} == {None}


def test_a_split_without_a_class_names_it(tmp_path: Path) -> None:
    for i in range(12):
        film(tmp_path / "HEALTHY" / f"{i}.png", i)
    film(tmp_path / "ILL" / "0.png", 99)
    with pytest.raises(DataError, match=r"no film of class ILL for the (val|test|train) split .*HEALTHY 12, ILL 1"):
        split_dataset(load_dataset(tmp_path), val=0.2, test=0.2)
    for i in range(12):
        film(tmp_path / "official" / "train" / ("ILL", "HEALTHY")[i % 2] / f"{i}.png", i)
        film(tmp_path / "official" / "test" / "HEALTHY" / f"t{i}.png", 100 + i)
    with pytest.raises(DataError, match="no film of class ILL for the test split"):
        split_dataset(load_dataset(tmp_path / "official"), val=0.2)


def test_unknown_suffixes_are_judged_by_content(kermany: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = kermany / "train" / "NORMAL"
    for name in ("x.jfif", "y.img", "bare"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / name, format="JPEG")
    (folder / "z.img").write_bytes(b"nothing like it")
    (folder / "README").write_text("x")
    (folder / "Thumbs.db").write_text("x")
    dataset = load_dataset(kermany)
    assert {"x.jfif", "y.img", "bare"} <= {r.path.name for r in dataset.records}
    reasons = {item.path.name: item.reason for item in dataset.left_out}
    assert set(reasons) == {"z.img", "README", "Thumbs.db"} and "content" in reasons["z.img"]
    (folder / "IM-0003-0001.png").write_bytes(b"")
    with pytest.raises(typer.Exit):
        check_command(kermany)
    said = capsys.readouterr().err
    assert "z.img: neither its name" in said and "IM-0003-0001.png: is empty" in said and "README: " in said


def test_only_missed_files_change_the_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end_with_left_out([(tmp_path / ".DS_Store", HIDDEN), (tmp_path / "notes.txt", COMPANION)])
    said = capsys.readouterr().err
    assert "notes.txt" in said and ".DS_Store" not in said
    with pytest.raises(typer.Exit) as end:
        end_with_left_out([(tmp_path / "notes.txt", COMPANION), (tmp_path / "z.img", "no image")])
    assert end.value.exit_code == 3


def test_three_classes_come_from_the_names(kermany: Path) -> None:
    dataset = load_dataset(kermany, classes=3)
    assert dataset.class_names == ("NORMAL", "BACTERIAL", "VIRAL")
    assert dataset.counts()["train"] == {"NORMAL": 30, "BACTERIAL": 30, "VIRAL": 30}


def test_the_patient_key_avoids_the_numbering_trap() -> None:
    assert parse_name("person7_virus_1", "train")[0] == parse_name("person7_bacteria_9", "train")[0]
    assert parse_name("person7_virus_1", "train")[0] != parse_name("person7_virus_1", "test")[0]
    assert parse_name("person7_virus_1", "train")[0] == parse_name("person7_virus_1", "val")[0]
    assert parse_name("scan12", "train") == (None, None)


def test_split_keeps_the_official_test_and_replaces_a_tiny_validation(kermany: Path) -> None:
    before = load_dataset(kermany)
    after = split_dataset(before, val=0.2, seed=1)
    official = {r.image_id for r in before.records if r.split == "test"}
    assert {r.image_id for r in after.records if r.split == "test"} == official
    assert sum(after.counts()["val"].values()) > 10 and "too few" in " ".join(after.notes)
    assert split_dataset(before, val=0.2, seed=1) == after
    assert split_dataset(before, val=0.2, seed=2) != after


def test_a_small_validation_split_of_the_users_is_kept_and_a_tiny_one_replaced_with_a_note() -> None:
    def films(val: int) -> Dataset:
        split = {i: "val" for i in range(val)} | {i: "test" for i in range(val, val + 20)}
        return Dataset(
            tuple(Record(Path(f"/none/{i}"), str(i), i % 2, f"p{i}", split.get(i, "train")) for i in range(200)),
            ("A", "B"),
        )

    kept = split_dataset(films(40))
    assert [r.split for r in kept.records] == [r.split for r in films(40).records]
    assert kept.notes == ("the validation split of 40 films is kept as given, though 100 or more would do.",)
    tiny = split_dataset(films(16))
    assert [r.split for r in tiny.records[16:36]] == ["test"] * 20 and "16 films are too few" in tiny.notes[0]
    assert {r.split for r in tiny.records[:16]} != {"val"} and len(tiny.split("val")) == 18
    assert split_dataset(films(100)).notes == ()
    one = films(40)
    of_one = tuple(dataclasses.replace(r, label=0) if r.split == "val" else r for r in one.records)
    recut = split_dataset(dataclasses.replace(one, records=of_one))
    assert "its 40 films have none of class B. They join training" in recut.notes[0]
    assert {r.label for r in recut.split("val").records} == {0, 1}
    few = split_dataset(films(16), val=0.05).notes
    assert few == (
        "the validation split of 16 films is kept as given, though 100 or more would do.",
        "the validation split that came with the films is kept: the share of 0.05 asked for has no effect.",
    ), "nine films would be cut in its place"
    for shares in ({"val": 0.2, "test": 0.3}, {"val": 0.1, "test": 0.1}):  # a tenth too, where it is asked for
        told = split_dataset(films(100), **shares).notes
        assert [n.split(" split")[0] for n in told] == ["the test", "the validation"]
        assert all("no effect" in n for n in told)


def test_a_validation_film_with_the_bytes_of_a_test_film_is_left_out() -> None:
    split = {i: "val" for i in range(40)} | {i: "test" for i in range(40, 60)}
    records = [Record(Path(f"/none/{i}"), str(i), i % 2, f"p{i}", split.get(i, "train")) for i in range(200)]
    records[4] = dataclasses.replace(records[4], path=records[40].path)
    found = split_dataset(Dataset(tuple(records), ("A", "B")))
    assert [found.records[i].split for i in (4, 5, 40)] == [None, "val", "test"]
    assert "4: byte-identical with a kept test film; left out of val." in found.notes
    for i in (100, 102, 104):
        records[i] = dataclasses.replace(records[i], path=records[40].path)
    notes = split_dataset(Dataset(tuple(records), ("A", "B"))).notes
    assert "100 and 2 more: byte-identical with a kept test film; left out of train." in notes


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 60), st.integers(1, 4))
def test_no_patient_straddles_and_classes_are_balanced(seed: int, patients: int, films: int) -> None:
    records = tuple(
        Record(Path(f"/none/{p}_{k}"), f"{p}_{k}", p % 2, f"patient{p}") for p in range(patients) for k in range(films)
    )
    dataset = split_dataset(Dataset(records, ("A", "B")), val=0.2, test=0.2, seed=seed)
    where: dict[str, set[str]] = {}
    for r in dataset.records:
        where.setdefault(str(r.patient_id), set()).add(str(r.split))
    assert all(len(splits) == 1 for splits in where.values())
    for split in ("val", "test"):
        counts = dataset.counts()[split]
        assert abs(counts["A"] - counts["B"]) <= films


def test_identical_bytes_stay_together(tmp_path: Path) -> None:
    for i in range(20):
        film(tmp_path / "A" / f"{i}.png", i)
        film(tmp_path / "B" / f"{i}.png", 100 + i)
    for i in range(8):
        shutil.copy(tmp_path / "A" / "0.png", tmp_path / "A" / f"copy{i}.png")
    dataset = split_dataset(load_dataset(tmp_path), val=0.3, test=0.3)
    same = {r.split for r in dataset.records if r.path.name.startswith("copy") or r.image_id == "A/0.png"}
    assert len(same) == 1


def test_manifests_round_trip(kermany: Path, tmp_path: Path) -> None:
    dataset = split_dataset(load_dataset(kermany))
    for name in ("m.csv", "m.parquet"):
        again = load_dataset(write_manifest(dataset, tmp_path / name))
        assert [(r.label, r.split, r.patient_id) for r in again.records] == [
            (r.label, r.split, r.patient_id) for r in dataset.records
        ]


def test_manifest_errors_name_the_line(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    for text, words in (
        ("picture,label\na.png,X\n", "column 'path'"),
        ("path,label\na.png,X\na.png,X\n", "line 3"),
        ("path,split\na.png,holdout\n", "holdout"),
        ("path,label\n,X\n", "line 2"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=words):
            load_dataset(file)
    with pytest.raises(DataError, match="no such folder"):
        load_dataset(tmp_path / "nowhere")


def test_the_cache_decodes_once_and_lists_bad_files(
    kermany: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = kermany / "train" / "NORMAL" / "IM-0003-0001.png"
    bad.write_bytes(bad.read_bytes()[:60])
    dataset = load_dataset(kermany)
    pre = Preprocess(size=32)
    cache = build_cache(dataset.records, pre, tmp_path / "cache")
    assert [item.path for item in cache.left_out] == [bad] and len(cache) == len(dataset) - 1
    moved = dataset.records[0].path.rename(kermany / "train" / "NORMAL" / "renamed.png")
    monkeypatch.setattr("radiolucent.data.cache._decode", lambda *a: pytest.fail("decoded again"))
    again = load_dataset(kermany)
    kept = [r for r in again.records if r.path != bad]
    cache = build_cache(kept, pre, tmp_path / "cache")
    index = next(i for i, r in enumerate(cache.records) if r.path == moved)
    monkeypatch.undo()
    from radiolucent.images import read

    np.testing.assert_array_equal(cache.pixels[index], pre.quantise(read(moved)))


def test_room_on_the_disk_is_taken_before_memory_is_mapped(
    kermany: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing into mapped memory on a full disk ends the process (SIGBUS); writing a file raises OSError."""
    dataset, taken = load_dataset(kermany), list[int]()
    real = np.lib.format.open_memmap

    def mapped(file: Path, mode: str, *rest: object, **more: object) -> np.ndarray:
        assert mode == "r", "mapped for writing"
        return real(file, mode, *rest, **more)

    monkeypatch.setattr("numpy.lib.format.open_memmap", mapped)
    cache = build_cache(dataset.records, Preprocess(size=64), tmp_path / "cache")
    monkeypatch.undo()

    def look(_: object) -> None:
        (masks,) = tmp_path.glob("masks-*.npy")
        taken.append(masks.stat().st_blocks * 512)

    layers = find_layers(cache, look, look, (), "nothing", tmp_path)
    assert min(taken) >= len(cache) * 64 * 64 and not layers.lungs_known.any() and not layers.markers.any()


def test_films_of_an_older_decoder_are_not_served(
    kermany: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, pre = load_dataset(kermany).records[:4], Preprocess(size=32)
    build_cache(records, pre, tmp_path / "cache")
    blank = np.zeros((32, 32), np.uint8)
    monkeypatch.setattr("radiolucent.data.cache._decode", lambda *a: (blank, (32, 32)))
    assert build_cache(records, pre, tmp_path / "cache").pixels.any()  # the same decoder: from the cache
    monkeypatch.setattr("radiolucent.data.cache.DECODER", 999)
    assert not build_cache(records, pre, tmp_path / "cache").pixels.any()


def test_old_orders_are_pruned_and_made_again(kermany: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radiolucent.data.cache.ORDERS", 2)
    records, pre = load_dataset(kermany).records[:6], Preprocess(size=32)
    first = build_cache(records, pre, tmp_path / "cache")
    before = np.array(first.pixels)
    for k in range(1, 5):
        build_cache(records[k:], pre, tmp_path / "cache")
    assert len(list((tmp_path / "cache").rglob("order-*.npy"))) == 2
    np.testing.assert_array_equal(first.pixels, before)  # still mapped
    np.testing.assert_array_equal(build_cache(records, pre, tmp_path / "cache").pixels, before)


def test_batches_do_not_depend_on_batch_size_rank_or_threads(kermany: Path, tmp_path: Path) -> None:
    cache = build_cache(load_dataset(kermany).records, Preprocess(size=32), tmp_path / "cache")

    def films(**options: object) -> torch.Tensor:
        loader = Loader(cache, shuffle=True, augment=Augment(erase=0.2), seed=3, **options)  # type: ignore[arg-type]
        loader.set_epoch(2)
        return torch.cat([x for x, _ in loader])

    whole = films(batch_size=16)
    torch.testing.assert_close(films(batch_size=7, prefetch=False), whole)
    halves = [films(batch_size=5, rank=r, world_size=2) for r in (0, 1)]
    torch.testing.assert_close(torch.stack(halves, 1).flatten(0, 1)[: len(whole)], whole)
    other = Loader(cache, shuffle=True, augment=Augment(), seed=3, batch_size=16)
    other.set_epoch(3)
    assert not torch.equal(torch.cat([x for x, _ in other]), whole)


def test_augmentation_off_is_the_film_and_flip_mirrors() -> None:
    films = torch.rand(4, 32, 32)
    still = Augment(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    torch.testing.assert_close(still.apply(films, torch.rand(4, 16)), films, atol=1e-5, rtol=0)
    draws = torch.full((4, 16), 0.2)
    mirrored = Augment(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, flip=True).apply(films, draws)
    torch.testing.assert_close(mirrored, films.flip(2), atol=1e-5, rtol=0)
    assert Augment().flip is False


def verdicts(dataset: Dataset) -> dict[str, str]:
    return {f.test: f.verdict for f in check(dataset)}


def test_checks_see_the_traps_and_only_them(kermany: Path) -> None:
    found = {f.test: f for f in check(load_dataset(kermany))}
    assert found["patients.straddle"].verdict == "pass"
    assert found["patients.straddle"].evidence["naive_count"] > 0  # the false alarm, explained
    assert found["shortcut.size"].verdict == found["shortcut.aspect"].verdict == "fail"
    assert found["shortcut.mode"].verdict == "pass"
    assert found["split.validation_size"].verdict == "fail"
    assert found["duplicates.exact"].verdict == found["files.unreadable"].verdict == "pass"


def test_each_check_flips_with_its_cause(kermany: Path) -> None:
    source = kermany / "train" / "NORMAL" / "IM-0001-0001.png"
    shutil.copy(source, kermany / "test" / "NORMAL" / "IM-0900-0001.png")
    assert verdicts(load_dataset(kermany))["duplicates.exact"] == "fail"
    (kermany / "test" / "NORMAL" / "IM-0900-0001.png").unlink()
    Image.open(source).save(kermany / "test" / "PNEUMONIA" / "person99_virus_1.bmp")
    assert verdicts(load_dataset(kermany))["duplicates.near"] == "fail"
    (kermany / "test" / "PNEUMONIA" / "person99_virus_1.bmp").write_bytes(b"no image")
    assert verdicts(load_dataset(kermany))["files.unreadable"] == "fail"


def test_annotations_round_trip(tmp_path: Path) -> None:
    said = [
        Annotation("a.png", (Region.box(1, 2, 3, 4), Region.box(9, 9, 2, 2)), "PNEUMONIA", "A", "right lower zone"),
        Annotation("a.png", (), "NORMAL", "B", "clear", False),
        Annotation("b.png", (Region.polygon([(0, 0), (5, 0), (0, 5)]),), "PNEUMONIA", "A", image_shape=(20, 30)),
    ]
    write_csv(said, tmp_path / "a.csv")
    back = read_annotations(tmp_path / "a.csv")
    assert [(a.image_id, a.reader, a.finding, len(a.regions)) for a in back] == [
        ("a.png", "A", True, 2),
        ("a.png", "B", False, 0),
        ("b.png", "A", True, 1),
    ]
    np.testing.assert_allclose(back[0].regions[0].points, [[1, 2], [4, 6]])
    blot = np.zeros((20, 30), bool)
    blot[3:7, 4:9] = True
    write_coco(
        [*said, Annotation("c.png", (Region.mask(blot),), "PNEUMONIA", image_shape=(20, 30))], tmp_path / "a.json"
    )
    again = {(a.image_id, a.reader): a for a in read_annotations(tmp_path / "a.json")}
    assert again["a.png", "B"].finding is False and again["a.png", "A"].statement == "right lower zone"
    np.testing.assert_array_equal(again["c.png", "reader"].regions[0].pixels, blot)
    np.testing.assert_allclose(again["b.png", "A"].regions[0].points, said[2].regions[0].points)


def test_annotation_errors_name_file_and_line(tmp_path: Path, kermany: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("image,x,y,width,height\na.png,1,2,-3,4\n")
    with pytest.raises(AnnotationError, match=r"a\.csv, line 2"):
        read_annotations(file)
    file.write_text("image,x,y,width,height\nIM-0001-0001.png,1,2,3,4\n")
    with pytest.raises(AnnotationError, match="2 films"):
        read_annotations(file, dataset=load_dataset(kermany))


def test_another_folder_is_relabelled_by_name(kermany: Path) -> None:
    dataset = relabel(load_dataset(kermany), ("pneumonia", "normal"))
    assert all((r.label == 1) == ("NORMAL" in r.image_id.split("/")) for r in dataset.records)
    with pytest.raises(DataError, match="none of the model's"):
        relabel(load_dataset(kermany), ("CAT", "DOG"))


@pytest.mark.parametrize(("of_model", "cell"), [("0.0", "0"), ("Covid_19", "COVID 19"), ("R\u00fcck", "Ru\u0308ck")])
def test_a_model_knows_its_classes_however_they_are_spelt(tmp_path: Path, of_model: str, cell: str) -> None:
    """Older versions called the classes of a column with an empty cell 0.0 and 1.0."""
    (tmp_path / "m.csv").write_text(f"path,label\na.png,{cell}\nb.png,other\n")
    found = relabel(load_dataset(tmp_path / "m.csv"), ("other", of_model))
    assert [r.label for r in found.records] == [1, 0]


def test_kaggle_download_takes_the_outer_copy(kermany: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from radiolucent.data import kaggle

    answer = tmp_path / "answer"
    shutil.copytree(kermany, answer / "chest_xray")
    shutil.copytree(kermany, answer / "chest_xray" / "chest_xray")
    (answer / "chest_xray" / "__MACOSX" / "train").mkdir(parents=True)
    monkeypatch.setattr("kagglehub.dataset_download", lambda handle: str(answer))
    assert kaggle.download().root == answer / "chest_xray"
    monkeypatch.setattr("kagglehub.dataset_download", lambda handle: 1 / 0)
    with pytest.raises(DataError, match="download failed"):
        kaggle.download()


def test_medmnist_download_becomes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import medmnist

    from radiolucent.data.medmnist import download

    rng = np.random.default_rng(0)
    parts = {
        f"{s}_{k}": v
        for s in ("train", "val", "test")
        for k, v in (
            ("images", rng.integers(0, 255, (4, 28, 28), np.uint8)),
            ("labels", np.array([[0], [1], [0], [1]])),
        )
    }
    np.savez(tmp_path / "pneumoniamnist.npz", **parts)  # the layout of the library's own file
    monkeypatch.setattr(medmnist.PneumoniaMNIST, "download", lambda self: None)
    dataset = download(tmp_path, size=28)
    assert dataset.counts()["test"] == {"NORMAL": 2, "PNEUMONIA": 2}
    assert len(load_dataset(tmp_path)) == 12


@pytest.mark.realdata
def test_the_real_collection_is_grouped(realdata: Path) -> None:
    dataset = load_dataset(realdata / "chest_xray")
    assert dataset.counts() == {"train": {"NORMAL": 1341, "PNEUMONIA": 3875}}
    split = split_dataset(dataset)
    assert split.patients()["train"] + split.patients()["val"] + split.patients()["test"] == 2846
    shares = {s: c["PNEUMONIA"] / sum(c.values()) for s, c in split.counts().items()}
    assert max(shares.values()) - min(shares.values()) < 0.01


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"path\na.png,extra\n", "more cells than the heading"),
        (b"path,path\na.png,b.png\n", "'path' stands twice"),
        (b"path\na\0.png\n", "NUL byte"),
        (b"\x00\x01\xff", "not readable as a manifest"),
        (b"path\n" + b'"' + b"x" * 200_000 + b'"\n', "not readable as a manifest"),
        (b"", "no rows"),
        (b"a,b\n1,2,3\n", "it has a, b"),
    ],
)
def test_manifests_that_are_none_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_dataset(tmp_path / "m.csv")
    (tmp_path / "m.parquet").write_bytes(b"PAR1" + content + b"PAR1")
    with pytest.raises(DataError, match="not readable as a manifest"):
        load_dataset(tmp_path / "m.parquet")


def test_large_manifests_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "m.csv").open("wb") as stream:
        stream.truncate(3_000_000_000)
    with pytest.raises(DataError, match="3,000 MB, too much for a manifest"):
        load_dataset(tmp_path / "m.csv")


def test_trailing_empty_cells_and_odd_names_pass_through_manifests(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path,label\na.png,N,,\nb.png,P\n")
    assert [r.image_id for r in load_dataset(tmp_path / "m.csv").records] == ["a.png", "b.png"]
    names = ["=cmd.png", "-x.png", "a\nb.png", "c\rd.png", "e,f.png", "g'\"h.png"]
    for name in names:
        film(tmp_path / "films" / name, 1)
    dataset = load_dataset(tmp_path / "films")
    again = load_dataset(write_manifest(dataset, tmp_path / "films" / "again.csv"))
    assert sorted(r.path.name for r in again.records) == sorted(names) and all(r.path.is_file() for r in again.records)


def test_the_cache_knows_how_films_were_read(tmp_path: Path) -> None:
    Image.fromarray((np.arange(4096).reshape(64, 64)).astype(np.uint16)).save(tmp_path / "a.png")
    record, preprocess = Record(tmp_path / "a.png", "a"), Preprocess(size=32)
    dark = build_cache([record], preprocess, tmp_path / "cache").pixels[0]
    with read_with(ReadOptions(range=(0, 4095))):
        bright = build_cache([record], preprocess, tmp_path / "cache").pixels[0]
    assert dark.max() < 20 and bright.max() > 240


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_stop_neither_the_cache_nor_the_survey(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    film(tmp_path / "good.png", 1)
    dataset = load_dataset(tmp_path)
    cache = build_cache(dataset.records, Preprocess(size=32), tmp_path / "cache")
    assert [r.image_id for r in cache.records] == ["good.png"] and "named pipe" in cache.left_out[0].reason
    unreadable = next(f for f in check(dataset) if f.test == "files.unreadable")
    assert "named pipe" in unreadable.evidence["unreadable"][0]["reason"]
