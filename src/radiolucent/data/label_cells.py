"""What a manifest's cells say of a film's labels."""

import ast
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

from radiolucent.data.records import NOT_GIVEN, UNCERTAIN
from radiolucent.errors import DataError
from radiolucent.types import plain_label

__all__ = [
    "COMMA",
    "NONE_OF_THEM",
    "cell_text",
    "classes_in",
    "is_cell",
    "name_text",
    "names_in_cell",
    "same_classes",
    "value_of",
]

NONE_OF_THEM = frozenset({"no finding", "no findings", "normal", "none"})
"""Names that say that a film has none of the labels; they are no labels themselves."""

COMMA = "labels with a comma, such as {!r}, are read as one label each; put | between several"

BLANK = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>"})
_NUMBERS = {1.0: 1, 0.0: 0, -1.0: UNCERTAIN}
_WORDS = {"true": 1, "yes": 1, "y": 1, "false": 0, "no": 0, "n": 0}
_WHOLE = re.compile(r"([+-]?\d+)(?:\.0+|,0)")


def cell_text(value: Any) -> str:
    """A manifest's cell as text: without blanks around it, and "" where it says that there is nothing.

    >>> cell_text(" PNEUMONIA\u00a0"), cell_text("NaN"), cell_text("None")
    ('PNEUMONIA', '', 'None')
    """
    text = "" if value is None else str(value).strip()
    return "" if text.casefold() in BLANK - {"none"} else text


def name_text(value: Any) -> str:
    """A cell that names a class or a patient: a column of whole numbers with an empty cell becomes one of 12.0.

    >>> name_text("12.0"), name_text("12,0"), name_text("p1 "), name_text("1.5"), name_text("1,000")
    ('12', '12', 'p1', '1.5', '1,000')
    """
    text = cell_text(value)
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def classes_in(cells: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """(the class that each cell of a label column means, notes); a cell that is missing there means none.

    In a column of 1, 0 and -1, the last is uncertain and gives no class; of two of them, each is a class.
    """
    named = [cell for cell in cells if cell]
    uncertain = [cell for cell in named if cell == "-1"] if set(named) == {"1", "0", "-1"} else []
    called, notes = same_classes(cell for cell in named if not uncertain or cell != "-1")
    if uncertain:
        notes.append(f"{len(uncertain)} films with the label -1 are uncertain and have no class")
    return called, notes


def same_classes(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """(the class that each spelling means, notes): case, blanks, underscores and Unicode forms make no other class.

    >>> same_classes(["NORMAL", "normal", "NORMAL ", "ILL"])[0]
    {'NORMAL': 'NORMAL', 'normal': 'NORMAL', 'NORMAL ': 'NORMAL', 'ILL': 'ILL'}
    """
    groups: dict[str, Counter[str]] = {}
    for name, many in Counter(names).items():
        groups.setdefault(plain_label(name), Counter())[name] += many
    called: dict[str, str] = {}
    notes: list[str] = []
    for spelt in groups.values():
        best = max(sorted(spelt), key=lambda name: spelt[name]).strip()
        called |= dict.fromkeys(spelt, unicodedata.normalize("NFC", best) if len(spelt) > 1 else best)
        if len(spelt) > 1:
            notes.append(f"{', '.join(repr(name) for name in sorted(spelt))} are one class: {called[best]}")
    return called, notes


def is_cell(value: Any) -> bool:
    """Whether a cell may stand in a label's column: 1, 0, -1 (or yes, no, true, false) or nothing."""
    text = _text(value)
    return text in BLANK or _number(text) is not None


def value_of(value: Any, where: str, column: str) -> int:
    """1, 0, `UNCERTAIN` or `NOT_GIVEN` of a cell in a label's column.

    Raises:
        DataError: it is anything else; the message names the place.
    """
    text = _text(value)
    if text in BLANK:
        return NOT_GIVEN
    if (found := _number(text)) is not None:
        return found
    raise DataError(
        f"{where}: {column} is {str(value)!r}; expected 1 (with it), 0 (without it), -1 (uncertain) or nothing (not "
        "given)."
    )


def _number(text: str) -> int | None:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return _NUMBERS.get(float(text.replace(",", ".")))
    except ValueError:
        return None


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip().casefold()


def names_in_cell(value: Any, where: str, column: str) -> tuple[str, ...] | None:
    """The labels in a cell such as NIH's "Effusion|Mass" (or with ";") or PadChest's "['effusion', 'mass']".

    None for an empty one.

    Raises:
        DataError: a list that cannot be read, or one with a finding and "No Finding"; the message names the place.

    >>> names_in_cell("Effusion|Mass", "line 2", "Finding Labels"), names_in_cell("No Finding", "line 3", "")
    (('Effusion', 'Mass'), ())
    """
    text = cell_text(value)
    if not text:
        return None
    given = _listed(text, where, column) if text.startswith("[") else re.split(r"[|;]", text)
    names = [name.strip() for name in given if name.strip()]
    real = tuple(dict.fromkeys(name for name in names if plain_label(name) not in NONE_OF_THEM))
    if real and len(real) < len(set(names)):
        raise DataError(f"{where}: {column} is {text!r}, which has findings and says that there is none; correct it.")
    return real


def _listed(text: str, where: str, column: str) -> Sequence[str]:
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise DataError(f"{where}: {column} is {text[:60]!r}, a list that cannot be read; correct it.") from error
    if not isinstance(found, list) or not all(isinstance(name, str) for name in cast(list[Any], found)):
        raise DataError(f"{where}: {column} is {text[:60]!r}; expected a list of names.")
    return cast(list[str], found)
