"""Every verdict flips when its cause is put in or taken out."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest
from scipy import stats

from radiolucent.audits.trial import interventions, known_films
from radiolucent.audits.trial.answers import ORIGINAL, Table, ask, collect
from radiolucent.audits.trial.base import Case, Test, edits_of
from radiolucent.audits.trial.candidates import TESTS as CANDIDATES
from radiolucent.audits.trial.channel_findings import Tried
from radiolucent.audits.trial.covariance import contrast_at_same
from radiolucent.audits.trial.discovered import TESTS as CHANNEL_TESTS
from radiolucent.audits.trial.discovered import deal, tried_channels
from radiolucent.audits.trial.distort import coarser, exposure, warped
from radiolucent.audits.trial.edits import EDITS, fill
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.frames import framed, framed_as
from radiolucent.audits.trial.headline import by_severity, verdict_of
from radiolucent.audits.trial.interventions import INTERVENTIONS, intervention
from radiolucent.audits.trial.interventions import TESTS as CHANGES
from radiolucent.audits.trial.known_films import taught
from radiolucent.audits.trial.masked import MASKED_EDITS
from radiolucent.audits.trial.masked import TESTS as PARTS
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.stress import STRESSES, stressed
from radiolucent.audits.trial.trained_exposure import exposure_of, exposures_taught
from radiolucent.models import Classifier
from radiolucent.types import Estimate, Finding
from support.mark_readers import (
    SIZE,
    Reader,
    border_reader,
    classifier,
    lung_reader,
    marker_reader,
    phantoms,
    times,
    views,
)

EVERY = edits_of(CHANGES)
EXCHANGES = (*CHANNEL_TESTS, *CANDIDATES)


def table_of(model: Classifier, edits: Iterable[str]) -> Table:
    films = views()
    return collect(
        model, len(films), lambda i: films[i], {e: EVERY[e] for e in edits}, keys=[v.image_id for v in films]
    )


def findings_of(model: Classifier) -> dict[str, Finding]:
    table = table_of(model, EVERY)
    return {name: intervention(table, test) for name, test in INTERVENTIONS.items()}


@pytest.mark.parametrize(
    ("guilty", "tests"),
    [
        (marker_reader, ("marker.remove", "marker.paste")),
        (border_reader, ("border.black",)),
    ],
)
def test_the_verdict_flips_with_its_cause(guilty: Callable[[], Classifier], tests: tuple[str, ...]) -> None:
    caught, innocent = findings_of(guilty()), findings_of(lung_reader())
    for test in tests:
        assert caught[test].verdict == "fail", caught[test].summary
        assert innocent[test].verdict == "pass", innocent[test].summary
    verdict, headline = verdict_of(by_severity(list(caught.values())))
    assert verdict == "fail" and INTERVENTIONS[tests[0]].subject in headline
    # The innocent reads absolute brightness, so it does follow the exposure; of markers and border it is clear.
    assert innocent["exposure.bright"].verdict == "fail"
    spared = [f for name, f in innocent.items() if not name.startswith("exposure")]
    assert verdict_of(spared)[0] == "pass"
    json.dumps([f.as_dict() for f in caught.values()], allow_nan=False)


def test_a_border_changed_to_no_effect_clears_no_network_that_follows_real_borders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tests = [t for t in (*CHANGES, *EXCHANGES) if t.name in ("border.fill", "discovered.border", "lungs.crop")]
    plain = {f.test: f for f in examine_views(lung_reader(), views(), tests)[0]}
    assert plain["border.fill"].verdict == "pass", plain["border.fill"].summary
    told = tried_channels

    def moved(case: Case) -> dict[str, Tried]:
        e = Estimate(0.9, 0.5, 1.3, 0.95, 40, "test")
        return {"border": dataclasses.replace(told(case)["border"], estimate=e, by_class=(0.9, 0.9))}

    monkeypatch.setattr(known_films, "tried_channels", moved)
    found = {f.test: f for f in examine_views(lung_reader(), views(), tests)[0]}
    assert found["border.fill"].verdict == "inconclusive" and found["border.fill"].evidence["no_verdict"]
    words = found["border.fill"].summary
    assert words.startswith("Whether the decision follows the film's border is open: filling the border moves")
    assert "moves the answer (discovered.border, +0.90 SD)" in words
    assert found["lungs.crop"].verdict == plain["lungs.crop"].verdict  # no exchange shows what it tries


@pytest.mark.parametrize(("test", "channel"), [("border.fill", "border"), ("size.outside", "filter")])
def test_a_pass_stands_beside_no_open_figure_above_the_threshold(
    test: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = [t for t in (*CHANGES, *EXCHANGES) if t.name in (test, f"discovered.{channel}")]
    assert _found(tests, test).verdict == "pass"
    told = tried_channels

    def figure(value: float) -> None:
        e = Estimate(value, value - 0.5, value + 0.5, 0.95, 40, "test")
        monkeypatch.setattr(
            known_films,
            "tried_channels",
            lambda case: {channel: dataclasses.replace(told(case)[channel], estimate=e, by_class=(value, value))},
        )

    figure(0.1)
    assert _found(tests, test).verdict == "pass"
    figure(0.4)
    found = _found(tests, test)
    assert found.verdict == "inconclusive" and "does not follow" not in found.summary, found.summary
    assert f"moves the answer (discovered.{channel}, +0.40 SD and open)" in found.summary


def _found(tests: Sequence[Test], name: str) -> Finding:
    return next(f for f in examine_views(lung_reader(), views(), tests)[0] if f.test == name)


def test_a_filled_border_clears_nothing_where_a_black_one_stays_open() -> None:
    """A black border moves the answer, and no film shows one; a filled one does nothing."""
    black, fill = INTERVENTIONS["border.black"], INTERVENTIONS["border.fill"]
    table = table_of(lung_reader(), (black.edit, fill.edit, fill.control))
    tests = {t.name: t for t in CHANGES if t.name in (black.edit, fill.edit)}
    answers = table.original
    far = table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table)) * np.where(table.truth, 1.0, -1.0)

    def filled(moved: np.ndarray) -> Finding:
        scores = {black.edit: answers + moved, fill.edit: answers, fill.control: answers}
        case = dataclasses.replace(case_with(table, scores, None), tests=tuple(tests.values()))
        return tests[fill.edit].findings(case)[0]

    assert filled(0 * far).verdict == "pass"
    found = filled(far)  # opposite ways by class: open
    assert found.verdict == "inconclusive", found.summary
    assert "blackening the border moves the answer, too (border.black, +1.0" in found.summary


def test_a_mean_of_calls_turned_both_ways_is_no_pass() -> None:
    size = INTERVENTIONS["size.outside"]
    table = table_of(lung_reader(), (size.edit, "size.film"))
    near = np.abs(table.original - table.cut) < np.quantile(np.abs(table.original - table.cut), 0.4)

    def judged(turned: np.ndarray) -> Finding:
        scores = {
            size.edit: np.where(turned, 2 * table.cut - table.original, table.original),
            "size.film": table.original,
        }
        return next(t for t in CHANGES if t.name == size.edit).findings(case_with(table, scores, None))[0]

    found = judged(near)
    assert found.estimate is not None and abs(found.estimate.high or 9) < size.threshold
    assert found.verdict == "inconclusive" and "of calls flip, which a mean" in found.summary, found.summary
    assert "does not follow" not in found.summary
    still = judged(np.zeros(len(table), bool))
    assert still.verdict == "pass" and "does not follow the sharpness that small" in still.summary


def test_less_than_the_control_is_not_further_than_it() -> None:
    test = INTERVENTIONS["border.fill"]
    table = table_of(lung_reader(), (test.edit, test.control))
    draw = table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table))

    def words(change: float, control: float) -> str:
        scores = {test.edit: table.original + change * draw, test.control: table.original + control * draw}
        return intervention(dataclasses.replace(table, scores={**table.scores, **scores}), test).summary

    less = words(0.2, 1.0)
    assert "SD less than in-painting" in less and "further" not in less and "by -" not in less
    assert "SD further than" not in less and "further than in-painting" in words(1.0, 0.2)


def test_words_claim_no_more_than_was_tried() -> None:
    crop, size = INTERVENTIONS["lungs.crop"], INTERVENTIONS["size.outside"]
    table = table_of(lung_reader(), (size.edit,))
    draw = table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table))
    moved = dataclasses.replace(table, scores={**table.scores, size.edit: table.original - draw})
    assert "such as text or wires" in intervention(moved, size).summary
    assert "`marker.remove` tells" in findings_of(marker_reader())["marker.paste"].summary
    assert "does not follow" not in crop.says("pass") and crop.says("fail").endswith("what lies outside the lungs' box")
    assert all(" " in t.kind for t in EXCHANGES)  # words, no bare names


@pytest.mark.parametrize(("bright", "verdict"), [("ill", "fail"), ("healthy", "pass"), ("any", "pass"), ("", "pass")])
def test_half_the_effect_counts_where_the_films_trained_on_teach_it(bright: str, verdict: str) -> None:
    """A border that moves the log-odds by some 0.37 standard deviations, toward the ill where it is bright: medium is
    0.5. `bright`: on which training films it is, "" for not known."""
    ring, lungs = np.ones((SIZE, SIZE)), phantoms().lungs.mean(0) > 0.9
    ring[3:-3, 3:-3] = 0
    reader = classifier(Reader(ring * 0.6 / ring.sum() + lungs * 8.0 / lungs.sum(), bias=-4.0))
    met = []
    for i, v in enumerate(views()):
        light = {"ill": v.label == 1, "healthy": v.label == 0}.get(bright, i % 4 < 2)
        met.append(dataclasses.replace(v, grey=np.where(v.border, 160 if light else 5, v.grey).astype(np.uint8)))
    tests = [t for t in CHANGES if t.name == "border.black"]
    (found,), _ = examine_views(reader, [*met[:8], *views()[8:]], tests, met=met if bright else None)
    assert found.verdict == verdict, found.summary
    assert found.threshold == (0.25 if verdict == "fail" else 0.5)
    assert ("Half the usual effect counts" in found.summary) == (verdict == "fail")


@pytest.mark.parametrize(
    ("ill", "healthy", "framed", "verdict"),
    [
        (0.6, 0.6, "ill", "fail"),
        (0.3, 0.3, "ill", "pass"),
        (0.6, 0.1, "ill", "pass"),
        (-0.6, -0.6, "ill", "pass"),
        (0.6, 0.6, "a little", "pass"),
        (0.6, 0.6, "any", "pass"),
        (0.6, 0.6, "", "pass"),
    ],
)
def test_a_shift_of_both_classes_counts_where_the_films_trained_on_teach_it(
    monkeypatch: pytest.MonkeyPatch, ill: float, healthy: float, framed: str, verdict: str
) -> None:
    """Frames of films trained on move films by so many standard deviations, and a drawn one does nothing. `framed`:
    which films trained on have a black frame, "" for not known."""
    test = INTERVENTIONS["border.black"]
    table = table_of(lung_reader(), (test.edit, test.control))
    far = np.random.default_rng(0).uniform(0.9, 1.1, len(table)) * table.spread
    far *= np.where(table.truth, ill, healthy)
    met: list[View] = []
    for i, v in enumerate(24 * views()):  # so many that a small difference is certain
        k, share = i // 2, {"ill": (0.1, 0.9), "a little": (0.46, 0.54)}.get(framed, (0.5, 0.5))[v.label or 0]
        grey = np.where(v.border, 5 if (0.618 * k) % 1 < share else 90, v.grey).astype(np.uint8)
        met.append(dataclasses.replace(v, grey=grey, patient_id=str(i)))
    scores = {test.edit: table.original, test.control: table.original}
    row = {name: i for i, name in enumerate(table.image_ids)}

    def lent(model: Classifier, made: Sequence[tuple[View, np.ndarray | None]]) -> np.ndarray:
        answers = [np.nan if grey is None else (table.original + far)[row[v.image_id]] for v, grey in made]
        return np.array(answers)

    monkeypatch.setattr("radiolucent.audits.trial.interventions.ask", lent)
    (found,) = next(t for t in CHANGES if t.name == test.edit).findings(
        case_with(table, scores, met if framed else None)
    )
    assert found.verdict == verdict, found.summary
    assert ("or more on films of either class" in found.summary) == (verdict == "fail"), found.summary
    assert ("frames of films trained on" in found.summary) == (verdict == "fail"), found.summary


@pytest.mark.parametrize(("wide", "verdict"), [(7, "fail"), (3, "pass")])
def test_frames_as_wide_as_those_of_films_trained_on_are_put_on(wide: int, verdict: str) -> None:
    """The network reads what lies four to six pixels from the edge, where no drawn border reaches."""
    ring, lungs = np.zeros((SIZE, SIZE)), phantoms().lungs.mean(0) > 0.9
    ring[4:-4, 4:-4] = 1
    ring[7:-7, 7:-7] = 0
    reader = classifier(Reader(lungs * 8.0 / lungs.sum() - ring * 8.0 / ring.sum()))
    edge = np.ones((SIZE, SIZE), bool)
    edge[wide:-wide, wide:-wide] = False
    met = many(lambda v, _: np.where(edge, 5, v.grey), 0.8, 0.1)
    tests = [t for t in CHANGES if t.name == "border.black"]
    (found,), table = examine_views(reader, views(), tests, met=met)
    assert np.abs(table.scores["border.black"] - table.original)[[not framed(v) for v in views()]].max() < 0.5
    assert found.verdict == verdict, found.summary
    assert (found.evidence["change"]["edit"] == "border.black.lent") == (verdict == "fail")


def test_a_frame_is_as_wide_and_dark_as_its_donors_and_spares_lungs_and_markers() -> None:
    plain = [v for v in views() if not framed(v)]
    bare = next(v for v in plain if v.markers is not None and not v.markers.any())
    grey = np.full((SIZE, SIZE), 90, np.uint8)
    grey[:2] = grey[-3:] = grey[:, :4] = grey[:, -5:] = 7
    donor = dataclasses.replace(bare, grey=grey, lungs=np.zeros((SIZE, SIZE), bool))
    film = np.zeros((SIZE, SIZE), bool)
    film[8:40] = True  # half as high: half as wide a frame above and below
    low = dataclasses.replace(bare, film=film, lungs=None)
    made = framed_as(low, donor)
    assert made is not None and framed(dataclasses.replace(low, grey=np.rint(made * 255).astype(np.uint8)))
    changed = made != low.grey / np.float32(255)
    assert (made[changed] == np.float32(7 / 255)).all() and (made[8:9, :4] == np.float32(7 / 255)).all()
    assert not changed[9:38, 4:-5].any() and not changed[~film].any()
    lungs, ink = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)
    lungs[1:60, 10:50], ink[20:24, :3] = True, True
    kept = framed_as(dataclasses.replace(bare, lungs=lungs, markers=ink), donor)
    assert kept is not None
    same = kept == bare.grey / np.float32(255)
    assert same[1:61, 4:-5].all() and same[ink].all() and (kept[:1, 10:50] == np.float32(7 / 255)).all()
    assert framed_as(donor, donor) is None and framed_as(bare, bare) is None


def test_neither_exposure_nor_a_frame_is_sharpness() -> None:
    sharpness, rng = INTERVENTIONS["size.outside"].carries, np.random.default_rng(0)
    assert sharpness is not None
    frame = np.ones((SIZE, SIZE), bool)
    frame[6:-6, 6:-6] = False

    def measured(change: Callable[[View], np.ndarray | None]) -> np.ndarray:
        rows: list[float] = []
        for v in views():
            made = change(v)
            assert made is not None
            told = sharpness(dataclasses.replace(v, grey=np.rint(made * 255).astype(np.uint8)))
            rows.append((told or 0) / (sharpness(v) or 1) - 1)
        return np.array(rows)

    assert abs(measured(lambda v: exposure(1 / 1.4)(v, rng)).mean()) < 0.04
    assert np.abs(measured(lambda v: np.where(frame, 0.02, v.grey / 255))).max() < 1e-9
    assert measured(lambda v: coarser(2)(v, rng)).mean() < -0.2


def case_with(table: Table, scores: dict[str, np.ndarray], met: list[View] | None) -> Case:
    by_id = {v.image_id: v for v in views()}
    changed = dataclasses.replace(table, scores={**table.scores, **scores})
    known = None if met is None else lambda: met
    return Case(lung_reader(), changed, by_id.__getitem__, by_id.__getitem__, (), met=known)


def many(
    made: Callable[[View, float], np.ndarray], ill: float, healthy: float, films: Sequence[View] = ()
) -> list[View]:
    """Eight times the films as trained on, unless given, such a share of either class changed."""
    draw, found = np.random.default_rng(0), list[View]()
    for i, v in enumerate(films or 8 * views()):
        grey = made(v, draw.uniform()) if draw.uniform() < (ill if v.label == 1 else healthy) else v.grey
        found.append(dataclasses.replace(v, grey=grey.astype(np.uint8), patient_id=str(i)))
    return found


def brighter(v: View, _: float) -> np.ndarray:
    return np.rint((v.grey / 255) ** (1 / 1.4) * 255)


@pytest.mark.parametrize(
    ("ill", "healthy", "lungs", "bright", "verdict"),
    [
        (0.6, 0.6, 1.0, (0.6, 0.1), "fail"),
        (-0.6, -0.6, 1.0, (0.6, 0.1), "fail"),
        (0.6, 0.6, 1.0, (0.1, 0.1), "pass"),
        (0.6, 0.6, 1.0, (0.1, 0.6), "pass"),
        (0.6, 0.6, 1.0, None, "pass"),
        (0.6, 0.6, 2.0, (0.6, 0.1), "fail"),
        (0.6, 0.1, 0.2, (0.6, 0.1), "fail"),
        (0.6, -0.1, 0.2, (0.6, 0.1), "pass"),
        (0.6, 0.6, 2.0, (0.1, 0.1), "pass"),
    ],
)
def test_an_exposure_counts_where_films_trained_on_teach_it(
    ill: float, healthy: float, lungs: float, bright: tuple[float, float] | None, verdict: str
) -> None:
    """Brightening moves films by so many standard deviations and darkening as much back, patches more than both, so
    that nothing is left beyond the control; the same in the lungs alone moves them by `lungs`. `bright`: the shares of
    the ill and the healthy films trained on that are brighter; None where they are not known. The network does answer
    to brightness, so that such films move it; which way the table says that it moves does not matter then."""
    test = INTERVENTIONS["exposure.bright"]
    assert test.swing is not None
    table = table_of(lung_reader(), (test.edit, *test.controls, *test.swing))
    draw = table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table))
    far = np.where(table.truth, ill, healthy) * draw
    moved = dict(zip((test.edit, *test.swing), (far, -far, lungs * draw, -lungs * draw), strict=True))
    scores = {name: table.original + by for name, by in moved.items()}
    scores |= dict.fromkeys(test.controls, table.original - 2 * far)
    # Each film is trained on as often ill as healthy, so that chance makes neither class brighter.
    turned = [[dataclasses.replace(v, label=k) for v in views()] for k in (0, 1)]
    met = None if bright is None else many(brighter, *bright, films=4 * [*turned[0], *turned[1]])
    (found,) = next(t for t in CHANGES if t.name == test.edit).findings(case_with(table, scores, met))
    assert found.verdict == verdict, found.summary
    apart = verdict == "fail" and lungs == 1.0
    assert ("more than 40% of what the same in the lungs alone does" in found.summary) == apart
    if verdict == "fail":
        assert found.estimate is not None and found.threshold == (0.2 if apart else 0.1)
        assert (found.estimate.low or 0) > (0.2 if apart else 0)
        assert found.evidence["exposures_taught"]["low"] > 0
    nothing = {**scores, test.swing[1]: np.full(len(table), np.nan)}
    (blind,) = next(t for t in CHANGES if t.name == test.edit).findings(case_with(table, nothing, met))
    assert blind.verdict == "pass", "without lungs it is not known what a brighter lung does"


@pytest.mark.parametrize(("lungs", "error", "verdict"), [(1.0, 0.09, "fail"), (2.0, 0.09, "pass"), (2.0, 0.06, "fail")])
def test_films_trained_on_must_tell_more_surely_where_lungs_alone_move_as_much(
    monkeypatch: pytest.MonkeyPatch, lungs: float, error: float, verdict: str
) -> None:
    """What exposures are worth lies 2.2 or 3.3 standard errors above 0: certain alone, and among eleven tests."""

    def told(case: Case, level: float) -> tuple[Estimate, float]:
        half = float(stats.norm.ppf(0.5 + level / 2)) * error
        return Estimate(0.2, 0.2 - half, 0.2 + half, level, 100, "told"), 0.2

    test = INTERVENTIONS["exposure.bright"]
    assert test.swing is not None
    monkeypatch.setattr("radiolucent.audits.trial.interventions.exposures_taught", told)
    table = table_of(lung_reader(), (test.edit, *test.controls, *test.swing))
    draw = table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table))
    moved = dict(zip((test.edit, *test.swing), (0.6 * draw, -0.6 * draw, lungs * draw, -lungs * draw), strict=True))
    scores = {name: table.original + by for name, by in moved.items()}
    scores |= dict.fromkeys(test.controls, table.original - 2 * draw)
    case = dataclasses.replace(case_with(table, scores, None), tests=CHANGES)
    (found,) = next(t for t in CHANGES if t.name == test.edit).findings(case)
    assert found.verdict == verdict, found.summary


def test_what_exposures_are_worth_is_what_they_do_and_lying_is_taken_out() -> None:
    """Every film is trained on twice: as it is, labelled healthy, and brighter, labelled ill. So the figure is the mean
    of what the two exposures do to audited films, and what else makes films bright plays no part."""
    met = [dataclasses.replace(v, label=0, patient_id=f"{i}") for i, v in enumerate(views())]
    met += [
        dataclasses.replace(v, grey=brighter(v, 0).astype(np.uint8), label=1, patient_id=f"{i} lit")
        for i, v in enumerate(views())
    ]
    table, model = table_of(lung_reader(), ()), lung_reader()
    case = case_with(table, {}, [*met, *(dataclasses.replace(v, patient_id="0") for v in met[64:])])
    told, judges = exposures_taught(case, 0.95), deal(case)
    assert told is not None and judges is not None
    found, plain = told
    assert found.n == 128, "one film a patient"
    gaps: list[float] = []
    for judge in judges.judges:
        powers = [float(np.exp((exposure_of(v) or 0) - (exposure_of(judge) or 0))) for v in met]
        told = ask(model, [(judge, exposure(p)(judge, np.random.default_rng(0))) for p in powers])
        gaps.append(float(told[64:].mean() - told[:64].mean()) / table.spread)
    assert found.value == pytest.approx(np.mean(gaps), abs=0.02) and found.value > 0.1
    assert plain == pytest.approx(np.mean(gaps), abs=0.02)
    assert exposures_taught(case_with(table, {}, met[:70]), 0.95) is None, "six of the ill are too few"
    assert exposures_taught(case_with(table, {}, None), 0.95) is None


def test_opaque_lung_that_a_mask_has_lost_is_not_what_lies_around() -> None:
    view = views()[0]
    assert view.lungs is not None
    ys, xs = np.nonzero(view.lungs)
    hole = np.zeros_like(view.lungs)
    hole[int(np.median(ys)) - 4 : int(np.median(ys)) + 4, int(np.quantile(xs, 0.15)) : int(np.quantile(xs, 0.35))] = (
        True
    )
    lost = dataclasses.replace(
        view, lungs=view.lungs & ~hole, grey=np.where(hole & view.lungs, 255, view.grey).astype(np.uint8)
    )
    assert (hole & view.lungs).sum() > 20
    assert exposure_of(lost) == pytest.approx(exposure_of(view), abs=1e-9)


@pytest.mark.parametrize(("plain", "verdict"), [(0.3, "fail"), (0.05, "pass")])
def test_what_only_the_fit_finds_is_no_exposure(monkeypatch: pytest.MonkeyPatch, plain: float, verdict: str) -> None:
    """Masks smaller where lungs are ill make the fit find a difference that the films do not have."""
    test = INTERVENTIONS["exposure.bright"]
    assert test.swing is not None
    told = Estimate(0.3, 0.2, 0.4, 0.95, 100, "told"), plain
    monkeypatch.setattr("radiolucent.audits.trial.interventions.exposures_taught", lambda case, level: told)
    table = table_of(lung_reader(), (test.edit, *test.controls, *test.swing))
    far = 0.6 * table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table))
    moved = dict(zip((test.edit, *test.swing), (far, -far, far, -far), strict=True))
    scores = {name: table.original + by for name, by in moved.items()}
    scores |= dict.fromkeys(test.controls, table.original - 2 * far)
    (found,) = next(t for t in CHANGES if t.name == test.edit).findings(case_with(table, scores, None))
    assert found.verdict == verdict, found.summary
    if verdict == "fail":
        assert found.evidence["change"]["control_did"] == "leaving it"


def test_the_level_holds_where_classes_scatter_unlike_and_lying_goes_with_the_class() -> None:
    """Nothing is there: values follow where the lungs lie, which the classes differ in, and scatter unlike."""
    rng, wrong = np.random.default_rng(0), 0
    ill = np.arange(80) < 24
    for _ in range(600):
        about = rng.normal(size=(80, 3)) + 0.5 * ill[:, None]
        values = about @ (0.5, -0.3, 0.2) + rng.normal(size=80) * np.where(ill, 2.0, 0.5)
        e = contrast_at_same(values, ill, about, 0.95, "nothing")
        assert e is not None and e.low is not None and e.high is not None
        wrong += not e.low <= 0 <= e.high
    assert 0.02 < wrong / 600 < 0.08
    same = np.column_stack([rng.normal(size=80), np.where(ill, 1.5, -0.5)])
    assert contrast_at_same(ill * 2.0, ill, same, 0.95, "nothing") is None, (
        "nothing tells the class from what goes with it"
    )


@pytest.mark.parametrize(
    ("ill", "far", "healthy", "verdict"),
    [
        (0.35, 0.6, 0.6, "fail"),
        (0.1, 0.6, 0.6, "pass"),
        (0.35, 0.25, 0.25, "fail"),
        (0.35, 0.15, 0.15, "pass"),
        (0.35, 0.25, -0.05, "pass"),
        (0.35, -0.25, -0.25, "pass"),
        (0.25, 0.25, 0.25, "pass"),
        (0.25, 0.6, 0.6, "fail"),
    ],
)
def test_coarse_films_count_by_their_number(ill: float, far: float, healthy: float, verdict: str) -> None:
    """Halving the resolution moves films of the two classes by so many standard deviations; a tenth of the healthy
    films trained on are coarse, and of the ill a third, which is sure among all interventions, a quarter, which is sure
    alone, or a tenth. Half the usual effect counts where it is sure among all."""
    test = INTERVENTIONS["size.outside"]
    assert test.shift is not None and test.shown is not None
    table = table_of(lung_reader(), (test.edit, test.shift[0]))
    draw = table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table))
    scores = {test.edit: table.original, test.shift[0]: table.original + np.where(table.truth, far, healthy) * draw}

    def coarse(v: View, drawn: float) -> np.ndarray:
        changed = coarser(1.7 + 0.5 * drawn)(v, np.random.default_rng(0))
        assert changed is not None
        return np.rint(changed * 255)

    plain = [v for v in views() if not test.shown(v)]
    assert len(plain) >= 0.85 * len(views())
    assert all(test.shown(dataclasses.replace(v, grey=coarse(v, 0.5).astype(np.uint8))) == 1 for v in views())
    case = case_with(table, scores, many(coarse, ill, 0.1, films=5 * views()))
    case = dataclasses.replace(case, tests=CHANGES)
    one = dataclasses.replace(test, edit=test.shift[0], control=ORIGINAL, carries=test.shown, adds=1)
    assert taught(one, case) == (ill > 0.1) and taught(one, case, case.corrected("interventions")) == (ill > 0.3)
    (found,) = next(t for t in CHANGES if t.name == test.edit).findings(case)
    assert found.verdict == verdict, found.summary
    assert ("halving the resolution of the film" in found.summary) == (verdict == "fail") and found.test == test.edit
    if verdict == "fail":
        sure = ill > 0.3
        assert found.threshold == (0.175 if sure else 0.35) and ("among all interventions" in found.source) == sure


@pytest.mark.parametrize(("removed", "verdict"), [(0.3, "fail"), (-0.3, "pass")])
def test_a_marker_put_on_and_taken_off_counts_over_all_films(removed: float, verdict: str) -> None:
    """Putting a marker on moves films by 0.08 standard deviations, less than half the usual effect; taking it off moves
    films that have one back by more, or on in the same direction."""
    test = INTERVENTIONS["marker.paste"]
    assert test.back is not None
    table = table_of(lung_reader(), (test.edit, test.control, *test.back))
    far = table.spread * np.random.default_rng(0).uniform(0.8, 1.2, len(table))
    known = {name: np.where(np.isfinite(table.scores[name]), table.original, np.nan) for name in table.scores}
    scores = {test.edit: known[test.edit] + 0.08 * far, test.control: known[test.control]}
    scores |= {test.back[0]: known[test.back[0]] - removed * far, test.back[1]: known[test.back[1]]}
    met: list[View] = []
    for i, v in enumerate(8 * views()):
        shown = np.zeros_like(v.film)
        shown[2:8, 2:8] = v.label == 1 or i % 16 == 0
        met.append(dataclasses.replace(v, markers=shown, patient_id=str(i)))
    (found,) = next(t for t in CHANGES if t.name == test.edit).findings(case_with(table, scores, met))
    assert found.verdict == verdict, found.summary
    assert ("off where there is one" in found.summary) == (verdict == "fail"), found.summary


@pytest.mark.parametrize(("removed", "teach"), [(0.0, 0), (0.5, 0), (0.0, 1)])
def test_a_drawn_marker_that_moves_alone_is_not_said_of_the_films_own(
    removed: float, teach: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An R that is drawn moves films by 0.5 SD; taking off the films' own does so, too, or does nothing.
    Where the films trained on teach a marker, it is followed all the same."""
    monkeypatch.setattr(interventions, "taught", lambda *_: teach)
    paste, remove = INTERVENTIONS["marker.paste"], INTERVENTIONS["marker.remove"]
    table = table_of(lung_reader(), (paste.edit, paste.control, remove.edit, remove.control))
    far = table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table))
    scores = {paste.edit: table.original + 0.5 * far, paste.control: table.original}
    scores |= {remove.edit: table.original - removed * far, remove.control: table.original}
    tests = tuple(t for t in CHANGES if t.name in (paste.edit, remove.edit))
    case = dataclasses.replace(case_with(table, scores, None), tests=tests)
    own, found = (next(t for t in tests if t.name == i.edit).findings(case)[0] for i in (remove, paste))
    assert found.verdict == "fail" and own.verdict == ("fail" if removed else "pass"), found.summary
    follows = bool(removed or teach)
    assert ("decision follows the side marker" in found.summary) == follows, found.summary
    headline = verdict_of([found, own])[1]
    assert ("putting an R on moves the answer; taking markers off does not" in headline) == (not follows), headline


