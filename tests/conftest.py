"""Fixtures shared by all rooms."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # one worker a core: more threads would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder with the real X-rays (`chest_xray/`, `lungs/`); the test skips, saying so, where it is absent.

    It is where `RADIOLUCENT_DATA` points, or `../shared/data` beside the checkout.
    """
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RADIOLUCENT_DATA", default))
    if not (folder / "chest_xray").is_dir():
        pytest.skip(f"real X-rays not found at {folder}; set RADIOLUCENT_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def imagenet_weights(realdata: Path) -> Path:
    """The partial MobileNet v1 ImageNet weights beside the real X-rays."""
    path = realdata.parent / "weights" / "mobilenetv1_100.keras_in1k.partial.safetensors"
    if not path.is_file():
        pytest.skip(f"ImageNet weights not found at {path}")
    return path
