"""When films were taken, and a patient's other films in the order in which a radiologist looks at them."""

import datetime as dt

from radiolucent.readers.store import Store
from radiolucent.readers.store_values import Case

__all__ = ["day_of", "describe_day", "related"]

MOST = 20  # films of one patient that are offered


def day_of(text: str | None) -> dt.date | None:
    """A date as DICOM writes it (YYYYMMDD) or as ISO 8601 does, with or without a time; None for anything else.

    >>> day_of("20240229"), day_of("2024-02-29T10:00"), day_of("29.2.24")
    (datetime.date(2024, 2, 29), datetime.date(2024, 2, 29), None)
    """
    words = (text or "").strip()
    for part, form in ((words[:10], "%Y-%m-%d"), (words[:8], "%Y%m%d")):
        try:
            return dt.datetime.strptime(part, form).date()
        except ValueError:
            continue
    return None


def describe_day(store: Store, case: str, day: dt.date) -> None:
    """Record when a film was taken."""
    store.describe({f"day {case}": day.isoformat()})


def related(store: Store, case: Case) -> list[tuple[str, int | None]]:
    """(identifier, days after this film) of the same patient's other films; negative: before it, None: not known.

    The last one before comes first, then older ones, then those of the same day and later ones, then undated ones,
    whose order says nothing.
    """
    if case.patient_id is None:
        return []
    sql = "SELECT id FROM cases WHERE patient_id = ? AND id <> ? ORDER BY id"
    others = [str(row[0]) for row in store.ask(sql, case.patient_id, case.id)]
    own = day_of(store.fact(f"day {case.id}"))
    found: list[tuple[str, int | None]] = []
    for name in others:
        day = day_of(store.fact(f"day {name}"))
        found.append((name, None if own is None or day is None else (day - own).days))
    return sorted(found, key=_place)[:MOST]


def _place(item: tuple[str, int | None]) -> tuple[int, int]:
    days = item[1]
    return (3, 0) if days is None else (0, -days) if days < 0 else (1, days)
