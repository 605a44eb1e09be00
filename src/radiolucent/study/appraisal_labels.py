"""What a finished multi-label classifier is worth: every label appraised on its own, and one report over all."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from radiolucent import figures
from radiolucent.data.records import NOTED, LeftOut
from radiolucent.errors import ExplainError
from radiolucent.explainers import NoMap, explain
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.files import file_name, write_bytes
from radiolucent.images import read
from radiolucent.metrics import LabelsEvaluation, evaluate_labels
from radiolucent.passes.session import Session
from radiolucent.reports import Picture
from radiolucent.reports.labels_page import LabelPart, LabelsStory, write_labels_report
from radiolucent.reports.phrasing import written
from radiolucent.study.appraisal import PLACES, Appraisal, appraise
from radiolucent.study.case import called_labels, make_case
from radiolucent.study.characteristics import characteristics
from radiolucent.study.config import StudyConfig
from radiolucent.study.doctors import read_readings
from radiolucent.study.label_readings import other_names, readings_of_label
from radiolucent.study.maps import methods_without
from radiolucent.study.predictions_table import write_predictions
from radiolucent.study.preflight import about_threshold
from radiolucent.study.prepared import Prepared
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.trained import data_hash, predict_split, versions
from radiolucent.study.trained_labels import TrainedLabels
from radiolucent.types import Annotation, Predictions

__all__ = ["LabelsAppraisal", "appraise_labels"]

SHOWN = 4  # films with all maps of their labels


@dataclass(frozen=True)
class LabelsAppraisal:
    """The test evaluation of every label, each label's own appraisal, and where the report over all lies.

    `methods_left_out`: (method, reason) of maps there are none of.
    """

    test: LabelsEvaluation
    validation: LabelsEvaluation
    labels: Mapping[str, Appraisal]
    report: Path
    methods_left_out: tuple[tuple[str, str], ...] = ()


def appraise_labels(
    config: StudyConfig, prepared: Prepared, trained: TrainedLabels, say: Progress = quiet
) -> LabelsAppraisal:
    """Evaluate every label on the test patients, once; appraise each on its own; write one report over all.

    Each label with enough patients and a threshold gets the whole report of a two-class study in `labels/LABEL/`.
    """
    clf = trained.classifier
    p = predict_split(clf, prepared, "test", say)
    write_predictions(config.out / "predictions.csv", [("val", trained.validation), ("test", p)])
    test = evaluate_labels(p, folds=config.folds, seed=config.seed)
    validation = evaluate_labels(trained.validation, folds=config.folds, seed=config.seed)
    readings = read_readings(config, prepared)
    _note_other_names(config, prepared, readings)
    parts: dict[str, Appraisal] = {}
    for name in clf.class_names:
        if name in test.labels and trained.thresholds[name] is not None:
            parts[name] = _of_label(name, config, prepared, trained, readings, say)
    none: list[NoMap] = []
    forest = {"auroc": _forest(test)} if test.labels else {}
    pictures = forest | _films(config, prepared, trained, p, readings, none, say)
    for name, picture in pictures.items():
        write_bytes(config.out / "figures" / f"{name}.png", picture.png)
    story = _story(config, prepared, trained, p, (test, validation), parts, pictures)
    of_labels = (item for each in parts.values() for item in each.methods_left_out)
    without = tuple(dict.fromkeys((*of_labels, *methods_without(none))))
    notes = (*story.notes, *(f"No map by {m} {why}" for m, why in without))
    story = dataclasses.replace(story, notes=notes, methods_left_out=without)
    return LabelsAppraisal(test, validation, parts, write_labels_report(story, config.out), without)


def _of_label(
    name: str,
    config: StudyConfig,
    prepared: Prepared,
    trained: TrainedLabels,
    readings: Sequence[Annotation],
    say: Progress,
) -> Appraisal:
    """One label's own report, as of a study of two classes."""
    own = dataclasses.replace(
        config, out=config.out / "labels" / file_name(name), title=f"{config.title}: {name}", annotations=None
    )

    def tell(stage: str, done: int, total: int) -> None:
        say(f"{name}: {stage}", done, total)

    said = readings_of_label(readings, name)
    return appraise(own, prepared.of_label(name), trained.of_label(name), tell, readings=said)


