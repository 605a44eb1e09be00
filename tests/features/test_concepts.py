"""Concepts: what the features are made of, and what removing one does; refused where it cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from radiolucent.cli import app
from radiolucent.errors import ConfigError, DataError
from radiolucent.features import concepts
from radiolucent.features.concepts import factors, strengths_of
from radiolucent.images import Preprocess
from radiolucent.models import Classifier, build, save
from radiolucent.types import Radiograph

SIDE = 32


class TwoThings(nn.Module):
    """Channels 0, 1 see the upper half's brightness, 2 the lower half's; the log-odds are 3 · upper − 1 · lower."""

    def __init__(self, signed: bool = False) -> None:
        super().__init__()
        upper = torch.zeros(1, 1, SIDE, SIDE)
        upper[:, :, : SIDE // 2] = 1
        self.register_buffer("upper", upper)
        self.maps, self.fc = nn.Identity(), nn.Linear(3, 2, bias=False)
        self.signed = signed
        self.fc.weight.data = torch.tensor([[0.0, 0.0, 0.0], [2.0, 1.0, -1.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, :1]
        both = torch.cat([x * self.upper, x * self.upper, x * (1 - self.upper)], 1)
        seen = self.maps(nn.functional.avg_pool2d(both - 0.5 * self.signed, 4))
        return self.fc(seen.mean((2, 3)))


def network(signed: bool = False) -> Classifier:
    return Classifier(TwoThings(signed).eval(), ("NORMAL", "ILL"), Preprocess(SIDE, "squash", 1, (0.0,), (1.0,)))


def films() -> list[Radiograph]:
    rng, found = np.random.default_rng(0), []
    for i in range(12):
        pixels = np.zeros((SIDE, SIDE), np.float32)
        y, x = rng.integers(0, 12), rng.integers(0, 26)
        pixels[y : y + 4, x : x + 4] = rng.uniform(0.5, 1)
        if i % 2:
            pixels[SIDE // 2 + y : SIDE // 2 + y + 4, x : x + 4] = rng.uniform(0.5, 1)
        found.append(Radiograph(pixels, f"film{i}", patient_id=f"p{i // 2}"))
    return found


def test_two_things_are_two_concepts_and_removing_one_takes_its_part_off_the_score() -> None:
    clf, shown = network(), films()
    found = concepts(clf, shown, count=2, layer="maps", most=3)
    assert found.explained > 0.99 and found.rest < 0.01 and found.layer == "maps" and found.target == "ILL"
    upper, lower = sorted(found.concepts, key=lambda c: -(c.removal.value or 0))
    assert upper.weights[:2].min() > 0.9 > 0.1 > upper.weights[2] and lower.weights[2] > 0.9
    mean = np.stack([f.pixels for f in shown])
    above, below = mean[:, : SIDE // 2].sum((1, 2)) / SIDE**2, mean[:, SIDE // 2 :].sum((1, 2)) / SIDE**2
    assert upper.removal.value == pytest.approx(3 * above.mean(), rel=0.02)
    assert lower.removal.value == pytest.approx(-below.mean(), rel=0.05)
    assert upper.share == pytest.approx(3 * above.mean() / (3 * above.mean() + below.mean()), abs=0.02)
    assert upper.removal.n == 6 and upper.removal.low is not None  # patients
    assert found.concepts[0] is upper and len(upper.crops) == 3 and all(c.box[0] < SIDE // 2 for c in upper.crops)
    assert len({c.image_id for c in upper.crops}) == 3 and upper.crops[0].value >= upper.crops[-1].value
    json.dumps(found.as_dict())
    again = concepts(clf, shown, count=2, layer="maps", most=3)
    assert np.array_equal(again.strengths, found.strengths)


def test_factors_match_scikit_learn() -> None:
    from sklearn.decomposition import non_negative_factorization

    rng = np.random.default_rng(1)
    rows = (rng.random((300, 3)) @ rng.random((3, 10))).astype(np.float32)
    weights = factors(rows, 3, 0)
    ours = strengths_of(rows, weights, 400)
    theirs, _, _ = non_negative_factorization(
        rows, H=weights, n_components=3, update_H=False, init="custom", W=None, max_iter=2000, tol=1e-7
    )  # fmt: skip
    assert np.linalg.norm(rows - ours @ weights) <= 1.02 * np.linalg.norm(rows - theirs @ weights) + 0.05
    assert np.linalg.norm(rows - ours @ weights) < 0.05 * np.linalg.norm(rows)


def test_what_has_no_concepts_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"layer 'maps' gives signed features.*behind a ReLU"):
        concepts(network(signed=True), films(), count=2, layer="maps")
    with pytest.raises(ConfigError, match="fewer concepts"):
        concepts(network(), films(), count=9, layer="maps")
    with pytest.raises(ConfigError, match="NORMAL, ILL"):
        concepts(network(), films(), count=2, layer="maps", target="nobody")
    with pytest.raises(DataError, match="no film"):
        concepts(network(), [], count=2)
    labels = Classifier(TwoThings().eval(), ("effusion", "mass"), network().preprocess, head="multilabel")
    with pytest.raises(ConfigError, match="which of the labels effusion, mass"):
        concepts(labels, films(), count=2, layer="maps")
    assert concepts(labels, films(), count=2, layer="maps", target="Mass").target == "mass"


def test_the_command_writes_concepts_and_says_what_it_needs(tmp_path: Path) -> None:
    from PIL import Image

    save(
        build("small_cnn", size=SIDE, widths=(4, 8), hidden=0, pretrained=False)[0], tmp_path / "run/model.safetensors"
    )
    for i, film in enumerate(films()):
        path = tmp_path / "films" / ("NORMAL", "ILL")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((film.pixels * 255).astype(np.uint8)).save(path)
    run, home = str(tmp_path / "run"), tmp_path / "out"
    command = ["features", run, "--data", str(tmp_path / "films"), "--concepts", "3", "--out", str(home), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    names = [Path(f).name for f in json.loads(done.stdout)["files"]]
    assert len(names) == 3 and names[0].endswith(".png") and (home / names[0]).stat().st_size > 1000
    told = json.loads((home / names[2]).read_text())
    assert told["films"] == 12 and len(told["concepts"]) == 3 and told["concepts"][0]["removal"]["n"] == 12
    for wrong, words in ((["features", run, "--concepts", "3"], "--data"), (["features", run], "--concepts")):
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 1 and words in str(refused.exception)
