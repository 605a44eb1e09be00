"""The audit on trial: journal, counting, and a small run that must find a marker planted on all ill films."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from radiolucent.audits.trial.planted import BACKGROUND, Pool, paint, pool, training_films
from radiolucent.audits.trial.rules import differing, rules, rules_of
from radiolucent.audits.trial.selftest import SelfTest, SelfTestResult, found_in, self_test
from radiolucent.audits.trial.shipped_selftest import shipped_self_test, since_then
from radiolucent.errors import ConfigError
from radiolucent.reports.selftest_page import write_self_test

TINY = SelfTest(
    seeds=1,
    shares=(1.0,),
    kinds=("marker",),
    films=120,
    held_out=40,
    audited=48,
    epochs=16,
    map_films=8,
    seed=3,
)


def test_painting_plants_exactly_what_was_asked() -> None:
    n = 80
    blank = np.full((n, 64, 64), 60, np.uint8)
    none = np.zeros((n, 64, 64), bool)
    plain = Pool(blank, none, np.arange(n) % 2)
    white = {}
    for share in (0.0, 0.5, 1.0):
        films, labels = training_films(plain, "marker", share, np.random.default_rng(0))
        white[share] = [float(((films[labels == c] > 130).sum((1, 2)) > 0).mean()) for c in (0, 1)]
    assert white[0.0] == [BACKGROUND, BACKGROUND]
    assert white[1.0] == [BACKGROUND, 1.0]
    assert white[0.5][0] == BACKGROUND and 0.5 <= white[0.5][1] <= 0.6
    film, marked = paint(blank[0], {"marker"}, np.random.default_rng(1))
    # What a tenth of ink or less covers does not count as marker: at most 0.1 · (255 − 60) brighter.
    assert marked.any() and (film[marked] > 60).all() and film[~marked].max() <= 60 + 0.1 * (255 - 60) + 0.5


def test_a_self_test_finds_a_planted_marker_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = self_test(TINY, tmp_path, workers=1, progress=lambda *step: told.append(step))
    assert found_in(found.models[0], "audit", "marker"), found.models[0]["values"]
    assert told[-1] == ("models trained and audited", 1, 1)
    journal = tmp_path / "models.jsonl"
    before = journal.read_bytes()
    journal.write_bytes(before + b'{"shortcut": "ma')
    again = self_test(TINY, tmp_path, workers=1)
    assert again.as_dict() == found.as_dict() and journal.read_bytes() == before
    page = write_self_test(found, tmp_path).read_text()
    assert "100 % (" in page and json.loads((tmp_path / "selftest.json").read_text())["models"]
    with pytest.raises(ConfigError, match=r"another configuration \(.*seed.*\)"):
        self_test(SelfTest(kinds=("marker",), seed=4), tmp_path, workers=1)
    note = tmp_path / "config.json"
    kept = json.loads(note.read_text())
    note.write_text(json.dumps(kept | {"rules": kept["rules"] | {"discovered.MORE": 7, "exchange.code": 0}}))
    with pytest.raises(ConfigError, match=r"other rules: discovered.MORE \(7 then, 160 now\), the code of exchange;"):
        self_test(TINY, tmp_path, workers=1)
    note.write_text(json.dumps({k: v for k, v in kept.items() if k != "rules"}))
    with pytest.raises(ConfigError, match="does not say by what rules"):
        self_test(TINY, tmp_path, workers=1)


def test_rules_are_constants_and_code_without_words_on_it() -> None:
    plain = rules_of("a", ast.parse("ONE, TWO = 1, (2, 3)\ndef f():\n    return 1\n"))
    worded = rules_of(
        "a", ast.parse('"""Of it."""\nONE, TWO = 1, (2, 3)\n"""One."""\ndef f():  # so\n    "f"\n    return 1\n')
    )
    other = rules_of("a", ast.parse("ONE, TWO = 1, (2, 3)\ndef f():\n    return 2\n"))
    assert plain == worded and plain["a.ONE"] == 1 and plain["a.TWO"] == [2, 3]
    assert differing(plain, other) == "the code of a" and differing(plain, plain) == ""
    kinds = rules_of("a", ast.parse("KINDS = {'b': ({'z', 'y'}, 1)}"))
    assert json.loads(json.dumps(kinds)) == kinds and kinds["a.KINDS"] == {"b": [["y", "z"], 1]}
    assert rules()["known_films.KNOWN"] == 0.5 and "interventions.code" in rules()


def test_rates_count_models() -> None:
    def model(
        kind: str, share: float, number: int, fails: list[str], cam: bool, painted: float = 0.0
    ) -> dict[str, object]:
        return {
            "shortcut": kind, "share": share, "number": number, "auroc": 0.9, "seconds": 1.0,
            "verdicts": dict.fromkeys(fails, "fail"), "values": {},
            "painted": {name: [painted, painted + 0.1, 0.0] for name in ("size", "exposure", "border", "marker")},
            "maps": {"gradcam": {"marker": cam, "border": False}, "lime": {"marker": False, "border": False}},
        }  # fmt: skip

    config = SelfTest(seeds=2, shares=(0.0, 0.5))
    models = (
        model("none", 0.0, 0, ["marker.move"], False),
        model("none", 0.0, 1, [], True),
        model("marker", 0.5, 0, ["marker.paste"], False),
        model("marker", 0.5, 1, ["border.black"], True),
    )
    rates = SelfTestResult(config, models).rates
    assert rates["audit", "marker", 0.0].value == 0.5 and rates["gradcam", "marker", 0.0].value == 0.5
    assert rates["audit", "marker", 0.5].value == 0.5 and rates["audit", "border", 0.0].value == 0.0
    assert ("gradcam", "exposure", 0.5) not in rates
    assert SelfTestResult(config, models).any_alarm().n == 2
    assert SelfTestResult(config, models).use() == []  # two clean models say nothing of what is usual
    clean = tuple(model("none", 0.0, i, [], False, 0.02 * i) for i in range(20))
    planted = (model("marker", 0.5, 0, ["marker.paste"], False, 0.5), model("marker", 0.5, 1, [], False, 0.1))
    told = SelfTestResult(config, clean + planted)
    marker, border = told.use()[:2]
    assert 0.34 < marker["limit"] < 0.38 and marker["used"]["value"] == 0.5 and marker["used"]["n"] == 2
    assert marker["found_of_used"]["value"] == 1.0 and marker["found_of_used"]["n"] == 1
    assert border["used"]["n"] == 0 and told.innocent_alarm().n == 20 and told.as_dict()["use"] == told.use()
    shipped = shipped_self_test()
    assert shipped is not None and "marker.paste" in shipped["tests"] and "marker.paste" not in since_then(shipped)
    assert "marker.paste" in since_then({**shipped, "tests": [t for t in shipped["tests"] if t != "marker.paste"]})
    assert not since_then(SelfTestResult(config, models).as_dict())
    assert len(SelfTest(seeds=5).jobs()) == (6 + 2) * 5 + 4 * 4 * 5


def test_phantoms_are_drawn_once(tmp_path: Path) -> None:
    first = pool(4, 64, 9, folder=tmp_path)
    count: list[int] = []
    again = pool(4, 64, 9, folder=tmp_path, progress=lambda done, _: count.append(done))
    assert (first.pixels == again.pixels).all() and not count and first.labels.tolist() == [0, 1, 0, 1]
