"""Train in children of this process that are killed at random moments, until one of them gets to the end.

Usage: killable.py FOLDER. Writes FOLDER/SCENARIO/whole (never killed) and FOLDER/SCENARIO/broken; prints the kills.
"""

import importlib
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from radiolucent.training import classic, fit, loop, strong
from support.small_training import NoisyLoader, ToyLoader, classifier

for module in ("lightning_fabric", "scipy.special", "torch._dynamo"):
    importlib.import_module(module)  # once, and not in every child

COUNT = 36  # 5 steps an epoch
SCENARIOS = {  # recipe, epochs (enough for two kills and more), seconds between states within an epoch
    "strong, a state every step": ("strong", 3, 0.0),
    "strong, a state every epoch": ("strong", 5, 1e9),
    "classic, frozen features kept": ("classic", 3, 0.0),
}


def train(out: Path, recipe: str, epochs: int, kill_after: int | None) -> None:
    """Train; be killed after so many steps of this process, at a random moment of the next step."""
    config = strong(epochs=epochs, batch_size=8, early_stop=None) if recipe == "strong" else classic(epochs=epochs)
    config = config.with_(freeze="stage:1" if recipe == "classic" else "0", batch_size=8)
    loader = (NoisyLoader if recipe == "strong" else ToyLoader)(COUNT)
    taken, before = 0, time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal taken, before
        taken += 1
        step, before = time.monotonic() - before, time.monotonic()
        if taken == kill_after:
            wait = random.random() * min(step, 0.02)
            threading.Timer(wait, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()

    fit(classifier(), loader, ToyLoader(12, seed=1, shuffle=False), config, out=out, progress=progress)


def in_child(out: Path, recipe: str, epochs: int, kill_after: int | None) -> bool:
    """Whether a child that trains got to the end."""
    child = os.fork()
    if child == 0:
        try:
            train(out, recipe, epochs, kill_after)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(7)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise SystemExit(f"training failed in {out}")
    return os.WIFEXITED(status)


def main() -> None:
    """See the module."""
    random.seed(1)
    torch.set_num_threads(1)
    kills = dict.fromkeys(SCENARIOS, 0)
    for name, (recipe, epochs, loop.SAVE_SECONDS) in SCENARIOS.items():
        folder = Path(sys.argv[1]) / name
        assert in_child(folder / "whole", recipe, epochs, None)
        least = 1 if loop.SAVE_SECONDS == 0 else 6
        while not in_child(folder / "broken", recipe, epochs, least + random.randrange(5)):
            kills[name] += 1
    print(json.dumps(kills))


if __name__ == "__main__":
    main()
