"""Prior films come by their dates."""

import datetime as dt
from pathlib import Path

from radiolucent.readers.store import Store
from radiolucent.readers.store_dates import describe_day, related
from radiolucent.readers.store_values import Case


def test_the_last_prior_comes_first_and_films_without_a_date_last(tmp_path: Path) -> None:
    store = Store(tmp_path / "study.db")
    days = {"now": 0, "old": -900, "last": -30, "later": 50, "same": 0, "undated": None, "other": -1}
    store.add_cases(
        Case(name.ljust(12, "0"), name, "x", "p2" if name == "other" else "p1", None, (9, 9), "")
        for name in sorted(days)
    )
    for name, apart in days.items():
        if apart is not None:
            describe_day(store, name.ljust(12, "0"), dt.date(2020, 3, 1) + dt.timedelta(apart))
    found = [(name.rstrip("0"), apart) for name, apart in related(store, store.case("now".ljust(12, "0")))]
    assert found == [("last", -30), ("old", -900), ("same", 0), ("later", 50), ("undated", None)]
    assert related(store, store.case("undated".ljust(12, "0")))[0][1] is None
    assert related(store, store.case("other".ljust(12, "0"))) == []
    store.close()
