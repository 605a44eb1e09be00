"""What a finished classifier is worth: evaluated, explained, compared with the doctors, told as a report."""

import dataclasses
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent import figures
from radiolucent.audits.agreement import Agreement
from radiolucent.data import Dataset
from radiolucent.data.records import NOTED
from radiolucent.errors import ExplainError
from radiolucent.explainers import Explainer, NoMap, explain, save_explanation
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.lime import LIME
from radiolucent.files import write_bytes
from radiolucent.images import read
from radiolucent.metrics import Evaluation, evaluate, predictive_values
from radiolucent.reports import CaseStory, Doctors, Picture, Story, write_report
from radiolucent.reports.phrasing import written
from radiolucent.shown import counted
from radiolucent.study.case import make_case
from radiolucent.study.characteristics import characteristics
from radiolucent.study.choose import choose_cases, worst
from radiolucent.study.config import StudyConfig
from radiolucent.study.doctors import compare_test_films, doctors, read_readings
from radiolucent.study.inside import inside_pictures
from radiolucent.study.label_check import chances_on_test, check_labels, twins_of
from radiolucent.study.lung_zones import zones_of
from radiolucent.study.maps import methods_without
from radiolucent.study.predictions_table import write_predictions
from radiolucent.study.preflight import about_threshold
from radiolucent.study.prepared import Prepared
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.stamps import Stamper, tally
from radiolucent.study.trained import Trained, data_hash, predict_split, versions
from radiolucent.types import Annotation, Estimate, Explanation, Predictions

__all__ = ["Appraisal", "appraise"]

CONCEPT_FILMS = 100  # test films on which concepts are sought
DISPUTED = 4  # panels of films where model and doctors differed
PLACES = ("out", "cache")  # where a run lies, which says nothing of it
PREVALENCES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Appraisal:
    """The test evaluation, the agreement with doctors, where the report lies, and methods that gave no map, and why."""

    test: Evaluation
    validation: Evaluation
    agreement: tuple[Agreement, ...]
    report: Path
    methods_left_out: tuple[tuple[str, str], ...] = ()


def appraise(
    config: StudyConfig,
    prepared: Prepared,
    trained: Trained,
    say: Progress = quiet,
    *,
    readings: Sequence[Annotation] | None = None,
) -> Appraisal:
    """Evaluate on the test patients, once; explain; compare; write figures, explanations and report.

    Args:
        readings: the doctors'; read from `config.annotations` unless given.
    """
    clf = trained.classifier
    p = predict_split(clf, prepared, "test", say)
    write_predictions(config.out / "predictions.csv", [("val", trained.validation), ("test", p)])
    test = evaluate(p, folds=config.folds, seed=config.seed)
    validation = evaluate(trained.validation, folds=config.folds, seed=config.seed)
    readings = read_readings(config, prepared) if readings is None else readings
    none: list[NoMap] = []
    compared, maps = compare_test_films(config, prepared, clf, p, trained.validation, readings, none, say)
    said = doctors(config, p, readings, maps)
    chosen = choose_cases(p, config.cases, preferred={a.image_id for a in readings})
    order = dict.fromkeys((*chosen, *range(len(p.image_ids))))
    stamped = Stamper(clf, lambda: (_film(prepared.dataset, p.image_ids[i]) for i in order), {"seed": config.seed})
    cases = _cases(config, prepared, stamped, p, readings, chosen, none, say)
    disputed = _cases(config, prepared, stamped, p, readings, _disputed(p, said, chosen), none, say)
    if said and maps:
        names = {e.image_id for e in maps}
        films = [r for r in prepared.dataset.records if r.image_id in names]
        patients = dict(zip(p.image_ids, p.patient_ids, strict=True))
        (zones,) = zones_of((maps,), films, patients=patients, folds=config.folds, seed=config.seed, say=say)
        said = dataclasses.replace(said, zones=zones)
    if said:
        said = dataclasses.replace(said, cases=tuple(_case_story(case, name) for case, name in disputed))
    pictures = _pictures(config, prepared, trained, p, test, compared)
    if cases:
        some = np.random.default_rng(config.seed).permutation(len(p.image_ids))[:CONCEPT_FILMS]
        films = (_film(prepared.dataset, p.image_ids[int(i)]) for i in sorted(some))
        pictures |= inside_pictures(clf, cases[0][0].film, films)
    for name, picture in pictures.items():
        write_bytes(config.out / "figures" / f"{name}.png", picture.png)
    findings = check_labels(
        prepared.dataset, prepared.findings, chances=chances_on_test(p, prepared.dataset, twins_of(prepared.findings)),
        readings=readings, positive=clf.class_names[clf.positive],
    )  # fmt: skip
    prepared = dataclasses.replace(prepared, findings=tuple(findings))
    without = methods_without(none)
    story = _story(config, prepared, trained, test, validation, compared, said, cases, pictures)
    notes = (*story.notes, *(f"No map by {m} {why}" for m, why in without))
    story = dataclasses.replace(story, notes=notes, methods_left_out=without)
    report = write_report(story, config.out)
    return Appraisal(test, validation, compared, report, without)


