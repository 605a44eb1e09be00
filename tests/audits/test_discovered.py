"""Shortcuts without a name are found by exchange; a change that no film shows proves nothing."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter, laplace
from torch import nn

from radiolucent.audits.trial import discovered
from radiolucent.audits.trial.attribution import TESTS as MAPS
from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.channel_findings import Tried, _localised, _where, finding_of
from radiolucent.audits.trial.discovered import TESTS, deal
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.exchange import CHANNELS, Channel, cell_channel, filled, fine_of, free
from radiolucent.audits.trial.familiar import familiar
from radiolucent.audits.trial.interventions import TESTS as CHANGES
from radiolucent.audits.trial.lung_structure import no_findings
from radiolucent.audits.trial.regions import View
from radiolucent.explainers import GradCAM, Saliency
from radiolucent.types import Estimate
from support.mark_readers import SIZE, Reader, border_reader, classifier, lung_reader, phantoms, views

FEW = [t for t in TESTS if t.name in ("discovered.surroundings", "discovered.tone", "discovered.inside")]


def with_spots() -> list[View]:
    """The films, two of three of the ill ones with a white spot at the bottom right, which no test names."""
    made: list[View] = []
    for i, v in enumerate(views()):
        grey = v.grey.copy()
        if v.label and i % 3:
            grey[56:60, 52:56] = 250
        made.append(dataclasses.replace(v, grey=grey))
    return made


def spot_reader() -> np.ndarray:
    place = np.zeros((SIZE, SIZE))
    place[56:60, 52:56] = 1.0
    return place


def test_a_shortcut_without_a_name_is_found_placed_and_shown() -> None:
    lungs = np.stack([v.lungs for v in views() if v.lungs is not None]).mean(0) > 0.9
    guilty = classifier(Reader(spot_reader() * 0.4 + lungs * 8.0 / lungs.sum(), bias=-4.0))
    caught, _ = examine_views(guilty, with_spots(), FEW)
    innocent, _ = examine_views(lung_reader(), with_spots(), FEW)
    lead = caught[0]
    assert lead.verdict == "fail", lead.summary
    first = next(f for f in caught if f.test == "discovered.surroundings")
    assert first.verdict == "fail" and first.evidence["place"] == "place.5.5", first.evidence
    assert "at the bottom, at the right edge" in first.evidence["says"] and first.evidence["localised"]
    assert "It is localised: something at the bottom, at the right edge of the film carries half" in first.summary
    dealt = first.evidence["dealt"]
    assert f"of {dealt['positive']} PNEUMONIA films are like this, and" in first.summary
    assert f"of {dealt['judges']} calls." in first.summary and "% of" not in first.summary
    assert first.estimate is not None and first.estimate.n == dealt["positive"] + dealt["negative"]
    assert first.evidence["carried"]["positive"] > 0.4 > first.evidence["carried"]["negative"]
    assert [f.test for f in innocent if f.verdict == "fail"] == []


def with_uneven_tone() -> list[View]:
    """The films with spots, darker or brighter around the lungs, alike for the n-th film of either class."""
    made: list[View] = []
    for i, v in enumerate(with_spots()):
        assert v.lungs is not None
        power = np.exp(0.7 * np.random.default_rng(i // 2).standard_normal())
        other = np.rint((v.grey / 255) ** power * 255).astype(np.uint8)
        other[56:60, 52:56] = np.maximum(other, v.grey)[56:60, 52:56]
        made.append(dataclasses.replace(v, grey=np.where(v.lungs, v.grey, other)))
    return made


def test_donors_of_the_same_tone_are_compared_where_the_tone_hides_a_shortcut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that follows a spot, and as much how bright the film is."""
    even = np.ones((SIZE, SIZE)) / SIZE**2
    reader = classifier(Reader(spot_reader() + even * 30.0, bias=-12.0))
    found, _ = examine_views(reader, with_uneven_tone(), FEW[:1])
    assert found[0].verdict == "fail" and "plain" in found[0].evidence, found[0].summary
    assert "where what tone and texture alone do is the same (else +" in found[0].summary
    innocent, _ = examine_views(classifier(Reader(even * 30.0, bias=-12.0)), with_uneven_tone(), FEW[:1])
    assert innocent[0].verdict != "fail", innocent[0].summary
    monkeypatch.setattr(discovered, "adjusted", lambda found, level: found)
    without, _ = examine_views(reader, with_uneven_tone(), FEW[:1])
    assert without[0].verdict == "inconclusive", without[0].summary


