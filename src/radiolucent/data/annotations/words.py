"""Words by which readers say that a film shows nothing, deny a finding, or answer a question with yes or no."""

import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from radiolucent.errors import AnnotationError

__all__ = [
    "about_picture",
    "answered",
    "bears_no_mark",
    "denies",
    "fold",
    "negated",
    "nothing_found_by",
    "says_nothing_found",
    "sorted_out",
    "unusual",
]

_WHAT = r"(findings?|abnormality|abnormalities|lesions?|diseases?|pathology|pathologies|process|anomaly|anomalies)"
_KIND = (
    r"( (acute|active|abnormal|significant|radiographic|radiological|cardiopulmonary|cardiothoracic|thoracic|chest|"
    r"pathological|pathologic|apparent|visible|obvious|overt|definite|evident|relevant|suspicious|detectable))*"
)
_NONE = re.compile(
    r"none|nil|nothing( (abnormal|found|seen|detected|to report))*|nofinding|nad"
    rf"|(no|without|absence of|free of)( (evidence|signs?) of)?( any)?{_KIND} {_WHAT}"
    r"( (detected|found|identified|present|seen))?"
)
_PLACE = (
    r"(chest|film|image|study|scan|exam|examination|lungs?|lung fields?|both|bilateral|x ray|xray|cxr|radiograph|"
    r"findings?|controls?|subject|patient|person|adult|child|case|appearance|appearances|variants?)"
)
_NORMAL = re.compile(
    rf"({_PLACE} )*((is|are|appears?|looks?) )?(all )?"
    r"(negative|clear|clean|healthy|unremarkable|within normal limits|wnl|normal|disease free|controls?)"
    rf"( {_PLACE})*"
)
_OTHER_TONGUES = frozenset(
    ("ohne befund", "o b", "ob", "unauffällig", "normalbefund", "sans anomalie", "sans particularité", "ras",
     "sin hallazgos", "sin alteraciones", "sem achados", "nella norma", "negativo", "geen afwijkingen",
     "未见异常", "正常")
)  # fmt: skip
_USUAL = frozenset(("no finding", "no findings", "normal", "none", "negative", "nothing", "healthy", "nofinding"))
_ABNORMAL = re.compile(r"(not|non) normal|abnormal|not healthy|unhealthy")
_PARTS = re.compile(r"[/,;+&|]| and ")
_MARKS = re.compile(r"[.:()\[\]!]+")
_FIRST = re.compile(
    r"^\s*(?:no|without|absence of|negative for|free of|not(?! (?:normal|healthy|defined|applicable|present)\b))[\s_-]+"
    r"(?:(?:evidence|signs?)[\s_-]+of[\s_-]+)?(?:any[\s_-]+)?"
    r"(?P<what>[^\d\W].*)$",
    re.IGNORECASE,
)
# "non-specific", "non-calcified" and the like say what a finding is; these say that it is not there.
_NON = re.compile(
    r"^\s*non[\s_-]*(?P<what>pneumonia|covid|covid[\s_-]*19|tb|tuberculosis|tuberculous|cancer|pneumothorax|effusion|"
    r"nodule|mass|infected|diseased|opacity|consolidation)\s*$",
    re.IGNORECASE,
)
_PART = re.compile(r"^\s*normal[\s_-]+(?P<what>[^\d\W].*)$", re.IGNORECASE)
_LAST = re.compile(
    r"^\s*(?P<what>.*\w)[\s_:=-]+(?:absent|negative|not present|not seen|excluded|ruled out|no)\s*$", re.IGNORECASE
)
_also: ContextVar[frozenset[str]] = ContextVar("also", default=frozenset())
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


@contextmanager
def nothing_found_by(labels: Iterable[str]) -> Generator[None]:
    """Within the block, these labels too say that nothing was found.

    >>> with nothing_found_by(["Lungen frei"]):
    ...     says_nothing_found("LUNGEN_FREI")
    True
    """
    token = _also.set(frozenset(map(fold, labels)))
    try:
        yield
    finally:
        _also.reset(token)


def denies(label: str | None) -> bool:
    """Whether a label says that there is nothing to see, which no mark can bear.

    "Normal" is another thing: a reader may outline an old scar and still call the film normal.

    >>> denies("No finding"), denies("no acute cardiopulmonary disease"), denies("NORMAL")
    (True, True, False)
    """
    return label is not None and _NONE.fullmatch(_bare(label)) is not None


def says_nothing_found(label: str | None) -> bool:
    """Whether a label that stands without a place means that the film was read and nothing found.

    >>> says_nothing_found("No_finding"), says_nothing_found("Lungs are clear."), says_nothing_found("Normal / healthy")
    (True, True, True)
    >>> says_nothing_found("PNEUMONIA"), says_nothing_found("not normal"), says_nothing_found(None)
    (False, False, False)
    """
    if label is None:
        return False
    if fold(label) in _also.get():
        return True
    parts = [bare for part in _PARTS.split(label) if (bare := _bare(part))]
    return bool(parts) and all(_NONE.fullmatch(p) or _NORMAL.fullmatch(p) or p in _OTHER_TONGUES for p in parts)


def unusual(label: str) -> bool:
    """Whether a label that denies does so in other words than most, so that it is noted how it was understood."""
    return fold(label) not in _USUAL and not fold(label).startswith("no ")


def _bare(label: str) -> str:
    return fold(_MARKS.sub(" ", label))


def negated(label: str) -> str | None:
    """What a label denies; None where it denies nothing, or everything.

    >>> negated("No pneumonia"), negated("no evidence of Mass"), negated("Mass: absent"), negated("No finding")
    ('pneumonia', 'Mass', 'Mass', None)
    >>> negated("non-COVID"), negated("Normal heart size"), negated("non-calcified nodule")
    ('COVID', 'heart size', None)
    >>> negated("No Lung Opacity / Not Normal")
    """
    if says_nothing_found(label) or any(_ABNORMAL.search(_bare(p)) for p in _PARTS.split(label)[1:]):
        return None
    found = next((m for kind in (_FIRST, _NON, _PART, _LAST) if (m := kind.match(label))), None)
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
