"""PneumoniaMNIST and its sisters, through the medmnist package, as files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from radiolucent.data.manifest import write_manifest
from radiolucent.data.records import Dataset, Record
from radiolucent.errors import DataError
from radiolucent.extras import require
from radiolucent.files import atomic_path

__all__ = ["download"]


def download(
    folder: str | Path,
    *,
    name: str = "pneumoniamnist",
    size: int = 224,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Download a MedMNIST data set and write it as PNG files with a manifest (its own splits kept).

    Args:
        name: "pneumoniamnist" or another single-label one. size: 28, 64, 128 or 224 pixels.

    Raises:
        MissingExtraError: medmnist is not installed. DataError: an unknown name, or the download failed.
    """
    medmnist = require("medmnist", extra="datasets")
    info = medmnist.INFO.get(name)
    if info is None or "label" not in info:
        raise DataError(f"MedMNIST has no {name!r}; it has {', '.join(sorted(medmnist.INFO))}.")
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    names = tuple(str(info["label"][str(i)]).upper() for i in range(len(info["label"])))
    records: list[Record] = []
    total = sum(info["n_samples"].values())
    for split in ("train", "val", "test"):
        try:
            part = getattr(medmnist, info["python_class"])(split=split, download=True, size=size, root=str(out))
        except Exception as error:  # medmnist raises the network's errors and its own RuntimeError
            raise DataError(f"MedMNIST {name}: download failed ({error}); check the network.") from error
        for i, (pixels, label) in enumerate(zip(part.imgs, np.ravel(part.labels), strict=True)):
            where = f"{split}/{names[int(label)]}/{i:05d}.png"
            if not (out / where).is_file():
                with atomic_path(out / where) as temporary:
                    Image.fromarray(pixels).save(temporary)
            records.append(Record(out / where, where, int(label), split=split))
            if progress:
                progress(len(records), total)
    dataset = Dataset(tuple(records), names, out, source=f"MedMNIST {name} {size}")
    write_manifest(dataset, out / "manifest.csv")
    return dataset
