"""What statements are taken to say, and whether words, markings and maps name the same places."""

from typing import Any

import numpy as np
import pytest

from radiolucent.audits.agreement import parse_statement, statement_agreement
from radiolucent.audits.agreement.zones import zone_masks
from radiolucent.types import Annotation, Explanation, Geometry, Region

SIDE = 60
FEW: Any = {"folds": 200}


@pytest.mark.parametrize(
    ("text", "findings", "denied", "zones"),
    [
        ("consolidation, right lower zone", {"consolidation"}, set(), "C"),
        ("round opacity, left upper zone and right middle zone", {"opacity"}, set(), "DB"),
        ("Right-sided pleural effusion. No pneumothorax.", {"effusion"}, {"pneumothorax"}, "ABC"),
        ("bilateral perihilar infiltrates", {"opacity"}, set(), "BE"),
        ("patchy opacities in both lower lobes", {"opacity"}, set(), "CF"),
        ("no effusion, pneumothorax or mass", set(), {"effusion", "pneumothorax", "nodule"}, ""),
        ("no effusion, consolidation right base", {"consolidation"}, {"effusion"}, "C"),
        ("opacity without effusion", {"opacity"}, {"effusion"}, ""),
        ("No consolidation but nodule left apex", {"nodule"}, {"consolidation"}, "D"),
        ("collapse of the left lower lobe", {"atelectasis"}, set(), "F"),
        ("interstitial markings", {"interstitial"}, set(), ""),
        ("rib fracture", set(), set(), ""),
    ],
)
def test_statements(text: str, findings: set[str], denied: set[str], zones: str) -> None:
    said = parse_statement(text)
    assert said.findings == findings and said.denied == denied and said.zones == set(zones)


def test_whether_anything_was_found() -> None:
    for text in ("no finding", "Normal chest.", "lungs are clear", "clear", "unremarkable", "no acute abnormality"):
        assert parse_statement(text).finding is False, text
    for text in ("normal heart size, opacity left base", "Heart size normal, consolidation in the right lower zone"):
        said = parse_statement(text)
        assert said.finding is True and not said.nothing and said.zones, text
    assert parse_statement("Heart size normal, no consolidation.").finding is False
    assert parse_statement("the chest is not normal").finding is None
    assert parse_statement("none of the lobes shows consolidation").finding is False
    assert parse_statement("Normal heart. Opacity left base.").finding is True
    for text in ("", "see above", "comparison: none available"):
        assert parse_statement(text).finding is None, text


def note(text: str, zone: str | None, name: str, reader: str = "A") -> Annotation:
    regions = (Region.mask(zone_masks((SIDE, SIDE))[zone]),) if zone else ()
    return Annotation(name, regions, None, reader, text, bool(zone), (SIDE, SIDE))


def test_words_against_markings_and_maps() -> None:
    notes = [
        note("consolidation, right lower zone", "C", "a"),
        note("consolidation, left lower zone", "C", "b"),  # the classic slip: sides exchanged
        note("no finding", None, "c"),
        note("no finding", "A", "d"),  # marked all the same
        note("as before", "A", "e"),  # not understood
        note("", "A", "f"),  # no words
    ]
    found = statement_agreement(notes, **FEW)
    value = {name: e.value for name, e in found.estimates.items()}
    assert found.statements == 5 and found.understood == 4 and found.not_understood == ("as before",)
    assert value["finding"] == 0.75 and value["side"] == 0.5 and value["zone"] == 0.5 and value["map_hit"] is None
    assert found.estimates["side"].n == 2 and found.as_dict()["finding"]["value"] == 0.75
    geometry = Geometry((SIDE, SIDE), (SIDE, SIDE), (1.0, 1.0), (0.0, 0.0))
    values = zone_masks((SIDE, SIDE))["C"].astype(np.float32)
    maps = [Explanation(values, n, 1, "ILL", 1.0, "logit", "gradcam", {}, 0, "h", geometry) for n in "ab"]
    value = {name: e.value for name, e in statement_agreement(notes, maps, **FEW).estimates.items()}
    assert value["map_hit"] == 0.5 and value["map_energy"] == 0.5
    assert value["map_area"] == pytest.approx(float(values.mean()), abs=1e-6)


def test_no_statement_at_all() -> None:
    found = statement_agreement([note("", "A", "a")], **FEW)
    assert found.statements == 0 and found.estimates["side"].value is None
