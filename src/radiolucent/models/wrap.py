"""Anyone's model as a classifier: a torch module, or any function from arrays to numbers."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radiolucent.bounds import expect
from radiolucent.errors import ConfigError, ModelError
from radiolucent.images import Preprocess
from radiolucent.models.classifier import Classifier
from radiolucent.models.labels_given import Outputs, Thresholds, outputs_of
from radiolucent.models.last_step import LastStep
from radiolucent.models.logits_from import logits_from
from radiolucent.models.opaque import opaque
from radiolucent.models.picked import described_value, picked
from radiolucent.models.positive import positive_class
from radiolucent.models.preserve_state import as_it_was
from radiolucent.models.shares import ARE_PROBABILITIES, refuse_shares
from radiolucent.models.steady import unsteady
from radiolucent.types import Head

__all__ = [
    "BlackBox",
    "Layout",
    "Output",
    "Wrapped",
    "black_box",
    "one_at_a_time",
    "rounded_away",
    "wrap",
    "wrap_function",
]

Function = Callable[[NDArray[np.float32]], Any]
Layout = Literal["NCHW", "NHWC"]
Output = Literal["logits", "probabilities"]

LAST_DIGIT = 15.9
"""A log-odds beyond it is that of a float32 probability next to 0 or 1, or closer: 1 − 2⁻²³ has 15.94."""


class Wrapped(nn.Module):
    """Another library's module, giving plain logits (N, K).

    Args:
        module: takes (N, C, S, S), or (N, S, S, C) with layout "NHWC".
        pick: its logits within what it gives: a name or index; None, and within what is picked: a tensor itself,
            `.logits`, the entry "logits", the first of a tuple, or a mapping's only entry.
        output: "logits", or "probabilities": what the module's last step, a softmax or sigmoid, is given, or where
            that is not seen logits made of the probabilities (see `logits_from`).
        head: how many outputs mean what. keep: those that mean anything; None: all.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        pick: str | int | None = None,
        output: Output = "logits",
        layout: Layout = "NCHW",
        head: Head = "softmax",
        keep: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.module, self.keep = module, keep
        self.singly = False  # a module that takes one image at a time
        self.last: int | None = None  # which call of softmax or sigmoid is the last step, where that is seen
        self.pick, self.output, self.layout = pick, output, layout
        self.head: Head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of inputs (N, C, H, W)."""
        given = x.permute(0, 2, 3, 1) if self.layout == "NHWC" else x
        if self.singly and len(given) > 1:
            return torch.cat([self._kept(one) for one in given.split(1)])
        return self._kept(given)

    def _kept(self, given: torch.Tensor) -> torch.Tensor:
        logits = self._logits(given)
        return logits if self.keep is None else logits[:, list(self.keep)]

    def _logits(self, given: torch.Tensor) -> torch.Tensor:
        if self.output != "probabilities":
            return _rows(self.picked(self.module(given)), len(given))
        if self.last is None:
            return logits_from(_rows(self.picked(self.module(given)), len(given)), self.head)
        with LastStep(_step_of(self.head), self.last) as last:
            logits = last.peeled(self.picked(self.module(given)))
        if logits is None:
            raise ModelError("the module no longer ends in the softmax or sigmoid it ended in; wrap it again.")
        return _rows(logits, len(given))

    def picked(self, out: Any) -> torch.Tensor:
        """The logits, or probabilities, within what the module gives."""
        return picked(out, self.pick)


class BlackBox(nn.Module):
    """A function from arrays to numbers, in the place of a network: it has no weights, layers or gradients.

    Attributes:
        kind: what it is, in words.
    """

    kind = "a wrapped function"

    def __init__(
        self, function: Function, output: Output, layout: Layout, head: Head, keep: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.function, self.keep = function, keep
        self.output: Output = output
        self.layout: Layout = layout
        self.head: Head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of inputs (N, C, S, S)."""
        array = x.detach().cpu().float().permute(0, 2, 3, 1) if self.layout == "NHWC" else x.detach().cpu().float()
        given = np.asarray(self.function(np.ascontiguousarray(array.numpy())))
        if given.ndim not in (1, 2) or len(given) != len(x) or given.dtype.kind not in "fiub":
            raise ModelError(
                f"the function gave {described_value(given)} for {len(x)} images; expected numbers ({len(x)}, K)."
            )
        out = torch.from_numpy(given.astype(np.float64).reshape(len(x), -1))
        if not torch.isfinite(out).all():
            raise ModelError("the function gave not-a-number or infinity; check what it does with the input's range.")
        logits = (logits_from(out, self.head) if self.output == "probabilities" else out).float()
        return logits if self.keep is None else logits[:, list(self.keep)]


