"""Where else an epoch's figures go: TensorBoard, MLflow, Weights & Biases."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radiolucent.errors import ConfigError
from radiolucent.extras import require
from radiolucent.files import write_text
from radiolucent.training.logs import EpochResult, tensorboard

__all__ = ["TRACKERS", "mlflow", "tracked", "trackers_named", "wandb"]

Listener = Callable[[EpochResult], None]
PROJECT = "radiolucent"
"""Experiment or project where the tool's own environment variables name none."""


def _figures(result: EpochResult) -> dict[str, float]:
    """An epoch's figures by name; what is not known is left out."""
    left = ("epoch", "best")
    return {k: float(v) for k, v in result.to_dict().items() if k not in left and v is not None}


@contextmanager
def _tensorboard(folder: Path, settings: Mapping[str, Any]) -> Generator[Listener]:
    yield tensorboard(folder / "tensorboard")


@contextmanager
def mlflow(folder: Path, settings: Mapping[str, Any]) -> Generator[Listener]:
    """A listener for `fit(on_epoch=...)` that logs to MLflow; a training that is resumed goes on with its MLflow run.

    `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` say where; without them a file store in `folder/mlruns`.

    Args:
        folder: of the run; its name is the MLflow run's name. settings: logged as parameters.

    Raises:
        MissingExtraError: MLflow is not installed. ConfigError: its server cannot be reached, or refuses.
    """
    import os

    client_of = require("mlflow.tracking", extra="mlflow").MlflowClient
    exceptions = require("mlflow.exceptions", extra="mlflow")
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        uri = (folder / "mlruns").resolve().as_uri()
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow asks for it where no server is named
    try:
        client = client_of(tracking_uri=uri)
        run = _mlflow_run(client, exceptions, folder, settings)
    except exceptions.MlflowException as error:
        raise ConfigError(f"MLflow at {uri}: {error}; check MLFLOW_TRACKING_URI.") from error

    def log(result: EpochResult) -> None:
        for name, value in _figures(result).items():
            client.log_metric(run, name, value, step=result.epoch)

    ended = "FAILED"
    try:
        yield log
        ended = "FINISHED"
    finally:
        client.set_terminated(run, ended)


def _mlflow_run(client: Any, exceptions: Any, folder: Path, settings: Mapping[str, Any]) -> str:
    """The id of this folder's MLflow run: the one noted there if the server still has it, else a new one."""
    import os

    noted = folder / "mlflow_run.txt"
    if noted.is_file():
        known = noted.read_text(encoding="utf-8").strip()
        try:
            client.update_run(known, status="RUNNING")
            return known
        except exceptions.MlflowException:
            pass  # another server, or deleted there
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    found = client.get_experiment_by_name(name)
    experiment = client.create_experiment(name) if found is None else found.experiment_id
    run = client.create_run(experiment, run_name=folder.name).info.run_id
    for key, value in settings.items():
        client.log_param(run, key, value)
    write_text(noted, run)
    return run


@contextmanager
def wandb(folder: Path, settings: Mapping[str, Any]) -> Generator[Listener]:
    """A listener for `fit(on_epoch=...)` that logs to Weights & Biases; a resumed training goes on with its run.

    Its own environment variables say where (`WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_MODE=offline`).

    Args:
        folder: of the run; its name is the run's name, its path decides the run's id. settings: its configuration.

    Raises:
        MissingExtraError: wandb is not installed. ConfigError: it refuses to start a run.
    """
    import hashlib
    import os

    module: Any = require("wandb", extra="wandb")
    identity = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    options: dict[str, Any] = {"project": os.environ.get("WANDB_PROJECT", PROJECT), "name": folder.name}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run = module.init(id=identity, resume="allow", dir=str(folder), config=dict(settings), **options)
    except Exception as error:  # wandb raises its own and its transport's errors
        raise ConfigError(
            f"Weights & Biases does not start ({error}); log in, or set WANDB_MODE=offline and sync later."
        ) from error
    status = 1
    try:
        yield lambda result: run.log(_figures(result), step=result.epoch)
        status = 0
    finally:
        run.finish(exit_code=status)


TRACKERS = {"tensorboard": _tensorboard, "mlflow": mlflow, "wandb": wandb}
"""Every place that figures can be logged to, by the name that `--log-to` takes."""


def trackers_named(names: str) -> tuple[str, ...]:
    """Names with commas between them.

    Raises:
        ConfigError: an unknown one. MissingExtraError: its package is not installed.

    >>> trackers_named("")
    ()
    """
    wanted = tuple(dict.fromkeys(n.strip() for n in names.split(",") if n.strip()))
    if unknown := [n for n in wanted if n not in TRACKERS]:
        raise ConfigError(f"--log-to {', '.join(unknown)}: expected any of {', '.join(TRACKERS)}, with commas.")
    for name in wanted:
        require(name, extra=name)
    return wanted


@contextmanager
def tracked(names: Sequence[str], folder: Path, settings: Mapping[str, Any]) -> Generator[list[Listener]]:
    """Listeners of several trackers, ended together, also when training fails."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield [stack.enter_context(TRACKERS[name](folder, settings)) for name in names]
