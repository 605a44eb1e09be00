"""Any number of films explained in one resumable run, in bounded memory."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from radiolucent import figures
from radiolucent.bounds import PATH, expect
from radiolucent.data import find_films
from radiolucent.errors import ExplainError, ImageError
from radiolucent.explainers import Explainer, NoMap, explain, save_explanation
from radiolucent.explainers.explain import reasons_of
from radiolucent.explainers.footprint import bounded
from radiolucent.explainers.perturbation.copies import Perturbation
from radiolucent.files import file_name, file_stamp, one_process, refuse_among_films, write_bytes
from radiolucent.images import read, read_or_note
from radiolucent.models import Classifier, black_box
from radiolucent.models.classifier import check_classifier
from radiolucent.passes.copy_memory import multiply_adds
from radiolucent.passes.session import Session
from radiolucent.study.case import called_labels, make_case
from radiolucent.study.explained_rows import NO_LABEL, explained_row, row_of, told_of
from radiolucent.study.journal import Journal
from radiolucent.study.many_config import ManyConfig
from radiolucent.study.many_films import FLAT, deep_name, flat_names, readings_of, stamped_sample
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.stamps import Stamper
from radiolucent.types import Annotation, Explanation, Radiograph

__all__ = ["Many", "explain_many"]

SMALL, MUCH = 1_000_000, 100_000_000
"""Weights below which a network is small, unless a pass of it takes so many multiply-adds."""
TRIED = 20
"""Films on which no method gives a map, after which a job is ended: nothing applies to this network."""
WRITERS = 4
"""Maps and panels written at a time: a file waits for the disk most of the time."""


@dataclass(frozen=True)
class Many:
    """What came of it.

    Attributes:
        table, parquet: one row an image, method and target. films: explained in all. new: of them in this call.
        files: what was asked for. left_out: (file, reason) of what could not be used. journal: to read rows from.
        methods_left_out: (method, reason) of methods that gave no map of any film.
    """

    table: Path
    parquet: Path
    files: tuple[Path, ...]
    films: int
    new: int
    left_out: tuple[tuple[Path, str], ...]
    journal: Journal
    methods_left_out: tuple[tuple[str, str], ...] = ()


def explain_many(
    classifier: Classifier,
    paths: Sequence[Path],
    out: Path,
    config: ManyConfig,
    *,
    readings: Sequence[Annotation] = (),
    fresh: bool = False,
    refuse: Callable[[Radiograph], str] | None = None,
    session: Session | None = None,
    say: Progress = quiet,
    begun: Callable[[], None] | None = None,
) -> Many:
    """Explain films and write maps (`maps/`), panels (`panels/`) and one table (CSV and Parquet) into `out`.

    A small job (up to 10 films) has flat names: `film.png` and `maps/film.gradcam.npz`.

    Called again after an interruption or a kill, it goes on: a film that is done and unchanged is not done again, and
    the batch in hand when the process died is made anew under the same names. Each film is read once, and goes
    through the network once for all methods and targets that share a pass. Memory holds one batch, as large as the
    bound allows. A method that fails on a film costs that map alone.

    Args:
        paths: images and folders. readings: doctors' outlines for the panels, matched by the longest common end of
            their paths; those of other films are passed over.
        fresh: start again. refuse: says why a film is not to be explained, or "": such films are listed as left out.
        session: how networks are run (see `radiolucent.passes.session`).
        begun: called once, when there is a map, before any is stamped.

    Raises:
        BusyError: another process writes there. ConfigError: films lie in `out`, or explanations by another model or
            with other settings or readings. ExplainError: no method gave a map of any film, or of the first 20 it was
            tried on.
    """
    check_classifier(classifier)
    expect(out, PATH, "place to write to", "the path of a folder")
    expect(config, ManyConfig, "configuration", "rl.study.ManyConfig((rl.LIME(),))")
    with one_process(out):
        return _explained(classifier, paths, Path(out), config, readings, fresh, refuse, session, say, begun)


def _session(classifier: Classifier, films: int, methods: Sequence[Explainer]) -> Session:
    """OpenVINO takes seconds to convert a network; a small one has answered on a few films by then."""
    small = films <= FLAT and sum(p.numel() for p in classifier.network.parameters()) < SMALL
    asks = any(isinstance(m, Perturbation) for m in methods) and classifier.device.type == "cpu"
    if small and asks and black_box(classifier.network) is None:
        with suppress(Exception):  # somebody's network may refuse a blank film in any way
            blank = classifier.preprocess.normalise(torch.zeros(1, *classifier.preprocess.shape))
            small = multiply_adds(classifier, blank) < MUCH
    return Session(films=films, without=("openvino",) if small else ())


def _explained(
    classifier: Classifier,
    paths: Sequence[Path],
    out: Path,
    config: ManyConfig,
    readings: Sequence[Annotation],
    fresh: bool,
    refuse: Callable[[Radiograph], str] | None,
    session: Session | None,
    say: Progress,
    begun: Callable[[], None] | None,
) -> Many:
    files, left = find_films(paths)
    refuse_among_films([out], [*(path for path in paths if path.is_dir()), *(file.parent for file in files)])
    session = session or _session(classifier, len(files), config.methods)
    journal = Journal(out, config.settings(classifier, readings), fresh=fresh)
    for folder in (out / "maps", out / "panels"):
        for stray in folder.rglob(".*.*.*"):  # half-written by a process that was killed
            stray.unlink()
    placed, unclear = readings_of(readings, files)
    left += unclear
    names = flat_names(files, journal)
    run = _Run(
        classifier, out, config, placed, stamped_sample(files, config), session, refuse, names, len(files), begun
    )
    todo = [file for file in files if not journal.has(str(file), file_stamp(file))]
    done = len(files) - len(todo)
    run.session.films = len(files)
    run.worked |= {row["method"] for row in journal.rows() if row["map"]}  # in an earlier call
    held: list[tuple[str, list[int], list[dict[str, Any]]]] = []  # while nothing has worked, nothing counts as done
    for batch in run.batches(todo):
        held += run.explained(batch)
        if run.worked or not run.failed:
            journal.add(held)
            held = []
        elif run.tried == TRIED:
            break
        done += len(batch)
        say("explaining", done, len(files))
    if held:
        raise ExplainError(reasons_of(list(run.failed.values())))
    left += run.refused
    keys = [str(file) for file in files]
    table, parquet = journal.write_tables(out, keys)
    told, explained, none = told_of(journal, keys)
    left += told
    new = len(explained.intersection(map(str, todo)))
    return Many(table, parquet, tuple(files), len(explained), new, tuple(left), journal, none)


@dataclass(frozen=True)
class _Waiting:
    """A file with what it was when it was read: the film, or why there is none."""

    file: Path
    stamp: list[int]
    film: Radiograph | None
    error: str = ""


@dataclass(eq=False)
class _Run:
    classifier: Classifier
    out: Path
    config: ManyConfig
    readings: Mapping[str, Sequence[Annotation]]
    trusted: set[str]
    session: Session
    refuse: Callable[[Radiograph], str] | None
    names: Mapping[str, str]
    count: int
    begun: Callable[[], None] | None = None
    tried: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])
    worked: set[str] = field(default_factory=set[str])
    failed: dict[str, NoMap] = field(default_factory=dict[str, NoMap])
    fitted: Sequence[Explainer] = ()

    @property
    def methods(self) -> Sequence[Explainer]:
        """The methods as they keep within the bound, once a film has been measured."""
        return self.fitted or self.config.methods

    def batches(self, files: Sequence[Path]) -> Iterator[list[_Waiting]]:
        """Files, each read once, in groups that keep within the bound on memory.

        While no method has worked, no group goes beyond the first `TRIED` films that one was tried on.
        """
        waiting: list[_Waiting] = []
        share = 0.5 if any(m.one_by_one for m in self.config.methods) else 1.0  # the rest is theirs
        limit, most, each, held = share * self.config.max_memory_mb * 2**20, 1, 0, 0
        for file in files:
            stamp, why = file_stamp(file), list[tuple[Path, str]]()
            film = read_or_note(file, why, image_id=str(file))
            if film is not None and self.refuse is not None and (reason := self.refuse(film)):
                self.refused.append((file, reason))
                continue
            if film is not None and not self.fitted:
                most, each = self._bound(film)
            taken = 0 if film is None else each + 2 * film.pixels.nbytes
            fits = most if self.worked else min(most, TRIED - self.tried)
            if waiting and (len(waiting) >= fits or (self.config.batch_size is None and held + taken > limit)):
                yield waiting
                waiting, held = [], 0
            waiting.append(_Waiting(file, stamp, film, why[0][1] if why else ""))
            held += taken
        if waiting:
            yield waiting

    def _bound(self, film: Radiograph) -> tuple[int, int]:
        """(films at a time, bytes a film), and the methods as they keep within the bound."""
        clf, config = self.classifier, self.config
        targets = [clf.index_of(t) for t in config.targets] or (range(clf.outputs) if clf.multilabel else None)
        try:
            how = config.methods, config.max_memory_mb, targets
            self.fitted, most, each = bounded(clf, film, *how, films=self.count)
        except ExplainError:  # this film, or every one: told when it is explained; the next one is measured
            most, each = 1, 0
        return config.batch_size or most, each

    def explained(self, batch: Sequence[_Waiting]) -> list[tuple[str, list[int], list[dict[str, Any]]]]:
        """Explain some films; everything is on disk when they are handed over."""
        films = [w.film for w in batch if w.film is not None]
        made = self._by_all(films) if films else []
        if self.begun is not None and any(isinstance(e, Explanation) for some in made for e in some):
            self.begun()
            self.begun = None
        maps = iter(made)
        with ThreadPoolExecutor(WRITERS) as pool:
            saved: list[Future[Any]] = []

            def keep(write: Callable[..., Any], *what: Any) -> None:
                saved.append(pool.submit(write, *what))
                if len(saved) > 2 * WRITERS:  # no more waiting pictures than that
                    saved[-2 * WRITERS].result()

            rows = [
                self._written(w.film, next(maps), keep) if w.film else [row_of(str(w.file), error=w.error)]
                for w in batch
            ]
            for waited in saved:
                waited.result()
        self.tried += sum(any(row["method"] for row in some) for some in rows)
        return [(str(w.file), w.stamp, some) for w, some in zip(batch, rows, strict=True)]

    def _by_all(self, films: Sequence[Radiograph]) -> Sequence[Sequence[Explanation | NoMap]]:
        """Every method's maps of every film, from shared forward passes; where one fails, one by one."""
        if self.classifier.multilabel and not self.config.targets:
            return self._of_called_labels(films)
        return self._of_targets(films, list(self.config.targets) or None)

    def _of_called_labels(self, films: Sequence[Radiograph]) -> Sequence[Sequence[Explanation | NoMap]]:
        """One map a label that a film is called, films with the same labels together; none where no label is called."""
        clf = self.classifier
        logits = clf.logits(torch.stack([clf.preprocess(film) for film in films]))
        called = [tuple(called_labels(clf, row[None])) for row in logits]
        found: list[Sequence[Explanation | NoMap]] = [[NoMap(film.image_id, "", NO_LABEL)] for film in films]
        for labels in dict.fromkeys(some for some in called if some):
            places = [i for i, some in enumerate(called) if some == labels]
            made = self._of_targets([films[i] for i in places], list(labels))
            for i, maps in zip(places, made, strict=True):
                found[i] = maps
        return found

    def _of_targets(
        self, films: Sequence[Radiograph], targets: list[str] | None
    ) -> Sequence[Sequence[Explanation | NoMap]]:
        c = self.config
        options: dict[str, Any] = {"contrast": c.contrast, "score": c.score, "seed": c.seed, "batch_size": len(films)}
        options |= {"target": targets, "session": self.session}
        doubtful = self.failed.keys() - self.worked
        found: dict[str, list[Explanation | NoMap]] = {film.image_id: [] for film in films}
        for group in (  # what has always failed is asked by itself: the others share their passes without it
            [m for m in self.methods if m.name not in doubtful],
            [m for m in self.methods if m.name in doubtful],
        ):
            none: list[NoMap] = []
            with suppress(ExplainError):  # nothing at all: `none` says why
                for maps in explain(self.classifier, films, group, left_out=none, **options) if group else ():
                    for e in maps:
                        found[e.image_id].append(e)
                        self.worked.add(e.method)
            for each in none:
                found[each.image_id].append(each)
                self.failed.setdefault(each.method, each)
        order = [m.name for m in self.methods]
        return [sorted(found[film.image_id], key=lambda e: order.index(e.method)) for film in films]

    def _written(
        self, film: Radiograph, maps: Sequence[Explanation | NoMap], keep: Callable[..., None]
    ) -> list[dict[str, Any]]:
        flat = self.names.get(film.image_id)
        name = flat or deep_name(film.image_id)
        good = [self._stamped(film, e) for e in maps if isinstance(e, Explanation)]
        failed = [
            row_of(film.image_id, method=e.method, error=f"{e.method}: {e.reason}" if e.method else e.reason)
            for e in maps
            if isinstance(e, NoMap)
        ]
        if not good:
            return failed
        case = make_case(self.classifier, film, torch.tensor([good[0].logits]))
        panel = (f"{name}.png" if flat else f"panels/{name}.png") if self.config.panels else None
        rows: list[dict[str, Any]] = []
        for e in good:
            several = len(self.config.targets) > 1 or self.classifier.multilabel
            kind = f".{file_name(e.target_name)}" if several else ""
            file = f"maps/{name}.{e.method}{kind}.npz"
            keep(save_explanation, e, self.out / file)
            rows.append(explained_row(e, case, file, panel))
        if panel:
            said = tuple(self.readings.get(film.image_id, ()))
            case = dataclasses.replace(case, annotations=said, explanations=tuple(good))
            keep(_write_panel, figures.panel(case), self.out / panel)
        return rows + failed

    def _stamped(self, film: Radiograph, e: Explanation) -> Explanation:
        if film.image_id not in self.trusted:
            return e
        return self.stamper(film, e, next(m for m in self.methods if m.name == e.method))

    @cached_property
    def stamper(self) -> Stamper:
        """Stamps maps; the randomisation test is made once for the folder, on the first films that are stamped."""
        c = self.config
        asked: dict[str, Any] = {"target": c.targets[0] if c.targets else None, "contrast": c.contrast, "seed": c.seed}
        if c.contrast is None:
            asked["score"] = c.score
        return Stamper(self.classifier, self._few, asked, self.out / "trust", self.session)

    def _few(self) -> Iterator[Radiograph]:
        """Stamped films in a fixed order, so that the test does not depend on which was done first."""
        for key in sorted(self.trusted):
            with suppress(ImageError):  # the table lists it
                yield read(Path(key), image_id=key)


def _write_panel(picture: Image.Image, file: Path) -> None:
    write_bytes(file, figures.encoded(picture))
