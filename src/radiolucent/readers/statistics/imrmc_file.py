"""Readings as FDA's iMRMC writes them: `input.imrmc`, a text file of reader, case, modality and score."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import AnnotationError

__all__ = ["ImrmcReadings", "read_imrmc"]

BEGIN = "BEGIN DATA"
TRUTH = ("-1", "truth")


@dataclass(frozen=True, eq=False)
class ImrmcReadings:
    """What `u_statistics` takes.

    Attributes:
        truth: bool (N,). scores: (I, J, N), not-a-number where not read.
        cases, tests, readers: names, in the order of the file.
        missing: (reader, test, cases not read) of every reader and test that has readings, but not of all cases.
    """

    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]
    cases: tuple[str, ...]
    tests: tuple[str, ...]
    readers: tuple[str, ...]
    missing: tuple[tuple[str, str, int], ...]


def read_imrmc(path: str | Path) -> ImrmcReadings:
    """Read an `input.imrmc`: free text, a line "BEGIN DATA:", then rows "reader,case,modality,score".

    Rows of the reader "-1" (or "truth") say whether the case is positive (1) or negative (0). Blanks do not count, not
    even within names, as in iMRMC itself.

    Raises:
        AnnotationError: no such line, or a row that cannot be read, twice the same reading, a case without truth; the
            message names the file and the line.
    """
    file = Path(path)
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    begin = next((k for k, line in enumerate(lines) if line.strip().upper().startswith(BEGIN)), None)
    if begin is None:
        raise AnnotationError(f"{file}: no line {BEGIN}:; expected an iMRMC input file.")
    truth: dict[str, bool] = {}
    read: dict[tuple[str, str, str], float] = {}
    for number, line in enumerate(lines[begin + 1 :], start=begin + 2):
        parts = ["".join(part.split()) for part in line.split(",")]
        if not any(parts):
            continue
        where = f"{file}, line {number}"
        try:
            reader, case, test, text = parts[:4]
            score = float(text)
        except ValueError as error:
            raise AnnotationError(f"{where}: {line.strip()!r}; expected reader,case,modality,score.") from error
        if reader.lower() in TRUTH:
            if score not in (0, 1) or truth.get(case, bool(score)) != bool(score):
                raise AnnotationError(f"{where}: truth {text} of case {case}; expected one 0 or 1 a case.")
            truth[case] = bool(score)
        elif (reader, case, test) in read:
            raise AnnotationError(f"{where}: a second reading of case {case} by {reader} under {test}; keep one.")
        elif not np.isfinite(score):
            raise AnnotationError(f"{where}: score {text}; leave out the row of a case that was not read.")
        else:
            read[reader, case, test] = score
    unknown = next((case for _, case, _ in read if case not in truth), None)
    if unknown is not None:
        raise AnnotationError(f"{file}: case {unknown} has readings but no row of reader -1 that says its truth.")
    cases, readers = tuple(truth), tuple(dict.fromkeys(reader for reader, _, _ in read))
    tests = tuple(dict.fromkeys(test for _, _, test in read))
    scores = np.full((len(tests), len(readers), len(cases)), np.nan)
    at = [{name: k for k, name in enumerate(names)} for names in (tests, readers, cases)]
    for (reader, case, test), score in read.items():
        scores[at[0][test], at[1][reader], at[2][case]] = score
    left = np.isnan(scores).sum(2)
    missing = tuple(
        (reader, test, int(left[a, b]))
        for a, test in enumerate(tests)
        for b, reader in enumerate(readers)
        if 0 < left[a, b] < len(cases)
    )
    return ImrmcReadings(np.array(list(truth.values()), bool), scores, cases, tests, readers, missing)
