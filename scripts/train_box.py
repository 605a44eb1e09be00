"""Train the shipped pneumonia model, cross-validate and audit it, and write its card.

    python scripts/train_box.py --data ../shared/data --weights ../shared/weights/tf_efficientnet_lite0.in1k.safetensors
        [--work runs/box] [--seed 0] [--threads 1]

Needs the children's films of Kermany et al. (CC BY 4.0) as `DATA/chest_xray/`, timm's ImageNet weights of
`tf_efficientnet_lite0` (Apache-2.0), and the network that finds the lungs, which is taken from the model file that the
package has and handed on as it is (`train_lungs.py` made it). Each network begins with ImageNet's weights, is slimmed,
then trained, in some nine minutes of processor time. Each part (five folds, the final network, its trials) is kept in
WORK: an interrupted run goes on with the part that it was at, and the same seed, threads, versions and processor give
the same weights. `--only` names parts, e.g. `fold-0`.
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
from box_data import FOLDS, Films, films_of, finder_weights, folds_of
from box_learn import RECIPE, Recipe, fitted, started
from box_reasons import reasons_of
from box_rows import rows_of
from radiolucent.audits.trial.examine import examine
from radiolucent.audits.trial.maskers import maskers
from radiolucent.data import Dataset
from radiolucent.files import write_json
from radiolucent.metrics import calibrate_logits, choose_threshold
from radiolucent.models import Classifier, box_path, build, load, predict, save, shift_logits
from radiolucent.models.lite import Lite
from radiolucent.models.memory import keep_freed_memory
from radiolucent.reports.audit_page import audit_summary, write_audit
from radiolucent.study.trained import versions
from radiolucent.types import Predictions

LIMITS = (0.008, 0.042, 0.24, 2.0, 0.45)
"""What the texture of a lung is like, see `Limits`: set on 160 of the final network's calibration films."""
STEP, TEXTURE = 4, 128
"""Texture is measured around every fourth pixel, in a window of 128 pixels, for which its limits were set."""
PARTS = (*(f"fold-{k}" for k in range(FOLDS)), "box", "reasons", "rows", "audit")
TRIED, MAPPED = 150, 40
"""Held-out films that the final network is shown in part and audited on; of them, films whose maps are looked at."""
RULE = "sensitivity>=0.975"

say = Console(stderr=True)
Say = Callable[[str, int, int], None]


