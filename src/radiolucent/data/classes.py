"""Which classes a data set is read with: its own, three from the Kermany names, a column, or a mapping."""

import dataclasses
from collections import Counter

from radiolucent.data.label_cells import is_cell, name_text, same_classes, value_of
from radiolucent.data.records import UNCERTAIN, Dataset, LeftOut, Record
from radiolucent.errors import DataError
from radiolucent.types import absent

__all__ = ["named_in", "with_classes"]


def with_classes(dataset: Dataset, classes: int | str | None) -> Dataset:
    """The data set with the classes asked for.

    Args:
        classes: None: as in the folders or the label column. A number: that many are expected; 3 of films with Kermany
            names are NORMAL, BACTERIAL, VIRAL. A mapping "NORMAL=normal+healthy,ILL=edema+effusion": classes joined
            under new names; a name alone stays as it is; films of classes not named are left out and listed. Any other
            word: the manifest's column that holds the class names, or 1 (with it), 0 (without it), -1 (uncertain) and
            empty cells, of which the last two give no class.

    Raises:
        DataError: another number of classes, no such class or column.
    """
    if classes is None or classes == "":
        return dataset
    text = str(classes).strip()
    if text.isdecimal():
        return _of_number(dataset, int(text))
    if "=" in text or "," in text:
        return _mapped(dataset, text)
    return _of_column(dataset, text)


def named_in(classes: int | str | None) -> frozenset[str]:
    """The classes that a mapping names, in lower case; none where `classes` is a number or a column.

    >>> sorted(named_in("NORMAL=case0, ILL=case1+case2")), named_in(2)
    (['case0', 'case1', 'case2'], frozenset())
    """
    text = str(classes or "")
    if "=" not in text and "," not in text:
        return frozenset()
    sides = (part.rpartition("=")[2] for part in text.split(","))
    return frozenset(name.strip().casefold() for side in sides for name in side.split("+")) - {""}


def _of_number(dataset: Dataset, number: int) -> Dataset:
    ill = [r for r in dataset.records if r.etiology is not None]
    if number == 3 and len(dataset.class_names) == 2 and ill:
        return _three_classes(dataset)
    if dataset.class_names and len(dataset.class_names) != number:
        raise DataError(
            f"{dataset.source}: {number} classes expected, found {len(dataset.class_names)}: "
            f"{', '.join(dataset.class_names)}. Leave --classes out to take them as they are, name the manifest's "
            f"column, or join them: --classes '{dataset.class_names[0]},OTHER={'+'.join(dataset.class_names[1:])}'."
        )
    return dataset


def _three_classes(dataset: Dataset) -> Dataset:
    names = ("NORMAL", "BACTERIAL", "VIRAL")
    index = {None: 0, "bacteria": 1, "virus": 2}
    ill = [r for r in dataset.records if r.label is not None and dataset.class_names[r.label].upper() != "NORMAL"]
    unknown = [r.image_id for r in ill if r.etiology is None]
    if not ill or unknown:
        raise DataError(
            f"three classes need names such as person1_bacteria_2.jpeg; {len(unknown)} of {len(ill)} ill films say no "
            f"etiology{' (e.g. ' + unknown[0] + ')' if unknown else ''}: use two classes, or a manifest with labels."
        )
    records = tuple(dataclasses.replace(r, label=index[r.etiology]) for r in dataset.records)
    return dataclasses.replace(dataset, records=records, class_names=names)


def _mapped(dataset: Dataset, text: str) -> Dataset:
    have = {name.casefold(): name for name in dataset.class_names}
    new: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, given, olds = part.partition("=")
        for old in olds.split("+") if given else [name]:
            found = have.get(old.strip().casefold())
            if found is None or found in new:
                why = "stands there twice" if found else f"is none of {', '.join(dataset.class_names) or 'no class'}"
                raise DataError(f"--classes {text!r}: {old.strip()!r} {why}.")
            new[found] = name.strip()
    names = tuple(dict.fromkeys(new.values()))
    records: list[Record] = []
    gone: Counter[str] = Counter()
    left: list[LeftOut] = []
    for r in dataset.records:
        old = None if r.label is None else dataset.class_names[r.label]
        if old is not None and old not in new:
            gone[old] += 1
            left.append(LeftOut(r.path, f"its class {old} is not among --classes"))
        else:
            records.append(r if old is None else dataclasses.replace(r, label=names.index(new[old])))
    notes = [f"classes {text}"] + [f"{n} films of class {old} left out, as --classes says" for old, n in gone.items()]
    return dataclasses.replace(
        dataset, records=tuple(records), class_names=names, left_out=(*dataset.left_out, *left),
        notes=(*dataset.notes, *notes),
    )  # fmt: skip


def _of_column(dataset: Dataset, column: str) -> Dataset:
    values = [_value(r, column) for r in dataset.records]
    names = tuple(sorted({v for v in values if v}))
    if not names:
        have = sorted({k for r in dataset.records for k in r.extra} | {"etiology", "site"})
        raise DataError(
            f"--classes {column!r}: no film has such a column (there are {', '.join(have)}); expected a number, a "
            "column, or a mapping such as NORMAL=normal,ILL=edema+effusion."
        )
    if several := next((n for n in names if "|" in n), None):
        raise DataError(
            f"--classes {column!r}: a cell such as {several!r} lists several labels, and a film has one class; call "
            "the column 'label' and leave --classes out: then each name is a label of its own."
        )
    if all(map(is_cell, names)) and any(value_of(n, "", column) in (1, UNCERTAIN) for n in names):
        return _of_findings(dataset, column, [value_of(v, str(dataset.source), column) for v in values])
    called, notes = same_classes(v for v in values if v)
    names = tuple(sorted(set(called.values())))
    records = tuple(
        dataclasses.replace(r, label=names.index(called[v]) if v else None)
        for r, v in zip(dataset.records, values, strict=True)
    )
    notes = (*dataset.notes, f"classes from the column {column}", *notes)
    return dataclasses.replace(dataset, records=records, class_names=names, notes=notes)


def _of_findings(dataset: Dataset, column: str, values: list[int]) -> Dataset:
    """Films with and without what a column of 1, 0, -1 and empty cells is about; the others have no class."""
    records = tuple(
        dataclasses.replace(r, label=v) if v >= 0 else dataclasses.replace(r, label=None, split=None)
        for r, v in zip(dataset.records, values, strict=True)
    )
    note = f"classes from the column {column}: 1 is {column}, 0 is {absent(column)}"
    if open_ := sum(v < 0 for v in values):
        note += f"; {open_} films on which it is uncertain (-1) or not given have no class"
    return dataclasses.replace(
        dataset, records=records, class_names=(absent(column), column), notes=(*dataset.notes, note)
    )  # fmt: skip


def _value(record: Record, column: str) -> str | None:
    known = column in ("etiology", "site", "patient_id")
    return name_text(getattr(record, column) if known else record.extra.get(column)) or None
