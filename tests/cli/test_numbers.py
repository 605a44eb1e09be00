"""Every option that takes a number says which it takes, and refuses the others by its name."""

import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from radiolucent.cli import app
from radiolucent.data import Dataset, Record, split_dataset
from radiolucent.data.phantom import PhantomConfig, generate
from radiolucent.errors import ConfigError
from radiolucent.study import RepairConfig

OPEN_ABOVE = {
    "batch_size", "cases", "concepts", "epochs", "films", "frame", "limit", "lime_samples", "max_memory_mb",
    "max_pixels", "most", "ascent", "patients", "readers", "samples", "seeds", "workers",
}  # fmt: skip
"""Counts: more of them only takes longer."""


def commands(known: typer.Typer, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for command in known.registered_commands:
        assert command.callback is not None
        yield (*name, command.name or command.callback.__name__.replace("_", "-")), command.callback
    for group in known.registered_groups:
        yield from commands(group.typer_instance, (*name, str(group.name)))


def numbers() -> Iterator[Any]:
    for name, callback in commands(app):
        for p in inspect.signature(callback).parameters.values():
            if typing.get_origin(p.annotation) is not Annotated:
                continue
            kind, info = typing.get_args(p.annotation)[0], typing.get_args(p.annotation)[-1]
            kinds = typing.get_args(kind) or (kind,)
            if int in kinds or float in kinds:
                yield pytest.param(name, p.name, float in kinds, info, id=f"{' '.join(name)} {p.name}")


NUMBERS = list(numbers())


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.mark.parametrize(("name", "option", "decimal", "info"), NUMBERS)
def test_a_number_has_bounds(name: tuple[str, ...], option: str, decimal: bool, info: Any) -> None:
    assert info.min is not None and (info.max is not None or option in OPEN_ABOVE)
    flag = f"--{option.replace('_', '-')}"
    assert flag in refused(*name, f"{flag}={info.min - 1}")
    if info.max is not None:
        assert flag in refused(*name, f"{flag}={info.max + 1}")
    for odd in ("nan", "inf") if decimal else ():
        assert flag in refused(*name, f"{flag}={odd}")


def test_there_are_such_options() -> None:
    assert len(NUMBERS) > 80


@pytest.mark.parametrize("penalty", [-1.0, 0.0, float("nan"), float("inf"), 1e9])
def test_a_penalty_of_any_size_is_refused(penalty: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"penalty .*; expected a number above 0 and at most 1000, or auto"):
        RepairConfig(tmp_path, tmp_path, methods=("reasons",), penalty=penalty)


@pytest.mark.parametrize("thresholds", ["nan", "0.3,inf", "-1", "0", "2", "a", ""])
def test_shares_of_a_map_are_shares(thresholds: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["compare", "box", str(tmp_path), "--annotations", str(tmp_path), "--thresholds", thresholds]
    )
    assert isinstance(result.exception, ConfigError) and "expected shares with commas" in str(result.exception)


@pytest.mark.parametrize("shares", [{"val": 0.0}, {"test": 1.0}, {"val": 0.6, "test": 0.5}, {"val": float("nan")}])
def test_a_split_leaves_films_to_train_on(shares: dict[str, float]) -> None:
    films = tuple(Record(Path(f"/none/{i}"), str(i), i % 2, f"p{i}") for i in range(40))
    with pytest.raises(ConfigError, match="leave something to train on"):
        split_dataset(Dataset(films, ("A", "B")), **shares)


def test_an_option_that_would_do_nothing_is_refused(tmp_path: Path) -> None:
    generate(tmp_path / "films", PhantomConfig(patients=20, films=1, size=64), workers=1)
    words = ["train", str(tmp_path / "films"), "--out", str(tmp_path / "run"), "--model", "small_cnn", "--flip"]
    result = CliRunner().invoke(app, [*words, "--recipe", "classic", "--size", "32"])
    assert isinstance(result.exception, ConfigError) and "recipe classic alters no film" in str(result.exception)
