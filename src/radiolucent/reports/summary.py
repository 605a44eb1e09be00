"""`summary.json`: every figure as {value, low, high, level, n, method}, under stable keys."""

from typing import Any

from radiolucent.reports.story import Story

__all__ = ["summary"]

SCHEMA = 1


def summary(story: Story) -> dict[str, Any]:
    """The report's figures for programs.

    Keys: `schema`, `title`, `created`, `command`, `seed`, `model`, `class_names`, `positive`; `data.counts`,
    `data.patients`, `data.left_out`; `findings[]`; `threshold`; `performance.<figure>` on the test patients and
    `validation.<figure>` on the validation patients (`auroc`, `average_precision`, `accuracy`, `balanced_accuracy`,
    `sensitivity`, `specificity`, `ppv`, `npv`, `f1`, `mcc`, `brier`, `ece`, `calibration_slope`,
    `calibration_intercept`, and `confusion`, `n`, `patients`, …); `agreement.<method>.<figure>` (`hit_rate`, `area`,
    …); `versions`, `hashes`.
    """
    return {
        "schema": SCHEMA,
        "title": story.title,
        "created": story.created,
        "command": story.command,
        "seed": story.seed,
        "model": story.model,
        "class_names": list(story.class_names),
        "positive": story.positive,
        "data": {
            "counts": {k: dict(v) for k, v in story.counts.items()},
            "patients": dict(story.patients),
            "left_out": [{"file": f, "reason": r} for f, r in story.left_out],
        },
        "findings": [f.as_dict() for f in story.findings],
        "threshold": dict(story.threshold),
        "performance": story.test.as_dict(),
        "validation": story.validation.as_dict(),
        "agreement": {a.method: a.as_dict() for a in story.agreement},
        "versions": dict(story.versions),
        "hashes": dict(story.hashes),
        **dict(story.extra),
    }