@pytest.mark.parametrize(("proof", "verdict", "threshold"), [(0.19, "fail", 0.2), (0.05, "inconclusive", 0.3)])
def test_in_the_lungs_the_threshold_of_outside_holds_where_no_finding_explains_it(
    proof: float, verdict: str, threshold: float
) -> None:
    _, table = examine_views(lung_reader(), views(), ())
    by_id = {v.image_id: v for v in views()}
    case = Case(lung_reader(), table, by_id.__getitem__, by_id.__getitem__, TESTS)

    def shown(channel: Channel, value: float, low: float) -> Tried:
        e = Estimate(value, low, 2 * value - low, 0.95, 148, "given")
        return Tried(channel, e, (value, value), (), (), 0.5, 12, (0.1, 0.7), (), (74, 74))

    over = next(c for c in no_findings("fine", views()) if c.name == "fine.over")
    told = dataclasses.replace(shown(CHANNELS["fine"], 0.38, 0.22), proof=(shown(over, proof, 0.01),))
    (found,) = finding_of(case, CHANNELS["fine"], told)
    assert (found.verdict, found.threshold) == (verdict, threshold), found.summary


def test_a_change_of_the_whole_film_tells_no_place() -> None:
    e = Estimate(0.9, 0.5, 1.3, 0.95, 40, "test")
    for name, localised in (("tone", None), ("texture", None), ("border", True), ("lines", False)):
        found = Tried(CHANNELS[name], e, (0.9, 0.9), (), (), 0.5, 12, (0.0, 0.8), (), (20, 20))
        assert _localised(found) is localised, name
        assert ("was not looked for" in _where(found)) == (localised is None), name
        assert "localised" not in _where(found) and "diffuse" not in _where(found)  # no place is known


def test_an_open_figure_says_why_not_all_patients_were_donors() -> None:
    _, table = examine_views(lung_reader(), views(), ())
    by_id = {v.image_id: v for v in views()}
    many = dataclasses.replace(table, patients=tuple(f"p{i}" for i in range(len(table))))
    case = Case(lung_reader(), many, by_id.__getitem__, by_id.__getitem__, TESTS)

    def words(value: float) -> str:
        e = Estimate(value, value - 0.2, value + 0.2, 0.95, 20, "test")
        found = Tried(CHANNELS["lines"], e, (value, value), (), (), 0.5, 12, (0.1, 0.7), (), (10, 10))
        return finding_of(case, CHANNELS["lines"], found)[0].summary

    assert f"donors would settle it with a power of 80% (20 here, of {len(table)} patients; more are" in words(0.1)
    assert "more are tried only where the figure lies above the threshold" in words(0.1)
    assert "10 and 10 such films were put into 12 others" in words(0.1)
    assert "no more are tried" in words(0.3)


def test_exchange_leaves_lungs_alone_and_keeps_a_film_that_meets_itself() -> None:
    one, other = views()[0], views()[1]
    for name, channel in CHANNELS.items():
        itself, changed = channel.exchange(one, one), channel.exchange(one, other)
        assert itself is not None and changed is not None
        assert np.abs(itself - one.grey / 255).max() < 0.02, name
        far = np.abs(changed - one.grey / 255) > 1 / 255
        in_lungs = name in ("inside", "fine", "curve", "filter", "interlace", "pose")
        assert (far.any() or name == "interlace") and (in_lungs or not far[~free(one, other)].any()), name
    cell = cell_channel(0, 0).exchange(one, other)
    assert cell is not None and (np.rint(cell * 255)[16:, 16:] == one.grey[16:, 16:]).all()
    blind = dataclasses.replace(one, lungs=None)
    assert CHANNELS["inside"].exchange(blind, other) is None and CHANNELS["pose"].exchange(blind, other) is None


