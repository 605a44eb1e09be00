"""The command line: parse → one public call → print.

Exit status: 0 done; 1 failed or nothing done, with a message; 2 wrong usage; 3 done, but some files were left out (they
are listed); 4 done, and a check failed (`data check`) or a model (`audit`, `repair`).
"""

import errno
import io
import os
import sys
from typing import Annotated, NoReturn

import typer

from radiolucent import __version__
from radiolucent.cli.audit import audit
from radiolucent.cli.common import at_home, with_common
from radiolucent.cli.compare import compare
from radiolucent.cli.data import data_app
from radiolucent.cli.evaluate import evaluate
from radiolucent.cli.explain import explain
from radiolucent.cli.export import export
from radiolucent.cli.features import features
from radiolucent.cli.output import FAILED, WRONG_USAGE, say, shown
from radiolucent.cli.own_model import TakesOwnModel, refusing_own_model, with_own_model
from radiolucent.cli.predict import predict
from radiolucent.cli.repair import repair
from radiolucent.cli.review import review
from radiolucent.cli.size import size
from radiolucent.cli.study import demo, report, study, train
from radiolucent.errors import ConfigError, RadiolucentError

__all__ = ["app", "main"]

SUBJECT = (
    "Makes an X-ray classifier transparent: train, explain, compare with doctors. Research use, not for diagnosis."
)

app = typer.Typer(
    name="radiolucent",
    help=SUBJECT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for known in data_app.registered_commands:
    assert known.callback is not None
    known.callback = with_common(known.callback)
app.add_typer(data_app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"radiolucent {__version__}")
        raise typer.Exit


@app.callback(help=SUBJECT)
def options_of_all(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """What stands before any command."""


TAKING_A_MODEL = (evaluate, predict, explain, features, compare, review, audit, export)
TRAIN_IT = (
    "Train it here first (`radiolucent study DATA --model package.module:factory`, with --weights from its own), and "
    "give that run."
)
REFUSING = {
    repair: "repair trains a run again by the run's own settings, which a model trained elsewhere does not have. "
    f"`radiolucent audit --model …` tests it as it is. {TRAIN_IT}",
    report: "report tells of a training by the run's own files, which a model trained elsewhere does not have. "
    "`radiolucent evaluate --model …` gives its figures, and `radiolucent audit --model …` writes a report of its "
    f"own. {TRAIN_IT}",
}

for command in (
    demo, study, train, report, evaluate, predict, explain, features, compare, review, audit, repair, size, export
):  # fmt: skip
    if command in TAKING_A_MODEL:
        app.command(cls=TakesOwnModel)(with_common(with_own_model(command)))
    elif command in REFUSING:
        app.command(cls=refusing_own_model(REFUSING[command]))(with_common(command))
    else:
        app.command()(with_common(command))


def _next_step(error: OSError) -> str:
    """What the system said of a file, and what to do about it."""
    said = os.strerror(error.errno or 0)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{said}; make room and run the command again: what is done stays, and no file is half written."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{said}; choose a folder that you may write to (--out, or RADIOLUCENT_CACHE), or change its permissions."
        )
    return f"{said}; check the path."


def main() -> NoReturn:
    """Entry point: expected errors become one clear message, with status 2 where an option is wrong, else 1."""
    sys.argv[1:] = map(at_home, sys.argv[1:])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: a name ends no command
    try:
        app()
    except RadiolucentError as error:
        if os.environ.get("RADIOLUCENT_VERBOSE"):
            import traceback

            traceback.print_exc()
        say.quiet = False
        say.print(f"[red]error:[/red] {shown(error)}", soft_wrap=True)
        sys.exit(WRONG_USAGE if isinstance(error, ConfigError) else FAILED)
    except OSError as error:
        if error.errno is None or os.environ.get("RADIOLUCENT_VERBOSE"):
            raise
        say.quiet = False
        where = f"{error.filename}: " if error.filename else ""
        say.print(f"[red]error:[/red] {shown(where)}{_next_step(error)}", soft_wrap=True)
        sys.exit(FAILED)
    sys.exit(0)
