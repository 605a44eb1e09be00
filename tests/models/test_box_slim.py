"""Slimming the shipped model's trunk: what is kept, and that the rest is made up for."""

import pytest
import torch

import radiolucent as rl
from box_slim import slimmed, with_norms
from radiolucent.models.lite import HIDDEN, Lite


@pytest.fixture(scope="module")
def windows() -> torch.Tensor:
    rough = torch.nn.functional.interpolate(torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(0)), 64)
    return rough + 0.3 * torch.randn(6, 1, 64, 64, generator=torch.Generator().manual_seed(1))


def answers(trunk: Lite, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return trunk.features(x)


def test_with_all_maps_it_is_the_same_function(windows: torch.Tensor) -> None:
    trunk = Lite(2, width=16, norm=False).eval()
    same = slimmed(trunk, windows, HIDDEN, dropout=0.0)
    assert answers(trunk, windows).std() > 1e-3
    torch.testing.assert_close(answers(same, windows), answers(trunk, windows), atol=1e-5, rtol=1e-3)


def test_maps_that_repeat_others_are_left_out_for_nothing(windows: torch.Tensor) -> None:
    trunk = Lite(2, width=16, norm=False).eval()
    block = trunk.stages[1][0]  # type: ignore[index]
    with torch.no_grad():  # its second half of maps are its first half's again
        for part in (block.widen.conv, block.filter.conv):
            part.weight[48:], part.bias[48:] = part.weight[:48].clone(), part.bias[:48].clone()
    slim = slimmed(trunk, windows, (48, *HIDDEN[1:]), dropout=0.0)
    assert slim.stages[1][0].narrow.conv.in_channels == 48  # type: ignore[index]
    torch.testing.assert_close(answers(slim, windows), answers(trunk, windows), atol=1e-4, rtol=1e-2)


def test_the_fit_beats_dropping_maps(windows: torch.Tensor) -> None:
    trunk = rl.load("box").network.trunk  # as many maps as there are, or fewer
    have = [b.narrow.conv.in_channels for stage in trunk.stages[1:] for b in stage]
    half = [n // 2 for n in have]
    fitted = slimmed(trunk, windows, half, dropout=0.0)
    cut = Lite(2, norm=False, hidden=half).eval()
    kept = {n: t[tuple(slice(0, s) for s in cut.state_dict()[n].shape)] for n, t in trunk.state_dict().items()}
    cut.load_state_dict(kept)
    true = answers(trunk, windows)
    off = [float((answers(t, windows) - true).square().mean()) for t in (fitted, cut)]
    assert off[0] < 0.5 * off[1]


def test_norms_put_back_change_nothing_until_it_learns(windows: torch.Tensor) -> None:
    slim = slimmed(Lite(2, width=16, norm=False).eval(), windows, [n // 2 for n in HIDDEN], dropout=0.0)
    again = with_norms(slim, windows, 3, dropout=0.0)
    norms = [n for n, m in again.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {n.split(".")[1] for n in norms if n.startswith("stages")} == {"3", "4"} and "last.norm" in norms
    with torch.no_grad():
        true, *found = (
            t.stages(t.stem(windows)) for t in (slim, again.eval(), again.train(), again.fused())
        )  # fmt: skip
    assert true.std() > 1e-3
    for one in found:
        torch.testing.assert_close(one, true, atol=1e-4, rtol=1e-3)
