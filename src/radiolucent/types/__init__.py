"""The frozen values that pass between rooms.

Frames. *Source* pixels are those of the file after its declared orientation; *model* pixels are those of the
network's input. Coordinates are continuous, x to the right and y down, and pixel (row r, column c) covers
[c, c + 1) × [r, r + 1), so a pixel's centre is at (c + 0.5, r + 0.5) (COCO's convention).

`Classifier`, the remaining value of the data flow, stands in `radiolucent.models.classifier`: it holds a network.
"""

from radiolucent.types.estimate import Concern, Estimate, Finding, Verdict, with_minus
from radiolucent.types.names import plain_label
from radiolucent.types.predicted import (
    NO_CALL,
    NO_LUNG,
    Explanation,
    Head,
    LabelRule,
    Predictions,
    absent,
    label_position,
    rules_for,
    supported,
)
from radiolucent.types.radiograph import Annotation, Geometry, Radiograph, Region

__all__ = [
    "NO_CALL",
    "NO_LUNG",
    "Annotation",
    "Concern",
    "Estimate",
    "Explanation",
    "Finding",
    "Geometry",
    "Head",
    "LabelRule",
    "Predictions",
    "Radiograph",
    "Region",
    "Verdict",
    "absent",
    "label_position",
    "plain_label",
    "rules_for",
    "supported",
    "with_minus",
]
