"""The shipped lung segmenter: how well it does, when it distrusts itself, and that it leaves everything as it was."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import radiolucent as rl
from lungs_card import Case, calibrate, expectation, surfaces
from lungs_data import mask_path, with_heart
from radiolucent.audits.trial import masks_from_folder
from radiolucent.cli import app
from radiolucent.data import Record, load_dataset, split_dataset
from radiolucent.data.phantom import Phantom, draw
from radiolucent.errors import AnnotationError, ImageError, WeightsError
from radiolucent.files import sha256_file
from radiolucent.metrics import dice
from radiolucent.segment import LungMask, load_segmenter, lungs_of, save_segmenter, write_lungs
from radiolucent.segment.distrust import EXPECTED, FLOOR, SIGNS, Expectation, clean, signs
from radiolucent.segment.lungs import weights_path
from radiolucent.segment.net import LungNet
from radiolucent.types import Radiograph


def phantom(i: int, size: int = 192) -> Phantom:
    return draw(np.random.default_rng([8, i]), size=size, pneumonia=bool(i % 2), marker="R", site=i % 3)


def film_of(pixels: np.ndarray, name: str = "array") -> Radiograph:
    return rl.from_array(np.ascontiguousarray(pixels).astype(np.float32) / 255, image_id=name)


def agreement(found: np.ndarray, true: np.ndarray) -> float:
    return float(dice(found.astype(np.float32), true) or 0)


@pytest.mark.realdata
def test_dice_on_a_hundred_held_out_films(realdata: Path) -> None:
    dataset = split_dataset(load_dataset(realdata / "chest_xray"), val=0.08, test=0.12, seed=0)  # as in training
    films = [r for r in dataset.split("test").records if mask_path(realdata, r).is_file()][::5][:100]
    scores = []
    for record, found in zip(films, lungs_of(rl.read(r.path) for r in films), strict=True):
        with Image.open(mask_path(realdata, record)) as image:
            scores.append(agreement(found.pixels, np.asarray(image.convert("L")) > 127))
    assert len(scores) == 100
    assert np.mean(scores) >= 0.94


def test_dice_on_phantoms() -> None:
    drawn = [phantom(i) for i in range(12)]
    found = list(lungs_of(film_of(p.pixels) for p in drawn))
    scores = [agreement(m.pixels, with_heart(p.lungs)) for m, p in zip(found, drawn, strict=True)]
    assert np.mean(scores) >= 0.94 and min(scores) > 0.85
    assert sum(m.trusted for m in found) >= 10


def test_distrust_flips_with_its_cause() -> None:
    rng = np.random.default_rng(0)
    for i in range(4):
        pixels = phantom(i).pixels
        assert rl.lungs(film_of(pixels)).trusted
        for spoilt in (pixels[::-1, ::-1], np.rot90(pixels), rng.integers(0, 255, pixels.shape), 0 * pixels):
            found = rl.lungs(film_of(spoilt))
            assert not found.trusted and found.reasons


def test_mask_is_in_the_films_own_pixels() -> None:
    pixels = phantom(1, 128).pixels
    wide = np.asarray(Image.fromarray(pixels).resize((310, 170)))
    small, large = rl.lungs(film_of(pixels)), rl.lungs(film_of(wide))
    assert large.pixels.shape == (170, 310) and large.pixels.dtype == bool
    back = np.asarray(Image.fromarray(large.pixels.astype(np.uint8) * 255).resize((128, 128))) > 127
    assert agreement(back, small.pixels) > 0.97


def test_batch_is_one_by_one_and_random_state_is_left_alone() -> None:
    films = [film_of(phantom(i).pixels, str(i)) for i in range(5)]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    together = list(lungs_of(iter(films), batch=2))
    assert torch.equal(before, torch.get_rng_state())
    assert [m.image_id for m in together] == [f.image_id for f in films]
    for one, other in zip(together, map(rl.lungs, films), strict=True):
        assert (one.pixels != other.pixels).mean() < 1e-3
        assert one.signs == pytest.approx(other.signs, abs=2e-3)


def test_fused_network_is_the_same_function() -> None:
    torch.manual_seed(0)
    net = LungNet()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)  # pyright: ignore[reportOptionalMemberAccess]
            module.running_var.uniform_(0.5, 2)  # pyright: ignore[reportOptionalMemberAccess]
    x = torch.rand(2, 1, 128, 128)
    with torch.inference_mode():
        before = net.eval()(x)
        after = net.fused()(x)
    assert before.std() > 0.01
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-4)


def test_saving_gives_the_same_bytes_and_damage_is_named(tmp_path: Path) -> None:
    shipped = load_segmenter()
    one, two = (save_segmenter(shipped, tmp_path / n) for n in ("a.safetensors", "b.safetensors"))
    assert one.read_bytes() == two.read_bytes()
    again = load_segmenter(one)
    assert again.limits == shipped.limits and again.expectation == shipped.expectation
    one.write_bytes(one.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"a\.safetensors: no lung segmenter"):
        load_segmenter(one)


def test_weights_for_films_of_another_side_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["radiolucent.segment.lungs"], "SIDE", 160)  # the package's `lungs` is the function
    with pytest.raises(WeightsError, match="it looks at films of 128 pixels, this version at 160"):
        load_segmenter()


def test_card_names_the_shipped_weights() -> None:
    card = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cards" / "lungs.md"
    assert re.findall(r"SHA-256 `([0-9a-f]{64})`", card.read_text()) == [sha256_file(weights_path())]
    assert weights_path().stat().st_size <= 2_000_000


def two_lungs() -> np.ndarray:
    p = np.zeros((64, 64), np.float32)
    p[10:50, 8:26] = p[10:50, 38:56] = 0.98
    return p


def test_signs_of_a_known_mask() -> None:
    p = two_lungs()
    p[30:50, 6:26] = 0.98  # the lower half of one lung is two columns wider
    found = signs(p, logits(p), logits(p))
    assert set(found) == set(SIGNS)
    assert found["area"] == pytest.approx((2 * 40 * 18 + 40) / 64**2)
    assert found["parts"] == 2 and found["balance"] == pytest.approx(720 / 760)
    assert found["taper"] == pytest.approx(38 / 36)
    assert found["doubt"] == pytest.approx(0.02, rel=1e-4)
    assert found["mirror"] == 0
    half = p.copy()
    half[:, 32:] = 0
    assert signs(p, logits(p), logits(half))["mirror"] == pytest.approx(1 - 2 * 760 / (2 * 760 + 720))
    gone = logits(half)
    gone[:, 32:] = np.nan  # what the move has left nothing of counts neither way
    assert signs(p, logits(p), gone)["mirror"] == 0
    nothing = np.zeros_like(p)
    assert signs(nothing, logits(nothing), logits(nothing))["mirror"] == 1


def logits(p: np.ndarray) -> np.ndarray:
    return (p - 0.5).astype(np.float32)  # of the same sign, which is all that is read of them


def test_specks_go_and_holes_are_filled() -> None:
    p = two_lungs()
    p[60:62, 60:62] = 0.9
    p[20:23, 12:15] = 0.1
    cleaned = clean(p)
    assert not (cleaned[58:, 58:] >= 0.5).any()
    assert (cleaned[10:50, 8:26] >= 0.5).all() and (cleaned >= 0.5).sum() == 2 * 40 * 18
    assert (clean(np.zeros_like(p)) == 0).all()


def test_expected_dice_is_its_formula_and_stays_in_the_range_it_was_fitted_on() -> None:
    weights = {"1": -2.0, "doubt": 0.5, "doubt²": 0.1}
    expected = Expectation(weights, {"doubt": (0.02, 0.3)})
    x = np.log(0.1 + FLOOR)
    assert expected({"doubt": 0.1}) == pytest.approx(1 + FLOOR - np.exp(-2 + 0.5 * x + 0.1 * x * x))
    assert expected({"doubt": 0.9}) == expected({"doubt": 0.3}) < expected({"doubt": 0.02}) == expected({"doubt": 0.0})
    assert Expectation({"1": 5.0}, {})({}) == 0 and Expectation({"1": -9.0}, {})({}) == 1


def test_an_empty_mask_expects_no_agreement() -> None:
    nothing, segmenter = np.full((64, 64), -9, np.float32), load_segmenter()
    found = signs(np.zeros_like(nothing), nothing, nothing)
    assert segmenter.expectation(found) == 0 < segmenter.expectation(found | {"area": 0.01})


def test_expected_dice_is_learnt_from_the_signs() -> None:
    rng = np.random.default_rng(2)
    record = Record(Path("x.png"), "x", 0, "child")
    cases = []
    for _ in range(300):
        found = {name: float(rng.uniform(0.1, 0.9)) for name in SIGNS}
        cases.append(
            Case(record, LungMask(np.zeros((2, 2), bool), True, (), found, "x"), 1 - found["mirror"] / 4, 0, 0)
        )
    expected = expectation(cases, [])
    errors = [expected(c.found.signs) - c.dice for c in cases]
    assert np.abs(errors).mean() < 0.01 < np.std([c.dice for c in cases]) / 5
    low, high = calibrate(cases, expected)[EXPECTED]
    good = [c for c in cases if c.dice >= 0.9]
    assert high == 1 and np.mean([expected(c.found.signs) < low for c in good]) == pytest.approx(0.02, abs=0.01)


def test_distances_of_outlines() -> None:
    square = np.zeros((40, 40), bool)
    square[10:20, 10:20] = True
    assert surfaces(square, square) == (0, 0)
    far, mean = surfaces(square, np.roll(square, 3, 1))
    assert far == 3 and mean == pytest.approx((30 + 18 + 3 + 3) / 36)  # left, right, top and bottom edge
    assert np.isnan(surfaces(square, np.zeros_like(square))).all()


@pytest.mark.realdata
def test_expected_dice_follows_dice_on_real_films(realdata: Path) -> None:
    dataset = split_dataset(load_dataset(realdata / "chest_xray"), val=0.08, test=0.12, seed=0)
    records = [r for r in dataset.split("val").records if mask_path(realdata, r).is_file()][::4]
    told, true = [], []
    for record, found in zip(records, lungs_of(rl.read(r.path) for r in records), strict=True):
        with Image.open(mask_path(realdata, record)) as image:
            true.append(agreement(found.pixels, np.asarray(image.convert("L")) > 127))
        told.append(found.expected_dice)
    assert len(records) > 80 and abs(np.mean(told) - np.mean(true)) < 0.01
    assert np.corrcoef(np.argsort(np.argsort(told)), np.argsort(np.argsort(true)))[0, 1] > 0.3  # by rank


def write_films(folder: Path) -> Path:
    for i in range(3):
        folder.joinpath("CLASS").mkdir(parents=True, exist_ok=True)
        Image.fromarray(phantom(i, 128).pixels).save(folder / "CLASS" / f"p{i}.png")
    noise = np.random.default_rng(1).integers(0, 255, (128, 128), np.uint8)
    Image.fromarray(noise).save(folder / "CLASS" / "noise.png")
    (folder / "CLASS" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def test_writing_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data, out = load_dataset(write_films(tmp_path / "data")), tmp_path / "out"
    first = write_lungs(data.records, out)
    assert first.written == 4 and [p.name for p, _ in first.left_out] == ["broken.png"]
    assert [Path(name).name for name, _ in first.distrusted] == ["noise.png"]
    names = {p: p.stat().st_mtime_ns for p in sorted(out.rglob("*.png"))}
    table = (out / "lungs.csv").read_text()
    assert len(names) == 4 and table.count("\n") == 5
    victim, *others = names
    mask = np.asarray(Image.open(victim))
    victim.unlink()
    again = write_lungs(data.records, out)
    assert again.distrusted == first.distrusted and (out / "lungs.csv").read_text() == table
    assert (np.asarray(Image.open(victim)) == mask).all()
    assert all(p.stat().st_mtime_ns == names[p] for p in others)


def test_command_lists_what_it_distrusts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["data", "lungs", str(write_films(tmp_path / "data")), "--out", str(out), "--json"]
    )
    assert result.exit_code == 3, result.output  # one film is broken
    said = json.loads(result.stdout)
    assert said["written"] == 4 and len(said["left_out"]) == 1
    assert [Path(d["image"]).name for d in said["distrusted"]] == ["noise.png"]
    mask = next(out.rglob("p0.png"))
    found = np.asarray(Image.open(mask))
    assert found.shape == (128, 128) and set(np.unique(found)) == {0, 255}


def test_masks_of_one_name_are_left_out_and_uids_keep_theirs(tmp_path: Path) -> None:
    films = []
    for i, name in enumerate(("a/x.png", "a/x.jpeg", "1.2.840.1", "1.2.840.2")):
        path = tmp_path / f"film{i}.png"
        Image.fromarray(phantom(i).pixels).save(path)
        films.append(Record(path, name, 0, f"child{i}"))
    found = write_lungs(films, tmp_path / "masks")
    assert found.written == 2 and {p for p, _ in found.left_out} == {films[0].path, films[1].path}
    assert all("a/x.png" in reason for _, reason in found.left_out)
    masker = masks_from_folder(tmp_path / "masks")
    first, second = (masker(film_of(phantom(i).pixels, f"1.2.840.{i - 1}")) for i in (2, 3))
    assert first is not None and second is not None and (first != second).any()


def test_masks_of_others_are_read_whole_and_given_to_one_film(tmp_path: Path) -> None:
    pixels = phantom(1).pixels
    film, root = film_of(pixels, "COVID/images/x.png"), tmp_path / "masks"
    want = np.zeros(pixels.shape, bool)
    want[20:60, 10:40] = want[20:60, 70:100] = True

    def masked(values: np.ndarray, *names: str) -> np.ndarray | None:
        shutil.rmtree(root, ignore_errors=True)
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(root / name)
        return masks_from_folder(root)(film)

    parts = want.astype(np.uint8)
    parts[:, 50:] *= 2  # a label a lung
    blurred = np.where(want, 250, 3).astype(np.uint8)
    blurred[20:60, 10] = 190
    blurred.flat[:10] = range(10)  # as JPEG leaves it
    for values in (parts, want.astype(np.uint8), want * np.uint8(255), want.astype(np.uint16) * 900, blurred):
        found = masked(values, "x_mask.png")
        assert found is not None and (found == want).all()
    half = want.copy()
    half[:, 50:] = False
    masked(half, "leftMask/x.png", "rightMask/x.png")
    Image.fromarray(want & ~half).save(root / "leftMask/x.png")
    both = masks_from_folder(root)
    assert (both(film) == want).all() and (both(film_of(pixels, "other/x.png")) == want).all()  # a copy of the film
    with pytest.raises(AnnotationError, match=r"may be the mask of COVID/images/x\.png and of test/x\.png"):
        both(film_of(phantom(2).pixels, "test/x.png"))
    with pytest.raises(AnnotationError, match="may both be its mask"):
        masked(want, "Dr A/x.png", "Dr B/x.png")
    for values in (~want, want + np.uint8(1), np.dstack([want | True, want]) * np.uint8(255)):  # white, transparent
        with pytest.raises(ImageError, match="marks all four corners of the film; expected 0 outside"):
            masked(values, "x.png")
    with pytest.raises(ImageError, match="is grey all over, and no mask"):
        masked(pixels, "images/x.png")
    (root / "images/x.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    with pytest.raises(ImageError, match="cannot be read"):
        masks_from_folder(root)(film)
    (tmp_path / "linked").mkdir()
    masked(want, "x.png")
    (tmp_path / "linked" / "here").symlink_to(root, target_is_directory=True)
    assert (masks_from_folder(tmp_path / "linked")(film) == want).all()
