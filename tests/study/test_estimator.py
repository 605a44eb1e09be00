"""The scikit-learn estimator among scikit-learn's own tools."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import radiolucent as rl
from radiolucent.errors import DataError
from radiolucent.study.estimator import XrayEstimator


def films(count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Grey noise (N, 32, 32) in [0, 1], brighter above where the label says ill."""
    rng = np.random.default_rng(seed)
    ill = np.arange(count) % 2 == 0
    grey = rng.random((count, 32, 32), dtype=np.float32) * 0.5
    grey[ill, :16] += 0.5
    return grey, np.where(ill, "ill", "well")


SMALL = XrayEstimator(size=32, epochs=8, batch_size=8, lr=0.002)


def test_its_own_conventions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)  # most checks give tables
        check_estimator(SMALL, on_fail="raise")


def test_trains_predicts_explains_and_repeats(tmp_path: Path) -> None:
    x, y = films()
    one, two = clone(SMALL).fit(x, y), clone(SMALL).fit(x, y)
    assert list(one.classes_) == ["ill", "well"]
    new, truth = films(20, seed=1)
    chances = one.predict_proba(new)
    assert chances.shape == (20, 2) and np.allclose(chances.sum(1), 1) and one.score(new, truth) >= 0.9
    np.testing.assert_array_equal(chances, two.predict_proba(new))
    for i in range(2):
        Image.fromarray((new[i] * 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
    assert list(one.predict([tmp_path / "0.png", tmp_path / "1.png"])) == list(one.predict(new[:2]))
    assert rl.explain(one.classifier_, new[0], rl.GradCAM()).map.shape == (32, 32)


def test_in_a_pipeline_with_patients_kept_together() -> None:
    x, y = films(32)
    whole = make_pipeline(FunctionTransformer(lambda a: a * 0.9), clone(SMALL))
    found = cross_val_score(whole, x, y, groups=np.arange(32) // 4, cv=GroupKFold(2))
    assert len(found) == 2 and found.mean() > 0.6
    seen: list[set[int]] = []
    patients = np.arange(32) // 4
    original = np.unique

    import radiolucent.study.estimator as module

    class Split(module.GroupShuffleSplit):
        def split(self, *given: object) -> object:
            for learn, check in super().split(*given):
                seen.append(set(original(patients[learn])) & set(original(patients[check])))
                yield learn, check

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GroupShuffleSplit", Split)
        clone(SMALL).set_params(epochs=1).fit(x, y, groups=patients)
    assert seen == [set()]


def test_refusals() -> None:
    x, y = films(8)
    with pytest.raises(DataError, match="7 labels"):
        clone(SMALL).fit(x, y[:7])
    with pytest.raises(DataError, match="1 class"):
        clone(SMALL).fit(x, ["ill"] * 8)
    with pytest.raises(NotFittedError):
        clone(SMALL).predict(x)
