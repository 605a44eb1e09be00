"""The card of the shipped pneumonia model as a page."""

from typing import Any

__all__ = ["page_of", "shown"]

ROWS = {
    "no_lungs.boxed.inpaint": "lungs' box in-painted (the audit's verdict rests on this)",
    "no_lungs.boxed.mean": "lungs' box filled with the mean",
    "no_lungs.boxed.blur": "lungs' box blurred",
    "no_lungs.boxed.noise": "lungs' box filled with white noise",
    "no_lungs.boxed.soft_noise": "lungs' box filled with soft noise",
    "no_lungs.dilated.inpaint": "lungs and a rim in-painted",
    "no_lungs.dilated.mean": "lungs and a rim filled with the mean",
    "no_lungs.dilated.blur": "lungs and a rim blurred",
    "no_lungs.dilated.noise": "lungs and a rim filled with white noise",
    "no_lungs.dilated.soft_noise": "lungs and a rim filled with soft noise",
    "no_lungs.tight.inpaint": "lungs in-painted",
    "no_lungs.tight.mean": "lungs filled with the mean",
    "no_lungs.tight.blur": "lungs blurred",
    "no_lungs.tight.noise": "lungs filled with white noise",
    "no_lungs.tight.soft_noise": "lungs filled with soft noise",
    "silhouette.tight": "outline of the lungs alone",
    "silhouette.dilated": "outline with a rim alone",
    "silhouette.boxed": "box alone",
    "border_only": "border of the film alone",
    "lungs_only.tight": "lungs alone",
    "lungs_only.dilated": "lungs and a rim alone",
    "lungs_only.boxed": "lungs' box alone",
    "original": "untouched",
}
FIGURES = {"auroc": "AUROC", "sensitivity": "sensitivity", "specificity": "specificity", "ece": "ECE", "brier": "Brier"}

