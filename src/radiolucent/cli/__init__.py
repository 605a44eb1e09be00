"""The command line, one file a group of commands."""

from radiolucent.cli.entry import app, main

__all__ = ["app", "main"]
