"""The quicker steps give what the plain ones give."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from radiolucent.models import freeze, set_train_mode
from radiolucent.training.fused_ops import quickened


def network(name: str = "mobilenetv1_100", **arguments: object) -> nn.Module:
    torch.manual_seed(0)
    made = timm.create_model(name, num_classes=3, **arguments)
    return made.to(memory_format=torch.channels_last).train()  # type: ignore[no-any-return]


def gradients(model: nn.Module, *, quick: bool) -> dict[str, torch.Tensor]:
    inputs = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 1])
    with quickened(model, active=quick):
        F.cross_entropy(model(inputs.to(memory_format=torch.channels_last)), labels).backward()
    assert not any("forward" in vars(module) for module in model.modules())
    found = {f"grad.{n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    return found | {n: t.clone() for n, t in model.named_buffers()}


@pytest.mark.parametrize(
    ("name", "arguments", "frozen"),
    [
        ("mobilenetv1_100", {"pad_type": "same", "bn_eps": 1e-3}, "0"),
        ("mobilenetv1_100", {}, "34 layers"),
        ("densenet121", {"growth_rate": 8, "block_config": (2, 2)}, "0"),
        ("resnet18", {}, "0"),
    ],
)
def test_same_gradients_and_statistics(name: str, arguments: dict[str, object], frozen: str) -> None:
    found = []
    for quick in (False, True):
        model = network(name, **arguments).double()
        freeze(model, frozen)
        set_train_mode(model)
        found.append(gradients(model.float(), quick=quick))
    plain, quicker = found
    assert plain.keys() == quicker.keys()
    for key, value in plain.items():
        torch.testing.assert_close(quicker[key], value, rtol=2e-3, atol=2e-5, msg=lambda m, k=key: f"{k}: {m}")


def test_it_does_replace_steps() -> None:
    model = network()
    with quickened(model):
        replaced = {type(m).__name__ for m in model.modules() if "forward" in vars(m)}
    assert replaced == {"BatchNormAct2d", "Conv2d"}


def test_evaluation_is_untouched_bit_for_bit() -> None:
    model = network().eval()
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        plain = model(inputs)
        with quickened(model):
            assert torch.equal(model(inputs), plain)


def test_put_back_after_an_error() -> None:
    model = network()
    with pytest.raises(ValueError, match="stop"), quickened(model):
        raise ValueError("stop")
    assert not any("forward" in vars(module) for module in model.modules())