PAGE = """# Card: the pneumonia model that comes with the package

`rl.load("box")`, `radiolucent explain film.jpg`: pneumonia or normal on children's frontal chest films, from the
lungs alone. Version 4: the first five stages of EfficientNet-Lite0, slimmed ({parameters:,} weights with our own last
layers), behind an earlier form of our own lung segmenter (below), both in one file of {megabytes:.1f} MB, made by
`scripts/train_box.py` (seed {seed}). **Research use, not for diagnosis.**

Weights: `models/box.safetensors`, SHA-256 `{sha256}`; the same figures as JSON: `models/box.json`,
`radiolucent.models.box_card()`.

**Weights of others.** {begun_from}. Changed by us: the colours of the stem's weights are summed for grey films, batch
norms are folded into convolutions, a third to two thirds of the maps inside the blocks were taken out and the blocks'
last convolutions fitted anew, the fourth and fifth stage were trained further on the films below, the last two layers
are our own. You may obtain a copy of the licence at
<https://www.apache.org/licenses/LICENSE-2.0>; the weights come as they are, without warranties or conditions of any
kind.

**The segmenter** in this file is the package's before its [last training](lungs.md): weights 613bd1288be8, Dice 0.950
(0.947–0.952) on held-out films of 323 patients, where today's has 0.955 (0.954–0.957). The network was trained with
that one. "Our masks" below are those of today's.

## How it looks

The film is brought to 224 × 224 pixels. Inside the network the segmenter finds the lungs; their box is cut out and
brought to {side} × {side} pixels (no frame, size or aspect ratio is left); the outline is taken in by one of the
segmenter's cells (3.5 pixels), everything beyond is blanked (no marker, text, border, shoulder, and not the lungs'
edge, which tells what lies beside it), and what is left is standardised (no exposure is left). Feature maps count as
far as lung is seen under them: the size of the outline does not. What is not seen has no way to the answer but
through the outline and, a few pixels beside its edge, the texture below; a test holds the network to that. Its last
feature maps are laid back where they lie on the film, so that Grad-CAM and its kin show the film and add up to the
logit.

{cost}

**Where less than {share:.0%} of what is seen has the texture of a lung, nothing is taken for lung**: the features are
zero and the answer is always the same: {without_lung:.0%} pneumonia, which means nothing; `predict` and `explain`
give no call there. Around every fourth pixel along each axis (13 × 13) of a window of {texture} pixels the mean
difference from the 3 × 3 mean must be at least {fine:g}, that of the 3 × 3 from the 9 × 9 mean between {low:g} and
{high:g}, and the first at most {ratio:g} times the second, all in deviations of the film's grey levels (+ 0.05).
These limits were set on 160 films of the calibration patients of the network shipped, untouched, emptied and distorted
as in the audit, before any network was trained; the five folds use the same limits, so that some of those 160 films are
among their held-out ones.
{gated} of the {films:,} films fall below it; in cross-validation they count as answered.

Against the outline and what surrounds the lungs, training moves, stretches and turns the window, takes the outline in
more or less, cuts it to another film's on a third of the films, and adds one emptied film to every seven, labelled by
the toss of a coin: nothing can be learnt from them. Emptied films have their lungs, a rim around them or their box
filled with a smooth continuation or the mean, with noise of three grains, or show another window of the film. The
figures below on mean, continuation and noise therefore say that training and the rule above did what they were meant
to; **not seen in training** were the audit's blur, silhouettes, borders, the audit's own in-painting, and masks drawn
by hand.

**For opacities, and against fine structure alone**, every batch has {pairs} healthy films with an opacity painted
into the lungs (a drawn cloud, or what an ill film of the batch is whiter by), {pairs} ill ones whose lungs are
brought down to what healthy ones of the batch show, and {pairs} shams (another healthy lung's fine structure, a
smooth patch or noise in a cloud). Beside the films' own labels a painted copy must score higher than the film it was
made of, a filled one lower, by up to {apart:g} units of the logit as more or less was changed, and a sham must score
the same. Clouds, doses and widths are drawn at random, and every film is one that this network learns from.
**Training thus aims at what the reasons score measures**, though not with its code, its shapes or its patients: a
high score says that this worked on films of other patients, and less than it would say of a network that was never
asked to. What was not trained for stands beside it below.

## Data

{source}, **{licence}**. {films:,} films of {patients:,} patients ({pneumonia:,} with pneumonia), children of 1 to 5
years, one hospital; copies of 224 × 224 pixels. Patients, and films of the same bytes, stand in one group everywhere.
The official test split was not used.

Recipe: ImageNet's network is slimmed first. Inside each of the ten blocks that widen those maps are kept from which the
rest can best be told: {hidden}
of 96, 144, 144, 240, 240, 480, 480, 480, 672, 672, and the block's last convolution is fitted by least squares, on
{start} batches of films that the network will learn from, with emptied and edited ones; of each fold's network on its
own. Then the stem and {frozen} stages stay as they are; the others learn in {epochs} epochs of AdamW at {rate:g} (times
{head:g} in the new layers) with a cosine, batches of {batch} of which {emptied} emptied, and their edited copies,
weight decay {decay:g}, label smoothing {smoothing:g}, dropout {dropout:g}. An epoch shows every film without pneumonia
and as many with it, of which none comes again before all others have. The hinge of opacities weighs {weight:g}, the
sameness of shams {still:g}. What is kept is the moving average of the weights after the last epoch. The recipe was
chosen by held-out films of the first two of the five folds ([below](#what-each-lever-bought)).

Temperature, bias and threshold come from a tenth of the learning patients; the threshold is the highest with {rule}
there, {threshold:.3f}, of the network shipped on {val:,} films of {val_patients:,} patients; the temperature
{temperature:.2f}.

## How well it does

Five-fold cross-validation by patient, every film held out once; calibration and threshold of each fold from a tenth of
its learning patients. The network shipped is a sixth one, trained on {train:,} films, calibrated on {val:,} and tried
on {test:,} films of other patients; version 3 was tried on the same ones. 95 % intervals, with the patient as the
unit.

| | cross-validation | version 3, cross-validation | folds 3 to 5 alone | version 3, the same | shipped | version 3 |
|---|---|---|---|---|---|---|
| films, patients | {films:,}, {patients:,} | the same | {unseen} | the same | {test:,}, {test_patients:,} | the same |
{cv}

Held-out films of the first two folds were looked at while the recipe was chosen, so that these two are a little too
good; those of the other three were not. {looked} of the films that the network shipped was tried on are among the
former. AUROC of each fold: {by_fold}; of version 3: {by_fold_1}.

## Without the lungs

AUROC of the network shipped on 150 of its held-out films of which only a part is left, by today's segmenter's masks (of
{seen_films} films it trusts its own) and by masks drawn by hand (there are some of {drawn_films}); and of version 3 on
the same films. Near 0.5 is what is wished for, except in the last four rows. In brackets the interval, then the share
of films that got the one answer that is given where there is no lung. Noise of the grain of lungs is not always told
from them: there the answers differ, by chance or nearly so ("soft": a normal blur of 1.5 pixels, deviation 0.08).

| film | our masks | drawn masks | version 3, our masks | version 3, drawn masks |
|---|---|---|---|---|
{parts}

## Its reasons

The audit's reasons score (1: a network that decides by opacities in the lungs alone; above one half passes) on the
same 150 films, one a patient: by today's segmenter's masks and by masks drawn by hand.

| reason | our masks | drawn masks | version 3, our masks | version 3, drawn masks |
|---|---|---|---|---|
{reasons}

**An opacity of another kind.** The lower 30 to 60 % of one lung of healthy films, whitened up to a level line, which
neither training nor the audit draws, by hand-drawn masks where there are some; rise of the log-odds in
standard deviations of the untouched films', and calls of "normal" that turn (each at its own threshold):

| | this one | version 3 |
|---|---|---|
{lobes}

{audit}## What each lever bought

{levers}

## Limits

{limits}
"""

