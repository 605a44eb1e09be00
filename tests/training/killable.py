"""Train in children of this process that are killed at random moments, until one of them gets to the end.

Usage: killable.py FOLDER RECIPE SAVE_SECONDS SEED. Writes FOLDER/whole (never killed) and FOLDER/broken; prints the number
of kills.
"""

import os
import random
import signal
import sys
import threading
from pathlib import Path

import torch
from toys import NoisyLoader, ToyLoader, classifier

from radiolucent.training import classic, fit, loop, strong

EPOCHS, COUNT = 4, 44  # 6 steps an epoch


def train(out: Path, recipe: str, kill_after: int | None) -> None:
    """Train; be killed a few milliseconds after so many steps of this process."""
    config = strong(epochs=EPOCHS, batch_size=8, early_stop=None) if recipe == "strong" else classic(epochs=EPOCHS)
    config = config.with_(freeze="stage:1" if recipe == "classic" else "0", batch_size=8)
    loader = (NoisyLoader if recipe == "strong" else ToyLoader)(COUNT)
    taken = 0

    def progress(done: int, total: int) -> None:
        nonlocal taken
        taken += 1
        if taken == kill_after:
            wait = random.random() * 0.02
            threading.Timer(wait, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()

    fit(classifier(), loader, ToyLoader(12, seed=1, shuffle=False), config, out=out, progress=progress)


def in_child(out: Path, recipe: str, kill_after: int | None) -> bool:
    """Whether a child that trains got to the end."""
    child = os.fork()
    if child == 0:
        try:
            train(out, recipe, kill_after)
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
    folder, recipe, seconds, seed = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    random.seed(seed)
    torch.set_num_threads(1)
    loop.SAVE_SECONDS = seconds
    assert in_child(folder / "whole", recipe, None)
    kills, least = 0, (1 if seconds == 0 else 7)
    while not in_child(folder / "broken", recipe, least + random.randrange(6)):
        kills += 1
    print(kills)


if __name__ == "__main__":
    main()
