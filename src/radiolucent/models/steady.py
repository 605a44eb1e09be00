"""Whether a network answers a film alike alone, in company, and a second time."""

from collections.abc import Hashable

import torch

from radiolucent.errors import RadiolucentError
from radiolucent.models.classifier import Classifier
from radiolucent.models.per_network import remember, remembered, structure_of
from radiolucent.models.settings import settings_of

__all__ = ["probe_films", "unsteady"]

APART = 1e-3
"""Largest difference of a logit, as a share of how far the logits move between films."""


def unsteady(classifier: Classifier) -> str | None:
    """Why no answer of this network is one film's own, and what to do; None where each is. Asked once a network."""
    network, what = classifier.network, ("steady", classifier.preprocess.shape)

    def valid() -> tuple[int, Hashable]:
        return structure_of(network), settings_of(network)

    kept: tuple[str | None] | None = remembered(network, what, valid())
    if kept is None:
        kept = (_found(classifier),)
        remember(network, what, valid(), lambda: kept)  # as it is set once it has been asked
    return kept[0]


def probe_films(classifier: Classifier) -> torch.Tensor:
    """Three inputs that differ in grey levels and contrast: a ramp, bright noise, and dark stripes."""
    height, width = classifier.preprocess.shape
    ramp = torch.linspace(0, 1, width).expand(height, width)
    noise = 0.6 + 0.4 * torch.rand(height, width, generator=torch.Generator().manual_seed(0))
    stripes = 0.2 * ((torch.arange(height) // 4) % 2).float()[:, None].expand(height, width)
    return classifier.preprocess.normalise(torch.stack([ramp, noise, stripes]))


OF_SHAPES = ("shape", "size", "channel", "dimension", "broadcast")
"""Words by which torch tells of inputs that do not fit."""


def _takes_one(classifier: Classifier, films: torch.Tensor) -> bool:
    try:
        classifier.logits(films[:1])
    except Exception:  # another's code
        return False
    return True


def _found(classifier: Classifier) -> str | None:
    films = probe_films(classifier)
    try:
        together = classifier.logits(films)
    except (RadiolucentError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # another's code fails in any way
        said = f"the network does not take films {tuple(films.shape)} ({type(error).__name__}: {str(error)[:200]})"
        if _takes_one(classifier, films):
            return f"{said}: it takes one film at a time, which radiolucent.wrap(network, class_names, …) finds out."
        if any(word in str(error).lower() for word in OF_SHAPES):
            return f"{said}: its preprocessing says another size or other channels than it takes."
        raise
    if len(together) != len(films):
        return (
            f"the network gives {tuple(together.shape)} numbers for {len(films)} films; expected a row a film, (N, K)."
        )
    if not bool(torch.isfinite(together).all()):
        return None  # said where it is explained
    if _differ(classifier, classifier.logits(films), together):
        return (
            "the network answers the same films otherwise the second time: it draws random numbers (dropout that is "
            "always on), or what it was asked before changes it. Turn that off, e.g. F.dropout(x, p, self.training), "
            "or wrap a function that gives the mean of many answers: wrap_function()."
        )
    try:
        alone = torch.cat([classifier.logits(film) for film in films.split(1)])
    except ValueError as error:  # a norm that finds nothing to take a mean of
        return _by_company(f"alone it fails ({str(error)[:80]})")
    return _by_company("alone it gives other logits") if _differ(classifier, alone, together) else None


def _by_company(how: str) -> str:
    return (
        f"the network answers a film otherwise in the company of others: {how}. It takes statistics over the batch "
        "(BatchNorm2d(track_running_stats=False), F.batch_norm(training=True), a train() of its own), or shares "
        "something else among films. Give it running statistics, or wrap a function that asks it one film at a time: "
        "wrap_function()."
    )


def _differ(classifier: Classifier, found: torch.Tensor, expected: torch.Tensor) -> bool:
    rounding = max(1e-5, 4 * torch.finfo(classifier.dtype).eps)
    moves = float((expected.amax(0) - expected.amin(0)).max())
    return float((found - expected).abs().max()) > APART * moves + rounding * float(expected.abs().max())
