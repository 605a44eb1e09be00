"""What the commands share: arguments, progress, tables, JSON, and files left out."""

import json
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from radiolucent.shown import counted
from radiolucent.tables import printable

if TYPE_CHECKING:
    from radiolucent.audits.agreement import ZoneEnergy
    from radiolucent.study import Comparison
    from radiolucent.types import Finding

__all__ = [
    "CHECK_FAILED",
    "FAILED",
    "LEFT_OUT",
    "RUN",
    "USE",
    "WRONG_USAGE",
    "Annotations",
    "AsJson",
    "Data",
    "Out",
    "Run",
    "Seed",
    "end_with_left_out",
    "names_in",
    "print_comparison",
    "print_doubtful",
    "print_findings",
    "print_json",
    "progress_bar",
    "research_use",
    "resumable",
    "run_path",
    "say",
    "shown",
    "stages",
]

FAILED, WRONG_USAGE, LEFT_OUT, CHECK_FAILED = 1, 2, 3, 4
LINE_SECONDS = 60.0
USE = "research only, not for diagnosis"

say = Console(stderr=True)  # progress and messages; standard output is for results

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.", file_okay=False)]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0, max=2**32 - 1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def run_path(text: str) -> Path:
    """A path that exists, "box": the model that comes with the package, or the name of a model of the user's."""
    from radiolucent.models import names_own

    found = Path(text)
    if text != "box" and not found.exists() and not names_own(text):
        raise typer.BadParameter(f"Path '{text}' does not exist.")
    return found


RUN = "A run folder, a model.safetensors file, or box: the model that comes with radiolucent."
Run = Annotated[Path, typer.Argument(help=RUN, parser=run_path, metavar="RUN")]
Data = Annotated[
    Path,
    typer.Argument(
        help="A folder (split/CLASS/*, CLASS/*, or images) or a manifest (CSV, Parquet).", exists=True, metavar="DATA"
    ),
]
Annotations = Annotated[Path | None, typer.Option(help="Doctors' readings, a file or folder in any format.")]


def names_in(text: str) -> tuple[str, ...]:
    """What stands between commas, in lower case, each once; empty parts are left out.

    >>> names_in("gradcam, LIME,,lime")
    ('gradcam', 'lime')
    """
    return tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))


@contextmanager
def resumable() -> Generator[None]:
    """A decorator of commands that go on where they stopped: Ctrl+C, also while they still load, says so.

    They end with status 130. It goes below `app.command()`, so that it is part of the command.
    """
    try:
        yield
    except KeyboardInterrupt:
        say.print("[yellow]interrupted;[/yellow] the same command goes on where this one stopped.", soft_wrap=True)
        raise typer.Exit(130) from None


@contextmanager
def progress_bar() -> Generator[Callable[[str, int, int], None]]:
    """A function (stage, done, total) that tells of progress on standard error.

    On a terminal a bar a stage with the time left; in a log file a line a minute, and one as a long stage ends.
    """
    if not say.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=say, disable=say.quiet) as progress:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield update