def test_what_a_film_has_as_a_whole_is_given_to_another_and_its_anatomy_is_not() -> None:
    """A darker, softer and mirrored copy of a film: each channel gives another film that, and its lungs stay where the
    film's own are but for the pose."""
    one, other = views()[0], views()[2]
    dark = dataclasses.replace(other, grey=np.rint((other.grey / 255) ** 1.5 * 255).astype(np.uint8))
    plain, darker = (CHANNELS["curve"].exchange(one, v) for v in (other, dark))
    assert plain is not None and darker is not None and one.lungs is not None and other.lungs is not None
    assert darker[one.lungs].mean() < plain[one.lungs].mean() - 0.03 and darker[one.outside].mean() < plain.mean()
    soft = dataclasses.replace(other, grey=np.rint(gaussian_filter(other.grey / 1.0, 1.5)).astype(np.uint8))
    crisp, softer = (CHANNELS["filter"].exchange(one, v) for v in (other, soft))
    assert crisp is not None and softer is not None
    assert np.abs(laplace(softer))[one.lungs].mean() < 0.85 * np.abs(laplace(crisp))[one.lungs].mean()
    combed = other.grey.copy()
    combed[1::2] = np.roll(combed[1::2], 2, 1)
    lines = CHANNELS["interlace"].exchange(one, dataclasses.replace(other, grey=combed))
    straight = CHANNELS["interlace"].exchange(one, other)
    assert lines is not None and straight is not None and np.abs(straight - one.grey / 255).mean() < 0.01
    np.testing.assert_allclose(lines[1::2, 4:-4], np.roll(one.grey / 255, 2, 1)[1::2, 4:-4], atol=0.03)
    mirrored = dataclasses.replace(one, grey=one.grey[:, ::-1], lungs=one.lungs[:, ::-1])
    found = CHANNELS["pose"].exchange(one, mirrored)
    assert (
        found is not None and np.abs(found - mirrored.grey / 255).mean() < 0.25 * np.abs(found - one.grey / 255).mean()
    )