def one_at_a_time(network: nn.Module) -> bool:
    """Whether it is, or is one output of, a wrapped module that takes one image at a time."""
    return any(isinstance(m, Wrapped) and m.singly for m in (network, *network.children()))


def black_box(network: nn.Module) -> BlackBox | None:
    """The function that a network is, or of which it is one output."""
    return next((m for m in (network, *network.children()) if isinstance(m, BlackBox)), None)


def rounded_away(network: nn.Module, logits: Sequence[float]) -> bool:
    """Whether logits are made of probabilities of which one is 0 or 1 to the last digit, so that changes are lost."""
    made_of = next((m for m in (network, *network.children()) if isinstance(m, Wrapped | BlackBox)), None)
    if made_of is None or made_of.output != "probabilities" or getattr(made_of, "last", None) is not None:
        return False
    return max(abs(z) for z in logits) > LAST_DIGIT


def wrap(
    module: nn.Module,
    class_names: Sequence[str],
    *,
    preprocess: Preprocess | None = None,
    positive: int | str | None = None,
    head: Head = "softmax",
    threshold: Thresholds = 0.5,
    output: Output = "logits",
    layout: Layout = "NCHW",
    pick: str | int | None = None,
) -> Classifier:
    """A classifier around any torch module: MONAI, torchxrayvision, Hugging Face, Keras 3 on torch, your own.

    The module is shared, not copied, and put into eval mode only while it is asked. One film is passed through to see
    that all fits.

    Args:
        class_names: one a logit; two for a "sigmoid" head. Of a "multilabel" head an empty one is an output that means
            nothing, as torchxrayvision's untrained pathologies, and is cut off.
        preprocess: how films become inputs; its mean and std express any range, e.g. std = 1/255 and mean = 0 for
            inputs in [0, 255], mean = 0.5 and std = 1/2048 for [−1024, 1024].
        positive: name or index of the class that sensitivity speaks of; by the names unless given
            (`positive_class`).
        head: "softmax", "sigmoid" (one logit, two classes) or "multilabel".
        threshold: of the positive class; of a "multilabel" head also one a label, of which not-a-number or None says
            that it is never called.
        output: "probabilities" where the module ends in a softmax or sigmoid: that last step is left out, and where it
            is not seen logits are made of the probabilities (`logits_from`).
        layout: "NHWC" for Keras.
        pick: where its logits are, for a module that gives several things and does not call them `logits`.

    Raises:
        ConfigError: not a module, such as the path of a file; or classes, head and positive index do not fit together.
        ModelError: the module does not take such inputs, gives something else than (N, K), or answers a film otherwise
            in company or a second time.
    """
    _refuse_uncallable(module, "module")
    _refuse_wrong_head(module, head)
    outputs = outputs_of(class_names, head, threshold)
    network = Wrapped(module, pick=pick, output=output, layout=layout, head=head, keep=outputs.keep)
    network.training = bool(getattr(module, "training", False))  # and no other module's mode
    kind = f"{type(module).__module__}.{type(module).__qualname__}"
    made = _made(network, outputs, preprocess, positive, head, {"name": "wrapped", "module": kind})
    with as_it_was(network):
        _fit(made, network)
    return made


def _fit(made: Classifier, network: Wrapped) -> None:
    """Find out how the module wants to be asked, and whether its answers can be explained."""
    try:
        _probe(made)
    except ModelError:
        network.singly = True  # exported for one image
        try:
            _probe(made)
        except (ModelError, ConfigError):
            network.singly = False
            _probe(made)
    if why := unsteady(made):
        raise ModelError(why)
    if network.output == "logits":
        _refuse_probabilities(made)
    else:
        network.last = _last_step(made, _step_of(network.head))


