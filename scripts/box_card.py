"""The card of the shipped pneumonia model, as JSON beside the weights and as a page, from what `train_box.py` kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from box_data import FOLDS, Films
from radiolucent.audits.trial.masked import MASKED_EDITS
from radiolucent.files import sha256_file, write_json, write_text
from radiolucent.metrics import auroc, brier, ece, sensitivity, specificity
from radiolucent.types import Estimate

__all__ = ["held_figures", "tried_figures", "write_card"]

USE = "research only, not for diagnosis"
SOURCE = (
    "D. Kermany, K. Zhang, M. Goldbaum, Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for "
    "Classification, Mendeley Data, doi 10.17632/rscbjbr9sj"
)
LIMITS = (
    "Children of 1 to 5 years, one hospital, one set of machines; films of another place, of adults, or lateral ones "
    "were not tried.",
    "Trained on copies of 224 × 224 pixels; a film of full size is brought to that first.",
    "It sees what the segmenter takes for lung; lungs that are white all over are outlined by guess. Where nothing has "
    "the texture of a lung it gives one and the same answer, whatever the film.",
    "Opacities behind the diaphragm or the heart's edge that the outline leaves out are not seen.",
    "Shortcuts inside the lungs (tubes, drains, age, sharpness, noise) stay; this audit cannot find them all.",
    "Labels come from the data set; readers of such films agree at kappa 0.4 to 0.7.",
    "The prevalence of pneumonia among its films is 74 %; elsewhere its probabilities need calibrating anew.",
)
ROWS = {
    "no_lungs.boxed.inpaint": "lungs' box in-painted (the audit's verdict rests on this)",
    "no_lungs.boxed.mean": "lungs' box filled with the mean",
    "no_lungs.boxed.blur": "lungs' box blurred (leaves their rough shades)",
    "no_lungs.dilated.inpaint": "lungs and a rim in-painted",
    "no_lungs.dilated.mean": "lungs and a rim filled with the mean",
    "no_lungs.dilated.blur": "lungs and a rim blurred",
    "no_lungs.tight.inpaint": "lungs in-painted",
    "no_lungs.tight.mean": "lungs filled with the mean",
    "no_lungs.tight.blur": "lungs blurred",
    "silhouette.tight": "outline of the lungs alone",
    "silhouette.dilated": "outline with a rim alone",
    "silhouette.boxed": "box alone",
    "border_only": "border of the film alone",
    "lungs_only.tight": "lungs alone",
    "lungs_only.dilated": "lungs and a rim alone",
    "lungs_only.boxed": "lungs' box alone",
    "original": "untouched",
}


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


def tried_figures(audit: dict[str, Any]) -> dict[str, Any]:
    """AUROC on films of which only a part is left, by patient, from an audit's evidence."""
    found: dict[str, Any] = {}
    for finding in audit["findings"]:
        if finding["test"].startswith("regions."):
            found |= {n: e for n, e in finding["evidence"].items() if n in MASKED_EDITS}
        if finding["test"] == "regions.lungs_only":
            found["original"] = finding["control"]
    return found


def _dicts(figures: dict[str, Estimate]) -> dict[str, Any]:
    return {name: e.as_dict() for name, e in figures.items()}


def _shown(e: Any) -> str:
    if e["value"] is None:
        return "–"
    return f"{e['value']:.3f} ({e['low']:.3f}–{e['high']:.3f})"


def _row(words: str, cells: list[Any]) -> str:
    return f"| {words} | {' | '.join(_shown(e) for e in cells)} |"


