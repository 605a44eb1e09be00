"""Write docs/reference/cli.md from the commands themselves: every command, argument and option.

python scripts/cli_reference.py            write it
python scripts/cli_reference.py --check    status 1 where it is not up to date
"""

import sys
from pathlib import Path
from typing import Any

import typer

from radiolucent.cli import app, entry
from radiolucent.cli.common import COMMON
from radiolucent.files import write_text

__all__ = ["reference"]

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
HEAD = """# Command line

This page is written by `scripts/cli_reference.py` from the commands themselves.

RUN is a run folder, a `model.safetensors`, or `box`: the [model that comes with radiolucent](cards/box.md), which
`explain` and `predict` also take where no run is named. Where a command has `--model`, a
[model of your own](../howto/your-own-model.md) takes RUN's place. `--json` prints the result for programs on standard
output; messages and progress go to standard error. `--seed` decides everything random.

{status}

**Environment**: `RADIOLUCENT_CACHE` (folder of decoded pixels, default `~/.cache/radiolucent`), `RADIOLUCENT_MALLOC=0`
(do not ask the allocator to keep freed memory), `RADIOLUCENT_FAST=0` (explain in plain torch, without any shortcut),
`RADIOLUCENT_DATA` (real films for the tests), `RADIOLUCENT_CONFIG`,
`RADIOLUCENT_DEVICE`, `RADIOLUCENT_WORKERS` (as the options below). Options can also stand in a TOML file by their names
(`epochs = 5`), given by `--config FILE`; the command line goes first. A training writes such a file, `options.toml`,
into its folder: `--config RUN/options.toml` repeats it.

**Options of every command**: {common}.
"""


def reference() -> str:
    """The page as the commands stand."""
    group: Any = typer.main.get_command(app)
    status = "**" + (entry.__doc__ or "").split("\n\n")[1].strip().replace("Exit status:", "Exit status**:")
    common = ", ".join(
        f"{_names(p)} ({_cell(p.help)})" for p in _options(group.commands["predict"]) if p.name in COMMON
    )
    parts = [HEAD.format(status=status, common=common)]
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            parts.append(f"## `radiolucent {name}`\n\n{_plain(command.help)}\n")
            parts += [_section(f"{name} {sub}", one, "###") for sub, one in command.commands.items()]
        else:
            parts.append(_section(name, command, "##"))
    return "\n".join(parts)


def _options(command: Any) -> list[Any]:
    return [p for p in command.params if p.param_type_name == "option" and p.name != "help"]


def _section(name: str, command: Any, level: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in _options(command) if p.name not in COMMON]
    words = " ".join(p.metavar or p.name.upper() for p in arguments)
    lines = [f"{level} `radiolucent {name}{f' {words}' if words else ''}`", "", _plain(command.help), ""]
    if arguments or options:
        lines += ["| option | meaning | default |", "|---|---|---|"]
        lines += [f"| `{p.metavar or p.name.upper()}` | {_cell(p.help)} | |" for p in arguments]
        lines += [f"| {_names(p)} | {_cell(p.help)} | {_default(p)} |" for p in options]
        lines.append("")
    return "\n".join(lines)


def _names(option: Any) -> str:
    return ", ".join(f"`{n}`" for n in (*option.opts, *option.secondary_opts))


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is False or value == "" or value == [] or callable(value) or "UNSET" in str(value):
        return "needed" if option.required else ""
    if value is True:
        return f"`{option.opts[0]}`"
    return f"`{value}`"


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("\n\n", "¶").split()).replace("¶", "\n\n")


def _cell(text: str | None) -> str:
    return _plain(text).replace("|", "\\|")


if __name__ == "__main__":
    if "--check" not in sys.argv:
        write_text(PAGE, reference())
    elif PAGE.read_text(encoding="utf-8") != reference():
        sys.exit(f"{PAGE}: not up to date; run: python scripts/cli_reference.py")
