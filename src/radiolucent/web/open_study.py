"""Open a reading study of a run and a data set, or make it."""

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from radiolucent.data import Dataset, LabelOptions, Record, load_dataset, of_label
from radiolucent.data.records import NOTED
from radiolucent.data.relabel import relabel
from radiolucent.data.trained_on import TrainingFilms, films_of_run
from radiolucent.errors import ConfigError, DataError, ImageError
from radiolucent.explainers import Explainer, methods_named
from radiolucent.explainers.lime import LIME
from radiolucent.files import sha256_file
from radiolucent.images import read, reading
from radiolucent.models import Classifier, load
from radiolucent.readers.private import close_to_others
from radiolucent.readers.store import Store
from radiolucent.readers.store_access import new_token
from radiolucent.readers.store_dates import day_of, describe_day
from radiolucent.readers.store_values import UNASSESSED, Case
from radiolucent.web.films import Films
from radiolucent.web.refused import FailureLog, RefusalLog
from radiolucent.web.reveal import Reveal
from radiolucent.web.study_context import StudyContext

__all__ = ["Opened", "StudyPlan", "addresses", "make_methods", "open_study", "read_vocabulary"]

VOCABULARY = (
    "consolidation",
    "ground-glass opacity",
    "interstitial pattern",
    "atelectasis",
    "nodule",
    "mass",
    "pleural effusion",
    "pneumothorax",
    "cardiomegaly",
    "hilar enlargement",
    "fracture",
    "foreign body",
    "other",
)
"""What marks can be called unless the study brings its own list. Source: Fleischner Society glossary (2008, 2024)."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StudyPlan:
    """What to read, and with which model it is compared.

    Attributes:
        run: run folder or checkpoint. data: folder or manifest. folder: where the study is kept.
        name: of the study. split: which films: "test" (all, where the data have no split), "val", "train", or "all".
        limit: at most so many films, drawn by `seed`; None: all.
        methods: names of maps (see `explainers.METHODS`). lime_samples: perturbed films a LIME map.
        seed: of the drawing and of the maps; readers' orders come from a secret that is drawn once and kept.
        vocabulary: what marks can be called; None: as the study was begun, at first `VOCABULARY`.
        stamps: whether maps are tested for trust after they were computed.
        target: of a run that tells several labels, the one that is asked for: readers answer "no LABEL" or LABEL.
        unseen: leave out films that the run was trained or chosen on, and films of the same patients.
    """

    run: Path
    data: Path
    folder: Path
    name: str
    split: str = "test"
    limit: int | None = None
    methods: tuple[str, ...] = ("gradcam", "lime")
    lime_samples: int = 353
    seed: int = 0
    vocabulary: tuple[str, ...] | None = None
    stamps: bool = True
    target: str | None = None
    unseen: bool = False


@dataclass(frozen=True)
class Opened:
    """The study, (path, reason) of films left out, and a warning of films that the run was trained or chosen on."""

    context: StudyContext
    left_out: tuple[tuple[Path, str], ...]
    warning: str = ""


def make_methods(names: Sequence[str], lime_samples: int) -> Mapping[str, Explainer]:
    """Methods by name.

    Raises:
        ConfigError: an unknown one.
    """
    return {
        name: method.with_samples(lime_samples) if isinstance(method, LIME) else method
        for name, method in methods_named(names).items()
    }


def read_vocabulary(file: Path) -> tuple[str, ...]:
    """Terms of a text file, one a line; empty lines and lines that begin with "#" are left out.

    Raises:
        ConfigError: the file cannot be read, or holds no term, one twice, or one of more than 80 characters.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as UTF-8 text ({error}); give a text file, a term a line.") from None
    terms = [line for line in lines if line and not line.startswith("#")]
    if not terms or len(set(terms)) < len(terms) or max(map(len, terms)) > 80 or len(terms) > 500:
        raise ConfigError(f"{file}: expected 1 to 500 different terms of at most 80 characters, one a line.")
    return tuple(terms)


