"""How the films of a data set were taken and stored, as far as their headers say: one finding a question."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from radiolucent.data.survey import Film
from radiolucent.metrics import wilson
from radiolucent.types import Estimate, Finding, Verdict

__all__ = ["acquisition"]

SHOWN = 20  # films listed in a finding's evidence
_LATERAL = re.compile(r"\b(LL|RL|LLD|RLD|LAT|LATERAL)\b")
_DIGITS = re.compile(r"-?\d+(\.\d+)?")


def acquisition(films: Sequence[Film]) -> list[Finding]:
    """Findings on view, mirroring, raw values, text, loss, spacing and assumptions; none where no file tells."""
    told = [f for f in films if f.about.get("format") == "DICOM"]
    asked = (
        _laterals(told),
        _mirrored(told),
        _raw(told),
        _written(told),
        _lossy(told),
        _one_uid(told),
        _spacing(films),
        _assumed(films),
    )
    return [found for found in asked if found is not None]


def is_lateral(film: Film) -> bool:
    """Whether a header says that a film was taken from the side: view, its code, or rows from front to back."""
    rows = str(film.about.get("PatientOrientation", "")).upper().partition("\\")[0]
    views = f"{film.about.get('ViewPosition', '')} {film.about.get('ViewCodeMeaning', '')}".upper()
    return bool(_LATERAL.search(views)) or rows[:1] in ("A", "P")


def is_written_on(film: Film) -> bool:
    """Whether a header says that text stands in the picture."""
    return str(film.about.get("BurnedInAnnotation", "")).upper() == "YES"


def _share(
    test: str, question: str, films: Sequence[Film], picked: Sequence[Film], verdict: Verdict, words: str, advice: str
) -> Finding:
    evidence = {"films": [f.record.image_id for f in picked[:SHOWN]], "count": len(picked)}
    return Finding(
        test, question, verdict, f"{len(picked)} of {len(films)} films {words}.", wilson(len(picked), len(films)), None,
        evidence, "DICOM headers", advice if picked else "",
    )  # fmt: skip


def _by_header(
    test: str, question: str, key: str | Callable[[Film], bool], words: str, advice: str
) -> Callable[[Sequence[Film]], Finding | None]:
    def ask(films: Sequence[Film]) -> Finding | None:
        if not films:
            return None
        picked = [f for f in films if (bool(f.about.get(key)) if isinstance(key, str) else key(f))]
        return _share(test, question, films, picked, "fail" if picked else "pass", words, advice)

    return ask


_laterals = _by_header(
    "films.laterals", "Are there laterals among the films?", is_lateral, "were taken from the side",
    "leave laterals out, or train and judge them apart: a model of frontal films does not know them",
)  # fmt: skip
_mirrored = _by_header(
    "films.mirrored", "Are films mirrored?", "mirrored", "are mirrored, by their PatientOrientation",
    "turn them over before use: left and right, heart and markers are on the wrong side",
)  # fmt: skip
_raw = _by_header(
    "films.for_processing", "Are there raw films (FOR PROCESSING)?", "for_processing",
    "hold the detector's raw values (FOR PROCESSING)", "use the FOR PRESENTATION films of the same exposures",
)  # fmt: skip
_written = _by_header(
    "films.burned_in", "Does text stand in the pictures?", is_written_on,
    "have text in the picture (BurnedInAnnotation)",
    "see whether the text goes with the label, and whether it names the patient",
)  # fmt: skip


def _lossy(films: Sequence[Film]) -> Finding | None:
    if not films:
        return None
    picked = [f for f in films if f.about.get("lossy")]
    mixed = 0 < len(picked) < len(films)
    return _share(
        "films.lossy", "Were films compressed with loss?", films, picked, "inconclusive" if mixed else "pass",
        "were compressed with loss" + (", the others not" if mixed else ""),
        "see whether loss goes with the label; take all films from one archive" if mixed else "",
    )  # fmt: skip


def _one_uid(films: Sequence[Film]) -> Finding | None:
    """Whether pictures that differ have one SOP Instance UID, which is to name one picture in all the world."""
    pictures: dict[str, dict[bytes, list[Film]]] = {}
    for f in films:
        if uid := str(f.about.get("SOPInstanceUID") or ""):
            pictures.setdefault(uid, {}).setdefault(f.thumb.tobytes(), []).append(f)
    if not pictures:
        return None
    torn = [f for some in pictures.values() if len(some) > 1 for same in some.values() for f in same]
    return _share(
        "films.uid", "Has every picture a SOP Instance UID of its own?", films, torn, "fail" if torn else "pass",
        "share their SOP Instance UID with another picture",
        "see which film is meant: readings in DICOM find their film by this UID, and fit none of these",
    )  # fmt: skip


def _spacing(films: Sequence[Film]) -> Finding | None:
    """Whether pixel sizes, or the planes they hold at, differ."""
    known = [f for f in films if f.about.get("spacing")]
    if not known:
        return None
    sizes = sorted(float(f.about["spacing"][0]) for f in known)
    planes = Counter(str(f.about.get("spacing_plane", "as the file says")).split(" (")[0] for f in known)
    mixed = sizes[-1] > 1.05 * sizes[0] or len(planes) > 1 or len(known) < len(films)
    words = ", ".join(f"{n} at the plane: {plane}" for plane, n in planes.most_common())
    return Finding(
        "films.spacing",
        "Have the films one pixel spacing, at one plane?",
        "inconclusive" if mixed else "pass",
        f"{len(known)} of {len(films)} films say their spacing, {sizes[0]:g} to {sizes[-1]:g} mm ({words}).",
        Estimate(sizes[len(sizes) // 2], None, None, 0.95, len(known), "median, mm"),
        None,
        {"planes": dict(planes), "smallest": sizes[0], "largest": sizes[-1], "unknown": len(films) - len(known)},
        "DICOM PS3.3 10.7.1.3",
        "do not compare sizes in mm between them; see whether spacing goes with the label" if mixed else "",
    )


def _assumed(films: Sequence[Film]) -> Finding | None:
    """What reading had to assume, by kind."""
    noted = [f for f in films if f.notes]
    if not noted:
        return None
    kinds = Counter(_DIGITS.sub("#", note) for f in noted for note in f.notes)
    evidence = [{"file": f.record.image_id, "notes": list(f.notes)} for f in noted[:SHOWN]]
    most = "; ".join(f"{n} × {kind}" for kind, n in kinds.most_common(3))
    return Finding(
        "films.assumed",
        "Was anything odd or assumed in reading the films?",
        "inconclusive",
        f"{len(noted)} of {len(films)} films were read with notes: {most}{' …' if len(kinds) > 3 else ''}.",
        wilson(len(noted), len(films)),
        None,
        {"films": evidence, "kinds": dict(kinds)},
        advice="look at one film of each kind; `data check --json` lists them",
    )
