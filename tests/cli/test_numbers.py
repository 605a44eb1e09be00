"""Every option that takes a number says which it takes, and refuses the others by its name."""

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import pytest
import torch
import typer
from typer.testing import CliRunner

from radiolucent.cli import app
from radiolucent.data import Dataset, Record, split_dataset
from radiolucent.data.phantom import PhantomConfig, SeveralConfig, generate
from radiolucent.errors import ConfigError
from radiolucent.explainers import LIME, LRP, METHODS
from radiolucent.images import Preprocess, ReadOptions
from radiolucent.metrics import size_proportion
from radiolucent.models import build
from radiolucent.study import RepairConfig, StudyConfig


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
    assert info.min is not None and info.max is not None
    flag = f"--{option.replace('_', '-')}"
    assert flag in refused(*name, f"{flag}={info.min - 1}")
    assert flag in refused(*name, f"{flag}={info.max + 1}")
    for odd in ("nan", "inf") if decimal else ():
        assert flag in refused(*name, f"{flag}={odd}")


def test_there_are_such_options() -> None:
    assert len(NUMBERS) > 80


@pytest.mark.parametrize("penalty", [-1.0, 0.0, float("nan"), float("inf"), 1e9, 1e-320, True])
def test_a_penalty_of_any_size_is_refused(penalty: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"penalty .*; expected a number above 0 and at most 1000, or auto"):
        RepairConfig(tmp_path, tmp_path, methods=("reasons",), penalty=penalty)


@pytest.mark.parametrize("thresholds", ["nan", "0.3,inf", "-1", "0", "2", "a", ""])
def test_shares_of_a_map_are_shares(thresholds: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["compare", "box", str(tmp_path), "--annotations", str(tmp_path), "--thresholds", thresholds]
    )
    assert isinstance(result.exception, ConfigError) and "expected shares with commas" in str(result.exception)


@pytest.mark.parametrize("thresholds", ["0.125", "0.3,0.3"])
def test_shares_that_name_no_figure_are_refused_before_any_film_is_read(thresholds: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["compare", "box", str(tmp_path), "--annotations", str(tmp_path), "--thresholds", thresholds]
    )
    assert isinstance(result.exception, ConfigError) and "whole hundredths" in str(result.exception)


@pytest.mark.parametrize("shares", [{"val": 0.0}, {"test": 1.0}, {"val": 0.6, "test": 0.5}, {"val": float("nan")}])
def test_a_split_leaves_films_to_train_on(shares: dict[str, float]) -> None:
    films = tuple(Record(Path(f"/none/{i}"), str(i), i % 2, f"p{i}") for i in range(40))
    with pytest.raises(ConfigError, match="leave something to train on"):
        split_dataset(Dataset(films, ("A", "B")), **shares)


@pytest.mark.parametrize("line", ["epochs = true", "epochs = 1.5", "val = true"])
def test_a_number_in_a_file_of_options_is_one(line: str, tmp_path: Path) -> None:
    (tmp_path / "options.toml").write_text(line)
    said = refused("train", str(tmp_path), "--config", str(tmp_path / "options.toml"))
    assert line in said and "number" in said


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (partial(StudyConfig, Path("a"), Path("b"), size=0), r"size 0; expected a whole number in \[8, ∞\) or None"),
        (partial(StudyConfig, Path("a"), Path("b"), test=float("nan")), r"test nan; expected a number in \[0, 1\)"),
        (partial(StudyConfig, Path("a"), Path("b"), compare_films=-1), "compare_films -1"),
        (partial(StudyConfig, Path("a"), Path("b"), val=0.6, test=0.5), "leave something to train on"),
        (partial(StudyConfig, Path("a"), Path("b"), val=0.95), r"val 0\.95 and test 0\.1; .*to train on"),
        (partial(RepairConfig, Path("a"), Path("b"), films=-1), "films -1"),
        (partial(RepairConfig, Path("a"), Path("b"), epochs=0), "epochs 0"),
        (partial(PhantomConfig, sites=0), "sites 0"),
        (partial(PhantomConfig, patients=cast(Any, float("nan"))), "patients nan"),
        (partial(SeveralConfig, subtle=float("nan")), "subtle nan"),
        (partial(LRP, gamma=float("nan")), "LRP: gamma nan; expected a number"),
        (partial(LIME, num_samples=float("nan")), "LIME: num_samples nan; expected a whole number"),
        (partial(LIME, num_samples=True), "LIME: num_samples True; expected a whole number"),
        (partial(Preprocess, std=(1e-320,) * 3), "std at least 1e-06"),
        (partial(Preprocess, mean=(float("nan"),) * 3), "expected 3 values each, all finite"),
        (partial(ReadOptions, window="nan/nan"), "expected a finite centre"),
        (partial(ReadOptions, range=(0, float("inf"))), "expected two finite values"),
        (partial(build, "small_cnn", pretrained=False, size=17), "size 17 .* expected at least 31"),
        (partial(size_proportion, 0.9, half_width=0.05, films=1e18), "expected 1 to 10,000,000"),
    ],
)  # fmt: skip
def test_a_configuration_takes_numbers_within_bounds(make: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_refuses_what_is_no_number(method: Any) -> None:
    for field in dataclasses.fields(method):
        if field.type in (int, float):
            with pytest.raises(ConfigError, match=f"{field.name} nan"):
                method(**{field.name: float("nan")})


def test_the_smallest_side_of_the_small_network() -> None:
    clf, _ = build("small_cnn", pretrained=False, size=31)
    assert clf.logits(torch.zeros(1, 1, 31, 31)).shape == (1, 2)


def test_an_option_that_would_do_nothing_is_refused(tmp_path: Path) -> None:
    generate(tmp_path / "films", PhantomConfig(patients=20, films=1, size=64), workers=1)
    words = ["train", str(tmp_path / "films"), "--out", str(tmp_path / "run"), "--model", "small_cnn", "--flip"]
    result = CliRunner().invoke(app, [*words, "--recipe", "classic", "--size", "32"])
    assert isinstance(result.exception, ConfigError) and "recipe classic alters no film" in str(result.exception)
