"""Which precision is faster here: known for accelerators, measured on CPUs."""

import copy
import time
from collections.abc import Callable

import torch
from torch import nn

from radiolucent.models import set_train_mode
from radiolucent.training.distributed import world

__all__ = ["choose_precision"]

GAIN = 1.15
"""bf16 must be faster by this factor: it rounds to three digits, and timings are noisy."""


def choose_precision(
    network: nn.Module,
    inputs: torch.Tensor,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[str, str]:
    """("32" or "bf16", why), for training this network on batches like `inputs` (N, C, H, W) on this machine.

    On CUDA, bf16 wherever the device has it. On a CPU, three training steps of a copy are timed each way,
    alternating, and the fastest of each compared.
    """
    if torch.cuda.is_available():
        found = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16", "the device computes in bf16") if found else ("32", "the device has no bf16")
    if world()[1] > 1:
        return "32", "processes on CPUs"
    times = _timed(network, inputs, clock)
    ratio = times["32"] / times["bf16"]
    return ("bf16" if ratio >= GAIN else "32"), f"a step in bf16 takes {1 / ratio:.2f} of its time in 32 bits"


def _timed(network: nn.Module, inputs: torch.Tensor, clock: Callable[[], float]) -> dict[str, float]:
    trial = copy.deepcopy(network)
    set_train_mode(trial)
    best = {"32": float("inf"), "bf16": float("inf")}
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        for turn in range(4):
            for name in best:
                start = clock()
                with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                    out = trial(inputs)
                (out[0] if isinstance(out, tuple) else out).float().square().mean().backward()
                trial.zero_grad(set_to_none=True)
                if turn:  # the first prepares kernels
                    best[name] = min(best[name], clock() - start)
    return best