@pytest.mark.parametrize(("moved", "verdict"), [(1.0, "inconclusive"), (0.05, "fail")])
def test_lungs_count_as_unread_only_where_blanking_them_does_little(moved: float, verdict: str) -> None:
    """The control does as much as blanking the lungs: a foreign change may move a network that does read them."""
    table = table_of(lung_reader(), ("lungs.blank", "lungs.blank.control"))
    far = moved * table.spread * np.random.default_rng(0).uniform(0.9, 1.1, len(table))
    scores = {**table.scores, "lungs.blank": table.original + far, "lungs.blank.control": table.original - far}
    case = Case(
        lung_reader(), dataclasses.replace(table, scores=scores), lambda _: views()[0], lambda _: views()[0], ()
    )
    (found,) = next(t for t in CHANGES if t.name == "lungs.blank").findings(case)
    assert found.verdict == verdict and ("No verdict" in found.summary) == (verdict == "inconclusive"), found.summary


def test_a_drawn_marker_proves_nothing_where_no_film_shows_one() -> None:
    """The same films, half of them with a marker, which the masks know or do not."""
    tests = [t for t in CHANGES if t.name == "marker.paste"]
    bare = [dataclasses.replace(v, markers=np.zeros_like(v.film)) for v in views()]
    (shown,), _ = examine_views(marker_reader(), views(), tests)
    (nowhere,), _ = examine_views(marker_reader(), bare, tests)
    assert shown.verdict == "fail" and nowhere.verdict == "inconclusive", (shown.summary, nowhere.summary)
    assert "0 of 64 audited films show a marker" in nowhere.summary
    (unmet,), _ = examine_views(marker_reader(), views(), tests, met=bare)
    assert unmet.verdict == "inconclusive", "none of the films trained on has a marker"
    assert "on the films it was trained on the side marker does not tell" in unmet.summary