Step = Literal["softmax", "sigmoid"]


def _step_of(head: Head) -> Step:
    return "softmax" if head == "softmax" else "sigmoid"


def _last_step(classifier: Classifier, name: Step) -> int | None:
    """Which call of a function is the module's last step; None where it is none, or cannot be seen."""
    network = classifier.network
    assert isinstance(network, Wrapped)
    if opaque(network.module):
        return None
    seen: list[torch.Tensor | None] = []
    with LastStep(name) as last:
        handle = network.module.register_forward_hook(lambda _, __, out: seen.append(last.peeled(network.picked(out))))
        try:
            classifier.logits(_ramps(classifier)[:1])
        finally:
            handle.remove()
    return last.calls if seen and seen[-1] is not None else None


def _refuse_probabilities(classifier: Classifier) -> None:
    """Notice a softmax or sigmoid at the end of what is said to give logits."""
    logits = classifier.logits(_ramps(classifier))
    refuse_shares(logits)
    if not bool((logits >= 0).all() and (logits <= 1).all()):
        return
    steps: tuple[Step, Step] = ("softmax", "sigmoid")
    within = classifier.multilabel and _calls_sigmoid(classifier)  # something may follow it, as in torchxrayvision
    if within or any(_last_step(classifier, step) is not None for step in steps):
        raise ModelError(ARE_PROBABILITIES)


