"""Maps and marks for FiftyOne and Label Studio, by the layouts that their importers read."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import radiolucent as rl
from radiolucent.data.annotations.brush import brush
from radiolucent.errors import ConfigError
from radiolucent.models import build
from radiolucent.study import ManyConfig, explain_many
from radiolucent.study.handover import hand_over
from radiolucent.types import Annotation, Region

SIZE = (40, 60)


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of 40 × 60 pixels explained by Grad-CAM and saliency; one more that is deleted afterwards."""
    root = tmp_path_factory.mktemp("handover")
    rng = np.random.default_rng(0)
    (root / "films").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(rng.integers(0, 256, SIZE, dtype=np.uint8)).save(root / "films" / name)
    clf = build("small_cnn", class_names=("NORMAL", "A & B"), size=32, widths=(4, 8), positive="A & B")[0]
    config = ManyConfig((rl.GradCAM(), rl.Saliency()), targets=("A & B",), panels=False, trust=False)
    explain_many(clf, [root / "films"], root / "explanations", config)
    (root / "films" / "c.png").unlink()
    return root


MARKS = [
    Annotation("a.png", (Region.box(6, 4, 30, 20),), "A & B", reader="Dr Ä"),
    Annotation("b.png", (), None, reader="Dr Ä", finding=False),
]


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture)


def test_fiftyone(explained: Path, tmp_path: Path) -> None:
    left: list[tuple[Path, str]] = []
    out = tmp_path / "out"
    assert hand_over(explained / "explanations", out, "fiftyone", annotations=MARKS, left_out=left) == 2  # type: ignore[arg-type]
    assert [p.name for p, _ in left] == ["c.png"]
    first, second = json.loads((out / "samples.json").read_text())["samples"]
    assert first["called"]["_cls"] == "Classification" and 0 <= first["called"]["confidence"] <= 1
    for sample in (first, second):
        assert pixels(out / sample["filepath"]).shape == SIZE
        for method in ("gradcam", "saliency"):
            heat = sample[method]
            assert (heat["_cls"], heat["range"]) == ("Heatmap", [0, 255])
            assert Path(heat["map_path"]).parts[:2] == ("fields", method)  # what its importer looks for
            picture = pixels(out / heat["map_path"])
            assert picture.shape == SIZE and picture.max() in (0, 255)
    (line,) = first["marks_Dr_Ä"]["polylines"]
    assert (line["_cls"], line["label"], line["closed"]) == ("Polyline", "A & B", True)
    np.testing.assert_allclose(line["points"], [[[0.1, 0.1], [0.6, 0.1], [0.6, 0.6], [0.1, 0.6]]])


def test_label_studio(explained: Path, tmp_path: Path) -> None:
    hand_over(explained / "explanations", tmp_path / "out", "labelstudio", annotations=MARKS)
    first, second = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert first["data"]["image"] == "/data/local-files/?d=images/0000-a.png"
    assert (tmp_path / "out" / "images" / "0000-a.png").is_file()
    config = ET.fromstring((tmp_path / "out" / "config.xml").read_text(encoding="utf-8"))
    kinds = {e.get("name"): e for e in config if e.get("toName") == "image"}
    for task in (first, second):
        for made in (*task["annotations"], *task["predictions"]):
            for item in made["result"]:
                control = kinds[item["from_name"]]  # a name and kind that the configuration has
                assert control.tag.lower() == item["type"] and item["to_name"] == "image"
                if item["type"].endswith("labels"):
                    assert item["value"][item["type"]][0] in {e.get("value") for e in control}
    box = first["annotations"][0]["result"][0]["value"]
    assert (box["x"], box["y"], box["width"], box["height"]) == pytest.approx((10, 10, 50, 50))
    said = next(p for p in first["predictions"] if p["model_version"].startswith("gradcam"))
    mask = brush(said["result"][0]["value"]["rle"], SIZE)
    assert 0 < mask.mean() < 1
    assert {c for i in second["annotations"][0]["result"] for c in i["value"].get("choices", [])} <= {"No finding"}


def test_what_is_not_there_is_refused(explained: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    for folder, out, tool, why in (
        (explained / "explanations", tmp_path / "full", "fiftyone", "not empty"),
        (explained / "films", tmp_path / "x", "fiftyone", "radiolucent explain"),
        (explained / "explanations", tmp_path / "x", "cvat", "fiftyone or labelstudio"),
    ):
        with pytest.raises(ConfigError, match=why):
            hand_over(folder, out, tool)
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep" and not (tmp_path / "x").exists()