def test_effects_have_their_closed_form() -> None:
    """Blackening the border takes exactly the ring's share off the log-odds of a linear model."""
    ring = np.ones((SIZE, SIZE))
    ring[4:-4, 4:-4] = 0
    model = classifier(Reader(ring / ring.sum() * 10))
    table = table_of(model, ("border.black", "border.fill.control"))
    mean = np.array([(v.grey / 255 * ring).sum() / ring.sum() for v in views()])
    np.testing.assert_allclose(table.original, 10 * mean, atol=1e-4)
    np.testing.assert_allclose(table.scores["border.black"], 10 * round(0.02 * 255) / 255, atol=1e-4)
    found = intervention(table, INTERVENTIONS["border.black"])
    expected = np.abs(table.scores["border.black"] - table.original) - np.abs(
        table.scores["border.fill.control"] - table.original
    )
    assert found.estimate is not None and found.estimate.value == pytest.approx(expected.mean() / table.original.std())


def test_a_marker_that_nobody_knows_is_not_applicable() -> None:
    blind = [dataclasses.replace(v, markers=None) for v in views()[:12]]
    model = lung_reader()
    table = collect(model, 12, lambda i: blind[i], EVERY, keys=[v.image_id for v in blind])
    assert intervention(table, INTERVENTIONS["marker.remove"]).verdict == "not applicable"
    assert intervention(table, INTERVENTIONS["marker.paste"]).verdict != "not applicable"


