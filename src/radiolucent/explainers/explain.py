"""`explain()`: validation, batching and the network's state; the methods are only mathematics."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, TypedDict, Unpack, overload

import torch

from radiolucent.errors import ConfigError, ExplainError, ModelError
from radiolucent.explainers.base import Attribution, Explainer, parameters_of
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.promise import broken
from radiolucent.images import as_films
from radiolucent.models import Classifier
from radiolucent.models.classifier import NOT_FINITE, check_classifier
from radiolucent.models.once import looked_at_each_time, looked_at_once
from radiolucent.models.preserve_state import alone, untouched
from radiolucent.models.steady import unsteady
from radiolucent.models.wrap import one_at_a_time, rounded_away
from radiolucent.passes.forward import Pass
from radiolucent.passes.goal import Goal, ScoreKind, checked_kind
from radiolucent.passes.session import Session
from radiolucent.types import Explanation, Radiograph

__all__ = ["NoMap", "explain"]

_ROUNDED = "all zero: the model's probability is 0 or 1 to its last digit, so that no change is seen; give its logits"
_HALF = "all zero: differences smaller than half precision tells apart may be lost; see whether it is so in float32"

Target = str | int | None
Targets = list[str] | list[int] | tuple[str | int, ...]


class NoMap(NamedTuple):
    """A film of which a method gave no map, and why."""

    image_id: str
    method: str
    reason: str


class _Common(TypedDict, total=False):
    """What every form of `explain` takes beside films, methods and targets."""

    contrast: str | int | None
    score: ScoreKind
    seed: int
    batch_size: int
    session: Session | None


class _Options(_Common, total=False):
    left_out: list[NoMap] | None


class _Listing(_Common):
    left_out: list[NoMap]


One = Explainer | None
Several = Sequence[Explainer]
Films = Sequence[Radiograph]
Maps = list[Explanation]


@overload
def explain(
    classifier: Classifier, images: Radiograph, method: One = ..., *, target: Target = ..., **options: Unpack[_Options]
) -> Explanation: ...
@overload
def explain(
    classifier: Classifier, images: Films, method: One = ..., *, target: Target = ..., **options: Unpack[_Common]
) -> Maps: ...
@overload
def explain(
    classifier: Classifier, images: Films, method: One = ..., *, target: Target = ..., **options: Unpack[_Listing]
) -> list[Explanation | None]: ...
@overload
def explain(
    classifier: Classifier, images: Radiograph, method: Several, *, target: Any = ..., **options: Unpack[_Options]
) -> Maps: ...
@overload
def explain(
    classifier: Classifier, images: Radiograph, method: One = ..., *, target: Targets, **options: Unpack[_Options]
) -> Maps: ...
@overload
def explain(
    classifier: Classifier, images: Films, method: Several, *, target: Any = ..., **options: Unpack[_Options]
) -> list[Maps]: ...
@overload
def explain(
    classifier: Classifier, images: Films, method: One = ..., *, target: Targets, **options: Unpack[_Options]
) -> list[Maps]: ...
def explain(
    classifier: Classifier,
    images: Radiograph | Sequence[Radiograph] | Any,
    method: Explainer | str | Sequence[Explainer | str] | None = None,
    *,
    target: Target | Targets = None,
    contrast: str | int | None = None,
    score: ScoreKind = "logit",
    seed: int = 0,
    batch_size: int = 16,
    session: Session | None = None,
    left_out: list[NoMap] | None = None,
) -> Explanation | list[Explanation] | list[Explanation | None] | list[list[Explanation]]:
    """Explain a classifier's decision on one film, or on each of several, by one method or several.

    The network leaves as it came: mode, gradients, hooks and random state, also when the method fails. Calls from
    several threads wait for each other. An image's map does not depend on what else is in the batch. Methods and
    targets share one forward pass a batch.
    Shortcuts may be taken that change a map by rounding only (`radiolucent.passes.session`); `details["engine"]` and
    `details["passes"]` name them.

    Args:
        images: a film or several: `Radiograph`s, paths, arrays, PIL images, tensors, a data set; see `as_films`.
        method: e.g. `GradCAM()`, "gradcam", `LIME(num_samples=1000)`, or an `Explainer` of your own; or several.
            Grad-CAM unless given.
        target: class name or index; None explains the class each film is called, at the decision
            threshold (`Classifier.called`); a list gives one explanation a class, all from one forward pass. Of a
            multi-label classifier a target has to be given: `Classifier.calls` says which labels a film is called.
        contrast: explain why `target` rather than this class: the difference of their logits.
        score: explain the "logit" (default), the "probability" or the "margin". The probability of a saturated
            classifier hardly moves, and its explanation says little.
        seed: of the method's randomness; the same seed gives the same map.
        batch_size: films a batch.
        session: of the job this call belongs to, if it makes several; `Session(fast=False)` takes no shortcuts.
        left_out: where a list is given, a method that fails on a film is listed there as (image_id, method, reason)
            instead of ending the call, and the film has no map by it: None in its place, or fewer maps in its list.

    Returns one `Explanation` for one film, or a list in the order of `images`. With several methods or targets each
    film has a list: the first method's targets, then the second's. Maps are in the model's frame;
    `radiolucent.images.map_to_source` brings them to source pixels.

    Raises:
        ConfigError: an unknown target or score. ExplainError: the method does not apply or gave something unusable, or
            the network's answer to a film is not finite, or depends on its company or on chance; with `left_out` only
            where no method gave a map of any film.
    """
    check_classifier(classifier)
    if left_out is not None and not isinstance(left_out, list):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"left_out {left_out!r}; expected a list, which failures are added to, or None.")
    films, one = as_films(images)
    single = (method is None or isinstance(method, Explainer | str)) and not isinstance(target, list | tuple)
    methods = _methods(method)
    asked = _Asked(
        [classifier.index_of(t) for t in target]
        if isinstance(target, list | tuple)
        else [None if target is None else classifier.index_of(target)],
        checked_kind(score, contrast),
        None if contrast is None else classifier.index_of(contrast),
        seed,
    )
    asked.check(classifier)
    shared = session or Session()
    shared.films = max(shared.films, len(films))
    try:
        found = _all(classifier, films, methods, asked, shared, batch_size)
    except ExplainError:
        if left_out is None:
            raise
        found = _what_goes(classifier, films, methods, asked, shared, left_out)
    if single:
        return found[0][0] if one else [each[0] if each else None for each in found]
    return found[0] if one else found


def _all(
    classifier: Classifier,
    films: Sequence[Radiograph],
    methods: Sequence[Explainer],
    asked: "_Asked",
    session: Session,
    batch_size: int,
) -> list[list[Explanation]]:
    """Every method's maps of every film."""
    step = 1 if one_at_a_time(classifier.network) or all(m.one_by_one for m in methods) else batch_size
    found: list[list[Explanation]] = []
    with alone(), untouched(classifier.network), looked_at_once():
        if why := unsteady(classifier):
            raise ExplainError(why)
        for start in range(0, len(films), step):
            found += _batch(classifier, films[start : start + step], methods, asked, session)
    return found


