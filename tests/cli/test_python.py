"""Python takes what people have, and results show themselves."""

import copy
import dataclasses
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


def test_predict_and_the_finders_take_what_people_have(home: Path) -> None:
    """Alone and several; a path used to be read letter by letter."""
    clf = rl.load(home / "run")
    paths = sorted((home / "films" / "normal").iterdir())[:2]
    films = [rl.read(path) for path in paths]
    expected = rl.predict(clf, paths).logits
    several = (films, iter(films), [films[0], str(paths[1])], [f.pixels for f in films], torch.stack(
        [torch.from_numpy(f.pixels)[None] for f in films]
    ))  # fmt: skip
    for given in several:
        np.testing.assert_allclose(rl.predict(clf, given).logits, expected, atol=1e-6)
    for given in (films[0], films[0].pixels, str(paths[0]), paths[0], Image.fromarray(films[0].pixels)):
        np.testing.assert_allclose(rl.predict(clf, given).logits, expected[:1], atol=1e-6)
        assert (rl.lungs(given).pixels == rl.lungs(films[0]).pixels).all()
        assert (rl.markers(given).pixels == rl.markers(films[0]).pixels).all()
    records = rl.load_dataset(home / "films").records
    labels = [r.label for r in records]
    assert rl.predict(clf, iter(records)).labels.tolist() == rl.predict(clf, list(records)).labels.tolist() == labels


def test_what_is_no_classifier_or_data_set_is_refused_with_the_call_that_makes_one(home: Path) -> None:
    for call in (rl.predict, rl.explain):
        with pytest.raises(rl.RadiolucentError, match=r"a str as classifier; expected rl\.load"):
            call(str(home / "run"), [])  # pyright: ignore[reportArgumentType]
    for call in (rl.check, rl.split_dataset):
        with pytest.raises(rl.RadiolucentError, match=r"a str as data set; expected rl\.load_dataset"):
            call(str(home / "films"))  # pyright: ignore[reportArgumentType]


def test_other_values_are_refused_with_the_call_that_makes_what_is_expected(home: Path) -> None:
    clf, path = rl.load(home / "run"), sorted((home / "films" / "normal").iterdir())[0]
    film = rl.read(path)
    many = rl.study.ManyConfig((rl.LIME(),))
    told: dict[str, Callable[[], object]] = {
        "a Radiograph as films with labels; expected rl.load_dataset": lambda: rl.audit(clf, film),  # type: ignore
        "a str as films with labels; expected rl.load_dataset": lambda: rl.audit(clf, str(path)),
        "a Radiograph as films with labels": lambda: rl.audit(clf, [film]),  # type: ignore
        "a str as classifier": lambda: rl.examine("box", []),  # type: ignore
        "a str as annotation; expected rl.read_annotations": lambda: rl.agreement(rl.explain(clf, film), "file"),
        "a Radiograph as explanation; expected rl.explain": lambda: rl.agreement(film, []),  # type: ignore
        "a Radiograph as predictions; expected rl.predict": lambda: rl.evaluate(film),  # type: ignore
        "a str as predictions; expected rl.predict": lambda: rl.evaluate_labels("run"),  # type: ignore
        "a Radiograph as classifier; expected rl.load": lambda: rl.save(film, home / "x"),  # type: ignore
        "a NoneType as place to save to": lambda: rl.save(clf, None),  # type: ignore
        "a ndarray as place of a model; expected the path": lambda: rl.load(film.pixels),  # type: ignore
        "a ndarray as path of a film; .*rl.from_array": lambda: rl.read(film.pixels),  # type: ignore
        "a list as data set's place": lambda: rl.load_dataset([path]),  # type: ignore
        "a str as data set": lambda: rl.read_annotations(path, dataset="films"),  # type: ignore
        "a NoneType as place of readings": lambda: rl.read_annotations(None),  # type: ignore
        "a NoneType as name of a network": lambda: rl.build(None),  # type: ignore
        "class names 'AB'; expected a list": lambda: rl.build("small_cnn", class_names="AB", pretrained=False),
        "a float as class names": lambda: rl.wrap(clf.network, 1.5),  # type: ignore
        "a NoneType as class name; expected a text": lambda: rl.wrap(clf.network, [None]),  # type: ignore
        "a dict as training's configuration; expected rl.TrainConfig": lambda: rl.fit(clf, [], [], {}),  # type: ignore
        "a str as method; expected the one": lambda: rl.stamp(clf, film, rl.explain(clf, film), "x"),  # type: ignore
        "a list as run folder": lambda: rl.demo([]),  # type: ignore
        "a NoneType as film or folder": lambda: rl.explain_many(clf, None, home / "m", many),  # type: ignore
        "a str as configuration; expected rl.study.ManyConfig": lambda: rl.explain_many(clf, [], home / "m", "lime"),  # type: ignore
        "a str as data set; expected one of torch": lambda: rl.from_torchxrayvision("nih", "Mass", home),
        "a list as folder of explanations": lambda: rl.hand_over([], home, "fiftyone"),  # type: ignore
        "expected fiftyone or labelstudio": lambda: rl.hand_over(home, home, []),  # type: ignore
        "a NoneType as story": lambda: rl.write_report(None, home),  # type: ignore
        "a str as study's configuration; expected rl.StudyConfig": lambda: rl.run_study("films"),  # type: ignore
        "a str as repair's configuration; expected rl.RepairConfig": lambda: rl.repair("run"),  # type: ignore
    }
    for why, call in told.items():
        with pytest.raises(rl.RadiolucentError, match=why):
            call()


def test_values_can_be_copied_and_pickled(home: Path) -> None:
    clf, film = rl.load(home / "run"), rl.read(next((home / "films" / "normal").iterdir()))
    made = rl.predict(clf, rl.load_dataset(home / "films"))
    for value in (clf, film, rl.from_array(film.pixels), rl.explain(clf, film), made, rl.evaluate(made, folds=20)):
        assert repr(copy.deepcopy(value)) == repr(value) == repr(pickle.loads(pickle.dumps(value)))


def test_threads_explain_by_one_classifier(home: Path) -> None:
    """Hooks are seen by all threads: one read what another's pass left, and kept it as its own."""
    clf = rl.load(home / "run")
    films = [rl.read(path) for path in sorted((home / "films" / "normal").iterdir())[:4]]
    methods = (rl.GradCAM(), rl.Saliency())
    alone = {(f.image_id, m.name): rl.explain(clf, f, m, target=0).map for f in films for m in methods}
    logits = rl.predict(clf, films).logits

    def work(film: rl.Radiograph) -> bool:
        same = True
        for method in methods * 6:
            same &= np.allclose(rl.explain(clf, film, method, target=0).map, alone[film.image_id, method.name])
            same &= np.allclose(rl.predict(clf, films).logits, logits, atol=1e-6)
        return same

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, films)) == [True] * 4
    assert not any(m._forward_hooks for m in clf.network.modules())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process forks here")
def test_a_forked_process_waits_for_no_thread_of_its_parent() -> None:
    code = """if True:
        import os, signal, threading
        from radiolucent.models.preserve_state import alone
        held, done = threading.Event(), threading.Event()
        def hold():
            with alone():
                held.set(), done.wait()
        threading.Thread(target=hold).start()
        held.wait()
        child = os.fork()
        if not child:
            signal.alarm(5)
            with alone():
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        done.set()
        os._exit(status != 0)
    """
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
