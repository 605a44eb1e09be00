"""The randomisation test of a run is made on several films, and no more are read than it needs."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

import radiolucent as rl
from radiolucent.explainers import GradCAM, explain, load_explanation
from radiolucent.models import build
from radiolucent.study import ManyConfig, explain_many
from radiolucent.study.stamps import Stamper

CLF = build("small_cnn", size=64, widths=(4, 4, 4, 4), hidden=0, seed=1)[0]


def test_a_study_asks_for_three_films_once_a_method() -> None:
    rng, read = np.random.default_rng(0), list[int]()
    films = [rl.from_array(rng.random((64, 64)).astype(np.float32), image_id=str(i)) for i in range(5)]

    def giving():
        for i, film in enumerate(films):
            read.append(i)
            yield film

    stamped = Stamper(CLF, giving)
    for film in films[3:]:
        e = stamped(film, explain(CLF, film, GradCAM()), GradCAM())
        assert e.trust["parts"]["randomisation"]["evidence"]["films"] == 3
    assert read == [0, 1, 2]


def test_a_run_over_a_folder_does_not_depend_on_what_was_done_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for i in range(4):
        Image.fromarray(rng.integers(0, 255, (48, 48), np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"")  # cannot be read: passed over
    found = []
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        out = tmp_path / f"out{order[0]}"
        config = ManyConfig((GradCAM(),), panels=False, targets=("PNEUMONIA",), batch_size=1)
        explain_many(CLF, [tmp_path / f"{i}.png" for i in order], out, config)
        found.append(json.loads((out / "trust" / "gradcam.json").read_text())["finding"])
        maps = [load_explanation(p) for p in (out / "maps").rglob("*.npz")]
        assert [e.trust["parts"]["randomisation"]["summary"] for e in maps] == [found[-1]["summary"]] * 3
    assert found[0] == found[1] and found[0]["evidence"]["films"] == 3
