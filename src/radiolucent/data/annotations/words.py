"""Words by which readers say that a film shows nothing."""

__all__ = ["denies", "fold", "says_nothing_found"]

_NONE = frozenset(
    ("no finding", "no findings", "nofinding", "no abnormality", "no abnormalities", "no abnormal finding",
     "no abnormal findings", "no acute finding", "no acute findings", "nothing found", "no lesion", "no lesions")
)  # fmt: skip
_NORMAL = frozenset(("normal", "negative", "clear", "healthy", "unremarkable", "within normal limits"))


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
    return label is not None and fold(label) in _NONE


def says_nothing_found(label: str | None) -> bool:
    """Whether a label that stands without a place means that the film was read and nothing found.

    >>> says_nothing_found("No_finding"), says_nothing_found("PNEUMONIA"), says_nothing_found(None)
    (True, False, False)
    """
    return label is not None and fold(label) in _NONE | _NORMAL