def open_study(plan: StudyPlan, say: Progress) -> Opened:
    """Open a study, or make it: films get opaque identifiers, in random order, and keep them.

    Raises:
        ConfigError: the folder holds a study of another model, other classes, or begun with other options; no film of
            the split.
        DataError: no readable film.
    """
    methods = make_methods(plan.methods, plan.lime_samples)
    whole = load(plan.run)
    classifier = _asked_of(whole, plan)
    if UNASSESSED in classifier.class_names:
        raise ConfigError(f"{plan.run}: a class is called {UNASSESSED!r}, which readers answer with; rename the class.")
    dataset = None if (plan.folder / "study.db").exists() else _films_for(whole, classifier, plan)
    if dataset is not None:
        _chosen(dataset, plan)  # what is not there is told before anything is written
    store = Store(plan.folder / "study.db")
    close_to_others(plan.folder)  # also what an earlier version left open
    _same_study(store, plan, classifier)
    left_out: list[tuple[Path, str]] = []
    warning = str(store.fact("seen") or "")
    known = {c.image_id for c in store.cases()}
    if not known or store.fact("complete") is None:
        try:
            dataset = dataset or _films_for(whole, classifier, plan)
            if plan.unseen:
                dataset = _films_of(plan).among(dataset.records).without(dataset)
            left_out += dataset.left_out
            records = _chosen(dataset, plan)
            if not dataset.splits and plan.split != "all":
                left_out.append((plan.data, f"{NOTED}has no split: all of its films are read"))
            learned = films_of_run(plan.run)
            warning = "" if learned is None else learned.among(records).warning
            store.describe({"seen": warning})
            _add(store, dataset, records, left_out, say)
        except BaseException:  # also an interruption: what was read stays, and the next start goes on from there
            store.close()
            raise
        store.describe({"complete": True})
    if not store.cases():
        store.close()
        raise DataError(f"{plan.data}: no readable film for the study.")
    films = Films(plan.folder / "films")
    log, failures = RefusalLog(plan.folder / "refused.log"), FailureLog(plan.folder / "failed.log")
    some = store.cases if plan.stamps else None
    reveal = Reveal(classifier, films, plan.folder / "reveal", methods, plan.seed, failures, some)
    positive, vocabulary = classifier.class_names[classifier.positive], tuple(store.fact("vocabulary"))
    names = (store.fact("name"), classifier.class_names, positive)
    context = StudyContext(*names, store, films, reveal, log, failures, vocabulary)
    return Opened(context, tuple(left_out), warning)


def _films_of(plan: StudyPlan) -> TrainingFilms:
    """The films that the run learned from.

    Raises:
        DataError: the run does not say.
    """
    known = films_of_run(plan.run)
    if known is None:
        raise DataError(f"{plan.run}: has no split.csv, so what it was trained on is not known; leave --unseen out.")
    return known


def _asked_of(whole: Classifier, plan: StudyPlan) -> Classifier:
    """The model as readers are asked: of several labels the chosen one, with it or without."""
    if not whole.multilabel and plan.target is not None:
        raise ConfigError(f"--target {plan.target!r} is for runs that tell several labels; {plan.run} has classes.")
    if not whole.multilabel:
        return whole
    if plan.target is None:
        raise ConfigError(
            f"{plan.run}: tells several labels ({', '.join(whole.class_names)}); a reading study asks for one, which "
            f"readers find or not: --target {whole.class_names[0]!r}. Make one study a label."
        )
    return whole.of_label(plan.target)


def _films_for(whole: Classifier, classifier: Classifier, plan: StudyPlan) -> Dataset:
    """The films with labels in the model's order; of several labels a film need not have any that is known."""
    if not whole.multilabel:
        return relabel(load_dataset(plan.data, known=classifier.class_names), classifier.class_names)
    several = load_dataset(plan.data, labels=LabelOptions(whole.class_names, lenient=True))
    if not several.multilabel:
        return replace(several, class_names=classifier.class_names)
    one = of_label(several, classifier.class_names[1])
    splits = [replace(r, split=s.split) for r, s in zip(one.records, several.records, strict=True)]
    return replace(one, records=tuple(splits))


