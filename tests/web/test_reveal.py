"""What the model says, computed behind the scenes: what fails is told without a path, and holds nobody else up."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers import GradCAM
from radiolucent.models import Classifier
from radiolucent.readers.store_values import Reading
from radiolucent.types import Explanation
from radiolucent.web import reveal
from radiolucent.web.statistics import _said
from radiolucent.web.study_context import StudyContext
from support.study_server import FULL, Client, make_study, served


@pytest.fixture
def context(tmp_path: Path) -> Iterator[StudyContext]:
    with served(make_study(tmp_path)) as made:
        yield made


def test_a_missing_film_is_told_without_its_path_and_tried_again(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Client(context).enter("Dr A")
    case = context.store.case(reader.cases()[0])
    film = Path(case.path)
    content = film.read_bytes()
    film.unlink()
    with caplog.at_level(logging.WARNING):
        reader.lock(case.id, FULL)
        _, _, told = reader.wait(f"/api/cases/{case.id}/prediction")
        assert set(json.loads(told)) == {"failed", "methods", "names"}
        assert reader.wait(f"/api/cases/{case.id}/maps/gradcam")[0] == 410
    assert str(film) in caplog.text
    noted = [json.loads(line) for line in context.failures.path.read_text().splitlines()]
    assert {(n["case"], n["error"], n["what"]) for n in noted} == {(case.id, "ImageError", "computing answer.json")}
    assert str(film) in noted[0]["message"] and noted[0]["place"].startswith("films.py:")
    assert context.failures.path.parent == context.store.path.parent  # beside the study's database
    kept = b"".join(file.read_bytes() for file in context.reveal.folder.iterdir())
    for text in (told, kept):
        assert film.name.encode() not in text and film.parent.name.encode() not in text
    film.write_bytes(content)
    context.reveal.request(case)  # too early: what failed is told as before
    assert "failed" in (context.reveal.prediction(case) or {})
    monkeypatch.setattr(reveal, "_AGAIN", 0.0)
    assert json.loads(reader.wait(f"/api/cases/{case.id}/prediction")[2])["called"]
    assert reader.wait(f"/api/cases/{case.id}/maps/gradcam")[0] == 200


_ASKED: set[int] = set()


@dataclass(frozen=True)
class _Broken(GradCAM):
    """Fails on the first film asked for, as a method never should."""

    lasting: bool = False
    number: int = field(default_factory=count().__next__)

    def attribute(self, *values: Any, **named: Any) -> Any:
        if self.number not in _ASKED:
            _ASKED.add(self.number)
            raise ExplainError("no such layer") if self.lasting else ValueError("broken")
        return super().attribute(*values, **named)


@pytest.mark.parametrize("lasting", [False, True])
def test_a_method_that_fails_does_not_end_the_work(context: StudyContext, lasting: bool) -> None:
    context.reveal.methods = {"gradcam": _Broken(lasting=lasting)}
    reader = Client(context).enter("Dr A")
    first, second = reader.cases()[:2]
    reader.lock(first)
    assert reader.wait(f"/api/cases/{first}/maps/gradcam")[0] == 410
    reader.lock(second)
    assert reader.wait(f"/api/cases/{second}/maps/gradcam")[0] == 200
    context.reveal.ahead([context.store.case(first)], lambda *_: None)
    again = context.reveal.explanation(context.store.case(first), "gradcam")
    assert isinstance(again, str if lasting else Explanation)


def test_an_answer_of_any_film_without_lung_is_no_call(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classifier, "no_call", lambda self, logits: torch.ones(len(logits), dtype=torch.bool))
    reader = Client(context).enter("Dr A")
    case = reader.cases()[0]
    reader.lock(case, FULL)
    told = json.loads(reader.wait(f"/api/cases/{case}/prediction")[2])
    assert (told["called"], told["probability"], told["headline"]) == (None, None, "no call")
    assert "texture of a lung" in told["words"][0]
    assert reader.wait(f"/api/cases/{case}/maps/gradcam")[0] == 200


def test_films_are_ranked_by_log_odds_where_every_probability_is_1_and_without_a_call_too(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = context.store.cases()
    answers = iter([torch.tensor([[0.0, 100.0 + i]]) for i in range(len(cases))])
    monkeypatch.setattr(Classifier, "logits", lambda self, inputs: next(answers))
    monkeypatch.setattr(Classifier, "no_call", lambda self, logits: logits[:, 1] == 100)
    context.reveal.methods = {}
    context.reveal.ahead(cases, lambda *_: None)
    told = [context.reveal.prediction(case) or {} for case in cases]
    assert told[0]["called"] is None and len({t["probability"] for t in told[1:]}) == 1
    number = context.store.reader("Dr A")
    for case in cases:
        saved = context.store.save(case.id, number, Reading(0, False, "NORMAL", 3, "", (), 1.0), f"ranked-{case.id}")
        context.store.lock(case.id, number, saved.revision)
    scores = {s.case.id: s.score for s in (_said(context, *row) for row in context.store.locked())}
    ranked = [scores[case.id] for case in cases]
    assert None not in ranked and ranked == sorted(set(map(float, filter(None, ranked))))
