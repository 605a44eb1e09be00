"""Train; send this process a signal in the middle of an epoch; see that the state is saved, and go on from it.

Usage: stoppable.py FOLDER. Prints what happened at each signal as JSON.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from radiolucent.training import TrainConfig, fit
from radiolucent.training.state import StateFolder
from support.small_training import NoisyLoader, ToyLoader, classifier

CONFIG = TrainConfig(epochs=3, batch_size=8, lr=0.01, ema=0.9, precision="32")


def loaders() -> tuple[ToyLoader, ToyLoader]:
    """The same batches every time."""
    return NoisyLoader(28), ToyLoader(12, seed=1, shuffle=False)


def stopped(folder: Path, number: signal.Signals) -> dict[str, object]:
    """What happened at this signal."""

    def interrupt(done: int, total: int) -> None:
        if done == 6:  # second step of the second epoch
            os.kill(os.getpid(), number)

    before, raised = signal.getsignal(number), "nothing"
    try:
        fit(classifier(), *loaders(), CONFIG, out=folder, progress=interrupt)
    except SystemExit as stop:
        raised = f"SystemExit({stop.code})"
    except KeyboardInterrupt:
        raised = "KeyboardInterrupt"
    state = StateFolder(folder / "state").load()
    whole, resumed = fit(classifier(), *loaders(), CONFIG), fit(classifier(), *loaders(), CONFIG, out=folder)
    one, other = (f.classifier.network.state_dict() for f in (whole, resumed))
    return {
        "raised": raised,
        "handler_back": signal.getsignal(number) is before,
        "at": [state.meta["epoch"], state.meta["step"]] if state else None,
        "resumed": "resumed in epoch 2 after step 2" in resumed.notes,
        "same_weights": one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items()),
    }


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    print(json.dumps({n.name: stopped(folder / n.name, n) for n in (signal.SIGTERM, signal.SIGINT)}))


if __name__ == "__main__":
    main()
