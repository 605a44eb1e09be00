"""The card of the shipped pneumonia model, as JSON beside the weights and as a page, from what `train_box.py` kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from box_data import FOLDS, Films
from box_page import page_of, shown
from radiolucent.files import sha256_file, write_json, write_text
from radiolucent.metrics import auroc, brier, ece, sensitivity, specificity
from radiolucent.models import Classifier, load
from radiolucent.types import Estimate

__all__ = ["held_figures", "write_card"]

LOOKED = (0, 1)
"""Folds whose held-out films were looked at while the recipe was chosen."""
USE = "research only, not for diagnosis"
SOURCE = (
    "D. Kermany, K. Zhang, M. Goldbaum, Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for "
    "Classification, Mendeley Data, doi 10.17632/rscbjbr9sj"
)
WEIGHTS = (
    "EfficientNet-Lite0, ImageNet weights of the TensorFlow authors (github.com/tensorflow/tpu, models/official/"
    "efficientnet/lite), Apache License 2.0; its first five stages, slimmed; the fourth and fifth trained further"
)
LIMITS = (
    "Children of 1 to 5 years, one hospital, one set of machines; films of another place, of adults, or lateral ones "
    "were not tried.",
    "Trained on copies of 224 × 224 pixels; a film of full size is brought to that first.",
    "It sees what its segmenter takes for lung, without its outermost pixels; lungs that are white all over are "
    "outlined by guess. Where less than 45 % of that has the texture of a lung it gives one and the same answer, "
    "whatever the film: so it does for films that are strongly blurred or very noisy.",
    "Opacities behind the diaphragm, at the lungs' edge or the heart's, that the narrowed outline leaves out are not "
    "seen.",
    "Shortcuts inside the lungs (tubes, drains, age, sharpness, noise) stay; this audit cannot find them all.",
    "Labels come from the data set; readers of such films agree at kappa 0.4 to 0.7.",
    "The prevalence of pneumonia among its films is 74 %; elsewhere its probabilities need calibrating anew.",
)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


def held_figures(work: Path, names: list[str], films: Films) -> dict[str, Estimate]:
    """AUROC, sensitivity, specificity, ECE and Brier score of held-out films, pooled over folds, by patient."""
    parts = [_read(work / name / "held.json") for name in names]
    rows = np.concatenate([p["rows"] for p in parts]).astype(int)
    logit = np.concatenate([p["logit"] for p in parts])
    called = np.concatenate([p["called"] for p in parts]).astype(bool)
    truth, groups = films.labels[rows] == 1, films.groups[rows]
    chance = 1 / (1 + np.exp(-logit))
    options: Any = {"groups": groups}
    return {
        "auroc": auroc(truth, logit, **options),
        "sensitivity": sensitivity(truth, called, **options),
        "specificity": specificity(truth, called, **options),
        "ece": ece(truth, chance, **options),
        "brier": brier(truth, chance, **options),
    }


def without_lung(classifier: Classifier) -> float:
    """The probability of pneumonia that is given where nothing is taken for lung."""
    logits = classifier.logits(torch.full((1, 1, *classifier.preprocess.shape), 0.5))
    return float(classifier.probabilities(logits)[0, 1])


def not_lung(work: Path, names: list[str]) -> int:
    """How many held-out films got the answer that is given where nothing is taken for lung."""
    count = 0
    for name in names:
        fixed = without_lung(load(work / name / "final.safetensors"))
        count += int(
            np.isclose(_read(work / name / "held.json")["logit"], np.log(fixed / (1 - fixed)), atol=1e-4).sum()
        )
    return count


def _dicts(figures: dict[str, Estimate]) -> dict[str, Any]:
    return {name: e.as_dict() for name, e in figures.items()}


def write_card(
    work: Path, films: Films, weights: Path, page: Path, facts: dict[str, Any], levers: str, cost: str
) -> str:  # fmt: skip
    """Write `box.json` beside the weights and the page; return the main figures in a few lines.

    Args:
        facts: seed, recipe, versions, final threshold and temperature: what only the training knows.
        levers: what each was measured to bring, cost: of a pass, both in Markdown.
    """
    folds = [f"fold-{k}" for k in range(FOLDS)]
    patients: NDArray[np.int64] = np.unique(films.groups)
    audit = work / "audit" / "audit.json"
    card: dict[str, Any] = {
        "name": "box",
        "version": 4,
        "what": "pneumonia or normal on children's frontal chest films, from the lungs alone",
        "use": USE,
        "sha256": sha256_file(weights),
        "bytes": weights.stat().st_size,
        "begun_from": WEIGHTS,
        "data": {
            "source": SOURCE, "licence": "CC BY 4.0", "films": len(films.labels), "patients": len(patients),
            "pneumonia": int((films.labels == 1).sum()),
            "split": {s: len(films.rows(s)) for s in ("train", "val", "test")},
            "calibration_patients": len(np.unique(films.groups[films.rows("val")])),
        },
        "cross_validation": _dicts(held_figures(work, folds, films)),
        "cross_validation_unseen": _dicts(held_figures(work, [f for f in folds if int(f[-1]) not in LOOKED], films)),
        "unseen_films": int((~np.isin(films.folds, LOOKED)).sum()),
        "held_out_looked_at": int(np.isin(films.folds[films.rows("test")], LOOKED).sum()),
        "cross_validation_folds": [_dicts(held_figures(work, [f], films))["auroc"] for f in folds],
        "held_out": _dicts(held_figures(work, ["box"], films)),
        "before": _read(Path(__file__).with_name("box_v3.json")),
        "no_lungs": (rows := _read(work / "rows" / "rows.json"))["seen"],
        "no_lungs_drawn": rows["drawn"],
        "no_lungs_ungated": rows["ungated"],
        "reasons": _read(work / "reasons" / "reasons.json"),
        "gated": not_lung(work, folds),
        "without_lung": without_lung(load(weights)),
        "audit": _read(audit) if audit.is_file() else None,
        "limits": list(LIMITS),
        **facts,
    }  # fmt: skip
    write_json(weights.with_suffix(".json"), card)
    write_text(page, page_of(card, levers, cost))
    return "\n".join(
        [
            f"cross-validated AUROC {shown(card['cross_validation']['auroc'])}",
            f"held out {shown(card['held_out']['auroc'])}",
            f"version 3 {shown(card['before']['held_out']['auroc'])}",
            f"no lungs {shown(card['no_lungs']['no_lungs.boxed.inpaint'])}",
        ]
    )
