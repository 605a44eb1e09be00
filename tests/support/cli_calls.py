"""The command line, called from tests."""

import pytest
from typer.testing import CliRunner, Result

from radiolucent.cli import app, main

__all__ = ["TRAINING", "call", "status"]

TRAINING = ("--model", "small_cnn", "--no-pretrained", "--epochs", "1", "--size", "32")


def call(*words: object) -> Result:
    """A command in this process; errors come out as they are."""
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def status(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit status as the shell sees it."""
    monkeypatch.setattr("sys.argv", ["radiolucent", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code if isinstance(ended.value.code, int) else 1
