"""From a run and a data set to a study on the table."""

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radiolucent.audits.agreement.markings import JOINED
from radiolucent.data import Dataset, Record, load_dataset
from radiolucent.data.relabel import relabel
from radiolucent.errors import ConfigError, DataError, ImageError
from radiolucent.explainers import METHODS, Explainer
from radiolucent.files import sha256_file
from radiolucent.images import read
from radiolucent.models import Classifier, load
from radiolucent.readers.store import Store
from radiolucent.readers.store_access import new_token
from radiolucent.readers.store_values import Case
from radiolucent.web.desk import Desk
from radiolucent.web.films import Films
from radiolucent.web.refused import FailureLog, RefusalLog
from radiolucent.web.reveal import Reveal

__all__ = ["Opened", "StudyPlan", "addresses", "check_readers", "make_methods", "open_study"]

RESERVED = (*JOINED, "majority", "model", "organiser")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StudyPlan:
    """What to read, and with which model it is compared.

    Attributes:
        run: run folder or checkpoint. data: folder or manifest. folder: where the study is kept.
        name: of the study. split: which films: "test", "val", "train", or "all"; without such splits, all.
        limit: at most so many films, drawn by `seed`; None: all.
        methods: names of maps (see `explainers.METHODS`). lime_samples: perturbed films a LIME map.
        seed: of the drawing, the readers' orders and the maps.
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


@dataclass(frozen=True)
class Opened:
    """The study, and (path, reason) of films that could not be read."""

    desk: Desk
    left_out: tuple[tuple[Path, str], ...]


def make_methods(names: Sequence[str], lime_samples: int) -> Mapping[str, Explainer]:
    """Methods by name.

    Raises:
        ConfigError: an unknown one.
    """
    if unknown := [n for n in names if n not in METHODS]:
        raise ConfigError(f"method {', '.join(unknown)}; expected any of {', '.join(METHODS)}.")
    return {n: METHODS[n](**({"num_samples": lime_samples} if n == "lime" else {})) for n in names}


def open_study(plan: StudyPlan, say: Progress) -> Opened:
    """Open a study, or make it: films get opaque identifiers, in random order, and keep them.

    Raises:
        ConfigError: the folder holds a study of another model, other classes, or begun with other options.
        DataError: no readable film.
    """
    methods = make_methods(plan.methods, plan.lime_samples)
    classifier = load(plan.run)
    store = Store(plan.folder / "study.db")
    _same_study(store, plan, classifier)
    left_out: list[tuple[Path, str]] = []
    known = {c.image_id for c in store.cases()}
    if not known or store.fact("complete") is None:
        try:
            dataset = relabel(load_dataset(plan.data), classifier.class_names)
            _add(store, dataset, _chosen(dataset, plan), left_out, say)
        except BaseException:  # also an interruption: what was read stays, and the next start goes on from there
            store.close()
            raise
        store.describe({"complete": True})
    if not store.cases():
        store.close()
        raise DataError(f"{plan.data}: no readable film for the study.")
    films = Films(plan.folder / "films")
    log, failures = RefusalLog(plan.folder / "refused.log"), FailureLog(plan.folder / "failed.log")
    reveal = Reveal(classifier, films, plan.folder / "reveal", methods, plan.seed, failures)
    positive = classifier.class_names[classifier.positive]
    desk = Desk(store.fact("name"), classifier.class_names, positive, store, films, reveal, log, failures)
    return Opened(desk, tuple(left_out))


def _same_study(store: Store, plan: StudyPlan, classifier: Classifier) -> None:
    """Record how the study was begun, and refuse to go on in another way: the first readers read it so."""
    store.describe({"model": classifier.hash, "classes": list(classifier.class_names), "key": secrets.token_hex(6)})
    if (store.fact("model"), store.fact("classes")) != (classifier.hash, list(classifier.class_names)):
        store.close()
        raise ConfigError(f"{plan.folder}: holds a study of another model; give it another --study name.")
    names = ("name", "split", "limit", "seed", "lime_samples")
    facts = {n: getattr(plan, n) for n in names} | {"methods": list(plan.methods), "data": str(plan.data.resolve())}
    store.describe(facts)
    for key, value in facts.items():
        if (old := store.fact(key)) != value:
            store.close()
            raise ConfigError(
                f"{plan.folder}: this study was begun with {key} {old!r}, not {value!r}; give the same again, or "
                "another --study name."
            )


def check_readers(names: Sequence[str]) -> None:
    """Refuse names that could not be told from each other, or from what stands for several readers.

    Raises:
        ConfigError: an empty or too long name, a reserved one, or the same twice.
    """
    plain = [n.strip().lower() for n in names]
    for name, word in zip(names, plain, strict=True):
        if not 0 < len(word) or len(name) > 80:
            raise ConfigError(f"reader {name[:90]!r}; expected 1 to 80 characters.")
        if word in RESERVED or word.startswith("without "):
            raise ConfigError(f"reader {name!r}: this word has a meaning in the statistics; give a name.")
        if plain.count(word) > 1:
            raise ConfigError(f"reader {name!r} is given twice; expected a name of their own for each.")


def _chosen(dataset: Dataset, plan: StudyPlan) -> list[Record]:
    some = dataset.split(plan.split).records if plan.split != "all" else dataset.records
    records = list(some or dataset.records)
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
                shape = read(record.path).shape
            except ImageError as error:
                left.append((record.path, str(error).removeprefix(f"{record.path}: ")))
            else:
                label = None if record.label is None else dataset.class_names[record.label]
                place, digest = str(record.path.resolve()), sha256_file(record.path)
                opaque = secrets.token_hex(6)
                found.append(Case(opaque, record.image_id, place, record.patient_id, label, shape, digest))
        if done % 50 == 0 or done == len(records):  # in pieces, so that an interrupted start goes on
            store.add_cases(found)
            found.clear()
        say("reading films", done, len(records))


def addresses(desk: Desk, readers: Sequence[str], address: str) -> list[tuple[str, str]]:
    """(who, one-time address) of every reader, and of the organiser; the token stands behind "#", in no log."""
    tokens = [(name, new_token(desk.store, desk.store.reader(name))) for name in readers]
    tokens.append(("organiser", new_token(desk.store, None)))
    return [(who, f"{address}/#{token}") for who, token in tokens]