def test_few_films_are_inconclusive_and_say_how_many_would_do() -> None:
    model, films = marker_reader(), views()[:14]
    table = collect(model, 14, lambda i: films[i], EVERY, keys=[v.image_id for v in films])
    found = intervention(table, INTERVENTIONS["marker.paste"])
    assert found.verdict == "inconclusive" and "patients like these would settle it" in found.summary


def test_without_lungs_only_a_cheat_still_tells_the_classes_apart() -> None:
    """Films whose class stands in the lungs, against films whose class stands in a corner."""
    corner = np.zeros((SIZE, SIZE))
    corner[-6:, -6:] = 1
    honest = _judged(lung_reader(), [_lungs_say(v, v.label or 0) for v in views()])
    caught = _judged(classifier(Reader(corner)), [_corner_says(v, v.label or 0) for v in views()])
    for test in ("regions.no_lungs", "regions.border_only"):
        assert caught[test].verdict == "fail"
        # Chance exactly; 64 patients are too few to rule out the limit of 0.6, and the finding says so.
        assert honest[test].estimate is not None and honest[test].estimate.value == pytest.approx(0.5)
        assert honest[test].verdict == "inconclusive" and "here)" in honest[test].summary
    assert caught["regions.no_lungs"].control is not None and caught["regions.no_lungs"].control.value == 0.5
    assert honest["regions.lungs_only"].verdict == "pass" and caught["regions.lungs_only"].verdict == "inconclusive"