def write_card(work: Path, films: Films, weights: Path, page: Path, facts: dict[str, Any]) -> str:
    """Write `box.json` beside the weights and the page; return the main figures in a few lines.

    Args:
        facts: seed, recipe, versions, final threshold and temperature: what only the training knows.
    """
    folds, audit = [f"fold-{k}" for k in range(FOLDS)], _read(work / "audit" / "audit.json")
    patients: NDArray[np.int64] = np.unique(films.groups)
    card: dict[str, Any] = {
        "name": "box",
        "what": "pneumonia or normal on children's frontal chest films, from the lungs alone",
        "use": USE,
        "sha256": sha256_file(weights),
        "bytes": weights.stat().st_size,
        "data": {
            "source": SOURCE, "licence": "CC BY 4.0", "films": len(films.labels), "patients": len(patients),
            "pneumonia": int((films.labels == 1).sum()),
            "split": {s: len(films.rows(s)) for s in ("train", "val", "test")},
        },
        "cross_validation": _dicts(held_figures(work, folds, films)),
        "cross_validation_folds": [_dicts(held_figures(work, [f], films))["auroc"] for f in folds],
        "held_out": _dicts(held_figures(work, ["box"], films)),
        "held_out_plain": _dicts(held_figures(work, ["plain"], films)),
        "no_lungs": tried_figures(_read(work / "box" / "audit.json")),
        "no_lungs_plain": tried_figures(_read(work / "plain" / "audit.json")),
        "audit": audit,
        "limits": list(LIMITS),
        **facts,
    }  # fmt: skip
    write_json(weights.with_suffix(".json"), card)
    write_text(page, _page(card))
    return "\n".join(
        [
            f"cross-validated AUROC {_shown(card['cross_validation']['auroc'])}",
            f"held out {_shown(card['held_out']['auroc'])}",
            f"the plain network {_shown(card['held_out_plain']['auroc'])}",
            f"no lungs {_shown(card['no_lungs']['no_lungs.boxed.inpaint'])}",
            f"the plain network {_shown(card['no_lungs_plain']['no_lungs.boxed.inpaint'])}",
        ]
    )


