"""Python takes what people have, and results show themselves."""

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import radiolucent as rl


def test_a_room_is_there_without_an_import_of_its_own() -> None:
    code = "import radiolucent as rl, sys; assert 'radiolucent.metrics' not in sys.modules; rl.metrics.auroc; rl.none"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.stderr.strip().endswith("AttributeError: module 'radiolucent' has no attribute 'none'")


def test_explain_takes_what_people_have(home: Path) -> None:
    clf, file = rl.load(home / "run"), next((home / "films" / "normal").iterdir())
    film = rl.read(file)
    grey = film.pixels
    expected = rl.explain(clf, film, rl.GradCAM()).map
    channels_last, channels_first = grey[..., None], np.stack([grey] * 3)
    whole = (grey * 255).round().astype(np.uint8)
    for given in (
        str(file),
        file,
        grey,
        channels_last,
        channels_first,
        whole,
        Image.open(file),
        torch.from_numpy(grey.copy()),
    ):
        np.testing.assert_allclose(rl.explain(clf, given, "gradcam").map, expected, atol=0.02)

    class Films(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
            if i >= 2:
                raise IndexError
            return grey, 0

    assert [len(maps) for maps in rl.explain(clf, Films(), ["gradcam", "saliency"])] == [2, 2]
    np.testing.assert_allclose(rl.explain(clf, Image.fromarray(grey), "Grad-CAM").map, expected, atol=0.02)  # mode F
    deep = Image.fromarray((grey * 65535).astype(np.uint16))
    np.testing.assert_allclose(rl.explain(clf, deep).map, expected, atol=0.02)
    records = rl.load_dataset(home / "films")
    named = [r.image_id for r in records.records[:2]]
    assert [e.image_id for e in rl.explain(clf, records.records[:2])] == named
    assert len(rl.explain(clf, dataclasses.replace(records, records=records.records[:2]))) == 2
    for wrong, why in (
        (file.read_bytes(), "PIL.Image.open"),
        (io.BytesIO(file.read_bytes()), "PIL.Image.open"), (file.parent, "is a folder; give"),
        (Image.fromarray(grey * 300), "scale it first"), (np.ma.masked_array(grey, grey > 0.5), "masked"),
    ):  # fmt: skip
        with pytest.raises(rl.RadiolucentError, match=why):
            rl.explain(clf, wrong)
    with pytest.raises(rl.RadiolucentError, match=r"GradCAM is a class; .* GradCAM\(\)"):
        rl.explain(clf, film, rl.GradCAM)
    for other, why in ((clf.network, "rl.wrap"), (str(home / "run"), "rl.load")):
        with pytest.raises(rl.RadiolucentError, match=why):
            rl.explain(other, film)
    with pytest.raises(rl.RadiolucentError, match=r"target 1\.0; expected one of"):
        rl.explain(clf, film, target=1.0)
    for bad, why in ((3, "a int; expected a Radiograph"), ({"a": 1}, "rl.read"), (grey * 300, "scale it first")):
        with pytest.raises(rl.RadiolucentError, match=why):
            rl.explain(clf, bad)
    with pytest.raises(rl.RadiolucentError, match="method 'magic'; expected any of gradcam"):
        rl.explain(clf, film, "magic")


def test_results_show_themselves(home: Path) -> None:
    clf, films = rl.load(home / "run"), rl.load_dataset(home / "films")
    film = rl.read(films.records[0].path)
    predicted = rl.predict(clf, films.records)
    found = rl.evaluate(predicted, folds=100)
    shown = [clf, films, film, predicted, found, found.estimates["auroc"], rl.explain(clf, film)]
    for value in shown:
        assert len(repr(value)) < 400 and repr(value).count("\n") < 3, repr(value)
        html = value._repr_html_()
        assert html.startswith("<p>") and ("<table>" in html or "data:image/png" in html)
        assert value.plot().get_figwidth() > 2
    assert list(predicted.rows()[0]) == ["image", "patient", "label", "p_effusion", "called"]
    assert {r["figure"] for r in found.rows()} >= {"auroc", "sensitivity"}
    with pytest.raises(rl.RadiolucentError, match="give its own film"):
        shown[-1].plot(film=rl.from_array(film.pixels[:40]))


def test_dir_shows_public_names_only() -> None:
    names = dir(rl)
    assert all(not name.startswith("_") or name == "__version__" for name in names)
    assert {"explain", "GradCAM", "read", "load"} <= set(names) and not {"importlib", "Any", "TYPE_CHECKING"} & set(
        names
    )
