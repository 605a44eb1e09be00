"""How many films are explained, and what of it maps depend on."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from radiolucent.errors import ConfigError
from radiolucent.explainers import Explainer
from radiolucent.explainers.footprint import MEMORY_ONLY
from radiolucent.images import reading
from radiolucent.models import Classifier
from radiolucent.types import Annotation

__all__ = ["ManyConfig", "describe", "digest"]


@dataclass(frozen=True)
class ManyConfig:
    """How films are explained.

    Attributes:
        methods: each gives a map a film and target. targets: classes to explain; none: the called one of each film.
        contrast: class that targets are held against ("why PNEUMONIA rather than NORMAL"), or None.
        score: "logit", "probability" or "margin". seed: of everything random.
        panels: also draw a panel (PNG) a film, which takes longer than most maps.
        trust: stamp all films (True), none (False), or a seeded sample of 20 (None; all where there are no more).
        batch_size: films at a time; None: as many as fit into `max_memory_mb`, 32 at most.
        max_memory_mb: what films, feature maps and altered copies may take together, beside the program itself.
    """

    methods: tuple[Explainer, ...]
    targets: tuple[str, ...] = ()
    contrast: str | None = None
    score: Any = "logit"
    seed: int = 0
    panels: bool = True
    trust: bool | None = None
    batch_size: int | None = None
    max_memory_mb: float = 1024.0

    def __post_init__(self) -> None:
        names = [m.name for m in self.methods]
        if not names or len(set(names)) < len(names) or (self.batch_size is not None and self.batch_size < 1):
            raise ConfigError(f"methods {names}, batch_size {self.batch_size}; expected different methods and ≥ 1.")
        if isinstance(self.targets, str) or len(set(self.targets)) < len(self.targets):
            raise ConfigError(f"targets {self.targets!r}; expected a tuple of different class names.")
        if self.contrast is not None and not self.targets:
            raise ConfigError(f"contrast {self.contrast!r} without a target; expected the class to be held against it.")
        if not self.max_memory_mb > 0:
            raise ConfigError(f"max_memory_mb {self.max_memory_mb}; expected a positive number.")

    def settings(self, classifier: Classifier, readings: Sequence[Annotation] = ()) -> dict[str, Any]:
        """What maps and panels depend on, JSON-ready: the network, the methods, what is asked, the readings' content.

        The same in every process, and free of what only bounds memory: neither another bound nor the address of a
        function makes a run another.
        """
        kept = ("contrast", "score", "seed", "panels", "trust")
        return {
            "model": classifier.hash,
            "methods": {m.name: describe(m) for m in self.methods},
            "targets": list(self.targets),
            **{name: getattr(self, name) for name in kept},
            "readings": digest(readings) if readings else None,
            "reading": reading().pixels_key() or None,
        }


def describe(value: Any) -> Any:
    """A parameter in words that are the same in every process.

    Functions go by module and qualified name, arrays by shape and content, methods and other dataclasses by their
    fields, without those that only bound memory.

    >>> from radiolucent.explainers import GradCAM
    >>> describe(GradCAM(layer="blocks.3"))
    "GradCAM(layer='blocks.3')"
    """
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.ascontiguousarray(value if isinstance(value, np.ndarray) else value.detach().cpu().numpy())
        return f"{array.dtype}{list(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.repr and f.name not in MEMORY_ONLY]
        if getattr(value, "reshape", None) is None:  # runs from before there was one are the same runs
            fields = [name for name in fields if name != "reshape"]
        return f"{type(value).__name__}({', '.join(f'{n}={describe(getattr(value, n))}' for n in fields)})"
    if isinstance(value, functools.partial):
        given = {f"#{i}": a for i, a in enumerate(value.args)} | value.keywords
        return f"{describe(value.func)}({', '.join(f'{k}={describe(v)}' for k, v in given.items())})"
    if isinstance(value, tuple | list):
        return f"[{', '.join(describe(v) for v in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {describe(v)}' for k, v in value.items())}}}"
    if callable(value):
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}.{named.__qualname__}"
    return repr(value)


def digest(readings: Sequence[Annotation]) -> str:
    """SHA-256 over what readers said and drew, whatever the order of the readings."""
    return hashlib.sha256(json.dumps(sorted(describe(r) for r in readings)).encode()).hexdigest()