def _what_goes(
    classifier: Classifier,
    films: Sequence[Radiograph],
    methods: Sequence[Explainer],
    asked: "_Asked",
    session: Session,
    left_out: list[NoMap],
) -> list[list[Explanation]]:
    """The maps there are, each film and method by itself; the others are listed.

    Raises:
        ExplainError: there is none.
    """
    found: list[list[Explanation]] = [[] for _ in films]
    failed: list[NoMap] = []
    for film, own in zip(films, found, strict=True):
        for method in methods:
            try:
                own += _all(classifier, [film], [method], asked, session, 1)[0]
            except ExplainError as error:
                failed.append(NoMap(film.image_id, method.name, str(error)))
    left_out += failed
    if failed and not any(found):
        raise ExplainError(reasons_of(failed))
    return found


def reasons_of(failed: Sequence[NoMap]) -> str:
    """Why there are no maps, each reason once, with the methods it is of where there are several."""
    by_reason: dict[str, list[str]] = {}
    for one in failed:
        by_reason.setdefault(one.reason, []).append(one.method)
    if len(by_reason) == 1:
        return next(iter(by_reason))
    return " ".join(f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in by_reason.items())


@dataclass(frozen=True)
class _Asked:
    """What `explain` was asked for: class indices (None: the called one), the kind of score, and the seed."""

    targets: Sequence[int | None]
    kind: ScoreKind
    against: int | None
    seed: int

    def check(self, classifier: Classifier) -> None:
        if not self.targets:
            raise ConfigError("an empty list of targets; expected at least one class.")
        if classifier.multilabel:
            self._check_labels(classifier)
        if self.against is not None and (None in self.targets or self.against in self.targets):
            name = classifier.class_names[self.against]
            raise ConfigError(f"contrast {name!r} needs a target, and another class than itself; give target=.")

    def _check_labels(self, classifier: Classifier) -> None:
        names = ", ".join(classifier.class_names)
        if self.kind in ("margin", "contrast"):
            raise ConfigError(
                f"score {self.kind!r} of labels that do not exclude each other ({names}); expected logit or "
                "probability."
            )
        if None in self.targets:
            raise ConfigError(
                f"which of the labels {names} is to be explained? A film may have any number of them: give target=, "
                "or a list for one map each."
            )

    def goals(self, classifier: Classifier, shared: Pass) -> list[Goal]:
        count = len(shared.inputs)
        against = None if self.against is None else torch.full((count,), self.against)

        def chosen(target: int | None) -> torch.Tensor:
            if target is None:
                return classifier.called(shared.logits).cpu()
            return torch.full((count,), target)

        return [Goal(chosen(t), self.kind, classifier, against, session=shared.session) for t in self.targets]


def _methods(method: Explainer | str | Sequence[Explainer | str] | None) -> Sequence[Explainer]:
    if method is None:
        return [GradCAM()]
    if isinstance(method, Explainer | str | type):
        return [_named(method)]
    if not method:
        raise ConfigError("an empty list of methods; expected at least one, e.g. GradCAM().")
    return [_named(m) for m in method]


