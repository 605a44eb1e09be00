"""A study goes on as it was begun, and its readers can be told apart."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from radiolucent.errors import ConfigError
from radiolucent.web.films import Films
from radiolucent.web.open_study import StudyPlan, check_readers, open_study
from web.study_support import draw_films, make_run


def test_a_study_goes_on_only_as_it_was_begun(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    plan = StudyPlan(run, draw_films(tmp_path / "films"), tmp_path / "study", "Trial", lime_samples=30, limit=3, seed=4)
    first = open_study(plan, lambda *_: None).context
    cases, folder = first.store.cases(), first.reveal.folder
    first.close()
    for name, other in (("seed", 5), ("limit", 2), ("methods", ("lime",)), ("lime_samples", 40), ("name", "Other")):
        changed: Any = {name: other}
        with pytest.raises(ConfigError, match=f"begun with {name} "):
            open_study(dataclasses.replace(plan, **changed), lambda *_: None)
    again = open_study(plan, lambda *_: None).context
    assert again.store.cases() == cases and again.reveal.folder == folder
    again.close()


def test_a_kept_film_that_is_cut_short_or_pruned_is_decoded_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    plan = StudyPlan(run, draw_films(tmp_path / "films", 1), tmp_path / "study", "Trial")
    context = open_study(plan, lambda *_: None).context
    films, case = Films(tmp_path / "kept"), context.store.cases()[0]
    kept = films.film(case).path
    whole = kept.read_bytes()
    kept.write_bytes(b"")
    assert films.film(case).path.read_bytes() == whole
    context.close()


@pytest.mark.parametrize(
    "names", [[""], [" "], ["x" * 81], ["Consensus"], ["model"], ["without Dr A"], ["Dr A", "dr a "], ["staple"]]
)
def test_readers_names_that_mean_something_else_are_refused(names: list[str]) -> None:
    check_readers(["Dr A", "Dr B", "x" * 80])
    with pytest.raises(ConfigError, match="reader"):
        check_readers(names)
