"""What a model says of many films and of changed copies of each: streamed, journalled, bounded in memory."""

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from radiolucent.audits.trial.distort import Edit, Grey
from radiolucent.audits.trial.regions import View
from radiolucent.errors import DataError, ExplainError, ImageError
from radiolucent.files import append_lines, read_lines
from radiolucent.models import Classifier
from radiolucent.passes.forward import Pass

__all__ = ["Table", "ask", "changed_film", "collect", "embedded", "log_odds"]

Floats = NDArray[np.float64]
Thumbs = Mapping[str, tuple[NDArray[np.uint8], NDArray[np.intp]]]
ORIGINAL = "original"
THUMB = 32


@dataclass(frozen=True, eq=False)
class Table:
    """N films, and the model's answer to every changed copy.

    Attributes:
        image_ids, patients, sites: N each. truth: bool (N,), True for the positive class. known: bool (N,), labelled.
        scores: by name of the edit (and "original"), the calibrated log-odds (N,) of the positive class; not-a-number
            where the edit does not apply.
        figures: further numbers (N,) of each film, such as "area.lungs".
        embeddings: float32 (N, D), the last feature maps averaged over place, or None where the network has none.
        cut: log-odds at or above which the positive class is called.
        left_out: unreadable films as (identifier, reason).
        thumbs: by name of the edit, small pictures uint8 (M, T, T) of the films chosen for probes, and their rows (M,).
    """

    image_ids: tuple[str, ...]
    patients: tuple[str, ...]
    sites: tuple[str | None, ...]
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_]
    scores: Mapping[str, Floats]
    figures: Mapping[str, Floats]
    embeddings: NDArray[np.float32] | None
    cut: float
    left_out: tuple[tuple[str, str], ...] = ()
    thumbs: Thumbs = field(default_factory=dict[str, tuple[NDArray[np.uint8], NDArray[np.intp]]])

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def original(self) -> Floats:
        """Log-odds (N,) of the untouched films."""
        return self.scores[ORIGINAL]

    @property
    def spread(self) -> float:
        """Standard deviation of the untouched films' log-odds: the unit in which effects are told."""
        return float(self.original.std()) if len(self) else 0.0

    def masked_films(self, name: str) -> int:
        """Films on which "lungs", "markers" or "findings" are known and not empty."""
        areas = self.figures.get(f"area.{name}")
        return 0 if areas is None else int((np.nan_to_num(areas) > 0).sum())


def log_odds(classifier: Classifier, logits: torch.Tensor) -> Floats:
    """log p/(1 − p) (N,) of the positive class, calibrated, from logits (N, K), without rounding p to 0 or 1."""
    scaled = logits.double() / classifier.temperature
    if classifier.head == "softmax":
        others = torch.cat([scaled[:, : classifier.positive], scaled[:, classifier.positive + 1 :]], 1)
        return (scaled[:, classifier.positive] - others.logsumexp(1)).numpy()
    return scaled[:, 0].numpy()


def ask(classifier: Classifier, made: Sequence[tuple[View, Grey | None]]) -> Floats:
    """Log-odds (N,) of changed films; not-a-number where nothing could be changed."""
    found = np.full(len(made), np.nan)
    known = [(k, view, grey) for k, (view, grey) in enumerate(made) if grey is not None]
    for start in range(0, len(known), 64):
        some = known[start : start + 64]
        pixels = [v.as_input(np.rint(np.clip(g, 0, 1) * 255).astype(np.uint8)) for _, v, g in some]
        inputs = classifier.preprocess.normalise(torch.from_numpy(np.stack(pixels)))
        found[[k for k, _, _ in some]] = log_odds(classifier, classifier.logits(inputs))
    return found