class _Lines:
    """Progress as lines, for a file: one a minute and stage, and the last of a stage that had any."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.told: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        began = self.began.setdefault(stage, now)
        due = now - self.told.get(stage, began) >= LINE_SECONDS
        if not due and not (done >= total and stage in self.told):
            return
        self.told[stage] = now
        left = "" if done >= total or not done else f", about {(now - began) / done * (total - done) / 60:.0f} min left"
        say.print(f"{stage}: {done} of {total}{left}", markup=False, highlight=False, soft_wrap=True)
        say.file.flush()


def research_use(classifier: Any) -> str:
    """What a model is for, in a line; said wherever it answers."""
    return str(classifier.provenance.get("use", USE))


def print_json(value: Any) -> None:
    """Print JSON on standard output, without not-a-number."""
    options: dict[str, Any] = {"indent": 2, "allow_nan": False, "default": str}
    text = json.dumps(value, ensure_ascii=False, **options)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # names that are no text, or that this terminal cannot write, become JSON's own escapes
        text = json.dumps(value, ensure_ascii=True, **options)
    sys.stdout.write(text + "\n")


def shown(text: object) -> str:
    """A name or message for the terminal: nothing in it is markup, or moves the cursor, but its line ends."""
    return escape("\n".join(printable(line) for line in str(text).split("\n")))


def end_with_left_out(
    left_out: Iterable[tuple[Any, str]],
    done: int | None = None,
    methods: Iterable[tuple[str, str]] = (),
    made: str = "map",
) -> None:
    """List the files that were left out, and end with status 3 if any of them is missed, or 1 if nothing was done.

    Hidden and system files are not worth a line; texts and tables beside the films, and what was noted or passed over
    without loss, are listed, but change no status. What is missed is told with `--quiet` too.

    Args:
        done: how many films were used, where none is a failure.
        methods: (name, reason) of methods that gave none of what they make (`made`): missed too.
    """
    from radiolucent.data.records import HIDDEN, NOTED, is_lost

    without, given = list(methods), [(path, reason) for path, reason in left_out if reason != HIDDEN]
    for path, reason in given:
        if reason.startswith(NOTED):
            say.print(f"  {escape(printable(path))}: {shown(reason)}", soft_wrap=True)
    items = [(path, reason) for path, reason in given if not reason.startswith(NOTED)]
    missed = bool(without) or any(is_lost(reason) for _, reason in items)
    if missed or done == 0:
        say.quiet = False  # as errors are told
    for name, reason in without:
        say.print(f"[yellow]no {made} by {shown(name)}:[/yellow] {shown(reason)}", soft_wrap=True, highlight=False)
    if done == 0:
        say.print("[red]error:[/red] nothing was done: none of the files could be used.")
    if items or done == 0:
        say.print(f"[yellow]{counted(len(items), 'file')} left out:[/yellow]")
    for path, reason in items:
        say.print(f"  {escape(printable(path))}: {shown(reason)}", soft_wrap=True)
    if done == 0:
        raise typer.Exit(FAILED)
    if missed:
        raise typer.Exit(LEFT_OUT)


def print_findings(findings: "Iterable[Finding]") -> None:
    """Print findings as a table, the failed ones first."""
    colour = {"fail": "red", "inconclusive": "yellow", "pass": "green", "not applicable": "dim"}
    order = list(colour)
    table = Table(show_lines=False)
    for heading in ("verdict", "test", "what was found"):
        table.add_column(heading, overflow="fold")
    for finding in sorted(findings, key=lambda f: order.index(f.verdict)):
        style = colour[finding.verdict]
        advice = f"\n→ {finding.advice}" if finding.advice and finding.verdict != "pass" else ""
        table.add_row(f"[{style}]{finding.verdict}[/{style}]", finding.test, shown(finding.summary + advice))
    Console().print(table)


def print_doubtful(finding: "Finding", most: int = 20) -> None:
    """Print the films whose label a finding doubts, the most doubtful first; nothing for other findings."""
    rows = finding.evidence.get("suspects", [])
    if not rows:
        return
    title = f"doubtful labels, {min(most, len(rows))} of {len(rows)}" + ("" if len(rows) <= most else " (--json: all)")
    table = Table(title=title, title_justify="left")
    for heading in ("film", "label", "rather", "confidence", "who says so"):
        table.add_column(heading, overflow="fold")
    for row in rows[:most]:
        words = (row["film"], row["label"], row["suggested"], f"{row['confidence']:.2f}", row["words"])
        table.add_row(*map(shown, words))
    Console().print(table)


def stages(update: Callable[[str, int, int], None], name: str) -> Callable[[int, int], None]:
    """A progress function for one stage."""
    return lambda done, total: update(name, done, total)


def print_comparison(found: "Comparison") -> None:
    """Print maps against markings, a table a method and reading, then strata, readers and statements."""
    from radiolucent.audits.agreement import meaning

    for a in found.agreement:
        rows = [(escape(meaning(name)), str(e)) for name, e in a.estimates.items() if e.value is not None]
        rows += [("not applicable", f"{counted(n, 'film')}: {reason}") for reason, n in a.not_applicable.items()]
        for kind, groups in a.strata.items():
            for group, some in groups.items():
                rows.append((escape(f"{kind}: {group}: hit rate"), str(some["hit_rate"])))
        _print_rows(f"{a.method} against {a.reader}, {counted(a.films, 'film')}", rows)
    if found.completeness and found.completeness.missing:
        rows = [
            (escape(name), f"{n} of {found.completeness.films} films") for name, n in found.completeness.read.items()
        ]
        _print_rows(f"readings; {found.completeness.by_all} films were read by all", rows, "read")
    for zones in found.zones:
        _print_zones(zones)
    if found.between:
        _print_rows("readers with each other", [(escape(n), str(e)) for n, e in found.between.items()])
    if found.statements:
        words = found.statements
        rows = [(name, str(e)) for name, e in words.estimates.items() if e.value is not None]
        title = f"statements ({words.understood} of {words.statements} understood)"
        if rows:
            _print_rows(title, rows)
        else:
            say.print(f"{title}: none could be compared", highlight=False)


def _print_zones(found: "ZoneEnergy") -> None:
    """Print the maps' energy by lung zone, and what films do not count."""
    from radiolucent.reports.phrasing import zone as words_of

    names = {zone: words_of(zone) for zone in found.energy}
    rows = [(words, f"{found.energy[zone]}; area {found.area[zone].value or 0:.3f}") for zone, words in names.items()]
    if found.films:
        _print_rows(f"{found.method}: share of the map by lung zone, {counted(found.films, 'film')}", rows)
    say.print("The image's left is the patient's right unless the film is mirrored.", highlight=False)
    if found.mirrored:
        say.print(f"mirrored by their header: {shown(', '.join(found.mirrored))}", soft_wrap=True, highlight=False)
    if found.unsure:
        say.print(f"[yellow]{counted(len(found.unsure), 'film')} without sure lungs, not counted by zone:[/yellow]")
        for name, reason in found.unsure:
            say.print(f"  {shown(name)}: {shown(reason)}", soft_wrap=True, highlight=False)


def _print_rows(title: str, rows: Iterable[tuple[str, str]], heading: str = "value (95 % CI)") -> None:
    table = Table(title=escape(title), title_justify="left")
    table.add_column("figure", overflow="fold")
    table.add_column(heading)
    for name, value in rows:
        table.add_row(name, escape(value))
    Console().print(table)