def _note_other_names(config: StudyConfig, prepared: Prepared, readings: Sequence[Annotation]) -> None:
    if config.annotations is not None and (others := other_names(readings, prepared.dataset.class_names)):
        named = ", ".join(f"{name} ({count})" for name, count in others.items())
        reason = f"{NOTED}readings of {named} are of none of the labels, and are compared with no map"
        prepared.readings_left.append(LeftOut(config.annotations, reason))


def _forest(test: LabelsEvaluation) -> Picture:
    shown = {name: e.estimates["auroc"] for name, e in test.labels.items()}
    mean = {"mean (macro)": test.macro["auroc"]} if test.macro else {}
    alt = "AUROC of every label with its interval"
    return Picture(
        figures.to_png(
            figures.intervals_plot(shown | mean, "AUROC by label", x="AUROC with its interval; 0.5 is a coin")
        ),
        alt,
    )


def _films(
    config: StudyConfig,
    prepared: Prepared,
    trained: TrainedLabels,
    p: Predictions,
    readings: Sequence[Annotation],
    no_map: list[NoMap],
    say: Progress,
) -> dict[str, Picture]:
    """Test films with the most labels called, each with one map a called label, from one pass of the film."""
    clf, calls = trained.classifier, p.calls
    order = np.argsort(-calls.sum(1), kind="stable")
    chosen = [int(i) for i in order if calls[i].any()][: min(SHOWN, config.cases)]
    records = {r.image_id: r for r in prepared.dataset.records}
    session, found = Session(), dict[str, Picture]()
    for done, i in enumerate(chosen, start=1):
        record = records[p.image_ids[i]]
        film = read(record.path, image_id=record.image_id, patient_id=record.patient_id)
        targets = called_labels(clf, torch.from_numpy(p.logits[i : i + 1]))
        try:
            maps = explain(clf, film, [GradCAM()], target=targets, seed=config.seed, session=session)
        except ExplainError as error:
            no_map.append(NoMap(film.image_id, "gradcam", str(error)))
            continue
        said = [a for a in readings if a.image_id == record.image_id]
        case = make_case(
            clf, film, torch.from_numpy(p.logits[i : i + 1]), None, said, maps, labels=record.findings
        )  # fmt: skip
        alt = f"{record.image_id}: one Grad-CAM map for each of {', '.join(targets)}"
        found[f"film_{done}"] = Picture(figures.to_png(figures.case_panel(case)), alt)
        say("explaining films with several labels", done, len(chosen))
    return found


