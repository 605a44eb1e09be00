"""Any number of films explained in one resumable run, in bounded memory."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radiolucent import figures
from radiolucent.audits import stamp, trust_randomisation
from radiolucent.data import load_dataset
from radiolucent.errors import ConfigError, ExplainError, ImageError
from radiolucent.explainers import Explainer, explain, save_explanation
from radiolucent.files import write_bytes, write_json
from radiolucent.images import read
from radiolucent.models import Classifier
from radiolucent.study.case import finding_from, make_case
from radiolucent.study.config import Progress, quiet
from radiolucent.study.journal import Journal
from radiolucent.types import Annotation, Explanation, Finding, Radiograph

__all__ = ["Many", "ManyConfig", "explain_many", "find_files"]

TRUSTED = 20
"""Films up to which every one is stamped, and the size of the sample beyond."""


@dataclass(frozen=True)
class ManyConfig:
    """How films are explained.

    Attributes:
        methods: each gives a map a film. target: class to explain; None: the called one of each film.
        score: "logit", "probability" or "margin". seed: of everything random.
        panels: also draw a panel (PNG) a film, which takes longer than most maps.
        trust: stamp all films (True), none (False), or a seeded sample of 20 (None; all where there are no more).
        batch_size: films at a time: bounds the memory.
    """

    methods: tuple[Explainer, ...]
    target: str | None = None
    score: Any = "logit"
    seed: int = 0
    panels: bool = True
    trust: bool | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        names = [m.name for m in self.methods]
        if not names or len(set(names)) < len(names) or self.batch_size < 1:
            raise ConfigError(f"methods {names}, batch_size {self.batch_size}; expected different methods and ≥ 1.")

    def settings(self, classifier: Classifier) -> dict[str, Any]:
        """What maps depend on, JSON-ready."""
        kept = ("target", "score", "seed", "panels", "trust")
        return {
            "model": classifier.hash,
            "methods": {m.name: repr(m) for m in self.methods},
            **{name: getattr(self, name) for name in kept},
        }


@dataclass(frozen=True)
class Many:
    """What came of it.

    Attributes:
        table, parquet: one row an image and method. films: explained in all. new: of them in this call.
        files: what was asked for. left_out: (file, reason) of what could not be used. journal: to read rows from.
    """

    table: Path
    parquet: Path
    files: tuple[Path, ...]
    films: int
    new: int
    left_out: tuple[tuple[Path, str], ...]
    journal: Journal


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """(images, (file, reason) of files that cannot be any) of files and folders, each once, in a stable order."""
    found: dict[Path, Path] = {}
    left: list[tuple[Path, str]] = []
    for given in paths:
        if given.is_dir():
            dataset = load_dataset(given)
            left += [(item.path, item.reason) for item in dataset.left_out]
            files = [record.path for record in dataset.records]
        else:
            files = [given]
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values()), left


def explain_many(
    classifier: Classifier,
    paths: Sequence[Path],
    out: Path,
    config: ManyConfig,
    *,
    readings: Sequence[Annotation] = (),
    fresh: bool = False,
    say: Progress = quiet,
) -> Many:
    """Explain films and write maps (`maps/`), panels (`panels/`) and one table (CSV and Parquet) into `out`.

    Called again after an interruption or a kill, it goes on: a film that is done and unchanged is not done again, and
    the batch in hand when the process died is made anew under the same names. Memory holds one batch.

    Args:
        paths: images and folders. readings: doctors' outlines for the panels, matched by file name.
        fresh: start again.

    Raises:
        ConfigError: `out` holds explanations by another model or with other settings. ExplainError: a method does not
            apply to this network.
    """
    files, left = find_files(paths)
    journal = Journal(out, config.settings(classifier), fresh=fresh)
    for folder in (out / "maps", out / "panels"):
        for stray in folder.rglob(".*.*.*"):  # half-written by a process that was killed
            stray.unlink()
    run = _Run(classifier, out, config, readings, _sample(files, config))
    todo = [file for file in files if not journal.has(str(file), _stamp(file))]
    for start in range(0, len(todo), config.batch_size):
        journal.add(run.batch(todo[start : start + config.batch_size]))
        done = len(files) - len(todo) + min(start + config.batch_size, len(todo))
        say("explaining", done, len(files))
    keys = [str(file) for file in files]
    table, parquet = journal.write_tables(out, keys)
    wanted, explained = set(keys), set[str]()
    for row in journal.rows(keys):
        if row["image"] not in wanted:
            break  # of an earlier call on other files
        if row["error"]:
            left.append((Path(row["image"]), row["error"]))
        else:
            explained.add(row["image"])
    return Many(table, parquet, tuple(files), len(explained), len(todo), tuple(left), journal)


def _stamp(file: Path) -> list[int]:
    try:
        found = file.stat()
    except OSError:
        return [-1, -1]
    return [found.st_size, found.st_mtime_ns]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sample(files: Sequence[Path], config: ManyConfig) -> set[str]:
    """Films to be stamped: by hash, so that a film's place in the sample does not depend on the order of work."""
    keys = [str(file) for file in files]
    if config.trust is None and len(keys) > TRUSTED:
        return set(sorted(keys, key=lambda key: _hash(f"{config.seed} {Path(key).name} {key}"))[:TRUSTED])
    return set(keys) if config.trust is not False else set()


