"""`audit`: tests a classifier for shortcut use, top to bottom."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import Table, collect
from radiolucent.audits.trial.attribution import Pointing
from radiolucent.audits.trial.base import Case, Progress, Test, edits_of
from radiolucent.audits.trial.distort import Edit
from radiolucent.audits.trial.headline import by_severity, verdict_of
from radiolucent.audits.trial.regions import Masker, View, view_of
from radiolucent.audits.trial.tests import chosen_tests
from radiolucent.bounds import expect
from radiolucent.data import Dataset, Record
from radiolucent.data.relabel import relabel
from radiolucent.errors import ConfigError, DataError, ImageError
from radiolucent.explainers import Explainer, methods_named
from radiolucent.files import file_stamp
from radiolucent.images import read
from radiolucent.metrics import auroc
from radiolucent.models import Classifier
from radiolucent.models.classifier import check_classifier
from radiolucent.shown import Shown
from radiolucent.types import Annotation, Estimate, Finding, Verdict

__all__ = ["Audit", "Options", "asked", "audit", "examine", "examine_views"]

MET = 400
"""Films trained on that are looked at."""


@dataclass(frozen=True, eq=False)
class Audit(Shown):
    """All that an audit found.

    Attributes:
        findings: in order of severity. table: the model's answers. maps: by method, where its maps point.
        verdict: of the model: "fail" where a test that decides fails, "inconclusive" where none fails but no
            intervention passed either, else "pass" (see `verdict_of`).
        headline: the verdict in one sentence.
        class_names, positive: of the classifier.
        records: the films, in the order asked; `view(record)` gives one as the audit changes it. ask: from films uint8
            (N, S, S) in the model's frame to calibrated probabilities (N,) of the positive class.
        edits: the changes that were made, by name. tests: the tests that were made.
        masks: what made the masks. model: the classifier's `meta`, hash and number of parameters, JSON-ready.
    """

    findings: tuple[Finding, ...]
    table: Table
    maps: Mapping[str, Pointing]
    verdict: Verdict
    headline: str
    class_names: tuple[str, ...]
    positive: int
    records: tuple[Record, ...]
    view: Callable[[Record], View]
    ask: Callable[[NDArray[np.uint8]], NDArray[np.float64]]
    edits: Mapping[str, Edit]
    tests: tuple[Test, ...]
    masks: str = ""
    model: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        return (
            f"Audit({self.verdict}, {len(self.findings)} findings on {len(self.records)} films: {self.headline[:200]})"
        )

    @cached_property
    def auroc(self) -> Estimate:
        """AUROC of the model on the untouched audited films, by patient."""
        table = self.table
        groups = np.array(table.patients)[table.known]
        return auroc(table.truth[table.known], table.original[table.known], groups=groups)

    @property
    def reasons(self) -> Finding | None:
        """The reasons score (see `reasons`): its finding; None where it was not asked for or films do not allow it."""
        return next((f for f in self.findings if f.test == "reasons.score" and f.estimate), None)

    @property
    def without_score(self) -> str:
        """Why there is no reasons score, in a sentence; "" where there is one."""
        told = [f.summary for f in self.findings if f.test == "reasons.score"]
        return "" if self.reasons else (told or ["It was not asked for: the chosen tests leave it out."])[0]

    def rows(self) -> list[Mapping[str, Any]]:
        """A row a finding."""
        return [row for f in self.findings for row in f.rows()]


class Options(TypedDict, total=False):
    """What `examine` and `audit` take beside the classifier and the films."""

    annotations: Sequence[Annotation]
    lungs: Masker | None
    markers: Masker | None
    groups: Mapping[str, Sequence[str | None]] | None
    methods: Sequence[str]
    map_films: int
    probe_films: int
    whole: Dataset | None
    trained: Sequence[Record]
    data_checks: bool
    tests: Sequence[str]
    discover: bool
    folder: str | Path | None
    mask_note: str
    level: float
    seed: int
    progress: Progress | None


def audit(classifier: Classifier, dataset: Dataset | Sequence[Record], **options: Unpack[Options]) -> list[Finding]:
    """Test a classifier for shortcut use and return the findings, gravest first; `examine` returns all there is.

    Takes the options of `examine`.
    """
    return list(examine(classifier, dataset, **options).findings)


def asked(tests: Sequence[str], methods: Sequence[str]) -> tuple[tuple[Test, ...], tuple[str, ...]]:
    """The tests, and of the methods those that these tests look at; needs neither data nor model.

    Raises:
        ConfigError: a name that no finding or method has.
    """
    methods_named(methods)
    chosen = chosen_tests(tests, methods)
    wanted = tuple(m for m in methods if not tests or any(t.can_bear(start, (m,)) for t in chosen for start in tests))
    return chosen, wanted


def examine(
    classifier: Classifier,
    dataset: Dataset | Sequence[Record],
    *,
    annotations: Sequence[Annotation] = (),
    lungs: Masker | None = None,
    markers: Masker | None = None,
    groups: Mapping[str, Sequence[str | None]] | None = None,
    methods: Sequence[str] = ("gradcam",),
    map_films: int = 100,
    probe_films: int = 1000,
    whole: Dataset | None = None,
    trained: Sequence[Record] = (),
    data_checks: bool = True,
    tests: Sequence[str] = (),
    discover: bool = True,
    folder: str | Path | None = None,
    mask_note: str = "",
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> Audit:
    """Test a classifier for shortcut use.

    Args:
        dataset: films with labels, ones that the classifier was not trained on; classes are matched by name.
        annotations: doctors' regions, kept clear of control patches.
        lungs, markers: from a film to its mask in source pixels (see `masks_from_folder`); None: not known, and the
            tests that need them are "not applicable".
        groups: further groupings of the films by name, in the dataset's order; site and etiology are taken from it.
        methods: explainers by name, for where maps point; () for none. map_films: films explained. probe_films: films
            that small probes are trained on.
        data_checks: also check the data set itself (metadata that predicts the label, duplicates, patients): `whole`,
            where the audited films are one split of more. trained: the films that the model was trained or chosen on.
        tests: only findings whose names begin with one of these, e.g. "marker", "regions.no_lungs"; all unless given.
        discover: also look for shortcuts that have no name here (`discovered`).
        folder: keeps a journal there, so that the same call goes on after a kill. mask_note: what made the masks, which
            is part of the journal's identity.
        level, seed: of all intervals; of everything random.
        progress: called with (stage, done, total).

    Raises:
        DataError: no labelled film, or none readable. ConfigError: a name that no finding or
            method has; groups of another number; a model of several labels.
    """
    check_classifier(classifier)
    if classifier.multilabel:
        raise ConfigError(
            f"an audit is of one label; this model tells {', '.join(classifier.class_names)}. Audit each: "
            "audit(classifier.of_label(NAME), radiolucent.data.of_label(dataset, NAME)), or `radiolucent audit RUN "
            "DATA --target NAME`."
        )
    chosen, methods = asked(tests, methods)
    chosen = tuple(t for t in chosen if discover or t.family != "discovered")
    films = _films(dataset, classifier)
    for name, labels in (groups or {}).items():
        if len(labels) != len(films):
            raise ConfigError(f"groups {name!r}: {len(labels)} labels for {len(films)} films; expected one a film.")
    view = _viewer(classifier, films, annotations, lungs, markers)
    edits = dict(edits_of(chosen))
    small = tuple(dict.fromkeys(name for t in chosen for name in t.small))
    keys = [r.image_id for r in films.records]
    settings = _identity(films.records, annotations, mask_note, lungs, markers)
    home = None if folder is None else Path(folder)
    table = collect(
        classifier, len(films), lambda i: view(films.records[i]), edits, keys=keys,
        small=_drawn(keys, probe_films, seed) if small else (), small_edits=small,
        settings=settings, folder=home, seed=seed, progress=_stage(progress, "asking the model"),
    )  # fmt: skip
    by_id = {r.image_id: r for r in films.records}
    case = Case(
        classifier, table, lambda name: view(by_id[name]), lambda name: view(by_id[name], False), chosen, films, whole,
        trained, partial(_met, view, trained, seed), groups or {}, _explainers(methods, classifier.preprocess.size),
        map_films, data_checks, level, seed, home, settings, progress,
    )  # fmt: skip
    findings = [f for test in chosen for f in test.findings(case) if not tests or f.test.startswith(tuple(tests))]
    ordered = by_severity(findings)
    verdict, headline = verdict_of(ordered)
    return Audit(
        tuple(ordered),
        table,
        case.made.get("maps", {}),
        verdict,
        headline,
        classifier.class_names,
        classifier.positive,
        films.records,
        view,
        _asker(classifier),
        edits | case.made.get("edits", {}),
        chosen,
        mask_note,
        {
            "meta": classifier.meta(),
            "hash": classifier.hash,
            "parameters": sum(p.numel() for p in classifier.network.parameters()),
        },
    )


def examine_views(
    classifier: Classifier,
    views: Sequence[View],
    tests: Sequence[Test],
    *,
    met: Sequence[View] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[list[Finding], Table]:
    """The findings of these tests on films that are views already, gravest first, and the table of answers.

    Args:
        met: films that the network was trained on; None where they are not known.
    """
    by_id = {v.image_id: v for v in views}
    table = collect(classifier, len(views), lambda i: views[i], edits_of(tests), keys=list(by_id), seed=seed)
    known = None if met is None else lambda: met
    case = Case(
        classifier, table, by_id.__getitem__, by_id.__getitem__, tuple(tests), met=known, level=level, seed=seed
    )
    return by_severity([f for test in tests for f in test.findings(case)]), table


def _viewer(
    classifier: Classifier,
    films: Dataset,
    annotations: Sequence[Annotation],
    lungs: Masker | None,
    markers: Masker | None,
) -> Callable[..., View]:
    """From a record to its film with what lies where; `whole`: also beside the window of a model that looks at one."""
    by_image: dict[str, list[Annotation]] = {}
    for a in annotations:
        by_image.setdefault(a.image_id, []).append(a)

    def view(record: Record, whole: bool = True) -> View:
        film = dataclasses.replace(read(record.path, image_id=record.image_id), patient_id=record.patient_id)
        return view_of(
            film, classifier.preprocess, label=record.label, site=record.site, lungs=lungs, markers=markers,
            annotations=by_image.get(record.image_id, ()), whole=whole,
        )  # fmt: skip

    return view


def _asker(classifier: Classifier) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    def ask(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        inputs = classifier.preprocess.normalise(torch.from_numpy(pixels))
        return classifier.probabilities(classifier.logits(inputs))[:, classifier.positive].numpy()

    return ask


def _met(view: Callable[..., View], trained: Sequence[Record], seed: int) -> list[View]:
    """Up to `MET` of the films trained on, drawn at random; those that cannot be read any more are passed over."""
    found: list[View] = []
    for i in np.random.default_rng([seed, 67]).permutation(len(trained))[:MET]:
        try:
            found.append(view(trained[int(i)]))
        except (ImageError, OSError):
            continue
    return found


def _explainers(methods: Sequence[str], side: int) -> dict[str, Explainer]:
    """Methods by name, of which none asks about more than 300 altered images a map."""
    return {name: method.cheaper(300, side) for name, method in methods_named(methods).items()}


def _drawn(keys: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """The films of which small pictures are kept, drawn at random."""
    order = np.random.default_rng([seed, 63]).permutation(len(keys))[:count]
    return tuple(keys[int(i)] for i in sorted(order))


def _stage(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _films(dataset: Dataset | Sequence[Record], classifier: Classifier) -> Dataset:
    if not isinstance(dataset, Dataset):
        for record in dataset if isinstance(dataset, list | tuple) else [dataset]:
            expect(record, Record, "films with labels", "rl.load_dataset(folder or manifest), or some of its records")
        dataset = Dataset(tuple(dataset), classifier.class_names)
    films = relabel(dataset, classifier.class_names)
    if not any(r.label is not None for r in films.records):
        raise DataError(f"none of {len(films)} films has a label; an audit needs labelled films of both classes.")
    return films


def _crc(pixels: NDArray[Any] | None) -> int | None:
    return None if pixels is None else zlib.crc32(np.packbits(pixels).tobytes())


def _identity(
    records: Sequence[Record],
    annotations: Sequence[Annotation],
    mask_note: str,
    lungs: Masker | None,
    markers: Masker | None,
) -> dict[str, Any]:
    """What decides the answers besides model, edits and seed."""
    films = [(r.image_id, str(r.path), file_stamp(r.path), r.patient_id, r.label, r.site) for r in records]
    marks = [
        (a.image_id, a.reader, r.kind, None if r.points is None else r.points.tolist(), _crc(r.pixels))
        for a in annotations
        for r in a.regions
    ]
    return {
        "films": zlib.crc32(repr(films).encode()),
        "annotations": zlib.crc32(repr(marks).encode()),
        "masks": mask_note,
        "lungs": lungs is not None,
        "markers": markers is not None,
    }