def _named(method: Explainer | str | type[Any]) -> Explainer:
    if isinstance(method, type):
        raise ConfigError(f"{method.__name__} is a class; give a method with its parameters: {method.__name__}().")
    if not isinstance(method, str):
        return method
    # The table of all methods imports this module, which therefore looks it up only when asked for a name.
    known: Mapping[str, type[Explainer]] = import_module(__package__ or "").METHODS
    plain = re.sub(r"[\s_\-]", "", method).casefold()
    if plain not in known:
        raise ConfigError(f"method {method!r}; expected any of {', '.join(known)}, or an Explainer.")
    return known[plain]()


def _batch(
    classifier: Classifier,
    films: Sequence[Radiograph],
    methods: Sequence[Explainer],
    asked: _Asked,
    session: Session,
) -> list[list[Explanation]]:
    inputs = torch.stack([classifier.preprocess(film) for film in films]).to(classifier.device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    wanted = tuple(dict.fromkeys(layer for m in methods for layer in m.cuts))
    shared = Pass(classifier, inputs, wanted, session=session)
    if None in asked.targets:
        _answered(films, shared.logits)
    goals = asked.goals(classifier, shared)
    found: list[list[Explanation]] = [[] for _ in films]
    for method in methods:
        for goal in goals:
            try:
                given = _attribute(method, shared, goal, asked.seed)
            except ModelError:
                _answered(films, shared.logits)
                raise
            _answered(films, shared.logits)
            maps, scores = _checked(given.maps, inputs, method), goal.of(shared.logits)
            for i, film in enumerate(films):
                detail = given.details[i] if given.details else {}
                made = _wrapped(classifier, film, method, goal, i, maps[i], scores[i], detail, asked.seed)
                logits = tuple(shared.logits[i].tolist())
                if not made.map.any() and (why := _lost(classifier, logits)):
                    made = dataclasses.replace(made, details={**made.details, "broken_promise": why})
                found[i].append(dataclasses.replace(made, logits=logits))
    return found


def _lost(classifier: Classifier, logits: Sequence[float]) -> str | None:
    """Why a map of nothing but zeros may be one of differences that were rounded away."""
    if rounded_away(classifier.network, logits):
        return _ROUNDED
    half = any(p.dtype in (torch.float16, torch.bfloat16) for p in classifier.network.parameters())
    return _HALF if half else None


def _answered(films: Sequence[Radiograph], logits: torch.Tensor) -> None:
    """Refuse logits that are not finite; asked only where a pass has given them, so that it costs none."""
    known = torch.isfinite(logits).all(1).tolist()
    if not all(known):
        bad = f"{films[known.index(False)].image_id}: " if len(films) > 1 else ""
        raise ExplainError(f"{bad}{NOT_FINITE}")


def _attribute(method: Explainer, shared: Pass, goal: Goal, seed: int) -> Attribution:
    ours = type(method).__module__.startswith(f"{__package__}.")

    def ask(over: Pass, wanted: Goal) -> Attribution:
        wanted = dataclasses.replace(wanted, forward=over)
        with nullcontext() if ours else looked_at_each_time():  # another's method may change the network by hand
            result = method.attribute(over.classifier, over.inputs, wanted, torch.Generator().manual_seed(seed))
        return result if isinstance(result, Attribution) else Attribution(result)

    if not method.one_by_one or len(shared.inputs) == 1:
        return ask(shared, goal)
    each = [ask(shared.row(i), goal.rows(slice(i, i + 1))) for i in range(len(shared.inputs))]
    return Attribution(torch.cat([a.maps for a in each]), [d for a in each for d in (a.details or [{}])])


def _wrapped(
    classifier: Classifier,
    film: Radiograph,
    method: Explainer,
    goal: Goal,
    row: int,
    values: torch.Tensor,
    score: torch.Tensor,
    details: Mapping[str, Any],
    seed: int,
) -> Explanation:
    target, failure = int(goal.targets[row]), broken(method.promise(details), values.numpy())
    return Explanation(
        map=values.numpy(),
        image_id=film.image_id,
        target=target,
        target_name=classifier.class_names[target],
        score=float(score),
        score_kind=goal.kind,
        method=method.name,
        title=method.title,
        signed=method.signed,
        parameters=parameters_of(method),
        seed=seed,
        model_hash=classifier.hash,
        geometry=classifier.preprocess.geometry_of(film),
        details=details if failure is None else {**details, "broken_promise": failure},
        contrast=None if goal.against is None else classifier.class_names[int(goal.against[row])],
    )


def _checked(maps: torch.Tensor, inputs: torch.Tensor, method: Explainer) -> torch.Tensor:
    expected = (inputs.shape[0], *inputs.shape[2:])
    if tuple(maps.shape) != expected:
        raise ExplainError(f"{method.name} gave maps of shape {tuple(maps.shape)}; expected {expected}.")
    if not torch.isfinite(maps).all():
        raise ExplainError(f"{method.name} gave a map with not-a-number or infinity; check the network's weights.")
    return maps.detach().float().cpu()