def _together(p: Predictions) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Rows (label, films with it that also have each other label, of those where that is known)."""
    rows: list[tuple[str, tuple[str, ...]]] = []
    for a, name in enumerate(p.class_names):
        with_it = p.labels[:, a] == 1
        cells: list[str] = []
        for b in range(len(p.class_names)):
            known = with_it & (p.labels[:, b] >= 0)
            cells.append("–" if a == b else f"{int((known & (p.labels[:, b] == 1)).sum())} of {int(known.sum())}")
        rows.append((name, tuple(cells)))
    return tuple(rows)


def _story(
    config: StudyConfig,
    prepared: Prepared,
    trained: TrainedLabels,
    p: Predictions,
    evaluations: tuple[LabelsEvaluation, LabelsEvaluation],
    parts: Mapping[str, Appraisal],
    pictures: Mapping[str, Picture],
) -> LabelsStory:
    clf, dataset, (test, validation) = trained.classifier, prepared.dataset, evaluations
    own: list[LabelPart] = []
    doubts: list[str] = []
    for name, rule in zip(clf.class_names, clf.label_rules, strict=True):
        appraisal, threshold = parts.get(name), trained.thresholds[name]
        if threshold is not None:
            doubts += [f"{name}: {d}" for d in about_threshold(threshold, trained.of_label(name).validation)]
        folder = None if appraisal is None else appraisal.report.parent
        shown = () if folder is None else tuple(_picture(folder / "figures" / f"{n}.png", n, name) for n in FIGURES)
        own.append(
            LabelPart(
                name, rule.temperature, threshold.as_dict() if threshold else None, trained.without.get(name, ""),
                test.labels.get(name), validation.labels.get(name), test.too_few.get(name, ""),
                appraisal.agreement if appraisal else (), tuple(s for s in shown if s is not None),
                "" if appraisal is None else appraisal.report.relative_to(config.out).as_posix(),
            )
        )  # fmt: skip
    return LabelsStory(
        title=config.title,
        created=written(),
        command=config.command or "radiolucent study",
        model=f"{config.model}, recipe {config.recipe}, one sigmoid a label",
        data=(
            ("source", dataset.source),
            ("films used", f"{len(dataset)} of {sum(dataset.patients().values())} patients"),
            ("labels and splits", " ".join(_sentence(n) for n in dataset.notes) or "as given"),
            *characteristics(dataset),
        ),
        counts=dataset.counts(),
        patients=dataset.patients(),
        together=_together(p),
        notes=(
            *prepared.warnings,
            *doubts,
            *(f"{name} has no threshold: {why}" for name, why in trained.without.items()),
        ),
        training=_training(config, trained),
        findings=prepared.findings,
        left_out=tuple(item for item in prepared.left_out if not item[1].startswith(NOTED)),
        noted=tuple(item[1].removeprefix(NOTED) for item in prepared.left_out if item[1].startswith(NOTED)),
        test=test,
        validation=validation,
        labels=tuple(own),
        pictures=pictures,
        versions=versions(),
        hashes={"model": clf.hash, "data (content, labels, split)": data_hash(prepared)},
        seed=config.seed,
        extra={
            "config": {k: v for k, v in config.to_dict().items() if k not in PLACES},
            "history": [h.to_dict() for h in trained.fitted.history],
        },
    )


def _training(config: StudyConfig, trained: TrainedLabels) -> tuple[tuple[str, str], ...]:
    recipe, clf = config.train_config(), trained.classifier
    kept = ("optimizer", "lr", "schedule", "batch_size", "label_smoothing", "ema", "freeze")
    return (
        ("network", f"{config.model}, {sum(q.numel() for q in clf.network.parameters()):,} parameters"),
        ("start", str(trained.weights)),
        ("recipe", f"{config.recipe}: " + ", ".join(f"{k} {getattr(recipe, k)}" for k in kept)),
        ("loss", "binary cross entropy of each label, over the labels that are known of a film"),
        ("epochs", f"{len(trained.fitted.history)}, kept: {trained.fitted.best_epoch} (lowest validation loss)"),
        ("notes", " ".join(_sentence(n) for n in trained.fitted.notes) or "none"),
    )


FIGURES = ("roc", "reliability", "agreement", "failures")
"""Of a label's own report, shown in the report over all."""

ALTS = {
    "roc": "ROC curve", "reliability": "observed share against probability",
    "agreement": "hit rate, energy and IoU of each method and baseline", "failures": "films called wrongly",
}  # fmt: skip


def _picture(file: Path, name: str, label: str) -> Picture | None:
    return Picture(file.read_bytes(), f"{label}: {ALTS[name]}") if file.is_file() else None


def _sentence(note: str) -> str:
    """
    >>> _sentence("labels: a, b")
    'Labels: a, b.'
    """
    return f"{note[:1].upper()}{note[1:].rstrip('.')}."