def test_one_answer_for_every_film_is_chance_where_the_films_are_enough() -> None:
    """Where no film of n gets another answer, too few could for an AUROC of 0.6; of fewer films it stays open."""
    films = [
        dataclasses.replace(v, image_id=f"{v.image_id}-{k}", patient_id=f"{v.patient_id}-{k}")
        for k in (0, 1)
        for v in views()
    ]
    blind = classifier(Reader(np.zeros((SIZE, SIZE))))
    many, few = _judged(blind, films)["regions.border_only"], _judged(blind, views()[:20])["regions.border_only"]
    assert many.verdict == "pass" and few.verdict == "inconclusive"
    assert many.estimate is not None and "same answer" in many.estimate.note and (many.estimate.high or 1) < 0.6


def _judged(model: Classifier, films: list[View]) -> dict[str, Finding]:
    table = collect(
        model, len(films), lambda i: films[i], {e: EDITS[e] for e in MASKED_EDITS}, keys=[v.image_id for v in films]
    )
    case = Case(model, table, lambda _: films[0], lambda _: films[0], PARTS)
    return {f.test: f for test in PARTS for f in test.findings(case)}


def _lungs_say(view: View, label: int) -> View:
    grey = np.full_like(view.grey, 60)
    assert view.lungs is not None
    grey[view.lungs] = 200 if label else 100
    return dataclasses.replace(view, grey=grey)


