"""Which films a report shows: by rule, not by hand."""

import numpy as np

from radiolucent.types import Predictions

__all__ = ["choose_cases", "worst"]


def worst(p: Predictions, count: int) -> tuple[list[int], list[int]]:
    """(missed, false alarms): positions of the most confident mistakes of both kinds, the worst first."""
    order = np.argsort(p.margins)
    missed = [int(i) for i in order if p.truth[i] and not p.called[i]]
    alarms = [int(i) for i in order[::-1] if not p.truth[i] and p.called[i]]
    return missed[:count], alarms[:count]


def choose_cases(p: Predictions, count: int, *, preferred: set[str] | None = None) -> list[int]:
    """Positions of `count` films: up to a third mistakes of either kind, the rest right calls of both classes, spread
    evenly over their confidence. Films in `preferred` (those with readings) come first among right calls."""
    if count <= 0:
        return []
    missed, alarms = worst(p, max(1, count // 6))
    chosen = missed + alarms
    rest = max(0, count - len(chosen))
    for truth, share in ((True, rest - rest // 2), (False, rest // 2)):
        right = [int(i) for i in np.argsort(p.margins) if p.truth[i] == truth and p.called[i] == truth]
        liked = [i for i in right if preferred and p.image_ids[i] in preferred]
        pool = liked if len(liked) >= share else right
        if pool and share:
            chosen += [pool[k] for k in np.unique(np.linspace(0, len(pool) - 1, share).round().astype(int))]
    return chosen[:count]
