"""Every verdict of the trust stamp flips when its cause is put in."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch import nn

import radiolucent as rl
from radiolucent.audits.trust import (
    completeness,
    curves,
    faithfulness,
    judge,
    randomisation,
    randomised,
    stamp,
    trust_line,
    trust_randomisation,
)
from radiolucent.audits.trust.repeatability import noise_repeatability, over_seeds, seed_repeatability
from radiolucent.audits.trust.similarity import likeness, pooled, rank_correlation, surrogates
from radiolucent.errors import ConfigError
from radiolucent.explainers import (
    CAM,
    LIME,
    LRP,
    METHODS,
    DeepLift,
    Explainer,
    GradCAM,
    GradientSHAP,
    InputTimesGradient,
    IntegratedGradients,
    KernelSHAP,
    explain,
    load_explanation,
    save_explanation,
)
from radiolucent.figures import Case, case_panel
from radiolucent.images import Preprocess
from radiolucent.models import Classifier, build
from radiolucent.types import Explanation, Finding, Radiograph
from support.explainer_cases import FAST, small

SIDE = 64


class Weighed(nn.Module):
    """Its PNEUMONIA logit is Σ w · x with a smooth w of its own: the map w · x is true by construction."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        rough = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
        smooth = ndimage.gaussian_filter(rough, 6)
        self.weight = nn.Parameter(torch.from_numpy(smooth / np.abs(smooth).max()).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (x[:, 0] * self.weight).sum((1, 2))[:, None] / 50
        return torch.cat([torch.zeros_like(score), score], 1)


@dataclass(frozen=True)
class Adds(Explainer):
    """w · (x − x₀), x₀ the blurred film: on a linear network what each pixel adds when it comes out of the blur."""

    def attribute(self, classifier, inputs, goal, generator):
        with torch.enable_grad():
            x = inputs.clone().requires_grad_()
            gradient = torch.autograd.grad(goal.of(classifier.network(x)).sum(), x)[0]
        blurred = torch.from_numpy(ndimage.gaussian_filter(inputs.numpy(), (0, 0, SIDE / 8, SIDE / 8)))
        return ((inputs - blurred) * gradient).sum(1).detach()


@dataclass(frozen=True)
class Gradient(Explainer):
    """∂score/∂x: on a linear network its weights."""

    def attribute(self, classifier, inputs, goal, generator):
        with torch.enable_grad():
            x = inputs.clone().requires_grad_()
            return torch.autograd.grad(goal.of(classifier.network(x)).sum(), x)[0].sum(1).detach()


@dataclass(frozen=True)
class Edges(Explainer):
    """Edges of the film, whatever the network."""

    def attribute(self, classifier, inputs, goal, generator):
        grey = classifier.preprocess.denormalise(inputs).numpy()
        return torch.from_numpy(np.stack([np.hypot(ndimage.sobel(g, 0), ndimage.sobel(g, 1)) for g in grey]))


@dataclass(frozen=True)
class Noise(Explainer):
    """Drawn from the generator."""

    smooth: float = 4.0

    def attribute(self, classifier, inputs, goal, generator):
        rough = torch.randn(inputs.shape[0], *inputs.shape[2:], generator=generator).numpy()
        return torch.from_numpy(np.stack([ndimage.gaussian_filter(r, self.smooth) for r in rough]).astype(np.float32))


@dataclass(frozen=True)
class Half(Explainer):
    """Half the gradient's pattern, half drawn: two seeds agree in part."""

    def attribute(self, classifier, inputs, goal, generator):
        true = Gradient().attribute(classifier, inputs, goal, generator)
        drawn = Noise().attribute(classifier, inputs, goal, generator)
        return true / true.std() + 0.7 * drawn / drawn.std()


@dataclass(frozen=True)
class Flat(Explainer):
    """The same everywhere."""

    def attribute(self, classifier, inputs, goal, generator):
        return torch.ones(inputs.shape[0], *inputs.shape[2:])


@dataclass(frozen=True)
class Nervous(Explainer):
    """The weights, shuffled by the last digits of the film's sum: a grey level more, and the map is another."""

    def attribute(self, classifier, inputs, goal, generator):
        key = int(float(inputs.double().sum()) * 1e6) % 2**31
        rough = np.random.default_rng(key).standard_normal((SIDE, SIDE))
        weights = classifier.network.weight.detach().numpy()
        return torch.from_numpy((weights + ndimage.gaussian_filter(rough, 4) * 12).astype(np.float32))[None]


def classifier_of(network: nn.Module) -> Classifier:
    return Classifier(network, ("NORMAL", "PNEUMONIA"), Preprocess(SIDE, "squash", 1, (0.0,), (1.0,)))


def make_film(seed: int = 1) -> Radiograph:
    rough = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
    smooth = ndimage.gaussian_filter(rough, 2.5)
    return rl.from_array((0.5 + 0.45 * smooth / np.abs(smooth).max()).astype(np.float32), image_id=f"film {seed}")


CLF, FILM = classifier_of(Weighed()), make_film()


def stamped(method: Explainer, film: Radiograph = FILM, clf: Classifier = CLF) -> Explanation:
    return stamp(clf, film, explain(clf, film, method, target="PNEUMONIA"), method)


def verdicts(e: Explanation) -> dict[str, str]:
    return {name: part["verdict"] for name, part in e.trust["parts"].items()}


def test_a_true_map_passes_and_survives_the_disk(tmp_path: Path) -> None:
    e = stamped(Adds())
    assert e.trust["verdict"] == "pass", e.trust
    assert verdicts(e) | {"completeness": "pass"} == dict.fromkeys(verdicts(e), "pass")
    assert verdicts(e)["completeness"] == "not applicable"
    assert e.trust["parts"]["repeatability"]["evidence"] == {"deterministic": True}
    assert e.trust["parts"]["repeatability"]["estimate"] is None  # not 1.0 dressed up
    assert trust_line(e) == "trust: passes"
    assert json.loads(json.dumps(e.trust, allow_nan=False)) == e.trust
    assert load_explanation(save_explanation(e, tmp_path / "e.npz")).trust == e.trust


def test_an_edge_detector_fails_randomisation() -> None:
    e = stamped(Edges())
    assert verdicts(e)["randomisation"] == "fail" and e.trust["verdict"] == "fail"
    assert "same map without what was learnt" in trust_line(e)
    assert e.trust["parts"]["randomisation"]["estimate"]["value"] == pytest.approx(1.0)


def test_a_random_map_fails_faithfulness_and_repeatability() -> None:
    e = stamped(Noise())
    assert verdicts(e)["faithfulness"] == "fail" and verdicts(e)["repeatability"] == "fail"
    part = e.trust["parts"]["repeatability"]["evidence"]
    assert part["regions"].startswith("cells") and len(part["values"]) == len(part["half_widths"]) == 64
    assert part["sign_open"] > 0.5


def test_random_maps_pass_faithfulness_no_more_often_than_by_chance() -> None:
    e = explain(CLF, FILM, Noise(), target=1)
    found = [
        faithfulness(CLF, FILM, dataclasses.replace(e, map=explain(CLF, FILM, Noise(), target=1, seed=s).map), seed=s)
        for s in range(60)
    ]
    passed = sum(f.verdict == "pass" for f in found)
    assert passed <= stats.binom.ppf(0.999, 60, 0.1), passed


def test_a_constant_map_fails_and_says_so() -> None:
    e = stamped(Flat())
    assert trust_line(e) == "trust: fails: the same everywhere: points nowhere"


def test_invisible_noise_that_changes_the_map_fails() -> None:
    e = stamped(Nervous())
    assert verdicts(e)["noise"] == "fail" and verdicts(e)["repeatability"] == "pass"
    assert verdicts(stamped(Gradient()))["noise"] == "pass"


def test_the_map_upside_down_fails_faithfulness() -> None:
    e = explain(CLF, FILM, Adds(), target="PNEUMONIA")
    good, bad = (faithfulness(CLF, FILM, m) for m in (e, dataclasses.replace(e, map=-e.map)))
    assert good.verdict == "pass" and bad.verdict == "fail"
    assert bad.estimate.value == pytest.approx(-good.estimate.value, rel=0.2)
    assert good.evidence["insertion_auc"] > good.evidence["random_auc"] > good.evidence["deletion_auc"]
    assert good.evidence["insertion_beats_random"] == 1 and bad.evidence["deletion_beats_random"] == 0
    mean = faithfulness(CLF, FILM, e, fill="mean")
    assert mean.verdict == "pass" and mean.evidence["images"] < 100


def test_a_network_that_ignores_the_film_is_inconclusive() -> None:
    class Says(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.tensor([0.0, 3.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.bias + 0 * x.sum((1, 2, 3))[:, None]

    clf = classifier_of(Says())
    e = explain(clf, FILM, Noise(), target=1)
    found = faithfulness(clf, FILM, e)
    assert found.verdict == "inconclusive" and "nothing to test" in found.summary


def test_curves_are_the_plain_loop() -> None:
    e = explain(CLF, FILM, Adds(), target=1)
    got = curves(CLF, FILM, e, fill="mean", cells=4, steps=3, orders=4)
    image = CLF.preprocess(FILM)[None]
    fill = torch.full_like(image, float(image.mean()))
    blocks = e.map.reshape(4, 16, 4, 16).mean((1, 3)).ravel()
    expected = []
    for count in (4, 8, 12):
        mixed = fill.clone()
        for cell in np.argsort(-blocks)[:count]:
            r, c = divmod(int(cell), 4)
            mixed[..., r * 16 : r * 16 + 16, c * 16 : c * 16 + 16] = image[
                ..., r * 16 : r * 16 + 16, c * 16 : c * 16 + 16
            ]
        expected.append(float(CLF.logits(mixed)[0, 1]))
    low, high = (float(CLF.logits(x)[0, 1]) for x in (fill, image))
    scaled = [(v - low) / got.scale for v in expected]
    np.testing.assert_allclose(got.insertion[1:-1], scaled, atol=1e-4)
    assert got.insertion[0] == 0 and got.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert got.insertion[-1] == pytest.approx((high - low) / got.scale, abs=1e-4)
    with pytest.raises(ConfigError, match="even"):
        curves(CLF, FILM, e, orders=5)


def with_details(**details: float) -> Explanation:
    return dataclasses.replace(explain(CLF, FILM, Gradient(), target=1), details=details)


@pytest.mark.parametrize(
    ("method", "details", "verdict"),
    [
        (GradientSHAP(), {"completeness_relative": 0.01}, "pass"),
        (LRP(), {"relevance_given": 2.0, "relevance": 1.5, "bias_share": 0.49}, "pass"),
        (LRP(), {"relevance_given": 2.0, "relevance": 1.5, "bias_share": 0.0}, "fail"),
        (LRP(conserve=False), {"relevance_given": 2.0, "relevance": 1.5}, "not applicable"),
        (KernelSHAP(), {"score_of_fill": 0.0, "coefficients": np.ones(3), "r2": 0.1}, "fail"),
        (DeepLift(), {"completeness_relative": 0.1}, "inconclusive"),
        (IntegratedGradients(), {"completeness_relative": 0.5}, "fail"),
        (IntegratedGradients(), {"completeness_relative": None}, "not applicable"),
        (InputTimesGradient(), {"completeness_relative": 0.5}, "not applicable"),
        (LIME(), {"r2": 0.8}, "pass"),
        (LIME(), {"r2": 0.4}, "inconclusive"),
        (LIME(), {"r2": 0.1}, "fail"),
        (Gradient(), {"r2": 0.1, "completeness_relative": 0.5}, "not applicable"),  # a figure is no promise
    ],
)
def test_a_map_is_held_to_what_its_method_promises(method: Explainer, details: dict[str, Any], verdict: str) -> None:
    assert completeness(with_details(**details), method).verdict == verdict


def test_who_promises_what() -> None:
    """Of every method in the package: those that promise, and that their own details speak of it."""
    promising = {"integratedgradients", "gradientshap", "deeplift", "lrp", "attnlrp", "lime", "kernelshap"}
    for name, method in FAST.items():
        e = explain(small(name, size=SIDE), FILM, method, target=1)
        assert (method.promise(e.details) is not None) == (name in promising), name


@pytest.mark.parametrize("name", METHODS)
def test_a_cheaper_method_asks_less_and_keeps_the_rest(name: str) -> None:
    clf = small(name, size=SIDE)
    dear = METHODS[name](**{"occlusion": {"window": 8, "stride": 4}}.get(name, {}))
    few = dear.cheaper(40, SIDE)
    assert few.cheaper(40, SIDE) is few and type(few) is type(dear)
    sizes: list[int] = []
    clf.network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    e = explain(clf, FILM, [dataclasses.replace(few, engine="torch") if hasattr(few, "engine") else few], target=1)[0]
    assert np.isfinite(e.map).all() and e.map.shape == (SIDE, SIDE)
    # beside what was asked for: the film itself, its references, and what finds the layer, measures the memory (17 in
    # all), and asks three films together, again and alone (9)
    assert sum(sizes) <= 40 + 17 + 9 or name in ("ablationcam", "reciprocam")
    if name in ("lime", "kernelshap", "rise", "sobol", "occlusion", "integratedgradients", "gradientshap"):
        assert few != dear and sum(sizes) > 15
    else:
        assert few == dear or name == "scorecam"


def test_kernelshap_can_fail_to_add_up() -> None:
    """Of a score that is a product of two places the values explain little, although they sum to the difference."""

    class Both(nn.Module):
        def __init__(self, sign: float) -> None:
            super().__init__()
            self.sign = nn.Parameter(torch.tensor(sign))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sides = [part.mean((1, 2)) for part in x[:, 0].split(SIDE // 2, 2)]
            apart = (sides[0] - 0.5) * (sides[1] - 0.5) if float(self.sign) < 0 else sides[0] + sides[1]
            return torch.stack([torch.zeros_like(apart), apart], 1)

    film = rl.from_array(np.ones((SIDE, SIDE), np.float32))

    def quarters(grey: Any) -> Any:
        rows, columns = np.indices(grey.shape) // (SIDE // 2)
        return rows * 2 + columns

    shap = KernelSHAP(num_samples=64, segmentation=quarters, fill=0.0)
    for sign, verdict in ((1.0, "pass"), (-1.0, "fail")):
        e = explain(classifier_of(Both(sign)), film, shap, target=1)
        assert e.details["coefficients"].sum() == pytest.approx(e.score - e.details["score_of_fill"], abs=1e-6)
        assert completeness(e, shap).verdict == verdict, e.details["r2"]
        if sign > 0:
            assert e.details["r2"] == pytest.approx(1)


def test_a_contrast_is_stamped_as_a_contrast() -> None:
    e = explain(CLF, FILM, Adds(), target="PNEUMONIA", contrast="NORMAL")
    plain = stamped(Adds())  # the other class's logit is 0
    again = stamp(CLF, FILM, e, Adds())
    assert again.trust["verdict"] == "pass"
    assert verdicts(again) == verdicts(plain)
    back = stamp(CLF, FILM, explain(CLF, FILM, Adds(), target="NORMAL", contrast="PNEUMONIA"), Adds())
    assert back.trust["verdict"] == "pass"  # the map of the opposite question, on the opposite scale


def test_the_verdict_is_the_worst_part() -> None:
    def part(verdict: str) -> Finding:
        return Finding("t", "q", verdict, "s")  # type: ignore[arg-type]

    assert judge({"faithfulness": part("pass"), "completeness": part("not applicable")}) == ("pass", [])
    assert judge({"faithfulness": part("inconclusive"), "noise": part("pass")})[0] == "inconclusive"
    verdict, reasons = judge({"faithfulness": part("inconclusive"), "noise": part("fail")})
    assert (verdict, reasons) == ("fail", ["invisible noise changes the map"])


def test_real_methods_on_a_real_network_leave_it_as_it_was() -> None:
    clf, _ = build("small_cnn", size=SIDE, hidden=0, seed=3)
    state = {k: v.clone() for k, v in clf.network.state_dict().items()}
    for method in (GradCAM(), CAM(), LIME(num_samples=60, segmentation="slic")):
        e = stamped(method, FILM, clf)
        assert e.trust["verdict"] in ("pass", "fail", "inconclusive")
    assert all(torch.equal(v, state[k]) for k, v in clf.network.state_dict().items())
    assert e.trust["parts"]["completeness"]["verdict"] != "not applicable"
    assert e.trust["parts"]["repeatability"]["evidence"]["regions"] == "superpixels"
    with pytest.raises(ConfigError, match="stamp it with what made it"):
        stamp(clf, FILM, e, GradCAM())


@dataclass(frozen=True)
class Shy(Explainer):
    """Edges of the film, whatever the network; of some films nothing."""

    silent: tuple[str, ...] = ()
    gain: float = 1.0

    def attribute(self, classifier, inputs, goal, generator):
        found = Edges().attribute(classifier, inputs, goal, generator) * self.gain
        quiet = {SUMS[name] for name in self.silent}
        return torch.stack([m * (round(float(x.sum()), 2) not in quiet) for m, x in zip(found, inputs, strict=True)])


FILMS = [make_film(s) for s in range(1, 6)]
SUMS = {f.image_id: round(float(CLF.preprocess(f).sum()), 2) for f in FILMS}


def test_randomisation_takes_three_films_that_have_a_map() -> None:
    read: list[str] = []

    def films():
        for film in FILMS:
            read.append(film.image_id)
            yield film

    found = randomisation(CLF, films(), Shy(("film 1", "film 3")))
    assert read == ["film 1", "film 2", "film 3", "film 4", "film 5"]
    assert (found.evidence["films"], found.evidence["constant"], found.evidence["maps"]) == (3, 2, 3)
    assert found.verdict == "fail"  # edges, whatever was learnt; the silent films say nothing for or against
    read.clear()
    assert randomisation(CLF, films(), Gradient(), target=1).verdict == "pass" and len(read) == 3
    none = randomisation(CLF, FILMS, Shy(tuple(SUMS)))
    assert none.verdict == "not applicable" and none.estimate is None and "same everywhere" in none.summary


def test_each_last_map_has_a_random_network_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from radiolucent.audits.trust import weight_randomisation as sanity

    seeds: list[tuple[float, int]] = []

    def noted(network, share, inputs, seed):
        seeds.append((share, seed))
        return randomised(network, share, inputs, seed)

    monkeypatch.setattr(sanity, "randomised", noted)
    for films in (FILMS[:1], FILMS[:3]):
        seeds.clear()
        randomisation(CLF, films, Gradient(), target=1, seed=7)
        assert len({s for share, s in seeds if share == 1}) == 3


class Gated(Weighed):
    """Answers only where its gate is above 0, as a network that looks for lungs first and finds none."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.tensor([[3.0, 1.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (self.gate[0, 0] > 0)


def test_a_random_network_that_answers_nothing_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from radiolucent.audits.trust import weight_randomisation as sanity

    drawn: list[bool] = []

    def noted(network, share, inputs, seed):
        made = randomised(network, share, inputs, seed)
        if share == 1:
            drawn.append(bool(made.gate[0, 0] > 0))
        return made

    monkeypatch.setattr(sanity, "randomised", noted)
    clf = classifier_of(Gated())
    found = randomisation(clf, FILMS[:3], Edges(), target=1)
    assert found.verdict == "fail" and drawn.count(True) == 3 and len(drawn) > 3  # edges, whatever it learnt
    found = randomisation(clf, FILMS[:3], Adds(), target=1)
    assert found.verdict == "pass" and found.estimate.low > 0  # no blank map among those it was held against


class Dark(Gated):
    """Answers only films that are bright enough for its gate: of one film yes, of another no."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = (x.mean((1, 2, 3)) * 4 + self.gate[0, 0] > self.gate[0, 1])[:, None]
        return Weighed.forward(self, x) * seen


def test_blank_maps_of_random_networks_clear_no_method() -> None:
    clf = classifier_of(Gated())
    clf.network.register_forward_hook(lambda m, given, out: out * (m.gate[0, 1] == 1.0))  # no draw gives back the 1
    found = randomisation(clf, FILMS[:3], Edges(), target=1)
    assert found.verdict == "not applicable" and "does not move with the film" in found.summary
    found = randomisation(classifier_of(Dark()), FILMS[:3], Edges(), target=1)
    assert found.verdict in ("fail", "not applicable"), found.summary  # edges, whatever was learnt


def test_a_dear_method_meets_one_random_network_where_the_first_is_clear() -> None:
    clear = randomisation(CLF, FILMS[:1], Gradient(), target=1, until_clear=True)
    assert clear.verdict == "pass" and clear.evidence["maps"] == 1 and clear.estimate.low is None
    sure = randomisation(CLF, FILMS[:1], Edges(), target=1, until_clear=True)
    assert sure.verdict == "fail" and sure.evidence["maps"] < 3, "whatever the third would give"
    for films, method in ((FILMS[:1], Half()), (FILMS[:3], Gradient())):
        assert randomisation(CLF, films, method, target=1, until_clear=True).evidence["maps"] == 3
    for method in (Gradient(), Edges()):
        assert randomisation(CLF, FILMS[:1], method, target=1).evidence["maps"] == 3


@pytest.mark.parametrize(("middle", "spread"), [(0.0, 0.5), (0.6, 0.5), (1.0, 0.4), (1.5, 0.4), (1.5, 0.7), (2.5, 0.4)])
def test_fewer_random_networks_give_the_verdict_of_three(middle: float, spread: float) -> None:
    from radiolucent.audits.trust import weight_randomisation as sanity

    rng = np.random.default_rng(5)
    chance = np.abs(rng.normal(0, 0.15, (200, 2)))  # as alike as maps are that have nothing to do with each other
    usual, rare = sanity._unlike(chance, 0.95), sanity._unlike(chance, 0.99)

    def passes_and_fails(rows: np.ndarray) -> np.ndarray:
        return np.array([(rows.mean(0) <= usual).all(), (rows.mean(0) > rare).any()])

    rates, used = np.zeros((3, 2)), 0
    for _ in range(4000):
        three = np.abs(rng.normal(middle, spread, (3, 1)) * usual).clip(0, 1) * [1, 0.1]
        some = next(three[:n] for n in (1, 2, 3) if n == 3 or sanity._settled(three[:n], 3, chance))
        one = three[:1] if (three[0] <= usual / 2).all() else three
        rates += [passes_and_fails(rows) for rows in (some, one, three)]
        used += len(some)
    fewer, one, three = rates / 4000
    assert np.abs(fewer - one).max() < 0.008, "no other verdicts than one network or three give"
    assert np.abs(fewer - three).max() < 0.06 and used < 3 * 4000


def test_a_randomisation_of_another_network_or_method_is_refused() -> None:
    method = LIME(num_samples=400, segmentation="slic")
    e = explain(CLF, FILM, method, target=1)
    clf = classifier_of(Weighed(seed=4))
    own = trust_randomisation(CLF, FILMS[:2], method, target=1)
    assert stamp(CLF, FILM, e, method, randomised=own).trust["parts"]["randomisation"] == own.as_dict()
    for other in (
        trust_randomisation(clf, FILMS[:1], method, target=1),
        trust_randomisation(CLF, FILMS[:1], Gradient(), target=1),
        trust_randomisation(CLF, FILMS[:1], dataclasses.replace(method, kernel_width=0.5), target=1),
        Finding("trust.randomisation", "q", "pass", "of nobody knows what"),
    ):
        with pytest.raises(ConfigError, match="trust_randomisation"):
            stamp(CLF, FILM, e, method, randomised=other)
    same = dataclasses.replace(method, engine="torch", max_memory_mb=64.0)  # the same map, otherwise computed
    assert stamp(CLF, FILM, explain(CLF, FILM, same, target=1), same, randomised=own).trust["verdict"]


@pytest.mark.parametrize("smooth", [1.0, 6.0])
@pytest.mark.parametrize("signal", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("seeds", [3, 4])
def test_the_interval_over_seeds_covers_what_many_seeds_agree_by(smooth: float, signal: float, seeds: int) -> None:
    """A noisy explainer: one smooth truth, and noise as smooth as said, so that cells are anything but independent."""
    rng = np.random.default_rng([int(smooth), int(signal), seeds])
    truth = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 6)
    truth *= signal / truth.std()

    def drawn(count: int) -> list[Any]:
        noise = [ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), smooth) for _ in range(count)]
        return [truth + n / n.std() for n in noise]

    expected = over_seeds(drawn(80)).value
    found = [over_seeds(drawn(seeds)) for _ in range(150)]
    covered = sum(e.low <= expected <= e.high for e in found)
    assert covered >= stats.binom.ppf(0.001, 150, 0.95), covered
    assert all(e.n == seeds and f"{seeds} seeds" in e.method for e in found)
    if smooth > 2 and signal < 2:  # Fisher's interval over 64 cells, as if they were independent, does not
        half = stats.norm.ppf(0.975) / np.sqrt(64 - 3)
        pairs = [np.arctanh(over_seeds(drawn(2)).value) for _ in range(150)]
        assert sum(abs(z - np.arctanh(expected)) <= half for z in pairs) < stats.binom.ppf(0.001, 150, 0.95)


def test_two_maps_have_no_interval_and_only_what_is_far_off_decides() -> None:
    e = explain(CLF, FILM, Noise(), target=1)
    one = seed_repeatability(CLF, FILM, e, Noise(), seeds=1)
    assert one.estimate.low is None and "too few" in one.estimate.method and "too few" in one.summary
    assert one.verdict == "fail" and one.evidence["seeds"] == 2
    three = seed_repeatability(CLF, FILM, e, Noise(), seeds=3)
    assert (three.estimate.n, three.evidence["seeds"]) == (4, 4) and three.estimate.low < three.estimate.high < 0.7
    calm = noise_repeatability(CLF, FILM, explain(CLF, FILM, Adds(), target=1), Adds(), draws=1)
    assert calm.verdict == "pass" and calm.estimate.low is None and calm.estimate.n == 1
    assert noise_repeatability(CLF, FILM, e, Noise()).estimate.n == 3


def test_a_dear_method_is_not_asked_again_where_the_first_answer_is_clear() -> None:
    e = explain(CLF, FILM, Noise(), target=1)
    other = seed_repeatability(CLF, FILM, e, Noise(), until_clear=True)
    assert other.verdict == "fail" and other.evidence["seeds"] == 2 and "too few" in other.summary
    half = seed_repeatability(CLF, FILM, explain(CLF, FILM, Half(), target=1), Half(), until_clear=True)
    assert 0.3 <= half.estimate.value < 0.95 and half.evidence["seeds"] == 4 and half.estimate.low is not None
    calm = noise_repeatability(CLF, FILM, explain(CLF, FILM, Adds(), target=1), Adds(), until_clear=True)
    assert calm.verdict == "pass" and calm.evidence["draws"] == calm.estimate.n == 1
    lime = LIME(
        num_samples=400, segmentation=lambda grey: np.add.outer(8 * (np.arange(SIDE) // 8), np.arange(SIDE) // 8)
    )
    parts = stamp(CLF, FILM, explain(CLF, FILM, lime, target=1), lime).trust["parts"]
    assert parts["noise"]["evidence"]["draws"] == 1  # the same pieces: noise moves nothing
    assert stamp(CLF, FILM, e, Noise()).trust["parts"]["repeatability"]["evidence"]["seeds"] == 4


def test_fewer_random_layers_are_tried_where_all_of_them_change_too_little() -> None:
    passed = randomisation(CLF, FILMS[:1], Gradient(), target=1)
    assert passed.verdict == "pass" and set(passed.evidence["stages"]) == {"all layers"}
    failed = randomisation(CLF, FILMS[:1], Shy(()), target=1)
    assert failed.verdict == "fail"
    assert list(failed.evidence["stages"]) == ["the last layer", "the upper half", "all layers"]


def test_each_cells_interval_covers_its_mean_over_seeds() -> None:
    """On a noisy explainer whose mean map is known."""

    @dataclass(frozen=True)
    class Shaky(Explainer):
        def attribute(self, classifier, inputs, goal, generator):
            noise = Noise(6.0).attribute(classifier, inputs, goal, generator)
            return classifier.network.weight.detach()[None] + 10 * noise

    truth = pooled(CLF.network.weight.detach().numpy(), 8).ravel()
    covered = []
    for seed in range(0, 400, 10):
        e = explain(CLF, FILM, Shaky(), target=1, seed=seed)
        part = seed_repeatability(CLF, FILM, e, Shaky()).evidence
        covered.append(np.abs(np.array(part["values"]) - truth) <= np.array(part["half_widths"]))
    share = np.mean(covered, axis=1)  # cells of one map go together: the maps are the sample
    assert share.mean() + 4 * share.std() / np.sqrt(len(share)) >= 0.95 and share.mean() > 0.9


def test_random_weights_cascade_and_keep_activations_alive() -> None:
    clf, _ = build("small_cnn", size=SIDE, seed=3)
    x = torch.stack([clf.preprocess(make_film(s)) for s in range(3)])
    head, half, whole = (randomised(clf.network, share, x, seed=5) for share in (0.0, 0.5, 1.0))
    old = dict(clf.network.named_parameters())
    changed = [{n for n, p in m.named_parameters() if not torch.equal(p, old[n])} for m in (head, half, whole)]
    assert changed[0] < changed[1] < changed[2] and all("head" in n for n in changed[0])
    kernels = {n for n, p in old.items() if p.ndim >= 2}
    assert kernels <= changed[2]
    for name in changed[0]:  # a later stage contains the earlier one's draws
        torch.testing.assert_close(dict(head.named_parameters())[name], dict(whole.named_parameters())[name])
    features = whole.blocks(whole.stem(x)).detach()
    assert 0.05 < float(features.std()) < 20 and not whole.training
    assert torch.equal(x, torch.stack([clf.preprocess(make_film(s)) for s in range(3)]))


def test_likeness_and_surrogates() -> None:
    values = pooled(explain(CLF, FILM, Gradient(), target=1).map, 32)
    assert likeness(values, values) == pytest.approx((1, 1)) == likeness(values, -values)
    assert likeness(values, np.zeros_like(values)) == (0, 0)
    made = surrogates(values, 40, np.random.default_rng(0))
    assert all((np.sort(m.ravel()) == np.sort(values.ravel())).all() for m in made)
    assert abs(np.mean([rank_correlation(values, m) for m in made])) < 0.1

    def roughness(v: np.ndarray) -> float:
        return float(np.abs(np.diff(v, axis=0)).mean())

    shuffled = np.random.default_rng(1).permutation(values.ravel()).reshape(values.shape)
    assert np.mean([roughness(m) for m in made]) < 0.4 * roughness(shuffled)


def test_the_panel_prints_the_stamp_and_warns_above_a_failed_map_only() -> None:
    def words(e: Explanation) -> str:
        panel = case_panel(Case(FILM, "PNEUMONIA", 0.9, explanations=(e,) * 5))
        # the film without a doctor, who said nothing; beyond four, methods go on in a second row
        assert len(panel.axes) == 1 + 5 * (3 if e.trust else 2)
        assert len({round(ax.get_position().y0, 3) for ax in panel.axes[1:]}) == 2 * (3 if e.trust else 2)
        return " ".join(t.get_text() for ax in panel.axes for t in ax.texts)

    failed, passed = words(stamped(Edges())), words(stamped(Adds()))
    assert "do not rely on this map" in failed and "trust: fails: " in failed and "same map without" in failed
    assert "do not rely" not in passed and "trust: passes" in passed
    assert "trust" not in words(explain(CLF, FILM, Adds(), target=1))
