"""`summary.json`: every figure as {value, low, high, level, n, method}, under stable keys."""

from typing import Any

from radiolucent.reports.report_data import Story

__all__ = ["SCHEMA", "summary"]

SCHEMA = 1


def summary(story: Story) -> dict[str, Any]:
    """The report's figures for programs; each figure is `{value, low, high, level, n, method}` (and `note`, if any).

    | key | what |
    |---|---|
    | `schema`, `title`, `created`, `command`, `seed`, `model`, `class_names`, `positive` | of the study |
    | `data.counts.<split>.<class>`, `data.patients.<split>`, `data.left_out[]`, `data.split` | films, patients, `{file, reason}`, how the films were split |
    | `findings[]` | checks of the data: test, question, verdict, summary, estimate, threshold, evidence, … |
    | `threshold` | value, rule, n, and the sensitivity and specificity it had on validation |
    | `performance.<figure>` | on the test patients: auroc, average_precision, accuracy, balanced_accuracy, sensitivity, specificity, ppv, npv, f1, mcc, brier, ece, calibration_slope, calibration_intercept, calibration_in_the_large |
    | `performance.n`, `.patients`, `.patients_with`, `.patients_without`, `.prevalence`, `.confusion`, `.matrix`, `.auroc_delong`, `.wilson.<figure>` | the rest of the evaluation |
    | `validation.…` | the same on the patients choices were made on |
    | `agreement.<method>.<figure>` | against the readers' consensus: hit_rate, area, hit_minus_area, … (`audits.FIGURES`) |
    | `agreement.<method>.strata.<kind>.<group>.<figure>` | main figures by decision, class, etiology, site, size of the marking |
    | `doctors.calls.<reader>.<figure>` | each reader beside the model: films, both_right, model_right, reader_right, sensitivity, … |
    | `doctors.readings` | films read by anybody, `read_by_all`, `missing`, and by reader `read` and `missing` |
    | `doctors.between.<coefficient>` | agreement of readers with each other on the diagnosis: krippendorff_alpha, fleiss_kappa, `cohen_kappa A – B`; with ` finding` at the end, on whether there is any |
    | `doctors.statements.<figure>`, `doctors.readers_minus_model` | words against places; readers' mean AUROC less the model's |
    | `agreement.<method>.films`, `.clear_of_floor`, `.not_applicable.<reason>` | films compared, verdict, films that could not be |
    | `agreement.<method>.readers.<reader>.<figure>` | against the union or a single reader |
    | `trust.<method>` | the cases' maps: films, verdicts, reasons, randomisation |
    | `methods_left_out[]` | `{method, reason}` of maps there are none of |
    | `versions.<package>`, `hashes.<what>` | software, SHA-256 |

    Further entries (`config`, `history`, …) come from the study.
    """  # noqa: E501
    return {
        **dict(story.extra),
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
            "split": dict(story.data).get("split"),
        },
        "findings": [f.as_dict() for f in story.findings],
        "threshold": dict(story.threshold),
        "performance": story.test.as_dict(),
        "validation": story.validation.as_dict(),
        "agreement": _agreement(story),
        "doctors": story.doctors.as_dict() if story.doctors else None,
        "trust": dict(story.trust),
        "methods_left_out": [{"method": m, "reason": why} for m, why in story.methods_left_out],
        "versions": dict(story.versions),
        "hashes": dict(story.hashes),
    }


def _agreement(story: Story) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for leading in story.leading:
        others = [a for a in story.agreement if a.method == leading.method and a.reader != leading.reader]
        found[leading.method] = {**leading.as_dict(), "readers": {a.reader: a.as_dict() for a in others}}
    return found
