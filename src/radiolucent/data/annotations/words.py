"""Words by which readers say that a film shows nothing, deny a finding, or answer a question with yes or no."""

import re
from collections.abc import Sequence

from radiolucent.errors import AnnotationError

__all__ = [
    "about_picture",
    "answered",
    "bears_no_mark",
    "denies",
    "fold",
    "negated",
    "says_nothing_found",
    "sorted_out",
]

_NONE = re.compile(
    r"none|nothing( (abnormal|found|seen))?|nofinding"
    r"|(no|without)( evidence of)?( any)?( acute| abnormal| significant)?"
    r" (findings?|abnormality|abnormalities|lesions?|disease|pathology)( detected| found| seen| present)?"
)
_NORMAL = re.compile(
    r"negative|clear|healthy|unremarkable|within normal limits|normal"
    r"( (chest|film|image|study|scan|exam|examination|lungs?|x ray|xray|cxr|radiograph|findings?))*"
)
_FIRST = re.compile(
    r"^\s*(?:no|without|absence of|negative for)[\s_-]+"
    r"(?:(?:evidence|signs?)[\s_-]+of[\s_-]+)?(?:any[\s_-]+)?"
    r"(?P<what>[^\d\W].*)$",
    re.IGNORECASE,
)
_LAST = re.compile(r"^\s*(?P<what>.*\w)[\s_:=-]+(?:absent|negative|not present|no)\s*$", re.IGNORECASE)
_NO = frozenset(("no", "false", "0", "0.0", "absent", "not present", "n"))
_YES = frozenset(("yes", "true", "1", "1.0", "present", "y"))
_UNKNOWN = frozenset(("not defined", "undefined", "unknown", "n/a", "na"))
_OPEN = frozenset(("", "answer", "choice", "choices", "class", "classes", "classification", "diagnosis", "label",
                   "labels", "name", "tag", "type", "value"))  # fmt: skip
_PICTURE = frozenset(("quality", "image quality", "caption", "public domain", "image url", "url", "source", "licence",
                      "license", "view", "view position", "projection", "laterality"))  # fmt: skip


def fold(label: str) -> str:
    """A label without regard to case, blanks, hyphens and underscores.

    >>> fold(" No_Finding")
    'no finding'
    """
    return " ".join(label.lower().replace("_", " ").replace("-", " ").split())


def denies(label: str | None) -> bool:
    """Whether a label says that there is nothing to see, which no mark can bear.

    "Normal" is another thing: a reader may outline an old scar and still call the film normal.

    >>> denies("No finding"), denies("NORMAL")
    (True, False)
    """
    return label is not None and _NONE.fullmatch(fold(label)) is not None


def says_nothing_found(label: str | None) -> bool:
    """Whether a label that stands without a place means that the film was read and nothing found.

    >>> says_nothing_found("No_finding"), says_nothing_found("PNEUMONIA"), says_nothing_found(None)
    (True, False, False)
    """
    return denies(label) or (label is not None and _NORMAL.fullmatch(fold(label)) is not None)


def negated(label: str) -> str | None:
    """What a label denies; None where it denies nothing, or everything.

    >>> negated("No pneumonia"), negated("no evidence of Mass"), negated("Mass: absent"), negated("No finding")
    ('pneumonia', 'Mass', 'Mass', None)
    """
    if says_nothing_found(label):
        return None
    found = _FIRST.match(label) or _LAST.match(label)
    return found["what"].strip() if found else None


def bears_no_mark(label: str) -> bool:
    """Whether a label cannot be that of a place: it denies something, or calls the place normal.

    >>> bears_no_mark("Normal"), bears_no_mark("No mass"), bears_no_mark("Mass")
    (True, True, False)
    """
    return says_nothing_found(label) or negated(label) is not None


def answered(question: str, value: str) -> str | None:
    """What the answer to a question says, as a label; None where it says that it is not known.

    Raises:
        AnnotationError: a yes or no, but the question does not say to what.

    >>> answered("pneumonia", "No"), answered("pneumonia", "yes"), answered("side", "left")
    ('no pneumonia', 'pneumonia', 'left')
    """
    said = fold(value)
    if said in _UNKNOWN:
        return None
    if said not in _NO | _YES:
        return value
    if fold(question) in _OPEN:
        raise AnnotationError(f"answers {value!r} to {question!r}, which names no finding")
    return f"no {question}" if said in _NO else question


def about_picture(question: str) -> bool:
    """Whether a question asks about the picture, not about what it shows.

    >>> about_picture("image_quality"), about_picture("pneumonia")
    (True, False)
    """
    return fold(question) in _PICTURE


def sorted_out(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """(labels that say what the film shows, what the others deny).

    Raises:
        AnnotationError: a label that is a bare yes or no, or that denies that the film is normal.
    """
    shown: list[str] = []
    denied: list[str] = []
    for label in labels:
        if fold(label) in _NO | _YES:
            raise AnnotationError(f"says {label!r}, which names no finding")
        what = negated(label)
        if what is not None and says_nothing_found(what):
            raise AnnotationError(f"says {label!r}, but not what was found")
        shown.append(label) if what is None else denied.append(what)
    return shown, denied
