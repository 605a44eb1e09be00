"""Building, weights, freezing, checkpoints, prediction."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from radiolucent.data import Record
from radiolucent.errors import CheckpointError, ConfigError, ImageError, ModelError, WeightsError
from radiolucent.models import (
    Classifier,
    build,
    freeze,
    frozen_prefix,
    keras_layers,
    load,
    predict,
    save,
    set_train_mode,
    shift_logits,
)
from radiolucent.models.checkpoint import finished


@pytest.fixture(scope="module")
def mobilenet():
    return build("mobilenetv1", pretrained=False, size=64)[0]


@pytest.mark.parametrize(
    ("name", "size"), [("mobilenetv1", 224), ("inception_v3", 299), ("densenet121", 224), ("small_cnn", 160)]
)
def test_presets_take_their_own_size(name: str, size: int) -> None:
    clf, report = build(name, pretrained=False)
    assert clf.preprocess.size == size and report.source == "random"
    assert clf.logits(torch.zeros(1, clf.preprocess.channels, size, size)).shape == (1, 2)


def test_any_timm_name_or_a_clear_error() -> None:
    clf, _ = build("resnet18", pretrained=False, size=64, class_names=("A", "B", "C"))
    assert clf.logits(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    with pytest.raises(ModelError, match="resnet"):
        build("resnet_nonsense", pretrained=False)


def test_the_first_34_keras_layers_are_frozen(mobilenet) -> None:
    names = freeze(mobilenet.network, "34 layers")
    assert keras_layers(mobilenet.network)[33][0] == "blocks.2.1.bn1.act"
    assert "blocks.2.1.conv_dw.weight" in names and "blocks.2.1.conv_pw.weight" not in names
    convolutions = [n for n in names if "conv" in n]
    assert len(convolutions) == 1 + 4 * 2 + 1  # stem, four whole blocks, the fifth's depthwise part
    assert freeze(mobilenet.network, "0") == ()


@pytest.mark.parametrize("spec", ["0.4", "34 layers", "stage:2", "all"])
def test_prefix_and_rest_are_the_network(spec: str, mobilenet) -> None:
    freeze(mobilenet.network, spec)
    cut = frozen_prefix(mobilenet.network)
    assert cut is not None
    mobilenet.network.eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(cut.rest(cut.prefix(x)), mobilenet.network(x))
    freeze(mobilenet.network, "0")
    assert frozen_prefix(mobilenet.network) is None


def test_frozen_batch_norms_keep_their_statistics(mobilenet) -> None:
    freeze(mobilenet.network, "34 layers")
    set_train_mode(mobilenet.network)
    before = {n: b.clone() for n, b in mobilenet.network.named_buffers()}
    mobilenet.network(torch.randn(4, 3, 64, 64))
    moved = {n.rsplit(".", 1)[0] for n, b in mobilenet.network.named_buffers() if not torch.equal(b, before[n])}
    assert "bn1" not in moved and "blocks.2.1.bn1" not in moved and "blocks.2.1.bn2" in moved
    freeze(mobilenet.network, "0")
    mobilenet.network.eval()


@pytest.mark.parametrize("spec", ["banana", "200 layers", "stage:9"])
def test_unreadable_freezing_is_refused(spec: str, mobilenet) -> None:
    with pytest.raises(ConfigError, match="freeze"):
        freeze(mobilenet.network, spec)


def test_partial_weights_are_accounted_for(tmp_path: Path, mobilenet) -> None:
    state = dict(mobilenet.network.state_dict())
    del state["blocks.1.0.conv_pw.weight"]
    state["classifier.weight"] = torch.zeros(1000, 1024)
    state["something.else"] = torch.zeros(1)
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "w.safetensors")
    clf, report = build("mobilenetv1", weights=tmp_path / "w.safetensors", size=64)
    assert report.missing == ("blocks.1.0.conv_pw.weight",) and report.unexpected == ("something.else",)
    assert report.mismatched[0].startswith("classifier.weight") and "something.else" in str(report)
    assert torch.equal(clf.network.conv_stem.weight, mobilenet.network.conv_stem.weight)
    after = clf.network.blocks[1][0].bn2  # its statistics belonged to the missing weight
    assert torch.equal(after.running_mean, torch.zeros_like(after.running_mean))


def test_bad_weight_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weight file"):
        build("small_cnn", weights=tmp_path / "none.safetensors")
    (tmp_path / "bad.pth").write_bytes(b"rubbish")
    with pytest.raises(WeightsError, match=r"bad\.pth"):
        build("small_cnn", weights=tmp_path / "bad.pth")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="none of its 1 tensors"):
        build("small_cnn", weights=tmp_path / "other.safetensors")


def test_without_network_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def offline(*args: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(WeightsError, match="--weights FILE"):
        build("mobilenetv1")


@pytest.mark.realdata
def test_the_real_partial_weights(imagenet_weights: Path) -> None:
    _, report = build("mobilenetv1", weights=imagenet_weights)
    assert report.missing == ("blocks.4.1.conv_pw.weight",) and len(report.mismatched) == 2


@pytest.mark.parametrize("head", ["softmax", "sigmoid", "multilabel"])
def test_checkpoints_round_trip(tmp_path: Path, head) -> None:
    clf, _ = build("small_cnn", head=head, size=64)
    clf = clf.with_(threshold=0.3, temperature=1.7, provenance={"data": "x"})
    file = save(clf, tmp_path)
    back = load(tmp_path)
    x = torch.randn(3, 1, 64, 64)
    assert torch.equal(back.logits(x), clf.logits(x)) and back.hash == clf.hash
    assert (back.threshold, back.temperature, back.class_names, back.head) == (0.3, 1.7, clf.class_names, head)
    total = back.probabilities(back.logits(x)).sum(1)
    assert head == "multilabel" or torch.allclose(total, torch.ones(3, dtype=torch.float64))
    assert file.read_bytes()[8:9] == b"{"  # safetensors, not pickle
    assert all(save(clf, tmp_path / f"{i}.safetensors").read_bytes() == file.read_bytes() for i in range(8))


def test_a_full_disk_is_told_as_one_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: Any, file: Path, metadata: Any) -> None:
        Path(file).write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space left") as told:
        save(build("small_cnn", size=32, widths=(4,))[0], tmp_path / "m.safetensors")
    assert told.value.errno == 28 and not list(tmp_path.iterdir())


def test_damaged_checkpoints_are_named(tmp_path: Path) -> None:
    clf, _ = build("small_cnn", size=64)
    file = save(clf, tmp_path / "m.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"m\.safetensors"):
        load(file)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load(tmp_path / "none")
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match="plain weights"):
        load(file)
    for header, words in (
        ("{", "damaged header"),
        ('{"format": 99}', "format 99"),
        (json.dumps({"format": 1, "classifier": clf.meta()}), "do not fit"),
    ):
        save_file({"a": torch.zeros(1)}, file, metadata={"radiolucent": header})
        with pytest.raises(CheckpointError, match=words):
            load(file)
    save(clf, file)
    altered = bytearray(file.read_bytes())
    altered[-1] ^= 1
    file.write_bytes(altered)
    with pytest.raises(CheckpointError, match="checksum"):
        load(file)
    assert load_file(file)


def test_prediction_is_the_same_singly_cached_and_in_batches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = []
    for i in range(5):
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (70, 90), np.uint8)).save(path)
        records.append(Record(path, path.name, i % 2, f"p{i // 2}"))
    clf, _ = build("small_cnn", size=64)
    whole = predict(clf, records)
    singly = np.concatenate([predict(clf, [r]).logits for r in records])
    np.testing.assert_allclose(whole.logits, singly, atol=1e-5)
    from radiolucent.data import build_cache

    cache = build_cache(records, clf.preprocess, tmp_path / "cache")
    np.testing.assert_array_equal(predict(clf, records, pixels=cache.pixels).logits, whole.logits)
    (tmp_path / "2.png").write_bytes(b"oops")
    with pytest.raises(ImageError, match=r"2\.png"):
        predict(clf, records)
    left: list[tuple[Path, str]] = []
    assert len(predict(clf, records, left_out=left)) == 4 and left[0][0].name == "2.png"


def test_the_small_cnn_has_what_it_promises() -> None:
    network = build("small_cnn")[0].network
    kinds = [type(m) for m in network.modules()]
    assert nn.BatchNorm2d in kinds and nn.Dropout in kinds
    dense = [m for m in network.modules() if isinstance(m, nn.Linear)]
    expected = 1e-3 * sum((m.weight**2).sum().item() for m in dense)
    assert network.l2_penalty().item() == pytest.approx(expected, rel=1e-5)


def test_memory_is_kept_only_where_nobody_else_tunes_malloc(monkeypatch: pytest.MonkeyPatch) -> None:
    from radiolucent.models.memory import keep_freed_memory

    plain = keep_freed_memory.__wrapped__
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("asked the C library"))
    for name, value in (("MALLOC_ARENA_MAX", "1"), ("RADIOLUCENT_MALLOC", "0")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert plain() is False


@pytest.mark.parametrize(
    ("name", "options"), [("small_cnn", {"size": 64}), ("mobilenetv1", {"size": 64}), ("densenet121", {"size": 64})]
)
def test_logits_are_shifted_exactly(name: str, options: dict[str, Any]) -> None:
    clf, _ = build(name, pretrained=False, seed=1, **options)
    images = torch.randn(3, clf.preprocess.channels, 64, 64)
    before, by = clf.logits(images), torch.tensor([0.7, -1.3])
    assert shift_logits(clf, by)
    torch.testing.assert_close(clf.logits(images), before + by, atol=1e-4, rtol=1e-4)


def test_a_network_without_a_last_bias_is_left_alone() -> None:
    class Hidden(torch.nn.Module):
        """Its dense layer does not give the logits."""

        def __init__(self) -> None:
            super().__init__()
            self.dense = torch.nn.Linear(32 * 32, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.dense(x.flatten(1)).relu()

    pre = build("small_cnn", size=32)[0].preprocess
    clf = Classifier(Hidden(), ("A", "B"), pre)
    state = {k: v.clone() for k, v in clf.network.state_dict().items()}
    assert not shift_logits(clf, torch.tensor([5.0, -5.0]))
    assert all(torch.equal(v, state[k]) for k, v in clf.network.state_dict().items())
    assert not shift_logits(Classifier(torch.nn.Flatten(), ("A", "B"), pre), torch.zeros(2))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, "null", "[]", '{"format": 1}', "NaN", '{"format": [1]}']
)
def test_checkpoints_with_any_header_are_refused_by_name(tmp_path: Path, text: str) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "m.safetensors", metadata={"radiolucent": text})
    with pytest.raises(CheckpointError, match=r"m\.safetensors"):
        load(tmp_path / "m.safetensors")
    assert not finished(tmp_path / "m.safetensors")


def test_a_damaged_header_asks_for_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksum is held against header and weights first: a width of 10⁹ would ask for all memory there is."""
    file = save(build("small_cnn", size=32, widths=(4, 4), hidden=4)[0], tmp_path / "m.safetensors")
    content = file.read_bytes()
    assert content.count(b'\\"hidden\\": 4') == 1
    file.write_bytes(content.replace(b'\\"hidden\\": 4', b'\\"hidden\\": 9'))
    monkeypatch.setattr("radiolucent.models.checkpoint.make_network", lambda *_: pytest.fail("a network was built"))
    with pytest.raises(CheckpointError, match="checksum differs"):
        load(file)