def _film(dataset: Dataset, image_id: str) -> Any:
    record = next(r for r in dataset.records if r.image_id == image_id)
    return read(record.path, image_id=record.image_id, patient_id=record.patient_id)


def _cases(
    config: StudyConfig,
    prepared: Prepared,
    stamped: Stamper,
    p: Predictions,
    readings: Sequence[Annotation],
    chosen: Sequence[int],
    no_map: list[NoMap],
    say: Progress,
) -> list[tuple[figures.Case, str]]:
    """Panels of chosen films under Grad-CAM and LIME, of the class that was called; maps are stamped and written."""
    import torch

    clf = stamped.classifier
    found: list[tuple[figures.Case, str]] = []
    for done, i in enumerate(chosen, start=1):
        film = _film(prepared.dataset, p.image_ids[i])
        truth = clf.class_names[int(p.labels[i])]
        said = [a for a in readings if a.image_id == p.image_ids[i]]
        logits = torch.from_numpy(p.logits[i : i + 1])
        bare = make_case(clf, film, logits, truth, said, ())
        methods: list[Explainer] = [GradCAM(), LIME(num_samples=config.lime_samples)]
        maps: list[Explanation] = []
        asked: dict[str, Any] = {"seed": config.seed, "session": stamped.session, "left_out": no_map}
        with suppress(ExplainError):  # nothing at all: `no_map` says why
            maps = explain(clf, film, methods, target=int(clf.called(logits)[0]), **asked)
        by_name = {m.name: m for m in methods}
        maps = [stamped(film, e, by_name[e.method]) for e in maps]
        for m in maps:
            stem = p.image_ids[i].replace("/", "_").rsplit(".", 1)[0]
            save_explanation(m, config.out / "explanations" / f"{stem}.{m.method}.npz")
        found.append((dataclasses.replace(bare, explanations=tuple(maps)), p.image_ids[i]))
        say("explaining cases", done, len(chosen))
    return found


def _disputed(p: Predictions, said: Doctors | None, shown: Sequence[int]) -> list[int]:
    """Positions of films where model and doctors differed, at most `DISPUTED`: readers, and who was right, in turn."""
    at = {name: i for i, name in enumerate(p.image_ids)}
    calls = said.calls if said else ()
    halves = [half for c in calls for half in (c.differed[: c.reader_right], c.differed[c.reader_right :])]
    order = dict.fromkeys(at[name] for turn in zip_longest(*halves) for name in turn if name is not None)
    return [i for i in order if i not in set(shown)][:DISPUTED]


def _case_story(case: figures.Case, name: str) -> CaseStory:
    heading = f"{name}: {case.headline}"
    verdict = case.verdict if case.no_call else "right" if case.right else f"wrong, it is {case.truth}"
    alt = f"{heading}, {verdict}; X-ray, doctor, Grad-CAM and LIME"
    return CaseStory(f"{heading} ({verdict})", Picture(figures.to_png(figures.case_panel(case)), alt), case.right)