@dataclass(frozen=True)
class _Run:
    classifier: Classifier
    out: Path
    config: ManyConfig
    readings: Sequence[Annotation]
    trusted: set[str]
    worked: set[str] = dataclasses.field(default_factory=set[str])

    def batch(self, files: Sequence[Path]) -> Iterator[tuple[str, list[int], list[dict[str, Any]]]]:
        """Explain some films; everything is on disk before a film is handed over."""
        films: list[Radiograph] = []
        stamps = {str(file): _stamp(file) for file in files}
        bad: dict[str, str] = {}
        for file in files:
            try:
                films.append(read(file, image_id=str(file)))
            except ImageError as error:
                bad[str(file)] = str(error).removeprefix(f"{file}: ")
        done = dict(zip([f.image_id for f in films], self._explained(films), strict=True)) if films else {}
        for file in files:
            key = str(file)
            yield key, stamps[key], done[key] if key in done else [_row(key, error=bad[key])]

    def _explained(self, films: Sequence[Radiograph]) -> list[list[dict[str, Any]]]:
        inputs = torch.stack([self.classifier.preprocess(film) for film in films])
        logits = self.classifier.logits(inputs)
        called = [make_case(self.classifier, f, logits[i : i + 1]).called for i, f in enumerate(films)]
        targets = [self.config.target or name for name in called]
        maps: dict[int, Sequence[Explanation | str]] = {}
        for target in dict.fromkeys(targets):
            group = [i for i, t in enumerate(targets) if t == target]
            maps |= zip(group, self._by_all([films[i] for i in group], target), strict=True)
        return [self._written(f, logits[i : i + 1], maps[i]) for i, f in enumerate(films)]

    def _by_all(self, films: Sequence[Radiograph], target: str) -> Sequence[Sequence[Explanation | str]]:
        """Every method's map of every film, from shared forward passes; where one fails, one by one."""
        common: dict[str, Any] = {"target": target, "score": self.config.score, "seed": self.config.seed}
        try:
            made = explain(self.classifier, films, self.config.methods, **common)
            self.worked.update(m.name for m in self.config.methods)
            return made
        except ExplainError:
            return [[self._alone(film, method, common) for method in self.config.methods] for film in films]

    def _alone(self, film: Radiograph, method: Explainer, common: dict[str, Any]) -> Explanation | str:
        """A map, or why there is none; a method that never worked raises."""
        try:
            found = explain(self.classifier, film, method, **common)
        except ExplainError as error:
            if method.name not in self.worked:
                raise
            return f"{method.name}: {error}"
        self.worked.add(method.name)
        return found

    def _written(
        self, film: Radiograph, logits: torch.Tensor, maps: Sequence[Explanation | str]
    ) -> list[dict[str, Any]]:
        bare = make_case(self.classifier, film, logits)
        mark = _hash(film.image_id)
        name = f"{mark[:2]}/{Path(film.image_id).stem[:60].lstrip('.')}-{mark[:8]}"
        rows: list[dict[str, Any]] = []
        good: list[Explanation] = []
        for method, one in zip(self.config.methods, maps, strict=True):
            if isinstance(one, str):
                rows.append(_row(film.image_id, method=method.name, error=one))
                continue
            if film.image_id in self.trusted:
                one = stamp(self.classifier, film, one, method, randomised=self._randomised(method))
            good.append(one)
            file = save_explanation(one, self.out / "maps" / f"{name}.{one.method}.npz")
            rows.append(_explained_row(one, bare, file.relative_to(self.out)))
        if self.config.panels and good:
            said = tuple(a for a in self.readings if Path(a.image_id).name == Path(film.image_id).name)
            case = dataclasses.replace(bare, annotations=said, explanations=tuple(good))
            panel = self.out / "panels" / f"{name}.png"
            write_bytes(panel, figures.to_png(figures.case_panel(case)))
            rows = [row | {"panel": str(panel.relative_to(self.out))} if row["map"] else row for row in rows]
        return rows

    def _randomised(self, method: Explainer) -> Finding:
        """The network's and method's randomisation test, made once on the first films that are stamped."""
        file = self.out / "trust" / f"{method.name}.json"
        key = _hash(f"three films {self.classifier.hash} {method!r} {self.config.score} {self.config.seed}")
        if file.is_file() and (kept := json.loads(file.read_text()))["key"] == key:
            return finding_from(kept["finding"])
        common: dict[str, Any] = {"score": self.config.score, "seed": self.config.seed}
        found = trust_randomisation(self.classifier, self._few(), method, target=self.config.target, **common)
        write_json(file, {"key": key, "finding": found.as_dict()})
        return found

    def _few(self) -> Iterator[Radiograph]:
        """Stamped films in a fixed order, so that the test does not depend on which was done first."""
        for key in sorted(self.trusted):
            with suppress(ImageError):  # the table lists it
                yield read(Path(key), image_id=key)


def _row(image: str, **values: Any) -> dict[str, Any]:
    empty = ("method", "target", "score_kind", "score", "called", "probability", "peak_x", "peak_y")
    rest = ("trust", "trust_reasons", "map", "panel", "error")
    return {"image": image, **dict.fromkeys((*empty, *rest)), **values}


def _explained_row(e: Explanation, case: figures.Case, file: Path) -> dict[str, Any]:
    row, column = np.unravel_index(int(e.map.argmax()), e.map.shape)
    x, y = e.geometry.to_source(np.array([[column + 0.5, row + 0.5]]))[0]
    height, width = e.geometry.source_shape
    return _row(
        e.image_id,
        method=e.method,
        target=e.target_name,
        score_kind=e.score_kind,
        score=e.score,
        called=case.called,
        probability=case.probability,
        peak_x=float(np.clip(x, 0, width)),
        peak_y=float(np.clip(y, 0, height)),
        trust=e.trust.get("verdict"),
        trust_reasons="; ".join(e.trust.get("reasons", ())) or None,
        map=str(file),
    )
