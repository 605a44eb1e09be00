"""The command line, one file a group of commands."""

import os

# Read once, when torch and numpy are loaded, so before anything else. By default threads spin while they wait for each
# other, and numpy shares matrices of a hundred rows among all cores: on a machine that does other work too, LIME's
# linear models took 25 times as long. A choice of yours stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from radiolucent.cli.entry import app, main

__all__ = ["app", "main"]