@pytest.mark.parametrize(
    ("figure", "proof", "asked"), [(0.23, 0.14, True), (0.23, 0.05, False), (0.15, 0.14, False), (0.35, 0.0, True)]
)
def test_a_figure_in_the_lungs_is_tried_again_where_no_finding_may_explain_it(
    figure: float, proof: float, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it lies above what findings do, and from the threshold of outside on where a proof is no trifle."""
    _, table = examine_views(lung_reader(), views(), ())
    by_id = {v.image_id: v for v in views()}
    case = Case(lung_reader(), table, by_id.__getitem__, by_id.__getitem__, TESTS)
    dealt = deal(case, 20)
    assert dealt is not None

    def told(case: Case, channel: Channel, dealt: discovered.Deal, level: float) -> Tried:
        value = figure if channel.name == "fine" else proof if channel.name == "fine.strong" else 0.0
        e = Estimate(value, value - 0.15, value + 0.15, level, len(dealt.donors), "given")
        return Tried(channel, e, (value, value), (), (), 0.5, 12, (0.1, 0.7), (), (10, 10))

    monkeypatch.setattr(discovered, "tried", told)
    found = discovered._settled(case, CHANNELS["fine"], dealt, 0.95)
    assert found is not None and (found.estimate.n > len(dealt.donors)) == asked


class Grain(nn.Module):
    """Logit of the positive class: how much fine structure there is where nearly all films have lung."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()
        common = phantoms().lungs.mean(0) > 0.9
        self.place = nn.Parameter(torch.from_numpy((common / common.sum()).astype(np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grey = self.maps(x)
        edges = (grey - torch.nn.functional.avg_pool2d(grey, 3, 1, 1, count_include_pad=False)).abs()
        one = 100 * (edges[:, 0] * self.place).sum((1, 2))
        return torch.stack([torch.zeros_like(one), one], 1)


@pytest.mark.parametrize(
    ("where", "verdict", "words"),
    [
        ("white", "inconclusive", "cannot be told from findings in the lungs"),
        ("lungs", "inconclusive", "it lies evenly: look for an artefact or a disease all over"),
        ("film", "fail", "fine structure from outside the lungs"),
        ("marks", "fail", "structure stronger than in four of five lungs of the other class"),
    ],
)
def test_fine_structure_in_the_lungs_fails_only_where_no_finding_explains_it(
    where: str, verdict: str, words: str
) -> None:
    """Ill films with a faint weave: where the lungs are white it may be a finding, and all over them a disease; all
    over the film it is none. Nor are marks in the lungs whiter than anatomy."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    weave, marks = 8.0 * (-1) ** (rows // 2 + columns // 2), 160.0 * ((rows % 16 < 2) & (columns % 16 < 2))
    made: list[View] = []
    for v in views():
        assert v.lungs is not None
        slow = filled(v, v.lungs, 0.06 * v.side)
        faint, strength = v.lungs, np.abs(fine_of(v))
        if where == "lungs":  # off ribs, which it would make stronger than any
            faint = faint & (strength < np.quantile(strength[v.lungs], 0.7))
        place = {"film": np.ones_like(v.lungs), "white": v.lungs & (slow > np.median(slow[v.lungs]))}.get(where, faint)
        added = (marks if where == "marks" else weave) * place * (v.label == 1)
        made.append(dataclasses.replace(v, grey=np.clip(v.grey + added, 0, 255).astype(np.uint8)))
    (found,), _ = examine_views(classifier(Grain()), made, [t for t in TESTS if t.name == "discovered.inside"])
    assert found.verdict == verdict and words in found.summary, found.summary
    assert ("it lies evenly" in found.summary) == (where == "lungs"), found.summary


def test_what_lies_on_the_lungs_outline_alone_is_no_pass_and_no_verdict() -> None:
    """A weave that neither what lies outside the dilated lungs nor what lies well inside them shows."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    common = phantoms().lungs.mean(0)
    reader = Grain()
    reader.place.data = torch.from_numpy(((common > 0.05) & (common < 0.95)).astype(np.float32))
    reader.place.data /= reader.place.data.sum()
    made: list[View] = []
    for v in views():
        assert v.lungs is not None
        rim = v.lungs & (distance_transform_edt(v.lungs) <= 0.02 * SIZE)
        added = 25.0 * (-1) ** (rows // 2 + columns // 2) * rim * (v.label == 1)
        made.append(dataclasses.replace(v, grey=np.clip(v.grey + added, 0, 255).astype(np.uint8)))
    (found,), _ = examine_views(classifier(reader), made, FEW[:1])
    assert found.verdict == "inconclusive" and "on their outline" in found.summary, found.summary
    assert "No verdict: it lies on the lungs' outline" in found.summary


@pytest.mark.parametrize("known", ["marked", "mask too small"])
def test_findings_are_not_carried_out_of_the_lungs(known: str) -> None:
    """A weave deep in the lungs of ill films that doctors marked, or in their lowest third, above which the mask ends:
    a finding."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    made: list[View] = []
    for v in views():
        assert v.lungs is not None
        deep = distance_transform_edt(v.lungs) > 0.04 * SIZE
        ys = np.nonzero(v.lungs.any(1))[0]
        place = v.lungs & (rows > ys[0] + 0.67 * (ys[-1] - ys[0])) if known == "mask too small" else deep
        added = 25.0 * (-1) ** (rows // 2 + columns // 2) * place * (v.label == 1)
        grey = np.clip(v.grey + added, 0, 255).astype(np.uint8)
        if known == "marked":
            made.append(dataclasses.replace(v, grey=grey, findings=place if v.label else np.zeros_like(place)))
        else:
            made.append(dataclasses.replace(v, grey=grey, lungs=v.lungs & ~place if v.label else v.lungs))
    (found,), _ = examine_views(classifier(Grain()), made, FEW[:1])
    assert found.verdict != "fail", found.summary


def test_films_are_dealt_by_patient() -> None:
    films = [dataclasses.replace(v, patient_id=f"p{i // 2}") for i, v in enumerate(with_spots())]
    _, table = examine_views(lung_reader(), films, ())
    by_id = {v.image_id: v for v in films}
    case = Case(lung_reader(), table, by_id.__getitem__, by_id.__getitem__, TESTS)
    dealt = deal(case)
    assert dealt is not None
    donors, judges = ([v.patient_id for v in part] for part in (dealt.donors, dealt.judges))
    assert len(set(donors + judges)) == len(donors) + len(judges)
    assert {sum(v.label == c for v in part) for c in (0, 1) for part in (dealt.donors,)} == {len(donors) // 2}
    found, _ = examine_views(lung_reader(), films[:12], TESTS)
    assert {f.verdict for f in found} == {"not applicable"}


def test_without_lung_masks_nothing_unnamed_fails() -> None:
    blind = [dataclasses.replace(v, lungs=None) for v in with_spots()]
    found, _ = examine_views(classifier(Reader(spot_reader() * 0.4)), blind, FEW[:1])
    assert "fail" not in {f.verdict for f in found}
    assert any("without lung masks" in f.summary for f in found)


@pytest.mark.parametrize("met", [True, False])
def test_a_change_that_no_film_shows_proves_nothing(met: bool) -> None:
    """A reader of the border fails on a blackened one where films with such borders are among those it may have met."""
    black = [dataclasses.replace(v, grey=np.where(v.border, 5, v.grey).astype(np.uint8)) for v in views()]
    grey = [dataclasses.replace(v, grey=np.clip(v.grey, 90, 160)) for v in views()]
    tests = [t for t in CHANGES if t.name == "border.black"]
    known = [b if met and b.label else g for b, g in zip(black, grey, strict=True)][:40]
    (found,), _ = examine_views(border_reader(), [*black[:8], *grey[8:]] if met else grey, tests, met=known)
    assert found.verdict == ("fail" if met else "inconclusive"), found.summary
    assert met or "lie beyond what the films it was trained on show" in found.summary


@pytest.mark.parametrize(("figure", "verdict"), [(0.0, "inconclusive"), (-0.6, "fail")])
def test_a_drawn_border_proves_nothing_where_real_ones_do_not_move_the_answer(figure: float, verdict: str) -> None:
    """Black borders on a quarter of the films, so that one is not foreign; what real borders do is given."""
    films = [
        dataclasses.replace(v, grey=np.where(v.border, 5 if i % 4 < 2 else 110, v.grey).astype(np.uint8))
        for i, v in enumerate(views())
    ]
    black = next(t for t in CHANGES if t.name == "border.black")
    _, table = examine_views(border_reader(), films, [black])
    by_id = {v.image_id: v for v in films}
    tests = (black, next(t for t in TESTS if t.name == "discovered.border"))
    real = Tried(
        CHANNELS["border"], Estimate(figure, figure - 0.1, figure + 0.1, 0.95, 40, "given"), (figure, figure), (), (),
        0.0, 12, (0.0, 0.0), (), (20, 20),
    )  # fmt: skip
    made = {"discovered": {"border": real}}
    (found,) = black.findings(Case(border_reader(), table, by_id.__getitem__, by_id.__getitem__, tests, made=made))
    assert found.verdict == verdict and ("discovered.border" in found.summary) == (verdict != "fail"), found.summary


def test_untouched_films_are_familiar() -> None:
    _, table = examine_views(lung_reader(), views(), ())
    by_id = {v.image_id: v for v in views()}
    case = Case(lung_reader(), table, by_id.__getitem__, by_id.__getitem__, TESTS)
    same = familiar(case, "same", lambda view, rng: (view.grey / 255).astype(np.float32))
    white = familiar(case, "white", lambda view, rng: np.ones(view.grey.shape, np.float32))
    assert same is not None and same.beyond <= 0.06 and not same.foreign
    assert white is not None and white.beyond == 1.0 and white.foreign


def test_a_method_that_cannot_explain_the_network_does_not_end_the_audit() -> None:
    """Grad-CAM needs a layer; of a network of two branches there is none, and saliency goes on."""
    one, other = Reader(np.ones((SIZE, SIZE)) / SIZE), Reader(spot_reader())

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = one, other

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.one(x) + self.other(x)

    films = views()[:12]
    model = classifier(Branches())
    _, table = examine_views(model, films, ())
    by_id = {v.image_id: v for v in films}
    methods = {"gradcam": GradCAM(), "saliency": Saliency()}
    case = Case(model, table, by_id.__getitem__, by_id.__getitem__, MAPS, methods=methods, map_films=8)
    told = {f.test: f for test in MAPS for f in test.findings(case)}
    assert told["maps.gradcam.lungs"].verdict == "not applicable" and "layer" in told["maps.gradcam.lungs"].summary
    assert told["maps.saliency.lungs"].estimate is not None
