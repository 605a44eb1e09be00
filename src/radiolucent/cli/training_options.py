"""Options of the commands that train, in one place."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from radiolucent.cli.output import Data, Out, Seed

__all__ = ["Classes", "LabelNames", "NotGiven", "Test", "Uncertain", "Val", "trains"]

Model = Annotated[
    str,
    typer.Option(
        help="mobilenetv1, inception_v3, densenet121, small_cnn, any timm name, or package.module:factory: a function "
        "of yours without arguments that gives a torch module."
    ),
]
RecipeName = Annotated[str, typer.Option(help="strong, or classic (MobileNet, 34 of 92 layers frozen, Adam 0.001).")]
Epochs = Annotated[int | None, typer.Option(help="Epochs, instead of the recipe's.", min=1, max=1_000_000)]
Batch = Annotated[int | None, typer.Option(help="Films a step, instead of the recipe's.", min=1, max=1_000_000)]
Freeze = Annotated[str | None, typer.Option(help="Layers that do not learn: 0, 0.37, '34 layers', 'stage:2', all.")]
Rate = Annotated[float | None, typer.Option(help="Learning rate, instead of the recipe's.", min=0, max=10)]
Flip = Annotated[bool, typer.Option(help="Also mirror films (hides laterality).")]
Pretrained = Annotated[bool, typer.Option("--pretrained/--no-pretrained", help="Start from ImageNet weights.")]
Weights = Annotated[Path | None, typer.Option(help="Weight file instead of the hub; partial files are fine.")]
Classes = Annotated[
    str | None,
    typer.Option(
        help="How many; or the manifest's column; or joined, as in NORMAL=normal+healthy,ILL=edema+mass; 3 also tells "
        "bacterial from viral by Kermany file names. As in the folders or the label column unless given."
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(
        help="Class that sensitivity and the threshold speak of; by the names (normal, pneumonia, …) unless given."
    ),
]
Size = Annotated[int | None, typer.Option(help="Side of the model's input in pixels.", min=16, max=4096)]
Fit = Annotated[str, typer.Option(help="How films are made square: squash, pad or crop.")]
Val = Annotated[
    float | None,
    typer.Option(
        help="Share cut off for validation where that split is missing or too small; a tenth unless given.",
        min=0,
        max=1,
    ),
]
Test = Annotated[
    float | None,
    typer.Option(help="Share cut off for testing where that split is missing; a tenth unless given.", min=0, max=1),
]
Rule = Annotated[
    str,
    typer.Option(
        help="youden, 'sensitivity>=0.97', 'sensitivity-lower>=0.9' (its whole interval), the same of specificity, or "
        "'cost:fn=5,fp=1'."
    ),
]
Head = Annotated[
    str, typer.Option(help="softmax, or sigmoid (a single logit); films with several labels have a sigmoid a label.")
]
LabelNames = Annotated[
    str | None,
    typer.Option(
        help="Films with several labels: the manifest's columns of 1, 0, -1 (uncertain) and empty cells, or names in a "
        "column such as 'Effusion|Mass', with commas. As found in the manifest unless given."
    ),
]
Uncertain = Annotated[str, typer.Option(help="Labels that are -1: mask (no part of loss and figures), ones or zeros.")]
NotGiven = Annotated[str, typer.Option(help="Labels that are empty: mask (no part of loss and figures) or zeros.")]
LogTo = Annotated[str, typer.Option(help="Also log to tensorboard, mlflow or wandb; several with commas.")]


def options(
    data: Data,
    out: Out,
    model: Model = "mobilenetv1",
    recipe: RecipeName = "strong",
    epochs: Epochs = None,
    batch_size: Batch = None,
    freeze: Freeze = None,
    lr: Rate = None,
    flip: Flip = False,
    pretrained: Pretrained = True,
    weights: Weights = None,
    head: Head = "softmax",
    classes: Classes = None,
    labels: LabelNames = None,
    uncertain: Uncertain = "mask",
    not_given: NotGiven = "mask",
    positive: Positive = None,
    size: Size = None,
    fit: Fit = "squash",
    val: Val = None,
    test: Test = None,
    threshold_rule: Rule = "youden",
    seed: Seed = 0,
    log_to: LogTo = "",
) -> None:
    """The fields of `StudyConfig` that decide a training."""


def trains(out: Path) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command every training option before its own, which must be keyword-only.

    The command is called with the training options' values by name, in one mapping, and with its own.

    Args:
        out: the folder it writes to unless told.
    """
    shared = dict(inspect.signature(options).parameters)
    shared["out"] = shared["out"].replace(default=out)

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command).parameters.values() if p.kind is p.KEYWORD_ONLY]

        @functools.wraps(command)
        def call(**given: Any) -> None:
            training = {name: given.pop(name) for name in shared}
            command(training, **given)

        every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*shared.values(), *own)]
        call.__signature__ = inspect.Signature(every)  # pyright: ignore[reportAttributeAccessIssue]
        call.__annotations__ = {p.name: p.annotation for p in every}
        return call

    return wrap
