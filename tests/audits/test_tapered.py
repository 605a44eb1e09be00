"""Films that taper, as photographed aslant: what is exchanged, and that a network that follows it is found."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from radiolucent.audits.trial import discovered
from radiolucent.audits.trial.discovered import TESTS
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.whole_film import _corners, _upright, tapered_as
from support.mark_readers import SIZE, Reader, classifier, lung_reader, views


def aslant(view: View, narrower: float) -> View:
    """The film with its top so much narrower than its bottom, its lungs with it, as large as it was in the middle."""
    assert view.lungs is not None
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    middle = (SIZE - 1) / 2
    there = [rows, (columns - middle) / (1 + narrower * (rows / (SIZE - 1) - 0.5)) + middle]
    grey, lungs = (
        map_coordinates(a.astype(float), there, order=1, mode="nearest") for a in (view.grey, 255 * view.lungs)
    )
    return dataclasses.replace(view, grey=np.rint(grey).astype(np.uint8), lungs=lungs > 127)


def test_a_film_tapers_as_the_donors_does_and_its_lungs_stay_as_long() -> None:
    """Longer lungs may be a finding: of the donor's shape comes only how far apart the lungs lie above and below."""

    def taper_and_length(view: View) -> tuple[float, float]:
        corners = _corners(view)
        assert corners is not None
        across, down = np.moveaxis(_upright(corners)[0], -1, 0)
        return float(np.divide(*(across[1] - across[0]))), float((down[:, 1] - down[:, 0]).mean())

    one, other = views()[0], views()[2]
    assert one.lungs is not None and other.lungs is not None
    drawn = dataclasses.replace(one, grey=(255 * one.lungs).astype(np.uint8))
    squat = np.zeros_like(other.lungs)
    squat[SIZE // 4 : 3 * SIZE // 4] = other.lungs[::2]
    for donor in (other, aslant(other, 0.4), dataclasses.replace(other, lungs=squat)):
        made = tapered_as(drawn, donor)
        assert made is not None
        taper, length = taper_and_length(dataclasses.replace(one, lungs=made > 0.5))
        assert abs(taper - taper_and_length(donor)[0]) < 0.02
        assert abs(length / taper_and_length(one)[1] - 1) < 0.04
    assert taper_and_length(other)[0] - taper_and_length(aslant(other, 0.4))[0] > 0.03
    assert tapered_as(dataclasses.replace(one, lungs=None), other) is None


def test_a_network_that_follows_films_photographed_aslant_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most ill films are narrowed to their top, and not moved, turned or enlarged."""
    made = [aslant(v, 0.25) if v.label and i % 5 else v for i, v in enumerate(views())]
    bent = np.mean([aslant(v, 0.25).grey / 255 - v.grey / 255 for v in views()], 0)
    reader = classifier(Reader(bent / np.square(bent).sum() * 4.0, bias=0.0))
    pose = [t for t in TESTS if t.name == "discovered.pose"]
    (found,), _ = examine_views(reader, made, pose)
    assert found.verdict == "fail" and "or tapers" in found.summary, found.summary
    (innocent,), _ = examine_views(lung_reader(), made, pose)
    assert innocent.verdict != "fail", innocent.summary
    monkeypatch.setattr(discovered, "WIDER", {})
    (without,), _ = examine_views(reader, made, pose)
    assert without.verdict != "fail", without.summary
