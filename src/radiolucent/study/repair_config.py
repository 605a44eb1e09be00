"""What to repair, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from radiolucent.bounds import Bounds, check_numbers
from radiolucent.errors import ConfigError
from radiolucent.study.remedies import named

__all__ = ["RepairConfig"]

LEAST = 1e-6
"""Smallest penalty: below, nothing changes."""
MOST = 1000.0
"""Largest penalty: a hundred times what is usual, beyond which nothing else is learnt."""
_BOUNDS = {
    "epochs": Bounds(1, whole=True, optional=True),
    "films": Bounds(1, whole=True, optional=True),
    "folds": Bounds(100, whole=True),
    "seed": Bounds(0, whole=True),
}


@dataclass(frozen=True)
class RepairConfig:
    """What to repair, and how.

    Attributes:
        run: a run folder of `study` or `train`, whose recipe and splits are used. data: the films it was made from.
        out: where repaired models go; `run/repair` unless given.
        methods: names in `REMEDIES`, several at once joined with "+"; or "auto" alone, which tries `AUTO` and keeps the
            one that follows the fewest channels of discovery on validation films.
        fine_tune: go on from the run's weights for a quarter of the epochs at a fifth of the learning rate, instead of
            training anew. epochs: instead of either number.
        penalty: λ of "reasons" or "relevance", at most 1000; None: the method's own; "auto": chosen by search on
            validation films.
        lungs, markers: folders of masks; else found by our own networks.
        annotations: doctors' readings; annotation_options: for `read_annotations`. films: at most so many test films
            are audited.
        folds: bootstrap folds. seed: of everything random.
    """

    run: Path
    data: Path
    out: Path | None = None
    methods: tuple[str, ...] = ("crop", "inpaint", "randomise", "reasons")
    fine_tune: bool = False
    epochs: int | None = None
    penalty: float | Literal["auto"] | None = None
    lungs: Path | None = None
    markers: Path | None = None
    annotations: Path | None = None
    films: int | None = None
    folds: int = 2000
    seed: int = 0
    annotation_options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if "auto" in self.methods and len(self.methods) > 1:
            raise ConfigError(f"methods {', '.join(self.methods)}: auto chooses by itself; expected it alone.")
        for name in self.methods:
            if name != "auto":
                named(name)
        check_numbers(self, _BOUNDS)
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ConfigError(f"methods {self.methods}; expected at least one, and none twice.")
        if self.penalty != "auto" and not Bounds(LEAST, MOST, optional=True).take(self.penalty):
            raise ConfigError(
                f"penalty {self.penalty!r}; expected a number above 0 and at most {MOST:g}, or auto; below {LEAST:g} "
                "it would do nothing."
            )
        if self.penalty is not None and not any(r.penalties for m in self.methods if m != "auto" for r in named(m)):
            raise ConfigError(
                f"penalty {self.penalty}, and methods {', '.join(self.methods)} have none; name one that has: "
                "--method reasons or --method relevance."
            )

    @property
    def home(self) -> Path:
        """Where everything is written."""
        return self.out or self.run / "repair"