def collect(
    classifier: Classifier,
    count: int,
    view: Callable[[int], View],
    edits: Mapping[str, Edit],
    *,
    keys: Sequence[str],
    settings: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    seed: int = 0,
    films: int = 4,
    batch: int = 64,
    small: Collection[str] = (),
    small_edits: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Table:
    """Ask the classifier about every film and every changed copy of it.

    A few films at a time are read, changed and asked about; what remains of a film is one number an edit, a few figures
    and its embedding, and of those in `small` a picture of 32 × 32 of each of `small_edits` (for `probes`). With a
    `folder` each finished film is one line of a journal, and a killed run goes on behind the
    last of them. What is random depends on (seed, film, edit) alone.

    Args:
        count: films; `view(i)` gives the i-th, and may raise `ImageError`: the film is then left out. keys: their
            identifiers. edits: by name.
        settings: what else decides the result, such as where masks come from: a change of any starts another journal.
        films: read at a time. batch: images a forward pass. progress: called with (done, count).

    Raises:
        DataError: no film could be read.
    """
    names = (ORIGINAL, *edits)
    changes = _Changes(edits, seed, {k: small_edits for k in frozenset(small)})
    kept = frozenset(small)
    identity = {"model": classifier.hash, "edits": names, "seed": seed, **(settings or {})}
    if kept:
        identity |= {"small": sorted(kept), "small_edits": sorted(small_edits), "side": THUMB}
    journal = _Journal(folder, identity, names)
    for start in range(0, count, films):
        todo = [i for i in range(start, min(start + films, count)) if keys[i] not in journal.rows]
        rows = _ask(classifier, todo, view, keys, changes, batch)
        journal.add(rows)
        if progress:
            progress(min(start + films, count), count)
    return _table(classifier, [journal.rows[k] for k in keys], names)


@dataclass(frozen=True)
class _Changes:
    """What is asked of every film: changes by name, their seed, and of which films small pictures are kept."""

    edits: Mapping[str, Edit]
    seed: int
    small: Mapping[str, Collection[str]]


def _ask(
    classifier: Classifier,
    todo: Sequence[int],
    view: Callable[[int], View],
    keys: Sequence[str],
    changes: _Changes,
    batch: int,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    stack: list[NDArray[np.uint8]] = []
    places: list[tuple[int, str]] = []
    for i in todo:
        try:
            seen = view(i)
        except ImageError as error:
            rows.append({"key": keys[i], "error": str(error)})
            continue
        rows.append(_row(keys[i], seen))
        for name in (ORIGINAL, *changes.edits):
            pixels = changed_film(seen, name, changes.edits, changes.seed)
            if pixels is not None:
                stack.append(seen.as_input(pixels))
                places.append((len(rows) - 1, name))
                if name in changes.small.get(keys[i], ()):
                    rows[-1]["thumbs"][name] = _thumb(pixels)
    originals = [k for k, (_, name) in enumerate(places) if name == ORIGINAL]
    for at in range(0, len(stack), batch):
        inputs = classifier.preprocess.normalise(torch.from_numpy(np.stack(stack[at : at + batch])))
        for (r, name), value in zip(
            places[at : at + batch], log_odds(classifier, classifier.logits(inputs)), strict=True
        ):
            rows[r]["scores"][name] = float(value)
    if originals:
        found = _embedding(classifier, np.stack([stack[k] for k in originals]))
        for k, own in zip(originals, found, strict=True):
            rows[places[k][0]]["embedding"] = own
    return rows


def _row(key: str, seen: View) -> dict[str, Any]:
    figures: dict[str, float] = {}
    for name in ("lungs", "markers", "findings"):
        mask = getattr(seen, name)
        if mask is not None:
            figures[f"area.{name}"] = float(mask.sum() / seen.film.sum())
    return {
        "key": key, "patient": seen.patient_id, "label": seen.label, "site": seen.site,
        "scores": {}, "figures": figures, "embedding": None, "thumbs": {},
    }  # fmt: skip


def _thumb(pixels: NDArray[np.uint8]) -> str:
    """A picture of 32 × 32 by area averages, deflated, in base 64."""
    made = np.asarray(Image.fromarray(pixels).resize((THUMB, THUMB), Image.Resampling.BOX))
    return base64.b64encode(zlib.compress(made.tobytes(), 6)).decode()


def changed_film(seen: View, name: str, edits: Mapping[str, Edit], seed: int) -> NDArray[np.uint8] | None:
    """The changed film in 8 bit. A control starts from the same random draws as what it is compared with."""
    if name == ORIGINAL:
        return seen.grey
    base = name.removesuffix(".control")
    rng = np.random.default_rng([seed, zlib.crc32(seen.image_id.encode()), zlib.crc32(base.encode())])
    changed = edits[name](seen, rng)
    return None if changed is None else np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)


def embedded(classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """The last feature maps of films uint8 (N, S, S), averaged over place, (N, D); None where there are none."""
    inputs = classifier.preprocess.normalise(torch.from_numpy(np.array(pixels)))
    try:
        return Pass(classifier, inputs, (None,)).cut().features.mean((2, 3)).cpu().numpy().astype(np.float32)
    except ExplainError:
        return None


def _embedding(classifier: Classifier, pixels: NDArray[np.uint8]) -> list[str | None]:
    """Each film's features, float16 in base 64; None where there are none."""
    features = embedded(classifier, pixels)
    if features is None:
        return [None] * len(pixels)
    return [base64.b64encode(row.astype(np.float16).tobytes()).decode() for row in features]


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """What is remembered of a film, packed: a few kilobytes."""

    key: str
    error: str = ""
    patient: str = ""
    label: int | None = None
    site: str | None = None
    scores: Floats = field(default_factory=lambda: np.zeros(0))
    figures: Mapping[str, float] = field(default_factory=dict[str, float])
    embedding: NDArray[np.float16] | None = None
    thumbs: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def _packed(row: Mapping[str, Any], names: Sequence[str]) -> _Row:
    if "error" in row:
        return _Row(row["key"], row["error"])
    coded = row["embedding"]
    return _Row(
        row["key"],
        "",
        row["patient"],
        row["label"],
        row["site"],
        np.array([row["scores"].get(name, np.nan) for name in names], np.float64),
        row["figures"],
        None if coded is None else np.frombuffer(base64.b64decode(coded), np.float16),
        {name: base64.b64decode(text) for name, text in row.get("thumbs", {}).items()},
    )


@dataclass(eq=False)
class _Journal:
    """Finished films, a line each (see `radiolucent.files`). Without a folder: in memory only."""

    folder: Path | None
    settings: Mapping[str, Any]
    names: Sequence[str]
    rows: dict[str, _Row] = field(default_factory=dict[str, _Row])

    def __post_init__(self) -> None:
        text = json.dumps(self.settings, sort_keys=True, default=str)
        self.file = (
            self.folder / f"audit-{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl" if self.folder else None
        )
        if self.file is not None:
            self.rows.update({row["key"]: _packed(row, self.names) for _, row in read_lines(self.file)})

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows.update({row["key"]: _packed(row, self.names) for row in rows})
        if self.file is None or not rows:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        append_lines(self.file, rows)


def _pictures(rows: Sequence[_Row]) -> Iterator[tuple[str, tuple[NDArray[np.uint8], NDArray[np.intp]]]]:
    for name in dict.fromkeys(n for row in rows for n in row.thumbs):
        place = np.array([i for i, row in enumerate(rows) if name in row.thumbs], np.intp)
        flat = [np.frombuffer(zlib.decompress(rows[i].thumbs[name]), np.uint8) for i in place]
        yield name, (np.stack(flat).reshape(-1, THUMB, THUMB), place)


def _table(classifier: Classifier, rows: Sequence[_Row], names: Sequence[str]) -> Table:
    good = [row for row in rows if not row.error]
    if not good:
        raise DataError(f"none of {len(rows)} films could be read; the first says: {rows[0].error if rows else '-'}")
    figures = sorted({n for row in good for n in row.figures})
    coded = [row.embedding for row in good if row.embedding is not None]
    embeddings = np.stack(coded).astype(np.float32) if len(coded) == len(good) else None
    scores = np.stack([row.scores for row in good])
    threshold = min(max(classifier.threshold, 1e-12), 1 - 1e-12)
    return Table(
        tuple(row.key for row in good),
        tuple(row.patient for row in good),
        tuple(row.site for row in good),
        np.array([row.label == classifier.positive for row in good]),
        np.array([row.label is not None for row in good]),
        {name: scores[:, k].copy() for k, name in enumerate(names)},
        {name: np.array([row.figures.get(name, np.nan) for row in good], np.float64) for name in figures},
        embeddings,
        float(np.log(threshold / (1 - threshold))),
        tuple((row.key, row.error) for row in rows if row.error),
        dict(_pictures(good)),
    )
