"""The choice between 32 bits and bf16."""

from collections.abc import Callable

import pytest
import torch

from radiolucent.training import TrainConfig, fit
from radiolucent.training import setup as begin
from radiolucent.training.precision import choose_precision
from support.small_training import ToyLoader, classifier

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="on an accelerator nothing is measured")


def clock(seconds_32: float, seconds_bf16: float) -> Callable[[], float]:
    """A clock by which steps in 32 bits and in bf16, alternating, take these times."""
    now, ticks = 0.0, 0

    def read() -> float:
        nonlocal now, ticks
        turn, ending = divmod(ticks, 2)
        # the first turn's two steps are not timed to their end
        if ticks >= 2:
            turn, ending = divmod(ticks - 2, 2)
        now += (seconds_32 if turn % 2 == 0 else seconds_bf16) if ending else 0.0
        ticks += 1
        return now

    return read


@pytest.mark.parametrize(
    ("seconds", "choice"), [((1.0, 0.5), "bf16"), ((1.0, 0.95), "32"), ((1.0, 2.0), "32")], ids=str
)
def test_bf16_only_where_it_is_clearly_faster(seconds: tuple[float, float], choice: str) -> None:
    start = classifier()
    before = {n: t.clone() for n, t in start.network.state_dict().items()}
    found, why = choose_precision(start.network, ToyLoader(8).images, clock=clock(*seconds))
    assert found == choice and f"{seconds[1] / seconds[0]:.2f} of its time" in why
    assert all(torch.equal(before[n], t) for n, t in start.network.state_dict().items())


def test_chosen_once_and_kept_on_resume(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(begin, "WORTH_MEASURING", 0)
    monkeypatch.setattr(begin, "choose_precision", lambda network, inputs: ("bf16", "measured"))
    config = TrainConfig(epochs=2, batch_size=8, lr=0.01)
    whole = fit(classifier(), ToyLoader(16), ToyLoader(8), config)
    assert "precision bf16: measured" in whole.notes

    def stop(result: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fit(classifier(), ToyLoader(16), ToyLoader(8), config, out=tmp_path, on_epoch=stop)
    monkeypatch.setattr(begin, "choose_precision", lambda network, inputs: pytest.fail("measured again"))
    resumed = fit(classifier(), ToyLoader(16), ToyLoader(8), config, out=tmp_path)
    for name, tensor in whole.classifier.network.state_dict().items():
        assert torch.equal(tensor, resumed.classifier.network.state_dict()[name])
    assert resumed.classifier.provenance["training"]["precision"] == "bf16"


def test_short_trainings_do_not_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(begin, "choose_precision", lambda network, inputs: pytest.fail("measured"))
    fitted = fit(classifier(), ToyLoader(16), ToyLoader(8), TrainConfig(epochs=1, batch_size=8))
    assert any(note.startswith("precision 32: too few steps") for note in fitted.notes)