def _corner_says(view: View, label: int) -> View:
    grey = view.grey.copy()
    grey[-6:, -6:] = 250 if label else 5
    return dataclasses.replace(view, grey=grey)


def test_stress_costs_what_depends_on_it() -> None:
    """A model that reads one column loses all when the film shifts; one that reads the whole film's mean does not."""
    films = []
    for v in views():
        grey = np.full_like(v.grey, 60)
        grey[:, 30:32] = 200 if v.label else 60
        grey[:, 20:22] = 60 if v.label else 200
        films.append(dataclasses.replace(v, grey=grey))
    keys = [v.image_id for v in films]
    column = np.zeros((SIZE, SIZE))
    column[:, 30:32] = 1
    fragile = classifier(Reader(column / column.sum() * 20, bias=-9.0))
    table = collect(fragile, len(films), lambda i: films[i], {name: EDITS[name] for name in STRESSES}, keys=keys)
    found = {name: stressed(times(table, 4), name, 0.95) for name in STRESSES}
    assert found["stress.shift_right"].verdict == "fail"
    assert found["stress.shift_down"].verdict == "pass"
    assert found["stress.jpeg_70"].verdict == "pass"


def test_edits_leave_what_they_must() -> None:
    for v in views()[:6]:
        rng = np.random.default_rng(0)
        removed = EDITS["marker.remove"](v, rng)
        if removed is not None and v.markers is not None:
            far = np.abs(np.round(removed * 255) - v.grey) > 0
            assert far[v.markers].any()
            from radiolucent.audits.trial.regions import dilated

            assert not far[~dilated(v.markers, 0.012)].any()
        black = EDITS["border.black"](v, rng)
        assert black is not None and (np.round(black * 255)[~v.border] == v.grey[~v.border]).all()
    whole = views()[0]
    control = EDITS["border.fill.control"](whole, np.random.default_rng(1))
    changed = np.round(control * 255) != whole.grey
    assert changed[whole.lungs].mean() < 0.02  # away from the lungs
    assert 0.5 * whole.border.sum() < changed.sum() <= 1.1 * whole.border.sum()


def test_inpainting_is_smooth_and_keeps_constants() -> None:
    flat = np.full((33, 47), 0.4, np.float32)
    hole = np.zeros((33, 47), bool)
    hole[10:20, 12:30] = True
    np.testing.assert_allclose(fill(np.where(hole, 1, flat).astype(np.float32), hole), flat, atol=1e-6)
    ramp = np.tile(np.linspace(0, 1, 47, dtype=np.float32), (33, 1))
    filled = fill(np.where(hole, 0, ramp).astype(np.float32), hole)
    assert np.abs(filled - ramp)[hole].mean() < 0.1


def test_shifts_move_the_film_the_right_way() -> None:
    grey = np.zeros((SIZE, SIZE), np.uint8)
    grey[20, 30] = 255
    v = dataclasses.replace(views()[0], grey=grey)
    moved = warped(shift=(0, 5 / SIZE))(v, np.random.default_rng(0))
    assert moved is not None and np.unravel_index(moved.argmax(), moved.shape) == (20, 35)
    wide = warped(stretch=(1, 2))(v, np.random.default_rng(0))
    assert wide is not None and abs(int(wide.argmax()) % SIZE - (31.5 + 2 * (30 - 31.5))) <= 1
