"""Train the shipped pneumonia model, cross-validate and audit it, and write its card.

    python scripts/train_box.py --data ../shared/data [--work runs/box] [--seed 0] [--threads 2]

Needs the children's films of Kermany et al. (CC BY 4.0) as `DATA/chest_xray/`. Each part (five folds, the final
network, a plain one for comparison, their trials) is kept in WORK: an interrupted run goes on, inside an epoch too, and
the same seed, threads and versions give the same weights. `--only` names parts, e.g. `fold-0`.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.model_selection import StratifiedGroupKFold

from box_card import SOURCE, write_card
from box_data import FOLDS, Films, LungLoader, films_of, folds_of
from radiolucent.audits.trial.examine import examine
from radiolucent.audits.trial.maskers import maskers
from radiolucent.data import Augment, Dataset, Loader, PixelCache, build_cache
from radiolucent.files import write_json
from radiolucent.metrics import calibrate_logits, choose_threshold
from radiolucent.models import Classifier, box_path, build, load, predict, save, shift_logits
from radiolucent.reports.audit_page import audit_summary, write_audit
from radiolucent.study.trained import versions
from radiolucent.training import TrainConfig, fit
from radiolucent.types import Predictions

SIDE, MARGIN, WIDTHS = 80, 0.04, (16, 32, 64, 128)
RECIPE = TrainConfig(
    epochs=8, batch_size=48, lr=3e-3, weight_decay=0.05, warmup_epochs=0.5, label_smoothing=0.05,
    ema=0.99, grad_clip=5.0, precision="32",
)  # fmt: skip
LEAST = 0.03
"""Texture below which nothing is taken for lung; the least of a real film is 0.036."""
PLAIN_EPOCHS = 4
"""Of the plain network, whose epochs have twice the steps: its loader repeats the rarer class instead."""
PLAIN = Augment(rotate=7, scale=0.08, aspect=0.06, translate=0.04, brightness=0.0, contrast=0.0, gamma=0.35, blur=0.35)
PARTS = ("box", "plain", *(f"fold-{k}" for k in range(FOLDS)), "audit")
TRIED, MAPPED = 150, 40
"""Held-out films that the final and the plain network are tried on; of them, films whose maps are looked at."""
RULE = "youden"

say = Console(stderr=True)
Say = Callable[[str, int, int], None]


def trunk(side: int, seed: int) -> Classifier:
    """The small residual network, untrained."""
    found, _ = build("small_resnet", pretrained=False, size=side, widths=WIDTHS, seed=seed)
    return found


def in_lungs(learnt: Classifier) -> Classifier:
    """The whole network: finder, window and the trained trunk."""
    whole, _ = build("in_lungs", pretrained=False, side=SIDE, margin=MARGIN, widths=WIDTHS, least=LEAST)
    network: Any = whole.network
    network.trunk.load_state_dict(learnt.network.state_dict())
    return whole.with_(provenance=learnt.provenance)


def inner(films: Films, rows: NDArray[np.intp], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Learning and validation films among `rows`, by patient: a tenth for epoch, calibration and threshold."""
    parts = StratifiedGroupKFold(10, shuffle=True, random_state=seed)
    learn, check = next(iter(parts.split(rows, films.labels[rows], films.groups[rows])))
    return rows[learn], rows[check]


def settled(classifier: Classifier, raw: Predictions) -> Classifier:
    """With temperature, bias and threshold from validation predictions."""
    found = calibrate_logits(raw.logits, raw.labels)
    if not shift_logits(classifier, torch.from_numpy(found.bias).float()):
        found = calibrate_logits(raw.logits, raw.labels, bias=False)
    given = {"temperature": found.temperature, "calibrated_on": found.films}
    warm = dataclasses.replace(raw, logits=raw.logits + found.bias.astype(np.float32), **given)
    threshold = choose_threshold(warm.truth, warm.scores, RULE, groups=warm.patient_ids)
    return classifier.with_(threshold=threshold.value, **given)


def predicted(classifier: Classifier, cache: PixelCache, rows: NDArray[np.intp]) -> Predictions:
    """What a network on whole films says of some of them."""
    return predict(classifier, [cache.records[i] for i in rows], pixels=np.asarray(cache.pixels[rows]))


def learnt(
    films: Films, cache: PixelCache, learn: NDArray[np.intp], check: NDArray[np.intp], out: Path, *, plain: bool,
    seed: int, tell: Say,
) -> Classifier:  # fmt: skip
    """A trained, calibrated classifier on whole films; goes on from `out`."""
    if (out / "final.safetensors").is_file():
        return load(out / "final.safetensors")
    if plain:
        common: dict[str, Any] = {"seed": seed, "batch_size": LungLoader.FULL, "prefetch": False}
        train: Any = Loader(cache, learn.tolist(), shuffle=True, balance=True, augment=PLAIN, drop_last=True, **common)
        val: Any = Loader(cache, check.tolist(), **common)
    else:
        given: dict[str, Any] = {"side": SIDE, "margin": MARGIN, "seed": seed}
        train = LungLoader(films, learn, learn=True, **given)
        val = LungLoader(films, check, learn=False, **given)
    start = trunk(SIDE, seed)
    start = start if plain else start.with_(preprocess=dataclasses.replace(start.preprocess, mean=(0.0,), std=(1.0,)))
    recipe = RECIPE.with_(seed=seed, epochs=PLAIN_EPOCHS if plain else RECIPE.epochs)
    fitted = fit(
        start, train, val, recipe, out=out, progress=lambda d, t: tell(out.name, d, t),
        on_epoch=lambda r: say.print(
            f"{out.name} epoch {r.epoch}: loss {r.train_loss:.4f}, validation {r.val_loss:.4f}, AUROC "
            f"{r.val_auroc or 0:.4f} ({r.images_per_second:.0f} a second)"
        ),
    )  # fmt: skip
    whole = fitted.classifier if plain else in_lungs(fitted.classifier)
    done = settled(whole, predicted(whole, cache, check))
    save(done, out / "final.safetensors")
    return done


