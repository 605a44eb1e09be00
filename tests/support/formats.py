"""Small files in each format's published layout, written from nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["AWAY", "HEIGHT", "WIDTH", "blot", "write", "write_brush"]

HEIGHT, WIDTH = 60, 100  # never square: a swapped pair must show
AWAY = "<!DOCTYPE annotations [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>"


def blot() -> np.ndarray:
    """A mask (H, W) without symmetry: a swapped or mirrored axis must show."""
    made = np.zeros((HEIGHT, WIDTH), bool)
    made[5:9, 70:90] = True
    made[9:20, 70:75] = True
    made[40, 3] = True
    return made


def write(path: Path, content: Any) -> Path:
    """Text as it is; anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def write_brush(mask: np.ndarray, *, runs: bool) -> list[int]:
    """Label Studio's brush stream of a mask: as runs of one value, or as literal blocks."""
    rgba = np.repeat(np.where(mask, 255, 0).ravel()[:, None], 4, 1).ravel()
    bits = [f"{len(rgba):032b}", f"{7:05b}", *(f"{s - 1:04b}" for s in (3, 4, 8, 16))]
    edges = np.flatnonzero(np.diff(rgba)) + 1
    for part in np.split(rgba, edges) if runs else np.array_split(rgba, 97):
        kind = next(k for k, s in enumerate((3, 4, 8, 16)) if len(part) <= 1 << s)
        bits += ["1" if runs else "0", f"{kind:02b}", format(len(part) - 1, f"0{(3, 4, 8, 16)[kind]}b")]
        bits += [f"{v:08b}" for v in (part[:1] if runs else part)]
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]