def _pictures(
    config: StudyConfig,
    prepared: Prepared,
    trained: Trained,
    p: Predictions,
    test: Evaluation,
    compared: Sequence[Agreement],
) -> dict[str, Picture]:
    made: dict[str, Picture] = {}

    def add(name: str, figure: Any, alt: str, caption: str = "") -> None:
        made[name] = Picture(figures.to_png(figure), alt, caption)

    rng = np.random.default_rng(config.seed)
    rows: list[tuple[str, list[Any]]] = []
    for label, name in enumerate(prepared.dataset.class_names):
        ids = [r.image_id for r in prepared.dataset.split("train").records if r.label == label]
        rows.append((name, [_film(prepared.dataset, ids[k]) for k in rng.permutation(len(ids))[:6]]))
    add("sheet", figures.contact_sheet(rows), "six training films of each class", "Training films drawn at random.")
    add(
        "learning",
        figures.learning_curves(trained.fitted.history, trained.fitted.best_epoch),
        "loss, accuracy and learning rate by epoch",
        "Training loss includes label smoothing and class weights where the recipe has them; validation loss does not.",
    )
    auc = test.estimates["auroc"]
    add("roc", figures.roc_plot(p, test), f"ROC curve with area {auc}")
    add("pr", figures.pr_plot(p, test), "precision against recall")
    add("reliability", figures.reliability_plot(p, test), "observed share against probability")
    add("decision", figures.decision_plot(p), "net benefit against threshold probability")
    add("confusion", figures.confusion_plot(test), f"confusion matrix {test.matrix}")
    add("histogram", figures.score_histogram(p), "histogram of probabilities of both classes")
    if compared:
        add(
            "agreement",
            figures.agreement_plot([a for a in compared if a.reader == "consensus"]),
            "hit rate, energy and IoU of each method and baseline",
        )
    missed, alarms = worst(p, 6)
    if missed or alarms:
        import torch

        wrong = [
            make_case(
                trained.classifier,
                _film(prepared.dataset, p.image_ids[i]),
                torch.from_numpy(p.logits[i : i + 1]),
                p.class_names[int(p.labels[i])],
                (),
                (),
            )
            for i in missed + alarms
        ]
        caption = "The most confident mistakes: missed films first, then false alarms."
        add("failures", figures.gallery(wrong, "Failure gallery"), "films called wrongly", caption)
    return made


def _elsewhere(test: Evaluation) -> tuple[tuple[float, Estimate, Estimate], ...]:
    """(prevalence, PPV, NPV) with the test's sensitivity and specificity."""
    e = test.estimates
    rows = [(q, *predictive_values(e["sensitivity"], e["specificity"], q)) for q in PREVALENCES]
    return tuple(row for row in rows if row[1].value is not None and row[2].value is not None)


def _story(
    config: StudyConfig,
    prepared: Prepared,
    trained: Trained,
    test: Evaluation,
    validation: Evaluation,
    compared: tuple[Agreement, ...],
    said: Doctors | None,
    cases: Sequence[tuple[figures.Case, str]],
    pictures: dict[str, Picture],
) -> Story:
    clf, recipe = trained.classifier, config.train_config()
    pre = clf.preprocess
    keep = (
        "optimizer",
        "lr",
        "schedule",
        "batch_size",
        "label_smoothing",
        "class_weights",
        "ema",
        "freeze",
        "precision",
    )
    augment, patients = config.augment(), sum(prepared.dataset.patients().values())
    return Story(
        title=config.title,
        created=written(),
        command=config.command or "radiolucent study",
        class_names=clf.class_names,
        positive=clf.class_names[clf.positive],
        data=(
            ("source", prepared.dataset.source),
            ("films used", f"{len(prepared.dataset):,} of {counted(patients, 'patient')}"),
            ("split", " ".join(prepared.dataset.notes) or "as given"),
            ("input", f"{pre.shape[0]} × {pre.shape[1]} pixels, {pre.fit}, {counted(pre.channels, 'channel')}"),
            *characteristics(prepared.dataset),
        ),
        counts=prepared.dataset.counts(),
        patients=prepared.dataset.patients(),
        findings=prepared.findings,
        left_out=tuple(item for item in prepared.left_out if not item[1].startswith(NOTED)),
        training=(
            ("network", f"{config.model}, {sum(q.numel() for q in clf.network.parameters()):,} parameters"),
            ("start", str(trained.weights)),
            ("recipe", f"{config.recipe}: " + ", ".join(f"{k} {getattr(recipe, k)}" for k in keep)),
            ("augmentation", "none" if augment is None else json.dumps(augment.to_dict())),
            ("epochs", f"{len(trained.fitted.history)}, kept: {trained.fitted.best_epoch} (lowest validation loss)"),
        ),
        notes=(*prepared.warnings, *about_threshold(trained.threshold, trained.validation), *trained.fitted.notes),
        threshold=trained.threshold.as_dict(),
        validation=validation,
        test=test,
        prevalences=_elsewhere(test),
        pictures=pictures,
        cases=tuple(_case_story(case, name) for case, name in cases),
        agreement=compared,
        doctors=said,
        versions=versions(),
        hashes={"model": clf.hash, "data (content, labels, split)": data_hash(prepared)},
        seed=config.seed,
        trust=tally([e for case, _ in cases for e in case.explanations]),
        model=f"{config.model}, recipe {config.recipe}",
        extra={
            "config": {k: v for k, v in config.to_dict().items() if k not in PLACES},
            "history": [h.to_dict() for h in trained.fitted.history],
        },
    )