NO_AUDIT = """## Its audit

The rows above are the audit's tests on parts of the film and of reasons. Its other tests (`radiolucent audit box`)
were not run on this version.

"""
AUDIT = """## Its audit

`radiolucent audit box` on {audited} of the same films: **{headline}**

| test | verdict | what was found |
|---|---|---|
{findings}

"""


REASONS = {
    "score": "**reasons score**",
    "paint": "an opacity painted into a normal lung raises the score",
    "remove": "an opacity taken out lowers it",
    "sham": "a sham does nothing",
    "lungs": "other lungs turn the call with their class",
    "outside": "other surroundings keep it",
}
LOBES = {"half": "half dose", "full": "full dose", "turned": "calls turned at full dose"}


def shown(e: Any) -> str:
    """A value with its interval."""
    if e is None or e["value"] is None:
        return "–"
    if e["low"] is None or e["high"] is None:  # the same answer to all
        return f"{e['value']:.3f}"
    return f"{e['value']:.3f} ({e['low']:.3f}–{e['high']:.3f})"


def _share(e: Any) -> str:
    return shown(e) + (f", {e['same_answer']:.0%}" if e and "same_answer" in e else "")


def _table(lines: dict[str, str], columns: list[dict[str, Any]]) -> str:
    return "\n".join(f"| {words} | {' | '.join(shown(c[k]) for c in columns)} |" for k, words in lines.items())


def _worst(rows: dict[str, Any]) -> str:
    """The row without lungs that tells the classes apart best."""
    name = max((n for n in rows if n.startswith("no_lungs")), key=lambda n: rows[n]["value"])
    return f"{shown(rows[name])}, {ROWS[name]}"


def page_of(card: dict[str, Any], levers: str, cost: str) -> str:
    """The page of a card as `box_card.py` makes it.

    Args:
        levers: what each was measured to bring, Markdown with places for figures. cost: of a pass, as measured.
    """
    whole = [
        c[part] for part in ("cross_validation", "cross_validation_unseen", "held_out") for c in (card, card["before"])
    ]
    parts = [c[masks] for c in (card, card["before"]) for masks in ("no_lungs", "no_lungs_drawn")]
    audit = card["audit"]
    reasons = [c["reasons"][masks] for c in (card, card["before"]) for masks in ("seen", "drawn")]
    lobes = [c["reasons"]["lobes"] for c in (card, card["before"])]
    levers = levers.format(
        held=shown(whole[4]["auroc"]), before_unseen=shown(whole[3]["auroc"]), after_unseen=shown(whole[2]["auroc"]),
        before=shown(whole[1]["auroc"]), after=shown(whole[0]["auroc"]), ungated=_worst(card["no_lungs_ungated"]),
        gated_worst=_worst(card["no_lungs"]), reasons=shown(reasons[0]["score"]),
        drawn=shown(reasons[1]["score"]), drawn_before=shown(reasons[3]["score"]),
        specificity_before=shown(whole[1]["specificity"]), specificity=shown(whole[0]["specificity"]),
    )  # fmt: skip
    found = NO_AUDIT if audit is None else AUDIT.format(
        audited=audit["films"], headline=audit["headline"],
        findings="\n".join(
            f"| `{f['test']}` | {f['verdict']} | {f['summary']} |" for f in audit["findings"]
            if f["concerns"] == "model" and f["verdict"] != "not applicable"
        ),
    )  # fmt: skip
    return PAGE.format(
        **card["data"] | card["data"]["split"] | card["limits_of_texture"],
        **card["recipe"] | {"hidden": ", ".join(map(str, card["recipe"]["hidden"]))},
        **{k: card[k] for k in ("sha256", "seed", "parameters", "threshold", "temperature", "rule", "texture")},
        gated=card["gated"], without_lung=card["without_lung"],
        looked=card["held_out_looked_at"],
        unseen=f"{card['unseen_films']:,}, {card['cross_validation_unseen']['auroc']['n']:,}",
        val_patients=card["data"]["calibration_patients"], begun_from=card["begun_from"],
        cost=cost,
        megabytes=card["bytes"] / 1e6,
        cv="\n".join(f"| {words} | {' | '.join(shown(c[k]) for c in whole)} |" for k, words in FIGURES.items()),
        by_fold=", ".join(f"{e['value']:.3f}" for e in card["cross_validation_folds"]),
        by_fold_1=", ".join(f"{e['value']:.3f}" for e in card["before"]["cross_validation_folds"]),
        test_patients=card["held_out"]["auroc"]["n"],
        seen_films=parts[0]["original"]["films"], drawn_films=parts[1]["original"]["films"],
        parts="\n".join(f"| {words} | {' | '.join(_share(p.get(k)) for p in parts)} |" for k, words in ROWS.items()),
        reasons=_table(REASONS, reasons), lobes=_table(LOBES, lobes),
        audit=found, levers=levers, limits="\n".join(f"- {line}" for line in card["limits"]),
    )  # fmt: skip
