"""`audit`: the classifier on trial, top to bottom."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import Table, collect
from radiolucent.audits.trial.attribution import Pointing, as_film, attribution, fixed_peaks, point
from radiolucent.audits.trial.calibrated import calibrated
from radiolucent.audits.trial.interventions import INTERVENTIONS, edits_of, interventions
from radiolucent.audits.trial.leaked import leaked
from radiolucent.audits.trial.map_slices import map_slices
from radiolucent.audits.trial.masked import MASKED_EDITS, masked
from radiolucent.audits.trial.probes import PROBED, PROBES, probes
from radiolucent.audits.trial.regions import Masker, View, view_of
from radiolucent.audits.trial.retrained import retrained
from radiolucent.audits.trial.stress import STRESSES, stress
from radiolucent.audits.trial.subgroups import slices, source_in_embedding, subgroups
from radiolucent.audits.trust.stamping import trust_randomisation
from radiolucent.data import Dataset, Record, check
from radiolucent.data.relabel import relabel
from radiolucent.errors import ConfigError, DataError, ImageError
from radiolucent.explainers import METHODS, Explainer
from radiolucent.images import read
from radiolucent.models import Classifier
from radiolucent.types import Annotation, Finding, Radiograph, Verdict

__all__ = ["Audit", "audit", "by_severity", "examine", "verdict_of"]

Progress = Callable[[str, int, int], None]
_ORDER = {"fail": 0, "inconclusive": 1, "pass": 2, "not applicable": 3}
_CONCERNS = {"model": 0, "data": 1, "map": 2}


@dataclass(frozen=True, eq=False)
class Audit:
    """All that an audit found.

    Attributes:
        findings: in order of severity. table: the model's answers. maps: by method, where its maps point.
        verdict: of the model: "fail" where an intervention or a test on parts of the film fails, "inconclusive" where
            none fails but no intervention passed either, else "pass" (see `verdict_of`).
        headline: the verdict in one sentence.
        class_names, positive: of the classifier.
        records: the films, in the order asked; `view(record)` gives one as the model sees it. ask: from films uint8
            (N, S, S) in the model's frame to calibrated probabilities (N,) of the positive class.
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
    masks: str = ""
    model: Mapping[str, Any] = field(default_factory=dict[str, Any])


