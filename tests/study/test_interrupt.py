"""Ctrl+C and options that name nothing, on the real program."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from radiolucent.cli.explain import explain
from radiolucent.cli.features import features
from radiolucent.errors import ConfigError


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to another process")
def test_control_c_says_how_to_go_on(tmp_path: Path) -> None:
    """While phantoms are drawn; training's own handling of signals is tested in its room."""
    out = tmp_path / "demo"
    child = subprocess.Popen(
        [sys.executable, "-m", "radiolucent", "demo", "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in background jobs
    )
    try:
        end = time.monotonic() + 300
        while not list(out.rglob("*.png")):  # the work has begun
            assert child.poll() is None and time.monotonic() < end, "the demonstration did not begin"
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=300)[1]
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 130
    assert "interrupted; the same command goes on where this one stopped." in said and "Traceback" not in said


@pytest.mark.parametrize("channels", ["a,b", ",", "1.5", "-1"])
def test_channels_must_be_numbers(tmp_path: Path, channels: str) -> None:
    with pytest.raises(ConfigError, match=r"--channels .* expected whole numbers"):
        features(tmp_path, tmp_path / "a.png", channels=channels)


def test_explain_needs_a_method(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--method ',' names no method"):
        explain([tmp_path], method=",")
