"""Several labels a film: which they are, what is known of them, and one of them as a question of its own."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from radiolucent.data.label_cells import NONE_OF_THEM, is_cell, names_in_cell, value_of
from radiolucent.data.records import NOT_GIVEN, UNCERTAIN, Dataset, Record
from radiolucent.errors import ConfigError, DataError
from radiolucent.types import absent, label_position, plain_label

__all__ = ["FoundLabels", "LabelOptions", "match_labels", "of_label", "refuse_labels", "wanted_labels"]

Uncertain = Literal["mask", "ones", "zeros"]
NotGiven = Literal["mask", "zeros"]
MOST_LISTED = 20  # different names in a list column above which they have to be chosen
STANDS_ASIDE = frozenset({"support devices"})  # what "no finding" says nothing of
NO_LABELS = frozenset(
    "path label patient_id split site etiology sha256 age sex view born film_pixels film pixels fold id".split()
)


@dataclass(frozen=True)
class LabelOptions:
    """Which labels are read, and what becomes of those that are not plain.

    Attributes:
        names: the labels; empty: those that are found.
        uncertain: -1 is left out of loss and figures ("mask"), or read as 1 ("ones") or 0 ("zeros").
        not_given: an empty cell is left out ("mask"), or read as 0 ("zeros").
        lenient: a label that the data do not have is not given of any film, instead of being refused.
    """

    names: tuple[str, ...] = ()
    uncertain: Uncertain = "mask"
    not_given: NotGiven = "mask"
    lenient: bool = False

    def __post_init__(self) -> None:
        for name, kinds in (("uncertain", get_args(Uncertain)), ("not_given", get_args(NotGiven))):
            if (value := getattr(self, name)) not in kinds:
                raise ConfigError(f"{name} {value!r}; expected one of {', '.join(kinds)}.")
        plain = [plain_label(n) for n in self.names]
        if twice := [n for n, k in Counter(plain).items() if k > 1 or not n]:
            raise ConfigError(f"labels {', '.join(self.names)}: {twice[0]!r} is empty or stands there twice.")


def wanted_labels(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """Labels as typed, with commas between.

    >>> wanted_labels("effusion, mass")
    ('effusion', 'mass')
    """
    if text is None:
        return ()
    given = text.split(",") if isinstance(text, str) else text
    return tuple(name.strip() for name in given if name.strip())


@dataclass(frozen=True)
class FoundLabels:
    """The labels of a manifest: their names, one row of values a film, and what was assumed."""

    names: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    columns: frozenset[str]
    notes: tuple[str, ...]


def labels_in(
    rows: Sequence[Mapping[str, Any]],
    lines: Sequence[int],
    options: LabelOptions,
    source: str,
    *,
    columns: Sequence[str] = (),
    listed: str = "",
    vocabulary: Sequence[str] = (),
) -> FoundLabels | None:
    """The labels of a manifest's rows, or None where it has one class a film.

    Args:
        columns, listed, vocabulary: of a published layout (`Laid`); found in the rows unless given.

    Raises:
        DataError: a label that is not there, or a cell that is none; the message names it.
    """
    if not columns and not listed:
        columns, listed = _found(rows, options.names)
    if listed:
        found = _of_list(rows, lines, options, source, listed, vocabulary)
    elif columns:
        have = [*columns, *(n for n in _label_columns(rows) if n not in columns)]  # a message lists them all
        found = _of_columns(rows, lines, options, source, columns, have)
    else:
        return None
    return _settled(found, options)


def _found(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> tuple[Sequence[str], str]:
    """(columns of a label each, the column that lists them): those asked for, or those that can be nothing else."""
    head = [str(name) for name in rows[0] if name]
    if wanted:
        plain = {plain_label(n) for n in wanted}
        columns = [n for n in head if plain_label(n) in plain]
        others = [n for n in head if plain_label(n) in NONE_OF_THEM] if columns else []
        return [*columns, *others], "" if columns else next((n for n in ("label", "labels") if n in head), "")
    listed = next((n for n in ("label", "labels") if n in head), "")
    if listed:
        cells = [str(row.get(listed) or "") for row in rows]
        return (), listed if any("|" in c or ";" in c or c.startswith("[") for c in cells) else ""
    columns = _label_columns(rows)
    return (columns if sum(plain_label(n) not in NONE_OF_THEM for n in columns) > 1 else ()), ""


def _label_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that can be nothing but a label each."""
    head = [str(name) for name in rows[0] if name]
    return [n for n in head if plain_label(n).replace(" ", "_") not in NO_LABELS and _holds_labels(rows, n)]