def audit(classifier: Classifier, dataset: Dataset | Sequence[Record], **options: Any) -> list[Finding]:
    """Put a classifier on trial and return the findings, gravest first; `examine` returns all there is.

    Takes the options of `examine`.
    """
    return list(examine(classifier, dataset, **options).findings)


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
    folder: str | Path | None = None,
    mask_note: str = "",
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> Audit:
    """Put a classifier on trial.

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
        tests: only tests whose name starts with one of these, e.g. "marker", "regions.no_lungs"; all unless given.
        folder: keeps a journal there, so that the same call goes on after a kill. mask_note: what made the masks, which
            is part of the journal's identity.
        level, seed: of all intervals; of everything random.
        progress: called with (stage, done, total).

    Raises:
        DataError: no labelled film, or none readable. ConfigError: a name that no test or method has.
    """
    films = _films(dataset, classifier)
    edits = _edits(tests)
    for name, labels in (groups or {}).items():
        if len(labels) != len(films):
            raise ConfigError(f"groups {name!r}: {len(labels)} labels for {len(films)} films; expected one a film.")
    if unknown := [m for m in methods if m not in METHODS]:
        raise ConfigError(f"method {', '.join(unknown)}; expected any of {', '.join(METHODS)}.")
    by_image: dict[str, list[Annotation]] = {}
    for a in annotations:
        by_image.setdefault(a.image_id, []).append(a)

    def view(record: Record, whole: bool = True) -> View:
        film = dataclasses.replace(read(record.path, image_id=record.image_id), patient_id=record.patient_id)
        return view_of(
            film, classifier.preprocess, label=record.label, site=record.site, lungs=lungs, markers=markers,
            annotations=by_image.get(record.image_id, ()), whole=whole,
        )  # fmt: skip

    def ask(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        inputs = classifier.preprocess.normalise(torch.from_numpy(pixels))
        return classifier.probabilities(classifier.logits(inputs))[:, classifier.positive].numpy()

    records = films.records
    keys = [r.image_id for r in records]
    table = collect(
        classifier, len(records), lambda i: view(records[i]), edits, keys=keys,
        small=_small(keys, edits, tests, probe_films, seed), small_edits=PROBED,
        settings=_identity(records, annotations, mask_note, lungs, markers),
        folder=None if folder is None else Path(folder), seed=seed, progress=_stage(progress, "asking the model"),
    )  # fmt: skip
    findings = judge(table, edits, level=level, seed=seed) + probes(table, level=level, seed=seed)
    if not tests:
        findings += subgroups(table, _groupings(films, table, groups or {}), level=level, seed=seed)
        findings += [slices(table, level=level, seed=seed), source_in_embedding(table, level=level, seed=seed)]
        findings += [calibrated(table, level=level, seed=seed)]
    # Maps lie in the model's own frame, where films are cropped already.
    bare = classifier.with_(preprocess=dataclasses.replace(classifier.preprocess, window=None))

    def seen(record: Record) -> View:
        return view(record, whole=False)

    maps = _maps(bare, records, seen, methods, map_films, seed, progress) if not tests else {}
    if maps:
        findings += _sanity(bare, records, seen, methods, seed)
    for name, shown in maps.items():
        findings += attribution(name, shown, level=level, seed=seed) + fixed_peaks(name, shown, classifier.class_names)
        findings += [map_slices(name, shown, table, level=level, seed=seed)]
    if maps:
        findings += retrained(table, _chosen_methods(methods), level=level, seed=seed, progress=progress)
    if data_checks and not tests:
        every = films if whole is None else relabel(whole, classifier.class_names)
        findings += [*check(every, progress=_stage(progress, "checking the data")), leaked(records, trained)]
    ordered = by_severity(findings)
    verdict, headline = verdict_of(ordered)
    return Audit(
        tuple(ordered),
        table,
        maps,
        verdict,
        headline,
        classifier.class_names,
        classifier.positive,
        records,
        view,
        ask,
        mask_note,
        {
            "meta": classifier.meta(),
            "hash": classifier.hash,
            "parameters": sum(p.numel() for p in classifier.network.parameters()),
        },
    )


def _films(dataset: Dataset | Sequence[Record], classifier: Classifier) -> Dataset:
    films = dataset if isinstance(dataset, Dataset) else Dataset(tuple(dataset), classifier.class_names)
    films = relabel(films, classifier.class_names)
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
    films = [(r.image_id, str(r.path), r.patient_id, r.label, r.site) for r in records]
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


REGIONS = ("regions.no_lungs", "regions.border_only", "regions.lungs_only")


def _edits(tests: Sequence[str]) -> tuple[str, ...]:
    """The edits that the wanted tests need, controls included."""

    def wanted(name: str) -> bool:
        return not tests or any(name.startswith(t) for t in tests)

    chosen = {name: test for name, test in INTERVENTIONS.items() if wanted(name)}
    parts = MASKED_EDITS if any(wanted(name) for name in (*REGIONS, *PROBES)) else ()
    found = (*edits_of(chosen), *parts, *(name for name in STRESSES if wanted(name)))
    if not found:
        raise ConfigError(
            f"tests {', '.join(tests)}; expected the beginning of any of "
            f"{', '.join([*INTERVENTIONS, *REGIONS, *PROBES, *STRESSES])}."
        )
    return tuple(dict.fromkeys(found))


def _small(keys: Sequence[str], edits: Sequence[str], tests: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """The films whose small pictures probes are trained on: drawn at random; none where no probe is wanted."""
    wanted = not tests or any(name.startswith(t) for name in PROBES for t in tests)
    if not wanted or not set(MASKED_EDITS) <= set(edits):
        return ()
    order = np.random.default_rng([seed, 63]).permutation(len(keys))[:count]
    return tuple(keys[int(i)] for i in sorted(order))


def judge(table: Table, edits: Sequence[str], *, level: float = 0.95, seed: int = 0) -> list[Finding]:
    """The findings that rest on the table of answers alone."""
    chosen = [i for i in INTERVENTIONS.values() if {i.edit, i.control} <= {*edits, "original"}]
    findings = interventions(table, chosen, level=level, seed=seed) if chosen else []
    if set(MASKED_EDITS) <= set(edits):
        findings += masked(table, level=level)
    return findings + stress(table, level=level, seed=seed)


def _groupings(
    films: Dataset, table: Table, given: Mapping[str, Sequence[str | None]]
) -> dict[str, Sequence[str | None]]:
    row = {r.image_id: i for i, r in enumerate(films.records)}
    place = [row[name] for name in table.image_ids]
    every: dict[str, Sequence[str | None]] = {
        "site": [r.site for r in films.records],
        "etiology": [r.etiology or ("none" if r.label is not None else None) for r in films.records],
        **given,
    }
    chosen = {name: [labels[i] for i in place] for name, labels in every.items()}
    return {name: labels for name, labels in chosen.items() if len({x for x in labels if x is not None}) > 1}


def _maps(
    classifier: Classifier,
    records: Sequence[Record],
    view: Callable[[Record], View],
    methods: Sequence[str],
    count: int,
    seed: int,
    progress: Progress | None,
) -> dict[str, Pointing]:
    """Explain up to `count` films, drawn at random, in batches of eight."""
    if not methods or not count:
        return {}
    chosen = _chosen_methods(methods)
    found = {m: Pointing() for m in methods}
    order = np.random.default_rng([seed, 61]).permutation(len(records))[:count]
    for start in range(0, len(order), 8):
        views: list[View] = []
        for i in order[start : start + 8]:
            try:
                views.append(view(records[int(i)]))
            except ImageError:
                continue  # the table lists it
        if views:
            point(classifier, views, chosen, found, seed=seed)
        if progress:
            progress("explaining", min(start + 8, len(order)), len(order))
    return found


def _chosen_methods(methods: Sequence[str]) -> dict[str, Explainer]:
    return {m: METHODS[m](**({"num_samples": 300} if m == "lime" else {})) for m in methods}


def _sanity(
    classifier: Classifier, records: Sequence[Record], view: Callable[[Record], View], methods: Sequence[str], seed: int
) -> list[Finding]:
    """Of each method: do its maps change as the network's weights are randomised (Adebayo 2018)? On three films."""
    films: list[Radiograph] = []
    for record in records:
        try:
            films.append(as_film(view(record)))
        except ImageError:
            continue  # the table lists it
        if len(films) == 3:
            break
    return [
        dataclasses.replace(
            trust_randomisation(classifier, films, method, target=classifier.positive, seed=seed),
            test=f"maps.{name}.randomisation",
            concerns="map",
        )
        for name, method in _chosen_methods(methods).items()
    ]


def _stage(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Failed findings first: on the model, then the data, then maps.

    Of those on the model, interventions come first, then parts of the film, then its weaknesses; of each the gravest.
    """

    def key(finding: Finding) -> tuple[float, ...]:
        kind = 0 if finding.test in INTERVENTIONS else 1 if finding.test in REGIONS else 2
        return _ORDER[finding.verdict], _CONCERNS[finding.concerns], kind, -finding.severity

    return sorted(findings, key=key)


def verdict_of(findings: Sequence[Finding]) -> tuple[Verdict, str]:
    """The model's verdict and its headline.

    Only the *use* of something beside the lungs fails it: an intervention or a test on parts of the film. What the data
    offer and maps show does not, nor do weaknesses (stress, groups, calibration), which the headline counts.
    """
    own = [f for f in by_severity(findings) if f.concerns == "model"]
    trial = [f for f in own if f.test in INTERVENTIONS or f.test in REGIONS]
    failed = [f for f in trial if f.verdict == "fail"]
    open_ = [f for f in trial if f.verdict == "inconclusive"]
    verb = "is" if len(open_) == 1 else "are"
    weak = sum(f.verdict == "fail" for f in own) - len(failed)
    tests = "test fails" if weak == 1 else "tests fail"
    weaknesses = f" Of robustness, groups and calibration {weak} {tests}." if weak else ""
    if failed:
        lead = failed[0]
        known = lead.test in INTERVENTIONS
        words = INTERVENTIONS[lead.test].says("fail") if known else _PARTS[lead.test]
        more = f"; {len(failed)} tests on shortcuts fail in all" if len(failed) > 1 else ""
        return "fail", f"FAIL: {words}{more}.{weaknesses}"
    if not any(f.verdict == "pass" and f.test in INTERVENTIONS for f in trial):
        return "inconclusive", f"OPEN: no intervention could clear the model; {len(open_)} {verb} open.{weaknesses}"
    more = f"; {len(open_)} of the tests for shortcuts {verb} open" if open_ else ""
    return (
        "pass",
        f"PASS: no test shows that the decision follows a shortcut{more}. It proves no innocence.{weaknesses}",
    )


_PARTS = {
    "regions.no_lungs": "the model tells the classes apart without seeing the lungs",
    "regions.border_only": "the model tells the classes apart from the film's border alone",
}