def inner(films: Films, rows: NDArray[np.intp], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Learning and calibration films among `rows`, by patient: a tenth for temperature, bias and threshold."""
    parts = StratifiedGroupKFold(10, shuffle=True, random_state=seed)
    learn, check = next(iter(parts.split(rows, films.labels[rows], films.groups[rows])))
    return rows[learn], rows[check]


def settled(classifier: Classifier, raw: Predictions) -> Classifier:
    """With temperature, bias and threshold from calibration predictions."""
    found = calibrate_logits(raw.logits, raw.labels)
    if not shift_logits(classifier, torch.from_numpy(found.bias).float()):
        found = calibrate_logits(raw.logits, raw.labels, bias=False)
    given = {"temperature": found.temperature, "calibrated_on": found.films}
    warm = dataclasses.replace(raw, logits=raw.logits + found.bias.astype(np.float32), **given)
    threshold = choose_threshold(warm.truth, warm.scores, RULE, groups=warm.patient_ids)
    return classifier.with_(threshold=threshold.value, **given)


def predicted(classifier: Classifier, films: Films, rows: NDArray[np.intp]) -> Predictions:
    """What a network on whole films says of some of them."""
    return predict(classifier, [films.cache.records[i] for i in rows], pixels=np.asarray(films.cache.pixels[rows]))


def whole_of(trunk: Lite, recipe: Recipe = RECIPE) -> Classifier:
    """A classifier of whole films around a trained trunk."""
    whole, _ = build(
        "in_lungs", pretrained=False, side=recipe.side, margin=recipe.margin, width=recipe.width,
        norm=False, hidden=recipe.hidden, limits=LIMITS, step=STEP, texture=TEXTURE,
    )  # fmt: skip
    network: Any = whole.network
    network.finder.load_state_dict(finder_weights())
    network.trunk.load_state_dict(trunk.state_dict())
    return whole


def learnt(
    films: Films, learn: NDArray[np.intp], check: NDArray[np.intp], out: Path, given: Any, tell: Say
) -> Classifier:
    """A trained, calibrated classifier on whole films; kept in `out`."""
    if (out / "final.safetensors").is_file():
        return load(out / "final.safetensors")
    trunk = fitted(
        started(given.weights, films, learn, RECIPE, given.seed), films, learn, check, seed=given.seed,
        tell=lambda d, t: tell(out.name, d, t),
        on_epoch=lambda e, loss, auc: say.print(f"{out.name} epoch {e}: {loss:.4f}, calibration AUROC {auc:.4f}"),
    ).fused()  # fmt: skip
    whole = whole_of(trunk)
    done = settled(whole, predicted(whole, films, check))
    out.mkdir(parents=True, exist_ok=True)
    save(done, out / "final.safetensors")
    return done


def answers(classifier: Classifier, films: Films, rows: NDArray[np.intp], out: Path) -> None:
    """Held-out predictions, kept as a table of numbers."""
    found = predicted(classifier, films, rows)
    logit = np.log(np.clip(found.scores, 1e-12, 1)) - np.log(np.clip(1 - found.scores, 1e-12, 1))
    write_json(
        out / "held.json",
        {"rows": rows.tolist(), "logit": logit.tolist(), "called": found.called.astype(int).tolist(),
         "threshold": classifier.threshold, "temperature": classifier.temperature},
    )  # fmt: skip


def trained(name: str, films: Films, given: Any, tell: Say) -> None:
    """One network, and what it says of its held-out films."""
    if name == "box":
        learn, check, test = (films.rows(s) for s in ("train", "val", "test"))
    else:
        test = folds_of(films.labels, films.groups, given.seed)[int(name[-1])]
        learn, check = inner(films, np.setdiff1d(np.arange(len(films.labels)), test), given.seed)
    out = given.work / name
    answers(learnt(films, learn, check, out, given, tell), films, test, out)


def tried(films: Films, seed: int) -> NDArray[np.intp]:
    """Some of the final network's held-out films."""
    return np.sort(np.random.default_rng([seed, 17]).permutation(films.rows("test"))[:TRIED])


def trial(films: Films, work: Path, *, seed: int, tell: Say) -> None:
    """The final network on trial, on some held-out films."""
    records = tuple(films.cache.records[i] for i in tried(films, seed))
    lungs, markers, note = maskers(None, None)
    found = examine(
        load(work / "box" / "final.safetensors"), Dataset(records, films.dataset.class_names), lungs=lungs,
        markers=markers, map_films=MAPPED, data_checks=False, folder=work / "audit" / "trial", mask_note=note,
        seed=seed, progress=lambda s, d, t: tell(f"audit: {s}", d, t),
    )  # fmt: skip
    write_audit(found, work / "audit" / "page", model="box", data="chest_xray, held-out patients", seed=seed)
    write_json(work / "audit" / "audit.json", audit_summary(found))


def run(given: argparse.Namespace, films: Films, tell: Say) -> None:
    """All parts that are not there yet, in order."""
    for name in PARTS:
        out = given.work / name
        if given.only and name not in given.only:
            continue
        if name == "audit" and not (out / "audit.json").is_file():
            trial(films, given.work, seed=given.seed, tell=tell)
        elif name == "rows" and not (out / "rows.json").is_file():
            final = load(given.work / "box" / "final.safetensors")
            some = tried(films, given.seed)
            write_json(out / "rows.json", rows_of(final, films, some, given.data, seed=given.seed, say=tell))
        elif name == "reasons" and not (out / "reasons.json").is_file():
            final = load(given.work / "box" / "final.safetensors")
            some = tried(films, given.seed)
            write_json(out / "reasons.json", reasons_of(final, films, some, given.data, seed=given.seed, say=tell))
        elif name not in ("audit", "rows", "reasons") and not (out / "held.json").is_file():
            trained(name, films, given, tell)


def ship(given: argparse.Namespace, films: Films) -> str:
    """The final network into the package, with its card."""
    final = load(given.work / "box" / "final.safetensors")
    final = final.with_(
        provenance={
            "use": "research only, not for diagnosis", "data": SOURCE, "licence": "CC BY 4.0", "script": "train_box.py",
            "begun_from": "ImageNet weights of EfficientNet-Lite0 (TensorFlow authors, Apache-2.0)", "seed": given.seed,
            "recipe": RECIPE.to_dict(), "versions": versions(),
        }
    )  # fmt: skip
    save(final, given.out)
    facts: dict[str, Any] = {
        "seed": given.seed, "recipe": RECIPE.to_dict(), "versions": versions(), "rule": RULE,
        "threshold": final.threshold, "temperature": final.temperature,
        "limits_of_texture": dataclasses.asdict(final.network.limits), "texture": TEXTURE,
        "parameters": sum(p.numel() for p in final.network.trunk.parameters()),
    }  # fmt: skip
    levers, cost = (Path(__file__).with_name(f"box_{n}.md").read_text(encoding="utf-8") for n in ("levers", "cost"))
    return write_card(given.work, films, given.out, given.card, facts, levers, cost.strip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--weights", type=Path, default=Path("../shared/weights/tf_efficientnet_lite0.in1k.safetensors"),
        help="timm's ImageNet weights of tf_efficientnet_lite0",
    )  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path("runs/box"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=box_path(), help="the weights file to write")
    parser.add_argument("--card", type=Path, default=Path("docs/reference/cards/box.md"))
    parser.add_argument("--only", nargs="*", default=[], help="parts, e.g. fold-0 box rows")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)  # the far ends of normal blurs slow training down by a tenth
    keep_freed_memory()
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
