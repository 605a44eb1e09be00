"""Many films by several methods: one forward pass a batch, every film read once, memory within its bound."""

import csv
import dataclasses
import functools
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from radiolucent.cli import app
from radiolucent.data import Record
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import (
    CAM,
    LIME,
    METHODS,
    RISE,
    GradCAM,
    GradCAMPlusPlus,
    GradientSHAP,
    HiResCAM,
    IntegratedGradients,
    KernelSHAP,
    LayerCAM,
    Saliency,
    SmoothGrad,
    Sobol,
    XGradCAM,
    explain,
    load_explanation,
)
from radiolucent.explainers.footprint import bounded, bytes_per_film
from radiolucent.images import from_array
from radiolucent.models import Classifier, build, save
from radiolucent.study import ManyConfig, explain_many
from radiolucent.study.many_config import describe
from radiolucent.study.maps import maps_of
from radiolucent.types import Annotation, Region

FAMILY = (GradCAM(), CAM(), GradCAMPlusPlus(), HiResCAM(), LayerCAM(), XGradCAM())


@pytest.fixture(scope="module")
def clf() -> Classifier:
    return build("small_cnn", size=64, widths=(4, 4, 4, 4), hidden=0, seed=1)[0]


@pytest.fixture
def passes(clf: Classifier):
    """The batch sizes of the network's forward passes, once its layers are known."""
    film = from_array(np.zeros((64, 64), np.float32))
    sizes: list[int] = []
    handle = clf.network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    explain(clf, film, GradCAM())
    bytes_per_film(clf, film, FAMILY)
    sizes.clear()
    yield sizes
    handle.remove()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read."""
    seen: Counter[str] = Counter()
    reading = sys.modules["radiolucent.images.read"]  # the package's own `read` is the function
    real = reading.read

    def counting(path: Path, **ids: str) -> object:
        seen[Path(path).name] += 1
        return real(path, **ids)

    monkeypatch.setattr(reading, "read", counting)
    return seen


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(9):
        Image.fromarray(rng.integers(0, 255, (48, 60), np.uint8)).save(folder / f"film{i}.png")
    return folder


def table(out: Path) -> list[dict[str, str]]:
    with (out / "explanations.csv").open() as stream:
        return list(csv.DictReader(stream))


def quick(*methods, **more) -> ManyConfig:
    return ManyConfig(methods, panels=False, trust=False, **more)


def test_methods_share_one_forward_a_batch_and_films_are_read_once(clf, passes, reads, films, tmp_path) -> None:
    found = explain_many(clf, [films], tmp_path / "out", quick(*FAMILY, batch_size=4))
    assert passes == [1, 4, 4, 1]  # the first to see what a film takes
    assert found.films == 9 and set(reads.values()) == {1} and len(reads) == 9
    rows = table(tmp_path / "out")
    assert len(rows) == 9 * len(FAMILY) and {r["target"] for r in rows} <= {"NORMAL", "PNEUMONIA"}
    for row in rows[:: len(FAMILY)]:  # the class called, at the calibrated probability, without a pass of its own
        one = load_explanation(tmp_path / "out" / row["map"])
        logits = torch.tensor([one.logits])
        assert row["called"] == row["target"] == clf.class_names[int(clf.called(logits)[0])]
        assert float(row["probability"]) == pytest.approx(float(clf.probabilities(logits)[0, one.target]))
        assert one.logits[one.target] == pytest.approx(one.score)


def test_comparing_reads_films_once_for_all_methods(clf, passes, reads, films) -> None:
    (films / "film3.png").write_bytes(b"")
    records = [Record(p, p.name) for p in sorted(films.iterdir())]
    left: list[tuple[Path, str]] = []
    maps = maps_of(clf, records, FAMILY, target="PNEUMONIA", seed=0, left_out=left, no_map=[])
    assert passes == [8] and set(reads.values()) == {1}
    assert [p.name for p, _ in left] == ["film3.png"] and "empty" in left[0][1]
    for method, some in zip(FAMILY, maps, strict=True):
        assert [e.image_id for e in some] == [r.image_id for r in records if r.image_id != "film3.png"]
        assert {e.method for e in some} == {method.name}


def test_less_memory_gives_smaller_batches_and_the_same_maps(clf, passes, films, tmp_path) -> None:
    methods = (GradCAM(), SmoothGrad(samples=8))
    widest: dict[str, int] = {}
    for name, megabytes in (("wide", 64.0), ("tight", 1.5)):
        passes.clear()
        explain_many(clf, [films], tmp_path / name, quick(*methods, max_memory_mb=megabytes))
        widest[name] = max(passes)
    assert widest["tight"] < widest["wide"] and widest["wide"] > 9  # copies of several films together
    for one, other in zip(table(tmp_path / "tight"), table(tmp_path / "wide"), strict=True):
        maps = [load_explanation(tmp_path / f / r["map"]).map for f, r in (("tight", one), ("wide", other))]
        np.testing.assert_allclose(maps[0], maps[1], atol=1e-5 * np.abs(maps[1]).max())
    again = explain_many(clf, [films], tmp_path / "wide", quick(*methods, max_memory_mb=2))
    assert again.new == 0  # another bound is no other run


def test_what_a_film_takes_grows_with_what_is_kept(clf) -> None:
    film = from_array(np.random.default_rng(0).random((64, 64)).astype(np.float32))
    cheap, dear = bytes_per_film(clf, film, [GradCAM()]), bytes_per_film(clf, film, [Saliency()])
    image = 64 * 64 * 4
    assert image < cheap < dear < 100 * image  # the whole graph is kept for saliency
    assert bytes_per_film(clf, film, [LIME(num_samples=10)]) == 0  # bounds itself
    smooth = SmoothGrad(samples=8)
    held, most, each = bounded(clf, film, [GradCAM(), smooth, RISE(max_memory_mb=900)], 8.0)
    assert 1 < most == int(4 * 2**20 // each) and held[1].batch_size == most < smooth.batch_size
    assert held[2].max_memory_mb == 4 and held[0] == GradCAM()
    assert bounded(clf, film, [GradCAM(), smooth], 0.001)[1] == 1  # a pass takes what it takes


def test_several_targets_and_a_contrast(clf, films, tmp_path) -> None:
    explain_many(clf, [films], tmp_path / "both", quick(GradCAM(), targets=("NORMAL", "PNEUMONIA")))
    config = ManyConfig((GradCAM(),), ("PNEUMONIA",), "NORMAL", trust=None)
    explain_many(clf, sorted(films.iterdir())[:2], tmp_path / "apart", config)
    both, apart = table(tmp_path / "both"), table(tmp_path / "apart")
    assert [r["target"] for r in both] == ["NORMAL", "PNEUMONIA"] * 9 and len({r["map"] for r in both}) == 18
    assert {(r["score_kind"], r["contrast"], r["target"]) for r in apart} == {("contrast", "NORMAL", "PNEUMONIA")}
    assert all(r["trust"] and (tmp_path / "apart" / r["panel"]).is_file() for r in apart)
    for k, row in enumerate(apart):
        here = load_explanation(tmp_path / "apart" / row["map"])
        normal, ill = (load_explanation(tmp_path / "both" / r["map"]) for r in both[2 * k : 2 * k + 2])
        np.testing.assert_allclose(here.map, ill.map - normal.map, atol=1e-5 * np.abs(ill.map).max())
    with pytest.raises(ConfigError, match="contrast 'NORMAL' without a target"):
        quick(GradCAM(), contrast="NORMAL")
    with pytest.raises(ConfigError, match="different class names"):
        quick(GradCAM(), targets="NORMAL")


def halves(image: np.ndarray, cut: int = 32) -> np.ndarray:
    return (np.arange(image.shape[1]) >= cut).astype(np.int64)[None].repeat(image.shape[0], 0)


def test_settings_are_the_same_in_every_process_and_know_the_readings(clf) -> None:
    assert describe(LIME(segmentation=halves)) == describe(LIME(segmentation=halves, batch_size=3, max_memory_mb=9))
    words = describe(LIME(segmentation=halves))
    assert "test_one_pass.halves" in words and " at 0x" not in words
    partial = [describe(LIME(segmentation=functools.partial(halves, cut=c))) for c in (8, 9)]
    assert partial[0] != partial[1] and " at 0x" not in partial[0]
    assert describe(GradCAM("a")) != describe(GradCAM("b"))

    def settings(*readings: Annotation) -> str:
        return json.dumps(quick(GradCAM()).settings(clf, readings), sort_keys=True)

    box, other = (Annotation("a.png", (Region.box(x, 1, 5, 5),)) for x in (1, 2))
    said = Annotation("b.png", statement="clear", finding=False)
    mask = np.zeros((9, 9), bool)
    drawn = Annotation("a.png", (Region.mask(mask),)), Annotation("a.png", (Region.mask(~mask),))
    assert settings(box, said) == settings(said, Annotation("a.png", (Region.box(1, 1, 5, 5),)))
    assert len({settings(), settings(box), settings(other), settings(box, said), *map(settings, drawn)}) == 6


def test_other_readings_are_refused(clf, films, tmp_path) -> None:
    config = quick(GradCAM())
    explain_many(clf, [films], tmp_path / "out", config, readings=[Annotation("film1.png", statement="clear")])
    with pytest.raises(ConfigError, match=r"readings was .*--fresh"):
        explain_many(clf, [films], tmp_path / "out", config, readings=[Annotation("film1.png", statement="dense")])


def test_samples_reach_every_method_that_draws_them() -> None:
    drawing = (
        (LIME(), "num_samples"), (KernelSHAP(), "num_samples"), (RISE(), "num_masks"), (SmoothGrad(), "samples"),
        (GradientSHAP(), "samples"), (IntegratedGradients(), "steps"),
    )  # fmt: skip
    assert [getattr(m.with_samples(160), field) for m, field in drawing] == [160] * len(drawing)
    assert Sobol(cells=4).with_samples(160).designs == 8  # 8 · (16 + 2) = 144 images; 16 designs would be 288
    with pytest.raises(ConfigError, match="sobol; with 8 × 8 cells at least 264"):
        Sobol().with_samples(160)
    # whoever has a parameter that counts its images says so
    counting = {"num_samples", "num_masks", "samples", "steps", "designs"}
    for name, method in METHODS.items():
        fields = {f.name for f in dataclasses.fields(method)}
        assert (method().with_samples(2000) is not None) == bool(counting & fields), name


def test_the_command_line_takes_targets_contrast_memory_and_samples(clf, films, tmp_path) -> None:
    save(clf, tmp_path / "run" / "model.safetensors")
    words = ["explain", str(tmp_path / "run"), str(films), "--no-panels", "--no-trust"]
    both = ["--target", "PNEUMONIA", "--target", "NORMAL", "--method", "gradcam,smoothgrad", "--samples", "4"]
    done = CliRunner().invoke(app, [*words, *both, "--max-memory-mb", "64", "--out", str(tmp_path / "a"), "--json"])
    assert done.exit_code == 0 and len(json.loads(done.stdout)["explanations"]) == 36
    assert "--samples does not apply to gradcam" in done.stderr
    held = load_explanation(tmp_path / "a" / table(tmp_path / "a")[2]["map"])
    assert held.method == "smoothgrad" and held.parameters["samples"] == 4
    against = ["--method", "gradcam", "--target", "PNEUMONIA", "--contrast", "NORMAL", "--out", str(tmp_path / "b")]
    assert CliRunner().invoke(app, [*words, *against]).exit_code == 0
    assert {r["contrast"] for r in table(tmp_path / "b")} == {"NORMAL"}
    for wrong, why in (
        (["--method", "gradcam,cam", "--samples", "9"], "--samples 9 for gradcam, cam, which draws none"),
        (["--contrast", "NORMAL"], "without a target"),
        (["--target", "GOUT"], "target 'GOUT'"),
    ):
        failed = CliRunner().invoke(app, [*words, *wrong, "--out", str(tmp_path / "c")])
        assert why in str(failed.exception)


def test_a_method_that_fails_on_the_film_measured_is_told_as_before(clf, films, tmp_path) -> None:
    with pytest.raises(ExplainError, match="layer 'nowhere'"):
        explain_many(clf, [films], tmp_path / "out", quick(GradCAM(layer="nowhere")))
