"""The configuration and the recipes."""

import json
import math

import pytest

from radiolucent.errors import ConfigError
from radiolucent.models import build, freeze, frozen_prefix, keras_layers
from radiolucent.training import TrainConfig, classic, strong


@pytest.mark.parametrize(
    "config", [TrainConfig(), classic(), strong(), strong(model="small_cnn"), TrainConfig(ema=0.5)]
)
def test_there_and_back_through_json(config: TrainConfig) -> None:
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0), ("epochs", 1.5), ("epochs", True), ("batch_size", 0), ("optimizer", "lion"), ("lr", 0.0),
        ("lr", math.nan), ("lr", math.inf), ("lr", "0.1"), ("lr_decay", -1e-4), ("weight_decay", -1),
        ("schedule", "step"), ("warmup_epochs", -1), ("final_lr", 1.5), ("plateau_factor", 1.0),
        ("plateau_patience", 0),
        ("label_smoothing", 1.0), ("class_weights", "inverse"), ("ema", 1.0), ("early_stop", 0), ("precision", "16"),
        ("grad_clip", 0), ("l2", -1), ("cache_prefix", True), ("seed", -1), ("seed", None),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{field} .*expected"):
        TrainConfig(**{field: value})  # type: ignore[arg-type]


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown momentum; known: .*batch_size"):
        TrainConfig.from_dict({"momentum": 0.9})


def test_classic_is_the_recipe_to_the_letter() -> None:
    config = classic()
    assert (config.optimizer, config.lr, config.lr_decay, config.eps) == ("adam", 0.001, 0.0001, 1e-7)
    assert (config.schedule, config.plateau_factor, config.plateau_patience) == ("plateau", 0.1, 10)
    assert (config.class_weights, config.label_smoothing, config.ema, config.early_stop) == ("none", 0.0, None, None)


def test_classic_freezes_34_layers_up_to_the_fifth_depthwise_convolution() -> None:
    network = build("mobilenetv1", pretrained=False)[0].network
    layers = [name for name, _ in keras_layers(network)]
    frozen = set(freeze(network, classic().freeze))
    assert layers[33] == "blocks.2.1.bn1.act"
    expected = ["conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2.0", "blocks.2.1.conv_dw", "blocks.2.1.bn1"]
    assert frozen == {n for n, _ in network.named_parameters() if any(n.startswith(f"{e}.") for e in expected)}
    assert frozen_prefix(network) is not None