def answers(classifier: Classifier, cache: PixelCache, rows: NDArray[np.intp], out: Path) -> None:
    """Held-out predictions, kept as a table of numbers."""
    found = predicted(classifier, cache, rows)
    logit = np.log(np.clip(found.scores, 1e-12, 1)) - np.log(np.clip(1 - found.scores, 1e-12, 1))
    write_json(
        out / "held.json",
        {"rows": rows.tolist(), "logit": logit.tolist(), "called": found.called.astype(int).tolist(),
         "threshold": classifier.threshold, "temperature": classifier.temperature},
    )  # fmt: skip


def trial(part: str, films: Films, work: Path, *, seed: int, tell: Say) -> None:
    """Some held-out films on trial: of "box" and "plain" their parts, under "audit" the final network in full."""
    name = "plain" if part == "plain" else "box"
    some = np.sort(np.random.default_rng([seed, 17]).permutation(films.rows("test"))[:TRIED])
    records = tuple(films.cache.records[i] for i in some)
    lungs, markers, note = maskers(None, None)
    found = examine(
        load(work / name / "final.safetensors"), Dataset(records, films.dataset.class_names), lungs=lungs,
        markers=markers, tests=() if part == "audit" else ("regions.",), map_films=MAPPED, data_checks=False,
        folder=work / part / "trial", mask_note=note, seed=seed, progress=lambda s, d, t: tell(f"{part}: {s}", d, t),
    )  # fmt: skip
    write_audit(found, work / part / "page", model=name, data="chest_xray, held-out patients", seed=seed)
    write_json(work / part / "audit.json", audit_summary(found))


def trained(name: str, films: Films, work: Path, *, seed: int, tell: Say) -> None:
    """One network, and what it says of its held-out films."""
    out, plain, cache = work / name, name == "plain", films.cache
    if name in ("box", "plain"):
        learn, check, test = (films.rows(s) for s in ("train", "val", "test"))
    else:
        test = folds_of(films.labels, films.groups, seed)[int(name[-1])]
        learn, check = inner(films, np.setdiff1d(np.arange(len(films.labels)), test), seed)
    if plain:
        cache = build_cache(films.cache.records, trunk(SIDE, 0).preprocess, work / "cache")
    answers(learnt(films, cache, learn, check, out, plain=plain, seed=seed, tell=tell), cache, test, out)


def run(given: argparse.Namespace, films: Films, tell: Say) -> None:
    """All parts that are not there yet, in order."""
    for name in PARTS:
        if given.only and name not in given.only:
            continue
        if name != "audit" and not (given.work / name / "held.json").is_file():
            trained(name, films, given.work, seed=given.seed, tell=tell)
        if name in ("box", "plain", "audit") and not (given.work / name / "audit.json").is_file():
            trial(name, films, given.work, seed=given.seed, tell=tell)


def ship(given: argparse.Namespace, films: Films) -> str:
    """The final network into the package, with its card."""
    final = load(given.work / "box" / "final.safetensors")
    recipe = (
        f"{RECIPE.epochs} epochs of AdamW at {RECIPE.lr:g} with a cosine, batches of {LungLoader.FULL} films and "
        f"{LungLoader.EMPTY} emptied ones, weight decay {RECIPE.weight_decay:g}, label smoothing "
        f"{RECIPE.label_smoothing:g}, as many films of either class in an epoch, moving average of the weights"
    )
    final = final.with_(
        provenance={
            "use": "research only, not for diagnosis", "data": SOURCE, "licence": "CC BY 4.0", "script": "train_box.py",
            "seed": given.seed, "recipe": RECIPE.to_dict(), "training": final.provenance.get("training", {}),
            "versions": versions(),
        }
    )  # fmt: skip
    save(final, given.out)
    facts: dict[str, Any] = {
        "seed": given.seed, "side": SIDE, "recipe": recipe, "versions": versions(), "threshold": final.threshold,
        "temperature": final.temperature,
        "parameters": sum(p.numel() for p in final.network.trunk.parameters()),
    }  # fmt: skip
    return write_card(given.work, films, given.out, given.card, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/box"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=box_path(), help="the weights file to write")
    parser.add_argument("--card", type=Path, default=Path("docs/reference/cards/box.md"))
    parser.add_argument("--only", nargs="*", default=[], help="parts, e.g. fold-0 box plain")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=say, transient=not say.is_terminal) as progress:
        bars: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=total)
            progress.update(bars[stage], completed=done, total=total)

        films = films_of(given.data, given.work, seed=given.seed, say=tell)
        run(given, films, tell)
        if not given.only:
            say.print(ship(given, films))


if __name__ == "__main__":
    main()