def _same_study(store: Store, plan: StudyPlan, classifier: Classifier) -> None:
    """Record how the study was begun, and refuse to go on in another way: the first readers read it so."""
    store.describe({"model": classifier.hash, "classes": list(classifier.class_names), "key": secrets.token_hex(6)})
    store.describe({"secret": secrets.token_hex(32), "vocabulary": plan.vocabulary or VOCABULARY})
    if (store.fact("model"), store.fact("classes")) != (classifier.hash, list(classifier.class_names)):
        store.close()
        raise ConfigError(f"{plan.folder}: holds a study of another model; give it another --study name.")
    begun = "" if store.cases() and store.fact("reading") is None else reading().pixels_key()
    store.describe({"reading": begun})  # studies of earlier versions have no such fact
    names = ("name", "split", "limit", "seed", "lime_samples", "unseen")
    facts = {n: getattr(plan, n) for n in names} | {"methods": list(plan.methods), "data": str(plan.data.resolve())}
    facts["reading"] = reading().pixels_key()
    if plan.vocabulary is not None:
        facts["vocabulary"] = list(plan.vocabulary)
    store.describe(facts)
    for key, value in facts.items():
        if (old := store.fact(key)) != value:
            store.close()
            raise ConfigError(
                f"{plan.folder}: this study was begun with {key} {old!r}, not {value!r}; give the same again, or "
                "another --study name."
            )


def _chosen(dataset: Dataset, plan: StudyPlan) -> list[Record]:
    """The films to read: of the split; of data without any split all.

    Raises:
        ConfigError: no film of that split.
    """
    whole = plan.split == "all" or (plan.split == "test" and not dataset.splits)
    records = list(dataset.records if whole else dataset.split(plan.split).records)
    if not records and len(dataset):
        have = ", ".join(dataset.splits) or "no split"
        raise ConfigError(f"{plan.data}: no film of split {plan.split!r}; it has {have}. --split all reads every film.")
    if plan.limit is not None and plan.limit < len(records):
        records = random.Random(plan.seed).sample(records, plan.limit)
    return records


def _add(
    store: Store, dataset: Dataset, records: Sequence[Record], left: list[tuple[Path, str]], say: Progress
) -> None:
    """Read every film once: its size, its checksum, and that it can be read."""
    known = {c.image_id for c in store.cases()}
    found: list[Case] = []
    for done, record in enumerate(records, start=1):
        if record.image_id not in known:
            try:
                _storable(record)
                film = read(record.path)
            except ImageError as error:
                left.append((record.path, str(error).removeprefix(f"{record.path}: ")))
            else:
                label = None if record.label is None else dataset.class_names[record.label]
                place, digest = str(record.path.resolve()), sha256_file(record.path)
                opaque = secrets.token_hex(6)
                if day := next((d for d in map(day_of, (*_dates(record), film.metadata.get("StudyDate"))) if d), None):
                    describe_day(store, opaque, day)
                found.append(Case(opaque, record.image_id, place, record.patient_id, label, film.shape, digest))
        if done % 50 == 0 or done == len(records):  # in pieces, so that an interrupted start goes on
            store.add_cases(found)
            found.clear()
        say("reading films", done, len(records))


def _dates(record: Record) -> list[str | None]:
    """What a manifest says of when a film was taken."""
    return [record.column(name) for name in ("study_date", "StudyDate", "date", "acquisition_date")]


def _storable(record: Record) -> None:
    """Refuse a name that no database and no export could hold.

    Raises:
        ImageError: it is not UTF-8.
    """
    for text in (str(record.path.resolve()), record.image_id, record.patient_id or ""):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ImageError(f"{record.path}: the name is not UTF-8; rename the file or its folder.") from None


def addresses(
    context: StudyContext, readers: Sequence[str], adjudicators: Sequence[str], address: str
) -> list[tuple[str, str]]:
    """(who, one-time address) of every reader, adjudicator and the organiser; tokens stand behind "#", in no log."""
    store = context.store
    tokens = [(name, new_token(store, store.reader(name))) for name in readers]
    tokens += [(name, new_token(store, store.reader(name, "adjudicator"))) for name in adjudicators]
    tokens.append(("organiser", new_token(store, None)))
    return [(who, f"{address}/#{token}") for who, token in tokens]
