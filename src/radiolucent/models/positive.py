"""Which class is the positive one: as told, by names that leave no doubt, or not at all."""

import re
from collections.abc import Sequence

from radiolucent.errors import ConfigError

__all__ = ["AmbiguousPositive", "positive_class"]

_NEGATIVE = {
    "0", "absent", "benign", "clear", "control", "controls", "disease free", "false", "healthy", "neg", "negative",
    "no", "none", "normal", "normals", "unremarkable", "well",
}  # fmt: skip
_POSITIVE = {
    "abnormal", "disease", "diseased", "finding", "ill", "malignant", "pathologic", "pathological", "pathology",
    "pneumonia", "pos", "positive", "present", "sick", "true", "yes",
}  # fmt: skip


class AmbiguousPositive(ConfigError):
    """Neither of two class names says which is the positive one.

    Attributes:
        class_names: the two.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        super().__init__(
            f"classes {', '.join(self.class_names)}: which is the positive one, of which sensitivity and the threshold "
            f"speak? Name it: --positive {self.class_names[0]} or --positive {self.class_names[1]} (in Python: "
            "positive=)."
        )


def positive_class(class_names: Sequence[str], asked: str | int | None = None) -> int:
    """The index of the class that sensitivity and the threshold speak of.

    Of two classes, unless asked for: the one that has a name such as PNEUMONIA, abnormal or 1, or whose counterpart
    has a name such as normal, healthy, "no finding" or 0. Of more, where the call is the most probable class: the only
    one of the first kind, else the last that is not of the second.

    Args:
        asked: a class name, without regard to case, or an index.

    Raises:
        ConfigError: no such class. AmbiguousPositive: two classes, and their names do not say.

    >>> positive_class(("effusion", "normal")), positive_class(("NORMAL", "PNEUMONIA"))
    (0, 1)
    >>> positive_class(("edema", "No_edema")), positive_class(("left", "right"), "right")
    (0, 1)
    """
    if asked is not None:
        return _asked(class_names, asked)
    negative = [i for i, name in enumerate(class_names) if _is_negative(name)]
    positive = [i for i, name in enumerate(class_names) if _plain(name) in _POSITIVE]
    others = [i for i in range(len(class_names)) if i not in negative]
    if len(positive) == 1 and positive[0] not in negative:
        return positive[0]
    if len(class_names) == 2 and len(others) == 1:
        return others[0]
    if len(class_names) == 2:
        raise AmbiguousPositive(class_names)
    return others[-1] if others else len(class_names) - 1


def _asked(class_names: Sequence[str], asked: str | int) -> int:
    if isinstance(asked, int):
        found = [asked] if 0 <= asked < len(class_names) else []
    else:
        found = [i for i, n in enumerate(class_names) if n == asked]
        found = found or [i for i, n in enumerate(class_names) if _plain(n) == _plain(asked)]
    if len(found) != 1:
        raise ConfigError(f"positive class {asked!r}; expected one of {', '.join(class_names)}.")
    return found[0]


def _plain(name: str) -> str:
    """
    >>> _plain("No_Finding "), _plain("non-COVID"), _plain("1.0")
    ('no finding', 'non covid', '1')
    """
    plain = re.sub(r"[\s_\-]+", " ", name).strip(" .").casefold()
    return plain.removesuffix(".0") if re.fullmatch(r"\d\.0", plain) else plain


def _is_negative(name: str) -> bool:
    plain = _plain(name)
    return plain in _NEGATIVE or bool(re.match(r"(no|non|not|without) ", plain)) or plain.endswith(" free")