def _calls_sigmoid(classifier: Classifier) -> bool:
    """Whether the module computes a sigmoid, and all it gives for four images of noise lies in [0, 1] too."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(4, *classifier.preprocess.shape, generator=generator)
    with LastStep("sigmoid") as last:
        logits = classifier.logits(classifier.preprocess.normalise(noise))
    return last.calls > 0 and bool((logits >= 0).all() and (logits <= 1).all())


def _refuse_uncallable(given: Any, what: Literal["module", "function"]) -> None:
    """Refuse a path, a name, or a class that nobody has made an object of, by the call that takes it."""
    if isinstance(given, type):
        raise ConfigError(
            f"the class {given.__qualname__} as {what}; expected an object of it: {given.__qualname__}(…)."
        )
    expected = f"a {what} at hand; rl.own_model takes an ONNX, OpenVINO or torch.export file, and rl.load a run"
    expect(given, Callable, what, expected)  # pyright: ignore[reportArgumentType]


def _refuse_wrong_head(module: nn.Module, head: Head) -> None:
    """Notice a network that says of itself that it tells several labels, and is wrapped as one of classes."""
    says = getattr(getattr(module, "config", None), "problem_type", None) == "multi_label_classification"
    if head != "multilabel" and (says or type(module).__module__.startswith("torchxrayvision.")):
        raise ConfigError(
            f"{type(module).__qualname__} tells several labels, of which a film may have any number: say "
            f'head="multilabel", not {head!r}.'
        )


def wrap_function(
    function: Function,
    class_names: Sequence[str],
    *,
    preprocess: Preprocess | None = None,
    positive: int | str | None = None,
    head: Head = "softmax",
    threshold: Thresholds = 0.5,
    output: Output = "probabilities",
    layout: Layout = "NCHW",
) -> Classifier:
    """A classifier around any function: an ONNX or Keras file, scikit-learn, a service elsewhere.

    Only methods that perturb the image apply to it: LIME, KernelSHAP, RISE, Occlusion, Sobol. It has no weights: its
    `hash` covers what it answers to two fixed images, rounded to 1e-5, in `architecture["probe"]`; "unrepeatable" there
    means that it answered them differently the second time.

    Args:
        function: float32 (N, C, S, S), or (N, S, S, C) with layout "NHWC", to numbers (N, K), or (N,) with a "sigmoid"
            head. Inputs are grey levels in [0, 1], one channel, 224 pixels unless `preprocess` says otherwise.
        output: "probabilities", of which logits are made (`logits_from`), or "logits".
        Others: see `wrap`.

    Raises:
        ConfigError, ModelError: see `wrap`.
    """
    _refuse_uncallable(function, "function")
    outputs = outputs_of(class_names, head, threshold)
    network = BlackBox(function, output, layout, head, outputs.keep).eval()
    name = getattr(function, "__qualname__", type(function).__qualname__)
    made = _made(network, outputs, preprocess, positive, head, {"name": "function", "function": name})
    first, second = _probe(made), _probe(made)
    if output == "logits":
        refuse_shares(first)
    rounded = np.round(first.numpy().astype(np.float64), 5) + 0.0
    probe = (
        hashlib.sha256(rounded.tobytes()).hexdigest() if torch.allclose(first, second, atol=1e-4) else "unrepeatable"
    )
    return made.with_(architecture={**made.architecture, "probe": probe})


def _made(
    network: nn.Module,
    outputs: Outputs,
    preprocess: Preprocess | None,
    positive: int | str | None,
    head: Head,
    architecture: Mapping[str, Any],
) -> Classifier:
    names = outputs.names
    if head == "multilabel" and positive is not None:
        raise ConfigError(f"positive {positive!r} of several labels; each is told with and without: leave it out.")
    if outputs.keep is not None:
        architecture = {**architecture, "outputs": list(outputs.keep)}
    chosen = preprocess or Preprocess(224, "squash", 1, (0.0,), (1.0,))
    index = positive_class(names, positive) if len(names) > 1 and head != "multilabel" else 0
    return Classifier(
        network, names, chosen, index, head, outputs.threshold, architecture=architecture, rules=outputs.rules
    )


def _probe(classifier: Classifier) -> torch.Tensor:
    """Logits of two fixed images, grey ramps across and down."""
    inputs = _ramps(classifier)
    try:
        logits = classifier.logits(inputs)
    except (ModelError, ConfigError):
        raise
    except Exception as error:  # another's code fails in any way
        raise ModelError(
            f"it does not take inputs {tuple(inputs.shape)} ({type(error).__name__}: {str(error)[:200]}); set "
            "preprocess= (size, channels) and layout=, or, where it takes more than one batch of images, wrap a module "
            "of your own whose forward(x) calls it."
        ) from error
    if logits.ndim != 2 or logits.shape[1] != classifier.outputs:
        raise ConfigError(
            f"it gives {tuple(logits.shape)} for 2 films; expected (2, {classifier.outputs}) for the classes "
            f"{', '.join(classifier.class_names)} and head {classifier.head!r}.{_more_of(classifier, inputs)}"
        )
    return logits


def _more_of(classifier: Classifier, inputs: torch.Tensor) -> str:
    """What the module gave, where the numbers come out of something else, and what to do about it."""
    network, seen = classifier.network, list[Any]()
    if not isinstance(network, Wrapped) or opaque(network.module):
        return ""
    handle = network.module.register_forward_hook(lambda _, __, out: seen.append(out))
    try:
        classifier.logits(inputs)
    finally:
        handle.remove()
    given = seen[-1] if seen else None
    if not isinstance(given, torch.Tensor):
        return f" They come out of {described_value(given)}: say which are the logits with pick=."
    if given.ndim > 2 and given[0, 0].numel() > 1:
        return f" The module gives {tuple(given.shape)}, numbers for many places: wrap one that pools them, (N, K)."
    return ""


def _ramps(classifier: Classifier) -> torch.Tensor:
    height, width = classifier.preprocess.shape
    across, down = torch.linspace(0, 1, width), torch.linspace(0, 1, height)
    shape = height, width
    return classifier.preprocess.normalise(torch.stack([across.expand(shape), down[:, None].expand(shape)]))


def _rows(out: torch.Tensor, count: int) -> torch.Tensor:
    """Numbers (N, K) of N images; also of one image alone whose first axis was squeezed away."""
    if out.ndim < 2 and (not out.numel() or out.numel() % count):
        many = "one number" if out.numel() == 1 else f"{out.numel()} numbers"
        raise ModelError(f"the module gives {many} for {count} images; expected ({count}, K).")
    return out.reshape(count, -1) if out.ndim < 2 else out.flatten(1)
