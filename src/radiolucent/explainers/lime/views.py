"""What lime's `get_image_and_mask` shows: which superpixels, and the film with them alone or marked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError, ExplainError
from radiolucent.types import Explanation

__all__ = ["LimeView", "lime_view"]


@dataclass(frozen=True, eq=False)
class LimeView:
    """A choice of superpixels, in the model's frame.

    Attributes:
        mask: int8 (H, W): 1 where a shown superpixel speaks for the target, −1 against it, 0 elsewhere.
        image: float32 (H, W): the film; with `hide_rest` grey (0.5) outside the shown superpixels.
        chosen: labels of the shown superpixels, the strongest first.
        weights: their coefficients.
    """

    mask: NDArray[np.int8]
    image: NDArray[np.float32]
    chosen: NDArray[np.intp]
    weights: NDArray[np.float64]


def lime_view(
    explanation: Explanation,
    grey: NDArray[np.float32],
    *,
    positive_only: bool = True,
    negative_only: bool = False,
    hide_rest: bool = False,
    num_features: int = 5,
    min_weight: float = 0.0,
    label: int | None = None,
) -> LimeView:
    """Choose superpixels of a LIME explanation as lime's `get_image_and_mask` does.

    Args:
        explanation: of `LIME`.
        grey: the film in the model's frame, (H, W) in [0, 1] (`Preprocess.resize`).
        positive_only, negative_only: only pieces for, or only against, the target; both False: the strongest of either
            sign.
        hide_rest: the rest of the film in grey (0.5).
        num_features: so many pieces at most. min_weight: and only those with at least this |coefficient|.
        label: another class among the explanation's `top_labels`.

    Raises:
        ConfigError: positive_only together with negative_only. ExplainError: no LIME explanation, or no such label.
    """
    if positive_only and negative_only:
        raise ConfigError("positive_only and negative_only exclude each other; set both to False for either sign.")
    if "segments" not in explanation.details:
        raise ExplainError(f"{explanation.method} has no superpixels; lime_view needs an explanation by LIME.")
    segments = np.asarray(explanation.details["segments"])
    coefficients = _coefficients(explanation, label)
    order = np.argsort(-np.abs(coefficients), kind="stable")
    kept = [i for i in order if abs(coefficients[i]) >= min_weight and coefficients[i] != 0]
    if positive_only:
        kept = [i for i in kept if coefficients[i] > 0]
    if negative_only:
        kept = [i for i in kept if coefficients[i] < 0]
    chosen = np.array(kept[:num_features], np.intp)
    signs = np.zeros(len(coefficients), np.int8)
    signs[chosen] = np.sign(coefficients[chosen]).astype(np.int8)
    mask = signs[segments]
    image = np.where(mask != 0, grey, np.float32(0.5)) if hide_rest else grey.copy()
    return LimeView(mask, image.astype(np.float32), chosen, coefficients[chosen])


def _coefficients(explanation: Explanation, label: int | None) -> NDArray[np.float64]:
    details = explanation.details
    if label is None or label == explanation.target:
        return np.asarray(details["coefficients"])
    labels = list(details["labels"])
    if label not in labels:
        raise ExplainError(f"label {label} is not among the explained ones ({labels}); raise top_labels.")
    return np.asarray(details["coefficients_by_label"])[labels.index(label)]
