"""The Kermany collection from Kaggle, through kagglehub."""

from pathlib import Path

from radiolucent.data.folder import load_dataset
from radiolucent.data.records import Dataset
from radiolucent.errors import DataError
from radiolucent.extras import require

__all__ = ["download"]

HANDLE = "paultimothymooney/chest-xray-pneumonia"


def download(handle: str = HANDLE, *, classes: int = 2) -> Dataset:
    """Download a Kaggle data set (kept in kagglehub's cache) and load it.

    The archive of the default one holds its films twice, in `chest_xray/` and `chest_xray/chest_xray/`, and a
    `__MACOSX` folder; the outer copy is taken.

    Raises:
        MissingExtraError: kagglehub is not installed. DataError: the download failed, or holds no train folder.
    """
    kagglehub = require("kagglehub", extra="datasets")
    try:
        root = Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub raises its own and the network's
        raise DataError(
            f"Kaggle data set {handle}: download failed ({error}); check the network, or download it by hand and give "
            "its folder."
        ) from error
    tops = sorted((p.parent for p in root.rglob("train") if p.is_dir()), key=lambda p: len(p.parts))
    tops = [t for t in tops if "__MACOSX" not in t.parts]
    if not tops:
        raise DataError(f"Kaggle data set {handle}: no 'train' folder below {root}; give the folder to use.")
    return load_dataset(tops[0], classes=classes)
