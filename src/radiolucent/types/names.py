"""Names of classes and labels as they are compared."""

import re
import unicodedata

__all__ = ["plain_label"]


def plain_label(name: str) -> str:
    """A class's or label's name as it is compared: without case, a space for each underscore, in one Unicode form.

    >>> plain_label(" Pleural_Effusion ")
    'pleural effusion'
    """
    return re.sub(r"[\s_]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()