def _holds_labels(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    cells = [row.get(column) for row in rows]
    return all(map(is_cell, cells)) and any(value_of(c, "", column) in (1, UNCERTAIN) for c in cells)


def _of_columns(
    rows: Sequence[Mapping[str, Any]],
    lines: Sequence[int],
    options: LabelOptions,
    source: str,
    columns: Sequence[str],
    there: Sequence[str],
) -> FoundLabels:
    none = next((c for c in columns if plain_label(c) in NONE_OF_THEM), None)
    have = {plain_label(c): c for c in columns if c != none}
    if len(have) < len(columns) - (none is not None):
        twice = next(c for c in columns if c != none and have[plain_label(c)] != c)
        raise DataError(f"{source}: the columns {twice!r} and {have[plain_label(twice)]!r} are of one label; keep one.")
    names, places = _chosen(tuple(have.values()), options, source, there)
    every = [c for c in have.values()]
    values: list[tuple[int, ...]] = []
    said_none = 0
    for row, line in zip(rows, lines, strict=True):
        where = f"{source}, line {line}"
        own = {c: value_of(row.get(c), where, c) for c in every}
        if none is not None and value_of(row.get(none), where, none) == 1:
            said_none += any(own[c] == NOT_GIVEN for c in places if c)
            own = {c: _without(c, v, where, none) for c, v in own.items()}
        values.append(tuple(NOT_GIVEN if c is None else own[c] for c in places))
    notes = [f"labels: {', '.join(names)}"]
    if said_none:
        notes.append(f"{said_none} films with {none} = 1 are without the labels that their row leaves empty")
    return FoundLabels(names, tuple(values), frozenset(columns), tuple(notes + _lacking(names, places)))


def _without(column: str, value: int, where: str, none: str) -> int:
    """A label's value in a row that says that there is no finding."""
    if plain_label(column) in STANDS_ASIDE:
        return value
    if value == 1:
        raise DataError(f"{where}: {none} is 1, and so is {column}; correct one of them.")
    return 0 if value == NOT_GIVEN else value


def _of_list(
    rows: Sequence[Mapping[str, Any]],
    lines: Sequence[int],
    options: LabelOptions,
    source: str,
    column: str,
    vocabulary: Sequence[str],
) -> FoundLabels:
    cells = [
        names_in_cell(row.get(column), f"{source}, line {line}", column) for row, line in zip(rows, lines, strict=True)
    ]
    tally = Counter(plain_label(n) for cell in cells for n in cell or ())
    spelt = {plain_label(n): n for cell in cells for n in cell or ()} | {plain_label(n): n for n in vocabulary}
    have = tuple(sorted(spelt.values(), key=str.casefold))
    if not options.names and len(have) > MOST_LISTED:
        common = ", ".join(f"{spelt[n]} ({k})" for n, k in tally.most_common(12))
        raise DataError(
            f"{source}: the column {column} has {len(have)} different labels; choose some: --labels "
            f"'{','.join(spelt[n] for n, _ in tally.most_common(3))}'. The commonest: {common}."
        )
    names, places = _chosen(have, options, source)
    sets = [None if cell is None else {plain_label(n) for n in cell} for cell in cells]
    values = tuple(
        tuple(NOT_GIVEN if c is None or own is None else int(plain_label(c) in own) for c in places) for own in sets
    )
    notes = [f"labels: {', '.join(names)}, from the list in the column {column}"]
    if blank := sum(own is None for own in sets):
        notes.append(f"{blank} films without any entry there: no label is given")
    return FoundLabels(names, values, frozenset({column}), tuple(notes + _lacking(names, places)))


def _chosen(
    have: Sequence[str], options: LabelOptions, source: str, there: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """(names of the labels, what each is called in the data or None); there: what else the data have, for the error."""
    if not options.names:
        return tuple(have), tuple(have)
    at = {plain_label(n): n for n in have}
    places = tuple(at.get(plain_label(n)) for n in options.names)
    missing = [n for n, place in zip(options.names, places, strict=True) if place is None]
    if missing and not options.lenient:
        raise DataError(f"{source}: no label {', '.join(missing)} there; it has {', '.join(there or have) or 'none'}.")
    names = options.names if options.lenient else tuple(p or n for n, p in zip(options.names, places, strict=True))
    return names, places


def _lacking(names: Sequence[str], places: Sequence[str | None]) -> list[str]:
    gone = [n for n, place in zip(names, places, strict=True) if place is None]
    return [f"the data have no label {', '.join(gone)}: not given of any film"] if gone else []


def _settled(found: FoundLabels, options: LabelOptions) -> FoundLabels:
    """What becomes of uncertain and empty cells, counted in a note."""
    uncertain = {n: sum(row[k] == UNCERTAIN for row in found.values) for k, n in enumerate(found.names)}
    open_ = {n: sum(row[k] == NOT_GIVEN for row in found.values) for k, n in enumerate(found.names)}
    notes = list(found.notes)
    words = {"mask": "left out of loss and figures", "ones": "read as with it", "zeros": "read as without it"}
    for what, counts, policy in (
        ("uncertain", uncertain, options.uncertain),
        ("not given", open_, options.not_given),
    ):
        if any(counts.values()):
            shown = ", ".join(f"{n} {k}" for n, k in counts.items() if k)
            notes.append(f"{what} labels are {words[policy]} ({shown})")
    becomes = {UNCERTAIN: {"mask": UNCERTAIN, "ones": 1, "zeros": 0}[options.uncertain]}
    becomes |= {NOT_GIVEN: NOT_GIVEN if options.not_given == "mask" else 0}
    values = tuple(tuple(becomes.get(v, v) for v in row) for row in found.values)
    return dataclasses.replace(found, values=values, notes=tuple(notes))


def of_label(dataset: Dataset, label: str | int) -> Dataset:
    """One label of a data set as a question of two classes, "no LABEL" and LABEL.

    Films of which it is uncertain or not given have no class, and belong to no split.

    Raises:
        ConfigError: no such label, or one class a film.
    """
    if not dataset.multilabel:
        raise ConfigError(f"label {label!r} of {dataset.source}, whose films have one class each.")
    k = label_position(dataset.class_names, label)
    name = dataset.class_names[k]

    def one(record: Record) -> Record:
        value = record.findings[k]
        known = value >= 0
        return dataclasses.replace(
            record, label=value if known else None, findings=(), split=record.split if known else None
        )

    records = tuple(one(r) for r in dataset.records)
    return dataclasses.replace(dataset, records=records, class_names=(absent(name), name), multilabel=False)


def match_labels(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The data set with the labels of a model, in its order, matched by name without regard to case.

    Raises:
        DataError: the films have one class each, or none of these labels.
    """
    if not dataset.multilabel:
        raise DataError(
            f"{dataset.source}: its films have one class each, or none; the model tells the labels {', '.join(names)}. "
            "Give a manifest with a column a label (1, 0, -1, or empty)."
        )
    at = {plain_label(n): k for k, n in enumerate(dataset.class_names)}
    places = [at.get(plain_label(n)) for n in names]
    if all(p is None for p in places):
        raise DataError(
            f"{dataset.source}: labels {', '.join(dataset.class_names)} are none of the model's ({', '.join(names)})."
        )
    records = tuple(
        dataclasses.replace(r, findings=tuple(NOT_GIVEN if p is None else r.findings[p] for p in places))
        for r in dataset.records
    )
    return dataclasses.replace(dataset, records=records, class_names=tuple(names))


def refuse_labels(dataset: Dataset, what: str, instead: str) -> Dataset:
    """The data set, if its films have one class each.

    Raises:
        DataError: they may have several labels, which `what` does not do; `instead` is the next step.
    """
    if dataset.multilabel:
        raise DataError(
            f"{dataset.source}: its films have several labels ({', '.join(dataset.class_names)}), and {what} takes one "
            f"class a film; {instead}."
        )
    return dataset
