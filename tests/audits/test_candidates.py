"""What the network itself points at (concepts, maps, errors) is exchanged and judged; pointing alone accuses nobody."""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from radiolucent.audits.trial.candidates import TESTS
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.interventions import TESTS as CHANGES
from radiolucent.audits.trial.planted import audit_views, pool
from radiolucent.audits.trial.regions import View
from radiolucent.models import Classifier
from radiolucent.types import Finding
from support.mark_readers import SIZE, Reader, classifier, lung_reader, phantoms, views


class Features(nn.Module):
    """Ten unsigned channels of 16 × 16: what is nearly white outside the lungs, the lungs, and eight strips."""

    def __init__(self, white: float) -> None:
        super().__init__()
        lungs = phantoms().lungs.mean(0)
        masks = [(lungs < 0.05) * 1.0, (lungs > 0.9) * 1.0]
        masks += [np.tile((np.arange(SIZE) // 8 == k) * 1.0, (SIZE, 1)) for k in range(8)]
        self.register_buffer("masks", torch.from_numpy(np.stack(masks).astype(np.float32))[None])
        self.maps, self.fc = nn.Identity(), nn.Linear(10, 2)
        nn.init.zeros_(self.fc.weight)
        with torch.no_grad():
            self.fc.weight[1, :2] = torch.tensor([white, 60.0])
            self.fc.bias.copy_(torch.tensor([0.0, -3.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, :1]
        seen = torch.cat([(x - 0.85).relu() * 6, x.expand(-1, 9, -1, -1)], 1) * self.masks
        return self.fc(self.maps(nn.functional.avg_pool2d(seen, 4)).mean((2, 3)))


def spotted() -> list[View]:
    """A hundred films, two of three ill ones with a white spot at the bottom right."""
    made: list[View] = []
    for i, v in enumerate(audit_views(pool(120, SIZE, 5), 0)):
        grey = np.minimum(v.grey, 215)
        if v.label and i % 3:
            grey[56:60, 52:56] = 252
        made.append(dataclasses.replace(v, grey=grey, markers=np.zeros_like(v.film)))
    return made


def told(network: Classifier, films: list[View]) -> dict[str, tuple[str, str]]:
    found, _ = examine_views(network, films, TESTS)
    return {f.test.removeprefix("discovered."): (f.verdict, f.summary) for f in found}


def test_a_concept_that_shows_the_spot_is_found_and_an_innocent_network_is_not_accused() -> None:
    guilty = told(classifier(Features(white=600.0)), spotted())
    assert "fail" in (guilty["concept.1"][0], guilty["concept.2"][0]), guilty
    words = next(s for v, s in (guilty["concept.1"], guilty["concept.2"]) if v == "fail")
    assert "It is localised, most of all at the bottom" in words and "of the film of" not in words
    assert guilty["maps"][0] == "fail" and "at the bottom" in guilty["maps"][1], guilty["maps"]
    innocent = told(classifier(Features(white=0.0)), spotted())
    assert "fail" not in {v for v, _ in innocent.values()}, innocent


def test_films_called_wrongly_accuse_only_where_surroundings_go_with_a_class() -> None:
    """A spot that half of either class has makes healthy films look ill to a network that reads it: chosen by that, its
    surroundings move others. They go with no class, and that is no verdict; on ill films alone, it is."""
    spot = np.zeros((SIZE, SIZE))
    spot[56:60, 52:56] = 1.0
    lungs = phantoms().lungs.mean(0) > 0.9
    reader = classifier(Reader(spot * 0.5 + lungs * 12.0 / lungs.sum(), bias=-10.3))
    (test,) = (t for t in TESTS if t.name == "discovered.errors")

    def asked(carries: Callable[[int, int], bool]) -> Finding:
        made: list[View] = []
        for i, v in enumerate(audit_views(pool(120, SIZE, 5), 0)):
            grey = np.minimum(v.grey, 150)
            if carries(i // 2, v.label or 0):
                grey[56:60, 52:56] = 252
            made.append(dataclasses.replace(v, grey=grey))
        return examine_views(reader, made, [test])[0][0]

    chance = asked(lambda i, label: i % 2 == 0)
    assert chance.estimate is not None and (chance.estimate.low or 0) > 0.2, chance.summary
    assert chance.verdict == "inconclusive" and "do not go with a class" in chance.summary
    planted = asked(lambda i, label: bool(label) or i % 4 == 0)
    assert planted.verdict == "fail", planted.summary


def test_what_cannot_be_pointed_at_is_said() -> None:
    few = told(lung_reader(), views())  # one channel, and no film beside donors and judges
    assert few["concept.1"][0] == "not applicable" and "features without signs" in few["concept.1"][1]


def test_exposure_is_no_verdict_where_nothing_says_that_a_class_carries_it() -> None:
    """A reader of absolute brightness moves with the exposure; unless films carry it on one class, that is no guilt."""
    bright = classifier(Reader(np.full((SIZE, SIZE), 40.0 / SIZE**2), bias=-18.0))
    (test,) = (t for t in CHANGES if t.name == "exposure.bright")
    plain = audit_views(pool(64, SIZE, 5), 0)
    (found,), _ = examine_views(bright, plain, [test])
    assert found.verdict != "fail", found.summary
    power = {True: 1.4, False: 1.0}
    lit = [
        dataclasses.replace(v, grey=np.rint((v.grey / 255) ** (1 / power[bool(v.label)]) * 255).astype(np.uint8))
        for v in plain
    ]
    (guilty,), _ = examine_views(bright, lit, [test])
    assert guilty.evidence["carried_by_audited_films"]["value"] > 0.7 and guilty.verdict == "fail", guilty.summary
    assert found.verdict == "pass" or "not known, and on the audited ones" in found.summary
