"""Figures of epochs in MLflow and Weights & Biases: on disk without a network, and on MLflow's server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from radiolucent.errors import ConfigError
from radiolucent.training import EpochResult, tracked, trackers_named

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


def epoch(number: int) -> EpochResult:
    return EpochResult(number, 0.5 / number, 0.7, 0.4 / number, 0.8, None, 1e-3, 1.0, 10.0, True)


def log(name: str, folder: Path, *epochs: int) -> None:
    with tracked([name], folder, {"lr": 0.1}) as listeners:
        for number in epochs:
            listeners[0](epoch(number))


def test_unknown_trackers_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="comet: expected any of tensorboard, mlflow, wandb"):
        trackers_named("tensorboard, comet")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """MLflow's own server on a SQLite file: mlflow-skinny brings its code, the test extra what it runs on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    host, port = address.split(":")
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    words += ["--host", host, "--port", port, "--workers", "1"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    said = tmp_path / "server.log"
    with (
        said.open("w") as log_file,
        subprocess.Popen(
            words, cwd=tmp_path, env=environment, stdout=log_file, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            _wait_for(f"http://{address}/health", process, said)
            yield f"http://{address}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # the server and its worker


def _wait_for(url: str, process: subprocess.Popen[bytes], said: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            assert process.poll() is None, said.read_text()
            time.sleep(0.2)
    raise AssertionError(said.read_text())


def logged(uri: str) -> tuple[list[str], list[tuple[int, float]], str]:
    """Statuses of all runs; steps and values of the first one's validation loss, and its learning rate."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name("radiolucent").experiment_id])
    history = client.get_metric_history(runs[0].info.run_id, "val_loss")
    return [r.info.status for r in runs], [(m.step, m.value) for m in history], runs[0].data.params["lr"]


def test_mlflow_on_disk_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    log("mlflow", tmp_path / "run", 1)
    log("mlflow", tmp_path / "run", 2)
    assert logged((tmp_path / "run" / "mlruns").as_uri()) == (["FINISHED"], [(1, 0.4), (2, 0.2)], "0.1")
    with pytest.raises(ValueError, match="stopped"), tracked(["mlflow"], tmp_path / "other", {}):
        raise ValueError("stopped")
    assert "FAILED" in (next((tmp_path / "other" / "mlruns").rglob("status"), None) or _meta(tmp_path / "other"))


def _meta(folder: Path) -> str:
    """The file store keeps a run's status as a number: 4 is failed."""
    run = (folder / "mlflow_run.txt").read_text()
    text = next((folder / "mlruns").rglob(f"{run}/meta.yaml")).read_text()
    return "FAILED" if "status: 4" in text else text


def test_mlflow_on_a_server(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    log("mlflow", tmp_path / "run", 1)
    log("mlflow", tmp_path / "run", 2)
    assert logged(server) == (["FINISHED"], [(1, 0.4), (2, 0.2)], "0.1")


def test_a_server_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=r"MLflow at http://127.0.0.1:9.*MLFLOW_TRACKING_URI"):
        log("mlflow", tmp_path / "run", 1)


def test_weights_and_biases_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    seen: list[object] = []
    kept = wandb.init

    def init(**options: object) -> object:
        run = kept(**options)
        seen.append(run)
        return run

    monkeypatch.setattr(wandb, "init", init)
    log("wandb", tmp_path / "run", 1, 2)
    log("wandb", tmp_path / "run", 3)
    assert seen[0].id == seen[1].id and seen[0].project == "radiolucent"  # type: ignore[attr-defined]
    assert json.loads(json.dumps(dict(seen[0].config))) == {"lr": 0.1}  # type: ignore[attr-defined]
    files = list((tmp_path / "run" / "wandb").rglob("*.wandb"))
    assert len(files) == 2 and b"val_loss" in files[0].read_bytes()
