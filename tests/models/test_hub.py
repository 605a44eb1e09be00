"""A classifier in a Hugging Face Hub repository, without a network: written, uploaded, found in the Hub's cache."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import radiolucent as rl
from radiolucent.errors import CheckpointError
from radiolucent.files import sha256_file
from radiolucent.models import build
from radiolucent.models.hub import load_from_hub, push_to_hub, save_for_hub
from radiolucent.types import LabelRule

COMMIT = "0" * 40


class Hub:
    """What `HfApi` does with a repository, on disk in the layout of the Hub's cache."""

    def __init__(self, cache: Path) -> None:
        self.cache, self.private = cache, None

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        self.private = private

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
        root = self.cache / f"models--{repo_id.replace('/', '--')}"
        shutil.copytree(folder_path, root / "snapshots" / COMMIT)
        (root / "refs").mkdir()
        (root / "refs" / "main").write_text(COMMIT)


@pytest.fixture(scope="module")
def classifier() -> rl.Classifier:
    made = build("small_cnn", class_names=("NORMAL", "PNEUMONIA"), size=32, widths=(4, 8), seed=1)[0]
    return made.with_(threshold=0.3, temperature=1.7)


def summary(classifier: rl.Classifier) -> dict[str, object]:
    auroc = {"value": 0.9, "low": 0.8, "high": 0.95, "level": 0.95, "n": 60, "method": "patient bootstrap"}
    return {"hashes": {"model": classifier.hash}, "performance": {"auroc": auroc, "n": 80, "patients": 60}}


def test_up_and_down_again(classifier: rl.Classifier, tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    address = push_to_hub(classifier, "someone/chest", summary=summary(classifier), api=hub)
    assert address == "https://huggingface.co/someone/chest" and hub.private is True
    again = load_from_hub("someone/chest", cache_dir=str(tmp_path), local_files_only=True)
    assert again.hash == classifier.hash and (again.threshold, again.temperature) == (0.3, 1.7)
    x = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(again.logits(x), classifier.logits(x))


def test_the_layout_and_the_card(classifier: rl.Classifier, tmp_path: Path) -> None:
    out = save_for_hub(classifier, tmp_path / "repo", repo_id="someone/chest", summary=summary(classifier))
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert rl.load(out).hash == classifier.hash
    card = (out / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(card.split("---")[1])
    assert head["library_name"] == "radiolucent" and head["pipeline_tag"] == "image-classification"
    assert sha256_file(out / "model.safetensors") in card and 'load_from_hub("someone/chest")' in card
    assert "| auroc | 0.900 | 0.800 to 0.950 (95 %) | 60 | patient bootstrap |" in card
    assert json.loads((out / "config.json").read_text())["class_names"] == ["NORMAL", "PNEUMONIA"]
    assert "Not recorded with this model" in (save_for_hub(classifier, tmp_path / "bare") / "README.md").read_text(
        encoding="utf-8"
    )


def test_the_card_of_several_labels(tmp_path: Path) -> None:
    made = build("small_cnn", class_names=("effusion", "mass"), head="multilabel", size=32, widths=(4, 8), seed=1)[0]
    made = made.with_(rules=(LabelRule(0.3, 1.7), LabelRule(None)))
    auroc = {"value": 0.9, "low": None, "high": None, "level": 0.95, "n": 60, "method": "delong"}
    told = {
        "macro": {"auroc": auroc},
        "labels": {"effusion": {"performance": {"auroc": auroc}}, "mass": {"why": "few"}},
    }
    out = save_for_hub(made, tmp_path, summary={"hashes": {"model": made.hash}, **told})
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| label | effusion, called from a calibrated probability of 0.3 (temperature 1.7) |" in card
    assert "| label | mass, never called" in card and "positive class" not in card
    assert "| effusion | auroc | 0.900 |" in card and "| mean of the labels | auroc" in card
    assert "rl.GradCAM(), target='effusion')" in card


def test_what_does_not_belong_is_refused(classifier: rl.Classifier, tmp_path: Path) -> None:
    other = classifier.with_(threshold=0.4)
    with pytest.raises(CheckpointError, match="another model"):
        save_for_hub(other, tmp_path, summary=summary(classifier))
    with pytest.raises(CheckpointError, match=r"someone/none: model\.safetensors not downloaded"):
        load_from_hub("someone/none", cache_dir=str(tmp_path), local_files_only=True)
    wrapped = rl.wrap(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 2)),
        class_names=("a", "pneumonia"),
        preprocess=classifier.preprocess,
    )
    with pytest.raises(CheckpointError, match="wrap it"):
        push_to_hub(wrapped, "someone/x", api=Hub(tmp_path))
