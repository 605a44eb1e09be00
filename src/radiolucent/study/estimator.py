"""A scikit-learn estimator: a network trained on films, for `Pipeline`, `cross_val_score` and `GridSearchCV`."""

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit
from sklearn.utils.validation import check_is_fitted

from radiolucent.errors import DataError
from radiolucent.images.convert import as_films
from radiolucent.models import build
from radiolucent.training import TrainConfig, fit

__all__ = ["XrayEstimator"]


class XrayEstimator(ClassifierMixin, BaseEstimator):
    """Trains a network on films and labels; probabilities are uncalibrated, and the more probable class is predicted.

    Films are whatever `explain` takes: an array (N, H, W), paths, PIL images, radiographs. Of two classes the second
    in sorted order is the positive one, as everywhere in scikit-learn. `classifier_` is the `Classifier`, to be
    explained and audited. For a study with calibration, threshold and intervals use `run_study`.

    Args:
        model: as `build` takes it. size: side of the input. epochs, batch_size, lr: of the training.
        val: share held out to choose the epoch; by patient where `fit` is given `groups`.
        pretrained: start from ImageNet weights. random_state: seed of everything random.
    """

    def __init__(
        self,
        model: str = "small_cnn",
        *,
        size: int = 64,
        epochs: int = 10,
        batch_size: int = 16,
        lr: float = 1e-3,
        val: float = 0.2,
        pretrained: bool = False,
        random_state: int = 0,
    ) -> None:
        self.model, self.size, self.epochs, self.batch_size = model, size, epochs, batch_size
        self.lr, self.val, self.pretrained, self.random_state = lr, val, pretrained, random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def fit(self, X: Any, y: Any, groups: Any = None) -> "XrayEstimator":
        """Train on films and labels (N,).

        Args:
            groups: patient of each film, none of whom is then in both parts of the training.

        Raises:
            DataError: numbers that differ, or fewer than two classes. ImageError, ConfigError: see `explain`.
        """
        films = as_films(list(X))[0]
        self.classes_, labels = np.unique(np.asarray(y), return_inverse=True)
        if len(films) != len(labels) or len(self.classes_) < 2:
            found = f"{len(films)} films, {len(labels)} labels of {len(self.classes_)} class(es)"
            raise DataError(f"{found}; expected a label a film, of two classes or more.")
        names, options = [str(c) for c in self.classes_], {"pretrained": self.pretrained, "size": self.size}
        start, _ = build(self.model, class_names=names, positive=1, seed=self.random_state, **cast(Any, options))
        inputs, targets = torch.stack([start.preprocess(f) for f in films]), torch.from_numpy(labels).long()
        kind: Any = StratifiedShuffleSplit if groups is None else GroupShuffleSplit
        deal = kind(1, test_size=self.val, random_state=self.random_state)
        learn, check = next(deal.split(np.zeros(len(labels)), labels, groups))
        draw = torch.Generator().manual_seed(self.random_state)
        parts: Any = [torch.utils.data.TensorDataset(inputs[i], targets[i]) for i in (learn, check)]
        train = torch.utils.data.DataLoader(parts[0], self.batch_size, shuffle=True, generator=draw)
        val = torch.utils.data.DataLoader(parts[1], self.batch_size)
        recipe = TrainConfig(epochs=self.epochs, batch_size=self.batch_size, lr=self.lr, seed=self.random_state)
        self.classifier_ = fit(start, train, val, recipe).classifier
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities (N, classes) in the order of `classes_`."""
        check_is_fitted(self)
        films = as_films(list(X))[0]
        parts = [films[i : i + self.batch_size] for i in range(0, len(films), self.batch_size)]
        clf = self.classifier_
        logits = torch.cat([clf.logits(torch.stack([clf.preprocess(f) for f in part])) for part in parts])
        return clf.probabilities(logits).numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """The more probable class (N,) of each film."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(1)]
