"""What the file names of the Kermany paediatric chest X-rays say: patient and etiology.

PNEUMONIA: `person<N>_<bacteria|virus>_<M>`; NORMAL: `IM-<N>-<M>` and `NORMAL2-IM-<N>-<M>`. N is numbered afresh for
each etiology and for the official test split, so that person 7 (bacteria, train) and person 7 (virus, test) are
different children, while among the training films the same N under both etiologies may be one child. The patient key
therefore joins etiologies, joins `val` to `train` (the 16 official validation films continue its numbers), and keeps
`test` apart.

The copy of 2018 (Mendeley Data, version 3) calls them `<NORMAL|BACTERIA|VIRUS>-<N>-<M>`, N being the patient's random
number, one in all folders.
"""

import re

__all__ = ["parse_name"]

_PERSON = re.compile(r"person(\d+)_(bacteria|virus)_(\d+)", re.IGNORECASE)
_RANDOM = re.compile(r"(NORMAL|BACTERIA|VIRUS)-(\d{4,})-\d+", re.IGNORECASE)
_NORMAL = re.compile(r"(NORMAL2-)?IM-(\d+)-", re.IGNORECASE)


def parse_name(stem: str, folder: str) -> tuple[str | None, str | None]:
    """(patient key, etiology) from a file's stem and its official folder; (None, None) for other names.

    >>> parse_name("person23_virus_56", "train")
    ('train:person23', 'virus')
    >>> parse_name("NORMAL2-IM-0007-0001", "test")
    ('test:NORMAL2-IM-0007', None)
    >>> parse_name("BACTERIA-1008087-0001", "train")
    ('1008087', 'bacteria')
    """
    folder = "train" if folder == "val" else folder
    if match := _PERSON.match(stem):
        return f"{folder}:person{int(match[1])}", match[2].lower()
    if match := _RANDOM.fullmatch(stem):
        kind = match[1].lower()
        return match[2], None if kind == "normal" else kind
    if match := _NORMAL.match(stem):
        return f"{folder}:{(match[1] or '').upper()}IM-{match[2]}", None
    return None, None
