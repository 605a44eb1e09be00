"""Prefilled guidelines and model card: what a run knows stands there, what it does not is left to a human."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from radiolucent.reports.guideline_facts import facts
from radiolucent.reports.guideline_items import GUIDELINES
from radiolucent.reports.guidelines import CARD, filled, write_guidelines


def estimate(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "level": 0.95, "n": 80, "method": "wilson"}


AUDIT: dict[str, Any] = {
    "verdict": "fail", "headline": "FAIL: the decision follows the side marker.", "films": 90, "patients": 80,
    "auroc": estimate(0.9), "columns": {"sex": 85, "site": 90},
    "left_out": [{"image": "x", "reason": "broken"}], "not_tested": ["Films of other hospitals."],
    "findings": [
        {"test": "marker.paste", "verdict": "fail", "summary": "It follows the marker.", "estimate": estimate(0.9)},
        {"test": "stress.blur", "verdict": "pass", "summary": "Blur costs nothing.", "estimate": estimate(0.0)},
    ],
    "model": {
        "hash": "abc" * 20, "parameters": 1234,
        "meta": {
            "architecture": {"name": "small_cnn"}, "class_names": ["NORMAL", "PNEUMONIA"], "positive": 1,
            "preprocess": {"size": 64}, "head": "softmax", "threshold": 0.4, "temperature": 1.2,
            "provenance": {"weights": "none", "best_epoch": 3, "recipe": {"lr": 0.001}},
        },
    },
}  # fmt: skip
RUN: dict[str, Any] = {
    "hashes": {"model": "abc" * 20}, "versions": {"torch": "2"}, "seed": 5, "history": [1, 2, 3, 4],
    "class_names": ["NORMAL", "PNEUMONIA"], "config": {"data": "<films>", "recipe": "strong", "flip": False},
    "data": {"counts": {"train": {"NORMAL": 10, "PNEUMONIA": 12}}, "patients": {"train": 20}, "left_out": []},
    "threshold": {"value": 0.41, "rule": "youden", "n": 30}, "validation": {"auroc": estimate(0.9)},
    "performance": {
        "n": 40, "patients": 33, "auroc": estimate(0.9), "sensitivity": estimate(0.8),
        "confusion": {"tp": 1, "fp": 2, "fn": 3, "tn": 4},
    },
    "agreement": {}, "doctors": None,
}  # fmt: skip


def test_the_item_lists_have_their_published_numbers() -> None:
    numbers = {key: [i.number for i in g.items] for key, g in GUIDELINES.items()}
    assert numbers["claim"] == [str(k) for k in range(1, 45)]
    mains = {key: list(dict.fromkeys(int(n.rstrip("abcdefg")) for n in own)) for key, own in numbers.items()}
    assert mains["tripod"] == list(range(1, 28)) and len(numbers["tripod"]) == 52
    assert mains["stard"] == list(range(1, 41)) and len(numbers["stard"]) == 48
    assert all(len(set(own)) == len(own) for own in numbers.values())


@pytest.mark.parametrize("name", ["wrapped", "own", "function"])
def test_a_model_that_a_program_gave_is_no_file_of_ours(name: str, tmp_path: Path) -> None:
    wrapped = copy.deepcopy(AUDIT)
    wrapped["model"]["meta"]["architecture"] = {"name": name, "pick": None, "asked": [False, None]}
    write_guidelines(wrapped, tmp_path)
    page = (tmp_path / "model-card.html").read_text()
    assert (
        "checkpoint" not in page
        and "None" not in page
        and "loads without executing code" not in page
        and "given by a program" in page
    )
    training = page[page.index("<h2>Training</h2>") : page.index("<h2>Evaluation data</h2>")]
    assert "a human must write" in training  # no heading above nothing


def test_every_fact_that_is_asked_for_exists() -> None:
    run = copy.deepcopy(RUN)
    run["doctors"] = {"readers": ["A"], "films": 9, "between": {"fleiss_kappa": estimate(0.6)}}
    run["agreement"] = {"gradcam": {"hit_rate": estimate(0.5)}}
    audit = copy.deepcopy(AUDIT)
    for test in ("slices", "subgroups.site", "shortcut.metadata", "prevalence.shift", "patients.straddle",
                 "duplicates.exact", "source.embedding", "maps.gradcam.lungs", "calibration.large",
                 "reasons.score"):  # fmt: skip
        audit["findings"].append({"test": test, "verdict": "pass", "summary": test, "estimate": estimate(0.1)})
    known = facts(audit, run)
    asked = {f for g in GUIDELINES.values() for i in g.items for f in i.facts} | {
        f for _, names, _ in CARD for f in names
    }
    assert asked == {*known} & asked, asked - {*known}


def test_an_answer_appears_with_its_cause_and_goes_with_it() -> None:
    claim = GUIDELINES["claim"]
    with_run = {r.number: r for r in filled(claim, facts(AUDIT, RUN))}
    alone = {r.number: r for r in filled(claim, facts(AUDIT))}
    assert with_run["25"].status == "answered here" and "lr 0.001" in with_run["25"].said[0].text
    assert alone["25"].status == "a human must write" and alone["25"].human
    assert with_run["44"].status == "a human must write" and with_run["7"].status == "in part"
    assert "0.900 (95 % CI 0.850 to 0.950" in with_run["38"].said[0].text


@pytest.mark.parametrize("other", [False, True])
def test_the_pages_say_whose_training_they_tell(tmp_path: Path, other: bool) -> None:
    run = {**RUN, "hashes": {"model": "another"}} if other else RUN
    page, card = write_guidelines(AUDIT, tmp_path, run=run)
    text, told = page.read_text(), json.loads((tmp_path / "guidelines.json").read_text())
    assert ("another model" in text) == other == bool(told["missing"])
    assert ("&lt;films&gt;" in text) != other and "<films>" not in text
    assert sum(told["claim"]["counts"].values()) == 44
    assert "follows the side marker" in card.read_text() and "a human must write" in card.read_text()
    assert 'src="http' not in text + card.read_text() and json.loads((tmp_path / "model-card.json").read_text())


def test_the_card_states_performance_the_files_hash_and_what_n_counts(tmp_path: Path) -> None:
    audit = copy.deepcopy(AUDIT)
    audit["model"]["file"] = {"name": "box.safetensors", "sha256": "f00d" * 16}
    _, card = write_guidelines(audit, tmp_path)
    text = card.read_text(encoding="utf-8")
    assert f"box.safetensors, SHA-256 {'f00d' * 16}" in text and "model.safetensors" not in text
    assert "On the 90 audited films: AUROC 0.900 (95 % CI 0.850 to 0.950, n = 80 patients, wilson)" in text
    assert "sex of 85 of 90 films" in text and "not among the films" not in text
    _, card = write_guidelines(AUDIT | {"columns": {}}, tmp_path, run=RUN)
    text = card.read_text(encoding="utf-8")
    assert "Test patients: auroc 0.900 (95 % CI 0.850 to 0.950, n = 80 patients, wilson)" in text
    assert "Age and sex are not among the films" in text