PAGE = """# Card: the pneumonia model that comes with the package

`rl.load("box")`, `radiolucent explain film.jpg`: pneumonia or normal on children's frontal chest films, from the
lungs alone. A residual network of {parameters:,} weights behind our own [lung segmenter](lungs.md), both in one file
of {megabytes:.1f} MB, trained from scratch by `scripts/train_box.py` (seed {seed}); no weights of anyone else.
**Research use, not for diagnosis.**

Weights: `models/box.safetensors`, SHA-256 `{sha256}`; the same figures as JSON: `models/box.json`,
`radiolucent.models.box_card()`.

## How it looks

The film is brought to 224 × 224 pixels. Inside the network the segmenter finds the lungs; their box is cut out and
brought to {side} × {side} pixels (no frame, size or aspect ratio is left), everything but the lungs is blanked (no
marker, text, border, shoulder), and what is left is standardised (no exposure is left). What is not seen has no way
to the answer but through the outline and, beside its edge, the texture below; a test holds the network to that. Its
last feature maps are laid back where they lie on the film, so that Grad-CAM and its kin show the film and add up to
the logit.

Where what is left has less texture than any real film here, nothing is taken for lung: the features are zero and the
answer is always the same. **This was added after a look at the trial below**: without it in-painted lungs, into which
the painting carries the shades around them, gave AUROC 0.333 (0.237–0.429) on 150 of these films, below chance, but
not chance. None of the 5,184 films with lungs found is touched by it.

Against the outline and what surrounds the lungs, training moves, stretches and turns the window, grows and shrinks
the outline, cuts it to another film's on a third of the films, and adds one emptied film (lungs filled in, in their
window or elsewhere) to every five, labelled by the toss of a coin: nothing can be learnt from them. The fills are
those of the audit (mean and in-painting; never blur), so that the figures without lungs below say that this training
did what it was meant to; for films emptied in other ways see the rows on blur, silhouettes and border.

## Data

{source}, **{licence}**. {films:,} films of {patients:,} patients ({pneumonia:,} with pneumonia), children of 1 to 5
years, one hospital; copies of 224 × 224 pixels. Patients, and films of the same bytes, stand in one group everywhere.
The official test split was not used.

Recipe: {recipe}. Epoch, temperature, bias and threshold come from a tenth of the learning patients; the threshold is
Youden's, {threshold:.3f}; the temperature {temperature:.2f}.

## How well it does

Five-fold cross-validation by patient, every film held out once; epoch, calibration and threshold of each fold from a
tenth of its learning patients. The network shipped is a sixth one, trained on {train:,} films, calibrated on {val:,}
and tried on {test:,} films of other patients; beside it on the same films what looking at nothing but the lungs
costs: a plain network, the same one trained with as many steps and the same changes of place and grey, on the whole
film at {side} × {side} pixels. 95 % intervals, with the patient as the unit.

| | cross-validation | shipped | plain |
|---|---|---|---|
| films, patients | {films:,}, {patients:,} | {test:,}, {test_patients:,} | the same |
{cv}

AUROC of each fold: {by_fold}.

## Without the lungs

AUROC of the network shipped and of the plain one on {audited} of those held-out films ({tried_patients} patients),
of which only a part is left. Near 0.5 is what is wished for, except in the last four rows. **Not near it are the
rows where the lungs alone, without a rim, are taken out**: the segmenter's and the audit's outlines differ by a few
pixels, the network sees a cell more than the outline, and what is left of the lungs' edge, or is painted from it,
tells; so do their blurred shades. Some rows lie below 0.5 by more than chance: the answers there are nearly, not
quite, the same for all.

| film | shipped | plain |
|---|---|---|
{parts}

## Its audit

`radiolucent audit box` on the same films: **{headline}**

| test | verdict | what was found |
|---|---|---|
{findings}

## Tried, and not shipped

A second version (2026-11-30; its code, scripts, weights and whole card are in the project's history, commit 92d243a
and after): the first five stages of EfficientNet-Lite0 with ImageNet weights, fine-tuned, on the lungs at 128 × 128
pixels, the outline taken in by one of the segmenter's cells, and one and the same answer where less than 45 % of
what is seen has a lung's texture. Cross-validated on the same films: AUROC 0.989 (0.986–0.991), sensitivity 0.974
(0.968–0.978), specificity 0.892 (0.874–0.908) at a threshold set for sensitivity. With the lungs taken out in
fifteen ways (three outlines; mean, blur, in-painting and two noises) its AUROC lay between 0.42 and 0.58.

It is not shipped because its reasons are worse. On the 150 held-out films above (n = 79 patients)
the reasons score is 0.449 (0.417–0.481) and fails; **the one shipped has 0.648 (0.593–0.703)** and passes:

| reason | shipped | second version |
|---|---|---|
| an opacity painted into a normal lung raises the score | 0.543 (0.443–0.642) | 0.311 (0.236–0.385) |
| an opacity taken out lowers it | 0.702 (0.546–0.857) | 0.058 (0.000–0.134) |
| a sham does nothing | 0.449 (0.353–0.545) | 0.098 (0.027–0.170) |
| other lungs turn the call with their class | 0.723 (0.693–0.754) | 0.851 (0.833–0.869) |
| other surroundings keep it | 0.822 (0.789–0.855) | 0.926 (0.910–0.942) |

It follows fine structure in the lungs: put in from films with pneumonia, that moves its log-odds by 0.66 SD
(0.40–0.92) and turns 33 % of calls. Whether that is pneumonia, or how files of this data set were made smaller,
cannot be told on these copies. It also takes up to twice the time.

## Limits

{limits}
"""


def _page(card: dict[str, Any]) -> str:
    names = {
        "auroc": "AUROC",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "ece": "ECE",
        "brier": "Brier",
    }
    whole = [card[k] for k in ("cross_validation", "held_out", "held_out_plain")]
    parts = [card[k] for k in ("no_lungs", "no_lungs_plain")]
    audit = card["audit"]
    own = [f for f in audit["findings"] if f["concerns"] == "model" and f["verdict"] != "not applicable"]
    return PAGE.format(
        **card["data"] | {k: v for k, v in card["data"]["split"].items()},
        **{k: card[k] for k in ("sha256", "seed", "side", "parameters", "threshold", "temperature", "recipe")},
        megabytes=card["bytes"] / 1e6,
        cv="\n".join(_row(words, [column[k] for column in whole]) for k, words in names.items()),
        by_fold=", ".join(f"{e['value']:.3f}" for e in card["cross_validation_folds"]),
        test_patients=card["held_out"]["auroc"]["n"],
        tried_patients=parts[0]["original"]["n"],
        parts="\n".join(_row(words, [column[k] for column in parts]) for k, words in ROWS.items()),
        audited=audit["films"],
        headline=audit["headline"],
        findings="\n".join(f"| `{f['test']}` | {f['verdict']} | {f['summary']} |" for f in own),
        limits="\n".join(f"- {line}" for line in card["limits"]),
    )
